"""The hardware that a record was made on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msbench.records.record import Record


@dataclass(frozen=True)
class Machine:
    """Processor and GPU by name; `gpu` is empty where the run used none. Empty names: the record does not say."""

    cpu: str
    gpu: str

    @classmethod
    def of(cls, record: Record) -> Machine:
        """The machine of a record's environment."""
        return cls.in_environment(record.environment)

    @classmethod
    def in_environment(cls, environment: Mapping[str, Any]) -> Machine:
        """The machine that an environment describes."""
        return cls(_name(environment.get("cpu")), _name(environment.get("gpu")))

    @property
    def name(self) -> str:
        """In words."""
        return " with ".join(part for part in (self.cpu or "unknown processor", self.gpu) if part)

    @property
    def slug(self) -> str:
        """A short file name of its own."""
        readable = re.sub(r"[^a-z0-9]+", "-", f"{self.cpu} {self.gpu}".lower()).strip("-")[:40].strip("-")
        return f"{readable or 'unknown'}-{hashlib.sha256(repr((self.cpu, self.gpu)).encode()).hexdigest()[:6]}"


def _name(value: Any) -> str:
    """A name, or the `model` of a part that says more."""
    if isinstance(value, Mapping):
        value = value.get("model")
    return " ".join(value.split()) if isinstance(value, str) else ""
