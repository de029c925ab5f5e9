"""A page of the leaderboard before it is rendered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

_JSON: Final = json.JSONEncoder(sort_keys=True, default=str)


@dataclass(frozen=True)
class Page:
    """`path` lies below the leaderboard folder and ends in .html; `template` is a file of `board/templates`.

    `digest` covers everything that `context` is made from, so a page whose digest, template and msbench version did
    not change need not be rendered again. `root`, the way from the page to the folder, is added by the builder.
    """

    path: str
    template: str
    context: Callable[[], Mapping[str, object]]
    digest: str

    @property
    def root(self) -> str:
        """The way from the page to the leaderboard's folder: empty, or one `../` a level."""
        return "../" * self.path.count("/")


def digest(*parts: object) -> str:
    """A digest of what a page is made from: equal parts, equal digest. Parts are JSON, or have a text of their own."""
    return hashlib.sha256(_JSON.encode(parts).encode()).hexdigest()
