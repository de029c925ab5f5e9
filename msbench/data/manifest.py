"""The packed folder: one safetensors file an array, memory-mapped, with a manifest of checksums."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from msbench.data.arrays import TENSOR
from msbench.data.dataset import PARTS, Part, Progress, TensorSamples
from msbench.errors import UserError

MANIFEST: Final = "packed.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoredArray(_Strict):
    """bytes: size of the file. sha256: of the whole file, as `sha256sum` gives it."""

    bytes: int
    sha256: str


class Manifest(_Strict):
    """What lies in a packed folder.

    parameters: of the dataset that wrote it. description, facts: what the dataset found beside them, for itself and
    for people. state: digest of the parameters and of the names, sizes and dates of the files that it was made of.
    arrays: by `PART/NAME`. dropped: by part, the samples that were left out, with the reason.
    """

    format: Literal[1] = 1
    dataset: str
    parameters: dict[str, Any]
    description: dict[str, Any]
    facts: dict[str, str]
    state: str
    counts: dict[Part, int]
    arrays: dict[str, StoredArray]
    dropped: dict[Part, dict[str, str]]


def is_packed(folder: Path) -> bool:
    """Whether a folder is a finished packed dataset."""
    return (folder / MANIFEST).is_file()


@dataclass(frozen=True)
class Packed:
    """A packed dataset on disk: its manifest, and its parts as memory-mapped samples."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> Self:
        """UserError when the manifest cannot be read, or an array is missing or has not the size that it says."""
        try:
            manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        except OSError as error:
            raise _damaged(folder, f"{MANIFEST} cannot be read ({error.strerror})") from error
        except ValidationError as error:
            raise _damaged(folder, f"{MANIFEST} is no manifest of a packed dataset") from error
        packed = cls(folder, manifest)
        for name, array in manifest.arrays.items():
            part, _, rest = name.partition("/")
            if part not in PARTS or not re.fullmatch(r"[^/\\\x00]+", rest):
                raise _damaged(folder, f"{MANIFEST} names {name[:80]!r}, which is no array of a part")
            file = packed._file(name)
            if not file.is_file() or file.stat().st_size != array.bytes:
                raise _damaged(folder, f"{name}.safetensors is missing or has not its {array.bytes} bytes")
        return packed

    @property
    def dataset(self) -> str:
        """Name of the dataset that wrote it."""
        return self.manifest.dataset

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters that it was packed with."""
        return self.manifest.parameters

    @property
    def bytes(self) -> int:
        """Size of all arrays."""
        return sum(array.bytes for array in self.manifest.arrays.values())

    @property
    def digest(self) -> str:
        """Of every stored byte and of the description: equal on every machine that packed the same samples."""
        checksums = {name: array.sha256 for name, array in self.manifest.arrays.items()}
        content = json.dumps([checksums, self.manifest.description], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def samples(self, part: Part) -> TensorSamples:
        """One part; its arrays stay on disk until they are read."""
        names = [name.removeprefix(f"{part}/") for name in self.manifest.arrays if name.startswith(f"{part}/")]
        try:
            arrays = {name: load_file(self._file(f"{part}/{name}"))[TENSOR] for name in names}
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise _damaged(self.folder, f"an array of {part!r} cannot be read ({type(error).__name__})") from error
        if "image" not in arrays:
            raise _damaged(self.folder, f"{part!r} has no images")
        target, valid = (
            {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
            for prefix in ("target.", "valid.")
        )
        try:
            return TensorSamples(arrays["image"], target, valid)
        except (KeyError, ValueError, TypeError) as error:
            raise _damaged(self.folder, f"the arrays of {part!r} do not belong together") from error

    def verify(self, progress: Progress) -> list[str]:
        """The arrays whose bytes are no longer those that were written."""
        damaged = []
        for done, (name, array) in enumerate(self.manifest.arrays.items(), start=1):
            if file_checksum(self._file(name)) != array.sha256:
                damaged.append(name)
            progress(done, len(self.manifest.arrays), f"checking {self.dataset}")
        return damaged

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


def file_checksum(file: Path) -> str:
    """sha256 of a file, read in pieces."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _damaged(folder: Path, what: str) -> UserError:
    return UserError(f"{folder}: {what}; delete this folder and pack the data again (`msbench data prepare`)")
