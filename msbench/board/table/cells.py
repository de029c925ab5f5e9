"""Cells of the main table: one function a column, from a row to what is printed, sorted by and hovered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from msbench.board import text
from msbench.board.comparison.rows import Row, status_of
from msbench.board.reading.load import Run
from msbench.board.statistics import Interval, Summary, summarize
from msbench.records.record import LatencyPart, TaskPart

Tone = Literal["", "good", "bad", "warn", "muted"]


@dataclass(frozen=True)
class Cell:
    """`main` with `spread` beside it, `sub` below. `tone` colours one of them; the text says the same.

    sort: what sorting goes by; None sorts last. bar: achieved share and the tick (asked share).
    """

    main: str
    spread: str = ""
    sub: str = ""
    sort: float | str | None = None
    tone: Tone = ""
    toned: Literal["sub", "main"] = "sub"
    title: str = ""
    bar: tuple[float, float | None] | None = None
    strong: bool = False
    """Set in bold: only what leads every other row with an interval that overlaps none."""


def absent(why: str) -> Cell:
    """A declared gap; the reason is its title."""
    return Cell(text.GAP, tone="muted", toned="main", title=why)


def mean_cell(summary: Summary | None, decimals: int, *, signed: bool = False, suffix: str = "") -> Cell:
    """Mean and sample standard deviation."""
    if summary is None:
        return absent("no value")
    main = text.signed(summary.mean, decimals) if signed else text.number(summary.mean, decimals)
    spread = f"±{text.number(summary.sd, decimals)}" if summary.sd is not None else ""
    return Cell(main + suffix, spread, sort=summary.mean)


def rank_cell(rank: tuple[int, int] | None, dense: bool, leads: bool = False) -> Cell:
    """Rank range, sorted by its better end."""
    if rank is None:
        return absent("the dense control is not ranked" if dense else "not ranked")
    low, high = rank
    return Cell(str(low) if low == high else f"{low}{text.GAP}{high}", sort=low + high / 1000, strong=leads)


def interval_text(interval: Interval | None, decimals: int) -> str:
    """An interval in brackets, signed; empty without one."""
    if interval is None:
        return ""
    return f"[{text.signed(interval.low, decimals)}, {text.signed(interval.high, decimals)}]"


def change_cell(row: Row, task: str, metric: str, decimals: int, dense: bool) -> Cell:
    """A metric; below it the change against dense in percent with its interval, positive when better."""
    cell = mean_cell(row.metric(task, metric), decimals)
    change = None if dense else row.change(task, metric)
    if change is None:
        return cell
    interval = interval_text(change.interval, 1)
    return replace(cell, sub=f"{text.signed(change.mean)}{text.THIN}% {interval}".rstrip(), title=_made(change))


def task_cell(row: Row, task: TaskPart, decimals: int, dense: bool) -> Cell:
    """Headline metric; below it the change against dense with its spread over seeds, positive when better."""
    cell = mean_cell(row.metric(task.name, task.headline), decimals)
    change = None if dense else row.change(task.name, task.headline)
    if change is None:
        return cell
    spread = f" ±{text.number(change.sd, 1)}" if change.sd is not None else ""
    return replace(cell, sub=f"{text.signed(change.mean)}{spread}{text.THIN}%")


def delta_cell(row: Row, leads: bool = False) -> Cell:
    """Mean Δ_T; below it its interval. The sum is in the title."""
    delta = row.delta_mean
    cell = mean_cell(delta, 2, signed=True)
    if delta is None:
        return cell
    total = row.summary(lambda run: run.record.delta.sum if run.record.delta else None)
    said = [_made(delta), f"sum over metrics {text.signed(total.mean, 2)}" if total else ""]
    sub = interval_text(delta.interval, 2) or text.plural(delta.n, "seed")
    return replace(cell, sub=sub, title="; ".join(filter(None, said)), strong=leads)


def _made(summary: Summary) -> str:
    """How the interval of a summary was made, in words."""
    interval = summary.interval
    if interval is None:
        return f"{text.plural(summary.n, 'seed')}: too few for an interval"
    made = {"t": "Student’s t", "bootstrap": "bootstrap"}[interval.method]
    return f"95{text.THIN}% interval of the mean over {summary.n} seeds, {made}"


def worst_cell(row: Row, tasks: Iterable[str]) -> Cell:
    """The task with the lowest Δ_T over the seeds."""
    deltas = {task: found.mean for task in tasks if (found := row.task_delta(task))}
    if not deltas:
        return absent("no Δ_T")
    worst = min(deltas, key=lambda task: deltas[task])
    return Cell(text.signed(deltas[worst], 2), sub=worst, sort=deltas[worst])


def sparsity_cell(row: Row) -> Cell:
    """Achieved against asked, with a bar; marked in words and colour when a seed is outside tolerance."""
    achieved, budget = row.achieved, row.budget
    if achieved is None or budget is None:
        return absent("no sparsity recorded")
    asked = row.summary(lambda run: run.record.budget.asked if run.record.budget else None)
    missed = any(run.record.budget and run.record.budget.met is False for run in row.finished)
    sub = f"asked {text.percent(asked.mean)}" if asked else "sets the target" if row.reference else "none asked"
    return Cell(
        text.percent(achieved.mean),
        f"±{text.number(100 * achieved.sd, 1)}" if achieved.sd is not None and achieved.sd >= 0.0005 else "",
        f"{sub}: missed" if missed else sub,
        sort=achieved.mean,
        tone="bad" if missed else "",
        title=f"tolerance ±{text.number(100 * budget.tolerance, 1)} percentage points",
        bar=(achieved.mean, asked.mean if asked else None),
    )


def sum_cell(row: Row) -> Cell:
    """Δ_T by the arithmetic of the papers' tables."""
    return mean_cell(row.summary(lambda run: run.record.delta.sum if run.record.delta else None), 2, signed=True)


def groups_cell(row: Row) -> Cell:
    """Share of groups that were removed."""
    share = row.summary(lambda run: run.record.sparsity.groups if run.record.sparsity else None)
    return Cell(text.percent(share.mean), sort=share.mean) if share else absent("no sparsity recorded")


def natural_cell(row: Row) -> Cell:
    """What the method had found by itself, and how far settling moved it."""
    natural = row.summary(lambda run: run.record.budget.natural if run.record.budget else None)
    if natural is None:
        return absent("the method has no level of its own")
    moved = row.summary(lambda run: run.record.budget.settled_by if run.record.budget else None)
    return Cell(text.percent(natural.mean), sub=text.points(moved.mean) if moved else "", sort=natural.mean)


def withheld(row: Row) -> Cell | None:
    """What stands in for compression and speed-up where the proof does not hold; None where it does."""
    if row.proven:
        return None
    proofs = [run.record.proof for run in row.finished]
    if not any(proofs):
        return absent("nothing was compacted")
    reasons = sorted({proof.reason for proof in proofs if proof and proof.reason})
    why = "; ".join(reasons) or "the compact network was not shown equal to the masked one"
    return Cell("withheld", sub="not proven", tone="bad", title=why)


def ratio_cell(row: Row, ratio: Summary | None, sub: str = "") -> Cell:
    """A ratio dense to compact, mean over seeds; only where it is proven."""
    if hidden := withheld(row):
        return hidden
    return Cell(text.times(ratio.mean), sub=sub, sort=ratio.mean) if ratio else absent("not recorded")


def measured_cell(row: Row, device: str) -> Cell:
    """Measured speed-up with quartiles; a device that was not there is named as a gap."""
    if hidden := withheld(row):
        return hidden
    parts, ratio = row.latencies(device), row.measured(device)
    if ratio is None:
        if elsewhere := set_ups(row.finished, device):
            return Cell("other", sub="machine", tone="muted", toned="main", title="; ".join(elsewhere))
        return Cell(f"no {device_name(device)}", sub="not measured", tone="muted", toned="main")
    low = sum(part.q25 for part in parts) / len(parts)
    high = sum(part.q75 for part in parts) / len(parts)
    noisy = "\nnoisy" if any(part.noisy for part in parts) else ""
    return Cell(
        text.times(ratio.mean),
        sub=f"{text.number(low, 2)}{text.GAP}{text.number(high, 2)}{noisy}",
        sort=ratio.mean,
        tone="warn" if noisy else "",
        title="; ".join(set_ups(row.timed, device)),
    )


def latency_cell(row: Row, device: str) -> Cell:
    """Latency of the compact network, below it the dense one's, means over seeds; only where it is proven."""
    if hidden := withheld(row):
        return hidden
    compact = summarize(part.compact_s for part in row.latencies(device))
    dense = summarize(part.dense_s for part in row.latencies(device))
    if compact is None or dense is None:
        return absent("not measured")
    words = "; ".join(set_ups(row.timed, device))
    return Cell(text.milliseconds(compact.mean), sub=text.milliseconds(dense.mean), sort=compact.mean, title=words)


def proof_cell(row: Row) -> Cell:
    """Greatest output difference between the masked and the compact network, over seeds."""
    greatest: dict[str, float] = {}
    for run in row.finished:
        for kind, value in (run.record.proof.max_abs_diff if run.record.proof else {}).items():
            greatest[kind] = max(value, greatest.get(kind, 0.0))
    if not greatest:
        return absent("nothing was compacted")
    main = greatest.get("float32", max(greatest.values()))
    sign, tone = ("=", "") if row.proven else ("≠", "bad")
    double = text.scientific(greatest["float64"]) if "float64" in greatest else ""
    return Cell(f"{sign}{text.THIN}{text.scientific(main)}", sub=double, sort=main, tone=tone, toned="main")  # type: ignore[arg-type]


def time_cell(row: Row) -> Cell:
    """Wall time and peak memory, mean over seeds."""
    time, memory = row.wall_time, _peak_memory(row)
    size = text.size(memory.mean) if memory else ""
    if time is None and memory is None:
        return absent("not recorded")
    if time is None:
        return Cell("other machine", sub=size, tone="muted", toned="main")
    return Cell(text.duration(time.mean), sub=size, sort=time.mean)


def memory_cell(row: Row) -> Cell:
    """Peak memory of a run, mean over seeds."""
    memory = _peak_memory(row)
    return Cell(text.size(memory.mean), sort=memory.mean) if memory else absent("not recorded")


def _peak_memory(row: Row) -> Summary | None:
    return row.summary(lambda run: run.record.cost.peak_memory if run.record.cost else None)


def samples_cell(row: Row) -> Cell:
    """Samples spent, and their share of the allowance."""
    spent = row.summary(lambda run: run.record.allowance.spent if run.record.allowance else None)
    allowed = row.summary(lambda run: run.record.allowance.samples if run.record.allowance else None)
    if spent is None or not allowed:
        return absent("not recorded")
    share = spent.mean / allowed.mean if allowed.mean else 0.0
    return Cell(
        text.amount(spent.mean), sub=text.percent(share, 0), sort=spent.mean, tone="bad" if share > 1 else "",
        title=f"{text.count(spent.mean)} of {text.count(allowed.mean)} samples",
    )  # fmt: skip


def status_cell(row: Row) -> Cell:
    """Status in words; why a row may not be ranked is its title (and is listed below the table)."""
    tone, words = status_of(row)
    return Cell(words, sort=words, tone=tone, toned="main", title="; ".join(row.objections))


def device_name(kind: str) -> str:
    """How a kind of device is written."""
    return {"cpu": "CPU", "cuda": "GPU"}.get(kind, kind)


def set_ups(runs: Iterable[Run], device: str) -> list[str]:
    """The different set-ups of these runs' measurements on a device, in words."""
    measured = [(run.record.speedup.measured.get(device), run.record) for run in runs if run.record.speedup]
    return sorted({set_up(part, record.environment) for part, record in measured if part})


def set_up(part: LatencyPart, environment: Mapping[str, Any]) -> str:
    """Where and how a latency was measured, in words; the environment knows the processor's name."""
    device = environment.get(part.device, part.device)
    shape = "×".join(map(str, part.size))
    return f"{device}, batch {part.batch} of {shape}, {part.dtype}, {text.plural(part.threads, 'thread')}"
