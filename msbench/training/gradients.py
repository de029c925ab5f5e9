"""Gradients that methods rank by; taking them leaves no trace on the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from msbench.data.dataset import Batch

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer


@contextmanager
def scoring(trainer: Trainer) -> Iterator[None]:
    """What goes forward and backward inside leaves buffers (batch-norm) and gradients as they were."""
    kept = {name: buffer.clone() for name, buffer in trainer.model.named_buffers()}
    trainer.optimizer.zero_grad()
    try:
        yield
    finally:
        trainer.optimizer.zero_grad()
        with torch.no_grad():
            for name, buffer in trainer.model.named_buffers():
                buffer.copy_(kept[name])


def mean_gradients(trainer: Trainer, batches: int) -> dict[str, Tensor]:
    """Mean gradient of the balanced loss per prunable layer over `batches` training batches, which are spent."""
    total: dict[str, Tensor] = {name: torch.zeros_like(weight) for name, weight in trainer.weights.items()}
    with scoring(trainer):
        for _ in range(batches):
            trainer.backward(trainer.next_batch())
            for name, weight in trainer.weights.items():
                if weight.grad is not None:
                    total[name] += weight.grad.detach() / batches
    return total


def task_gradients(trainer: Trainer, batch: Batch) -> dict[str, dict[str, Tensor]]:
    """Gradient of each task's own loss per prunable layer on one batch, forward once; zeros where it has none."""
    trainer.allowance.spend(len(batch) * (len(trainer.tasks) - 1))
    weights = trainer.weights
    with scoring(trainer):
        losses = trainer.losses(batch)
        found = {
            task: torch.autograd.grad(loss, list(weights.values()), retain_graph=True, allow_unused=True)
            for task, loss in losses.items()
        }
    return {
        task: {
            name: torch.zeros_like(weight) if g is None else g.detach()
            for (name, weight), g in zip(weights.items(), gradients, strict=True)
        }
        for task, gradients in found.items()
    }
