"""AdapMTL: a learned soft threshold for the backbone and for each head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from msbench.api import Sparsifier, Trainer, UserError
from msbench_plugins.sparsifiers.adapmtl_parts.learning import ThresholdLearning
from msbench_plugins.sparsifiers.adapmtl_parts.thresholds import SoftThresholds, ThresholdGroup, Unit
from msbench_plugins.sparsifiers.adapmtl_parts.weighting import AdaptiveWeights, size_ratio

WINDOW = 400
"""The paper's sliding window in steps (its Figure 6)."""


@dataclass
class AdapMTL(Sparsifier):
    """The network uses S(W, α) = sign(W) relu(|W| - α); weights W and thresholds α = sigmoid(θ) learn together.

    The loss is sum_t β_t L_t, with β_t from how steady a task's loss is (eq. 6). θ falls where the loss wants
    weights back and rises by its decay; it freezes when the target is met. Then the exact selection follows, each
    threshold keeping its share of the zeros, and fine-tuning with the mask held. Under a natural budget nothing stops
    θ: what is zero at the end of the sparse stage, when loss and decay balance, is the mask.

    The rows of the paper's Table 5, all on top of `lam=5 ratio=true` (its full method): `lam=1`, `window=2`,
    `threshold_group=single`, `threshold_group=two`.

    threshold_group: one θ for everything, for the backbone and for all heads, for the backbone and each head, or
        for each layer. Only layers in the budget's scope have one: with scope `backbone` the first three are one.
    beta: task weights by eq. 6, by the official code (not inverted: the restless task counts more), or by the run's
        own loss balancer (`none`).
    window: steps of the sliding window, at most a tenth of the run; 2 compares adjacent steps only.
    lam: the paper's λ, a factor on the whole loss. ratio: multiply it by |W_B| / sum_t |W_t| (parameter counts).
        AdamW does not feel such a factor, but θ does: its decay is weighed against the loss.
    unit: what α = 1 means. `threshold`: 100 root mean squares of the weights that θ covers, at the start; `layer`:
        of each layer; `paper`: 1. The three are the same for the paper's initialisation N(0, 0.01).
    theta_start: θ at the start; None takes one that zeroes at most 2 %.
    decay: of θ, in units of loss: θ rests where raising it by 1 would cost |θ| times this much.
    steer: under a budget, decay is multiplied by exp(steer) for each target's height that the sparsity lags behind a
        line which reaches the target after 0.8 of the sparse stage, and for a tenth of it all along; 0 holds decay.
    sparse_share: share of the allowance for thresholds; they freeze earlier where the target is met earlier.
    structured: thresholds on the root mean square of whole input channels instead of single weights.
    """

    name: ClassVar[str] = "adapmtl"
    finds_sparsity: ClassVar[bool] = True
    paper: ClassVar[str] = (
        "Xiang, Tang, Yang, Guan and Liu. AdapMTL: adaptive pruning framework for multitask learning model. "
        "ACM Multimedia 2024, arXiv 2408.03913"
    )
    threshold_group: ThresholdGroup = "component"
    beta: Literal["paper", "code", "none"] = "paper"
    window: Annotated[int, Ge(2)] = WINDOW
    lam: Annotated[float, Gt(0)] = 1.0
    ratio: bool = False
    unit: Unit = "threshold"
    theta_start: float | None = None
    decay: Annotated[float, Gt(0)] = 1e-3
    steer: Annotated[float, Ge(0)] = 10.0
    sparse_share: Annotated[float, Interval(gt=0, lt=1)] = 0.7
    structured: bool = False

    def __post_init__(self) -> None:
        if self.beta == "none" and (self.window, self.lam, self.ratio) != (WINDOW, 1.0, False):
            raise UserError("sparsifier.beta=none leaves the losses to the balancer: window, lam and ratio need a beta")

    def sparsify(self, trainer: Trainer) -> None:
        thresholds = SoftThresholds(trainer, self.threshold_group, self.unit, self.structured, self.theta_start)
        steps = trainer.steps(self.sparse_share)
        learning = ThresholdLearning(trainer, thresholds, steps, self.decay, self.steer)
        objective = self._objective(trainer)

        # W and θ learn together, until θ freezes at the target or the stage ends
        trainer.view, state = thresholds, (learning, objective)
        trainer.train(share=self.sparse_share, after_step=learning.step, objective=objective, state=state)
        learning.settle()

        # Fine-tuning, mask held
        trainer.train(objective=objective, state=objective)

    def _objective(self, trainer: Trainer) -> AdaptiveWeights | None:
        if self.beta == "none":
            return None
        scale = self.lam * (size_ratio(trainer) if self.ratio else 1.0)
        return AdaptiveWeights(self.beta, self.window, scale, trainer)

    def notes(self) -> list[str]:
        notes = [
            "θ has Adam with coupled decay as in the official code, but the weights have the suite's AdamW: in that "
            "code the coupled decay of the weights themselves makes most of the sparsity",
            "exact selection and a frozen mask follow when θ stops; the official code goes on without either",
        ]
        if self.steer:
            notes.append("under a budget, the decay of θ is steered towards the target (official code: constant)")
        if self.beta == "paper":
            notes.append("task weights by eq. 6, which the official code does not invert; normalised to their number")
        elif self.beta == "code":
            notes.append("task weights as in the official code, the inverse of the paper's eq. 6")
        if self.structured:
            notes.append("thresholds on whole input channels: not in the paper")
        return notes
