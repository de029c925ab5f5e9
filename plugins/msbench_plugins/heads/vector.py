"""The meta-sparsity papers' head for image-level attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from msbench.api import BackboneModule, Head, UserError


@dataclass
class ConvTwoLayer(Head):
    """A 3x3 convolution, pooling and two fully connected layers on the last map; logits, no sigmoid.

    width: channels of the convolution.
    hidden: units of the first fully connected layer.
    dropout: probabilities after the pooling and after the first fully connected layer.
    """

    name: ClassVar[str] = "two_layer_conv"
    kind: ClassVar[Literal["dense", "vector"]] = "vector"
    paper: ClassVar[str] = "Upadhyay et al. Less is more: towards parsimonious multi-task models. 2023"
    width: int = 64
    hidden: int = 32
    dropout: tuple[float, float] = (0.6, 0.4)

    def __post_init__(self) -> None:
        for field in ("width", "hidden"):
            if getattr(self, field) < 1:
                raise UserError(f"model.vector_head.{field}: must be at least 1, got {getattr(self, field)}")
        if not all(0 <= probability < 1 for probability in self.dropout):
            raise UserError(f"model.vector_head.dropout: both must be in [0, 1), got {list(self.dropout)}")

    def build(self, backbone: BackboneModule, channels: int) -> nn.Module:
        width, (first, second) = self.width, self.dropout
        return _ConvTwoLayer(
            # the pooling rounds up, so that a map of one pixel survives it
            [nn.Conv2d(backbone.channels[-1], width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)],
            [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(first)],
            [nn.Linear(width, self.hidden), nn.ReLU(), nn.Dropout(second), nn.Linear(self.hidden, channels)],
        )


class _ConvTwoLayer(nn.Module):
    def __init__(self, *parts: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(layer for part in parts for layer in part))

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.layers(features[-1])
