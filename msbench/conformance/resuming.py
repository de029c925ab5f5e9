"""Checkpoints of a run on the toy problem, in memory: of every step, and as they would be had it been killed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msbench.training.state import State


@dataclass
class EveryStep:
    """Keeps the state after every step and at every stage's end.

    kept: what `load` finds. made: every state that was to be kept, in order: its name and itself. notes: what was said.
    """

    kept: dict[str, State] = field(default_factory=dict)
    made: list[tuple[str, State]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def due(self) -> bool:
        return True

    def worth(self, seconds: float) -> bool:
        return True

    def load(self, name: str) -> State | None:
        return self.kept.get(name)

    def save(self, name: str, state: State) -> bool:
        self.made.append((name, state))
        self.kept[name] = state
        return True

    def drop(self, name: str) -> None:
        self.kept.pop(name, None)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def killed_after(self, number: int) -> EveryStep:
        """What a process leaves that was killed when it had kept so many states."""
        return EveryStep(dict(self.made[:number]))


def place(state: State) -> str:
    """Where in a run a state is."""
    facts: Mapping[str, int] = state.facts["stage"]
    return f"stage {facts['number']}, step {state.facts['done']} of {facts['of']}"
