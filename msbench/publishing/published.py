"""A published record: its folder, the files that belong there, and what must hold of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from msbench.board.reading.load import RECORD, Run, read_run
from msbench.board.reading.measured import MEASUREMENTS, is_of, parse_measurements
from msbench.board.reading.verified import VERIFIED
from msbench.errors import UserError
from msbench.publishing.checks import measurement_objections, objections
from msbench.records.strict_json import JsonError, read_json
from msbench.runs.places import placeless

MANIFEST: Final = "published.json"
FILES: Final = {
    RECORD: b"{", "history.parquet": b"PAR1", "samples.png": b"\x89PNG\r\n\x1a\n", VERIFIED: b"{", MEASUREMENTS: b"[",
}  # fmt: skip
"""What is published of a run, and how such a file begins. Weights never are."""
LARGEST: Final = 16 * 2**20
"""Bytes of one published file."""


class Manifest(BaseModel):
    """`published.json`: whose measurement it is, and the SHA-256 of the files beside it."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = 1
    run_id: str
    machine: dict[str, str]
    files: dict[str, str]


def names_of(run: Run) -> tuple[str, str]:
    """The folder of a run: its own name for the first machine, with the machine's for any other."""
    return run.run_id, f"{run.run_id}@{run.machine.slug}"


def manifest_of(run: Run, files: dict[str, Path]) -> str:
    """The text of `published.json` for a run and its files by name."""
    found = Manifest(
        run_id=run.run_id,
        machine={"cpu": run.machine.cpu, "gpu": run.machine.gpu},
        files={name: sha256_of(path) for name, path in sorted(files.items())},
    )
    return json.dumps(found.model_dump(), indent=1, ensure_ascii=False) + "\n"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_objections(path: Path) -> list[str]:
    """Why a file may not be published; empty when it may."""
    if path.is_symlink() or not path.is_file():
        return [f"{path.name} is a link, or no file"]
    if path.stat().st_size > LARGEST:
        return [f"{path.name} is larger than {LARGEST // 2**20} MiB"]
    with path.open("rb") as file:
        begins = file.read(16).lstrip() if path.suffix == ".json" else file.read(16)
    return [] if begins.startswith(FILES[path.name]) else [f"{path.name} is not what its name says"]


def check_folder(folder: Path) -> tuple[Run | None, list[str]]:
    """The run in a folder of published records, and everything that is wrong with the folder."""
    try:
        run = read_run(folder)
    except UserError as error:
        return None, [str(error).removeprefix(f"{folder / RECORD}: ")]
    found = objections(run)
    if folder.name not in names_of(run):
        found.append(f"the folder is not called {run.run_id}, with @ and its machine after it if need be")
    present = sorted(path.name for path in folder.iterdir())
    found += [f"{name} does not belong here" for name in present if name not in (*FILES, MANIFEST)]
    found += [objection for name in FILES if name in present for objection in file_objections(folder / name)]
    if placeless(run.record) != run.record:
        found.append("the record holds paths of the machine that made it; publish or merge it again")
    if MEASUREMENTS in present:
        found += _later_objections(folder / MEASUREMENTS, run)
    return run, [*found, *_manifest_objections(folder, run, set(present) & set(FILES))]


def _later_objections(path: Path, run: Run) -> list[str]:
    try:
        found = parse_measurements(path)
    except (OSError, JsonError, ValidationError) as error:
        return [f"{path.name} is not readable ({str(error).splitlines()[0]})"]
    wrong = measurement_objections(found)
    if not all(is_of(one, run.record) for one in found):
        wrong.append(f"{path.name} holds a measurement of another run or of other weights")
    return wrong


def _manifest_objections(folder: Path, run: Run, present: set[str]) -> list[str]:
    path = folder / MANIFEST
    try:
        if path.is_symlink():
            return [f"{MANIFEST} is a link"]
        found = Manifest.model_validate(read_json(path))
    except FileNotFoundError:
        return [f"{MANIFEST} is missing; publish or merge the record with msbench"]
    except (OSError, JsonError, ValidationError) as error:
        return [f"{MANIFEST} is not readable ({str(error).splitlines()[0]})"]
    wrong = [
        f"{name} is not the file that was published"
        for name in sorted(present | set(found.files))
        if name not in present or found.files.get(name) != sha256_of(folder / name)
    ]
    if found.run_id != run.run_id or found.machine != {"cpu": run.machine.cpu, "gpu": run.machine.gpu}:
        wrong.append(f"{MANIFEST} names another run or machine than the record")
    return wrong
