"""A filled table as text: what every format prints, cell by cell."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from msbench.board import text
from msbench.board.statistics import Summary
from msbench.papers.fill import Filled, Line
from msbench.papers.schema import Column, Published

ARROWS = {"higher": "\u00a0↑", "lower": "\u00a0↓", None: ""}
NOT_RUN = "not run"
ORDERED = 3
"""Rows that a rank correlation needs at least."""


@dataclass(frozen=True)
class GridRow:
    """One line of the paper's table, ours and the published one. `state` stands in place of ours that are not there."""

    label: tuple[str, ...]
    seeds: int
    ours: tuple[str, ...]
    paper: tuple[str, ...]
    state: str


@dataclass(frozen=True)
class Grid:
    """Headings, rows, and what is written around them."""

    header: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[GridRow, ...]
    title: str
    source: tuple[str, ...]
    below: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, filled: Filled) -> Grid:
        """Everything that the formats print."""
        table = filled.table
        rows = [_row(filled, line) for line in filled.lines]
        constants = tuple(_number(filled.constant(c), _decimals(filled, c)) for c in table.columns)
        if any(constants):
            label = ("constant predictor", *[""] * (len(table.row_header) - 1))
            rows.append(GridRow(label, 0, constants, ("",) * len(constants), ""))
        return cls(
            table.row_header,
            table.columns,
            tuple(rows),
            f"{table.preset}: {table.table}, {table.title}",
            (
                table.shows,
                f"Paper: {table.paper}. Published on {table.published_on}.",
                _ours(filled),
            ),
            tuple(_below(filled)),
            table.notes,
        )


def heading(column: Column) -> tuple[str, str]:
    """The paper's label with its direction, and ours where it is another figure."""
    return f"{column.label}{ARROWS[column.better]}", f"ours: {column.ours}" if column.ours else ""


def _row(filled: Filled, line: Line) -> GridRow:
    columns = filled.table.columns
    state = ""
    if not line.finished:
        state = line.chosen[-1].status if line.chosen else NOT_RUN
    return GridRow(
        line.row.label,
        len(line.finished),
        tuple(_summary(filled.ours(line, column), _decimals(filled, column)) for column in columns),
        tuple(_published(line.row.published.get(column.id), column) for column in columns),
        state,
    )


def _decimals(filled: Filled, column: Column) -> int:
    """As many as the paper prints, and more where ours would have fewer than three significant digits."""
    means = [found.mean for line in filled.lines if (found := filled.ours(line, column))]
    return max(column.decimals, text.decimals_for(means) - 1) if any(means) else column.decimals


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else text.number(value, decimals)


def _summary(found: Summary | None, decimals: int) -> str:
    if found is None:
        return ""
    return _number(found.mean, decimals) + _spread(found.sd, decimals)


def _published(cell: Published | None, column: Column) -> str:
    if cell is None:
        return ""
    return _number(cell.mean, column.decimals) + _spread(cell.std, column.decimals)


def _spread(value: float | None, decimals: int) -> str:
    return "" if value is None else f" ± {text.number(value, decimals)}"


def _ours(filled: Filled) -> str:
    """Where ours come from."""
    if filled.settings is None:
        return "Ours: nothing in the store for this table."
    record = next((record for record in filled.used if record.dataset and record.model), None)
    if record is None or record.dataset is None or record.model is None:
        return f"Ours: {filled.settings.title}; no run has ended well."
    data, model, training = record.dataset, record.model, filled.settings.config["training"]
    kind = "synthetic, " if data.synthetic else ""
    presets = text.words(sorted({item.preset for item in filled.used}))
    return (
        f"Ours: dataset {data.name} ({kind}{data.image[1]}x{data.image[2]}, {data.train} training images), "
        f"model {model.name} ({model.backbone}, {model.parameters:,} parameters), preset {presets}, "
        f"{training['samples']} training samples, seeds {text.seeds(item.seed for item in filled.used)}, "
        f"newest run {text.moment(filled.newest)}."
    )


def _below(filled: Filled) -> list[str]:
    """How to read it, what order says, what is missing and how to make it."""
    lines = ["Ours: mean ± sample standard deviation (n - 1) over seeds. Published values are as printed."]
    record = next((record for record in filled.used if record.dataset), None)
    if record is not None and record.dataset is not None and record.dataset.synthetic:
        lines.append(
            f"{record.dataset.name} is a synthetic stand-in: numbers cannot be compared one by one, only the order of "
            "the rows."
        )
    if found := _agreement(filled):
        lines.append("Order of the rows, Kendall's τ between ours and the paper's: " + ", ".join(found) + ".")
    if filled.others:
        lines.append(f"Also in the store (choose with -d, -m, --samples): {'; '.join(filled.others)}.")
    lines += [trouble for line in filled.lines for trouble in line.troubles]
    return lines + _missing(filled)


def _missing(filled: Filled) -> list[str]:
    lines = []
    for line in filled.lines:
        if line.missing and filled.complete:
            what = NOT_RUN if not line.chosen else f"seed {text.seeds(line.missing)} {NOT_RUN}"
            lines.append(f"{line.row.name}: {what}: {line.command}")
    if not filled.complete or any(line.missing for line in filled.lines):
        lines.append(f"All of the table: {filled.command}")
    return lines


def _agreement(filled: Filled) -> list[str]:
    """Kendall's τ of the rows that have both, for each column with a direction."""
    found = []
    for column in filled.table.columns:
        pairs = [
            (ours.mean, paper.mean)
            for line in filled.lines
            if (ours := filled.ours(line, column)) and (paper := line.row.published.get(column.id))
        ]
        if column.better is None or len(pairs) < ORDERED:
            continue
        tau = float(stats.kendalltau(*zip(*pairs, strict=True)).statistic)
        if not math.isnan(tau):  # constant columns have none
            found.append(f"{column.label} {text.signed(tau, 2)} ({len(pairs)} rows)")
    return found
