"""The proof that a compact network computes what the masked network computes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor, nn

TOLERANCE: Mapping[str, float] = MappingProxyType({"float32": 1e-4, "float64": 1e-9})
"""Greatest difference allowed, by dtype."""


@dataclass(frozen=True)
class Proof:
    """Masked against compact network in eval mode.

    equal: whether every difference is within `tolerance`, which is absolute for outputs up to 1 in magnitude
        and relative to the task's greatest output beyond that.
    max_abs_diff: dtype name to the greatest difference over all tasks and inputs.
    per_task: task to the same for that task.
    reason: the first task and dtype that differ; empty when equal.
    """

    equal: bool
    max_abs_diff: dict[str, float]
    per_task: dict[str, dict[str, float]]
    tolerance: dict[str, float]
    reason: str = ""


@dataclass
class _Comparison:
    diff: dict[str, float] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)

    def add(self, task: str, expected: Tensor, actual: Tensor) -> None:
        same_shape = expected.shape == actual.shape
        diff = float((expected - actual).abs().max()) if same_shape else float("inf")
        # not-a-number compares false with everything: call it different
        self.diff[task] = max(self.diff.get(task, 0.0), diff if diff >= 0 else float("inf"))
        self.scale[task] = max(self.scale.get(task, 1.0), float(expected.abs().max()))


@torch.inference_mode()
def prove(
    masked: nn.Module,
    compacted: nn.Module,
    inputs: Sequence[Tensor],
    tolerance: Mapping[str, float] = TOLERANCE,
    *,
    exact: nn.Module | None = None,
) -> Proof:
    """Compare two networks' outputs (tensors, or dicts of task to tensor) on every input, in every dtype.

    inputs: images [B, 3, H, W] on the device to use, best of several sizes, odd ones included.
    exact: the compact network in float64 (`Compaction.exact`) for the float64 comparison, as the rounded
        weights of `compacted` cannot agree to more than float32's precision.
    """
    max_abs_diff, per_task, reason = {}, dict[str, dict[str, float]](), ""
    for name, allowed in tolerance.items():
        dtype = getattr(torch, name)
        other = exact if exact is not None and dtype == torch.float64 else compacted
        comparison = _compare(_copy(masked, dtype), _copy(other, dtype), [image.to(dtype) for image in inputs])
        max_abs_diff[name] = max(comparison.diff.values())
        for task, diff in comparison.diff.items():
            per_task.setdefault(task, {})[name] = diff
            if diff > allowed * comparison.scale[task] and not reason:
                reason = f"{task}: outputs differ by {diff:.3g} in {name}, allowed {allowed:g}"
    return Proof(not reason, max_abs_diff, per_task, dict(tolerance), reason)


def _compare(masked: nn.Module, compacted: nn.Module, inputs: Sequence[Tensor]) -> _Comparison:
    comparison = _Comparison()
    for image in inputs:
        masked, compacted = masked.to(image.device), compacted.to(image.device)
        expected, actual = _by_task(masked(image)), _by_task(compacted(image))
        if expected.keys() != actual.keys():
            raise ValueError(f"tasks differ: masked {sorted(expected)}, compact {sorted(actual)}")
        for task, output in expected.items():
            comparison.add(task, output, actual[task])
    return comparison


def _by_task(output: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {"output": output} if isinstance(output, Tensor) else output


def _copy(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    return copy.deepcopy(model).eval().to(dtype)
