"""Backbones, heads and loss balancers as subjects: built from a seed, in a network with toy parts around them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import nn

from msbench.conformance.subject import Subject
from msbench.conformance.toy import TASKS, ToyBackbone, with_heads
from msbench.conformance.watch import Watch, watched_generators
from msbench.models.base import BackboneModule
from msbench.models.multitask import MultiTaskModel

Size = tuple[int, int]


class NetworkSubject(Subject):
    """What backbones and heads have in common."""

    watch: Watch

    @abstractmethod
    def module(self, seed: int, **changes: Any) -> nn.Module:
        """A fresh module of this plugin, made with torch's default generator at this seed."""

    @abstractmethod
    def network(self, seed: int = 0) -> MultiTaskModel:
        """A whole network that it is part of."""

    @abstractmethod
    def sizes(self) -> tuple[Size, Size]:
        """Two image sizes to try it on."""

    @abstractmethod
    def part(self, network: MultiTaskModel) -> nn.Module:
        """This plugin's module in a network."""


class BackboneSubject(NetworkSubject):
    """A backbone, under toy heads."""

    def attempt(self, instance: Any) -> None:
        with watched_generators(Watch()):
            instance.build()

    def module(self, seed: int, **changes: Any) -> BackboneModule:
        instance = self.create(**changes)
        self.watch = Watch()
        with watched_generators(self.watch):
            torch.manual_seed(seed)
            module: BackboneModule = instance.build()
        return module

    def network(self, seed: int = 0) -> MultiTaskModel:
        module = self.module(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return with_heads(module)

    def sizes(self) -> tuple[Size, Size]:
        stride = max(self.module(0).strides)
        return (2 * stride, 3 * stride), (4 * stride, 3 * stride)

    def part(self, network: MultiTaskModel) -> nn.Module:
        return network.backbone


class HeadSubject(NetworkSubject):
    """A head, on the toy backbone."""

    def attempt(self, instance: Any) -> None:
        with watched_generators(Watch()):
            instance.build(ToyBackbone(), 3)

    def module(self, seed: int, channels: int = 3, **changes: Any) -> nn.Module:
        instance = self.create(**changes)
        self.watch = Watch()
        with torch.random.fork_rng(devices=[]):
            backbone = ToyBackbone()
        with watched_generators(self.watch):
            torch.manual_seed(seed)
            module: nn.Module = instance.build(backbone, channels)
        return module

    def network(self, seed: int = 0) -> MultiTaskModel:
        head = self.module(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return MultiTaskModel(ToyBackbone(), {"task": head}, ["task"] if self.cls.kind == "dense" else [])

    def sizes(self) -> tuple[Size, Size]:
        return (32, 48), (40, 24)

    def part(self, network: MultiTaskModel) -> nn.Module:
        return network.heads["task"]


class BalancerSubject(Subject):
    """A loss balancer of the toy tasks."""

    def balancer(self) -> nn.Module:
        """A fresh one."""
        module: nn.Module = self.cls([task.name for task in TASKS])
        return module

    def attempt(self, instance: Any) -> None:
        instance({task.name: torch.tensor(1.0) for task in TASKS})
