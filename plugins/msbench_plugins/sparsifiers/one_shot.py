"""One-shot pruning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Interval

from msbench.api import CriterionName, Sparsifier, Trainer
from msbench_plugins.sparsifiers.pruning import Init, Pruning, train_dense


@dataclass
class OneShot(Sparsifier):
    """Train dense, keep the groups that rank highest, fine-tune (Janowsky, 1989).

    criterion: what ranks groups.
    structured: whether whole groups are removed, or single weights.
    init: the weights that are pruned: trained dense, or the initial ones (pruning at initialisation, which is
        `sparse_training`).
    dense_share: share of the training allowance spent before pruning (`init=dense`).
    """

    name: ClassVar[str] = "one_shot"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "one_shot_magnitude": {"criterion": "magnitude"},
        "random": {"criterion": "random"},
    }
    paper: ClassVar[str] = "Janowsky. Pruning versus clipping in neural networks. Physical Review A 39, 1989"
    criterion: CriterionName = "magnitude"
    structured: bool = True
    init: Init = "dense"
    dense_share: Annotated[float, Interval(ge=0, lt=1)] = 0.5

    def plain_share(self) -> float:
        return self.dense_share if self.init == "dense" else 0.0

    def sparsify(self, trainer: Trainer) -> None:
        train_dense(trainer, self.init, self.dense_share)
        pruning = Pruning(trainer, self.criterion, self.structured)
        pruning.reach(pruning.target)
        trainer.train()
