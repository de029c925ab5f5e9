"""How a run is described in its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch

from msbench.config import RunConfig
from msbench.data.dataset import Dataset, Part, Samples
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import Component
from msbench.records.record import (
    BudgetPart,
    DatasetPart,
    MetaTestPart,
    MetricValue,
    ModelPart,
    Record,
    SparsifierPart,
    SparsityPart,
    Status,
)
from msbench.runs.identity.provenance import provenance_of
from msbench.sparsity.accounting import account
from msbench.sparsity.costs import Costs
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench.tasks.task import Task
from msbench.training.evaluate import Evaluation
from msbench.training.trainer import Trainer


@dataclass(frozen=True)
class Job:
    """What a run's process is given."""

    run_id: str
    config: RunConfig
    target: float | None
    """Sparsity to reach; None for a natural budget."""
    reference: str | None
    command: str
    identity: dict[str, Any]
    keep: tuple[int, ...] = ()
    """Plain first steps after which other runs go on from this one's state."""


def blank_record(job: Job, component: Component, notes: list[str], status: Status = "ok", reason: str = "") -> Record:
    """A record that says which run it is, and nothing yet of what came out."""
    config, cls = job.config, component.cls
    return Record(
        run_id=job.run_id,
        status=status,
        reason=reason,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        preset=config.preset,
        command=job.command,
        seed=config.seed,
        sparsifier=SparsifierPart(
            name=config.sparsifier.name,
            base=config.sparsifier.base,
            plugin=component.plugin,
            version=component.version,
            params=config.sparsifier.params,
            paper=getattr(cls, "paper", ""),
            summary=(cls.__doc__ or "").strip().partition("\n")[0],
            notes=notes,
        ),
        hashes={
            "data": job.identity["data"],
            "host_sources": job.identity["host"],
            "sparsifier_sources": job.identity["sparsifier"],
        },
        provenance=provenance_of(job.identity, config.engine.device),
        config={**config.model_dump(mode="json"), "model": job.identity["model"]},
        meta_test=MetaTestPart(**config.meta_test.model_dump(exclude={"share"})) if config.meta_test else None,
    )


def metric_values(found: Evaluation, floor: Evaluation, tasks: tuple[Task, ...]) -> dict[str, dict[str, MetricValue]]:
    """Every metric of every task, with its direction and the constant predictor's value."""
    result: dict[str, dict[str, MetricValue]] = {}
    for task in tasks:
        result[task.name] = {
            name: MetricValue(
                value=found.metrics[task.name][name],
                better=spec.better,
                label=spec.label,
                unit=spec.unit,
                in_delta=spec.in_delta,
                constant=floor.metrics[task.name][name],
            )
            for name, spec in task.metrics.items()
        }
    return result


def dataset_part(dataset: Dataset, config: RunConfig, parts: Mapping[Part, Samples]) -> DatasetPart:
    """The dataset, its parameters and the sizes of its parts."""
    return DatasetPart(
        name=config.data.name,
        params={key: value for key, value in config.data.params.items() if key not in dataset.location},
        synthetic=dataset.synthetic,
        train=len(parts["train"]),
        validation=len(parts["validation"]),
        test=len(parts["test"]),
        image=list(parts["test"].batch(torch.tensor([0])).image.shape[1:]),
    )


def model_part(job: Job, model: MultiTaskModel) -> ModelPart:
    """The network by name, parameters and size."""
    config = job.config.model
    return ModelPart(
        name=config.name,
        backbone=config.backbone.name,
        head=config.head.name,
        params=job.identity["model"],
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def budget_part(job: Job, trainer: Trainer, sparse: bool) -> BudgetPart:
    """What was asked, what was achieved, and how far settling moved."""
    mask = trainer.mask
    structured = mask is None or mask.structured
    achieved = trainer.budget.sparsity(mask) if mask is not None else 0.0
    tolerance = trainer.budget.tolerance(structured)
    return BudgetPart(
        mode=job.config.budget.mode,
        scope=job.config.budget.scope,
        unit=trainer.budget.unit,
        table=trainer.budget.priced.table,
        structured=structured,
        asked=job.target,
        achieved=achieved,
        natural=trainer.natural,
        settled_by=achieved - trainer.natural if trainer.natural is not None else None,
        tolerance=tolerance,
        met=None if job.target is None or not sparse else abs(achieved - job.target) <= tolerance,
        reference=job.reference,
    )


def sparsity_part(
    model: MultiTaskModel, mask: Mask | None, groups: Groups, prices: Sequence[Costs] = ()
) -> SparsityPart:
    """Sparsity in all, by layer, by component, and in the units of `prices`."""
    found = account(model, mask if mask is not None else Mask({}), groups, prices)
    return SparsityPart(
        parameters=found.parameters,
        groups=found.groups,
        per_layer=dict(found.per_layer),
        per_component=dict(found.per_component),
        channels={name: list(pair) for name, pair in found.channels.items()},
        by_unit=dict(found.by_unit),
    )


def judge(record: Record) -> None:
    """A budget that was missed is a status of its own; layers that lost everything are noted."""
    dead = [name for name, (kept, _) in record.sparsity.channels.items() if kept == 0] if record.sparsity else []
    if dead:
        record.sparsifier.notes.append(f"collapsed: nothing is left of {', '.join(dead)}")
    budget = record.budget
    if budget is not None and budget.met is False and budget.asked is not None and budget.achieved is not None:
        record.status = "budget_missed"
        record.reason = (
            f"achieved {budget.achieved:.2%} sparsity, asked for {budget.asked:.2%} ± {budget.tolerance:.2%}"
        )
