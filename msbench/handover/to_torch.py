"""The torch format: safetensors with the network's description as metadata, and the loader beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, fx, nn

from msbench.handover import loader
from msbench.handover.describe import describe
from msbench.handover.errors import HandOverError
from msbench.handover.images import difference, outputs
from msbench.handover.saved import Saved, sizes

LOADER = "msbench_load.py"
"""What the loader is called beside a file."""


def write(network: nn.Module, aside: Path, path: Path, images: list[Tensor], about: Mapping[str, Any]) -> Saved:
    """Write `network` to `aside` and load it again; its outputs must be the same numbers."""
    assert isinstance(network, fx.GraphModule)
    found = describe(network)
    description = {
        "image": {"name": found.image, "shape": list(images[0].shape)},
        "layers": found.layers,
        "operations": found.operations,
        "outputs": found.outputs,
        "about": dict(about),
    }
    metadata = {
        "format": loader.FORMAT,
        "version": str(loader.VERSION),
        "network": json.dumps(description, separators=(",", ":")),
    }
    tensors = {name: value.clone(memory_format=torch.contiguous_format) for name, value in found.tensors.items()}
    aside.write_bytes(save(tensors, metadata))

    try:
        loaded = loader.load(aside)
    except loader.FileError as error:
        raise HandOverError(f"the torch format cannot hold this network: {error}") from error
    greatest, wrong = difference(
        [outputs(network, image) for image in images], [outputs(loaded, image) for image in images]
    )
    if wrong:
        raise HandOverError(f"torch: {wrong}")
    _write_loader(path.with_name(LOADER))
    notes = (f"the loader is beside it: {LOADER}",)
    return Saved(path, aside.stat().st_size, sizes(images), greatest, len(images), notes)


def _write_loader(path: Path) -> None:
    aside = path.with_name(f".{os.getpid()}-{path.name}")
    aside.write_bytes(Path(loader.__file__).read_bytes())
    aside.replace(path)
