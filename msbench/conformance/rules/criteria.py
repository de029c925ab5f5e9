"""Rules for criteria."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from msbench.conformance.case import RuleError
from msbench.conformance.criteria import CriterionSubject, state_of


def scores(subject: CriterionSubject) -> str:
    """One finite score a group, [I] a layer; and a tensor of the weight's shape where it ranks single weights."""
    found = subject.scored()
    layers = found.trainer.groups.layers
    _check(found.groups, {layer.name: (layer.count,) for layer in layers})
    if found.elements is None:
        return "whole groups"
    _check(found.elements, {name: tuple(weight.shape) for name, weight in found.trainer.weights.items()})
    return "whole groups, single weights"


def no_trace(subject: CriterionSubject) -> str:
    """Weights, batch-norm statistics, gradients, modes and hooks of the network are as before."""
    found = subject.scored()
    after = state_of(found.trainer)
    changed = sorted(found.before.keys() ^ after.keys())
    changed += [n for n, value in found.before.items() if n in after and not torch.equal(value, after[n])]
    hooked = [n for n, m in found.trainer.model.named_modules() if m._forward_hooks or m._forward_pre_hooks]
    if changed or hooked:
        raise RuleError(f"it leaves behind: {', '.join([*changed, *(f'a hook on {n}' for n in hooked)][:3])}")
    return f"{len(after)} values"


def same_seed(subject: CriterionSubject) -> str:
    """The same network, data and seed give the same scores, to the byte."""
    first, second = subject.scored(), subject.scored(attempt=1)
    for name, score in first.groups.items():
        if not torch.equal(score, second.groups[name]):
            raise RuleError(f"the scores of {name} differ between two runs; draw from trainer.generator only")
    return f"{len(first.groups)} layers"


def generators(subject: CriterionSubject) -> str:
    """The global generators of torch, numpy and Python stay as they were."""
    moved = subject.scored().watch.generators
    if moved:
        raise RuleError(f"it used the global generator of {', '.join(moved)}; draw from trainer.generator instead")
    return "torch, numpy, random"


def allowance(subject: CriterionSubject) -> str:
    """Every sample that it sends forward with gradient is counted."""
    found = subject.scored()
    if found.watch.forwarded > found.spent:
        raise RuleError(f"{found.watch.forwarded} samples went forward with gradient, {found.spent} were counted")
    return f"{found.spent} samples spent"


def _check(found: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise RuleError(f"no scores for {', '.join(missing[:3])}")
    for name, shape in expected.items():
        score = found[name]
        if tuple(score.shape) != shape:
            raise RuleError(f"the scores of {name} have shape {tuple(score.shape)}, expected {shape}")
        if not score.isfinite().all():
            raise RuleError(f"{int((~score.isfinite()).sum())} scores of {name} are not finite")


CRITERIA: Final = (scores, no_trace, same_seed, generators, allowance)
