"""Datasets of files: decoded once into memory-mapped arrays, then read at the speed of memory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from msbench.data.dataset import Dataset, Part, Progress, Samples
from msbench.data.packing import Packed, is_packed, pack
from msbench.errors import UserError


@dataclass(frozen=True)
class Item:
    """One sample before it is decoded.

    name: what messages and lists call it, unique in its part. files: all files that it is made of.
    row: its position where samples share a file.
    """

    name: str
    files: tuple[Path, ...]
    row: int = 0


@dataclass(frozen=True)
class Decoded:
    """One sample as it is stored: like a Batch without its batch dimension, in compact types.

    image: uint8 [3, H, W]. target, valid: by task name; uint8 labels become int64 in a batch, float16 float32.
    Every sample of a dataset has the same shapes and types.
    """

    image: Tensor
    target: Mapping[str, Tensor]
    valid: Mapping[str, Tensor]


class CorruptSampleError(UserError):
    """A sample that cannot be decoded; a dataset with `drops` leaves it out and counts it, others stop."""


class PackedDataset(Dataset):
    """A dataset that lies in files. A subclass says which samples there are and what one of them is.

    root: the data, in a layout that the subclass knows, or a folder that `msbench data prepare --out` wrote.
    version: raise it when `decode` gives something else. source: where to get the data: address, size, licence.
    drops: leave samples out that cannot be decoded (and report how many), instead of stopping.
    """

    version: ClassVar[int] = 1
    source: ClassVar[str]
    drops: ClassVar[bool] = False
    location: ClassVar[tuple[str, ...]] = ("root",)
    root: str

    @abstractmethod
    def index(self, root: Path) -> Mapping[Part, Sequence[Item]]:
        """The samples of every part, in a fixed order, without opening them; UserError names what is missing."""

    @abstractmethod
    def decode(self, item: Item) -> Decoded:
        """One sample with every task of `tasks()`; called from several threads. CorruptSampleError names the file."""

    def facts(self, root: Path) -> Mapping[str, str]:
        """What `msbench data info` says beside the counts, such as the layout that was found."""
        return {}

    def prepare(self, cache: Path, progress: Progress) -> None:
        root = self.folder()
        if is_packed(root):
            self.check(Packed.open(root))
            return
        index = self.index(root)
        pack(self, index, self._place(cache, root, index), progress)

    def samples(self, part: Part, cache: Path) -> Samples:
        return self.packed(cache).samples(part)

    def fingerprint(self, cache: Path) -> str:
        """Digest of the packed samples; before they are packed, of the files' names, sizes and dates."""
        root = self.folder()
        if is_packed(root):
            return Packed.open(root).digest
        index = self.index(root)
        place = self._place(cache, root, index)
        return Packed.open(place).digest if is_packed(place) else self._state(root, index)

    def packed(self, cache: Path) -> Packed:
        """The packed samples, after `prepare`."""
        root = self.folder()
        return Packed.open(root if is_packed(root) else self._place(cache, root, self.index(root)))

    def check(self, packed: Packed) -> None:
        """Whether a packed folder is of this dataset, with these parameters; UserError otherwise."""
        if packed.dataset != self.name:
            raise UserError(f"data.root: {packed.folder} holds {packed.dataset}, not {self.name}")
        for name, value in self.parameters().items():
            if packed.parameters.get(name) != value:
                found = packed.parameters.get(name)
                raise UserError(
                    f"data.{name}={value}: {packed.folder} was packed with {name}={found}; ask for that, or pack again"
                )

    def parameters(self) -> dict[str, object]:
        """The fields that decide what the samples are: all but those of `location`."""
        assert dataclasses.is_dataclass(self)
        fields = [field.name for field in dataclasses.fields(self) if field.name not in self.location]
        plain: dict[str, object] = json.loads(json.dumps({name: getattr(self, name) for name in fields}))
        return plain | {"version": self.version}

    def folder(self) -> Path:
        """`root` as an existing folder; UserError says where to get the data."""
        if not self.root:
            raise UserError(f"{self.name}: no data folder given; say data.root=FOLDER (the data: {self.source})")
        root = Path(self.root).expanduser()
        if not root.exists():
            raise UserError(f"data.root: {root} does not exist; it should be {self.source}")
        return root

    def _place(self, cache: Path, root: Path, index: Mapping[Part, Sequence[Item]]) -> Path:
        return cache / f"{self.name}-{self._state(root, index)[:16]}"

    def _state(self, root: Path, index: Mapping[Part, Sequence[Item]]) -> str:
        """sha256 of the parameters and of the names, sizes and dates of all files: another one is packed anew."""
        digest = hashlib.sha256(json.dumps(self.parameters(), sort_keys=True).encode())
        seen: dict[Path, str] = {}
        for part, items in index.items():
            for item in items:
                for file in item.files:
                    if file not in seen:
                        stat = file.stat()
                        seen[file] = f"{file.relative_to(root)} {stat.st_size} {stat.st_mtime_ns}"
                files = " ".join(seen[file] for file in item.files)
                digest.update(f"{part} {item.name} {item.row} {files}\n".encode())
        return digest.hexdigest()
