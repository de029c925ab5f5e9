"""Proximal operators of the sparsity penalties, in place, over all layers.

A group is one input channel c of a weight [O, I, ...]: `weight[:, c]`, n = O * kH * kW numbers. The penalty
is λ Σ √n ‖w‖ over groups (meta-sparsity paper, eq. 8 and 12); `threshold` is learning rate times λ, and the
threshold of one group is t = threshold * √n.

Weights stay in the memory layout that they have. On a CPU the work is memory-bound: layers are walked in
blocks that stay in the cache from one pass to the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from msbench.sparsity.columns import Columns, laid_out_like, working_memory

_MAX_ITERATIONS = 30
"""A bound, not a setting: in float32 one or two are needed with a warm start, and up to five without."""
_COLD_ITERATIONS, _WARM_ITERATIONS = 6, 3
"""Where asking whether it is done would stop the host until the device has caught up: a GPU always does so many."""


@torch.no_grad()
def group_norms(weight: Tensor) -> Tensor:
    """Euclidean norm of each input channel of a weight [O, I, ...]: [I]."""
    columns = Columns.of(weight)
    return columns.norms(working_memory([columns]))


@torch.no_grad()
def prox_euclidean(weights: Sequence[Tensor], threshold: float) -> list[Tensor]:
    """Group soft threshold w <- w max(0, 1 - t / ‖w‖), in place (meta-sparsity paper, eq. 8).

    Returns the group norms before the step, [I] for each weight: they rank dead groups too.
    """
    return prox_mcp(weights, threshold, 0.0)


@torch.no_grad()
def prox_mcp(weights: Sequence[Tensor], threshold: float, concavity: float) -> list[Tensor]:
    """Group minimax concave penalty, w <- w min(1, max(0, 1 - t / ‖w‖) / (1 - c)), in place (Zhang, 2010).

    The penalty of a group is λ √n r - r² / (2 γ) up to r = ‖w‖ = γ λ √n, and constant from there on: it shrinks what
    is small and leaves alone what is large, from ‖w‖ = t / c on. `concavity` is c = learning rate / γ, below 1, where
    the step has a single solution.

    Returns the group norms before the step, [I] for each weight.
    """
    _check(threshold, concavity)
    layers = [Columns.of(weight) for weight in weights]
    scratch = working_memory(layers)
    norms = []
    for columns in layers:
        norm = columns.norms(scratch)
        t = threshold * math.sqrt(columns.size)
        # a norm of zero must not become 0 / 0 when t is 0
        factor = (1 - t / norm.clamp_min(torch.finfo(norm.dtype).tiny)).clamp_min_(0)
        columns.matrix.mul_(columns.spread(factor.div_(1 - concavity).clamp_max_(1)))
        norms.append(norm)
    return norms


@torch.no_grad()
def prox_l1(weights: Sequence[Tensor], threshold: float) -> None:
    """Soft threshold of every weight by itself, sign(w) max(0, |w| - threshold), in place."""
    _check(threshold)
    layers = [Columns.of(weight) for weight in weights]
    scratch = working_memory(layers)
    for columns in layers:
        for rows in columns.rows(scratch):
            clamped = scratch[: rows.numel()].view(rows.shape)
            rows.sub_(torch.clamp(rows, -threshold, threshold, out=clamped))


@torch.no_grad()
def prox_l1_adaptive(
    weights: Sequence[Tensor],
    second_moments: Sequence[Tensor],
    threshold: float,
    eps: float = 1e-8,
    bias_corrections: Sequence[float] | None = None,
) -> None:
    """Soft threshold in Adam's metric, sign(w) max(0, |w| - threshold / d) with d = √v̂ + ε, in place.

    second_moments: Adam's v, one for each weight, of its shape. bias_corrections: 1 - β₂ ** step, one for each weight,
    so that v̂ = v / correction; None where v is v̂ already.
    """
    _check(threshold)
    layers = [Columns.of(weight) for weight in weights]
    scratch = working_memory(layers)
    corrections = bias_corrections or [1.0] * len(layers)
    for columns, weight, moment, correction in zip(layers, weights, second_moments, corrections, strict=True):
        scale = math.sqrt(correction)
        moments = Columns.of(laid_out_like(moment, weight))
        for rows, v in zip(columns.rows(scratch), moments.rows(scratch), strict=True):
            d = torch.sqrt(v, out=scratch[: v.numel()].view(v.shape)).add_(eps * scale)
            t = d.reciprocal_().mul_(threshold * scale)
            rows.sub_(torch.clamp(rows, -t, t))


class AdaptiveProx:
    """Group soft threshold in Adam's metric, in place (Yun, Lozano and Yang, 2021; Deleu and Bengio, 2021).

    For each group x it solves argmin_z ½ (z - x)ᵀ D (z - x) + t ‖z‖ with D = diag(d), d = √v̂ + ε. The group
    dies iff ‖D x‖ <= t; otherwise z = x d θ / (d θ + t), and θ = ‖z‖ solves S(θ) = Σ x² / (θ + t/d)² = 1.

    An object remembers every group's θ, from which the next call starts and then needs one or two iterations:
    give it the same weights in the same order each time. eps: the ε of the optimizer.
    """

    def __init__(self, eps: float = 1e-8) -> None:
        self._eps = eps
        self._theta: list[Tensor] = []

    def state_dict(self) -> dict[str, list[Tensor]]:
        """What the next call starts from."""
        return {"theta": self._theta}

    def load_state_dict(self, state_dict: Mapping[str, list[Tensor]]) -> None:
        """Go on from there."""
        self._theta = state_dict["theta"]

    @torch.no_grad()
    def __call__(
        self,
        weights: Sequence[Tensor],
        second_moments: Sequence[Tensor],
        threshold: float,
        bias_corrections: Sequence[float] | None = None,
    ) -> list[Tensor]:
        """Returns the group norms before the step, [I] for each weight.

        second_moments: Adam's v (`exp_avg_sq`), one for each weight, of its shape. bias_corrections: 1 - β₂ ** step,
        one for each weight, so that v̂ = v / correction; None where v is v̂ already.
        """
        _check(threshold)
        if threshold == 0:
            return [group_norms(weight) for weight in weights]

        layers = [Columns.of(weight) for weight in weights]
        buffers = [working_memory(layers) for _ in range(4)]
        iterations = _iterations(buffers[0].device, bool(self._theta))
        self._theta = self._theta or [weight.new_zeros(weight.shape[1]) for weight in weights]
        corrections = bias_corrections or [1.0] * len(layers)
        norms = []
        each = zip(layers, weights, second_moments, self._theta, corrections, strict=True)
        for columns, weight, moment, theta, correction in each:
            # the same factor in D and t leaves z as it is: the bias correction needs no pass over v
            scale = math.sqrt(correction)
            moments = Columns.of(laid_out_like(moment, weight))
            t = threshold * scale * math.sqrt(columns.size)
            norm = torch.empty_like(theta)
            for channels in columns.channels(buffers[0]):
                block = _Block(columns.take(channels), moments.take(channels), t, self._eps * scale, buffers)
                norm[channels], theta[channels] = block.norms, block.solve(theta[channels], iterations)
            norms.append(norm)
        return norms


class AdaptiveMCP:
    """`prox_mcp` in Adam's metric, in place: argmin_z ½ (z - x)ᵀ D (z - x) + learning rate times the penalty of z.

    Groups from ‖x‖ = t / c on stay as they are. For the others the penalty is t ‖z‖ - c ‖z‖² / 2, and completing the
    square leaves a group soft threshold: that of D x / (d - c), in the metric d - c. This takes c < d everywhere. A
    weight without gradients has d = ε, which no useful γ satisfies, so d counts as 2 c where it is less.
    """

    def __init__(self, eps: float = 1e-8) -> None:
        self._eps = eps
        self._prox = AdaptiveProx(eps=0.0)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """What the next call starts from."""
        return self._prox.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, list[Tensor]]) -> None:
        """Go on from there."""
        self._prox.load_state_dict(state_dict)

    @torch.no_grad()
    def __call__(
        self, weights: Sequence[Tensor], second_moments: Sequence[Tensor], threshold: float, concavity: float
    ) -> list[Tensor]:
        """Returns the group norms before the step. second_moments: Adam's bias-corrected v̂."""
        _check(threshold, concavity)
        norms = [group_norms(weight) for weight in weights]
        kept, metrics = [], []
        for weight, moment, norm in zip(weights, second_moments, norms, strict=True):
            flat = norm * concavity >= threshold * math.sqrt(weight[:, 0].numel())
            kept.append((flat, weight[:, flat]))
            d = laid_out_like(moment, weight).sqrt().add_(self._eps).clamp_min_(2 * concavity)
            left = d - concavity
            weight.mul_(d.div_(left))
            metrics.append(left.square_())
        self._prox(weights, metrics, threshold)
        for weight, (flat, value) in zip(weights, kept, strict=True):
            weight[:, flat] = value
        return norms


class _Block:
    """Whole groups of one layer, few enough for the cache, with their working memory.

    x, v: weights and second moments. t: the threshold of a group. buffers: four, at least as large as x.
    """

    def __init__(self, x: Columns, v: Columns, t: float, eps: float, buffers: Sequence[Tensor]) -> None:
        self._x = x
        shape = x.matrix.shape
        self._squares, self._ratio, self._inverse, self._work = (b[: shape.numel()].view(shape) for b in buffers)

        # ‖D x‖ decides who lives, and with Σ x² d³ gives Newton's first step from 0, a lower bound of θ
        d = torch.sqrt(v.matrix, out=self._ratio).add_(eps)
        work = torch.mul(x.matrix, d, out=self._work)
        weighted = x.fold(work.mul_(work))
        self._alive = weighted > t * t
        self._lowest = (weighted.sqrt() - t) * weighted / x.fold(work.mul_(d))

        self.norms = x.fold(torch.mul(x.matrix, x.matrix, out=self._squares)).sqrt_()
        torch.div(d.new_full((), t), d, out=d)

    def solve(self, start: Tensor, iterations: int | None) -> Tensor:
        """Replace x by z; returns θ = ‖z‖ of each group, 0 for dead ones. start: a guess of it, or 0.

        iterations: of Newton's method, always so many; None: until it has converged.
        """
        needed = iterations is not None or bool(self._alive.any())
        theta = self._root(start, iterations) if needed else torch.ones_like(start)
        z = self._x.matrix.div_(torch.add(self._ratio, self._x.spread(theta), out=self._inverse))
        theta = torch.where(self._alive, theta, 0)
        z.mul_(self._x.spread(theta))
        return theta

    def _root(self, start: Tensor, iterations: int | None) -> Tensor:
        """θ of each living group; 1, which divides no zero by zero, for dead ones.

        Newton on 1/√S - 1, concave in θ: no step ends beyond the root, and from below it only climbs. A step
        from a residual of √precision leaves one of about the precision.
        """
        theta = torch.where(self._alive, start.clamp(self._lowest, self.norms), 1)
        enough = math.sqrt(torch.finfo(theta.dtype).eps)
        for _ in range(iterations or _MAX_ITERATIONS):
            inverse = torch.add(self._ratio, self._x.spread(theta), out=self._inverse).reciprocal_()
            work = torch.mul(self._squares, inverse, out=self._work).mul_(inverse)
            s = self._x.fold(work)
            residual = torch.where(self._alive, s.sqrt() - 1, 0)
            theta = theta + s * residual / self._x.fold(work.mul_(inverse))
            theta = torch.where(self._alive, theta.clamp(self._lowest, self.norms), 1)
            if iterations is None and float(residual.abs().max()) <= enough:
                break
        return theta


def _iterations(device: torch.device, is_warm: bool) -> int | None:
    """How many Newton steps are made without asking whether they are enough; None on a CPU, where asking is free."""
    if device.type == "cpu":
        return None
    return _WARM_ITERATIONS if is_warm else _COLD_ITERATIONS


def _check(threshold: float, concavity: float = 0.0) -> None:
    if not threshold >= 0:
        raise ValueError(f"threshold: expected 0 or more, got {threshold}")
    if not 0 <= concavity < 1:
        raise ValueError(f"concavity: expected 0 or more and less than 1, got {concavity}")
