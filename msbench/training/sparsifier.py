"""Sparsifier: the algorithm under test, a short script over a trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer


class Sparsifier(ABC):
    """A sparsifier plugin: a dataclass whose fields are its configuration (`sparsifier.FIELD=value`).

    name: what users type.
    variants: further names, each with the parameters that make it; `-s all` runs them instead of `name`.
    finds_sparsity: whether it arrives at a level of its own, and so can run under `--budget natural`.
    sparse: False only for a control that removes nothing.
    separate: whether each task gets a whole network of its own (the single-task control).
    paper: citation of the algorithm.
    """

    name: ClassVar[str]
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    finds_sparsity: ClassVar[bool] = False
    sparse: ClassVar[bool] = True
    separate: ClassVar[bool] = False
    paper: ClassVar[str] = ""

    @abstractmethod
    def sparsify(self, trainer: Trainer) -> None:
        """Train and prune `trainer.model` within the allowance; leave the mask applied."""

    def plain_share(self) -> float:
        """Share of the allowance that it trains plainly before anything else; 0 for none, 1 for all of it.

        It only tells a plan where the dense run of the same seed should keep its state. Plain first stages,
        `trainer.train(...)` of the initial weights without callbacks, are shared whether they are announced or not.
        """
        return 0.0

    def notes(self) -> list[str]:
        """Rulings that a reader of the board must know: which formulation ran, where it departs from the paper."""
        return []
