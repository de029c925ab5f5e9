"""Leaves a contact sheet of a prepared dataset in the store, for the leaderboard's page of the data."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import torch

from msbench.board.library.sheets import Sheet, SheetTask, sheet_name
from msbench.data.dataset import PARTS, Dataset
from msbench.data.preview import contact_sheet
from msbench.data.summary import about
from msbench.store.store import write_json

logger = logging.getLogger(__name__)


def leave_sheet(dataset: Dataset, cache: Path, folder: Path) -> None:
    """Write NAME-FINGERPRINT.png and .json to `folder` once, after `prepare`.

    It never stops a run: whatever goes wrong is logged, and the page then says how to get a sheet.
    """
    try:
        fingerprint = dataset.fingerprint(cache)
        path = folder / f"{sheet_name(dataset.name, fingerprint)}.json"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            picture = path.with_suffix(".png")
            aside = picture.with_name(f".{picture.name}")
            contact_sheet(dataset, dataset.samples("train", cache)).save(aside, format="PNG", optimize=True)
            aside.replace(picture)
            write_json(describe(dataset, cache, fingerprint, picture.name).model_dump(), path)
    except Exception as error:  # a picture for a page is no reason to lose a run
        logger.warning("no contact sheet of %s: %s: %s", dataset.name, type(error).__name__, error)


def describe(dataset: Dataset, cache: Path, fingerprint: str, picture: str) -> Sheet:
    """The facts beside the picture; places where the data lies are left out."""
    known = dict(about(dataset))
    return Sheet(
        name=dataset.name,
        fingerprint=fingerprint,
        embedded=dataset.synthetic,
        what=known["what"],
        licence=dataset.licence,
        paper=dataset.paper,
        source=known.get("source", ""),
        params=_params(dataset),
        parts={part: len(dataset.samples(part, cache)) for part in PARTS},
        image=list(dataset.samples("train", cache).batch(torch.tensor([0])).image.shape[1:]),
        tasks=[
            SheetTask(name=task.name, kind=task.kind, classes=list(getattr(task, "classes", ())))
            for task in dataset.tasks()
        ],
        picture=picture,
    )


def _params(dataset: Dataset) -> dict[str, Any]:
    if not dataclasses.is_dataclass(dataset):
        return {}
    return {
        field.name: str(value) if isinstance(value, Path) else value
        for field in dataclasses.fields(dataset)
        if field.name not in dataset.location and not callable(value := getattr(dataset, field.name))
    }
