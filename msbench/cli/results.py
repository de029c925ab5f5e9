"""`msbench results`: the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import typer

from msbench.cli import options as o
from msbench.cli import results_clean, results_verify, results_why, table

app = typer.Typer(
    help="The store: list, show, export, explain, verify and clean; papers' tables.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("table")(table.table)
app.command("why")(results_why.why)
app.command("verify")(results_verify.verify)
app.command("clean")(results_clean.clean)


@app.command("list")
def list_(results: o.Results = None) -> None:
    """List every finished run.

    Example: msbench results list
    """
    from rich.table import Table

    from msbench.cli.display import make_console
    from msbench.store.store import Store

    store = Store(o.results_folder(results))
    table = Table("run", "status", "sparsity", "Δ_T %", "created", box=None, header_style="bold")
    for run_id in store.ids():
        record = store.find(run_id)
        assert record is not None
        sparsity = f"{record.sparsity.parameters:.1%}" if record.sparsity else "n/a"
        delta = f"{record.delta.mean:+.2f}" if record.delta else "n/a"
        table.add_row(run_id, record.status, sparsity, delta, record.created)
    make_console().print(table if table.row_count else f"No runs in {store.root}.")


@app.command("show")
def show(run: o.Run, results: o.Results = None) -> None:
    """Print one record as JSON, with later measurements of the run.

    Example: msbench results show meta_sparsity-rooms-quick-natural-s0
    """
    from msbench.store.measurements import measurements
    from msbench.store.store import Store

    store = Store(o.results_folder(results))
    run_id = store.resolve(run)
    record = store.find(run_id)
    assert record is not None
    shown = record.model_dump(mode="json")
    if later := measurements(store, run_id):
        shown["measurements"] = [found.model_dump(mode="json") for found in later]
    typer.echo(json.dumps(shown, indent=1, ensure_ascii=False))


@app.command("export")
def export(
    out: Path = typer.Argument(help="A .csv, .json or .parquet file."),
    results: o.Results = None,
) -> None:
    """Export all records: one flat row a run as CSV or parquet, or the whole records as JSON.

    Example: msbench results export results.csv
    """
    from msbench.errors import UserError
    from msbench.store.export import export_records
    from msbench.store.store import Store

    kinds: dict[str, Literal["csv", "json", "parquet"]] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
    if out.suffix not in kinds:
        raise UserError(f"{out}: name a file that ends in {', '.join(kinds)}")
    count = export_records(Store(o.results_folder(results)), out, kinds[out.suffix])
    typer.echo(f"Wrote {count} records to {out}")
