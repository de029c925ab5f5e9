"""The meta-learning control: episodes as in meta-sparsity, nothing removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from msbench.api import MetaTraining, Sparsifier, Trainer


@dataclass
class MtlMeta(Sparsifier):
    """A meta-learned initialisation, then multi-task training: meta-sparsity with λ = 0 (its paper's `MTL + meta`).

    What sparsity does in meta-sparsity is the difference from this, not from plain multi-task training.

    order: of the outer gradient; `fomaml` and `anil` first, `maml` second, `reptile` without a query gradient.
    inner_steps, inner_lr: κ and α_in. meta_batch: episodes drawn an outer step.
    episodes: drawn from the `power_set` of tasks or from the `pairs` (two and more tasks), or `all` of it each step.
    meta_share: share of the allowance for meta-training; the rest is multi-task training.
    """

    name: ClassVar[str] = "mtl_meta"
    sparse: ClassVar[bool] = False
    paper: ClassVar[str] = (
        "Upadhyay, Chhipa, Phlypo, Saini and Liwicki. Multi-task meta learning: learn how to adapt to unseen tasks."
        " arXiv 2210.06989"
    )
    order: Literal["fomaml", "maml", "anil", "reptile"] = "fomaml"
    inner_steps: Annotated[int, Ge(1)] = 1
    inner_lr: Annotated[float, Gt(0)] = 1e-2
    meta_batch: Annotated[int, Ge(1)] = 1
    episodes: Literal["power_set", "pairs", "all"] = "power_set"
    meta_share: Annotated[float, Interval(gt=0, lt=1)] = 0.5

    def __post_init__(self) -> None:
        self._meta_training()

    def _meta_training(self) -> MetaTraining:
        return MetaTraining(self.inner_steps, self.inner_lr, self.meta_batch, self.order, self.episodes)

    def sparsify(self, trainer: Trainer) -> None:
        trainer.meta_train(self._meta_training(), share=self.meta_share)
        trainer.restart_optimizer()
        trainer.train()

    def notes(self) -> list[str]:
        return [
            "episodes and first-order outer steps as in meta_sparsity; the published code (MTML) never resets the"
            " weights between task combinations, and takes its query losses at the last of them"
            if self.order == "fomaml"
            else f"episodes as in meta_sparsity, outer gradient by {self.order}",
            "support and query batches come from the training part",
        ]
