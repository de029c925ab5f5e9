"""Criterion: what ranks groups. The built-in ones are plugins, like anyone's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from torch import Tensor

from msbench.errors import UserError

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer


@dataclass(frozen=True)
class _NamesCriterion:
    """Marks a field that names a criterion, so that it is checked before anything runs."""


CriterionName = Annotated[str, _NamesCriterion()]
"""The type of a sparsifier's field that names a criterion: `magnitude`, `magnitude[norm=1]`, `mask:RUN`."""


class Criterion(ABC):
    """Gives every group a score; what scores highest is kept. A dataclass whose fields are its configuration.

    fixed: whether the scores are not a function of the weights, so that ranking once is enough.
    """

    name: ClassVar[str]
    fixed: ClassVar[bool] = False
    paper: ClassVar[str] = ""

    @abstractmethod
    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        """Scores of whole groups: per layer of `trainer.groups` a tensor [I]."""

    def score_elements(self, trainer: Trainer) -> Mapping[str, Tensor]:
        """Scores of single weights: per layer a tensor of the weight's shape; UserError where there are none."""
        raise UserError(f"criterion {self.name!r} ranks whole groups only; use it with structured=true")
