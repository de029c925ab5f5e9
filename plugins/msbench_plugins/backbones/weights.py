"""Initial weights from a local file: a backbone's `weights=` field, and how the file's names are matched."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from msbench.api import Backbone, BackboneModule, UserError

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Under which keys a checkpoint may keep its state dict."""
_PREFIXES = ("module.", "model.", "backbone.", "encoder.")
"""What may stand before a name, where a larger module was saved."""
_SHOWN = 4


@dataclass
class FileBackbone(Backbone):
    """A backbone whose initial weights may come from a file.

    weights: a local state dict, .safetensors or .pth (`model.state_dict()` as torch saves it), instead of fresh
        weights; empty for those. Nothing is ever downloaded.
    """

    location: ClassVar[tuple[str, ...]] = ("weights",)
    weights: str = ""

    def build(self) -> BackboneModule:
        network = self.fresh()
        if self.weights:
            load_weights(network, Path(self.weights), self.aliases)
        return network

    @abstractmethod
    def fresh(self) -> BackboneModule:
        """A freshly initialised module."""

    def aliases(self, key: str) -> Iterable[str]:
        """Further names that the file may have for the module's `key`: those of the library it comes from."""
        return ()


def load_weights(network: BackboneModule, path: Path, aliases: Callable[[str], Iterable[str]]) -> None:
    """Copy the file's values into `network`; its own names come first, then their aliases.

    A prefix of `_PREFIXES` is taken off before: with `backbone.`, only what has it counts, so that a whole
    multi-task network may be given. Every parameter and buffer of the network must be in the file with its shape,
    but for batch-norm's step counters; else UserError. What the file has beyond that is named in a warning.
    """
    given = _without_prefix(read_state(path))
    own = network.state_dict()
    names = {key: next((name for name in (key, *aliases(key)) if name in given), None) for key in own}
    found = {key: given[name] for key, name in names.items() if name is not None}
    missing = [key for key in own if key not in found and not key.endswith("num_batches_tracked")]
    if missing:
        raise UserError(
            f"model.backbone.weights={path}: {len(missing)} of {len(own)} values are missing: {_some(missing)}; "
            f"the file has {_some(given)}"
        )
    for key, value in found.items():
        if value.shape != own[key].shape:
            raise UserError(
                f"model.backbone.weights={path}: {names[key]} has shape {list(value.shape)}, "
                f"the backbone's {key} has {list(own[key].shape)}: the file is of another network"
            )
    network.load_state_dict({**own, **found})
    unused = [name for name in given if name not in set(names.values())]
    if unused:
        warnings.warn(f"{path}: {len(unused)} values were not used: {_some(unused)}", stacklevel=2)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a state dict by torch.save, on the CPU. UserError if it has none."""
    where = f"model.backbone.weights={path}"
    if not path.is_file():
        raise UserError(f"{where}: no such file")
    try:
        state: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # damaged files, and files with code in them, fail in many ways
        first_line = str(error).strip().split("\n", 1)[0]
        raise UserError(
            f"{where}: no state dict of tensors; save model.state_dict() alone ({type(error).__name__}: {first_line})"
        ) from error
    while isinstance(state, Mapping) and (inner := next((k for k in _WRAPPERS if _is_state(state.get(k))), None)):
        state = state[inner]
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, Mapping) else {}
    if not tensors:
        raise UserError(f"{where}: has no tensors by name; save model.state_dict()")
    return tensors


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if inner:
            return _without_prefix(inner)
    return dict(state)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (", …" if len(listed) > _SHOWN else "")
