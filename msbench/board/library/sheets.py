"""A dataset's contact sheet and the facts beside it, as `msbench run` leaves them in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SHEETS = "datasets"
"""Folder of a store that holds them."""
SHORT = 12
"""Characters of a fingerprint in file names and on pages."""


class SheetTask(BaseModel):
    """A task that the dataset can supervise. `classes`: names of its classes, where it has any."""

    model_config = ConfigDict(extra="forbid")

    name: str
    kind: str
    classes: list[str] = Field(default_factory=list)


class Sheet(BaseModel):
    """What NAME-FINGERPRINT.json says. `picture`: the PNG beside it; `embedded`: whether msbench makes the images.

    params: without the places that data lies at. image: channels, height, width. parts: samples of each.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 1
    name: str
    fingerprint: str
    embedded: bool
    what: str
    licence: str = ""
    paper: str = ""
    source: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    parts: dict[str, int]
    image: list[int]
    tasks: list[SheetTask]
    picture: str = ""


def sheet_name(name: str, fingerprint: str) -> str:
    """File name, without its ending, of a dataset's sheet."""
    return f"{name}-{fingerprint[:SHORT]}"


def read_sheet(folder: Path | None, name: str, fingerprint: str) -> Sheet | None:
    """The sheet of one version of a dataset; None where there is none that can be read."""
    if folder is None:
        return None
    try:
        content = (folder / f"{sheet_name(name, fingerprint)}.json").read_text(encoding="utf-8")
        sheet = Sheet.model_validate_json(content)
    except (OSError, ValidationError):
        return None
    return sheet if (sheet.name, sheet.fingerprint) == (name, fingerprint) else None


def picture_of(folder: Path | None, sheet: Sheet | None) -> Path | None:
    """The contact sheet's picture; None where it is not there."""
    if folder is None or sheet is None or Path(sheet.picture).name != sheet.picture or not sheet.picture:
        return None
    path = folder / sheet.picture
    return path if path.is_file() else None
