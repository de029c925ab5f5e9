"""The rule for sparsifiers whose process is killed."""

from __future__ import annotations

from typing import Final

from msbench.conformance.case import Inapplicable, RuleError
from msbench.conformance.resuming import EveryStep, place
from msbench.conformance.runs import SparsifierSubject

POINTS: Final = 3
"""Stages in the middle of which the run is killed, at most."""


def resumes(subject: SparsifierSubject) -> str:
    """Killed in the middle of a stage and started again, it ends with the same weights, mask and history, to the byte.

    A stage whose callbacks' state is not declared is trained again from its beginning, which is no fault.
    """
    whole = subject.run().digests()
    if subject.run(attempt=1).digests() != whole:
        raise Inapplicable("two runs of one seed differ, see `same_seed`")
    every = EveryStep()
    subject.resumed(every)
    found = []
    for number in _points(every):
        where = place(every.made[number - 1][1])
        again = subject.resumed(every.killed_after(number)).digests()
        differ = [name for name in whole if again[name] != whole[name]]
        if differ:
            raise RuleError(
                f"killed after {where}, it ends with other {', '.join(differ)}: declare everything that its callbacks "
                "keep from step to step, as trainer.train(..., state=...)"
            )
        found.append(where)
    return "; ".join([f"killed after {where}" for where in found] + every.notes)


def _points(every: EveryStep) -> list[int]:
    """How many states are kept when the process is killed: in the middle of the first, middle and last stage."""
    stages: dict[int, list[int]] = {}
    for number, (_, state) in enumerate(every.made, start=1):
        stages.setdefault(state.facts["stage"]["number"], []).append(number)
    middles = [numbers[(len(numbers) - 1) // 2] for numbers in stages.values()]
    if len(middles) <= POINTS:
        return middles
    return [middles[0], middles[len(middles) // 2], middles[-1]]


RESUMING: Final = (resumes,)
