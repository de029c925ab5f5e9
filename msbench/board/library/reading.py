"""The page that says how to read all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msbench.board.site.page import Page, digest
from msbench.board.site.site import Site
from msbench.board.statistics import MIN_SEEDS

STATUSES: Final = {
    "ok": "The run ended, met its budget, and its small network gives the masked one’s outputs.",
    "budget_missed": "It ended, but its sparsity lies outside the tolerance around the target. Shown, never ranked.",
    "inexact": "It ended, but the small network’s outputs differ from the masked one’s: no speed-up is shown.",
    "diverged": "Weights, loss or metrics stopped being finite numbers.",
    "failed": "It stopped with an error: the plugin’s, the machine’s (out of memory), or an overspent allowance.",
    "timeout": "It ran longer than the engine’s time limit.",
    "killed": "Its process was ended from outside before it finished.",
    "skipped": "It was never started, because a run that it builds on did not end well.",
}
"""What each status means."""


def reading_pages(site: Site) -> Iterator[Page]:
    """One page, the same for every board."""
    context = {"statuses": STATUSES, "min_seeds": MIN_SEEDS}
    yield Page("reading.html", "reading.html", lambda: context, digest(context))
