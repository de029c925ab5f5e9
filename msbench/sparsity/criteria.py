"""Criterion: what ranks groups. The built-in ones are plugins, like anyone's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

if TYPE_CHECKING:
    from msbench.training.trainer import Trainer


class Criterion(ABC):
    """Gives every group a score; what scores highest is kept. A dataclass whose fields are its configuration."""

    name: ClassVar[str]
    paper: ClassVar[str] = ""

    @abstractmethod
    def score(self, trainer: Trainer) -> Mapping[str, Tensor]:
        """Per layer of `trainer.groups`: [I], or the weight's shape for an unstructured ranking."""
