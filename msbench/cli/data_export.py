"""`msbench data export`: a dataset's samples in the files of another one's layout."""

from __future__ import annotations

from pathlib import Path

import typer

from msbench.cli import options as o


def export(
    name: o.Dataset,
    overrides: o.Overrides = None,
    layout: str = typer.Option(..., help="Files to write; an unknown name lists what there is."),
    out: Path | None = typer.Option(None, "-o", "--out", help="New folder. [NAME-LAYOUT]"),
    plugin: o.PluginSources = None,
) -> None:
    """Write a dataset's samples in the layout of a published one, for other programs or to try a loader.

    Example: msbench data export rooms --layout mtan -o rooms-mtan data.size=xs
    """
    from msbench.cli.display import make_console, make_display
    from msbench.compose import compose
    from msbench.data.export import export as write
    from msbench.data.export import exporter
    from msbench.experiment import dataset_config
    from msbench.plugins import load_plugins
    from msbench.runs.build import build_dataset
    from msbench.store.store import default_cache

    plugins = load_plugins(plugin or [])
    plugins.get("dataset", name)
    writer = exporter(plugins.classes("dataset"), layout)
    config = dataset_config(plugins, compose(plugins, {"dataset": name}, overrides or [])["data"])
    dataset = build_dataset(plugins, config)
    folder = out or Path(f"{name}-{layout.replace('/', '-')}")
    console = make_console()
    with make_display(console) as display:
        dataset.prepare(default_cache(), display.preparing)
        counts = write(dataset, writer, default_cache(), folder, display.preparing)
    parts = ", ".join(f"{count} {part}" for part, count in counts.items())
    console.print(f"Wrote {folder}: layout {layout}, {parts} samples", soft_wrap=True)
