"""One run, in its own process: train, prune, evaluate once on test data, leave everything in the staging folder."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from msbench.config import RunConfig, build_part
from msbench.data.dataset import PARTS, Dataset, Part, Samples
from msbench.data.preview import prediction_sheet
from msbench.data.resident import ResidentSamples
from msbench.errors import DivergedError, UserError
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import Plugins
from msbench.runs.build import initial_digest, rebuild, weights_digest
from msbench.runs.describe import (
    Job,
    blank_record,
    budget_part,
    dataset_part,
    judge,
    metric_values,
    model_part,
    sparsity_part,
)
from msbench.runs.metatest import meta_test
from msbench.runs.provenance import environment, peak_memory
from msbench.runs.record import AllowancePart, CostPart, MetricValue, Record, TaskPart
from msbench.runs.starts import StoredStarts, start_identity
from msbench.runs.store import Store
from msbench.runs.units import TABLE, budget_of, multiply_add_costs, save_table
from msbench.selection import build_criterion
from msbench.sparsity.budget import Budget
from msbench.sparsity.costs import Costs
from msbench.sparsity.mask import Mask
from msbench.tasks.task import Task
from msbench.training.evaluate import constants, evaluate, evaluate_constant
from msbench.training.history import History
from msbench.training.layout import to_training_layout
from msbench.training.settings import TrainingSettings
from msbench.training.sparsifier import Sparsifier
from msbench.training.trainer import Trainer

SHOWN = 6
"""Test images whose predictions are drawn; neighbours in a video look alike, so they are taken far apart."""
Progress = Callable[[float, Mapping[str, float]], None]
"""Called with the share of the allowance spent and the newest values, after each validation."""


@dataclass(frozen=True)
class Problem:
    """What a run works on: data, tasks, the initial network, and the floor that it must beat."""

    dataset: Dataset
    tasks: tuple[Task, ...]
    model: MultiTaskModel
    parts: Mapping[Part, Samples]
    constants: Mapping[str, Tensor]
    initial_weights: str
    device: torch.device

    @classmethod
    def of(cls, plugins: Plugins, config: RunConfig, cache: Path) -> Problem:
        """Build everything that a configuration names. The data must be prepared, or is prepared now."""
        device = resolve_device(config.engine.device)
        dataset, tasks, model = rebuild(plugins, config)
        dataset.prepare(cache, lambda done, total, what: None)
        parts = {part: dataset.samples(part, cache) for part in PARTS}
        initial = initial_digest(model)
        to_training_layout(model, device)
        return cls(dataset, tasks, model, parts, constants(parts["train"], tasks), initial, device)

    @property
    def image(self) -> tuple[int, ...]:
        """Channels, height and width of the data's images."""
        return tuple(self.parts["test"].batch(torch.tensor([0])).image.shape[1:])

    def measured(self, part: Part) -> dict[str, dict[str, MetricValue]]:
        """Every metric of the network as it is now on one part, beside the constant predictor's."""
        samples = self.parts[part]
        found = evaluate(self.model, samples, self.tasks, self.device)
        floor = evaluate_constant(self.constants, samples, self.tasks, self.device)
        return metric_values(found, floor, self.tasks)


def execute(plugins: Plugins, job: Job, folder: Path, cache: Path, progress: Progress) -> Record:
    """Train and evaluate; write weights, mask, history and samples; return the record, not yet measured."""
    started = time.perf_counter()
    _prepare_process(job.config.engine.threads, resolve_device(job.config.engine.device))
    problem = Problem.of(plugins, job.config, cache)
    component = plugins.get("sparsifier", job.config.sparsifier.base)
    sparsifier: Sparsifier = build_part(component, job.config.sparsifier.params)
    store = Store(folder.parent.parent)
    budget, table = budget_of(job.config, job.target, problem.model, problem.image, problem.device, cache)
    if table is not None:
        save_table(table, folder / TABLE)
    trainer = _trainer(plugins, job, problem, store, budget)
    run = {"run_id": job.run_id, "folder": folder, "config": job.config.model_dump(mode="json")}
    trainer.on_evaluation = lambda history: _report(plugins, run, trainer, history, progress)
    notify(plugins.hook.msbench_run_started, run=run)

    trainer.starts = _starts(job, problem, store)
    with untouched_global_generators(component.name), diverged_first(trainer):
        if job.config.meta_test is None:
            sparsifier.sparsify(trainer)
        else:
            meta_test(trainer, job.config.meta_test, store)
    trainer.finish()
    mask = checked_mask(trainer)
    _write(folder, problem, mask, trainer.history)

    warnings = [table.warning] if table is not None and table.warning else []
    record = blank_record(job, component, [*sparsifier.notes(), *warnings])
    _fill(record, job, problem, trainer, sparsifier)
    wall, shared = time.perf_counter() - started, trainer.shared_seconds
    record.cost = CostPart(wall_s=wall + shared, peak_memory=peak_memory(), shared_start=shared)
    notify(plugins.hook.msbench_run_finished, record=record)
    return record


def _fill(record: Record, job: Job, problem: Problem, trainer: Trainer, sparsifier: Sparsifier) -> None:
    """What came out of a run that ended."""
    mask, config = trainer.mask, job.config
    record.dataset = dataset_part(problem.dataset, config, problem.parts)
    record.model = model_part(job, problem.model)
    record.tasks = [TaskPart(name=task.name, kind=task.kind, headline=task.headline) for task in problem.tasks]
    record.budget = budget_part(job, trainer, sparsifier.sparse)
    record.allowance = AllowancePart(samples=trainer.allowance.samples, spent=trainer.allowance.spent)
    record.metrics = problem.measured("test")
    record.validation = problem.measured("validation")
    prices = [trainer.budget.priced, Costs.of_weights(trainer.groups)]
    prices.append(multiply_add_costs(problem.model, trainer.groups, problem.image, problem.device))
    record.sparsity = sparsity_part(problem.model, mask, trainer.groups, prices)
    record.hashes |= {
        "initial_weights": problem.initial_weights,
        "weights": weights_digest(problem.model),
        "mask": mask.digest() if mask is not None else "",
    }
    record.environment = environment(str(problem.device), config.engine.threads)
    judge(record)


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


def _prepare_process(threads: int, device: torch.device) -> None:
    """Threads pinned, denormals flushed (pruned weights decay into them, and they are slow)."""
    torch.set_flush_denormal(True)
    if device.type == "cpu":
        torch.set_num_threads(threads)


def _trainer(plugins: Plugins, job: Job, problem: Problem, store: Store, budget: Budget) -> Trainer:
    config, tasks = job.config, problem.tasks
    floor = evaluate_constant(problem.constants, problem.parts["validation"], tasks, problem.device)
    balancer = plugins.get("loss balancer", config.training.balancer).cls([task.name for task in tasks])
    return Trainer(
        model=problem.model,
        tasks=tasks,
        budget=budget,
        settings=config.training,
        balancer=balancer.to(problem.device),
        criterion=lambda text: build_criterion(plugins, text),
        saved_mask=lambda run_id: Mask.load(store.artefact(run_id, "mask.safetensors")),
        train_samples=_train_samples(problem, config.training),
        validation_samples=problem.parts["validation"],
        loss_floor=floor.losses,
        device=problem.device,
        seed=config.seed,
    )


def _train_samples(problem: Problem, settings: TrainingSettings) -> Samples:
    samples = problem.parts["train"]
    return ResidentSamples(samples, problem.device) if settings.data_on_device else samples


def _starts(job: Job, problem: Problem, store: Store) -> StoredStarts | None:
    """Where plain first stages are kept, unless `engine.share_start` is off."""
    engine = job.config.engine
    if not engine.share_start:
        return None
    machine = environment(str(problem.device), engine.threads)
    place = {name: machine.get(name) for name in ("system", "cpu", "device", "gpu", "cuda", "cudnn")}
    return StoredStarts(store.root, {**start_identity(job.identity), "machine": place}, frozenset(job.keep))


def _report(plugins: Plugins, run: Mapping[str, Any], trainer: Trainer, history: History, progress: Progress) -> None:
    latest = history.latest()
    progress(trainer.allowance.progress, latest)
    notify(plugins.hook.msbench_epoch_finished, run=run, history={**latest, "samples": trainer.allowance.spent})


def notify(hook: Callable[..., Any], **event: Any) -> None:
    """Tell the loggers. One that fails is in the run's log; it does not take the run with it."""
    try:
        hook(**event)
    except Exception:
        traceback.print_exc()


@contextmanager
def diverged_first(trainer: Trainer) -> Iterator[None]:
    """What a loss that is no number has led to is reported as that loss."""
    try:
        yield
    except Exception:
        trainer.history.check()
        raise


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


def _write(folder: Path, problem: Problem, mask: Mask | None, history: History) -> None:
    """Weights, mask, history, and predictions beside labels for test images spread over the part."""
    state = {name: value.detach().cpu().contiguous() for name, value in problem.model.state_dict().items()}
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise DivergedError("the final weights are not finite")
    save_file(state, folder / "model.safetensors")
    if mask is not None:
        mask.save(folder / "mask.safetensors")
    history.save(folder / "history.parquet")
    test = problem.parts["test"]
    batch = test.batch(torch.linspace(0, len(test) - 1, min(SHOWN, len(test))).long())
    problem.model.eval()
    with torch.inference_mode():
        outputs = problem.model(batch.image.to(problem.device))
    shown = {name: output.float().cpu() for name, output in outputs.items()}
    prediction_sheet(batch, shown, problem.tasks, len(batch)).save(folder / "samples.png")
