"""History: every logged value, in long format."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from msbench.errors import DivergedError

Row = tuple[int, int, str, float]
"""Step, samples, name, value."""
LOSS = "loss/"
"""Start of the names of the tasks' training losses."""
MOST_WAITING = 4096
"""Values that may wait for their transfer: on a GPU each holds 512 bytes."""


@dataclass
class History:
    """Rows (step, samples, name, value). `step` counts optimizer steps over the whole run.

    deferred: values that are tensors stay where they are until somebody asks for the rows, and then come in one
    transfer: on a GPU each would wait for the device. Elsewhere there is nothing to wait for.
    """

    deferred: bool = False
    step: int = 0
    samples: int = 0
    _rows: list[Row] = field(default_factory=list)
    _waiting: list[tuple[int, Tensor]] = field(default_factory=list)
    _checked: int = 0

    @property
    def rows(self) -> list[Row]:
        """Every row, in the order in which it was logged."""
        if self._waiting:
            values = torch.stack([value.double() for _, value in self._waiting]).tolist()
            for (position, _), value in zip(self._waiting, values, strict=True):
                self._rows[position] = (*self._rows[position][:3], value)
            self._waiting.clear()
        return self._rows

    def advance(self, samples: int) -> None:
        """One optimizer step was taken; `samples` are spent in all."""
        self.step += 1
        self.samples = samples

    def add(self, name: str, value: float | Tensor) -> None:
        """Log one value, a tensor of one element where it is one, at the current step."""
        if self.deferred and isinstance(value, Tensor):
            self._waiting.append((len(self._rows), value.detach().reshape(())))
            value = math.nan
        self._rows.append((self.step, self.samples, name, float(value)))
        if len(self._waiting) >= MOST_WAITING:
            self.check()

    def check(self) -> None:
        """Raise DivergedError if a task's loss was infinite or not a number; it names the first."""
        rows = self.rows
        for _, samples, name, value in rows[self._checked :]:
            if name.startswith(LOSS) and not math.isfinite(value):
                task = name.removeprefix(LOSS)
                raise DivergedError(f"the loss of task {task!r} is {value} after {samples} samples")
        self._checked = len(rows)

    def latest(self) -> dict[str, float]:
        """The newest value of every name."""
        return {name: value for _, _, name, value in self.rows}

    def columns(self) -> tuple[dict[str, Tensor], list[str]]:
        """The rows as tensors `step`, `samples`, `name` and `value`, and the names that `name` counts."""
        rows = self.rows
        names = {name: number for number, name in enumerate(dict.fromkeys(name for _, _, name, _ in rows))}
        whole = torch.tensor([(step, samples, names[name]) for step, samples, name, _ in rows], dtype=torch.int64)
        step, samples, name = whole.view(-1, 3).T.contiguous()
        value = torch.tensor([value for *_, value in rows], dtype=torch.float64)
        return {"step": step, "samples": samples, "name": name, "value": value}, list(names)

    def restore(self, step: int, samples: int, columns: Mapping[str, Tensor], names: Sequence[str]) -> None:
        """Go on from an earlier history: its `step`, `samples` and `columns`."""
        each = (columns[key].tolist() for key in ("step", "samples", "name", "value"))
        self._rows = [(at, spent, names[number], value) for at, spent, number, value in zip(*each, strict=True)]
        self.step, self.samples = step, samples
        self._waiting, self._checked = [], 0

    def save(self, path: Path) -> None:
        """Write as parquet: step int64, samples int64, name string, value float64."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = self.rows
        steps, samples, names, values = zip(*rows, strict=True) if rows else ((), (), (), ())
        table = pa.table(
            {
                "step": pa.array(steps, pa.int64()),
                "samples": pa.array(samples, pa.int64()),
                "name": pa.array(names, pa.string()),
                "value": pa.array(values, pa.float64()),
            }
        )
        pq.write_table(table, path, compression="zstd")
