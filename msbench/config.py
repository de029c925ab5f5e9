"""The typed configuration of runs and experiments, and the parameters of plugin classes; every value is checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Interval
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from msbench.errors import UserError, nearest
from msbench.plugins import Component
from msbench.training.settings import TrainingSettings

T = TypeVar("T", bound=BaseModel)


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PartConfig(_Config):
    """A plugin class by name, with all of its parameters."""

    name: str
    """The class's name, as `msbench plugins list` shows it."""
    params: dict[str, Any]
    """Its parameters; `msbench plugins show NAME` lists them."""


class ModelConfig(_Config):
    """The network: one backbone, one head a task."""

    name: str
    """The file of configs/model that was chosen (`-m`); part of a run's id."""
    backbone: PartConfig
    """Layers that all tasks share."""
    head: PartConfig
    """Head of each task that is a map."""
    vector_head: PartConfig
    """Head of each task that is one answer an image."""


class BudgetConfig(_Config):
    """What is removed, and how it is counted."""

    mode: Literal["matched", "share", "natural"]
    """`matched`: what the reference achieved for the same data, tasks, model and seed. `share`: a fixed share.
    `natural`: whatever a method finds."""
    scope: Literal["backbone", "model"] = "backbone"
    """Layers that count and may be pruned: the shared ones, or those of the heads too."""
    share: float | None = None
    """Share to remove, above 0 and below 1, where the mode is `share`."""
    reference: str | None = None
    """The sparsifier whose sparsity is matched."""
    unit: Literal["params", "macs", "latency"] = "params"
    """What is counted: weights, multiply-adds, or time by a table measured on this machine."""


class MetaTestConfig(_Config):
    """Fine-tuning of a finished run's sparse network, the mask held."""

    mode: Literal["same", "add", "only"]
    """`same`: the tasks that it was made for. `add`: new tasks, everything is trained. `only`: new tasks, their heads
    alone are trained."""
    task: str | None = None
    """The new task; several are joined by `+`."""
    share: Annotated[float, Interval(gt=0, le=1)] = 0.25
    """Of training.samples: the allowance of the fine-tuning."""
    source: str = ""
    """run_id of the finished run; msbench fills it in."""

    @property
    def new_tasks(self) -> tuple[str, ...]:
        """What `task` names."""
        return tuple(self.task.split("+")) if self.task else ()


class EngineConfig(_Config):
    """How runs are executed. Only `device`, `threads` and `processes` can change a run's numbers."""

    name: Literal["local", "ray"] = "local"
    """Where runs are executed: a process each on this machine, or a task each of a Ray cluster (`engine=ray`)."""
    address: str = ""
    """Of the Ray cluster: `auto`, `HOST:PORT`, `ray://HOST:PORT`; empty: one of this machine's cores."""
    retries: Annotated[int, Interval(ge=0)] = 2
    """Times that a run whose node was lost is started again (`engine=ray`)."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, …; `auto` is CUDA where there is one."""
    jobs: int = 0
    """Runs at a time; 0: one a core on a CPU, one a GPU."""
    threads: int = 1
    """Threads of one run on a CPU, or of each of its processes."""
    processes: Annotated[int, Interval(ge=1)] = 1
    """Processes that train one run together, each with a part of every batch, and a GPU each where there are GPUs."""
    timeout: float = 0
    """Seconds that one run may take; 0: no limit."""
    measure_seconds: Annotated[float, Interval(gt=0)] = 3.0
    """Most that one comparison of speed takes at the end of a run."""
    share_start: bool = True
    """Plain training that runs of a store have in common is done once; the result is the same to the byte."""
    checkpoint_seconds: Annotated[float, Interval(ge=0)] = 60.0
    """Seconds between checkpoints, from which a killed run goes on when it is asked for again; 0: none are made."""

    @model_validator(mode="after")
    def _fits_the_engine(self) -> EngineConfig:
        if self.name == "local" and self.address:
            raise ValueError(f"address={self.address}: only engine=ray has one")
        if self.name == "ray" and self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device={self.device}: Ray chooses the GPU of a run; use auto, cpu or cuda")
        if self.processes > 1 and self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"processes={self.processes}: a GPU each, and device={self.device} is one; use cuda")
        return self


class SparsifierConfig(_Config):
    """The method under test."""

    name: str
    """What the user typed: a class's name, a variant's, or either with parameters in brackets."""
    base: str
    """The plugin class's own name."""
    params: dict[str, Any]
    """All fields of the class; `sparsifier.FIELD=value` sets one for every chosen method that has it."""


class RunConfig(_Config):
    """Everything that decides a run, except the code."""

    preset: str
    """Name of the preset (`--preset`)."""
    seed: int
    """Decides initial weights, data order and augmentation."""
    data: PartConfig
    """The dataset (`-d`)."""
    tasks: tuple[str, ...]
    """Names of the tasks that are trained; empty: the dataset's default ones."""
    model: ModelConfig
    sparsifier: SparsifierConfig
    budget: BudgetConfig
    training: TrainingSettings
    """How every run of a board is trained."""
    engine: EngineConfig
    meta_test: MetaTestConfig | None = None
    """Fine-tuning of another run's network; None for an ordinary run."""


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
