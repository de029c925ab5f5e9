"""What a dataset is to msbench: named tasks, three parts, canonical batches, a fingerprint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from msbench.tasks.task import Task

if TYPE_CHECKING:
    from msbench.data.export import Exporter

Part = Literal["train", "validation", "test"]
"""A part of a dataset: trained on, chosen by, and read once at the end."""
PARTS: tuple[Part, ...] = ("train", "validation", "test")
Progress = Callable[[int, int, str], None]
"""Called with (done, total, what is being done)."""


@dataclass(frozen=True)
class Batch:
    """Canonical batch.

    image: float32 [B, 3, H, W], RGB in [0, 1].
    target: per task, in the form that its class documents (for example int64 [B, H, W], 255 = ignore).
    valid: per task, bool of the target's spatial shape ([B, H, W], or [B] for attributes): what counts.
    """

    image: Tensor
    target: Mapping[str, Tensor]
    valid: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.image.to(device, non_blocking=True),
            {name: value.to(device, non_blocking=True) for name, value in self.target.items()},
            {name: value.to(device, non_blocking=True) for name, value in self.valid.items()},
        )


class Samples(ABC):
    """One part of a dataset. `batch` must be free of randomness: order and augmentation belong to the trainer."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, indices: Tensor) -> Batch:
        """The samples at these positions (int64 [B]), in this order, unaugmented."""

    def batch_on(self, indices: Tensor, device: torch.device) -> Batch:
        """The same batch on a device, bit for bit, by whatever way is shortest."""
        return self.batch(indices).to(device)


class TensorSamples(Samples):
    """Samples that fit into memory. `image` is uint8 [N, 3, H, W]; targets and masks in any compact dtype.

    Targets stored as uint8 (labels) come out as int64, float16 and bool ones as float32. They become so on the device:
    all that the processor does for a GPU is to gather bytes, a third of those of the finished batch.
    """

    def __init__(self, image: Tensor, target: Mapping[str, Tensor], valid: Mapping[str, Tensor]) -> None:
        if image.dtype != torch.uint8 or image.ndim != 4:
            raise ValueError(f"image: expected uint8 [N, 3, H, W], got {image.dtype} {tuple(image.shape)}")
        for name, value in target.items():
            if len(value) != len(image) or len(valid[name]) != len(image):
                raise ValueError(f"task {name!r}: {len(value)} targets for {len(image)} images")
        self.image, self.target, self.valid = image, dict(target), dict(valid)

    def __len__(self) -> int:
        return len(self.image)

    def batch(self, indices: Tensor) -> Batch:
        return self.batch_on(indices, torch.device("cpu"))

    def batch_on(self, indices: Tensor, device: torch.device) -> Batch:
        def rows(value: Tensor) -> Tensor:
            return _gather(value, indices, device)

        return Batch(
            rows(self.image).float().div_(255.0),
            {name: _widen(rows(value)) for name, value in self.target.items()},
            {name: rows(value).bool() for name, value in self.valid.items()},
        )


def sent(value: Tensor, device: torch.device) -> Tensor:
    """A tensor of the processor on a device, without waiting for what a GPU is still doing."""
    if device.type != "cuda":
        return value.to(device)
    return value.pin_memory().to(device, non_blocking=True)


def _gather(value: Tensor, indices: Tensor, device: torch.device) -> Tensor:
    """Rows [B, ...] of an array in the processor's memory, on a device."""
    # index_select copies whole rows: 20 times as fast as an index in brackets for bytes
    if device.type != "cuda":
        return value.index_select(0, indices).to(device)
    # Page-locked memory is read by the GPU itself while the processor goes on; torch does not reuse it before that.
    locked = torch.empty((len(indices), *value.shape[1:]), dtype=value.dtype, pin_memory=True)
    return torch.index_select(value, 0, indices, out=locked).to(device, non_blocking=True)


def _widen(value: Tensor) -> Tensor:
    if value.dtype == torch.uint8:
        return value.long()
    return value.float() if value.is_floating_point() or value.dtype == torch.bool else value


class Dataset(ABC):
    """A dataset plugin: a dataclass whose fields are its configuration (`data.FIELD=value`).

    `prepare` does whatever must be done once (render, verify, pack) and is safe to call from several processes;
    `samples` is called after it. The test part is read by the host only.

    location: fields that say where the data lies. They do not make a run another run: its fingerprint does.
    exports: layouts of files that it reads, by name, and who writes any dataset's samples so (`msbench data export`).
    """

    name: ClassVar[str]
    paper: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    synthetic: ClassVar[bool] = False
    location: ClassVar[tuple[str, ...]] = ()
    exports: ClassVar[Mapping[str, type[Exporter]]] = {}

    @abstractmethod
    def tasks(self) -> tuple[Task, ...]:
        """Every task that this dataset can supervise, in canonical order. The first ones are the default."""

    def default_tasks(self) -> tuple[str, ...]:
        """Names of the tasks used when the configuration names none."""
        return tuple(task.name for task in self.tasks())

    @abstractmethod
    def prepare(self, cache: Path, progress: Progress) -> None:
        """Make the data ready below `cache` (atomically, under a lock), or raise UserError."""

    @abstractmethod
    def samples(self, part: Part, cache: Path) -> Samples:
        """One part of the data, after `prepare(cache)`."""

    @abstractmethod
    def fingerprint(self, cache: Path) -> str:
        """Hex digest of what the samples are made of: content, or the generator's sources and parameters."""
