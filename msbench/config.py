"""Flags, YAML and overrides become one typed RunConfig. Composition is hydra's; every value is checked here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Interval
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from msbench.errors import UserError, nearest
from msbench.plugins import Component, Plugins
from msbench.training.settings import TrainingSettings

T = TypeVar("T", bound=BaseModel)
GROUPS = ("dataset", "model", "budget", "training", "engine", "preset")


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PartConfig(_Config):
    """A plugin class by name, with all of its parameters."""

    name: str
    params: dict[str, Any]


class ModelConfig(_Config):
    name: str
    backbone: PartConfig
    head: PartConfig
    vector_head: PartConfig


class BudgetConfig(_Config):
    mode: Literal["matched", "share", "natural"]
    scope: Literal["backbone", "model"] = "backbone"
    share: float | None = None
    reference: str | None = None


class MetaTestConfig(_Config):
    """Fine-tuning of a finished run's sparse network, the mask held.

    mode: `same`, the tasks that it was made for; `add`, one more task and all of them trained; `only`, one new
    task, of which the head alone is trained.
    share: of training.samples, the allowance of the fine-tuning.
    source: run_id of the finished run.
    """

    mode: Literal["same", "add", "only"]
    task: str | None = None
    share: Annotated[float, Interval(gt=0, le=1)] = 0.25
    source: str = ""


class EngineConfig(_Config):
    """How runs are executed. Only `device` and `threads` can change a run's numbers."""

    name: Literal["local"] = "local"
    device: str = "auto"
    jobs: int = 0
    threads: int = 1
    timeout: float = 0


class SparsifierConfig(_Config):
    """name: what the user typed. base: the plugin class's own name. params: all of its fields."""

    name: str
    base: str
    params: dict[str, Any]


class RunConfig(_Config):
    """Everything that decides a run, except the code."""

    preset: str
    seed: int
    data: PartConfig
    tasks: tuple[str, ...]
    model: ModelConfig
    sparsifier: SparsifierConfig
    budget: BudgetConfig
    training: TrainingSettings
    engine: EngineConfig
    meta_test: MetaTestConfig | None = None


class Experiment(_Config):
    """What one command asks for: a grid of sparsifiers and seeds over one configuration."""

    preset: str
    data: PartConfig
    tasks: tuple[str, ...]
    model: ModelConfig
    budget: BudgetConfig
    training: TrainingSettings
    engine: EngineConfig
    meta_test: MetaTestConfig | None = None
    control: str
    sparsifiers: tuple[SparsifierConfig, ...]
    seeds: tuple[int, ...]

    def run(self, sparsifier: SparsifierConfig, seed: int) -> RunConfig:
        """The configuration of one cell of the grid."""
        shared = {name: getattr(self, name) for name in RunConfig.model_fields if hasattr(self, name)}
        shared.pop("meta_test")
        return RunConfig(**shared, sparsifier=sparsifier, seed=seed)


def config_folder() -> Path:
    """The hydra groups: beside the package in a clone, inside it in an installed wheel."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def options(group: str) -> list[str]:
    """The names of a group's YAML files."""
    return sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))


def compose(plugins: Plugins, choices: Mapping[str, str], overrides: Sequence[str]) -> dict[str, Any]:
    """The composed configuration as plain containers.

    choices: group to option, from flags. overrides: `key=value`, or `group=option`, as typed.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    for name in plugins.components["dataset"]:
        if name not in options("dataset"):
            ConfigStore.instance().store(group="dataset", name=name, node={"name": name}, package="data")
    parsed = dict(map(parse_override, overrides))
    chosen = {**choices, **{key: str(value) for key, value in parsed.items() if key in GROUPS}}
    for group, option in chosen.items():
        known = {*options(group), *(plugins.components["dataset"] if group == "dataset" else ())}
        if option not in known:
            raise UserError(f"unknown {group} {option!r}: {nearest(option, known)}")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        composed = hydra_compose("config", [f"{group}={option}" for group, option in chosen.items()])
    plain: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
    for key, value in parsed.items():
        if key not in GROUPS:
            _override(plain, key, value)
    return plain


def parse_override(text: str) -> tuple[str, Any]:
    """`key=value` with the value typed as hydra types it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if "=" not in text:
        raise UserError(f"{text!r} is no override: write key=value, for example training.batch=8")
    name, _, given = text.partition("=")
    if re.fullmatch(r"[A-Za-z_]\w*\[.*\]", given):  # a criterion with parameters, for which hydra has no grammar
        return name, given
    try:
        override = OverridesParser.create().parse_override(text)
        value = override.value()
    except HydraException as error:
        raise UserError(f"cannot read {text!r}: {str(error).splitlines()[0]}") from error
    if override.is_sweep_override() or override.is_delete():
        raise UserError(f"{text!r}: sweeps and deletions are not supported; run one command a value")
    return str(override.key_or_group), value


PARTS = {"data": "dataset", "model.backbone": "backbone", "model.head": "head", "model.vector_head": "head"}
"""Where a plugin class is named, and its kind."""


def _override(plain: dict[str, Any], key: str, value: Any) -> None:
    """Set one dotted key; naming another class drops the parameters that were meant for the one before."""
    *path, last = key.split(".")
    node = plain
    for part in path:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise UserError(f"unknown key {key!r}: {'.'.join(path)!r} is a value, not a group")
    if ".".join(path) in PARTS and last == "name" and node.get("name") != value:
        node.clear()
    node[last] = value


def validated(component: Component, params: Mapping[str, Any], where: str) -> dict[str, Any]:
    """All fields of a plugin class with these parameters; UserError names the key, its value and what is valid."""
    fields = {f.name for f in dataclasses.fields(component.cls)}
    for key in params:
        if key not in fields:
            raise UserError(f"unknown key {f'{where}.{key}'!r} for {component.name!r}: {nearest(key, fields)}")
    try:
        instance: Any = TypeAdapter(component.cls).validate_python(dict(params))
    except ValidationError as error:
        raise _user_error(error, where) from error
    return dataclasses.asdict(instance)


def build_part(component: Component, params: Mapping[str, Any]) -> Any:
    """An instance of a plugin class from validated parameters."""
    return TypeAdapter(component.cls).validate_python(dict(params))


def _user_error(error: ValidationError, where: str) -> UserError:
    first = error.errors()[0]
    key = ".".join([where, *(str(part) for part in first["loc"] if isinstance(part, str))]).strip(".")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return UserError(f"unknown key {key!r}")
    if first["type"] == "value_error" and not first["loc"]:
        return UserError(f"{where}.{first['ctx']['error']}")
    message = first["msg"][0].lower() + first["msg"][1:]
    return UserError(f"{key}={first['input']!r}: {message}")


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
    model = plain["model"]
    try:
        settings = TypeAdapter(TrainingSettings).validate_python(plain["training"])
    except ValidationError as error:
        raise _user_error(error, "training") from error
    if settings.samples < settings.batch:
        raise UserError(f"training.samples={settings.samples}: less than one batch of {settings.batch}")
    plugins.get("loss balancer", settings.balancer)
    chosen_budget = _checked(BudgetConfig, plain["budget"], "budget")
    _check_share(chosen_budget)
    data = dataset_config(plugins, plain["data"])
    fine_tuning = _meta_test(plain["meta_test"])
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
        engine=_checked(EngineConfig, plain["engine"], "engine"),
        meta_test=fine_tuning,
        control=_control(plugins, plain["control"]),
        sparsifiers=select(plugins, sparsifiers, plain["sparsifier"], chosen_budget),
        seeds=tuple(seeds),
    )


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


def _checked(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise _user_error(error, where) from error


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
    found = _checked(MetaTestConfig, plain, "meta_test")
    if (found.mode == "same") != (found.task is None):
        raise UserError("--meta-test takes same, add:TASK or only:TASK")
    return found


def _tasks(
    plugins: Plugins, data: PartConfig, names: Sequence[str], meta_test: MetaTestConfig | None
) -> tuple[str, ...]:
    """The tasks of the runs; the one that meta-testing adds is not among them."""
    dataset = build_part(plugins.get("dataset", data.name), data.params)
    known = [task.name for task in dataset.tasks()]
    new = meta_test.task if meta_test is not None else None
    for name in [*names, *([new] if new is not None else [])]:
        if name not in known:
            raise UserError(f"tasks: unknown task {name!r} of dataset {data.name!r}: {nearest(name, known)}")
    wanted = set(names or dataset.default_tasks()) - {new}
    if not wanted:
        raise UserError(f"--meta-test: {new!r} is the only task; name more with tasks=[…]")
    return tuple(name for name in known if name in wanted)
