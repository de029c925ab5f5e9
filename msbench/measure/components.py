"""A network's parts, to be timed one by one: the backbone, and the head of each task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.passes.split_module import split_module

from msbench.measure.noise import Clock, SystemClock
from msbench.measure.timer import Timer

BACKBONE = "backbone"
_ROUNDS = 7


@dataclass(frozen=True)
class Component:
    """One part and what it is given: calling it is calling the part."""

    module: nn.Module
    inputs: tuple[Any, ...]

    def __call__(self, _: Tensor) -> object:
        return self.module(*self.inputs)


def split(network: nn.Module, image: Tensor) -> dict[str, Component]:
    """The parts of a traced network (`compact`, `fold_batchnorm`), with what each is given on `image` [B, 3, H, W].

    An operation without a name of its own belongs to the head whose values it reads, else to the backbone. Empty where
    the network is not traced, or its parts do not follow one another.
    """
    if not isinstance(network, fx.GraphModule):
        return {}
    owners: dict[fx.Node, str] = {}
    for node in network.graph.nodes:
        owners[node] = _owner(node, owners)
    names = sorted(set(owners.values()))
    try:
        parts = split_module(network, network, lambda node: names.index(owners[node]))
    except Exception:  # a part that needs another, and is needed by it: not to be timed by itself
        return {}
    given: dict[str, tuple[Any, ...]] = {}

    class Recorder(fx.Interpreter):
        def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            given[target] = args
            return super().call_module(target, args, kwargs)

    with torch.inference_mode():
        Recorder(parts).run(image)
    owner_of = {f"submod_{index}": name for index, name in enumerate(names)}
    return {owner_of[target]: Component(parts.get_submodule(target), args) for target, args in given.items()}


def component_seconds(
    networks: Mapping[str, nn.Module], image: Tensor, budget_s: float, clock: Clock | None = None
) -> dict[str, dict[str, float]]:
    """Median seconds of each part of each network: part to {network: seconds}; only parts that all of them have.

    All parts of all networks are timed in turn, in rounds, for about `budget_s` but at least 7 rounds.
    """
    clock = clock or SystemClock()
    found = {name: split(network, image) for name, network in networks.items()}
    shared = [part for part in next(iter(found.values())) if all(part in parts for parts in found.values())]
    timers = {(part, name): Timer(found[name][part], image, clock) for part in shared for name in networks}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in timers}
    with torch.inference_mode():
        for timer in timers.values():
            timer.warm_up(5)
        begin = clock.wall()
        while timers and (len(times[next(iter(timers))]) < _ROUNDS or clock.wall() - begin < budget_s):
            for key, timer in timers.items():
                times[key].append(timer.seconds())
    return {part: {name: float(np.median(times[part, name])) for name in networks} for part in shared}


def _owner(node: fx.Node, owners: Mapping[fx.Node, str]) -> str:
    named = re.match(r"heads\.([^.]+)", str(node.target)) if node.op in ("call_module", "get_attr") else None
    if named:
        return f"heads.{named[1]}"
    heads = {owners[source] for source in node.all_input_nodes} - {BACKBONE}
    return heads.pop() if len(heads) == 1 and node.op != "output" else BACKBONE
