"""Columns of the main table, in display order, each with the function that makes its cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from msbench.board import text
from msbench.board.comparison.ranking import BoardRows
from msbench.board.comparison.rows import Row
from msbench.board.table import cells
from msbench.board.table.cells import Cell
from msbench.records.record import MetricValue

Direction = Literal["ascending", "descending"]


@dataclass(frozen=True)
class Column:
    """One column. `notes` are further header lines; `first` is the direction that a first click sorts in.

    usual: whether a page shows it until its reader chooses; without scripts every column is shown.
    """

    key: str
    group: str
    title: str
    notes: tuple[str, ...]
    help: str
    make: Callable[[Row], Cell]
    first: Direction = "descending"
    usual: bool = True


def main_columns(data: BoardRows) -> list[Column]:
    """Every column of the main table but the first, which names the method.

    Rank and status come before any number: they say how far the numbers count.
    """
    return [*_contract(data), *_quality(data), *_sparsity(data), *_compaction(data), *_cost()]


def metric_notes(spec: MetricValue, decimals: int) -> tuple[str, ...]:
    """Header lines of a metric: label, direction and unit, then the constant predictor's value."""
    arrow = "↑" if spec.better == "higher" else "↓"
    unit = f", {spec.unit}" if spec.unit else ""
    label = f"{spec.label} {arrow}{unit}"
    return (label, constant_note(spec, decimals)) if spec.constant is not None else (label,)


def constant_note(spec: MetricValue, decimals: int) -> str:
    """The best constant predictor's value; for an accuracy that is the majority rate."""
    if spec.constant is None:
        return ""
    label = spec.label.lower()
    name = "majority rate" if "acc" in label and "balanced" not in label else "constant"
    return f"{name} {text.number(spec.constant, decimals)}"


def first_direction(spec: MetricValue) -> Direction:
    """The direction that puts the best value on top."""
    return "descending" if spec.better == "higher" else "ascending"


def _contract(data: BoardRows) -> Iterator[Column]:
    yield Column(
        "rank",
        "",
        "Rank",
        (),
        "Rank range on mean Δ_T; overlapping ranges are ties",
        lambda row: cells.rank_cell(data.ranks.get(row), row is data.dense, data.leads(row)),
        "ascending",
    )
    yield Column("status", "", "Status", (), "Whether every seed met the contract", cells.status_cell, "ascending")


def _quality(data: BoardRows) -> Iterator[Column]:
    group = "Quality on test data"
    for task in data.board.tasks:
        spec = data.headline(task)
        if spec is None:
            continue
        decimals = data.decimals(task.name, task.headline)
        yield Column(
            f"task.{task.name}",
            group,
            task.name,
            metric_notes(spec, decimals),
            f"{spec.label}, {spec.better} is better; below: change against the dense run of the same seed",
            lambda row, task=task, decimals=decimals: cells.task_cell(  # type: ignore[misc]
                row, task, decimals, row is data.dense
            ),
            first_direction(spec),
        )
    tasks = [task.name for task in data.board.tasks]
    yield Column(
        "delta",
        group,
        "Δ_T",
        ("mean, %", f"95{text.THIN}% interval"),
        "Mean relative change of all metrics; below: its confidence interval over seeds",
        lambda row: cells.delta_cell(row, data.leads(row)),
    )
    yield Column(
        "worst",
        group,
        "Worst task",
        ("its Δ_T, %",),
        "The task that lost most",
        partial(cells.worst_cell, tasks=tasks),
    )
    yield Column(
        "delta_sum",
        group,
        "Sum",
        ("over metrics, %",),
        "Mean over tasks of the sum over metrics: the arithmetic of the papers' tables",
        cells.sum_cell,
        usual=False,
    )


def _sparsity(data: BoardRows) -> Iterator[Column]:
    key = data.board.key
    notes = (f"of {key.scope}", key.unit or "") if key.scope else ()
    yield Column(
        "sparsity",
        "Sparsity",
        "Achieved",
        notes,
        "Share removed. Bar: achieved; tick: asked; red and said so where a seed is outside the tolerance",
        cells.sparsity_cell,
    )
    yield Column(
        "natural",
        "Sparsity",
        "Natural",
        ("moved by", "settling"),
        "Found by the method itself",
        cells.natural_cell,
        usual=False,
    )
    yield Column(
        "groups", "Sparsity", "Groups", ("removed",), "Share of groups removed", cells.groups_cell, usual=False
    )


def _compaction(data: BoardRows) -> Iterator[Column]:
    size, speed = "Compression", "Speed-up"
    yield Column("parameters", size, "Params", ("dense ÷", "compact"), "Parameters, whole network", _parameters)
    yield Column("bytes", size, "Bytes", ("dense ÷", "compact"), "Size on disk", _bytes)
    yield Column("macs", speed, "MACs", ("after", "compaction"), "Multiply-adds, dense ÷ compact", _macs)
    yield Column("theoretical", speed, "Theory", ("FLOPs of", "kept inputs"), "The papers' FLOPs ratio", _theoretical)
    for device in data.devices():
        yield from _measured(data, device)
    help_text = "Greatest output difference between masked and compact network"
    yield Column("proof", "Proof", "Difference", ("float32", "float64"), help_text, cells.proof_cell, "ascending")


def _measured(data: BoardRows, device: str) -> Iterator[Column]:
    """Ratio and latency. Where nothing was measured, the legend says so and readers may still show the column."""
    name, there = cells.device_name(device), any(row.latencies(device) for row in data.shown)
    ratio = partial(cells.measured_cell, device=device)
    latency = partial(cells.latency_cell, device=device)
    notes, words = ("measured", "quartiles"), "Latency, dense ÷ compact, and its quartiles over rounds"
    yield Column(f"measured.{device}", "Speed-up", name, notes, words, ratio, usual=there)
    if there:
        words = "Latency of the compact network; below: of the dense one beside it"
        notes = ("compact", "dense")
        yield Column(f"latency.{device}", "Speed-up", f"{name} time", notes, words, latency, "ascending", usual=False)


def _cost() -> Iterator[Column]:
    yield Column("time", "Cost", "Time", ("training", "peak mem."), "Wall time of a run", cells.time_cell, "ascending")
    yield Column(
        "memory",
        "Cost",
        "Memory",
        ("peak",),
        "Peak memory of a run",
        cells.memory_cell,
        "ascending",
        usual=False,
    )
    yield Column(
        "samples",
        "Cost",
        "Samples",
        ("spent", "of allowed"),
        "Forward and backward",
        cells.samples_cell,
        "ascending",
        usual=False,
    )


def _parameters(row: Row) -> Cell:
    compact = row.compression(lambda part: part.compact_parameters)
    ratio = row.compression(lambda part: part.parameters)
    return cells.ratio_cell(row, ratio, text.amount(compact.mean) if compact else "")


def _bytes(row: Row) -> Cell:
    compact = row.compression(lambda part: part.compact_bytes)
    ratio = row.compression(lambda part: part.bytes)
    return cells.ratio_cell(row, ratio, text.size(compact.mean) if compact else "")


def _theoretical(row: Row) -> Cell:
    return cells.ratio_cell(row, row.speedup(lambda part: part.theoretical))


def _macs(row: Row) -> Cell:
    compact = row.speedup(lambda part: part.compact_macs)
    return cells.ratio_cell(row, row.speedup(lambda part: part.macs), text.amount(compact.mean) if compact else "")
