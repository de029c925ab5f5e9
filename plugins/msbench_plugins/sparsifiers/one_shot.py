"""One-shot pruning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Interval

from msbench.api import CriterionName, Sparsifier, Trainer


@dataclass
class OneShot(Sparsifier):
    """Train dense, keep the groups that rank highest, fine-tune (Janowsky, 1989).

    criterion: what ranks groups.
    dense_share: share of the training allowance spent before pruning.
    """

    name: ClassVar[str] = "one_shot"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "one_shot_magnitude": {"criterion": "magnitude"},
        "random": {"criterion": "random"},
    }
    paper: ClassVar[str] = "Janowsky. Pruning versus clipping in neural networks. Physical Review A 39, 1989"
    criterion: CriterionName = "magnitude"
    dense_share: Annotated[float, Interval(ge=0, lt=1)] = 0.5

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=self.dense_share)
        trainer.apply_mask(trainer.budget.select(trainer.rank(self.criterion)))
        trainer.train()
