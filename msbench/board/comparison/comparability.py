"""Why records are on different boards: the fields in which what they must share differs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msbench.board.comparison.grouping import Board, BoardKey
from msbench.board.text import words

SHOWN: Final = 4
"""Differing fields that are written out; the rest is counted."""
_PLAIN: Final = {
    "preset": "preset",
    "metric_version": "metric version",
    "scope": "budget.scope",
    "unit": "budget.unit",
    "allowance": "training samples allowed",
    "table": "latency table",
}


def differences(first: BoardKey, second: BoardKey) -> list[str]:
    """Each field in which two boards differ, with both values. What one of them does not know is no difference."""
    ours, theirs = _fields(first), _fields(second)
    found = []
    for name in dict.fromkeys([*ours, *theirs]):
        root = name.partition(".")[0]
        unknown = any(fields.get(part, "") is None for fields in (ours, theirs) for part in (name, root))
        values = [fields.get(name, "none") for fields in (ours, theirs)]
        if not unknown and values[0] != values[1]:
            found.append(f"{name}: {_short(values[0])} against {_short(values[1])}")
    return found


def kept_apart(board: Board, boards: Iterable[Board]) -> str:
    """The board that is most like this one, and why the two are not one; empty when there is no other."""
    others = [(differences(board.key, other.key), other.title, other.slug) for other in boards if other is not board]
    if not others:
        return ""
    fields, title, _ = min(others, key=lambda item: (len(item[0]), item[1], item[2]))
    more = f" and {len(fields) - SHOWN} more" if len(fields) > SHOWN else ""
    reason = words(fields[:SHOWN]) if not more else ", ".join(fields[:SHOWN]) + more
    return f"not ranked with the nearest other board ({title}): {reason or 'runs of neither know all they share'}"


def _fields(key: BoardKey) -> dict[str, Any]:
    """Field to value, None where the key does not know it."""
    found: dict[str, Any] = {label: getattr(key, name) for name, label in _PLAIN.items()}
    name, params, fingerprint = json.loads(key.dataset) if key.dataset else (None, {}, None)
    found |= {"dataset": name, **_flat("dataset", params), "data fingerprint": fingerprint}
    found["tasks"] = ", ".join(task for task, _ in json.loads(key.tasks)) if key.tasks else None
    parts = json.loads(key.model) if key.model else (None, None, None, {})
    found |= dict(zip(("model", "backbone", "head"), parts[:3], strict=True)) | _flat("model", parts[3])
    settings = json.loads(key.settings) if key.settings else {}
    found["training"] = "known" if "training" in settings else None
    found |= _flat("training", settings.get("training", {}))
    return found | (_flat("meta_test", settings["meta_test"]) if "meta_test" in settings else {})


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    """Dotted names to plain values; names of parts and folders named `params` are no level of their own."""
    if isinstance(value, Mapping):
        pairs = [(prefix if key == "params" else f"{prefix}.{key}", item) for key, item in value.items()]
        return {name: found for key, item in pairs for name, found in _flat(key, item).items()}
    return {prefix: value}


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 24 or " " in text else f"{text[:12]}…"
