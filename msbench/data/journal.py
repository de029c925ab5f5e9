"""How far an unfinished packing has come: a small file beside its arrays, replaced whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from msbench.data.arrays import Layout
from msbench.data.dataset import Part

JOURNAL: Final = "journal.json"


class PartProgress(BaseModel):
    """done: samples of the index that were dealt with. rows: those that were stored. dropped: the others, and why."""

    model_config = ConfigDict(extra="forbid")

    done: int = 0
    rows: int = 0
    dropped: dict[str, str] = Field(default_factory=dict)


class Journal(BaseModel):
    """state: digest of what is packed: another state starts afresh. layouts: of the first sample's arrays."""

    model_config = ConfigDict(extra="forbid")

    state: str
    layouts: dict[str, Layout] = Field(default_factory=dict)
    parts: dict[Part, PartProgress] = Field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, state: str) -> Self:
        """The journal of this folder where it is of this state, else a new one."""
        try:
            found = cls.model_validate_json((folder / JOURNAL).read_bytes())
        except (OSError, ValidationError):
            return cls(state=state)
        return found if found.state == state else cls(state=state)

    def write(self, folder: Path) -> None:
        """Replace the journal; what it says must be on the disk already."""
        write_whole(folder / JOURNAL, self.model_dump_json())


def write_whole(file: Path, text: str) -> None:
    """Write a file so that a crash leaves the old one or the new one."""
    partial = file.with_name(f"{file.name}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, file)
