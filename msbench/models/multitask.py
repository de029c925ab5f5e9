"""The network under test: one backbone, run once a forward, and one head a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.dense = frozenset(dense)

    def forward(self, image: Tensor, active: Iterable[str] | None = None) -> dict[str, Tensor]:
        features = self.backbone(image)
        outputs = {}
        for name in self.heads if active is None else active:
            output = self.heads[name](features)
            if name in self.dense:
                output = F.interpolate(output, size=image.shape[-2:], mode="bilinear", align_corners=False)
            outputs[name] = output
        return outputs
