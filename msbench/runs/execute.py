"""One run, in its own process: train, prune, evaluate once on test data, leave everything in the staging folder."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from msbench.config import RunConfig, build_part
from msbench.data.dataset import PARTS, Dataset, Part, Samples
from msbench.data.preview import prediction_sheet
from msbench.data.resident import ResidentSamples
from msbench.errors import DivergedError, UserError
from msbench.measure.table import LatencyTable
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import Plugins
from msbench.records.record import AllowancePart, CostPart, MetricValue, Record, TaskPart
from msbench.runs.build import initial_digest, rebuild, weights_digest
from msbench.runs.checkpoints import Earlier, StoredCheckpoints, checkpoints_of
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
from msbench.runs.guarding import diverged_first, untouched_global_generators
from msbench.runs.identity.identity import begin
from msbench.runs.identity.provenance import environment, peak_memory, provenance_of
from msbench.runs.metatest import meta_test
from msbench.runs.starts import starts_of
from msbench.runs.units import TABLE, budget_of, multiply_add_costs, save_table
from msbench.selection import build_criterion
from msbench.sparsity.budget import Budget
from msbench.sparsity.costs import Costs
from msbench.sparsity.mask import Mask
from msbench.store.store import CHECKPOINT, Store
from msbench.tasks.task import Task
from msbench.training.collectives import Ranks
from msbench.training.evaluate import constants, evaluate, evaluate_constant
from msbench.training.history import History
from msbench.training.layout import to_training_layout
from msbench.training.parallel import Split
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


def execute(
    plugins: Plugins, job: Job, folder: Path, cache: Path, progress: Progress, ranks: Ranks | None = None
) -> Record:
    """Train and evaluate; write weights, mask, history and samples; return the record, not yet measured.

    With the same job and folder after it was killed, it goes on from the checkpoints that it left there. ranks: the
    processes that train with this one, the first; then nothing is kept to go on from, nor shared with other runs.
    """
    started = time.perf_counter()
    begin(plugins, job.config, job.identity, folder)
    problem, sparsifier, trainer, table = prepared(plugins, job, folder, cache, ranks)
    if table is not None:
        save_table(table, folder / TABLE)
    run = {"run_id": job.run_id, "folder": folder, "config": job.config.model_dump(mode="json")}
    trainer.on_evaluation = lambda history: _report(plugins, run, trainer, history, progress)
    notify(plugins.hook.msbench_run_started, run=run)

    if ranks is None:
        trainer.starts = starts_of(job, problem.device, Store(folder.parent.parent))
        trainer.checkpoints = checkpoints_of(job, problem.device, folder, started)
    mask = trained(job, problem, sparsifier, trainer, folder)
    _write(folder, problem, mask, trainer.history)

    warnings = [table.warning] if table is not None and table.warning else []
    component = plugins.get("sparsifier", job.config.sparsifier.base)
    record = blank_record(job, component, [*sparsifier.notes(), *warnings])
    _fill(record, job, problem, trainer, sparsifier)
    record.cost = _cost(trainer, started)
    notify(plugins.hook.msbench_run_finished, record=record)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    return record


def prepared(
    plugins: Plugins, job: Job, folder: Path, cache: Path, ranks: Ranks | None
) -> tuple[Problem, Sparsifier, Trainer, LatencyTable | None]:
    """What a run works on, how, and with which trainer; and the table that its budget counts by. Writes nothing."""
    _prepare_process(job.config.engine.threads, resolve_device(job.config.engine.device))
    problem = Problem.of(plugins, job.config, cache)
    component = plugins.get("sparsifier", job.config.sparsifier.base)
    sparsifier: Sparsifier = build_part(component, job.config.sparsifier.params)
    budget, table = budget_of(job.config, job.target, problem.model, problem.image, problem.device, cache)
    trainer = _trainer(plugins, job, problem, Store(folder.parent.parent), budget)
    if ranks is not None:
        trainer.split = Split(ranks, job.config.seed, problem.device)
    return problem, sparsifier, trainer, table


def trained(job: Job, problem: Problem, sparsifier: Sparsifier, trainer: Trainer, folder: Path) -> Mask | None:
    """Train and prune; the mask, if there is one. RuntimeError where processes of one run have drifted apart."""
    with untouched_global_generators(job.config.sparsifier.base), diverged_first(trainer):
        if job.config.meta_test is None:
            sparsifier.sparsify(trainer)
        else:
            meta_test(trainer, job.config.meta_test, Store(folder.parent.parent))
    trainer.finish()
    if trainer.split is not None:
        trainer.split.ranks.check_alike(weights_digest(problem.model))
    return checked_mask(trainer)


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
    record.provenance = provenance_of(job.identity, str(problem.device))
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


def _cost(trainer: Trainer, started: float) -> CostPart:
    """Of all attempts: what earlier ones left a checkpoint of has counted its shared start already."""
    kept = trainer.checkpoints
    earlier = kept.earlier if isinstance(kept, StoredCheckpoints) else Earlier()
    shared = earlier.shared if earlier.seconds else trainer.shared_seconds
    wall = time.perf_counter() - started + earlier.seconds + shared
    return CostPart(wall_s=wall, peak_memory=peak_memory(), shared_start=shared, earlier_attempts=earlier.seconds)


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
