"""Which records may be ranked together. Rows of different boards never meet in one table."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from pydantic_core import to_json

from msbench.board.reading.load import Run
from msbench.board.reading.machine import Machine
from msbench.board.text import words
from msbench.records.record import DatasetPart, ModelPart, Record, TaskPart

_SHARED: Final = ("tasks", "model", "training")
_JSON: Final = json.JSONEncoder(sort_keys=True)


@dataclass(frozen=True)
class BoardKey:
    """What all records of a board share. None: a run that stopped before it got that far does not say."""

    preset: str
    metric_version: int
    settings: str | None
    """What every run of a board shares: the data's fingerprint (not its place), tasks, model and training."""
    dataset: str | None
    tasks: str | None
    model: str | None
    scope: str | None
    unit: str | None
    allowance: int | None
    table: str | None
    """Digest of the latency table that a budget counts by; empty for other units."""

    @classmethod
    def of(cls, record: Record) -> BoardKey:
        """The key of one record. The data's fingerprint counts as part of the dataset."""
        dataset, model, budget, allowance = record.dataset, record.model, record.budget, record.allowance
        tasks = sorted([task.name, task.kind] for task in record.tasks)
        settings: dict[str, Any] = {name: record.config[name] for name in _SHARED if name in record.config}
        if record.meta_test is not None:
            settings["meta_test"] = [record.meta_test.mode, record.meta_test.task]
        if isinstance(data := record.config.get("data"), Mapping):
            settings["data"] = [data.get("name"), record.hashes.get("data")]
        return cls(
            preset=record.preset,
            metric_version=record.metric_version,
            settings=canonical(settings) if settings else None,
            dataset=canonical([dataset.name, dataset.params, record.hashes.get("data")]) if dataset else None,
            tasks=canonical(tasks) if tasks else None,
            model=canonical([model.name, model.backbone, model.head, model.params]) if model else None,
            scope=budget.scope if budget else None,
            unit=budget.unit if budget else None,
            allowance=allowance.samples if allowance else None,
            table=budget.table if budget else None,
        )

    @property
    def complete(self) -> bool:
        """Whether a finished run made it: every part that results bring is known."""
        return None not in (self.dataset, self.tasks, self.model, self.scope, self.unit, self.allowance)

    def fits(self, other: BoardKey) -> bool:
        """Whether the parts that both keys know are equal."""
        ours, theirs = vars(self).values(), vars(other).values()
        return all(a is None or b is None or a == b for a, b in zip(ours, theirs, strict=True))


@dataclass(frozen=True, eq=False)
class Board:
    """Runs that may be ranked together, and the dense controls they are measured against."""

    key: BoardKey
    runs: tuple[Run, ...]
    dense: tuple[Run, ...]

    @property
    def everything(self) -> tuple[Run, ...]:
        return (*self.dense, *self.runs)

    @cached_property
    def dataset(self) -> DatasetPart | None:
        return next((run.record.dataset for run in self.everything if run.record.dataset), None)

    @cached_property
    def model(self) -> ModelPart | None:
        return next((run.record.model for run in self.everything if run.record.model), None)

    @cached_property
    def tasks(self) -> Sequence[TaskPart]:
        return next((run.record.tasks for run in self.everything if run.record.tasks), ())

    @cached_property
    def slug(self) -> str:
        """A readable, unique and stable file name."""
        parts = [
            self.dataset and self.dataset.name,
            self.model and self.model.name,
            self.key.scope,
            self.key.unit,
        ]
        readable = re.sub(r"[^a-z0-9]+", "-", "-".join(part or "unknown" for part in parts).lower()).strip("-")
        return f"{readable[:80]}-{hashlib.sha256(canonical(astuple(self.key)).encode()).hexdigest()[:6]}"

    @cached_property
    def title(self) -> str:
        """Dataset and model, for headings."""
        dataset = self.dataset.name if self.dataset else "unknown dataset"
        return f"{dataset}, {self.model.name}" if self.model else dataset

    @property
    def description(self) -> str:
        """What sets this board apart from others of the same title, in words."""
        scope = f"{self.key.scope} {self.key.unit}" if self.key.scope else ""
        parts = [words(task.name for task in self.tasks), self._meta_test, scope, f"preset {self.key.preset}"]
        return " · ".join(part for part in parts if part)

    @property
    def _meta_test(self) -> str:
        found = next((run.record.meta_test for run in self.everything if run.record.meta_test), None)
        return f"meta-test {found.mode} {found.task or ''}".strip() if found else ""

    @cached_property
    def machines(self) -> dict[Machine, int]:
        """How many finished runs each machine made, most first."""
        counts = Counter(run.machine for run in self.everything if run.finished)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0].name)))

    @property
    def machine(self) -> Machine | None:
        """Whose timings this board shows: times of different hardware do not compare. None: nothing has finished."""
        return next(iter(self.machines), None)

    @property
    def newest(self) -> str:
        """When the newest record was made (ISO 8601)."""
        return max(run.record.created for run in self.everything)


def group(runs: Iterable[Run]) -> tuple[list[Board], list[Run]]:
    """Boards by title, and the runs that stopped too early to say which of several boards is theirs."""
    runs = list(runs)
    dense_ids = {run.record.delta.dense_run for run in runs if run.record.delta}
    controls = [run for run in runs if is_dense(run, dense_ids)]
    others = [run for run in runs if not is_dense(run, dense_ids)]

    # Complete keys make boards; the rest joins the only board that fits, or makes one where none does.
    members: dict[BoardKey, list[Run]] = {}
    unplaced: list[Run] = []
    keyed = [(BoardKey.of(run.record), run) for run in others]
    for key, run in sorted(keyed, key=lambda pair: not pair[0].complete):
        _place(run, key, members, unplaced)

    # A dense control belongs wherever it is referred to.
    dense: dict[BoardKey, list[Run]] = {key: [] for key in members}
    referring = {
        key: {run.record.delta.dense_run for run in placed if run.record.delta} for key, placed in members.items()
    }
    for control in controls:
        users = [key for key, wanted in referring.items() if control.run_id in wanted]
        fitting = users or [key for key in members if key.fits(BoardKey.of(control.record))]
        for key in fitting or [BoardKey.of(control.record)]:
            members.setdefault(key, [])
            dense.setdefault(key, []).append(control)

    boards = [Board(key, tuple(placed), tuple(dense[key])) for key, placed in members.items()]
    return sorted(boards, key=lambda board: (board.title, board.slug)), unplaced


def is_dense(run: Run, dense_ids: Iterable[str]) -> bool:
    """Whether a run is a dense control: others refer to it, or it is the plugin called dense."""
    return run.run_id in dense_ids or run.record.sparsifier.base == "dense"


def canonical(value: Any) -> str:
    """JSON with sorted keys: equal values, equal text."""
    return _sorted(to_json(value, inf_nan_mode="constants", fallback=str))


@lru_cache(maxsize=4096)
def _sorted(text: bytes) -> str:
    """JSON with sorted keys. Records repeat few parts many times, and sorting costs five times what writing does."""
    return _JSON.encode(json.loads(text))


def _place(run: Run, own: BoardKey, members: dict[BoardKey, list[Run]], unplaced: list[Run]) -> None:
    fitting = [] if own.complete else [key for key in members if key.fits(own)]
    if not fitting:
        members.setdefault(own, []).append(run)
    elif len(fitting) == 1:
        members[fitting[0]].append(run)
    else:
        unplaced.append(run)
