"""`msbench data`: datasets, and what they look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from msbench.cli import data_export
from msbench.cli import options as o

if TYPE_CHECKING:
    from msbench.data.dataset import Dataset

Source = typer.Option(None, "--source", help="Folder with the data: short for data.root=FOLDER.")

app = typer.Typer(
    help="Datasets: list, describe, convert and look at them.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_(plugin: o.PluginSources = None) -> None:
    """List the datasets with their tasks.

    Example: msbench data list
    """
    from rich.table import Table

    from msbench.cli.display import make_console
    from msbench.errors import UserError
    from msbench.plugins import load_plugins

    plugins = load_plugins(plugin or [])
    table = Table("dataset", "tasks", "data", "licence", "plugin", box=None, header_style="bold")
    for component in plugins.components["dataset"].values():
        cls: Any = component.cls
        try:
            tasks = ", ".join(task.name for task in cls().tasks())
        except UserError:
            tasks = "what data.root holds"
        table.add_row(component.name, tasks, "synthetic" if cls.synthetic else "real", cls.licence, component.plugin)
    make_console().print(table)


@app.command("info")
def info(
    name: o.Dataset,
    overrides: o.Overrides = None,
    source: Path | None = Source,
    verify: bool = typer.Option(False, "--verify", help="Read every packed byte again and compare checksums."),
    plugin: o.PluginSources = None,
) -> None:
    """Say what a dataset is and what was found: layout, samples, tasks, where it is packed.

    Where the data is missing: what is missing and where to get it, with exit code 2.

    Example: msbench data info camvid data.root=path/to/CamVid
    """
    from rich.table import Table

    from msbench.cli.display import make_console, make_display
    from msbench.data.summary import about, found
    from msbench.data.summary import verify as verify_packed
    from msbench.errors import UserError
    from msbench.store.store import default_cache

    dataset, cache, console = _build(name, overrides, source, plugin), default_cache(), make_console()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    lines = [("dataset", dataset.name), *about(dataset)]
    missing: UserError | None = None
    with make_display(console) as display:
        try:
            lines += found(dataset, cache, display.preparing)
            if verify:
                lines.append(("checked", verify_packed(dataset, cache, display.preparing)))
        except UserError as error:
            missing = error
    for heading, text in lines:
        table.add_row(heading, text)
    console.print(table, highlight=False, markup=False)
    if missing is not None:
        raise missing


@app.command("prepare")
def prepare(
    name: o.Dataset,
    overrides: o.Overrides = None,
    source: Path | None = Source,
    out: Path | None = typer.Option(
        None, "-o", "--out", help="New folder for a packed copy that data.root reads on any machine. [the data cache]"
    ),
    plugin: o.PluginSources = None,
) -> None:
    """Decode a dataset once, now instead of before the first run; what was stopped goes on where it was.

    Example: msbench data prepare camvid --source path/to/CamVid --out camvid-packed
    """
    from msbench.cli.display import make_console, make_display
    from msbench.data.convert import convert
    from msbench.store.store import default_cache

    dataset, console = _build(name, overrides, source, plugin), make_console()
    try:
        with make_display(console) as display:
            lines = list(convert(dataset, default_cache(), out, display.preparing))
    except KeyboardInterrupt:
        typer.echo("msbench: interrupted; the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


@app.command("preview")
def preview(
    name: o.Dataset,
    overrides: o.Overrides = None,
    out: Path | None = typer.Option(None, "-o", "--out", help="PNG file. [NAME.png]"),
    count: int = typer.Option(8, help="Samples to show.", min=1, max=64),
    part: str = typer.Option("train", help="train, validation or test."),
    plugin: o.PluginSources = None,
) -> None:
    """Write a contact sheet: images beside every target.

    Example: msbench data preview rooms -o rooms.png
    """
    from msbench.cli.display import make_console, make_display
    from msbench.data.dataset import PARTS
    from msbench.data.preview import contact_sheet
    from msbench.errors import UserError, nearest
    from msbench.store.store import default_cache

    if part not in PARTS:
        raise UserError(f"--part {part!r}: {nearest(part, PARTS)}")
    dataset, console = _build(name, overrides, None, plugin), make_console()
    with make_display(console) as display:
        dataset.prepare(default_cache(), display.preparing)
    target = out or Path(f"{name}.png")
    sheet = contact_sheet(dataset, dataset.samples(part, default_cache()), count)
    try:
        sheet.save(target, format="PNG")
    except OSError as error:
        raise UserError(f"--out {target}: {error.strerror}; choose a file that can be written") from error
    console.print(f"Wrote {target}", soft_wrap=True)


app.command("export")(data_export.export)


def _build(name: str, overrides: list[str] | None, source: Path | None, plugin: list[str] | None) -> Dataset:
    """The dataset with `data.KEY=value` and `--source` applied."""
    from msbench.compose import compose
    from msbench.errors import UserError
    from msbench.experiment import dataset_config
    from msbench.plugins import load_plugins
    from msbench.runs.build import build_dataset

    plugins = load_plugins(plugin or [])
    component = plugins.get("dataset", name)
    plain = compose(plugins, {"dataset": name}, overrides or [])["data"]
    if source is not None:
        if "root" not in component.cls.location:  # type: ignore[attr-defined]
            raise UserError(f"--source: {name} is made by msbench and reads no folder; leave --source out")
        if plain.get("root", str(source)) != str(source):
            raise UserError(f"--source {source} and data.root={plain['root']} name two folders; give one of them")
        plain["root"] = str(source)
    return build_dataset(plugins, dataset_config(plugins, plain))
