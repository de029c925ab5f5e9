"""`msbench compact`: the small network of a run, as a file that a product can load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from msbench.cli import options as o

if TYPE_CHECKING:
    from msbench.handover import HandOver, Saved
    from msbench.records.record import Record

Run = Annotated[str, typer.Argument(help="A run's id, or any part of it that is unique (msbench results list).")]
To = Annotated[
    str | None,
    typer.Option("--to", help="'torch' (.safetensors), 'onnx' (.onnx) or 'pt2' (.pt2). [torch, or by FILE's ending]"),
]
RoundTo = Annotated[
    str,
    typer.Option(
        "--round-to",
        metavar="N",
        help="Layers keep a multiple of N channels; 'fastest' measures 1, 8 and 16 here.",
    ),
]
Out = Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="File to write. [RUN.safetensors, …]")]


def compact(
    run: Run,
    to: To = None,
    out: Out = None,
    round_to: RoundTo = "1",
    results: o.Results = None,
    plugin: o.PluginSources = None,
) -> None:
    """Write the small network of a run as one file, proven equal to the masked network before and after it is written.

    Exit code 1 when it is not equal: then nothing is written. onnx also says how much faster onnxruntime is with it.

    Example: msbench compact one_shot_magnitude-rooms-quick-0.85-s0 --to onnx -o small.onnx
    """
    from msbench.handover import HandOverError
    from msbench.handover.network import SUFFIXES, check_format
    from msbench.handover.of_run import compact_run
    from msbench.handover.to_onnx import check_installed
    from msbench.plugins import load_plugins
    from msbench.store.store import Store

    store = Store(o.results_folder(results))
    run_id = store.resolve(run)
    path = out if out is not None else Path(f"{run_id}{SUFFIXES.get(to or 'torch', '')}")
    chosen = check_format(path, to)
    if chosen == "onnx":
        check_installed()
    record, network = compact_run(load_plugins(plugin or []), store, run_id, _rounding(round_to))
    try:
        _say_network(record, network)
        saved = network.save(path, chosen, {"run": run_id, "command": record.command})
    except HandOverError as error:
        typer.echo(f"msbench: {run_id}: not handed over: {error}", err=True)
        raise typer.Exit(1) from error
    _say_file(saved)
    if chosen == "onnx":
        _say_speed(record, network, saved)


def _rounding(text: str) -> int | Literal["fastest"]:
    from msbench.errors import UserError

    try:
        return "fastest" if text == "fastest" else int(text)
    except ValueError:
        raise UserError(f"--round-to {text}: give a number of channels from 1, or 'fastest'") from None


def _say_network(record: Record, network: HandOver) -> None:
    dense, small = network.report.dense_parameters, network.report.compact_parameters
    typer.echo(f"{record.run_id}: {small:,} of {dense:,} parameters ({dense / max(small, 1):.2f}× smaller)")
    if network.round_to > 1:
        typer.echo(f"  layers keep multiples of {network.round_to} channels")
    for note in network.report.notes:
        typer.echo(f"  {note}")
    found = ", ".join(f"{diff:.2g} in {dtype}" for dtype, diff in network.proof.max_abs_diff.items())
    if not network.reason:
        typer.echo(f"Equal to the masked network for {', '.join(network.tasks)}: greatest difference {found}")


def _say_file(saved: Saved) -> None:
    image = " x ".join(str(size) for size in saved.image)
    typer.echo(f"Wrote {saved.path}: {saved.bytes / 1000:,.1f} kB, image [{image}]")
    typer.echo(f"  read back: greatest difference {saved.max_abs_diff:.2g} over {saved.images} images of several sizes")
    for note in saved.notes:
        typer.echo(f"  {note}")


def _say_speed(record: Record, network: HandOver, saved: Saved) -> None:
    from msbench.config import RunConfig

    found = network.onnx_speed_up(saved, RunConfig.model_validate(record.config).engine.threads)
    size = "x".join(str(side) for side in found.shape[2:])
    many = "thread" if found.threads == 1 else "threads"
    typer.echo(
        f"onnxruntime, {found.threads} {many}, batch {found.shape[0]}, {size}: dense {found.dense_s * 1000:.3g} ms, "
        f"compact {found.compact_s * 1000:.3g} ms: {found.ratio:.2f}× "
        f"(quartiles {found.q25:.2f} to {found.q75:.2f}, {found.rounds} rounds)"
    )
