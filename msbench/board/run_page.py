"""What the page of one run shows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from msbench.board import text
from msbench.board.columns import constant_note
from msbench.board.curves import Panel, panels
from msbench.board.grouping import Board
from msbench.board.load import Run
from msbench.board.rows import relative_change
from msbench.runs.record import MetricValue, Record

LOG_LINES: Final = 120
"""Lines of the log's end that a page shows."""
_LOG_BYTES: Final = 64 * 1024
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""Terminal colours and other control characters."""


@dataclass(frozen=True)
class MetricLine:
    """One metric of a task in a run."""

    label: str
    arrow: str
    unit: str
    test: str
    validation: str
    constant: str
    change: str
    in_delta: bool


@dataclass(frozen=True)
class Layer:
    """Input channels of one layer. `sparsity` is the share of its weights removed."""

    name: str
    kept: int | None
    total: int | None
    sparsity: float

    @property
    def collapsed(self) -> bool:
        """Whether nothing of the layer is left."""
        return self.kept == 0 or self.sparsity >= 1.0


@dataclass(frozen=True, eq=False)
class RunPage:
    """One run with its board and the dense run that it is measured against."""

    run: Run
    board: Board | None
    board_href: str
    dense: Run | None

    @property
    def record(self) -> Record:
        return self.run.record

    @property
    def metrics(self) -> dict[str, list[MetricLine]]:
        """Every metric by task: tasks and metrics that only one of test and validation has, too."""
        names = {task: dict.fromkeys(self._specs(task)) for task in self._tasks()}
        return {task: [self._metric(task, name) for name in known] for task, known in names.items()}

    @property
    def layers(self) -> list[Layer]:
        """Layers in the record's order, which is the network's."""
        sparsity = self.record.sparsity
        if sparsity is None:
            return []
        counts = {name: sparsity.channels.get(name) for name in {**sparsity.per_layer, **sparsity.channels}}
        return [
            Layer(
                name,
                kept_all[0] if kept_all else None,
                kept_all[1] if kept_all else None,
                sparsity.per_layer.get(name, 1 - kept_all[0] / kept_all[1] if kept_all and kept_all[1] else 0.0),
            )
            for name, kept_all in counts.items()
        ]

    @property
    def proof_rows(self) -> list[list[str]]:
        """Greatest difference of each task, by dtype in the order of the proof's own."""
        proof = self.record.proof
        if proof is None:
            return []
        return [
            [task, *(text.scientific(by[kind]) if kind in by else text.GAP for kind in proof.max_abs_diff)]
            for task, by in proof.per_task.items()
        ]

    @cached_property
    def curves(self) -> tuple[list[Panel], str]:
        """Training curves, or why there are none."""
        path = self.run.folder / "history.parquet"
        if not path.is_file():
            return [], "This run left no history."
        try:
            return panels(path), ""
        except (OSError, ValueError, TypeError, KeyError) as error:
            return [], f"history.parquet cannot be read: {type(error).__name__}: {error}"

    @property
    def has_samples(self) -> bool:
        return (self.run.folder / "samples.png").is_file()

    @property
    def configuration(self) -> str:
        """The resolved configuration: the run's own file, or what its record holds."""
        path = self.run.folder / "config.yaml"
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")
        return json.dumps(self.record.config, indent=2, sort_keys=True) if self.record.config else ""

    @property
    def log_tail(self) -> str:
        """The last lines of the log, free of control characters."""
        path = self.run.folder / "log.txt"
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
        return "\n".join(_CONTROL.sub("", line) for line in lines[-LOG_LINES:])

    @property
    def environment(self) -> list[tuple[str, str]]:
        """The environment as dotted keys and values."""
        return list(_flatten(self.record.environment))

    def _tasks(self) -> Sequence[str]:
        named = [task.name for task in self.record.tasks]
        return list(dict.fromkeys([*named, *self.record.metrics, *self.record.validation]))

    def _specs(self, task: str) -> Mapping[str, MetricValue]:
        return {**self.record.validation.get(task, {}), **self.record.metrics.get(task, {})}

    def _metric(self, task: str, name: str) -> MetricLine:
        spec = self._specs(task)[name]
        test = self.record.metrics.get(task, {}).get(name)
        validation = self.record.validation.get(task, {}).get(name)
        known = [value.value for value in (test, validation) if value]
        decimals = text.decimals_for(known)
        change = relative_change(self.run, self.dense, task, name) if self.dense is not self.run else None
        return MetricLine(
            label=spec.label,
            arrow="↑" if spec.better == "higher" else "↓",
            unit=spec.unit,
            test=text.number(test.value, decimals) if test else text.GAP,
            validation=text.number(validation.value, decimals) if validation else text.GAP,
            constant=constant_note(spec, decimals) or text.GAP,
            change=f"{text.signed(change)}{text.THIN}%" if change is not None else text.GAP,
            in_delta=spec.in_delta,
        )


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flatten(item, f"{prefix}.{key}" if prefix else key)]
    return [(prefix, ", ".join(map(str, value)) if isinstance(value, list) else str(value))]
