"""What rows of the main table can be filtered by."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from msbench.board.comparison.grouping import canonical
from msbench.board.comparison.rows import Row
from msbench.board.text import level

_TITLES: Final = {"budget": "Budget", "family": "Sparsity", "plugin": "Plugin", "status": "Status"}
_BUDGETS: Final = {0: ("matched", "matched"), 2: ("natural", "natural")}
_SEED: Final = re.compile(r"(?<=\s)--seed (\d+)(?=\s|$)")


@dataclass(frozen=True)
class Option:
    """One value to choose: `value` is its token in attributes and addresses, `rows` how many rows have it."""

    value: str
    label: str
    rows: int


@dataclass(frozen=True)
class Facet:
    """One thing to filter by; `key` names the rows' data attribute."""

    key: str
    title: str
    options: tuple[Option, ...]


def facets(rows: Iterable[Row]) -> tuple[Facet, ...]:
    """What tells these rows apart: each facet with two values or more."""
    found: dict[str, Counter[tuple[str, str]]] = {key: Counter() for key in _TITLES}
    for row in rows:
        for key, pairs in facets_of(row).items():
            found[key].update(pairs.items())
    return tuple(
        Facet(key, _TITLES[key], tuple(Option(value, label, n) for (value, label), n in sorted(counts.items())))
        for key, counts in found.items()
        if len(counts) > 1
    )


def facets_of(row: Row) -> Mapping[str, Mapping[str, str]]:
    """Facet to the row's values, token to label; a row whose seeds ended differently has several statuses."""
    target, budget = row.target, row.budget
    family = "not known" if budget is None else "structured" if budget.structured else "unstructured"
    package = package_of(row)
    statuses = [outcome.status for outcome in row.outcomes] or ["ok"]
    share = (f"{target.asked:g}", level(target.asked)) if target.kind == 1 else ("unknown", "not known")
    token, label = _BUDGETS.get(target.kind, share)
    return {
        "budget": {token: label},
        "family": {_token(family): family},
        "plugin": {_token(package): package},
        "status": {_token(status): status for status in statuses},
    }


def package_of(row: Row) -> str:
    """The package that the sparsifier's plugin comes from."""
    return row.sparsifier.plugin.partition(":")[0]


def anchor_of(row: Row) -> str:
    """The row's place on its page: the same for the same method, parameters and budget, whatever else is there."""
    sparsifier, target = row.sparsifier, row.target
    identity = [sparsifier.name, sparsifier.plugin, sparsifier.version, sparsifier.params, target.label]
    return f"row-{_token(sparsifier.name)[:60]}-{hashlib.sha256(canonical(identity).encode()).hexdigest()[:6]}"


def command_of(row: Row) -> str:
    """What repeats every run of the row: one command where they differ in nothing but the seed, else one a line."""
    commands = list(dict.fromkeys(run.record.command for run in row.runs))
    numbers = [found[1] for command in commands if (found := _SEED.search(command))]
    rests = {_SEED.sub("--seeds", command, count=1) for command in commands}
    if len(rests) == 1 and len(commands) > 1 and numbers == [str(n) for n in range(len(commands))]:
        return _SEED.sub(f"--seeds {len(commands)}", commands[0], count=1)
    return "\n".join(commands)


def _token(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-") or "none"
