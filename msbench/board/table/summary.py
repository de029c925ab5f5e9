"""A board in words: what is compared, under which budget, on what; and what must be said loudly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msbench.board import text
from msbench.board.comparison.grouping import Board
from msbench.board.comparison.ranking import BoardRows
from msbench.board.reading.load import Run


def lead(data: BoardRows) -> str:
    """One sentence: what is compared."""
    board = data.board
    methods = text.plural(len({row.sparsifier.name for row in data.rows}), "sparsifier")
    tasks = text.words(task.name for task in board.tasks)
    network = f"one network ({board.model.name})" if board.model else "one network"
    learning = f" that learns {tasks}" if tasks else ""
    source = f" from {board.dataset.name}" if board.dataset else ""
    return (
        f"{methods} on {network}{learning}{source}: which keeps the most quality, "
        "and how fast is the network that is left?"
    )


def budget_words(data: BoardRows) -> str:
    """The budget, in words."""
    key = data.board.key
    budgets = [row.budget for row in data.rows if row.budget]
    parts = []
    if any(budget.mode == "matched" for budget in budgets):
        names = sorted({row.sparsifier.name for row in data.rows if row.reference}) or ["the reference"]
        parts.append(f"as many {key.scope} {_unit(key.unit)} removed as by {text.words(names)} with the same seed")
    shares = sorted({budget.asked for budget in budgets if budget.mode == "share" and budget.asked is not None})
    if shares:
        listed = text.words(text.level(share) for share in shares)
        parts.append(f"{listed} of the {key.scope}'s {_unit(key.unit)} removed")
    if any(row.target.natural for row in data.rows):
        parts.append("a sparsity of the method's own choice")
    words = "; or ".join(parts)
    tolerances = sorted({budget.tolerance for budget in budgets if budget.asked is not None})
    if tolerances:
        words += f", within {text.words(f'{text.number(100 * t, 1)}' for t in tolerances)} percentage points"
    if key.allowance:
        samples = f"at most {text.count(key.allowance)} training samples, forward and backward"
        words = f"{words}; {samples}" if words else samples
    return f"{words[:1].upper()}{words[1:]}." if words else "Not known: no run got that far."


def facts(data: BoardRows) -> list[tuple[str, str]]:
    """Terms and their descriptions for the head of the page."""
    board = data.board
    found = [("Budget", budget_words(data))]
    if dataset := board.dataset:
        parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
        sizes = ", ".join(f"{text.count(number)} {part}" for part, number in parts.items())
        shape = "×".join(map(str, dataset.image))
        found.append(("Dataset", f"{dataset.name}: {sizes}; images {shape}{_params(dataset.params)}"))
    if model := board.model:
        size = text.amount(model.parameters)
        found.append(
            (
                "Network",
                f"{model.backbone} backbone, {model.head} heads, {size} parameters{_params(model.params)}",
            )
        )
    if board.tasks:
        found.append(("Tasks", ", ".join(_task_words(task.name, task.kind) for task in board.tasks)))
    numbers = {run.record.seed for run in board.everything}
    found.append(("Seeds", f"{text.seeds(numbers)} ({len(numbers)})"))
    if board.machines:
        found.append(("Machine" if len(board.machines) == 1 else "Machines", _machines(board)))
    found.append(("Preset", board.key.preset))
    found.append(("Newest run", text.moment(board.newest)))
    return found


def warnings(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """What a reader must know before any number: smoke runs and synthetic data."""
    runs = list(runs)
    found = []
    if any(run.record.preset == "smoke" for run in runs):
        found.append(("Smoke run", "A few seconds of training, to test the software. The numbers mean nothing."))
    synthetic = {run.record.dataset.name for run in runs if run.record.dataset and run.record.dataset.synthetic}
    if synthetic:
        names = text.words(sorted(synthetic))
        found.append(("Synthetic data", f"{names}: rendered pictures; no claim about real ones."))
    return found


def _machines(board: Board) -> str:
    """Who made the runs, and whose timings are shown."""
    (first, count), *others = board.machines.items()
    if not others:
        return first.name
    more = ", ".join(f"{machine.name} ({text.count(number)})" for machine, number in others)
    runs = text.plural(count, "run")
    return f"{first.name} ({runs}), {more}; speed-ups, latencies and training times are of the {first.name} alone"


def _unit(unit: str | None) -> str:
    names = {"macs": "multiply-adds", "latency": "milliseconds of predicted latency"}
    return names.get(unit or "", "parameters")


def _task_words(name: str, kind: str) -> str:
    return name if name == kind else f"{name} ({kind})"


def _params(params: Mapping[str, object]) -> str:
    pairs = [f"{key}={value}" for key, value in _scalars(params)]
    return f"; {', '.join(pairs)}" if pairs else ""


def _scalars(params: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Parameters as typed on a command line, but for empty ones; names of parts are told elsewhere."""
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, prefix if key == "params" else f"{prefix}{key}.")
        elif key != "name" and value not in ("", None):
            yield f"{prefix}{key}", value
