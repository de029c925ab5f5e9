"""A latency table: how long each layer takes by the input channels that it keeps, measured on one machine."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor, nn

from msbench.measure.flops import evaluating
from msbench.measure.noise import BUSY, conditions
from msbench.measure.timer import Timer
from msbench.sparsity.costs import Costs
from msbench.sparsity.groups import Groups

POINTS = 8
"""A layer is measured at one input channel and at so many numbers up to all; between them it is interpolated."""
ROUNDS = 9
_SHORTEST_S = 0.001
_PICOSECONDS = 1e12


@dataclass(frozen=True)
class LayerShape:
    """What decides how long a layer takes: its kind and sizes, and the shape [C, ...] of its input for one image."""

    kind: str
    inputs: int
    """Channels of the weight, dimension 1: of each of `groups`."""
    outputs: int
    image: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: str | tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    @classmethod
    def of(cls, module: nn.Module, given: Tensor) -> LayerShape:
        """Of a layer on an input [B, C, ...]."""
        image = tuple(given.shape[1:])
        if isinstance(module, nn.Linear):
            return cls("Linear", module.in_features, module.out_features, image)
        assert isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
        return cls(
            type(module).__name__,
            module.weight.shape[1],
            module.out_channels,
            image,
            module.kernel_size,
            module.stride,
            module.padding,
            module.dilation,
            module.groups,
        )

    @property
    def key(self) -> str:
        """A name for files: equal shapes, equal names."""
        return repr(tuple(vars(self).values()))

    def build(self, kept: int) -> tuple[nn.Module, tuple[int, ...]]:
        """The layer with `kept` input channels (a group), and its input's shape. With a bias: batch-norm is folded."""
        if self.kind == "Linear":
            return nn.Linear(kept, self.outputs), (*self.image[:-1], kept)
        convolution: Any = getattr(nn, self.kind)
        module = convolution(
            kept * self.groups,
            self.outputs,
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )
        return module, (kept * self.groups, *self.image[1:])

    def grid(self) -> list[int]:
        """The numbers of kept input channels that are measured."""
        return sorted({1, *(max(1, round(self.inputs * step / POINTS)) for step in range(1, POINTS + 1))})


@dataclass(frozen=True)
class LatencyTable:
    """Seconds of one forward of each layer shape on one image, at some numbers of kept input channels.

    machine: what it was measured on, and how. layers: a shape's key to (kept channels, seconds).
    """

    machine: Mapping[str, Any]
    layers: Mapping[str, tuple[Sequence[int], Sequence[float]]]

    def seconds(self, shape: LayerShape) -> np.ndarray:
        """By kept channels, [inputs + 1]: nothing without any, else linear between the points.

        What is measured is first made never to fall as channels are added, by the nearest such values (isotonic
        regression): a selection could otherwise gain by keeping more.
        """
        kept, measured = self.layers[shape.key]
        rising = isotonic_regression(measured).x
        return np.concatenate([[0.0], np.interp(np.arange(1, shape.inputs + 1), kept, rising)])

    def costs(self, groups: Groups, calls: Mapping[str, Sequence[LayerShape]]) -> Costs:
        """What each layer costs, in picoseconds; calls: layer name to each of its uses in one forward."""
        found = {}
        for layer in groups.layers:
            total = sum((self.seconds(shape) for shape in calls.get(layer.name, ())), np.zeros(layer.count + 1))
            found[layer.name] = np.rint(total * _PICOSECONDS).astype(np.int64)
        return Costs("latency", found, self.digest)

    @property
    def warning(self) -> str:
        """Why it should not be trusted; empty when nothing is known against it."""
        share = self.machine.get("cpu_share")
        if share is None or share >= BUSY:
            return ""
        return f"the latency table was measured on a busy machine: it had a processor for {share:.0%} of the time"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of machine and times."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True).encode()).hexdigest()

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "machine": dict(self.machine),
            "layers": {key: [list(kept), list(seconds)] for key, (kept, seconds) in self.layers.items()},
        }

    @classmethod
    def of_plain(cls, value: Mapping[str, Any]) -> LatencyTable:
        """What `plain` gave."""
        layers = {key: (tuple(kept), tuple(seconds)) for key, (kept, seconds) in value["layers"].items()}
        return cls(value["machine"], layers)


def layer_calls(model: nn.Module, image: Tensor) -> dict[str, list[LayerShape]]:
    """Each convolution and linear layer's uses in one forward on `image` [B, 3, H, W], in order."""
    calls: dict[str, list[LayerShape]] = {}
    handles = []
    for layer in Groups.of(model, "model").layers:

        def note(module: nn.Module, given: tuple[Tensor, ...], name: str = layer.name) -> None:
            calls.setdefault(name, []).append(LayerShape.of(module, given[0]))

        handles.append(model.get_submodule(layer.name).register_forward_pre_hook(note))
    try:
        with evaluating(model), torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def measure_table(shapes: Sequence[LayerShape], machine: Mapping[str, Any], device: str = "cpu") -> LatencyTable:
    """Time every shape at every point of its grid, in rounds over all of them, each round in another order.

    float32, one image, as many threads as torch is set to. The least over the rounds counts: whatever else runs can
    only add to it. Start the process with `allocator_environment()`, and nothing beside it.
    """
    timers: dict[tuple[str, int], Timer] = {}
    for shape in {shape.key: shape for shape in shapes}.values():
        for kept in shape.grid():
            module, size = shape.build(kept)
            image = torch.zeros(1, *size, device=device)
            timers[shape.key, kept] = Timer(module.to(device).eval(), image, shortest_s=_SHORTEST_S)
    with torch.inference_mode():
        for timer in timers.values():
            timer.warm_up(5)
        times: dict[tuple[str, int], list[float]] = {point: [] for point in timers}
        for index in range(ROUNDS):
            for point in random.Random(index).sample(list(timers), len(timers)):
                times[point].append(timers[point].seconds())
    layers: dict[str, tuple[list[int], list[float]]] = {}
    for (key, kept), seconds in times.items():
        points, least = layers.setdefault(key, ([], []))
        points.append(kept)
        least.append(min(seconds))
    share = conditions(None, [pair for timer in timers.values() for pair in timer.spent], []).cpu_share
    how = {"rounds": ROUNDS, "batch": 1, "dtype": "float32", "cpu_share": None if share is None else round(share, 3)}
    return LatencyTable({**machine, **how}, layers)
