"""What training costs on this machine, from a few steps, where no run has told it yet."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from msbench.config import RunConfig
from msbench.data.dataset import Batch, Samples
from msbench.errors import UserError
from msbench.measure.latency import threads_of
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import Plugins
from msbench.runs.build import rebuild
from msbench.runs.execute import resolve_device
from msbench.tasks.task import Task
from msbench.training.layout import to_training_layout

_ENOUGH: Final = 1.0
"""Seconds of timed steps, and of one step at most, where the network allows it."""
_FEW: Final = 2
"""Samples of the steps of a network that is slow."""
_BESIDE: Final = 500_000
"""Bytes of a run's folder beside its weights: curves, pictures, records."""


@dataclass(frozen=True)
class Probe:
    """Seconds of dense training a sample, and bytes that a run leaves."""

    seconds: float
    size: int


def probe(plugins: Plugins, config: RunConfig, cache: Path) -> Probe | None:
    """Time forward and backward passes of a run's network on its data; None where the data are not ready."""
    device = resolve_device(config.engine.device)
    dataset, tasks, model = rebuild(plugins, config, initial=False)
    try:
        samples = dataset.samples("train", cache)
    except (UserError, OSError):
        return None
    to_training_layout(model, device)
    size = sum(value.nbytes for value in model.state_dict().values()) + _BESIDE
    with threads_of(config.engine.threads):
        few = _seconds(model, tasks, samples.batch_on(_first(_FEW, samples), device), config.training.amp)
        if few * config.training.batch > _ENOUGH and device.type == "cpu":
            return Probe(few, size)
        batch = samples.batch_on(_first(config.training.batch, samples), device)
        return Probe(_seconds(model, tasks, batch, config.training.amp), size)


def _first(count: int, samples: Samples) -> Tensor:
    return torch.arange(count) % len(samples)


def _seconds(model: MultiTaskModel, tasks: tuple[Task, ...], batch: Batch, amp: bool) -> float:
    """Seconds a sample: the mean of as many steps as fit into a moment, after one that does not count."""
    device = batch.image.device
    model.train()

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            outputs = model(batch.image)
        losses: list[Tensor] = [
            task.loss(outputs[task.name].float(), batch.target[task.name], batch.valid[task.name]) for task in tasks
        ]
        torch.stack(losses).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    step()
    begun, steps = time.perf_counter(), 0
    while steps == 0 or time.perf_counter() - begun < _ENOUGH:
        step()
        steps += 1
    return (time.perf_counter() - begun) / steps / len(batch)
