"""A clock that tests set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeClock:
    """Forwards advance it: `work(seconds)` takes `seconds / share` of wall time."""

    share: float = 1.0
    tasks: int | None = 1
    average: float | None = 0.0
    _wall: float = 0.0
    _cpu: float = 0.0

    def work(self, seconds: float) -> None:
        self._cpu += seconds
        self._wall += seconds / self.share

    def wall(self) -> float:
        return self._wall

    def cpu(self) -> float:
        return self._cpu

    def running(self) -> int | None:
        return self.tasks

    def __deepcopy__(self, memo: object) -> FakeClock:
        return self

    def load(self) -> float | None:
        return self.average
