"""Has no docstring on its class."""

from __future__ import annotations

from typing import ClassVar

from msbench.api import Equal, LossBalancer, hookimpl


class Bad(Equal):
    name: ClassVar[str] = "bad"


@hookimpl
def msbench_loss_balancers() -> list[type[LossBalancer]]:
    return [Bad]
