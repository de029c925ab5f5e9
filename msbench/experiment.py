"""From what a command asks for to one checked Experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from msbench.compose import PARTS, compose
from msbench.config import (
    BudgetConfig,
    EngineConfig,
    Experiment,
    MetaTestConfig,
    ModelConfig,
    PartConfig,
    build_part,
    checked,
    user_error,
    validated,
)
from msbench.errors import UserError, nearest
from msbench.plugins import Plugins
from msbench.training.settings import TrainingSettings


def _part(plugins: Plugins, plain: Mapping[str, Any], where: str) -> PartConfig:
    kind = PARTS[where]
    params = {key: value for key, value in plain.items() if key != "name"}
    component = plugins.get(kind, str(plain.get("name", "")))
    return PartConfig(name=component.name, params=validated(component, params, where))


def _head(plugins: Plugins, plain: Mapping[str, Any], where: str, kind: str) -> PartConfig:
    part = _part(plugins, plain, where)
    fitting = [name for name, cls in plugins.classes("head").items() if cls.kind == kind]  # type: ignore[attr-defined]
    if part.name not in fitting:
        raise UserError(f"{where}.name={part.name}: not a {kind} head; known: {', '.join(sorted(fitting))}")
    return part


def dataset_config(plugins: Plugins, plain: Mapping[str, Any]) -> PartConfig:
    """The checked `data` section."""
    return _part(plugins, plain, "data")


def experiment(
    plugins: Plugins,
    *,
    sparsifiers: Iterable[str],
    budget: str | None,
    seeds: Sequence[int],
    choices: Mapping[str, str],
    overrides: Sequence[str],
    meta_test: str | None = None,
) -> Experiment:
    """Check everything that a command asks for and make it one value."""
    from msbench.selection import select

    flags = dict(choices)
    if budget is not None:
        flags["budget"] = "share" if _number(budget) is not None else budget
    plain = compose(plugins, flags, overrides)
    if budget is not None and _number(budget) is not None:
        plain["budget"]["share"] = _number(budget)
    if meta_test is not None:
        plain["meta_test"]["mode"], _, task = meta_test.partition(":")
        plain["meta_test"]["task"] = task or None
    _check_keys(plain)
    _check_groups(plain)
    model = plain["model"]
    try:
        settings = TypeAdapter(TrainingSettings).validate_python(plain["training"])
    except ValidationError as error:
        raise user_error(error, "training") from error
    if settings.samples < settings.batch:
        raise UserError(f"training.samples={settings.samples}: less than one batch of {settings.batch}")
    plugins.get("loss balancer", settings.balancer)
    chosen_budget = checked(BudgetConfig, plain["budget"], "budget")
    _check_share(chosen_budget)
    data = dataset_config(plugins, plain["data"])
    fine_tuning = _meta_test(plain["meta_test"])
    engine = checked(EngineConfig, plain["engine"], "engine")
    _check_processes(engine, settings)
    return Experiment(
        preset=plain["preset_name"],
        data=data,
        tasks=_tasks(plugins, data, plain["tasks"], fine_tuning),
        model=ModelConfig(
            name=model["name"],
            backbone=_part(plugins, model["backbone"], "model.backbone"),
            head=_head(plugins, model["head"], "model.head", "dense"),
            vector_head=_head(plugins, model["vector_head"], "model.vector_head", "vector"),
        ),
        budget=chosen_budget,
        training=settings,
        engine=engine,
        meta_test=fine_tuning,
        control=_control(plugins, plain["control"]),
        sparsifiers=select(plugins, sparsifiers, plain["sparsifier"], chosen_budget),
        seeds=tuple(seeds),
    )


def _check_processes(engine: EngineConfig, settings: TrainingSettings) -> None:
    """What cannot be shared out among the processes of a run."""
    if engine.processes > settings.batch:
        raise UserError(f"engine.processes={engine.processes}: more than the {settings.batch} samples of a batch")
    if engine.processes > 1 and settings.compile:
        raise UserError(f"engine.processes={engine.processes}: training.compile is for one process; turn either off")


def _check_groups(plain: Mapping[str, Any]) -> None:
    """What holds settings was not itself given a value."""
    for group in ("data", "model", *list(PARTS)[1:], "budget", "training", "engine", "sparsifier", "meta_test"):
        value: Any = plain
        for key in group.split("."):
            value = value[key]
        if not isinstance(value, Mapping):
            raise UserError(f"{group}={value!r}: it is a group of settings; set one of them, {group}.KEY=value")


def _check_keys(plain: Mapping[str, Any]) -> None:
    """Top-level and model keys; the others are checked where their class is known."""
    known = {
        "preset_name",
        "control",
        "data",
        "tasks",
        "model",
        "budget",
        "training",
        "engine",
        "sparsifier",
        "meta_test",
    }
    for key in plain:
        if key not in known:
            raise UserError(f"unknown key {key!r}: {nearest(key, known - {'preset_name'})}")
    parts = {"name", "backbone", "head", "vector_head"}
    for key in plain["model"]:
        if key not in parts:
            raise UserError(f"unknown key 'model.{key}': {nearest(key, parts)}")
    settings = {f.name for f in dataclasses.fields(TrainingSettings)}
    for section, fields in (
        ("training", settings),
        ("budget", set(BudgetConfig.model_fields)),
        ("engine", set(EngineConfig.model_fields)),
        ("meta_test", set(MetaTestConfig.model_fields) - {"source"}),
    ):
        for key in plain[section]:
            if key not in fields:
                raise UserError(f"unknown key '{section}.{key}': {nearest(key, fields)}")


def _control(plugins: Plugins, name: str) -> str:
    component = plugins.get("sparsifier", name)
    if component.cls.sparse:  # type: ignore[attr-defined]
        raise UserError(f"control={name}: it removes weights; name a sparsifier that does not")
    return component.name


def _check_share(budget: BudgetConfig) -> None:
    if budget.mode == "share" and not (budget.share is not None and 0 < budget.share < 1):
        raise UserError(f"--budget {budget.share}: a share of weights to remove lies between 0 and 1")
    if budget.mode == "matched" and not budget.reference:
        raise UserError("budget.reference is empty: name the sparsifier whose sparsity sets the target")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _meta_test(plain: Mapping[str, Any]) -> MetaTestConfig | None:
    if plain["mode"] is None:
        return None
    found = checked(MetaTestConfig, plain, "meta_test")
    if (found.mode == "same") != (found.task is None):
        raise UserError("--meta-test takes same, add:TASK or only:TASK; several tasks are joined by +")
    return found


def _tasks(
    plugins: Plugins, data: PartConfig, names: Sequence[str], meta_test: MetaTestConfig | None
) -> tuple[str, ...]:
    """The tasks of the runs; those that meta-testing adds are not among them."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"tasks={names!r}: write a list of names, tasks=[segmentation,edges]")
    dataset = build_part(plugins.get("dataset", data.name), data.params)
    known = [task.name for task in dataset.tasks()]
    new = meta_test.new_tasks if meta_test is not None else ()
    for name in [*names, *new]:
        if name not in known:
            raise UserError(f"tasks: unknown task {name!r} of dataset {data.name!r}: {nearest(name, known)}")
    wanted = set(names or dataset.default_tasks()) - set(new)
    if not wanted:
        raise UserError(f"--meta-test: no task is left beside {', '.join(new)}; name more with tasks=[…]")
    return tuple(name for name in known if name in wanted)
