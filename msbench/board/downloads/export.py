"""Files of one board to download: its rows as CSV, unrounded; as LaTeX; and the methods' papers as BibTeX."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from msbench.board.comparison.ranking import BoardRows
from msbench.board.comparison.rows import Row, status_of
from msbench.board.downloads.bibtex import board_bibtex
from msbench.board.downloads.datafile import DATA_VERSION, data_json, record_lines, schema_json
from msbench.board.downloads.latex import board_latex
from msbench.board.statistics import Summary

__all__ = ["DATA_VERSION", "board_csv", "board_files", "data_json", "record_lines", "schema_json"]


def board_files(data: BoardRows) -> dict[str, str]:
    """A board's downloads: path below the leaderboard's folder to text."""
    slug = data.board.slug
    return {
        f"csv/{slug}.csv": board_csv(data),
        f"latex/{slug}.tex": board_latex(data),
        f"bibtex/{slug}.bib": board_bibtex(data),
    }


def board_csv(data: BoardRows) -> str:
    """One line a row of the board, dense control first, rows without a result last."""
    broken = [row for row in data.rows if not row.finished]
    lines = [_line(data, row) for row in [*data.shown, *broken]]
    header = list(dict.fromkeys(key for line in lines for key in line))
    out = io.StringIO()
    writer = csv.DictWriter(out, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _inert(value) for key, value in line.items()} for line in lines)
    return out.getvalue()


def _line(data: BoardRows, row: Row) -> dict[str, Any]:
    sparsifier, budget, rank = row.sparsifier, row.budget, data.ranks.get(row)
    line: dict[str, Any] = {
        "sparsifier": sparsifier.name,
        "base": sparsifier.base,
        "plugin": sparsifier.plugin,
        "version": sparsifier.version,
        "params": json.dumps(sparsifier.params, sort_keys=True),
        "budget": budget.mode if budget else None,
        "structured": budget.structured if budget else None,
        "seeds": " ".join(str(run.record.seed) for run in row.runs),
        "n": len(row.finished),
        "rank_best": rank[0] if rank else None,
        "rank_worst": rank[1] if rank else None,
    }
    for task in data.board.tasks:
        for metric in data.specs[task.name]:
            line |= _pair(f"{task.name}.{metric}", row.metric(task.name, metric))
        line |= _pair(f"{task.name}.delta", row.task_delta(task.name))
    line |= _pair("delta_mean", row.delta_mean)
    interval = row.delta_mean.interval if row.delta_mean else None
    line |= {"delta_mean.low": interval and interval.low, "delta_mean.high": interval and interval.high}
    line |= _pair("delta_sum", row.summary(lambda run: run.record.delta.sum if run.record.delta else None))
    line |= _pair("asked", row.summary(lambda run: run.record.budget.asked if run.record.budget else None))
    line |= _pair("achieved", row.achieved)
    line |= _pair("natural", row.summary(lambda run: run.record.budget.natural if run.record.budget else None))
    line["proven"] = row.proven
    if row.proven:
        line |= _pair("compression_parameters", row.compression(lambda part: part.parameters))
        line |= _pair("compression_bytes", row.compression(lambda part: part.bytes))
        line |= _pair("speedup_theoretical", row.speedup(lambda part: part.theoretical))
        line |= _pair("speedup_macs", row.speedup(lambda part: part.macs))
        for device in data.devices():
            line |= _pair(f"speedup_{device}", row.measured(device))
    line |= _pair("wall_s", row.wall_time)
    line |= _pair("samples", row.summary(lambda run: run.record.allowance.spent if run.record.allowance else None))
    return line | {"status": status_of(row)[1], "reason": "; ".join(row.objections)}


def _pair(name: str, summary: Summary | None) -> dict[str, float | None]:
    return {name: summary.mean if summary else None, f"{name}.sd": summary.sd if summary else None}


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets a leading apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
