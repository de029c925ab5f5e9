"""One run, in its own process: train, prune, evaluate once on test data, leave everything in the staging folder."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from msbench.config import RunConfig, build_part
from msbench.data.dataset import Dataset, Samples
from msbench.data.preview import prediction_sheet
from msbench.errors import DivergedError, UserError
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import Component, Plugins
from msbench.runs.build import rebuild, weights_digest
from msbench.runs.provenance import environment, peak_memory
from msbench.runs.record import (
    AllowancePart,
    BudgetPart,
    CostPart,
    DatasetPart,
    MetricValue,
    ModelPart,
    Record,
    SparsifierPart,
    SparsityPart,
    TaskPart,
)
from msbench.sparsity.accounting import account
from msbench.sparsity.budget import Budget
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench.tasks.task import Task
from msbench.training.evaluate import Evaluation, constants, evaluate, evaluate_constant
from msbench.training.history import History
from msbench.training.sparsifier import Sparsifier
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


def execute(plugins: Plugins, job: Job, folder: Path, cache: Path, progress: Any) -> Record:
    """Train and evaluate; write weights, mask, history, samples and configuration; return the unmeasured record.

    progress: called with (share of the allowance spent, newest values) after each validation.
    """
    started = time.perf_counter()
    config = job.config
    device = resolve_device(config.engine.device)
    _prepare_process(config.engine.threads, device)
    dataset, tasks, model = rebuild(plugins, config)
    dataset.prepare(cache, lambda done, total, what: None)
    parts = {part: dataset.samples(part, cache) for part in ("train", "validation", "test")}
    component = plugins.get("sparsifier", config.sparsifier.base)
    sparsifier: Sparsifier = build_part(component, config.sparsifier.params)
    initial = weights_digest(model)
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    run = {"run_id": job.run_id, "folder": folder, "config": config.model_dump(mode="json")}
    floor = constants(parts["train"], tasks)
    trainer = _trainer(plugins, job, tasks, model, parts, floor, device)
    trainer.on_evaluation = lambda history: _report(plugins, run, trainer, history, progress)
    plugins.hook.msbench_run_started(run=run)

    with untouched_global_generators(component.name):
        sparsifier.sparsify(trainer)
    trainer.finish()
    mask = checked_mask(trainer)
    test = evaluate(model, parts["test"], tasks, device)
    validation = evaluate(model, parts["validation"], tasks, device)
    _write(folder, model, mask, trainer.history, parts["test"], tasks, device)

    record = Record(
        run_id=job.run_id,
        status="ok",
        created=now(),
        preset=config.preset,
        command=job.command,
        seed=config.seed,
        sparsifier=sparsifier_part(component, config, sparsifier.notes()),
        dataset=_dataset_part(dataset, config, parts),
        model=_model_part(config, model),
        tasks=[TaskPart(name=task.name, kind=task.kind, headline=task.headline) for task in tasks],
        budget=_budget_part(job, trainer, mask, sparsifier),
        allowance=AllowancePart(samples=trainer.allowance.samples, spent=trainer.allowance.spent),
        metrics=_metrics(test, evaluate_constant(floor, parts["test"], tasks, device), tasks),
        validation=_metrics(validation, evaluate_constant(floor, parts["validation"], tasks, device), tasks),
        sparsity=_sparsity_part(model, mask, trainer.groups),
        cost=CostPart(wall_s=time.perf_counter() - started, peak_memory=peak_memory()),
        hashes={
            "initial_weights": initial,
            "weights": weights_digest(model),
            "mask": mask.digest() if mask is not None else "",
            **digests(job.identity),
        },
        environment=environment(str(device), config.engine.threads),
        config=config.model_dump(mode="json"),
    )
    _judge(record)
    plugins.hook.msbench_run_finished(record=record)
    return record


def resolve_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one; UserError when a named device is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"engine.device={name}: torch sees no GPU here; use engine.device=cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(f"engine.device={name}: no such device; use auto, cpu or cuda") from error


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def digests(identity: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a run's identity that are digests, for the record."""
    return {
        "data": identity["data"],
        "host_sources": identity["host"],
        "sparsifier_sources": identity["sparsifier"],
    }


def sparsifier_part(component: Component, config: RunConfig, notes: list[str]) -> SparsifierPart:
    """How a record names its sparsifier."""
    cls: Any = component.cls
    return SparsifierPart(
        name=config.sparsifier.name,
        base=config.sparsifier.base,
        plugin=component.plugin,
        version=component.version,
        params=config.sparsifier.params,
        paper=cls.paper,
        summary=(cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else "",
        notes=notes,
    )


def _prepare_process(threads: int, device: torch.device) -> None:
    """Threads pinned, denormals flushed (pruned weights decay into them, and they are slow)."""
    torch.set_flush_denormal(True)
    if device.type == "cpu":
        torch.set_num_threads(threads)


def _trainer(
    plugins: Plugins,
    job: Job,
    tasks: tuple[Task, ...],
    model: MultiTaskModel,
    parts: Mapping[str, Samples],
    floor: Mapping[str, torch.Tensor],
    device: torch.device,
) -> Trainer:
    config = job.config
    budget = Budget(config.budget.mode, config.budget.scope, Groups.of(model, config.budget.scope), job.target)
    balancer = plugins.get("loss balancer", config.training.balancer).cls([task.name for task in tasks])
    return Trainer(
        model=model,
        tasks=tasks,
        budget=budget,
        settings=config.training,
        balancer=balancer.to(device),
        criteria=plugins.classes("criterion"),
        train_samples=parts["train"],
        validation_samples=parts["validation"],
        loss_floor=evaluate_constant(floor, parts["validation"], tasks, device).losses,
        device=device,
        seed=config.seed,
    )


def _report(plugins: Plugins, run: Mapping[str, Any], trainer: Trainer, history: History, progress: Any) -> None:
    latest = history.latest()
    progress(trainer.allowance.progress, latest)
    plugins.hook.msbench_epoch_finished(run=run, history={**latest, "samples": trainer.allowance.spent})


@contextmanager
def untouched_global_generators(name: str) -> Iterator[None]:
    """Raise RuntimeError when the block leaves torch's, numpy's or Python's global generator changed."""

    def states() -> dict[str, Any]:
        position: Any = np.random.get_state()
        return {
            "torch": torch.random.get_rng_state().numpy().tobytes(),
            "numpy": (position[1].tobytes(), position[2]),
            "random": random.getstate(),
        }

    before = states()
    yield
    after = states()
    for library in before:
        if before[library] != after[library]:
            raise RuntimeError(f"{name} used the global generator of {library}; draw from trainer.generator instead")


def checked_mask(trainer: Trainer) -> Mask | None:
    """The trainer's mask, if it is in scope and the weights agree with it; raises RuntimeError otherwise."""
    mask = trainer.mask
    if mask is None:
        return None
    layers = {layer.name for layer in trainer.groups.layers}
    for name in mask:
        if name not in layers:
            raise RuntimeError(f"the mask has layer {name!r}, which is outside the budget's scope")
    for name, weight in trainer.weights.items():
        if name in mask and bool((weight.detach() * ~mask.expanded(name, weight)).any()):
            raise RuntimeError(f"layer {name!r} has weights that its mask removes")
    return mask


def _write(
    folder: Path,
    model: MultiTaskModel,
    mask: Mask | None,
    history: History,
    test: Samples,
    tasks: tuple[Task, ...],
    device: torch.device,
) -> None:
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise DivergedError("the final weights are not finite")
    save_file(state, folder / "model.safetensors")
    if mask is not None:
        mask.save(folder / "mask.safetensors")
    history.save(folder / "history.parquet")
    batch = test.batch(torch.arange(min(6, len(test))))
    model.eval()
    with torch.inference_mode():
        outputs = {name: output.float().cpu() for name, output in model(batch.image.to(device)).items()}
    prediction_sheet(batch, outputs, tasks, len(batch)).save(folder / "samples.png")


def _metrics(found: Evaluation, floor: Evaluation, tasks: tuple[Task, ...]) -> dict[str, dict[str, MetricValue]]:
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


def _dataset_part(dataset: Dataset, config: RunConfig, parts: Mapping[str, Samples]) -> DatasetPart:
    return DatasetPart(
        name=config.data.name,
        params=config.data.params,
        synthetic=dataset.synthetic,
        train=len(parts["train"]),
        validation=len(parts["validation"]),
        test=len(parts["test"]),
        image=list(parts["test"].batch(torch.tensor([0])).image.shape[1:]),
    )


def _model_part(config: RunConfig, model: MultiTaskModel) -> ModelPart:
    chosen = config.model
    return ModelPart(
        name=chosen.name,
        backbone=chosen.backbone.name,
        head=chosen.head.name,
        params=chosen.model_dump(mode="json"),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _budget_part(job: Job, trainer: Trainer, mask: Mask | None, sparsifier: Sparsifier) -> BudgetPart:
    structured = mask is None or mask.structured
    achieved = trainer.budget.sparsity(mask) if mask is not None else 0.0
    tolerance = trainer.budget.tolerance(structured)
    moved = achieved - trainer.natural if trainer.natural is not None else None
    return BudgetPart(
        mode=job.config.budget.mode,
        scope=job.config.budget.scope,
        unit="params",
        structured=structured,
        asked=job.target,
        achieved=achieved,
        natural=trainer.natural,
        settled_by=moved,
        tolerance=tolerance,
        met=None if job.target is None or not sparsifier.sparse else abs(achieved - job.target) <= tolerance,
        reference=job.reference,
    )


def _sparsity_part(model: MultiTaskModel, mask: Mask | None, groups: Groups) -> SparsityPart:
    found = account(model, mask if mask is not None else Mask({}), groups)
    return SparsityPart(
        parameters=found.parameters,
        groups=found.groups,
        per_layer=dict(found.per_layer),
        per_component=dict(found.per_component),
        channels={name: list(pair) for name, pair in found.channels.items()},
    )


def _judge(record: Record) -> None:
    """A budget that was missed is a status of its own."""
    budget = record.budget
    if budget is not None and budget.met is False:
        assert budget.asked is not None
        assert budget.achieved is not None
        record.status = "budget_missed"
        record.reason = (
            f"achieved {budget.achieved:.2%} sparsity, asked for {budget.asked:.2%} ± {budget.tolerance:.2%}"
        )
