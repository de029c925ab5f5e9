"""`msbench data`: datasets, and what they look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from msbench.cli import options as o

app = typer.Typer(help="Datasets: list them, look at them.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(plugin: o.PluginSources = None) -> None:
    """List the datasets with their tasks.

    Example: msbench data list
    """
    from rich.table import Table

    from msbench.cli.display import make_console
    from msbench.plugins import load_plugins

    plugins = load_plugins(plugin or [])
    table = Table("dataset", "tasks", "data", "licence", "plugin", box=None, header_style="bold")
    for component in plugins.components["dataset"].values():
        cls: Any = component.cls
        tasks = ", ".join(task.name for task in cls().tasks())
        table.add_row(component.name, tasks, "synthetic" if cls.synthetic else "real", cls.licence, component.plugin)
    make_console().print(table)


@app.command("preview")
def preview(
    name: str,
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
    from msbench.compose import compose
    from msbench.data.dataset import PARTS
    from msbench.data.preview import contact_sheet
    from msbench.errors import UserError, nearest
    from msbench.experiment import dataset_config
    from msbench.plugins import load_plugins
    from msbench.runs.build import build_dataset
    from msbench.runs.store import default_cache

    if part not in PARTS:
        raise UserError(f"--part {part!r}: {nearest(part, PARTS)}")
    plugins = load_plugins(plugin or [])
    plugins.get("dataset", name)
    config = dataset_config(plugins, compose(plugins, {"dataset": name}, overrides or [])["data"])
    dataset = build_dataset(plugins, config)
    console = make_console()
    with make_display(console) as display:
        dataset.prepare(default_cache(), display.preparing)
    target = out or Path(f"{name}.png")
    sheet = contact_sheet(dataset, dataset.samples(part, default_cache()), count)
    try:
        sheet.save(target, format="PNG")
    except OSError as error:
        raise UserError(f"--out {target}: {error.strerror}; choose a file that can be written") from error
    console.print(f"Wrote {target}", soft_wrap=True)
