"""The comparison over several boards: average ranks with Nemenyi's critical difference."""

from __future__ import annotations

from collections.abc import Sequence

from msbench.board import text
from msbench.board.comparison.across import Across
from msbench.board.plots.frame import Figure, View, category_axis, plotly_json, rows_height


def overview_figures(comparisons: Sequence[Across]) -> list[Figure]:
    """One critical-difference figure a comparison."""
    return [critical_difference_figure(comparison, f"ranks-{i}") for i, comparison in enumerate(comparisons)]


def critical_difference_figure(comparison: Across, key: str) -> Figure:
    """Average ranks with bars of half the critical difference: methods whose bars overlap are not told apart."""
    half = comparison.test.critical_difference / 2
    ranks = comparison.test.average_ranks
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": "average rank",
        "x": list(ranks),
        "y": list(comparison.methods),
        "error_x": {"type": "data", "array": [half] * len(ranks), "width": 4},
        "marker": {"symbol": "circle", "size": 9},
        "meta": {"color": 0},
    }
    axis = {"tickvals": list(range(1, len(ranks) + 1)), "range": [min(ranks) - half - 0.2, max(ranks) + half + 0.2]}
    spec = plotly_json([marks], "Average rank, 1 is best", "", xaxis=axis, yaxis=category_axis(), showlegend=False)
    header = ("Method", "Average rank", "Group")
    numbers = [
        [name, text.number(rank, 2), letters]
        for name, rank, letters in zip(comparison.methods, ranks, comparison.letters, strict=True)
    ]
    caption = f"{comparison.words} Bars are half the critical difference to each side; bars that overlap are ties."
    view = View("ranks", "average ranks", spec, header, numbers, rows_height(len(ranks)))
    return Figure(key, comparison.label, caption, "", [view])
