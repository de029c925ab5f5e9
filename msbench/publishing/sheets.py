"""Contact sheets among what is published: the facts of every dataset, pictures of those that msbench makes itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from msbench.board.library.sheets import Sheet, picture_of, read_sheet, sheet_name
from msbench.board.reading.load import Run
from msbench.store.durable import write_json, write_whole


def publish_sheets(runs: Iterable[Run], sheets: Path, to: Path, *, pictures: bool = True) -> None:
    """Copy the sheet of each dataset that the runs were made on, where the store has one.

    pictures: with those of data that may be passed on. A published picture stays, whatever is published later.
    """
    datasets = {(run.record.dataset.name, run.record.hashes.get("data")) for run in runs if run.record.dataset}
    for name, fingerprint in sorted((name, digest) for name, digest in datasets if digest):
        sheet = read_sheet(sheets, name, fingerprint)
        if sheet is None or picture_of(to, read_sheet(to, name, fingerprint)):
            continue
        to.mkdir(exist_ok=True)
        source = picture_of(sheets, sheet) if pictures and sheet.embedded else None
        write_json(_published(sheet, source, to).model_dump(), to / f"{sheet_name(name, fingerprint)}.json")


def _published(sheet: Sheet, source: Path | None, to: Path) -> Sheet:
    """The sheet with its picture, which is written first, or without."""
    if source is None:
        return sheet.model_copy(update={"picture": ""})

    def copy(aside: Path) -> None:
        shutil.copyfile(source, aside)

    write_whole(to / sheet.picture, copy)
    return sheet
