"""Lottery tickets and iterative magnitude pruning: the same rounds, with and without rewinding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from msbench.api import Sparsifier, Step, Trainer, UserError
from msbench_plugins.sparsifiers.iterative import round_sparsity
from msbench_plugins.sparsifiers.pruning import Pruning


@dataclass
class LotteryTicket(Sparsifier):
    """Train, prune by magnitude, put the survivors back to their early weights, and again (Frankle and Carbin, 2019).

    Every round keeps the same share of what is left, density^(1/n), so that the last one lands on the target. With n
    rounds the network is trained n + 1 times, each for an equal part of the allowance and with a learning rate
    schedule of its own. What is removed stays removed.

    rounds: n. The papers take as many as remove 20 % each (n = 11 for 90 %), each trained to the end; within one
        allowance few rounds that train are worth more than many that do not. 1 prunes in one shot.
    rewind_share: the survivors go back to the weights after this share of the first training, 0 to the initial ones.
    structured: whether whole groups are removed, by their root mean square, or single weights.
    """

    name: ClassVar[str] = "lottery_ticket"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "lottery_ticket": {"rewind_share": 0.0},
        "lottery_ticket_rewind": {"rewind_share": 0.02},
    }
    paper: ClassVar[str] = (
        "Frankle and Carbin. The lottery ticket hypothesis: Finding sparse, trainable neural networks. ICLR 2019; "
        "Frankle, Dziugaite, Roy and Carbin. Linear mode connectivity and the lottery ticket hypothesis. ICML 2020"
    )
    rounds: Annotated[int, Ge(1)] = 3
    rewind_share: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    structured: bool = False

    def sparsify(self, trainer: Trainer) -> None:
        steps = steps_a_round(trainer, self.rounds)
        rewind_at = min(steps, max(1, round(self.rewind_share * steps))) if self.rewind_share else 0
        early = trainer.snapshot()

        def remember(step: Step) -> None:
            if step.index + 1 == rewind_at:
                early.load_state_dict(trainer.snapshot().state_dict())

        trainer.train(steps=steps, schedule="stage", after_step=remember if rewind_at else None, state=early)
        pruning = Pruning(trainer, "magnitude", self.structured)
        for k in range(1, self.rounds + 1):
            pruning.reach(round_sparsity(k, self.rounds, pruning.target))
            trainer.restore(early)
            trainer.train(steps=steps if k < self.rounds else None, schedule="stage")

    def notes(self) -> list[str]:
        notes = [f"{self.rounds + 1} trainings share the allowance, each with a learning rate schedule of its own"]
        if self.rewind_share:
            notes.append("after rewinding the schedule starts afresh, warm-up included; Frankle et al. resume it")
        return notes


@dataclass
class Imp(Sparsifier):
    """Iterative magnitude pruning: the rounds of the lottery ticket, but training goes on from the pruned weights.

    rounds: n; the network is trained n + 1 times, each for an equal part of the allowance.
    schedule: of the learning rate. `stage` starts it afresh in each round (Renda et al., 2020); `run` is one schedule
        over all rounds, so that later rounds fine-tune at a falling rate (Han et al., 2015).
    structured: whether whole groups are removed, by their root mean square, or single weights.
    """

    name: ClassVar[str] = "imp"
    paper: ClassVar[str] = (
        "Han, Pool, Tran and Dally. Learning both weights and connections for efficient neural networks. NeurIPS 2015; "
        "Renda, Frankle and Carbin. Comparing rewinding and fine-tuning in neural network pruning. ICLR 2020"
    )
    rounds: Annotated[int, Ge(1)] = 3
    schedule: Literal["stage", "run"] = "stage"
    structured: bool = False

    def sparsify(self, trainer: Trainer) -> None:
        steps = steps_a_round(trainer, self.rounds)
        trainer.train(steps=steps, schedule=self.schedule)
        pruning = Pruning(trainer, "magnitude", self.structured)
        for k in range(1, self.rounds + 1):
            pruning.reach(round_sparsity(k, self.rounds, pruning.target))
            trainer.train(steps=steps if k < self.rounds else None, schedule=self.schedule)

    def notes(self) -> list[str]:
        schedule = "a learning rate schedule of its own" if self.schedule == "stage" else "one learning rate schedule"
        return [f"{self.rounds + 1} trainings share the allowance, with {schedule}; weights are never rewound"]


def steps_a_round(trainer: Trainer, rounds: int) -> int:
    """Steps of each training but the last, which has what is left; UserError where the allowance is too small."""
    steps = trainer.steps() // (rounds + 1)
    if steps == 0:
        raise UserError(f"rounds={rounds}: {rounds + 1} trainings do not fit into {trainer.steps()} steps")
    return steps
