"""Plugins that keep every rule; the bad ones derive from them and break one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from msbench.api import (
    Backbone,
    BackboneModule,
    Criterion,
    Dataset,
    Head,
    Part,
    Progress,
    SegmentationTask,
    Task,
    TensorSamples,
    Trainer,
    build_once,
    group_norms,
)
from msbench.data.dataset import PARTS


@dataclass
class GoodDataset(Dataset):
    """Noise with a light side.

    seed: of the pictures.
    """

    name: ClassVar[str] = "good_dataset"
    licence: ClassVar[str] = "generated"
    synthetic: ClassVar[bool] = True
    seed: Annotated[int, Ge(0)] = 0

    def tasks(self) -> tuple[Task, ...]:
        return (SegmentationTask(classes=("dark", "light")),)

    def prepare(self, cache: Path, progress: Progress) -> None:
        build_once(cache / f"good-{self.seed}", self._draw)

    def samples(self, part: Part, cache: Path) -> TensorSamples:
        stored = load_file(cache / f"good-{self.seed}" / part)
        valid = torch.ones_like(stored["label"], dtype=torch.bool)
        return TensorSamples(stored["image"], {"segmentation": stored["label"]}, {"segmentation": valid})

    def fingerprint(self, cache: Path) -> str:
        return hashlib.sha256(f"v1 seed={self.seed}".encode()).hexdigest()

    def _draw(self, folder: Path) -> None:
        for number, part in enumerate(PARTS):
            generator = torch.Generator().manual_seed(10 * self.seed + number)
            light = (torch.arange(8) > 2).expand(8, 8, 8)
            noise = torch.randint(0, 60, (8, 3, 8, 8), generator=generator)
            image = (light[:, None] * 150 + noise).to(torch.uint8)
            save_file({"image": image, "label": light.to(torch.uint8).contiguous()}, folder / part)


@dataclass
class GoodBackbone(Backbone):
    """Two convolutions.

    width: channels of the first.
    """

    name: ClassVar[str] = "good_backbone"
    width: Annotated[int, Ge(1)] = 4

    def build(self) -> BackboneModule:
        return GoodBackboneModule(self.width)


class GoodBackboneModule(BackboneModule):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels, self.strides = (width, width), (2, 4)
        self.fine = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.coarse = nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.fine(image)
        return [fine, self.coarse(fine)]


@dataclass
class GoodHead(Head):
    """One convolution on the finest map."""

    name: ClassVar[str] = "good_head"
    kind: ClassVar[Literal["dense", "vector"]] = "dense"

    def build(self, backbone: BackboneModule, channels: int) -> nn.Module:
        return GoodHeadModule(backbone.channels[0], channels)


class GoodHeadModule(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.predict = nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.predict(features[0])


@dataclass
class GoodCriterion(Criterion):
    """Norm of a group."""

    name: ClassVar[str] = "good_criterion"

    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        return {layer: group_norms(weight.detach()) for layer, weight in trainer.weights.items()}
