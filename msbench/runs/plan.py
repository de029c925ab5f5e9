"""The plan: which runs a command needs, what each depends on, and which are in the store already."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msbench.config import BudgetConfig, Experiment, RunConfig, SparsifierConfig
from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.runs.build import build_dataset, model_identity
from msbench.runs.identity.identity import made_from, with_sparsifier
from msbench.runs.identity.provenance import MADE, identity_digest, package_versions
from msbench.runs.identity.sources import class_digest, host_digest
from msbench.selection import MASK, criteria_of, sparsifier_config
from msbench.store.store import Store


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
    depends: tuple[str, ...]
    """Planned runs whose result this one needs before it starts."""
    again: bool = False
    """Whether it is made even where the store has it."""


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


def make_plan(
    plugins: Plugins,
    experiments: Sequence[Experiment],
    store: Store,
    cache: Path,
    source: Command,
    *,
    force: bool = False,
) -> list[PlannedRun]:
    """All runs of the experiments with the dense controls and references that they need, dependencies first.

    force: make what was asked for again, where the store has it; what it needs is taken from the store.
    """
    plan: dict[str, PlannedRun] = {}
    for experiment in experiments:
        shared = _shared_identity(plugins, experiment, cache)
        for seed in experiment.seeds:
            _Seed(plugins, experiment, store, source, shared, seed, plan).add_all()
    if not force:
        return list(plan.values())
    names = {sparsifier.name for experiment in experiments for sparsifier in experiment.sparsifiers}
    return [replace(r, cached=False, again=True) if r.config.sparsifier.name in names else r for r in plan.values()]


@dataclass
class _Seed:
    """The runs of one experiment and seed, added to `plan`."""

    plugins: Plugins
    experiment: Experiment
    store: Store
    source: Command
    shared: dict[str, Any]
    seed: int
    plan: dict[str, PlannedRun]
    dense: str = field(default="", init=False)
    reference: str | None = field(default=None, init=False)

    def add_all(self) -> None:
        """The control, the reference where something is matched to it, and every sparsifier that was asked for."""
        self.dense = self._add(_control(self._config(self.experiment.control)), dense=None)
        budget = self.experiment.budget
        if budget.mode == "matched" and any(self._sparse(s) for s in self.experiment.sparsifiers):
            assert budget.reference is not None
            chosen = self._selected(budget.reference)
            if not self.plugins.get("sparsifier", chosen.base).cls.finds_sparsity:  # type: ignore[attr-defined]
                raise UserError(f"budget.reference={budget.reference}: it has no sparsity of its own to be matched to")
            self.reference = self._add(_natural(self.experiment.run(chosen, self.seed)), self.dense)
        for sparsifier in self.experiment.sparsifiers:
            self._asked(sparsifier)

    def _asked(self, sparsifier: SparsifierConfig) -> str:
        """The run of one sparsifier; the control and the reference are planned already."""
        if sparsifier.name == self.experiment.control:
            return self.dense
        if self.reference is not None and sparsifier.name == self.experiment.budget.reference:
            return self.reference
        config = self.experiment.run(sparsifier, self.seed)
        if self._sparse(sparsifier):
            return self._add(config, self.dense, self.reference)
        return self._add(_natural(config), self.dense)

    def _add(self, config: RunConfig, dense: str | None, reference: str | None = None) -> str:
        """Plan one run, the runs whose masks it reads, and its meta-test where one is asked for."""
        config, masks = self._with_masks(config)
        identity = _identity(self.plugins, config, self.shared, dense, reference)
        source = config.meta_test.source if config.meta_test is not None else None
        run_id = f"{_slug(config)}-{identity_digest(identity)[:12]}"
        needed = [needed for needed in (reference, source, *masks) if needed is not None and needed in self.plan]
        cached = self.store.reusable(run_id) is not None
        command = self.source.of(config, matched=config.budget.mode == "matched")
        run = PlannedRun(run_id, config, identity, dense, reference, command, cached, tuple(needed))
        self.plan.setdefault(run_id, run)
        if self.experiment.meta_test is not None and source is None and not self._separate(config):
            self._add_meta_test(run_id, config, dense)
        return run_id

    def _add_meta_test(self, run_id: str, config: RunConfig, dense: str | None) -> None:
        """Fine-tuning of a planned run; measured against the same fine-tuning of its dense control."""
        asked = self.experiment.meta_test
        assert asked is not None
        tasks = {
            "same": config.tasks,
            "add": (*config.tasks, *asked.new_tasks),
            "only": asked.new_tasks,
        }[asked.mode]
        samples = max(round(asked.share * config.training.samples), config.training.batch)
        training = type(config.training)(**{**vars(config.training), "samples": samples})
        meta_test = asked.model_copy(update={"source": run_id})
        changed = config.model_copy(update={"tasks": tasks, "training": training, "meta_test": meta_test})
        alike = asked.model_copy(update={"source": dense})
        of_dense = next((r.run_id for r in self.plan.values() if r.config.meta_test == alike), None) if dense else None
        self._add(changed, of_dense)

    def _with_masks(self, config: RunConfig) -> tuple[RunConfig, list[str]]:
        """`mask:NAME` becomes `mask:RUN`: the run of that sparsifier for the same budget and seed, or a stored one."""
        component = self.plugins.get("sparsifier", config.sparsifier.base)
        params, masks = dict(config.sparsifier.params), []
        for key, criterion in criteria_of(component, config.sparsifier).items():
            if criterion.startswith(MASK):
                run_id = self._mask_run(criterion.removeprefix(MASK))
                params[key] = MASK + run_id
                masks.append(run_id)
        sparsifier = config.sparsifier.model_copy(update={"params": params})
        return config.model_copy(update={"sparsifier": sparsifier}), masks

    def _mask_run(self, name: str) -> str:
        if name in self.plan:
            return name
        if name not in self.plugins.components["sparsifier"]:
            return self.store.resolve(name)
        chosen = self._selected(name)
        if not self._sparse(chosen):
            raise UserError(f"criterion {MASK}{name}: it removes nothing, so it has no mask")
        return self._asked(chosen)

    def _selected(self, name: str) -> SparsifierConfig:
        """A sparsifier as it was selected (with its parameters), else with its defaults."""
        chosen = [s for s in self.experiment.sparsifiers if s.name == name]
        return chosen[0] if chosen else sparsifier_config(self.plugins.get("sparsifier", name), {}, label=name)

    def _config(self, name: str) -> RunConfig:
        component = self.plugins.get("sparsifier", name)
        return self.experiment.run(sparsifier_config(component, {}, label=name), self.seed)

    def _sparse(self, sparsifier: SparsifierConfig) -> bool:
        return bool(self.plugins.get("sparsifier", sparsifier.base).cls.sparse)  # type: ignore[attr-defined]

    def _separate(self, config: RunConfig) -> bool:
        return bool(self.plugins.get("sparsifier", config.sparsifier.base).cls.separate)  # type: ignore[attr-defined]


def _natural(config: RunConfig) -> RunConfig:
    budget = BudgetConfig(mode="natural", scope=config.budget.scope, unit=config.budget.unit)
    return config.model_copy(update={"budget": budget})


def _control(config: RunConfig) -> RunConfig:
    """The dense control, which removes nothing in any unit: one run serves them all."""
    return config.model_copy(update={"budget": BudgetConfig(mode="natural", scope=config.budget.scope)})


def identity_of(
    plugins: Plugins, config: RunConfig, cache: Path, dense: str | None, reference: str | None
) -> dict[str, Any]:
    """What decides a run of this configuration, as code, packages and data are now."""
    return _identity(plugins, config, _shared_identity(plugins, config, cache), dense, reference)


def _shared_identity(plugins: Plugins, experiment: Experiment | RunConfig, cache: Path) -> dict[str, Any]:
    parts = [("dataset", experiment.data.name), ("loss balancer", experiment.training.balancer)]
    model = experiment.model
    parts += [("backbone", model.backbone.name), ("head", model.head.name), ("head", model.vector_head.name)]
    backbone = plugins.get("backbone", model.backbone.name).cls
    return {
        "host": host_digest(),
        "packages": package_versions(backbone.packages),  # type: ignore[attr-defined]
        "model": model_identity(plugins, model),
        "data": build_dataset(plugins, experiment.data).fingerprint(cache),
        "parts": {f"{kind} {name}": class_digest(plugins.get(kind, name).cls) for kind, name in sorted(set(parts))},
        "criteria": {name: class_digest(cls) for name, cls in sorted(plugins.classes("criterion").items())},
        MADE: made_from(plugins, experiment),
    }


def _identity(
    plugins: Plugins, config: RunConfig, shared: dict[str, Any], dense: str | None, reference: str | None
) -> dict[str, Any]:
    """Everything that decides a run's numbers. What only decides when and where it runs is left out."""
    settled = config.model_dump(mode="json")
    settled.pop("preset")
    settled.pop("model")  # `shared` has it, with the content of files in place of their paths
    for field_ in plugins.get("dataset", config.data.name).cls.location:  # type: ignore[attr-defined]
        settled["data"]["params"].pop(field_)
    settled["engine"] = {"device": config.engine.device, "threads": config.engine.threads}
    if config.engine.processes > 1:
        settled["engine"]["processes"] = config.engine.processes
    if config.budget.mode == "matched":
        settled["budget"]["reference"] = reference
    cls = plugins.get("sparsifier", config.sparsifier.base).cls
    decides = {"config": settled, "sparsifier": class_digest(cls), "dense": dense, "reference": reference}
    return {**decides, **shared, MADE: with_sparsifier(shared[MADE], cls)}


def _slug(config: RunConfig) -> str:
    budget = config.budget
    level = f"{budget.share:g}" if budget.mode == "share" else budget.mode
    unit = [budget.unit] if budget.unit != "params" else []
    words = [config.sparsifier.name, config.data.name, config.model.name, level, *unit, f"s{config.seed}"]
    if config.meta_test is not None:
        words += ["then", config.meta_test.mode, config.meta_test.task or ""]
    return re.sub(r"[^A-Za-z0-9_.]+", "-", "-".join(words)).strip("-.")[:100]


def order(plan: Sequence[PlannedRun]) -> list[PlannedRun]:
    """What others wait for first: references, then the rest as planned."""
    awaited = {run_id for run in plan for run_id in run.depends}
    return sorted(plan, key=lambda run: run.run_id not in awaited)
