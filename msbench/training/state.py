"""The complete state of training: what it takes to go on as if nothing had happened in between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from msbench.sparsity.mask import Mask
from msbench.training.checkpoint import Snapshot
from msbench.training.view import View

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer


@dataclass(frozen=True)
class State:
    """The state of a trainer at one moment.

    tensors: weights, buffers, the optimizer's moments, loss weights, the data stream, generators, the mask, the
    history, the best checkpoint. facts: the rest as plain JSON.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def digest(self) -> str:
        """SHA-256 of every name, number and fact."""
        digest = hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode())
        for name, value in sorted(self.tensors.items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            # a single entry may be contiguous with any stride, which a view as bytes does not take
            flat = value.detach().cpu().contiguous().as_strided((value.numel(),), (1,))
            digest.update(flat.view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def copied(self, **facts: Any) -> State:
        """Copies in the CPU's memory, with more facts."""
        copies = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in self.tensors.items()}
        return State(copies, {**self.facts, **facts})


def state_of(trainer: Trainer) -> State:
    """The trainer's state now; the tensors are its own."""
    best, mask, history = trainer._validation.best.snapshot, trainer.mask, trainer.history
    columns, names = history.columns()
    tensors = {
        **_named("model", trainer.model.state_dict()),
        **_named("balancer", trainer.balancer.state_dict()),
        **_named("optimizer", trainer.optimizer.tensors()),
        **_named("stream", trainer._stream.state()),
        **{f"random.{index}": state for index, state in enumerate(trainer._randomness.states)},
        "generator": trainer.generator.get_state(),
        **_named("mask", mask or {}),
        **_named("history", columns),
        **(_named("best", best.state_dict()) if best is not None else {}),
    }
    facts = {
        "step": history.step,
        "samples": history.samples,
        "names": names,
        "spent": trainer.allowance.spent,
        "validation": trainer._validation.facts(),
        "natural": trainer.natural,
        "masked": list(mask) if mask is not None else None,
        "plain_view": type(trainer.view) is View,
    }
    return State(tensors, facts)


def put(trainer: Trainer, state: State) -> None:
    """Make the trainer what it was when the state was taken."""
    tensors, facts = state.tensors, state.facts
    trainer.model.load_state_dict(_part("model", tensors))
    trainer.balancer.load_state_dict(_part("balancer", tensors))
    trainer.optimizer.load(_part("optimizer", tensors))
    trainer.mask = None
    if facts["masked"] is not None:
        trainer.mask = Mask({name: tensors[f"mask.{name}"] for name in facts["masked"]})
        trainer.optimizer.hold(trainer.mask)
    if facts["plain_view"]:
        trainer.view = View()
    trainer._stream.load(_part("stream", tensors))
    trainer._randomness.states = list(_part("random", tensors).values())
    trainer.generator.set_state(tensors["generator"])
    best = _part("best", tensors)
    trainer._validation.restore(facts["validation"], Snapshot.of(best, trainer.device) if best else None)
    trainer.history.restore(facts["step"], facts["samples"], _part("history", tensors), facts["names"])
    trainer.allowance.spent = facts["spent"]
    trainer.natural = facts["natural"]


def structure(trainer: Trainer) -> str:
    """What a network is beside its numbers: modules, their modes, what is trained, and which of them have hooks."""
    found = []
    for module in (trainer.model, trainer.balancer):
        modes = [(part.training, hooked(part)) for part in module.modules()]
        found.append((repr(module), modes, [parameter.requires_grad for parameter in module.parameters()]))
    return hashlib.sha256(repr(found).encode()).hexdigest()


def hooked(module: nn.Module) -> bool:
    """Whether code of others runs with this module."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or any(parameter._backward_hooks for parameter in module.parameters(recurse=False))


def any_hooked(trainer: Trainer) -> bool:
    """Whether code of others runs with any module of the network or the loss balancer."""
    return any(hooked(module) for module in (*trainer.model.modules(), *trainer.balancer.modules()))


def _named(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{part}.{name}": value for name, value in tensors.items()}


def _part(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in sorted(tensors.items()) if name.startswith(prefix)}
