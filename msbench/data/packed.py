"""Datasets of files: decoded once into memory-mapped arrays, then read at the speed of memory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from msbench.data.dataset import PARTS, Dataset, Part, Progress, Samples
from msbench.data.manifest import Packed, is_packed
from msbench.data.packing import CorruptSampleError, check_index, pack
from msbench.errors import UserError

__all__ = ["CorruptSampleError", "Decoded", "Item", "PackedDataset"]


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

    image: uint8 [3, H, W]. target, valid: by task name. In a batch uint8 labels become int64, float16 and bool
    targets float32. Every sample of a dataset has the same shapes and types. `valid` is bool, [H, W] or [].
    """

    image: Tensor
    target: Mapping[str, Tensor]
    valid: Mapping[str, Tensor]


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
    _ready: Path | None = None
    """The packed folder that `prepare` has found or made."""

    @abstractmethod
    def index(self, root: Path) -> Mapping[Part, Sequence[Item]]:
        """The samples of every part, in a fixed order, without opening them; UserError names what is missing."""

    @abstractmethod
    def decode(self, item: Item) -> Decoded:
        """One sample with every task of `tasks()`; called from several threads. CorruptSampleError names the file."""

    def facts(self, root: Path) -> Mapping[str, str]:
        """What `msbench data info` says beside the counts, such as the layout that was found."""
        return {}

    def describe(self, root: Path) -> Mapping[str, Any]:
        """What `tasks()` must know beside the parameters, as plain JSON; a packed folder keeps it.

        For datasets whose tasks depend on the files, such as class names that lie beside the images. It is part of
        the fingerprint.
        """
        return {}

    def described(self) -> Mapping[str, Any]:
        """What `describe` says of `root`, or what the packed folder at `root` has kept of it."""
        root = self.folder()
        return Packed.open(root).manifest.description if is_packed(root) else self.describe(root)

    def prepare(self, cache: Path, progress: Progress) -> None:
        root = self.folder()
        if is_packed(root):
            self.check(Packed.open(root))
            self._ready = root
            return
        index = self.index(root)
        place = self.place(cache, root, index)
        pack(self, root, index, place, progress)
        Packed.open(place)
        self._ready = place

    def pack_into(self, folder: Path, progress: Progress) -> Packed:
        """Write a portable packed folder: `data.root` of this dataset on any machine, without the original files.

        UserError when there is something else in `folder`, or when `root` is such a folder itself.
        """
        root = self.folder()
        if is_packed(root):
            raise UserError(f"data.root: {root} is packed already; copy it as it is")
        if not is_packed(folder) and folder.exists():
            if not folder.is_dir() or any(folder.iterdir()):
                raise UserError(f"{folder} is not empty and no packed dataset; name a new folder")
            folder.rmdir()
        index = self.index(root)
        pack(self, root, index, folder, progress)
        packed = Packed.open(folder)
        if packed.manifest.state != self.state(root, index):
            raise UserError(f"{folder} holds another packed dataset; name a new folder, or delete it")
        return packed

    def samples(self, part: Part, cache: Path) -> Samples:
        packed = Packed.open(self._ready) if self._ready is not None else self.packed(cache)
        return packed.samples(part)

    def fingerprint(self, cache: Path) -> str:
        """Digest of the packed samples; before they are packed, of the files' names, sizes and dates."""
        root = self.folder()
        if is_packed(root):
            return Packed.open(root).digest
        index = self.index(root)
        place = self.place(cache, root, index)
        return Packed.open(place).digest if is_packed(place) else self.state(root, index)

    def packed(self, cache: Path) -> Packed:
        """The packed samples, after `prepare`."""
        root = self.folder()
        return Packed.open(root if is_packed(root) else self.place(cache, root, self.index(root)))

    def packed_root(self) -> Packed | None:
        """The packed folder that `root` is; None where it holds the files themselves."""
        root = self.folder()
        return Packed.open(root) if is_packed(root) else None

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

    def changed(self) -> dict[str, object]:
        """The parameters that are not at their defaults: what must be said again to read a portable folder."""
        assert dataclasses.is_dataclass(self)
        given = ((f, getattr(self, f.name)) for f in dataclasses.fields(self) if f.name not in self.location)
        return {field.name: value for field, value in given if value != _default(field)}

    def folder(self) -> Path:
        """`root` as an existing folder; UserError says where to get the data."""
        if not self.root:
            raise UserError(f"{self.name}: no data folder given; say data.root=FOLDER (the data: {self.source})")
        root = Path(self.root).expanduser()
        if not root.exists():
            raise UserError(f"data.root: {root} does not exist; it should be {self.source}")
        return root

    def place(self, cache: Path, root: Path, index: Mapping[Part, Sequence[Item]]) -> Path:
        """Where in the cache the packed samples of these files belong."""
        return cache / f"{self.name}-{self.state(root, index)[:16]}"

    def state(self, root: Path, index: Mapping[Part, Sequence[Item]]) -> str:
        """sha256 of the parameters and of the names, sizes and dates of all files: another one is packed anew."""
        check_index(self, index)
        settings = [self.parameters(), dict(self.describe(root))]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        seen: dict[Path, str] = {}
        for part in PARTS:
            for item in index[part]:
                for file in item.files:
                    if file not in seen:
                        seen[file] = _file_state(file, root)
                files = " ".join(seen[file] for file in item.files)
                digest.update(f"{part} {item.name} {item.row} {files}\n".encode())
        return digest.hexdigest()


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _file_state(file: Path, root: Path) -> str:
    try:
        stat = file.stat()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); copy it again") from error
    name = file.relative_to(root) if file.is_relative_to(root) else file
    return f"{name} {stat.st_size} {stat.st_mtime_ns}"
