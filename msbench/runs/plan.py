"""The plan: which runs a command needs, what each depends on, and which are in the store already."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msbench.config import BudgetConfig, Experiment, RunConfig, SparsifierConfig
from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.runs.build import build_dataset
from msbench.runs.provenance import package_versions
from msbench.runs.sources import class_digest, host_digest
from msbench.runs.store import Store
from msbench.selection import sparsifier_config


@dataclass(frozen=True)
class PlannedRun:
    """One cell: its configuration, the digests that identify it, and the runs that must end before it."""

    run_id: str
    config: RunConfig
    identity: dict[str, Any]
    dense: str | None
    """run_id of the dense control of the same seed; None for the control itself."""
    reference: str | None
    """run_id of the run whose achieved sparsity is the target."""
    command: str
    cached: bool

    @property
    def depends(self) -> tuple[str, ...]:
        """Runs whose result this one needs before it starts."""
        return (self.reference,) if self.reference else ()


def make_plan(plugins: Plugins, experiment: Experiment, store: Store, cache: Path, source: Command) -> list[PlannedRun]:
    """All runs of an experiment with the dense controls and references that they need, dependencies first."""
    shared = _shared_identity(plugins, experiment, cache)
    plan: dict[str, PlannedRun] = {}

    def add(config: RunConfig, dense: str | None = None, reference: str | None = None) -> str:
        identity = _identity(plugins, config, shared, dense, reference)
        run_id = f"{_slug(config)}-{_hash(identity)}"
        cached = store.reusable(run_id) is not None
        command = source.of(config, matched=reference is not None)
        plan.setdefault(run_id, PlannedRun(run_id, config, identity, dense, reference, command, cached))
        return run_id

    sparse = [s for s in experiment.sparsifiers if plugins.get("sparsifier", s.base).cls.sparse]  # type: ignore[attr-defined]
    matched = experiment.budget.mode == "matched"
    for seed in experiment.seeds:
        dense = add(_natural(experiment.run(_named(plugins, experiment.control), seed)))
        reference = None
        if matched and sparse:
            chosen = _reference(plugins, experiment)
            reference = add(_natural(experiment.run(chosen, seed)), dense)
        for sparsifier in experiment.sparsifiers:
            if sparsifier.name == experiment.control or (matched and sparsifier.name == experiment.budget.reference):
                continue  # planned already
            config = experiment.run(sparsifier, seed)
            if sparsifier in sparse:
                add(config, dense, reference)
            else:
                add(_natural(config), dense)
    return list(plan.values())


@dataclass(frozen=True)
class Command:
    """What was typed, apart from sparsifiers, budget and seeds, so that each run can say what makes it alone."""

    flags: tuple[str, ...]
    overrides: tuple[str, ...]

    def of(self, config: RunConfig, matched: bool) -> str:
        """The command that makes one run."""
        budget = config.budget
        asked = "matched" if matched else str(budget.share) if budget.mode == "share" else budget.mode
        words = ["msbench", "run", "-s", config.sparsifier.name, "--budget", asked, "--seed", str(config.seed)]
        return shlex.join([*words, *self.flags, *self.overrides])


def _reference(plugins: Plugins, experiment: Experiment) -> SparsifierConfig:
    """The reference as it was selected (with its parameters), else with its defaults."""
    name = experiment.budget.reference
    assert name is not None
    for sparsifier in experiment.sparsifiers:
        if sparsifier.name == name:
            return sparsifier
    config = _named(plugins, name)
    if not plugins.get("sparsifier", name).cls.finds_sparsity:  # type: ignore[attr-defined]
        raise UserError(f"budget.reference={name}: it has no sparsity of its own, so nothing can be matched to it")
    return config


def _named(plugins: Plugins, name: str) -> SparsifierConfig:
    return sparsifier_config(plugins.get("sparsifier", name), {}, label=name)


def _natural(config: RunConfig) -> RunConfig:
    return config.model_copy(update={"budget": BudgetConfig(mode="natural", scope=config.budget.scope)})


def _shared_identity(plugins: Plugins, experiment: Experiment, cache: Path) -> dict[str, Any]:
    parts = [("dataset", experiment.data.name), ("loss balancer", experiment.training.balancer)]
    model = experiment.model
    parts += [("backbone", model.backbone.name), ("head", model.head.name), ("head", model.vector_head.name)]
    return {
        "host": host_digest(),
        "packages": package_versions(),
        "data": build_dataset(plugins, experiment.data).fingerprint(cache),
        "parts": {f"{kind} {name}": class_digest(plugins.get(kind, name).cls) for kind, name in sorted(set(parts))},
        "criteria": {name: class_digest(cls) for name, cls in sorted(plugins.classes("criterion").items())},
    }


def _identity(
    plugins: Plugins, config: RunConfig, shared: dict[str, Any], dense: str | None, reference: str | None
) -> dict[str, Any]:
    """Everything that decides a run's numbers. What only decides when and where it runs is left out."""
    settled = config.model_dump(mode="json")
    settled.pop("preset")
    for field in plugins.get("dataset", config.data.name).cls.location:  # type: ignore[attr-defined]
        settled["data"]["params"].pop(field)
    settled["engine"] = {"device": config.engine.device, "threads": config.engine.threads}
    if config.budget.mode == "matched":
        settled["budget"]["reference"] = reference
    code = class_digest(plugins.get("sparsifier", config.sparsifier.base).cls)
    return {"config": settled, "sparsifier": code, "dense": dense, "reference": reference, **shared}


def _hash(identity: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def _slug(config: RunConfig) -> str:
    budget = config.budget
    level = f"{budget.share:g}" if budget.mode == "share" else budget.mode
    words = [config.sparsifier.name, config.data.name, config.model.name, level, f"s{config.seed}"]
    return re.sub(r"[^A-Za-z0-9_.]+", "-", "-".join(words)).strip("-.")[:100]


def order(plan: Sequence[PlannedRun]) -> list[PlannedRun]:
    """What others wait for first: references, then the rest as planned."""
    awaited = {run_id for run in plan for run_id in run.depends}
    return sorted(plan, key=lambda run: run.run_id not in awaited)
