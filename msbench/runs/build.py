"""From a run's configuration to objects: dataset, tasks, model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from msbench.config import ModelConfig, PartConfig, RunConfig, build_part
from msbench.data.dataset import Dataset
from msbench.errors import UserError
from msbench.models.base import BackboneModule
from msbench.models.multitask import MultiTaskModel, SeparateModel
from msbench.plugins import Plugins
from msbench.tasks.task import Task


def build_dataset(plugins: Plugins, data: PartConfig) -> Dataset:
    """The dataset plugin with its parameters."""
    dataset: Dataset = build_part(plugins.get("dataset", data.name), data.params)
    return dataset


def build_tasks(dataset: Dataset, names: tuple[str, ...]) -> tuple[Task, ...]:
    """The tasks of a run, in the dataset's order."""
    return tuple(task for task in dataset.tasks() if task.name in names)


def build_model(
    plugins: Plugins, config: ModelConfig, tasks: tuple[Task, ...], seed: int, separate: bool = False
) -> MultiTaskModel:
    """A freshly initialised network; its weights depend on the seed alone.

    separate: one whole network a task. torch's default generator is used and put back as it was.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone: BackboneModule = build_part(
            plugins.get("backbone", config.backbone.name), config.backbone.params
        ).build()
        heads: dict[str, nn.Module] = {}
        for task in tasks:
            part = config.head if task.head == "dense" else config.vector_head
            head = build_part(plugins.get("head", part.name), part.params)
            heads[task.name] = head.build(backbone, task.channels)
    kind = SeparateModel if separate else MultiTaskModel
    return kind(backbone, heads, dense=[task.name for task in tasks if task.head == "dense"])


def rebuild(
    plugins: Plugins, config: RunConfig, *, initial: bool = True
) -> tuple[Dataset, tuple[Task, ...], MultiTaskModel]:
    """Everything that a stored configuration describes, with initial weights.

    initial: False where the caller loads weights anyway: then no file of weights is needed.
    """
    dataset = build_dataset(plugins, config.data)
    tasks = build_tasks(dataset, config.tasks)
    separate: bool = plugins.get("sparsifier", config.sparsifier.base).cls.separate  # type: ignore[attr-defined]
    model = config.model
    if not initial:
        params = {k: v for k, v in model.backbone.params.items() if k not in _files(plugins, model)}
        model = model.model_copy(update={"backbone": PartConfig(name=model.backbone.name, params=params)})
    return dataset, tasks, build_model(plugins, model, tasks, config.seed, separate)


def model_identity(plugins: Plugins, config: ModelConfig) -> dict[str, Any]:
    """The model's configuration with `sha256:…` of each file of weights in place of its path."""
    settled = config.model_dump(mode="json")
    params = settled["backbone"]["params"]
    for name in _files(plugins, config):
        path = params[name]
        if path:
            if not Path(path).is_file():
                raise UserError(f"model.backbone.{name}={path}: no such file")
            with Path(path).open("rb") as file:
                params[name] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return settled


def _files(plugins: Plugins, config: ModelConfig) -> tuple[str, ...]:
    """The backbone's fields that name files of weights."""
    location: tuple[str, ...] = plugins.get("backbone", config.backbone.name).cls.location  # type: ignore[attr-defined]
    return location


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of every parameter and buffer, by name."""
    return _digest(model.state_dict())


def initial_digest(model: MultiTaskModel) -> str:
    """The same for fresh weights, as those of one shared backbone: equal starts, equal digests."""
    return _digest(model.shared_state())


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
