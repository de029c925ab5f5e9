"""The network under test: one backbone, run once a forward, and one head a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from msbench.models.base import BackboneModule


class MultiTaskModel(nn.Module):
    """Shared layers θ_b in `backbone`, the layers θ_i of each task in `heads[task]`.

    forward(image [B, 3, H, W]) gives {task: output}: [B, C, H, W] for the `dense` tasks (resized bilinearly to
    the image's grid), [B, C] for the others. `active` restricts it to an episode's tasks: the other heads do not
    run. No branch depends on a tensor, so that torch.fx can trace the whole network.
    """

    def __init__(self, backbone: BackboneModule, heads: Mapping[str, nn.Module], dense: Iterable[str]) -> None:
        super().__init__()
        self.backbone: nn.Module = backbone
        self.heads = nn.ModuleDict(heads)
        self.dense = frozenset(dense)
        self._frozen = False

    def forward(self, image: Tensor, active: Iterable[str] | None = None) -> dict[str, Tensor]:
        names = list(self.heads if active is None else active)
        features = self._features(image, names)
        outputs = {}
        for name in names:
            output = self.heads[name](features[name])
            if name in self.dense:
                output = F.interpolate(output, size=image.shape[-2:], mode="bilinear", align_corners=False)
            outputs[name] = output
        return outputs

    def _features(self, image: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """What each task's head reads."""
        return dict.fromkeys(names, self.backbone(image))

    def shared_state(self) -> dict[str, Tensor]:
        """State by name, with one backbone for all tasks."""
        return self.state_dict()

    def freeze_backbone(self) -> None:
        """Train the heads only from now on: the backbone keeps its weights and its batch-norm statistics."""
        self.backbone.requires_grad_(False)
        self._frozen = True
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self._frozen:
            self.backbone.eval()
        return self


class SeparateModel(MultiTaskModel):
    """One whole network a task: `backbone[task]` starts as a copy of the shared backbone (the single-task control)."""

    def __init__(self, backbone: BackboneModule, heads: Mapping[str, nn.Module], dense: Iterable[str]) -> None:
        super().__init__(backbone, heads, dense)
        self.backbone = nn.ModuleDict({name: deepcopy(backbone) for name in heads})

    def _features(self, image: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        assert isinstance(self.backbone, nn.ModuleDict)
        return {name: self.backbone[name](image) for name in names}

    def shared_state(self) -> dict[str, Tensor]:
        """As a network that shares the first task's backbone (they are equal at the start)."""
        first = f"backbone.{next(iter(self.heads))}."
        state = self.state_dict()
        shared = {f"backbone.{n.removeprefix(first)}": v for n, v in state.items() if n.startswith(first)}
        return shared | {n: v for n, v in state.items() if n.startswith("heads.")}
