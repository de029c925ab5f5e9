"""The normals task, with what sets its numbers apart from others'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from torch import Tensor

from msbench.api import MetricSpec, NormalsTask

DERIVED: Final = "derived normals (from depth: angles do not compare with published ones)"


@dataclass(frozen=True)
class StoredNormals(NormalsTask):
    """Normals of NYU Depth v2.

    derived: computed from depth; every metric says so. decoded: vectors; without it, bytes taken as vectors, whose
    mirror image has the same components, as in the code of the papers that read them so.
    """

    derived: bool = False
    decoded: bool = True

    @property
    def metrics(self) -> Mapping[str, MetricSpec]:
        metrics = super().metrics
        note = DERIVED if self.derived else "" if self.decoded else "normals not decoded: angles are compressed"
        if not note:
            return metrics
        return {name: replace(spec, formula=f"{spec.formula}; {note}") for name, spec in metrics.items()}

    def flip(self, target: Tensor) -> Tensor:
        return super().flip(target) if self.decoded else target.flip(-1)

    def zoom(self, target: Tensor, factor: Tensor) -> Tensor:
        return super().zoom(target, factor) if self.decoded else target
