"""The figures of a board's page."""

from __future__ import annotations

from msbench.board.comparison.ranking import BoardRows
from msbench.board.plots import bars, quality, sensitivity, speed, training
from msbench.board.plots.frame import Figure
from msbench.board.plots.methods import Methods


def board_figures(data: BoardRows) -> list[Figure]:
    """The figures that this board has data for, from its records and the histories beside them."""
    methods = Methods.of(data)
    histories = training.histories(methods)
    figures = [
        quality.trade_off(methods),
        speed.front(methods),
        bars.tasks(methods),
        speed.theory(methods),
        quality.tasks_of_method(methods),
        training.sparsity(methods, histories),
        training.convergence(methods, histories),
        sensitivity.components(methods),
        sensitivity.strength(methods),
        bars.budget_error(methods),
    ]
    return [figure for figure in figures if figure.views]
