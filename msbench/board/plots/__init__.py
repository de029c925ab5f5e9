"""The plots of the pages: plotly JSON from records and histories alone, each with its numbers."""

from msbench.board.plots.board import board_figures
from msbench.board.plots.frame import Figure, View
from msbench.board.plots.ranks import overview_figures
from msbench.board.plots.run import run_figures

__all__ = ["Figure", "View", "board_figures", "overview_figures", "run_figures"]
