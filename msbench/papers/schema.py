"""A paper's table as data: one YAML file of configs/papers, validated when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from annotated_types import Ge, Gt, Lt, MinLen
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from msbench.compose import config_folder
from msbench.errors import UserError, nearest

PREFIX = "papers/"
"""What sets the names of these presets apart from the others."""

Share = Annotated[float, Gt(0), Lt(1)]
Figure = Literal[
    "metric",
    "sparsity",
    "group_sparsity",
    "component_sparsity",
    "delta_task",
    "delta_task_sum",
    "delta",
    "delta_sum",
    "parameters",
    "gflops",
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Published(_Part):
    """What the paper printed in one cell, in the paper's unit."""

    mean: float
    std: Annotated[float, Ge(0)] | None = None


class Column(_Part):
    """One column of the paper's table, and where a record holds the same figure.

    label: the paper's. better: None where more is neither better nor worse.
    figure: what of a record; `metric` needs task and metric, the figures of one task need a task. `parameters`
        (millions) is all parameters times the density, `gflops` twice the multiply-adds times the density of each
        layer, `delta_sum` and `delta_task_sum` the sums over metrics that AdapMTL's tables print.
    component: `backbone` or `heads.TASK`, for component_sparsity.
    scale: turns our unit into the paper's. decimals: as printed.
    ours: our label and unit, given where they are not the paper's: the two then stand side by side.
    """

    id: str
    label: str
    better: Literal["higher", "lower"] | None
    figure: Figure = "metric"
    task: str | None = None
    metric: str | None = None
    component: str | None = None
    scale: Annotated[float, Gt(0)] = 1.0
    decimals: Annotated[int, Ge(0)] = 4
    ours: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Column:
        needed = {"metric": ("task", "metric"), "component_sparsity": ("component",)}
        task_figures = ("delta_task", "delta_task_sum")
        wanted = needed.get(self.figure, ("task",) if self.figure in task_figures else ())
        for name in ("task", "metric", "component"):
            if (getattr(self, name) is not None) != (name in wanted):
                raise ValueError(f"column {self.id}: figure {self.figure} takes {', '.join(wanted) or 'nothing more'}")
        return self


class Row(_Part):
    """One line of the paper's table.

    label: one text for each of the table's `row_header`. sparsifier: as `-s` takes it.
    tasks, budget: the table's where they are left out. meta_test: `same` is the run itself, whose last stage
        trains all of its tasks with the mask held; `add:TASK` and `only:TASK` fine-tune it afterwards, and several
        new tasks are joined by `+`.
    """

    label: tuple[str, ...]
    sparsifier: str
    tasks: tuple[str, ...] = ()
    budget: Literal["matched", "natural"] | Share = "natural"
    meta_test: Annotated[str, Field(pattern=r"^(same|(add|only):\w+(\+\w+)*)$")] = "same"
    published: dict[str, Published | None]

    @field_validator("published", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """A cell is written as a number, or as [mean, standard deviation]."""
        if not isinstance(value, dict):
            return value
        return {name: _published(cell) for name, cell in value.items()}

    @property
    def name(self) -> str:
        """The line in words, unique within its table."""
        return ", ".join(part for part in self.label if part)

    @property
    def mode(self) -> str:
        """`same`, `add` or `only`."""
        return self.meta_test.partition(":")[0]

    @property
    def new_tasks(self) -> tuple[str, ...]:
        """What meta-testing adds."""
        _, _, names = self.meta_test.partition(":")
        return tuple(names.split("+")) if names else ()


def _published(cell: Any) -> Any:
    if isinstance(cell, list):
        mean, std = cell
        return {"mean": mean, "std": std}
    return None if cell is None else {"mean": cell}


class PaperTable(_Part):
    """One published table.

    name: the file's. table: its number in the paper. dataset: default, an embedded stand-in of `published_on`.
    reference: sets the target of the rows whose budget is `matched`. scope: over which the budget counts.
    notes: known anomalies, and what cannot be compared and why.
    """

    name: str
    title: str
    paper: str
    table: str
    shows: str
    published_on: str
    dataset: str
    scope: Literal["backbone", "model"] = "backbone"
    reference: str = ""
    row_header: Annotated[tuple[str, ...], MinLen(1)]
    columns: Annotated[tuple[Column, ...], MinLen(1)]
    rows: Annotated[tuple[Row, ...], MinLen(1)]
    notes: tuple[str, ...]

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, value: Any) -> Any:
        """The table's own `tasks` and `budget` go to the rows that have none."""
        if not isinstance(value, dict):
            return value
        shared = {key: value[key] for key in ("tasks", "budget") if key in value}
        rest = {key: item for key, item in value.items() if key not in shared}
        return {**rest, "rows": [{**shared, **row} for row in value.get("rows", [])]}

    @model_validator(mode="after")
    def _consistent(self) -> PaperTable:
        ids = [column.id for column in self.columns]
        names = [row.name for row in self.rows]
        for what, found in (("column ids", ids), ("row labels", names)):
            if len(set(found)) != len(found):
                raise ValueError(f"{what} are not unique")
        for row in self.rows:
            if unknown := set(row.published) - set(ids):
                raise ValueError(f"row {row.name}: no column {', '.join(sorted(unknown))}")
            if len(row.label) != len(self.row_header):
                raise ValueError(f"row {row.name}: {len(row.label)} labels for {len(self.row_header)} headings")
            if not row.tasks:
                raise ValueError(f"row {row.name}: no tasks")
            if row.budget == "matched" and not self.reference:
                raise ValueError(f"row {row.name}: a matched budget needs the table's reference")
        return self

    @property
    def preset(self) -> str:
        """What `--preset` calls it."""
        return PREFIX + self.name

    def with_budget(self, budget: str | None) -> PaperTable:
        """The same table under one budget (`matched`, `natural` or a share) for every row; None changes nothing."""
        if budget is None:
            return self
        level: Any = budget if budget in ("matched", "natural") else _share(budget)
        if level == "matched" and not self.reference:
            raise UserError(f"--budget matched: {self.preset} names no reference; give a share, or leave --budget out")
        rows = tuple(row.model_copy(update={"budget": level}) for row in self.rows)
        return self.model_copy(update={"rows": rows})


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        raise UserError(f"--budget {text!r}: {nearest(text, ('matched', 'natural'))}, or give a share") from None
    if not 0 < share < 1:
        raise UserError(f"--budget {text}: a share of weights to remove lies between 0 and 1")
    return share


def is_paper(preset: str | None) -> bool:
    """Whether a preset's name is that of a paper's table."""
    return preset is not None and preset.startswith(PREFIX)


def names() -> list[str]:
    """Every table, as `--preset` calls it."""
    return sorted(PREFIX + path.stem for path in (config_folder() / "papers").glob("*.yaml"))


def load_table(name: str) -> PaperTable:
    """The table `papers/NAME`; UserError names the nearest one, or what is wrong with the file."""
    if name not in names():
        raise UserError(f"unknown preset {name!r}: {nearest(name, names())}")
    return read_table(config_folder() / f"{name}.yaml")


def read_table(path: Path) -> PaperTable:
    """A table from its file; UserError says what is wrong with it."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return PaperTable.model_validate({"name": path.stem, **content})
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable table ({str(error).splitlines()[0]})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {where or 'table'}: {first['msg']}") from error
