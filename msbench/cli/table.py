"""`msbench results table`: a paper's table, ours beside the published numbers."""

from __future__ import annotations

from typing import Annotated

import typer

from msbench.cli import options as o


def table(
    name: str = typer.Argument(help="A paper's table, for example papers/meta_sparsity_t5."),
    dataset: Annotated[
        str | None, typer.Option("-d", "--dataset", help="Runs on this dataset. [the newest complete set]")
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Runs of this model. [the newest complete set]")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Runs with this training allowance. [the newest complete set]", min=1)
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="The budget, where the runs were made with another than the paper's.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="text, csv, latex or markdown.")] = "text",
    plugin: o.PluginSources = None,
    results: o.Results = None,
) -> None:
    """Print a paper's table with ours beside the published numbers; what is not run comes with its command.

    Example: msbench results table papers/meta_sparsity_t5 --format markdown
    """
    from msbench.cli.display import make_console
    from msbench.compose import options
    from msbench.errors import UserError, nearest
    from msbench.papers.render import FORMATS, to_csv, to_latex, to_markdown, to_text
    from msbench.papers.schema import load_table
    from msbench.plugins import load_plugins
    from msbench.store.store import Store

    if format_ not in FORMATS:
        raise UserError(f"--format {format_}: {nearest(format_, FORMATS)}")
    paper = load_table(name).with_budget(budget)
    store = Store(o.results_folder(results))
    records = [record for run_id in store.ids() if (record := store.find(run_id)) is not None]
    plugins = load_plugins(plugin or [])
    known = {"dataset": {*options("dataset"), *plugins.components["dataset"]}, "model": {*options("model")}}
    known["model"] |= {record.model.name for record in records if record.model}
    for what, asked in (("dataset", dataset), ("model", model)):
        if asked is not None and asked not in known[what]:
            raise UserError(f"unknown {what} {asked!r}: {nearest(asked, known[what])}")
    filled = o.fill_table(plugins, paper, records, dataset, model, samples)
    if format_ == "text":
        console = make_console()
        console.print(to_text(filled, console.width))
    else:
        as_text = {"csv": to_csv, "latex": to_latex, "markdown": to_markdown}[format_]
        typer.echo(as_text(filled), nl=False)
