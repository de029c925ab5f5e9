"""Meta-sparsity: λ meta-learned over episodes of task combinations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from msbench.api import MetaTraining, Sparsifier, Trainer
from msbench_plugins.sparsifiers.meta.direct import Direct
from msbench_plugins.sparsifiers.meta.saliency_share import SaliencyShare


@dataclass
class MetaSparsity(Sparsifier):
    """Algorithm 3 of the meta-sparsity paper (arXiv 2501.12115), then meta-testing with the mask held.

    Two ways to learn λ. `direct` is the paper's to the letter: λ = softplus(ρ), Euclidean proximal meta-update
    (eq. 8), ρ moved by the gradient of the penalty. That gradient has one sign, so λ only falls, and where the
    sparsity ends depends on λ's learning rate and start more than on the data. `saliency_share` (the default, since
    a matched budget hangs on its level) learns λ as the multiplier of a constraint instead: the groups that λ
    removes may hold at most the share φ of the query loss's sensitivity. λ acts as a threshold on dense latent
    weights in the normalised diagonal Fisher metric; it is not the paper's update.

    learn: how λ is learned.
    phi: share of the query saliency that the removed groups may hold (`saliency_share`).
    rho: start of ρ (`direct`); None draws it from U(0.1, 1) as in the paper.
    lr_lambda: learning rate of ρ relative to the weights' (`direct`); the papers' sparsity implies about 100.
    inner_steps, inner_lr: κ and α_in. meta_batch: episodes an outer step.
    meta_share: share of the allowance for meta-training; the rest is meta-testing.
    lambda_steps: outer steps after which λ and the mask are frozen (`saliency_share`), since the mask feeds back
        into the saliency in long runs.
    """

    name: ClassVar[str] = "meta_sparsity"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "meta_sparsity": {"learn": "saliency_share"},
        "meta_sparsity_direct": {"learn": "direct"},
    }
    finds_sparsity: ClassVar[bool] = True
    paper: ClassVar[str] = "Upadhyay, Phlypo, Saini and Liwicki. Meta-sparsity. arXiv 2501.12115"
    learn: Literal["saliency_share", "direct"] = "saliency_share"
    phi: Annotated[float, Interval(gt=0, lt=1)] = 0.02
    rho: float | None = None
    lr_lambda: Annotated[float, Ge(0)] = 100.0
    inner_steps: Annotated[int, Ge(1)] = 1
    inner_lr: Annotated[float, Gt(0)] = 1e-2
    meta_batch: Annotated[int, Ge(1)] = 1
    meta_share: Annotated[float, Interval(gt=0, lt=1)] = 0.5
    lambda_steps: Annotated[int, Ge(1)] = 1200

    def sparsify(self, trainer: Trainer) -> None:
        meta = MetaTraining(self.inner_steps, self.inner_lr, self.meta_batch)
        if self.learn == "direct":
            penalty: Direct | SaliencyShare = Direct(trainer, self.rho, self.lr_lambda)
        else:
            steps = trainer.steps(self.meta_share, samples_a_step=meta.samples_a_step(trainer.settings.batch))
            penalty = SaliencyShare(trainer, self.phi, min(steps, self.lambda_steps))
            trainer.view, meta.after_episode = penalty, penalty.observe
        meta.after_step = penalty.step

        # Meta-training: episodes, outer steps, λ
        trainer.meta_train(meta, share=self.meta_share)

        # The sparsity pattern is what meta-training leaves
        penalty.settle()

        # Meta-testing: all tasks, mask held
        trainer.train()

    def notes(self) -> list[str]:
        if self.learn == "direct":
            return ["λ learned directly, as published: its gradient has one sign, so the level is set by its step size"]
        return [
            "λ learned as the multiplier of a saliency-share constraint (φ), not by the paper's gradient",
            "support and query batches come from the training part; validation data only chooses checkpoints",
        ]
