"""One run of a sparsifier on the toy problem, watched."""

from __future__ import annotations

import hashlib
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from msbench.conformance.case import Inapplicable, RuleError, one_line
from msbench.conformance.subject import Subject
from msbench.conformance.toy import TASKS, toy_model, toy_samples
from msbench.conformance.watch import Forbidden, Watch, watched_datasets, watched_forwards, watched_generators
from msbench.errors import UserError
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import Plugins
from msbench.selection import build_criterion
from msbench.sparsity.budget import Budget
from msbench.sparsity.groups import Groups, Scope
from msbench.sparsity.mask import Mask
from msbench.training.balancing import Uncertainty
from msbench.training.evaluate import constants, evaluate_constant
from msbench.training.settings import TrainingSettings
from msbench.training.stage import Checkpoints
from msbench.training.trainer import Trainer

SAMPLES, BATCH = 128, 8
"""Allowance of a run: 16 plain steps."""


@dataclass(frozen=True)
class Setup:
    """What is asked of a run. attempt: a number that only tells two equal runs apart."""

    target: float | None = 0.5
    scope: Scope = "backbone"
    seed: int = 0
    device: str = "cpu"
    attempt: int = 0

    def __str__(self) -> str:
        budget = "a natural budget" if self.target is None else f"{self.target:.0%}"
        return f"{budget}, scope={self.scope}, seed {self.seed}, {self.device}"


@dataclass
class Run:
    """A run that ended. `budget` is the one that it was given, whatever became of the trainer's."""

    trainer: Trainer
    budget: Budget
    watch: Watch
    seconds: float = 0.0
    error: Exception | None = None

    @property
    def model(self) -> MultiTaskModel:
        return self.trainer.model

    @property
    def mask(self) -> Mask:
        """The final mask; one that keeps everything where there is none."""
        return self.trainer.mask if self.trainer.mask is not None else Mask({})

    @property
    def sparsity(self) -> float:
        """Share of the scope's weights that the mask removes."""
        return self.budget.sparsity(self.mask)

    def digests(self) -> dict[str, str]:
        """SHA-256 of the weights, the mask and the history."""
        return {
            "weights": _digest(self.model.state_dict()),
            "mask": self.mask.digest(),
            "history": hashlib.sha256(repr(self.trainer.history.rows).encode()).hexdigest(),
        }


@dataclass
class SparsifierSubject(Subject):
    """A sparsifier, and the runs that its rules have asked for so far."""

    _runs: dict[Setup, Run] = field(default_factory=dict)

    def run(self, **asked: Any) -> Run:
        """A run with this setup (see Setup), made once. Raises RuleError if it failed, and Inapplicable if the plain
        run did, which the rules `runs` and `allowance` report.
        """
        setup = Setup(**asked)
        if self.plain().error is None:
            run = self._run(setup)
            if run.error is None:
                return run
            raise RuleError(f"at {setup}: {one_line(run.error)}") from run.error
        raise Inapplicable("it does not run, see above")

    def plain(self) -> Run:
        """The plain run, failed or not."""
        return self._run(Setup())

    def resumed(self, checkpoints: Checkpoints) -> Run:
        """The plain run by a fresh instance that keeps, and goes on from, these. Raises RuleError if it failed."""
        run = perform(self.plugins, self.create(), Setup(), checkpoints)
        if run.error is not None:
            raise RuleError(one_line(run.error)) from run.error
        return run

    def _run(self, setup: Setup) -> Run:
        if setup not in self._runs:
            self._runs[setup] = perform(self.plugins, self.create(), setup)
        return self._runs[setup]

    def attempt(self, instance: Any) -> None:
        run = perform(self.plugins, instance, Setup())
        if run.error is not None:
            raise run.error


def perform(plugins: Plugins, sparsifier: Any, setup: Setup, checkpoints: Checkpoints | None = None) -> Run:
    """Run a sparsifier to its end, watched."""
    watch = Watch()
    trainer, _test = _toy_trainer(plugins, setup, sparsifier.separate, watch)
    trainer.checkpoints = checkpoints
    run = Run(trainer, trainer.budget, watch)
    started = time.perf_counter()
    # a hook on the network could keep anything, so no stage would be checkpointed
    forwards = watched_forwards(trainer.model, watch) if checkpoints is None else nullcontext()
    with watched_generators(watch), watched_datasets(watch), forwards:
        try:
            sparsifier.sparsify(trainer)
            trainer.finish()
        except Exception as error:  # whatever the plugin raises is what the rules are about
            run.error = error
    run.seconds = time.perf_counter() - started
    return run


def toy_trainer(plugins: Plugins, seed: int = 0) -> Trainer:
    """A trainer on the toy problem without a target, for criteria."""
    return _toy_trainer(plugins, Setup(target=None, seed=seed), False, Watch())[0]


def _toy_trainer(plugins: Plugins, setup: Setup, separate: bool, watch: Watch) -> tuple[Trainer, Forbidden]:
    """The trainer, and the test part that nobody may read (it lives as long as the run)."""
    device = torch.device(setup.device)
    model = toy_model(setup.seed, separate).to(device)
    train = toy_samples(64, 1)
    validation = Forbidden(toy_samples(16, 2), watch, "validation data to train on", torch.is_inference_mode_enabled)
    floor = evaluate_constant(constants(train, TASKS), validation, TASKS, device).losses
    groups = Groups.of(model, setup.scope)
    trainer = Trainer(
        model=model,
        tasks=TASKS,
        budget=Budget("natural" if setup.target is None else "share", setup.scope, groups, setup.target),
        settings=TrainingSettings(samples=SAMPLES, batch=BATCH, evaluations=2),
        balancer=Uncertainty([task.name for task in TASKS]).to(device),
        criterion=lambda text: build_criterion(plugins, text),
        saved_mask=lambda run: _saved_mask(groups, run),
        train_samples=train,
        validation_samples=validation,
        loss_floor=floor,
        device=device,
        seed=setup.seed,
    )
    return trainer, Forbidden(toy_samples(16, 3), watch, "test data")


def _saved_mask(groups: Groups, run: str) -> Mask:
    """The mask of the one finished run, also known as "": every third group is gone. UserError for any other."""
    if run not in ("", "saved"):
        raise UserError(f"there is no finished run {run!r}")
    return Mask({layer.name: torch.arange(layer.count) % 3 != 1 for layer in groups.layers})


def _digest(state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
