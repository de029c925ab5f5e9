"""Publishing: chosen runs of a store become records that others can check, and pages made from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msbench.board.library.sheets import SHEETS
from msbench.board.reading.load import Run, read_run
from msbench.errors import UserError
from msbench.publishing.sheets import publish_sheets
from msbench.publishing.shelve import Shelved, shelve
from msbench.store.store import Store

IGNORED = "site/\n.*.lock\n.site.*\n.*.writing\n"
"""What of a published folder is made from the rest, and is not committed."""


@dataclass(frozen=True)
class PublicFolder:
    """`records/` holds what is published, and is committed; `site/` the pages, which anyone can build from it."""

    root: Path

    @property
    def records(self) -> Path:
        return self.root / "records"

    @property
    def site(self) -> Path:
        return self.root / "site"

    def open(self) -> None:
        """Make the folder, and keep its pages out of the repository. Raises UserError where that is impossible."""
        try:
            self.records.mkdir(parents=True, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text(IGNORED, encoding="utf-8")
        except OSError as error:
            raise UserError(f"--to {self.root}: {error.strerror}; choose a folder that can be written") from error


def publish(
    store: Store, run_ids: Iterable[str], to: PublicFolder, *, verified_only: bool = False, pictures: bool = True
) -> list[Shelved]:
    """Copy runs, with the controls and references that they are compared with, among the published records.

    verified_only: refuse runs without a verification of this very record. pictures: with those of predictions and
    of the data, where these may be passed on.
    """
    to.open()
    refused: list[Shelved] = []
    chosen: list[Run] = []
    for run_id in with_controls(store, run_ids):
        try:
            run = read_run(store.folder(run_id))
        except UserError as error:
            refused.append(Shelved(run_id, "refused", str(error)))
            continue
        if wrong := _objection(run, verified_only):
            refused.append(Shelved(run_id, "refused", wrong))
        else:
            chosen.append(run)
    publish_sheets(chosen, store.root / SHEETS, to.root / SHEETS, pictures=pictures)
    return [*refused, *shelve((run.folder for run in chosen), to.records, pictures=pictures)]


def with_controls(store: Store, run_ids: Iterable[str]) -> Sequence[str]:
    """The runs, and those of the store that their records refer to: dense controls, references, starts."""
    found: dict[str, None] = {}
    queue, known = list(run_ids), set(store.ids())
    while queue:
        run_id = queue.pop(0)
        if run_id in found:
            continue
        found[run_id] = None
        try:
            record = read_run(store.folder(run_id)).record
        except UserError:
            continue
        wanted = [
            record.delta and record.delta.dense_run,
            record.budget and record.budget.reference,
            record.meta_test and record.meta_test.source,
        ]
        queue += [other for other in wanted if other and other in known]
    return list(found)


def _objection(run: Run, verified_only: bool) -> str:
    """Why a run of a store may not be published, as far as only the store can tell; empty when it may."""
    if verified_only and run.verified is None:
        return f"not verified; run `msbench results verify {run.run_id}`"
    return _files_objection(run)


def _files_objection(run: Run) -> str:
    """Whether the files that stay here are those that the record was made with."""
    from safetensors.numpy import load_file

    for name, key in (("mask.safetensors", "mask"), ("model.safetensors", "weights")):
        path = run.folder / name
        said = run.record.hashes.get(key)
        if not said or not path.is_file():
            continue
        digest = hashlib.sha256()
        for tensor, value in sorted(load_file(path).items()):
            digest.update(f"{tensor}{tuple(value.shape)}".encode() if key == "mask" else tensor.encode())
            digest.update(value.tobytes())
        if digest.hexdigest() != said:
            return f"{name} is not the one that the record was made with (hashes.{key})"
    identity = run.folder / "identity.json"
    if identity.is_file() and run.record.provenance:
        return _identity_objection(identity, run.record.provenance.identity)
    return ""


def _identity_objection(path: Path, said: str) -> str:
    from msbench.runs.identity.provenance import identity_digest

    try:
        found = identity_digest(json.loads(path.read_bytes()))
    except (ValueError, AttributeError):
        return "identity.json cannot be read"
    return "" if found == said else "identity.json is not the identity that the record names (provenance.identity)"
