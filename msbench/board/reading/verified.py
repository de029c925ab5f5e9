"""What `msbench results verify` left in a run's folder, as far as pages show it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from msbench.records.strict_json import JsonError, read_json

VERIFIED: Final = "verified.json"


class Verified(BaseModel):
    """A verification that found nothing wrong. It holds for the record with this SHA-256 and for no other."""

    model_config = ConfigDict(extra="ignore")

    run_id: str
    at: str
    """UTC, ISO 8601."""
    ok: bool
    machine: dict[str, Any]
    tolerance: dict[str, float] = Field(default_factory=dict)
    record_sha256: str


def read_verified(folder: Path, run_id: str, sha256: str) -> Verified | None:
    """The verification of the record with this name and digest; None where there is none, or it failed.

    A damaged file, a link, and the verification of another or an earlier record count as none.
    """
    path = f"{folder}/{VERIFIED}"
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        found = Verified.model_validate(read_json(Path(path)))
    except (OSError, JsonError, ValidationError):
        return None
    return found if found.ok and found.run_id == run_id and found.record_sha256 == sha256 else None
