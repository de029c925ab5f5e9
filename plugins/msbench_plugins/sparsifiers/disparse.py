"""DiSparse: each task ranks the shared weights for itself; only what no task wants goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from torch import Tensor

from msbench.api import Groups, Mask, Sparsifier, Trainer
from msbench_plugins.sparsifiers.regrowth import cosine, random_mask
from msbench_plugins.sparsifiers.snip import group_sums, redrawn, without_dropout

ONLY_FOR = {
    "structured": ("static", "pretrained"),
    "redraw": ("static",),
    "dense_share": ("pretrained",),
    "score": ("pretrained",),
    "update_share": ("dynamic",),
    "drop": ("dynamic",),
}
"""Options that act only in one of these modes."""
Scores = Mapping[str, Tensor]
"""Layer name to scores: [I], or the weight's shape; higher is kept."""


@dataclass
class DiSparse(Sparsifier):
    """Every task keeps its own top share of the backbone and of its head (Sun et al., 2022).

    The backbone keeps the union, so a shared weight goes only if every task drops it; a head follows its own task
    alone. The share, the same for all tasks, is solved for such that the union meets the target exactly.

    mode: `static` ranks the initial weights by each task's sensitivity |w dL/dw|, `pretrained` ranks a dense network
        after training; both then train with the mask held. `dynamic` starts from a random mask and again and again
        drops the smallest weights of a layer and grows the union of those with each task's largest gradients.
    score: in `pretrained`, `saliency` ranks by w² times the sum of the batches' |dL/dw|, `magnitude` by |w|, which
        is the same for every task: over the backbone alone it is plain global magnitude.
    score_share: share of the allowance for the tasks' gradients, a backward pass a task: it decides on how many batches
        are scored, or how often the dynamic mask is updated.
    structured: whether whole groups are removed, with the sum of their weights' scores, or single weights.
    redraw: measure sensitivity on weights drawn afresh (Xavier normal), not on the ones that training starts from.
    dense_share: share of the allowance for dense training before pruning.
    update_share: share of the allowance after which the dynamic mask is final.
    drop: share of a layer's target that the first update drops; it falls to 0 along a half cosine.
    """

    name: ClassVar[str] = "disparse"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "disparse_static": {"mode": "static"},
        "disparse_pretrained": {"mode": "pretrained"},
        "disparse_dynamic": {"mode": "dynamic"},
    }
    paper: ClassVar[str] = (
        "Sun, Hassani, Wang, Huang and Shi. DiSparse: Disentangled sparsification for multitask model compression. "
        "CVPR 2022"
    )
    mode: Literal["static", "pretrained", "dynamic"] = "static"
    score: Literal["saliency", "magnitude"] = "saliency"
    score_share: Annotated[float, Interval(gt=0, lt=0.5)] = 0.05
    structured: bool = False
    redraw: bool = False
    dense_share: Annotated[float, Interval(gt=0, lt=0.5)] = 0.4
    update_share: Annotated[float, Interval(gt=0.5, lt=1)] = 0.75
    drop: Annotated[float, Interval(gt=0, lt=1)] = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value, modes = getattr(self, field.name), ONLY_FOR.get(field.name, (self.mode,))
            if value != field.default and self.mode not in modes:
                raise ValueError(f"{field.name}={value}: acts only with mode={' or '.join(modes)}, not {self.mode}")
        if self.score == "magnitude" and self.score_share != DiSparse.score_share:
            raise ValueError(f"score_share={self.score_share}: acts only with score=saliency, since magnitude is free")

    def plain_share(self) -> float:
        return self.dense_share if self.mode == "pretrained" else 0.0

    def sparsify(self, trainer: Trainer) -> None:
        if self.mode == "dynamic":
            self._rewire(trainer)
        else:
            if self.mode == "pretrained":
                trainer.train(share=self.dense_share)
            trainer.apply_mask(trainer.budget.select(union_order(trainer.groups, self.task_scores(trainer))))
        trainer.train()

    def task_scores(self, trainer: Trainer) -> Mapping[str, Scores]:
        """Each task's scores of the layers that it uses."""
        if self.score == "magnitude":
            ranked = trainer.rank("magnitude", self.structured)
            return {task.name: {n: s for n, s in ranked.items() if uses(task.name, n)} for task in trainer.tasks}
        with without_dropout(trainer), redrawn(trainer) if self.redraw else nullcontext():
            slopes = absolute_slopes(trainer, self._batches(trainer))
            power = 2 if self.mode == "pretrained" else 1
            # in double precision, since w² times a small slope is soon too small for single
            factor = {name: weight.detach().double().abs() ** power for name, weight in trainer.weights.items()}
        gather = group_sums if self.structured else Tensor.contiguous
        return {
            task: {name: gather(factor[name] * slope) for name, slope in layers.items()}
            for task, layers in slopes.items()
        }

    def _batches(self, trainer: Trainer) -> int:
        """Batches whose gradients, one for each task, `score_share` pays for."""
        settings = trainer.settings
        return max(1, round(self.score_share * settings.samples / (settings.batch * len(trainer.tasks))))

    def _rewire(self, trainer: Trainer) -> None:
        """Drop and grow at even distances until `update_share` of the allowance, and there drop to the target."""
        trainer.apply_mask(random_mask(trainer, "erk"))
        rewiring = _Rewiring(trainer)
        updates = self._batches(trainer)
        every = max(1, (trainer.steps(self.update_share) - updates * len(trainer.tasks)) // (updates + 1))
        for update in range(1, updates + 1):
            trainer.train(steps=every)
            share = cosine(self.drop, update / (updates + 1))
            rewiring.shrink(1 - share)
            rewiring.grow()
        trainer.train(steps=every)
        rewiring.shrink(1.0)

    def notes(self) -> list[str]:
        solved = "the tasks' keep share is solved for; the authors tune it by hand and end near the target"
        if self.mode == "static":
            drawn = "weights drawn afresh, as in the authors' code" if self.redraw else "training's own initial weights"
            return [solved, f"sensitivity of {drawn}, with batch statistics and without dropout"]
        if self.mode == "pretrained":
            rule = "|w|, as in the authors' code for NYU-v2 and Cityscapes; all tasks agree on the backbone's order"
            saliency = "w² Σ|dL/dw|, as in the authors' code for Taskonomy; for NYU-v2 and Cityscapes it takes |w|"
            return [solved, f"ranked by {rule if self.score == 'magnitude' else saliency}"]
        return [
            "growth by the gradients of the sparse network, from 0; the authors' code takes those of the dense network "
            "with stale weights, and resumes these",
            "between updates the network is denser than the target, since every task grows its own share",
            "layer densities by Erdos-Renyi-Kernel with power 1 (RigL); the authors' code takes power 0.9",
        ]


def uses(task: str, layer: str) -> bool:
    """Whether a task's output depends on a layer: all but the other tasks' heads."""
    return not layer.startswith("heads.") or layer.startswith(f"heads.{task}.")


def absolute_slopes(trainer: Trainer, batches: int) -> dict[str, dict[str, Tensor]]:
    """By task, the sum over `batches` of |dL/dw| of its own loss, for the layers that it uses."""
    total: dict[str, dict[str, Tensor]] = {task.name: {} for task in trainer.tasks}
    for _ in range(batches):
        for task, gradients in trainer.task_gradients(trainer.next_batch()).items():
            for name, gradient in gradients.items():
                if uses(task, name):
                    total[task][name] = gradient.abs() + total[task].get(name, 0.0)
    return total


def union_order(groups: Groups, tasks: Mapping[str, Scores]) -> dict[str, Tensor]:
    """Scores whose top is the union of the tasks' tops, for every size.

    A task that keeps the best share p of its weights keeps an entry if the weights of all that it ranks at or above
    the entry are at most p of its own: if the entry's quantile is at most p. Some task keeps it if the smallest of its
    quantiles is at most p. Therefore ranking by the smallest quantile over the tasks gives all unions, and the share p
    that meets a target needs no search: it is the quantile of the last entry kept. Only entries with equal quantiles,
    at most one for each task, are left to the budget's rule for ties.

    Returns minus the smallest quantile, [I] or the weight's shape, in [-1, 0).
    """
    best: dict[str, Tensor] = {}
    for scores in tasks.values():
        layers = [layer for layer in groups.layers if layer.name in scores]
        flat = torch.cat([scores[layer.name].detach().double().cpu().flatten() for layer in layers])
        if not torch.isfinite(flat).all():
            raise ValueError("scores: not a number")
        lengths = [scores[layer.name].numel() for layer in layers]
        sizes = torch.cat([torch.full((n,), x.weights // n) for x, n in zip(layers, lengths, strict=True)])
        order = torch.sort(flat, descending=True, stable=True).indices
        quantile = torch.empty_like(flat)
        quantile[order] = sizes[order].cumsum(0).double() / int(sizes.sum())
        for layer, part in zip(layers, quantile.split(lengths), strict=True):
            score = -part.view(scores[layer.name].shape)
            best[layer.name] = torch.maximum(best[layer.name], score) if layer.name in best else score
    return best


class _Rewiring:
    """Drops and grows the trainer's mask, an explicit one: a weight of value 0 may well be kept."""

    def __init__(self, trainer: Trainer) -> None:
        assert trainer.mask is not None
        self.trainer = trainer
        self.targets = {name: int(kept.sum()) for name, kept in trainer.mask.items()}

    def shrink(self, share: float) -> None:
        """Keep the largest weights of each layer, as many as `share` of its target."""
        mask = {
            name: strongest(weight.detach(), self._kept(name), math.ceil(share * self.targets[name]))
            for name, weight in self.trainer.weights.items()
        }
        self.trainer.apply_mask(Mask(mask))

    def grow(self) -> None:
        """Every task grows each of its layers back to the target, where its own gradient is largest; from 0."""
        gradients = self.trainer.task_gradients(self.trainer.next_batch())
        mask = {}
        for name in self.trainer.weights:
            kept = self._kept(name)
            missing = self.targets[name] - int(kept.sum())
            grown = [strongest(found[name], ~kept, missing) for task, found in gradients.items() if uses(task, name)]
            mask[name] = torch.stack([kept, *grown]).any(0)
        self.trainer.apply_mask(Mask(mask))

    def _kept(self, name: str) -> Tensor:
        assert self.trainer.mask is not None
        return self.trainer.mask[name].to(self.trainer.weights[name].device)


def strongest(values: Tensor, among: Tensor, count: int) -> Tensor:
    """Where the `count` largest absolute values are, of those in `among`; ties go to the lower index."""
    sizes = values.abs().where(among, -1.0).flatten()
    chosen = torch.zeros_like(among).flatten()
    chosen[torch.sort(sizes, descending=True, stable=True).indices[:count]] = True
    return chosen.view(values.shape)
