"""Does not know its weights."""

from __future__ import annotations

from typing import ClassVar

from msbench.api import Equal, LossBalancer, hookimpl


class Bad(Equal):
    """Does not know its weights."""

    name: ClassVar[str] = "bad"

    def weights(self) -> dict[str, float]:
        return {}


@hookimpl
def msbench_loss_balancers() -> list[type[LossBalancer]]:
    return [Bad]
