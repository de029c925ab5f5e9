"""λ as published: softplus(ρ), one for the network or one a stage, with Adam on ρ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from msbench.api import Stateful, Trainer

Per = Literal["network", "stage"]
NETWORK = ""
"""The one stage where λ is the network's."""


def stages(layers: Sequence[str], per: Per) -> dict[str, list[str]]:
    """Layer names by stage: the first two parts of the name, or three where the second is a list of stages."""
    if per == "network":
        return {NETWORK: list(layers)}
    found: dict[str, list[str]] = {}
    for layer in layers:
        parts = layer.split(".")
        listed = len(parts) > 3 and parts[2].isdigit() and parts[3].isdigit()
        found.setdefault(".".join(parts[: 3 if listed else 2]), []).append(layer)
    return found


class Lambda(Stateful):
    """λ of each stage. All start at the same ρ, which is drawn from U(0.1, 1) where it is None."""

    changes = ("rho", "_adam")

    def __init__(self, trainer: Trainer, names: Sequence[str], rho: float | None) -> None:
        self.trainer, self.names = trainer, list(names)
        start = 0.1 + 0.9 * float(torch.rand((), generator=trainer.generator)) if rho is None else rho
        self.rho = torch.full((len(self.names),), start, dtype=torch.float64)
        self._adam = torch.optim.Adam([self.rho], lr=1.0)
        trainer.log("rho_start", start)

    def values(self) -> dict[str, float]:
        """λ by stage."""
        return dict(zip(self.names, F.softplus(self.rho).tolist(), strict=True))

    def move(self, gradients: Mapping[str, float], lr: float) -> None:
        """ρ <- Adam(dJ/dλ sigmoid(ρ)); λ falls where its gradient is positive. The gradients are logged."""
        found: Tensor = torch.tensor([gradients[name] for name in self.names], dtype=torch.float64)
        self.rho.grad = torch.sigmoid(self.rho) * found
        self._adam.param_groups[0]["lr"] = lr
        self._adam.step()
        self._log("lambda_gradient", gradients)

    def log(self) -> None:
        """λ, as one value (the mean over stages) and by stage."""
        self._log("lambda", self.values())

    def _log(self, name: str, values: Mapping[str, float]) -> None:
        self.trainer.log(name, sum(values.values()) / len(values))
        for stage, value in values.items():
            if stage != NETWORK:
                self.trainer.log(f"{name}/{stage}", value)
