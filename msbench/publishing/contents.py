"""What is published of a run: its files, without the paths of the machine that made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from msbench.board.reading.load import RECORD, Run
from msbench.board.reading.measured import MEASUREMENTS, read_measurements, united
from msbench.board.reading.run_files import masked
from msbench.board.reading.verified import VERIFIED
from msbench.publishing.published import FILES
from msbench.records.measurement import Measurement
from msbench.records.strict_json import read_json
from msbench.runs.places import placeless, told

Contents = dict[str, Path | bytes]
"""Files by name: a file to copy, or what to write."""


def contents(run: Run, pictures: bool = True) -> Contents:
    """The files of a run that are published; of pictures only those of data that may be passed on."""
    found: Contents = {name: run.folder / name for name in _wanted(run, pictures)}
    public = placeless(run.record)
    if public != run.record:
        found[RECORD] = _json(public.model_dump(mode="json"))
        if run.verified:
            found[VERIFIED] = _verification(run.folder / VERIFIED, found[RECORD])
    return found | measured(later_of(run))


def together(run: Run, known: Run, pictures: bool) -> Contents:
    """Everything of two folders with the same record: with a verification, if one has it, and all measurements."""
    given, there = contents(run, pictures), contents(known)
    both = {**there, **given} if run.verified else {**given, **there}
    return both | measured(later_of(run, known))


def later_of(*runs: Run) -> list[Measurement]:
    """Every later measurement of the runs, each once, as it is published."""
    found = (one for run in runs for one in read_measurements(run.folder, run.record))
    return united(Measurement.model_validate(told(one.model_dump(mode="json"))) for one in found)


def measured(measurements: Iterable[Measurement]) -> Contents:
    """The file with measurements; none where there are none."""
    plain = [one.model_dump(mode="json") for one in measurements]
    return {MEASUREMENTS: _json(plain)} if plain else {}


def _wanted(run: Run, pictures: bool) -> list[str]:
    pictures = pictures and run.record.dataset is not None and run.record.dataset.synthetic
    left_out = {MEASUREMENTS} | (set() if pictures else {"samples.png"}) | (set() if run.verified else {VERIFIED})
    return [name for name in FILES if name not in left_out and (run.folder / name).exists()]


def _verification(path: Path, record: Path | bytes) -> bytes:
    """The run's verification, of the record as it is published: the same figures without paths."""
    assert isinstance(record, bytes)
    said = json.loads(masked(json.dumps(read_json(path))))
    return _json({**said, "record_sha256": hashlib.sha256(record).hexdigest()})


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
