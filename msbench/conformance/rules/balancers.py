"""Rules for loss balancers."""

from __future__ import annotations

import math
from typing import Final

import torch

from msbench.conformance.case import RuleError
from msbench.conformance.networks import BalancerSubject
from msbench.conformance.toy import TASKS

NAMES: Final = [task.name for task in TASKS]


def documented(subject: BalancerSubject) -> str:
    """A docstring says what it is."""
    text = (subject.cls.__doc__ or "").strip()
    if not text:
        raise RuleError(f"{subject.cls.__name__} has no docstring; its first line is shown by `msbench plugins list`")
    return text.partition("\n")[0]


def scalar(subject: BalancerSubject) -> str:
    """All tasks' losses, or some of them, become one finite number whose gradient reaches each loss."""
    for names in (NAMES, NAMES[:1], NAMES[1:]):
        losses = {name: torch.tensor(0.5 + index, requires_grad=True) for index, name in enumerate(names)}
        total = subject.balancer()(losses)
        if total.ndim or not torch.isfinite(total):
            raise RuleError(f"the losses of {', '.join(names)} become {total}, not one finite number")
        total.backward()
        unreached = [name for name, loss in losses.items() if loss.grad is None or not loss.grad]
        if unreached:
            raise RuleError(f"no gradient reaches the loss of {', '.join(unreached)}")
    return ", ".join(NAMES)


def weights(subject: BalancerSubject) -> str:
    """It says how much each task's loss weighs now."""
    found = subject.balancer().weights()  # type: ignore[operator]
    if set(found) != set(NAMES) or not all(math.isfinite(value) for value in found.values()):
        raise RuleError(f"weights() returned {found}, expected one finite number for each of {', '.join(NAMES)}")
    return ", ".join(f"{name} {value:.3g}" for name, value in found.items())


BALANCERS: Final = (documented, scalar, weights)
