"""Budgets of runs in each unit, with the latency table made once and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from msbench.config import BudgetConfig, EngineConfig
from msbench.errors import UserError
from msbench.measure.table import LatencyTable
from msbench.runs import units
from msbench.sparsity.budget import Budget
from msbench.sparsity.costs import Unit
from msbench.training.trainer import Trainer

IMAGE = (3, 16, 16)
CPU = torch.device("cpu")


class Asked:
    """The parts of a run's configuration that its budget needs."""

    def __init__(self, unit: Unit) -> None:
        self.budget = BudgetConfig(mode="share", share=0.3, unit=unit)
        self.engine = EngineConfig()


def budget(trainer: Trainer, unit: Unit, target: float | None, cache: Path) -> tuple[Budget, LatencyTable | None]:
    return units.budget_of(Asked(unit), target, trainer.model, IMAGE, CPU, cache)  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", ["params", "macs", "latency"])
def test_a_selection_meets_its_target_in_the_unit_asked_for(
    make_trainer: Callable[..., Trainer], tmp_path: Path, unit: Unit
) -> None:
    trainer = make_trainer(width=16)

    found, table = budget(trainer, unit, None, tmp_path)
    target = (1 - found.priced.least() / found.total) / 2  # within reach whatever was measured
    mask = found.select(trainer.rank("magnitude"), target)

    assert found.unit == unit
    assert (table is not None) == (unit == "latency")
    assert abs(found.sparsity(mask) - target) <= max(0.005, found.largest(mask) / found.total)


def test_a_latency_table_is_measured_once_and_read_again(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    trainer = make_trainer()

    first, second = (budget(trainer, "latency", None, tmp_path)[1] for _ in range(2))

    assert first is not None
    assert second is not None
    assert first.digest == second.digest
    (path,) = (tmp_path / "latency-tables").glob(f"*/{units.TABLE}")
    assert units.read_table(path).digest == first.digest
    path.write_text("{}")
    with pytest.raises(UserError, match="not a latency table"):
        budget(trainer, "latency", None, tmp_path)


@pytest.mark.parametrize("unit", ["macs", "latency"])
def test_a_target_out_of_reach_is_refused_before_training(
    make_trainer: Callable[..., Trainer], tmp_path: Path, unit: Unit
) -> None:
    with pytest.raises(UserError, match=rf"budget\.unit={unit}: 99\.9% cannot be removed, at most \d"):
        budget(make_trainer(), unit, 0.999, tmp_path)
