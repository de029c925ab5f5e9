"""The board's statistics: spreads, intervals, rank ranges, comparisons over boards and areas under curves."""

from msbench.board.statistics.area import Span, area, common_span
from msbench.board.statistics.friedman import Friedman, friedman
from msbench.board.statistics.interval import LEVEL, MIN_BOOTSTRAP, Interval, mean_interval
from msbench.board.statistics.ranks import ALPHA, holm, paired_p_values, rank_ranges
from msbench.board.statistics.summary import MIN_SEEDS, Summary, summarize

__all__ = [
    "ALPHA",
    "LEVEL",
    "MIN_BOOTSTRAP",
    "MIN_SEEDS",
    "Friedman",
    "Interval",
    "Span",
    "Summary",
    "area",
    "common_span",
    "friedman",
    "holm",
    "mean_interval",
    "paired_p_values",
    "rank_ranges",
    "summarize",
]
