"""The points of good pruning evaluation, each a function from a board to its judgement.

Sources: the checklist of Blalock, Gonzalez Ortiz, Frankle and Guttag, What is the State of Neural Network Pruning?
(MLSys 2020), appendix B; and msbench's own promises on budget, proof, seeds and controls.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from msbench.board.comparison.grouping import canonical
from msbench.board.comparison.points import Point, every, met, not_applicable, unless
from msbench.board.comparison.ranking import BoardRows, may_be_ranked
from msbench.board.comparison.rows import Row
from msbench.board.comparison.sweep import MIN_BUDGETS
from msbench.board.reading.load import Run
from msbench.board.statistics import MIN_SEEDS
from msbench.board.text import number, plural, words

_ENVIRONMENT: Final = ("python", "packages", "cpu")


def points(data: BoardRows) -> list[Point]:
    """Every point, in the order of an evaluation: set-up, budget, measurement, statistics, baselines, claims."""
    return [judge(data) for judge in POINTS]


def recorded(data: BoardRows) -> Point:
    """Dataset, network, training, library versions and hardware of every run that finished."""
    runs = _finished(data)
    bad = [
        run.run_id
        for run in runs
        if not (run.record.dataset and run.record.model and "training" in run.record.config)
        or any(not run.record.environment.get(key) for key in _ENVIRONMENT)
    ]
    return every("data, network, training, versions and hardware are recorded", "run", len(runs), bad, "lack some")


def same_start(data: BoardRows) -> Point:
    """The initial weights of every seed are the dense control's."""
    pairs = [(run, row.control(run)) for row in data.rows for run in row.finished]
    judged = [(run, dense) for run, dense in pairs if dense]
    bad = [run.run_id for run, dense in judged if _start(run) is None or _start(run) != _start(dense)]
    return every("same initial weights for each seed", "run", len(judged), bad, "started elsewhere")


def same_code(data: BoardRows) -> Point:
    """One version of the software made all finished runs."""
    title = "one version of the code and libraries"
    sources = Counter(run.record.hashes.get("host_sources", "not recorded") for run in _finished(data))
    libraries = {canonical(run.record.environment.get("packages", {})) for run in _finished(data)}
    if not sources:
        return not_applicable(title, "no run finished")
    split = words(str(count) for _, count in sources.most_common())
    why = f"runs by version of msbench's sources: {split}; sets of library versions: {len(libraries)}"
    return unless(len(sources) > 1 or len(libraries) > 1, title, why, plural(len(_finished(data)), "run"))


def same_allowance(data: BoardRows) -> Point:
    """No run spent more training samples than it was allowed."""
    runs = [run for run in _finished(data) if run.record.allowance]
    bad = [r.run_id for r in runs if r.record.allowance and r.record.allowance.spent > r.record.allowance.samples]
    allowed = data.board.key.allowance
    return every(f"at most {allowed or 'the allowed'} training samples", "run", len(runs), bad, "overspent")


def budget_met(data: BoardRows) -> Point:
    """Asked against achieved sparsity, within the stated tolerance."""
    every_run = [run for row in data.rows for run in row.finished]
    runs = [run for run in every_run if run.record.budget and run.record.budget.asked is not None]
    misses = {run.run_id: _miss(run) for run in runs}
    bad = [run.run_id for run in runs if run.record.budget and not run.record.budget.met]
    worst = f"outside tolerance (largest miss {number(100 * max(misses.values(), default=0.0), 2)} points)"
    return every("the asked sparsity is achieved", "run", len(runs), bad, worst)


def layers_known(data: BoardRows) -> Point:
    """Sparsity overall, per component and per layer; layers of which nothing is left are counted."""
    runs = [run for row in data.rows for run in row.finished]
    bad = [
        run.run_id
        for run in runs
        if not (run.record.sparsity and run.record.sparsity.per_layer and run.record.sparsity.per_component)
    ]
    found = every("sparsity per layer and component, collapsed layers counted", "run", len(runs), bad, "lack it")
    collapsed = sum(
        share >= 1.0 for run in runs if run.record.sparsity for share in run.record.sparsity.per_layer.values()
    )
    return met(found.title, f"{found.why}, {plural(collapsed, 'collapsed layer')}") if found.result == "met" else found


def proof(data: BoardRows) -> Point:
    """The compact network's outputs equal the masked one's."""
    runs = [run for row in data.rows for run in row.finished]
    bad = [run.run_id for run in runs if not (run.record.proof and run.record.proof.equal)]
    return every("the compact network is proven equal to the masked one", "run", len(runs), bad, "are not")


def size_and_speed(data: BoardRows) -> Point:
    """Compression ratio and theoretical speed-up side by side."""
    runs = _proven(data)
    bad = [run.run_id for run in runs if not (run.record.compression and run.record.speedup)]
    return every("both compression ratio and theoretical speed-up", "proven run", len(runs), bad, "lack one")


def measured(data: BoardRows) -> Point:
    """Speed-up measured on a quiet, named processor."""
    runs = _proven(data)
    bad = []
    for run in runs:
        parts = [part for part in (run.record.speedup.measured if run.record.speedup else {}).values() if part]
        if not parts or any(part.noisy or not part.device for part in parts):
            bad.append(run.run_id)
    return every(
        "speed-up is measured, hardware named, without noise", "proven run", len(runs), bad, "are not, or are noisy"
    )


def raw_metrics(data: BoardRows) -> Point:
    """Every task's own metrics, not relative scores alone; the same for every run."""
    runs = _finished(data)
    known = {(task, name) for task, metrics in data.specs.items() for name in metrics}
    bad = [
        run.run_id
        for run in runs
        if {(task, name) for task, metrics in run.record.metrics.items() for name in metrics} < known
    ]
    return every("all metrics of every task beside relative scores", "run", len(runs), bad, "lack some")


def seeds(data: BoardRows) -> Point:
    """Enough seeds for a spread and a rank."""
    rows = [row for row in data.rows if row.finished]
    bad = [f"{row.sparsifier.name} ({len(row.finished)})" for row in rows if len(row.finished) < MIN_SEEDS]
    return every(f"at least {MIN_SEEDS} seeds a row", "row", len(rows), bad, "have fewer")


def ranked(data: BoardRows) -> Point:
    """Rows that met the contract were comparable, and have rank ranges."""
    title = "rank ranges from comparable rows"
    rows = [row for row in data.rows if may_be_ranked(row)]
    if len(rows) < 2:
        return not_applicable(title, f"{plural(len(rows), 'row')} that may be ranked")
    if data.ranking.refusals:
        return Point(title, "not met", "; ".join(data.ranking.refusals))
    return unless(not data.ranks, title, "no two rows share a target", f"{len(data.ranks)} ranked rows")


def operating_points(data: BoardRows) -> Point:
    """Curves rather than points."""
    title = f"at least {MIN_BUDGETS} budgets a method"
    budgets: dict[str, set[str]] = defaultdict(set)
    for row in data.rows:
        if row.finished and row.target.rankable:
            sparsifier = row.sparsifier
            budgets[f"{sparsifier.name} {canonical(sparsifier.params)}"].add(row.target.label)
    bad = [f"{name.partition(' ')[0]} ({len(found)})" for name, found in budgets.items() if len(found) < MIN_BUDGETS]
    return every(title, "method", len(budgets), bad, "have fewer")


def dense_control(data: BoardRows) -> Point:
    """A dense network of the same seed beside every result, trained on as many samples as allowed."""
    runs = [run for row in data.rows for run in row.finished]
    dense = {run.run_id: run for run in data.board.dense}
    bad = []
    for run in runs:
        control = dense.get(run.record.delta.dense_run) if run.record.delta else None
        if not control or not _same_allowance(run, control):
            bad.append(run.run_id)
    return every("a dense control of the same seed and training", "run", len(runs), bad, "have none")


def random_baseline(data: BoardRows) -> Point:
    """Random selection at every target."""
    return _baseline(data, "random")


def magnitude_baseline(data: BoardRows) -> Point:
    """Magnitude selection at every target."""
    return _baseline(data, "magnitude")


def equal_trials(data: BoardRows) -> Point:
    """As many configurations tried of one method as of another."""
    title = "as many configurations of every method"
    tried: dict[str, set[str]] = defaultdict(set)
    for row in data.rows:
        tried[row.sparsifier.name].add(canonical(row.sparsifier.params))
    if len(tried) < 2:
        return not_applicable(title, f"{plural(len(tried), 'method')} on this board")
    most, least = max(map(len, tried.values())), min(map(len, tried.values()))
    named = words(sorted(name for name, found in tried.items() if len(found) == most))
    return unless(most != least, title, f"{most} of {named}, {least} of others", f"{most} each")


def failures_explained(data: BoardRows) -> Point:
    """Whatever did not end well says why."""
    runs = [run for run in data.board.everything if run.record.status != "ok"]
    bad = [run.run_id for run in runs if not run.record.reason]
    return every("runs that did not end well say why", "unsuccessful run", len(runs), bad, "give no reason")


POINTS: Final[tuple[Callable[[BoardRows], Point], ...]] = (
    recorded, same_start, same_code, same_allowance, budget_met, layers_known, proof, size_and_speed, measured,
    raw_metrics, seeds, ranked, operating_points, dense_control, random_baseline, magnitude_baseline, equal_trials,
    failures_explained,
)  # fmt: skip


def _finished(data: BoardRows) -> list[Run]:
    return [run for run in data.board.everything if run.finished]


def _proven(data: BoardRows) -> list[Run]:
    runs = (run for row in data.rows for run in row.finished)
    return [run for run in runs if run.record.proof and run.record.proof.equal]


def _start(run: Run) -> str | None:
    return run.record.hashes.get("initial_weights")


def _miss(run: Run) -> float:
    budget = run.record.budget
    if budget is None or budget.asked is None or budget.achieved is None:
        return 0.0
    return abs(budget.achieved - budget.asked)


def _same_allowance(run: Run, dense: Run) -> bool:
    ours, theirs = run.record.allowance, dense.record.allowance
    return bool(ours and theirs and ours.samples == theirs.samples)


def _baseline(data: BoardRows, criterion: str) -> Point:
    """Whether each target has a row whose criterion is this one, of the same family."""
    pools: dict[str, list[Row]] = defaultdict(list)
    for row in data.rows:
        if row.finished and row.target.rankable:
            pools[row.target.label].append(row)
    missing = [label for label, rows in pools.items() if not any(_selects(rows, criterion))]
    return every(f"a baseline that selects by {criterion}", "target", len(pools), missing, "have none")


def _selects(rows: Iterable[Row], criterion: str) -> Iterable[bool]:
    return (str(row.sparsifier.params.get("criterion", "")).partition("[")[0] == criterion for row in rows)
