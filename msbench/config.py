"""The typed configuration of runs and experiments, and the parameters of plugin classes; every value is checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Interval
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from msbench.errors import UserError, nearest
from msbench.plugins import Component
from msbench.training.settings import TrainingSettings

T = TypeVar("T", bound=BaseModel)


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
    unit: Literal["params", "macs", "latency"] = "params"


class MetaTestConfig(_Config):
    """Fine-tuning of a finished run's sparse network, the mask held.

    mode: `same`, the tasks that it was made for; `add`, new tasks and all of them trained; `only`, new tasks, of
        which the heads alone are trained.
    task: the new task; several are joined by `+`.
    share: of training.samples, the allowance of the fine-tuning.
    source: run_id of the finished run.
    """

    mode: Literal["same", "add", "only"]
    task: str | None = None
    share: Annotated[float, Interval(gt=0, le=1)] = 0.25
    source: str = ""

    @property
    def new_tasks(self) -> tuple[str, ...]:
        """What `task` names."""
        return tuple(self.task.split("+")) if self.task else ()


class EngineConfig(_Config):
    """How runs are executed. Only `device` and `threads` can change a run's numbers."""

    name: Literal["local"] = "local"
    device: str = "auto"
    jobs: int = 0
    threads: int = 1
    timeout: float = 0
    measure_seconds: Annotated[float, Interval(gt=0)] = 3.0
    share_start: bool = True


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


def validated(component: Component, params: Mapping[str, Any], where: str) -> dict[str, Any]:
    """All fields of a plugin class with these parameters; UserError names the key, its value and what is valid."""
    fields = {f.name for f in dataclasses.fields(component.cls)}
    for key in params:
        if key not in fields:
            raise UserError(f"unknown key {f'{where}.{key}'!r} for {component.name!r}: {nearest(key, fields)}")
    try:
        instance: Any = TypeAdapter(component.cls).validate_python(dict(params))
    except ValidationError as error:
        raise user_error(error, where) from error
    settled = dataclasses.asdict(instance)
    for key, value in settled.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{where}.{key}={value}: not a finite number")
    return settled


def build_part(component: Component, params: Mapping[str, Any]) -> Any:
    """An instance of a plugin class from validated parameters."""
    return TypeAdapter(component.cls).validate_python(dict(params))


def user_error(error: ValidationError, where: str) -> UserError:
    """The first thing that is wrong, as one line with its key and value."""
    first = error.errors()[0]
    key = ".".join([where, *(str(part) for part in first["loc"] if isinstance(part, str))]).strip(".")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return UserError(f"unknown key {key!r}")
    if first["type"] == "value_error" and not first["loc"]:
        return UserError(f"{where}.{first['ctx']['error']}")
    message = first["msg"][0].lower() + first["msg"][1:]
    return UserError(f"{key}={first['input']!r}: {message}")


def checked(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """These values as a configuration; UserError names the key."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise user_error(error, where) from error
