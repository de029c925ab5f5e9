"""Meta-sparsity: λ meta-learned over episodes of task combinations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from msbench.api import MetaTraining, Sparsifier, Trainer
from msbench_plugins.sparsifiers.meta.proximal import Proximal
from msbench_plugins.sparsifiers.meta.saliency_share import SaliencyShare

ONLY_FOR = {
    "phi": ("saliency_share",),
    "penalty": ("direct", "hyper", "none"),
    "prox_metric": ("direct", "hyper", "none"),
    "rho": ("direct", "hyper", "none"),
    "regrow_p": ("direct", "hyper", "none"),
    "lambda_per": ("direct", "hyper"),
    "lr_lambda": ("direct", "hyper"),
}
"""Options that act only where λ is learned in one of these ways."""

STEERS_NOTHING = "under a budget λ is not steered: settling removes or brings back what is missing, as recorded"
NOTES = {
    "saliency_share": [
        "λ learned as the multiplier of a saliency-share constraint (φ), not by the paper's gradient",
        "the mask is applied once, at the end of meta-training, on which the saliency is measured unmasked",
    ],
    "direct": [
        "λ learned directly, as published: its gradient has one sign, so the level is set by its step size",
        STEERS_NOTHING,
    ],
    "hyper": [
        "λ learned by the query loss's derivative through one proximal step; under batch-norm that is nearly zero,"
        " and Adam on ρ makes a random walk of it",
        STEERS_NOTHING,
    ],
    "none": ["λ is fixed, not learned: multi-task meta-training with a proximal step", STEERS_NOTHING],
}


@dataclass
class MetaSparsity(Sparsifier):
    """Algorithm 3 of the meta-sparsity paper (arXiv 2501.12115), then meta-testing with the mask held.

    Four ways to learn λ. `direct` is the paper's to the letter: λ = softplus(ρ), proximal meta-update (eq. 8), ρ moved
    by the gradient of the penalty. That gradient has one sign, so λ only falls, and where the sparsity ends depends
    on λ's learning rate and start more than on the data. `hyper` differentiates the query loss through the last
    proximal step instead; under batch-norm that derivative is nearly zero, so λ wanders. `none` holds λ.
    `saliency_share` (the default, since a matched budget hangs on its level) learns λ as the multiplier of a
    constraint: the groups that λ removes may hold at most the share φ of the network's sensitivity over the episodes.
    That is not the paper's update, but its level is the same from every seed. The named `meta_sparsity` also counts
    the support batch in the outer gradient (`order=reptile`), so that no sample only adapts a clone.

    learn: how λ is learned. An option that does not act in the chosen way is refused.
    phi: share of the network's sensitivity that the removed groups may hold (`saliency_share`).
    penalty: `group` removes input channels, `l1` single weights (all but `saliency_share`, as the next three).
    prox_metric: of the proximal step. `euclidean` is eq. 8, with λ about 1; `adaptive` is Adam's, with λ about 1e-3.
    rho: start of ρ; None draws it from U(0.1, 1) as in the paper, or takes -7 in Adam's metric.
    regrow_p: probability that a dead group (l1: weight) comes back with fresh weights, at the start of each episode.
    lambda_per: one λ for the `network`, or for each `stage` of the backbone (`direct`, `hyper`).
    lr_lambda: learning rate of ρ relative to the weights' (`direct`, `hyper`); the papers' sparsity implies about 100.
    order: of the outer gradient; `fomaml` and `anil` first, `maml` second, `reptile` without a query gradient.
    inner_steps, inner_lr: κ and α_in. meta_batch: episodes drawn an outer step.
    episodes: drawn from the `power_set` of tasks or from the `pairs` (two and more tasks), or `all` of it each step.
    meta_share: share of the allowance for meta-training; the rest is meta-testing.
    """

    name: ClassVar[str] = "meta_sparsity"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "meta_sparsity": {"learn": "saliency_share", "order": "reptile", "meta_share": 0.25},
        "meta_sparsity_direct": {"learn": "direct"},
        "meta_sparsity_hyper": {"learn": "hyper"},
    }
    finds_sparsity: ClassVar[bool] = True
    paper: ClassVar[str] = "Upadhyay, Phlypo, Saini and Liwicki. Meta-sparsity. arXiv 2501.12115"
    learn: Literal["saliency_share", "direct", "hyper", "none"] = "saliency_share"
    phi: Annotated[float, Interval(gt=0, lt=1)] = 0.4
    penalty: Literal["group", "l1"] = "group"
    prox_metric: Literal["euclidean", "adaptive"] = "euclidean"
    rho: float | None = None
    regrow_p: Annotated[float, Interval(ge=0, le=1)] = 0.0
    lambda_per: Literal["network", "stage"] = "network"
    lr_lambda: Annotated[float, Ge(0)] = 100.0
    order: Literal["fomaml", "maml", "anil", "reptile"] = "fomaml"
    inner_steps: Annotated[int, Ge(1)] = 1
    inner_lr: Annotated[float, Gt(0)] = 1e-2
    meta_batch: Annotated[int, Ge(1)] = 1
    episodes: Literal["power_set", "pairs", "all"] = "power_set"
    meta_share: Annotated[float, Interval(gt=0, lt=1)] = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value, ways = getattr(self, field.name), ONLY_FOR.get(field.name, (self.learn,))
            if value != field.default and self.learn not in ways:
                raise ValueError(f"{field.name}={value}: acts only with learn={' or '.join(ways)}, not {self.learn}")
        if self.order == "reptile" and self.learn == "hyper":
            raise ValueError("order=reptile: has no query gradient, from which learn=hyper learns λ")
        self._meta_training()

    def _meta_training(self) -> MetaTraining:
        return MetaTraining(self.inner_steps, self.inner_lr, self.meta_batch, self.order, self.episodes)

    def sparsify(self, trainer: Trainer) -> None:
        meta = self._meta_training()
        way: Proximal | SaliencyShare
        if self.learn == "saliency_share":
            way = SaliencyShare(trainer, self.phi)
        else:
            options = (self.penalty, self.prox_metric, self.lambda_per, self.rho, self.lr_lambda, self.regrow_p)
            way = Proximal(trainer, self.learn, *options)
            meta.before_episode = way.regrow
        meta.after_episode, meta.after_step, meta.state = way.observe, way.step, way

        # Meta-training: episodes, outer steps, λ
        trainer.meta_train(meta, share=self.meta_share)

        # The sparsity pattern is what meta-training leaves
        way.settle()

        # Meta-testing: all tasks, mask held, with an optimizer of its own
        trainer.restart_optimizer()
        trainer.train()

    def notes(self) -> list[str]:
        return [*NOTES[self.learn], *self._departures(), "support and query batches come from the training part"]

    def _departures(self) -> list[str]:
        found = {
            "proximal step in Adam's metric, which the papers' code has; its λ cannot be compared with eq. 8's": (
                self.prox_metric == "adaptive"
            ),
            "λ by stage of the backbone; the paper has one": self.lambda_per == "stage",
            "first-order ANIL: the inner loop adapts the heads only": self.order == "anil",
            "Reptile: the query batch is one more inner step, and the loss weights get the sum of their gradients": (
                self.order == "reptile"
            ),
        }
        return [note for note, holds in found.items() if holds]
