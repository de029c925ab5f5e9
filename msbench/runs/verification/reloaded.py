"""A finished run, built again from what lies in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from msbench.config import RunConfig, user_error
from msbench.data.dataset import PARTS, Dataset, Part, Samples
from msbench.errors import UserError
from msbench.measure.table import layer_calls
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import Plugins
from msbench.records.record import MetricValue, ProofPart, Record
from msbench.runs.build import rebuild
from msbench.runs.describe import metric_values
from msbench.runs.execute import resolve_device
from msbench.runs.finish import proof_of
from msbench.runs.identity.provenance import environment
from msbench.runs.units import TABLE, multiply_add_costs, read_table
from msbench.sparsity.compaction import Compaction, compact
from msbench.sparsity.costs import Costs
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench.tasks.task import Task
from msbench.training.evaluate import constants, evaluate, evaluate_constant
from msbench.training.layout import to_training_layout

MACHINE = ("system", "cpu", "device", "threads", "gpu", "cuda", "cudnn")
"""What must be the same, beside the packages, for the same numbers to the last digit."""


@dataclass(frozen=True)
class Reloaded:
    """A run's network with its weights, its mask and its data. `record` is what it claims, and is trusted in nothing.

    machine: this one, as `environment` describes it.
    """

    plugins: Plugins
    record: Record
    folder: Path
    config: RunConfig
    dataset: Dataset
    tasks: tuple[Task, ...]
    model: MultiTaskModel
    mask: Mask | None
    parts: Mapping[Part, Samples]
    cache: Path
    device: torch.device
    machine: Mapping[str, Any]

    @classmethod
    def of(cls, plugins: Plugins, record: Record, folder: Path, cache: Path) -> Reloaded:
        """Read weights, mask and data; UserError says which of them cannot be read."""
        config = config_of(record)
        device = resolve_device(config.engine.device)
        dataset, tasks, model = rebuild(plugins, config, initial=False)
        load_weights(model, folder / "model.safetensors")
        dataset.prepare(cache, lambda done, total, what: None)
        parts = {part: dataset.samples(part, cache) for part in PARTS}
        machine = environment(str(device), config.engine.threads)
        mask = load_mask(folder / "mask.safetensors")
        return cls(plugins, record, folder, config, dataset, tasks, model.eval(), mask, parts, cache, device, machine)

    @property
    def image(self) -> tuple[int, ...]:
        """Channels, height and width of the data's images."""
        return tuple(self.parts["test"].batch(torch.tensor([0])).image.shape[1:])

    @property
    def example(self) -> Tensor:
        """The image [1, C, H, W] that a run is measured on."""
        return torch.rand(1, *self.image, generator=torch.Generator().manual_seed(0))

    @property
    def same_machine(self) -> bool:
        """Whether a number should come out to the last digit."""
        then = self.record.environment
        return all(then.get(key) == self.machine.get(key) for key in MACHINE) and (
            then.get("packages", {}).get("torch") == self.machine["packages"]["torch"]
        )

    @cached_property
    def groups(self) -> Groups:
        return Groups.of(self.model, self.config.budget.scope)

    @cached_property
    def priced(self) -> Costs:
        """What the layers cost in the budget's unit."""
        unit = self.config.budget.unit
        if unit == "macs":
            return self.multiply_adds
        if unit == "latency":
            calls = layer_calls(self.model, torch.zeros(1, *self.image))
            return read_table(self.folder / TABLE).costs(self.groups, calls)
        return Costs.of_weights(self.groups)

    @cached_property
    def multiply_adds(self) -> Costs:
        return multiply_add_costs(self.model, self.groups, self.image, torch.device("cpu"))

    @cached_property
    def compaction(self) -> Compaction:
        return compact(self.model, self.mask if self.mask is not None else Mask({}), self.example)

    @cached_property
    def proof(self) -> ProofPart:
        return proof_of(self.model, self.compaction, self.example)

    def measured(self, part: Part) -> dict[str, dict[str, MetricValue]]:
        """Every metric of the stored weights on one part of the data, beside the constant predictor's."""
        samples = self.parts[part]
        floor = constants(self.parts["train"], self.tasks)
        with placed(self.model, self.device):
            found = evaluate(self.model, samples, self.tasks, self.device)
        return metric_values(found, evaluate_constant(floor, samples, self.tasks, self.device), self.tasks)


def config_of(record: Record) -> RunConfig:
    """A record's configuration; UserError where it is none."""
    try:
        return RunConfig.model_validate(record.config)
    except ValidationError as error:
        raise user_error(error, f"{record.run_id}: config") from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Put a run's weights into its network; UserError where they are damaged or of another network."""
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(f"{path}: not this run's weights: {_first_line(error)}") from error


def load_mask(path: Path) -> Mask | None:
    """A run's mask; None where it removed nothing."""
    if not path.is_file():
        return None
    try:
        return Mask.load(path)
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(f"{path}: not a mask: {_first_line(error)}") from error


@contextmanager
def placed(model: MultiTaskModel, device: torch.device) -> Iterator[None]:
    """The network on the device and in the layout that it was trained in, and back."""
    to_training_layout(model, device)
    try:
        yield
    finally:
        model.to(torch.device("cpu"), memory_format=torch.contiguous_format)  # type: ignore[call-overload]


@contextmanager
def as_in_runs(threads: int) -> Iterator[None]:
    """Threads and denormals as a run's own process has them."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
