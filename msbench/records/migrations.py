"""Records of older schemas, brought to the present one, a version at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

SCHEMA_VERSION = 2
"""1: the first. 2: `provenance`, and every setting that came after the first records.

A new setting of the training or the network needs a new version, whose step fills in what runs did before it existed:
boards set apart what was trained differently, and an unknown setting counts as a different one.
"""
_TRAINING: Mapping[str, Any] = MappingProxyType({"zoom": 1.0, "jitter": 0.0, "compile": False, "data_on_device": False})
_BACKBONE: Mapping[str, Any] = MappingProxyType({"weights": ""})


class NewerError(ValueError):
    """A record of a schema that this msbench does not know."""


def _second(record: dict[str, Any]) -> dict[str, Any]:
    """2 says by digest what a run was made with; of an older run nobody noted it."""
    record = _filled(record, ("config", "training"), _TRAINING)
    for place in (("config", "model"), ("model", "params")):
        record = _filled(record, (*place, "backbone", "params"), _BACKBONE)
    return {**record, "provenance": None}


def _filled(record: dict[str, Any], place: Sequence[str], missing: Mapping[str, Any]) -> dict[str, Any]:
    """The record with what is missing in one of its mappings, if it has that mapping."""
    if not place:
        return {**missing, **record}
    inner = record.get(place[0])
    return {**record, place[0]: _filled(inner, place[1:], missing)} if isinstance(inner, dict) else record


STEPS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = MappingProxyType({1: _second})
"""Version to what makes the next version of such a record."""


def migrate(record: dict[str, Any]) -> dict[str, Any]:
    """The record as the present schema has it. Raises NewerError, and ValueError where the version is none."""
    version = record.get("schema_version", 1)
    if type(version) is not int or version < 1:
        raise ValueError(f"schema_version {version!r:.40}: not a version")
    if version > SCHEMA_VERSION:
        raise NewerError(
            f"made by a newer msbench (schema {version}, this one reads up to {SCHEMA_VERSION}); update msbench"
        )
    for older in range(version, SCHEMA_VERSION):
        record = {**STEPS[older](record), "schema_version": older + 1}
    return record
