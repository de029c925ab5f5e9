"""What `msbench measure` leaves beside a run: one file a measurement, never changed; the record stays as it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from msbench.errors import UserError
from msbench.runs.record import CompressionPart, LatencyPart, ProofPart
from msbench.runs.store import Store, write_json

FOLDER = "measurements"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Request(_Part):
    """What is measured. size: height and width of the images, None for the data's own."""

    devices: list[str]
    batches: list[int]
    size: int | None
    threads: int
    dtypes: list[Literal["fp32", "bf16"]]
    seconds: float


class Pair(_Part):
    """One figure of both networks."""

    dense: float
    compact: float

    @property
    def ratio(self) -> float | None:
        """Dense / compact; None where the compact network's is nothing."""
        return self.dense / self.compact if self.compact else None


class Energy(_Part):
    """Joules a forward, of everything that `source` counts meanwhile."""

    source: str
    joules: Pair


class Case(_Part):
    """One device, batch and dtype. What is None was not measured, and `gaps` says why.

    eager, graph: the networks called as they are, and replayed as CUDA graphs. components: seconds of "backbone" and
    of each "heads.TASK". memory: bytes at the peak of a forward beyond those held before it.
    """

    device: str
    batch: int
    size: list[int]
    dtype: Literal["fp32", "bf16"]
    eager: LatencyPart | None = None
    graph: LatencyPart | None = None
    components: dict[str, Pair] = Field(default_factory=dict)
    memory: Pair | None = None
    energy: Energy | None = None
    gaps: list[str] = Field(default_factory=list)


class Measurement(_Part):
    """One measurement of one run on one machine.

    theoretical: the papers' ratio at the measured size; multiply_adds: of one image at that size. allocator: the
    variables that the timing process was started with.
    """

    schema_version: int = 1
    run_id: str
    weights: str
    """Digest of the weights that were measured, as in the record."""
    created: str
    request: Request
    environment: dict[str, Any]
    allocator: dict[str, str]
    proof: ProofPart
    compression: CompressionPart | None = None
    multiply_adds: Pair | None = None
    theoretical: float | None = None
    cases: list[Case] = Field(default_factory=list)
    gaps: list[str] = Field(default_factory=list)


def save(store: Store, found: Measurement) -> Path:
    """Write a measurement under a name of its content; there whole or not at all."""
    plain = found.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]
    folder = store.folder(found.run_id) / FOLDER
    folder.mkdir(exist_ok=True)
    write_json(plain, folder / f"{digest}.json")
    return folder / f"{digest}.json"


def measurements(store: Store, run_id: str) -> list[Measurement]:
    """Every measurement of a run, oldest first; UserError names a file that is none."""
    found = [_read(path) for path in sorted((store.folder(run_id) / FOLDER).glob("[!.]*.json"))]
    return sorted(found, key=lambda measurement: measurement.created)


def _read(path: Path) -> Measurement:
    try:
        return Measurement.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError, ValidationError) as error:
        line = str(error).splitlines()[0]
        raise UserError(f"{path}: not a valid measurement ({line}); remove it and measure again") from error
