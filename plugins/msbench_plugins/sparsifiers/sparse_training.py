"""Sparse training: a fixed mask from the first step on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from msbench.api import CriterionName, Sparsifier, Trainer
from msbench_plugins.sparsifiers.pruning import Init, Pruning, train_dense


@dataclass
class SparseTraining(Sparsifier):
    """Fix the mask before training, then train the sparse network from scratch.

    It asks what a sparsity pattern is worth without the weights that it was found with: `mask:RUN` trains the mask of
    a finished run from the initial weights. The magnitude mask of a trained network is therefore
    `sparse_training[criterion=mask:one_shot_magnitude]`; `criterion=magnitude` ranks the initial weights instead.

    criterion: what ranks groups.
    structured: whether whole groups are removed, or single weights.
    init: the weights that sparse training starts from: the initial ones, or trained dense (which is `one_shot`).
    dense_share: share of the training allowance spent before the mask is fixed (`init=dense`).
    """

    name: ClassVar[str] = "sparse_training"
    paper: ClassVar[str] = "Liu, Sun, Zhou, Huang and Darrell. Rethinking the value of network pruning. ICLR 2019"
    criterion: CriterionName = "random"
    structured: bool = True
    init: Init = "random"
    dense_share: Annotated[float, Interval(ge=0, lt=1)] = 0.5

    def plain_share(self) -> float:
        return self.dense_share if self.init == "dense" else 0.0

    def sparsify(self, trainer: Trainer) -> None:
        train_dense(trainer, self.init, self.dense_share)
        pruning = Pruning(trainer, self.criterion, self.structured)
        pruning.reach(pruning.target)
        trainer.train()

    def notes(self) -> list[str]:
        if self.criterion.startswith("mask"):
            return ["the training that found the mask is not counted in this run's allowance"]
        return []
