"""What `msbench measure` found of a run after it had ended, as far as pages show it and publishing copies it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from msbench.board import text
from msbench.board.reading.machine import Machine
from msbench.board.table.cells import device_name
from msbench.records.measurement import FOLDER, Measurement
from msbench.records.record import LatencyPart, Record
from msbench.records.strict_json import JsonError, read_json

MEASUREMENTS: Final = "measurements.json"
"""All measurements of a published run; in a store each is a file of its own in `measurements/`."""
TITLES: Final = (
    *("Device", "Ratio", "Quartiles", "Dense", "Compact", "Rounds", "Batch", "Size", "Number format", "Threads"),
    *("Mode", "Noisy"),
)
"""Of `timing_row`."""
MOST: Final = 200
"""Measurements of one run that are read: more than anyone makes, and no more than a page can show."""

_MANY: Final = TypeAdapter(list[Measurement])


def read_measurements(folder: Path, record: Record) -> list[Measurement]:
    """The measurements of a record's network in its folder, oldest first.

    A damaged file, a link, and the measurement of another run or of other weights count as none.
    """
    found: list[Measurement] = []
    for path in _files(folder):
        try:
            found += parse_measurements(path)
        except (OSError, JsonError, ValidationError):
            continue
    return united(one for one in found if is_of(one, record))[:MOST]


def parse_measurements(path: Path) -> list[Measurement]:
    """The measurements in a file: one, or a list. Raises OSError, JsonError or ValidationError."""
    value: Any = read_json(path)
    return _MANY.validate_python(value if isinstance(value, list) else [value])


def is_of(measurement: Measurement, record: Record) -> bool:
    """Whether it was made of the run and of the weights that the record is about."""
    weights = record.hashes.get("weights")
    return measurement.run_id == record.run_id and weights in (None, measurement.weights)


def united(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Each measurement once, oldest first."""
    found = {one.model_dump_json(): one for one in measurements}
    return [found[key] for key in sorted(found, key=lambda key: (found[key].created, key))]


def timings(measurement: Measurement) -> Iterator[tuple[str, LatencyPart]]:
    """Each latency of a measurement with its kind of device; of networks that are equal only."""
    if not measurement.proof.equal:
        return
    for case in measurement.cases:
        yield from ((case.device, part) for part in (case.eager, case.graph) if part)


def timing_row(kind: str, part: LatencyPart, machine: str = "") -> list[str]:
    """A latency with its conditions, under `TITLES`. machine: the device's name, where the part does not say it."""
    interval = f" [{text.times(part.low)}, {text.times(part.high)}]" if part.low and part.high else ""
    name = part.device if part.device != kind else machine
    return [
        f"{device_name(kind)}, {name}" if name else device_name(kind),
        text.times(part.ratio) + interval,
        f"{text.times(part.q25)}{text.GAP}{text.times(part.q75)}",
        text.milliseconds(part.dense_s),
        text.milliseconds(part.compact_s),
        text.count(part.rounds),
        text.count(part.batch),
        "×".join(map(str, part.size)),
        part.dtype,
        text.count(part.threads),
        part.mode,
        "; ".join(part.why) or ("noisy" if part.noisy else "no"),
    ]


def later_rows(measurements: Iterable[Measurement]) -> list[list[str]]:
    """Every latency that was measured later: as in `timing_row`, and when."""
    rows = []
    for one in measurements:
        machine = Machine.in_environment(one.environment)
        names = {"cpu": machine.cpu, "cuda": machine.gpu}
        for kind, part in timings(one):
            rows.append([*timing_row(kind, part, names.get(kind, "")), text.moment(one.created)])
    return rows


def later_gaps(measurements: Iterable[Measurement]) -> list[str]:
    """What could not be measured, each reason once."""
    found = (gap for one in measurements for gap in (*one.gaps, *(gap for case in one.cases for gap in case.gaps)))
    return list(dict.fromkeys(found))


def _files(folder: Path) -> list[Path]:
    own = folder / FOLDER
    inside = [] if own.is_symlink() or not own.is_dir() else sorted(own.glob("[!.]*.json"))
    return [path for path in (folder / MEASUREMENTS, *inside[:MOST]) if path.is_file() and not path.is_symlink()]
