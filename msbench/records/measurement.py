"""What `msbench measure` leaves beside a run: one file a measurement, never changed; the record stays as it is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from msbench.records.record import CompressionPart, LatencyPart, ProofPart

FOLDER = "measurements"
"""Where they lie in a run's folder."""


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
