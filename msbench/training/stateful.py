"""What callbacks keep from one step to the next, as plain values and tensors: no pickle."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from msbench.sparsity.mask import Mask


@runtime_checkable
class HasState(Protocol):
    """What `trainer.train(state=…)` takes: modules, torch's optimizers, and whatever derives from `Stateful`."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, as `load_state_dict` takes it."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Be again what `state_dict` described."""


class Stateful:
    """An object whose state is some of its attributes.

    changes: names of the attributes that change while a stage trains. Their values may be None, numbers, text,
    tensors, masks, lists, tuples, deques, dicts and counters of these, or objects that have a state of their own.
    """

    changes: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """The attributes by name, not copied."""
        return {name: getattr(self, name) for name in self.changes}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Set them. A tensor of the same shape is filled in place, since an optimizer may hold it as well."""
        for name in self.changes:
            setattr(self, name, _filled(getattr(self, name), state_dict[name]))


def declared(state: object) -> tuple[HasState, ...]:
    """What a sparsifier says its callbacks keep: one object or a tuple; None in it counts for nothing."""
    found = []
    for part in state if isinstance(state, tuple) else (state,):
        if part is not None and not isinstance(part, HasState):
            raise TypeError(
                f"state: {type(part).__name__} has no state_dict() and load_state_dict(); "
                "derive its class from msbench.api.Stateful"
            )
        if part is not None:
            found.append(part)
    return tuple(found)


def pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A value as plain JSON. Its tensors are added to `tensors`, by names that start with `name`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        # memory layout decides the last digits of sums, so it is kept
        dense = torch.empty_like(value, device="meta").stride()
        tensors[name] = value
        return {"tensor": name, "stride": list(dense), "device": str(value.device)}
    if isinstance(value, HasState):
        return pack(value.state_dict(), name, tensors)
    if type(value) in _SEQUENCES:
        items = [pack(item, f"{name}.{index}", tensors) for index, item in enumerate(value)]
        return {type(value).__name__: items, "longest": getattr(value, "maxlen", None)}
    if type(value) in _MAPPINGS:
        entries = enumerate(value.items())
        return {
            type(value).__name__: [[pack(k, "", {}), pack(v, f"{name}.{index}", tensors)] for index, (k, v) in entries]
        }
    raise TypeError(f"state: {name} is a {type(value).__name__}; see msbench.api.Stateful for what it may be")


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value that was packed; tensors with the memory layout, and on the device, that they had."""
    if not isinstance(packed, dict):
        return packed
    if "tensor" in packed:
        value = tensors[packed["tensor"]]
        empty = torch.empty_strided(value.shape, packed["stride"], dtype=value.dtype, device=packed["device"])
        return empty.copy_(value)
    kind, items = next(iter(packed.items()))
    for mapping in _MAPPINGS:
        if kind == mapping.__name__:
            return mapping({unpack(key, {}): unpack(item, tensors) for key, item in items})
    values = [unpack(item, tensors) for item in items]
    return deque(values, packed["longest"]) if kind == "deque" else tuple(values) if kind == "tuple" else values


_SEQUENCES = (list, tuple, deque)
_MAPPINGS = (dict, OrderedDict, Counter, Mask)


def _filled(current: Any, value: Any) -> Any:
    """`current` made to be `value`, or `value` itself where there is nothing to fill."""
    if isinstance(current, HasState) and isinstance(value, Mapping):
        current.load_state_dict(value)
        return current
    if isinstance(current, Tensor) and isinstance(value, Tensor) and current.shape == value.shape:
        with torch.no_grad():
            return current.copy_(value)
    if isinstance(current, dict) and isinstance(value, dict) and current.keys() == value.keys():
        for key in current:
            current[key] = _filled(current[key], value[key])
        return current
    return value
