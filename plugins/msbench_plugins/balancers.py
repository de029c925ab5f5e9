"""Built-in loss balancers."""

from __future__ import annotations

from msbench.api import Equal, LossBalancer, Uncertainty, hookimpl


@hookimpl
def msbench_loss_balancers() -> list[type[LossBalancer]]:
    return [Uncertainty, Equal]
