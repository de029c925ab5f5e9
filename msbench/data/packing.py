"""The packed folder: one safetensors file an array, memory-mapped, with a manifest of checksums."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from msbench.data.cache import build_once
from msbench.data.dataset import Part, Progress, TensorSamples

if TYPE_CHECKING:
    from msbench.data.packed import Decoded, Item, PackedDataset

MANIFEST: Final = "packed.json"


def is_packed(folder: Path) -> bool:
    """Whether a folder is a finished packed dataset."""
    return (folder / MANIFEST).is_file()


@dataclass(frozen=True)
class Packed:
    """A packed dataset on disk: its manifest, and its parts as memory-mapped samples."""

    folder: Path
    dataset: str
    parameters: Mapping[str, Any]
    counts: Mapping[str, int]
    checksums: Mapping[str, str]

    @classmethod
    def open(cls, folder: Path) -> Self:
        plain = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return cls(folder, plain["dataset"], plain["parameters"], plain["counts"], plain["checksums"])

    @property
    def digest(self) -> str:
        """Of every stored byte: equal on every machine that packed the same samples."""
        return hashlib.sha256(json.dumps(dict(self.checksums), sort_keys=True).encode()).hexdigest()

    def samples(self, part: Part) -> TensorSamples:
        """One part; its arrays stay on disk until they are read."""
        arrays = {file.stem: load_file(file)["data"] for file in sorted((self.folder / part).glob("*.safetensors"))}

        def below(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

        return TensorSamples(arrays["image"], below("target."), below("valid."))


def pack(dataset: PackedDataset, index: Mapping[Part, Sequence[Item]], folder: Path, progress: Progress) -> None:
    """Decode every sample into `folder`, which is there whole or not at all."""
    build_once(folder, lambda aside: _write(dataset, index, aside, progress))


def _write(dataset: PackedDataset, index: Mapping[Part, Sequence[Item]], aside: Path, progress: Progress) -> None:
    total, done = sum(map(len, index.values())), 0
    checksums: dict[str, str] = {}
    for part, items in index.items():
        rows = []
        for item in items:
            rows.append(_arrays(dataset.decode(item)))
            done += 1
            progress(done, total, f"packing {dataset.name}")
        (aside / part).mkdir()
        for name in rows[0]:
            file = aside / part / f"{name}.safetensors"
            save_file({"data": torch.stack([row[name] for row in rows])}, file)
            checksums[f"{part}/{name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest = {
        "dataset": dataset.name,
        "parameters": dataset.parameters(),
        "counts": {part: len(items) for part, items in index.items()},
        "checksums": checksums,
    }
    partial = aside / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    os.replace(partial, aside / MANIFEST)


def _arrays(sample: Decoded) -> dict[str, Tensor]:
    """A sample as the arrays that are stored."""
    target = {f"target.{name}": value for name, value in sample.target.items()}
    return {"image": sample.image} | target | {f"valid.{name}": value for name, value in sample.valid.items()}
