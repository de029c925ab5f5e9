"""What a run's layers cost in the unit of its budget; latency tables, measured once a machine and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from msbench.config import RunConfig
from msbench.data.cache import build_once
from msbench.errors import UserError
from msbench.measure.flops import layer_multiply_adds
from msbench.measure.table import LatencyTable, LayerShape, layer_calls, measure_table
from msbench.plugins import Plugins
from msbench.runs.build import rebuild
from msbench.runs.identity.provenance import environment
from msbench.sparsity.budget import Budget
from msbench.sparsity.costs import Costs
from msbench.sparsity.groups import Groups

FOLDER = "latency-tables"
TABLE = "latency_table.json"


def budget_of(
    config: RunConfig, target: float | None, model: nn.Module, image: Sequence[int], device: torch.device, cache: Path
) -> tuple[Budget, LatencyTable | None]:
    """The budget of a run, and the latency table that it counts by. image: [C, H, W].

    Raises UserError where the target is out of reach while every layer keeps a group, in a unit other than weights.
    """
    asked = config.budget
    groups = Groups.of(model, asked.scope)
    table = None
    if asked.unit == "latency":
        calls = layer_calls(model, torch.zeros(1, *image, device=device))
        table = latency_table(calls, str(device), config.engine.threads, cache)
        costs = table.costs(groups, calls)
    elif asked.unit == "macs":
        costs = multiply_add_costs(model, groups, image, device)
    else:
        costs = Costs.of_weights(groups)
    if costs.total == 0:
        raise UserError(f"budget.unit={asked.unit}: no layer of the {asked.scope} runs on an image")
    most = 1 - costs.least() / costs.total
    if asked.unit != "params" and target is not None and target > most:
        raise UserError(
            f"budget.unit={asked.unit}: {target:.1%} cannot be removed, at most {most:.1%}: "
            "that leaves one input channel in every layer"
        )
    return Budget(asked.mode, asked.scope, groups, target, costs), table


def multiply_add_costs(model: nn.Module, groups: Groups, image: Sequence[int], device: torch.device) -> Costs:
    """Multiply-adds on one image [C, H, W]."""
    return Costs.of_multiply_adds(groups, layer_multiply_adds(model, torch.zeros(1, *image, device=device)))


def latency_table(calls: Mapping[str, Sequence[LayerShape]], device: str, threads: int, cache: Path) -> LatencyTable:
    """The table of these layers on this machine: from the cache, or measured now, by one process at a time."""
    shapes = {shape.key: shape for uses in calls.values() for shape in uses}
    machine = _machine(device, threads)
    identity = json.dumps([machine, sorted(shapes)], sort_keys=True)
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]

    def build(aside: Path) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            table = measure_table(list(shapes.values()), machine, device)
        finally:
            torch.set_num_threads(before)
        save_table(table, aside / TABLE)

    return read_table(build_once(cache / FOLDER / name, build) / TABLE)


def save_table(table: LatencyTable, path: Path) -> None:
    """Write a table as JSON."""
    path.write_text(json.dumps(table.plain(), indent=1) + "\n", encoding="utf-8")


def read_table(path: Path) -> LatencyTable:
    """The table in a file; UserError where it is not one."""
    try:
        return LatencyTable.of_plain(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a latency table ({error}); remove its folder and run again") from error


def prepare_table(plugins: Plugins, config: RunConfig, cache: Path, device: torch.device) -> None:
    """Measure the table that a run needs, unless the cache has it: in a quiet process, before anything trains."""
    dataset, _, model = rebuild(plugins, config, initial=False)
    dataset.prepare(cache, lambda done, total, what: None)
    image = dataset.samples("test", cache).batch(torch.tensor([0])).image
    calls = layer_calls(model.to(device), image.float().to(device))
    latency_table(calls, str(device), config.engine.threads, cache)


def _machine(device: str, threads: int) -> dict[str, Any]:
    """What a table depends on beside the layers."""
    found = environment(device, threads)
    kept = ("cpu", "cores", "device", "threads", "gpu", "cuda", "cudnn")
    return {**{key: found[key] for key in kept if key in found}, "torch": torch.__version__}
