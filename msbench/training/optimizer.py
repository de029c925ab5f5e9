"""AdamW over a model and a loss balancer, with the mask held through every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from msbench.sparsity.mask import Mask
from msbench.training.settings import TrainingSettings

EPSILON = 1e-8


class Optimizer:
    """Decoupled weight decay on weights of two and more dimensions only (no batch-norm, bias or σ)."""

    def __init__(self, model: nn.Module, balancer: nn.Module, settings: TrainingSettings) -> None:
        self._model, self._betas = model, (0.9, 0.999)
        parameters = list(model.parameters())
        decayed = [p for p in parameters if p.ndim > 1]
        plain = [p for p in parameters if p.ndim <= 1] + list(balancer.parameters())
        self._adam = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=settings.lr,
            betas=self._betas,
            eps=EPSILON,
            fused=True,
        )
        self._named = {f"model.{name}": p for name, p in model.named_parameters()}
        self._named |= {f"balancer.{name}": p for name, p in balancer.named_parameters()}
        self._steps: Counter[nn.Parameter] = Counter()
        self._held: list[tuple[nn.Parameter, Tensor]] = []

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self._adam.zero_grad(set_to_none=True)

    def step(self, lr: float) -> None:
        """One step at `lr`; masked weights keep zero gradient, moments and value."""
        for group in self._adam.param_groups:
            group["lr"] = lr
        held = self._held
        graded = [(weight.grad, kept) for weight, kept in held if weight.grad is not None]
        if graded:
            gradients, keeps = (list(column) for column in zip(*graded, strict=True))
            torch._foreach_mul_(gradients, keeps)
        # counted here as well: Adam's own counts lie on a GPU, and reading one would wait for it
        self._steps.update([p for p in self._named.values() if p.grad is not None])
        self._adam.step()
        if held:
            with torch.no_grad():
                weights, keeps = (list(column) for column in zip(*held, strict=True))
                torch._foreach_mul_(weights, keeps)

    def hold(self, mask: Mask) -> None:
        """Hold this mask from now on: moments of what it removes are zeroed, so that no stale step revives it."""
        self._held = []
        for name in mask:
            weight = self._model.get_submodule(name).get_parameter("weight")
            kept = mask.expanded(name, weight).to(weight.dtype)
            self._held.append((weight, kept))
            for key in ("exp_avg", "exp_avg_sq"):
                if key in self._adam.state.get(weight, {}):
                    self._adam.state[weight][key].mul_(kept)

    def tensors(self) -> dict[str, Tensor]:
        """Moments and steps of every parameter that has taken a step, by its name and Adam's."""
        state = self._adam.state
        return {f"{n}.{key}": value for n, p in self._named.items() if p in state for key, value in state[p].items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave and nothing else; moments get the memory layout of their parameters."""
        self._adam.state.clear()
        self._steps.clear()
        for name, value in tensors.items():
            owner, _, key = name.rpartition(".")
            parameter = self._named[owner]
            if key == "step":
                self._steps[parameter] = int(value)
            kept = torch.zeros_like(parameter) if value.ndim else parameter.new_zeros(())
            with torch.no_grad():
                self._adam.state[parameter][key] = kept.to(value.dtype).copy_(value)

    def second_moment(self, weight: nn.Parameter) -> Tensor:
        """Adam's bias-corrected second moment v̂ of a weight (zeros before its first step)."""
        state = self._adam.state.get(weight, {})
        if "exp_avg_sq" not in state:
            return torch.zeros_like(weight)
        return state["exp_avg_sq"] / self._correction(weight)

    def second_moments(self, weights: Sequence[nn.Parameter]) -> tuple[list[Tensor], list[float]]:
        """Adam's own second moments v, not to be changed, and the bias corrections 1 - β₂ ** step: v̂ = v / correction.

        For operators that take the correction apart: v̂ itself costs a pass over all weights. Zeros and 1 for a weight
        before its first step.
        """
        states = [self._adam.state.get(weight, {}) for weight in weights]
        moments = [s["exp_avg_sq"] if s else torch.zeros_like(w) for s, w in zip(states, weights, strict=True)]
        return moments, [self._correction(weight) or 1.0 for weight in weights]

    def _correction(self, weight: nn.Parameter) -> float:
        return float(1.0 - self._betas[1] ** self._steps[weight])
