"""`msbench measure`: stored runs measured again, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from msbench.cli import options as o

if TYPE_CHECKING:
    from rich.table import Table

    from msbench.records.measurement import Case, Measurement, Pair, Request

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs' ids, or parts of them that are unique.")]
Device = Annotated[str, typer.Option(help="'cpu', 'cuda' or both, by comma.")]
Batch = Annotated[str, typer.Option(help="Images a forward; several by comma.")]
Size = Annotated[int | None, typer.Option(help="Height and width of the images. [the data's own]", min=8)]
Threads = Annotated[int | None, typer.Option(help="Threads on the CPU. [the run's own]", min=1)]
Dtype = Annotated[str, typer.Option(help="'fp32', 'bf16' or both, by comma.")]
Seconds = Annotated[float, typer.Option(help="Most that one comparison of times takes.", min=0.01)]


def measure(
    runs: Runs,
    device: Device = "cpu,cuda",
    batch: Batch = "1",
    size: Size = None,
    threads: Threads = None,
    dtype: Dtype = "fp32",
    seconds: Seconds = 3.0,
    results: o.Results = None,
    plugin: o.PluginSources = None,
) -> None:
    """Measure stored runs on this machine: latency, parts, memory, energy; dense beside compact, in alternating rounds.

    The result is kept beside the run, whose record stays as it is. Exit code 1 when a run could not be measured.

    Example: msbench measure one_shot_magnitude-rooms-quick-0.85-s0 --batch 1,8 --size 256
    """
    from msbench.cli.display import make_console
    from msbench.config import RunConfig
    from msbench.errors import UserError
    from msbench.store.measurements import save
    from msbench.store.store import Store

    store = Store(o.results_folder(results))
    request = _request(device, batch, size, threads or 1, dtype, seconds)
    chosen = list(dict.fromkeys(store.resolve(run) for run in runs))

    from msbench.runs.remeasure import remeasure  # torch: after what is wrong was said

    console, failed = make_console(), False
    for run_id in chosen:
        record = store.find(run_id)
        assert record is not None
        own = RunConfig.model_validate(record.config).engine.threads
        asked = request.model_copy(update={"threads": threads or own})
        try:
            found = remeasure(store, run_id, asked, plugin or [])
        except UserError as error:
            typer.echo(f"msbench: {error}", err=True)
            failed = True
            continue
        path = save(store, found)
        console.print(run_id, soft_wrap=True, highlight=False)
        if found.cases:
            console.print(_figures(found), soft_wrap=True, highlight=False)
            console.print(_table(found))
        for line in _remarks(found):
            console.print(line, soft_wrap=True, highlight=False)
        console.print(f"Kept as {path}", soft_wrap=True, highlight=False)
        failed = failed or not found.cases
    if failed:
        raise typer.Exit(1)


def _request(device: str, batch: str, size: int | None, threads: int, dtype: str, seconds: float) -> Request:
    from msbench.errors import UserError
    from msbench.records.measurement import Request

    devices, dtypes = _listed("--device", device, ("cpu", "cuda")), _listed("--dtype", dtype, ("fp32", "bf16"))
    try:
        batches = [int(part) for part in batch.split(",")]
    except ValueError:
        batches = [0]
    if min(batches) < 1:
        raise UserError(f"--batch {batch}: whole numbers from 1 up, by comma, for example 1,8")
    values = {"devices": devices, "batches": batches, "size": size, "threads": threads, "dtypes": dtypes}
    return Request.model_validate({**values, "seconds": seconds})


def _listed(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    from msbench.errors import UserError, nearest

    parts = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for part in parts:
        if part not in known:
            raise UserError(f"{option} {part!r}: {nearest(part, known)}")
    return parts


def _figures(found: Measurement) -> str:
    """What does not depend on the device: parameters, bytes, multiply-adds, theory."""
    size, adds = found.compression, found.multiply_adds
    assert size is not None
    assert adds is not None
    words = [
        f"{size.parameters:.2f}× fewer parameters",
        f"{size.bytes:.2f}× smaller file ({size.compact_bytes / 1000:,.0f} kB)",
        f"{adds.ratio or 0:.2f}× fewer multiply-adds ({adds.compact / 1e6:,.3g} M)",
    ]
    theory = "nothing kept" if found.theoretical is None else f"{found.theoretical:.2f}×"
    return f"  {', '.join(words)}; the papers' ratio of FLOPs: {theory}"


def _table(found: Measurement) -> Table:
    from rich.table import Table

    titles = ("part", "dense ms", "compact ms", "ratio", "quartiles", "95 %", "memory MB", "energy mJ", "")
    table = Table("measured", *titles, box=None, header_style="bold")
    for case in found.cases:
        where = f"{case.device}, {'x'.join(map(str, [case.batch, *case.size]))}, {case.dtype}"
        for mode, part in (("whole", case.eager), ("whole, CUDA graph", case.graph)):
            if part is None:
                continue
            table.add_row(
                where,
                mode,
                f"{1000 * part.dense_s:.3g}",
                f"{1000 * part.compact_s:.3g}",
                f"{part.ratio:.2f}×",
                f"{part.q25:.2f} to {part.q75:.2f}",
                f"{part.low:.2f} to {part.high:.2f}",
                *(_extra(case) if mode == "whole" else ("", "")),
                "noisy" if part.noisy else "",
            )
        for name, pair in case.components.items():
            times = (f"{1000 * pair.dense:.3g}", f"{1000 * pair.compact:.3g}", f"{pair.ratio or 0:.2f}×")
            table.add_row("", name, *times)
    return table


def _extra(case: Case) -> tuple[str, str]:
    def pair(found: Pair | None, unit: float) -> str:
        return "n/a" if found is None else f"{found.dense * unit:.3g} → {found.compact * unit:.3g}"

    return pair(case.memory, 1e-6), pair(case.energy.joules if case.energy else None, 1000)


def _remarks(found: Measurement) -> list[str]:
    """Gaps and what makes a figure noisy, each once."""
    lines = [f"  gap: {gap}" for gap in found.gaps]
    for case in found.cases:
        where = f"{case.device}, batch {case.batch}, {case.dtype}"
        lines += [f"  gap: {case.device}: {gap}" for gap in case.gaps]
        for part in (case.eager, case.graph):
            lines += [f"  noisy: {where}: {why}" for why in (part.why if part else ())]
    return list(dict.fromkeys(lines))
