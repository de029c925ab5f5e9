"""Evaluation of a network, and of the best constant predictor, on one part of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from msbench.data.dataset import Batch, Samples
from msbench.tasks.task import Task

Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Evaluation:
    """Metrics and mean loss per task over a whole part."""

    metrics: Metrics
    losses: dict[str, float]

    def score(self, reference: Mapping[str, float]) -> float:
        """Mean over tasks of loss / reference loss; lower is better. Scale-free, so no task dominates."""
        ratios = [loss / max(reference[task], 1e-12) for task, loss in self.losses.items()]
        return sum(ratios) / len(ratios)


@torch.inference_mode()
def evaluate(
    model: nn.Module, samples: Samples, tasks: Sequence[Task], device: torch.device, size: int = 50
) -> Evaluation:
    """Run the model in eval mode over every sample, in order; its training mode is restored."""
    training = model.training
    model.eval()
    try:
        return _accumulate(samples, tasks, device, size, lambda batch: model(batch.image))
    finally:
        model.train(training)


@torch.inference_mode()
def evaluate_constant(
    constants: Mapping[str, Tensor], samples: Samples, tasks: Sequence[Task], device: torch.device, size: int = 50
) -> Evaluation:
    """The same for constant predictors, given as raw outputs [channels] per task."""

    def outputs(batch: Batch) -> dict[str, Tensor]:
        result = {}
        for task in tasks:
            spatial = batch.valid[task.name].shape[1:]
            shape = (len(batch), task.channels, *spatial)
            constant = constants[task.name].to(device)
            result[task.name] = constant.view(1, -1, *([1] * len(spatial))).expand(shape)
        return result

    return _accumulate(samples, tasks, device, size, outputs)


def _accumulate(
    samples: Samples,
    tasks: Sequence[Task],
    device: torch.device,
    size: int,
    predict: Callable[[Batch], Mapping[str, Tensor]],
) -> Evaluation:
    evaluators = {task.name: task.evaluator() for task in tasks}
    losses = {task.name: 0.0 for task in tasks}
    for start in range(0, len(samples), size):
        indices = torch.arange(start, min(start + size, len(samples)))
        batch = samples.batch_on(indices, device)
        outputs = predict(batch)
        for task in tasks:
            output, target, valid = outputs[task.name].float(), batch.target[task.name], batch.valid[task.name]
            evaluators[task.name].update(output, target, valid)
            losses[task.name] += float(task.loss(output, target, valid)) * len(batch) / len(samples)
    return Evaluation({name: evaluator.compute() for name, evaluator in evaluators.items()}, losses)


def constants(samples: Samples, tasks: Sequence[Task], limit: int = 1000) -> dict[str, Tensor]:
    """Raw output [channels] of each task's best constant predictor, from the first `limit` training samples."""
    batch = samples.batch(torch.arange(min(limit, len(samples))))
    return {task.name: task.constant(batch.target[task.name], batch.valid[task.name]) for task in tasks}
