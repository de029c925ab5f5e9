"""What the page of one run shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msbench.board import text
from msbench.board.comparison.curves import notice
from msbench.board.comparison.grouping import Board, canonical
from msbench.board.comparison.rows import relative_change
from msbench.board.library.catalogue import package_of
from msbench.board.library.names import dataset_href, method_href, method_of, plugin_href
from msbench.board.plots import Figure, run_figures
from msbench.board.reading.load import Run
from msbench.board.reading.measured import TITLES, later_gaps, later_rows, read_measurements, timing_row
from msbench.board.reading.picture import picture_size
from msbench.board.reading.run_files import RunFile, configuration, log_tail, run_files
from msbench.board.table.columns import constant_note
from msbench.records.measurement import Measurement
from msbench.records.record import MetricValue, Record


@dataclass(frozen=True)
class MetricLine:
    """One metric of a task in a run."""

    label: str
    arrow: str
    unit: str
    test: str
    validation: str
    constant: str
    change: str
    in_delta: bool


@dataclass(frozen=True)
class Layer:
    """Input channels of one layer. `sparsity` is the share of its weights removed."""

    name: str
    kept: int | None
    total: int | None
    sparsity: float

    @property
    def collapsed(self) -> bool:
        """Whether nothing of the layer is left."""
        return self.kept == 0 or self.sparsity >= 1.0


@dataclass(frozen=True, eq=False)
class RunPage:
    """One run with its board and the dense run that it is measured against."""

    run: Run
    board: Board | None
    board_href: str
    dense: Run | None
    siblings: Sequence[Run] = ()
    """Runs of the same row, by seed, this one among them."""

    @property
    def record(self) -> Record:
        return self.run.record

    @property
    def method(self) -> str:
        """The method's name without parameters."""
        return method_of(self.record.sparsifier.name)

    @property
    def method_href(self) -> str:
        return method_href(self.record.sparsifier.name)

    @property
    def plugin_href(self) -> str:
        return plugin_href(package_of(self.record.sparsifier.plugin))

    @property
    def dataset_href(self) -> str:
        return dataset_href(self.record.dataset.name) if self.record.dataset else ""

    @property
    def metrics(self) -> dict[str, list[MetricLine]]:
        """Every metric by task: tasks and metrics that only one of test and validation has, too."""
        names = {task: dict.fromkeys(self._specs(task)) for task in self._tasks()}
        return {task: [self._metric(task, name) for name in known] for task, known in names.items()}

    @property
    def layers(self) -> list[Layer]:
        """Layers in the record's order, which is the network's."""
        sparsity = self.record.sparsity
        if sparsity is None:
            return []
        counts = {name: sparsity.channels.get(name) for name in {**sparsity.per_layer, **sparsity.channels}}
        return [
            Layer(
                name,
                kept_all[0] if kept_all else None,
                kept_all[1] if kept_all else None,
                sparsity.per_layer.get(name, 1 - kept_all[0] / kept_all[1] if kept_all and kept_all[1] else 0.0),
            )
            for name, kept_all in counts.items()
        ]

    @property
    def proof_rows(self) -> list[list[str]]:
        """Greatest difference of each task, by dtype in the order of the proof's own."""
        proof = self.record.proof
        if proof is None:
            return []
        return [
            [task, *(text.scientific(by[kind]) if kind in by else text.GAP for kind in proof.max_abs_diff)]
            for task, by in proof.per_task.items()
        ]

    @cached_property
    def figures(self) -> list[Figure]:
        """What was kept, and how it trained."""
        return run_figures(self.run, self.dense)

    @cached_property
    def no_curves(self) -> str:
        """Why there are no training curves; empty when there are."""
        return notice(self.run.folder)

    @property
    def has_samples(self) -> bool:
        return any(name == "samples.png" for name, _, _ in self.run.files)

    @property
    def samples_size(self) -> tuple[int, int] | None:
        """Width and height of the picture of predictions."""
        return picture_size(self.run.folder / "samples.png")

    @property
    def configuration(self) -> str:
        """The resolved configuration as YAML."""
        return configuration(self.run.folder, self.record)

    @property
    def log_tail(self) -> str:
        """The last lines of the log."""
        return log_tail(self.run.folder)

    @property
    def files(self) -> list[RunFile]:
        """Every file that the run left, with its size and digest."""
        return run_files(self.run.folder)

    @property
    def latencies(self) -> list[list[str]]:
        """Each measurement with its conditions; none where no equal compact network was timed."""
        proof, speedup = self.record.proof, self.record.speedup
        if not (proof and proof.equal and speedup):
            return []
        return [timing_row(kind, part) for kind, part in speedup.measured.items() if part]

    @property
    def latency_titles(self) -> tuple[str, ...]:
        return TITLES

    @cached_property
    def later(self) -> list[list[str]]:
        """Each latency that `msbench measure` found later, here or on another machine, and when."""
        return later_rows(self._measured_later)

    @property
    def later_gaps(self) -> list[str]:
        """What it could not measure."""
        return later_gaps(self._measured_later)

    @cached_property
    def _measured_later(self) -> list[Measurement]:
        runs = (self.run, *self.run.elsewhere)
        return [found for run in runs for found in read_measurements(run.folder, run.record)]

    @property
    def made_with(self) -> list[tuple[str, str]]:
        """What made the run: commit, and whether that was changed, versions, and digests of all that decides it."""
        known, made = self.record.environment, self.record.provenance
        commit = made.commit if made else str(known.get("commit", ""))
        changed = bool(made.diff) if made else known.get("dirty")
        changes = "" if changed is None else " with uncommitted changes" if changed else ", nothing changed"
        versions = known.get("packages", {})
        version = versions.get("msbench", "") if isinstance(versions, Mapping) else ""
        return [
            (term, value)
            for term, value in (
                ("Commit", f"{commit}{changes}" if commit else "not made from a clone"),
                ("msbench", str(version)),
                ("Identity", made.identity if made else ""),
                ("Installed packages", made.installed if made else ""),
                ("GPU driver", made.driver if made else ""),
                ("Schema of the record", str(self.record.schema_version)),
                ("Version of the metrics", str(self.record.metric_version)),
            )
            if value
        ]

    @property
    def environment(self) -> list[tuple[str, str]]:
        """The environment as dotted keys and values."""
        return list(_flatten(self.record.environment))

    def _tasks(self) -> Sequence[str]:
        named = [task.name for task in self.record.tasks]
        return list(dict.fromkeys([*named, *self.record.metrics, *self.record.validation]))

    def _specs(self, task: str) -> Mapping[str, MetricValue]:
        return {**self.record.validation.get(task, {}), **self.record.metrics.get(task, {})}

    def _metric(self, task: str, name: str) -> MetricLine:
        spec = self._specs(task)[name]
        test = self.record.metrics.get(task, {}).get(name)
        validation = self.record.validation.get(task, {}).get(name)
        known = [value.value for value in (test, validation) if value]
        decimals = text.decimals_for(known)
        change = relative_change(self.run, self.dense, task, name) if self.dense is not self.run else None
        return MetricLine(
            label=spec.label,
            arrow="↑" if spec.better == "higher" else "↓",
            unit=spec.unit,
            test=text.number(test.value, decimals) if test else text.GAP,
            validation=text.number(validation.value, decimals) if validation else text.GAP,
            constant=constant_note(spec, decimals).removeprefix("constant ") or text.GAP,
            change=f"{text.signed(change)}{text.THIN}%" if change is not None else text.GAP,
            in_delta=spec.in_delta,
        )


def same_row(runs: Iterable[Run]) -> Mapping[str, Sequence[Run]]:
    """run_id to the runs that differ in their seed alone, by seed."""
    rows: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.record.seed, run.record.created)):
        rows.setdefault(_row_key(run.record), []).append(run)
    return {run.run_id: row for row in rows.values() for run in row}


def _row_key(record: Record) -> str:
    """Equal for the seeds of one row: the method, its budget, and what decides the board."""
    method, budget, data, model = record.sparsifier, record.budget, record.dataset, record.model
    return canonical(
        [
            [method.name, method.plugin, method.version, method.params],
            [budget.mode, budget.scope, budget.unit, budget.asked if budget.mode == "share" else None]
            if budget
            else [],
            [data.name, data.params] if data else [],
            [model.name, model.params] if model else [],
            [record.preset, sorted(task.name for task in record.tasks), record.allowance and record.allowance.samples],
        ]
    )


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flatten(item, f"{prefix}.{key}" if prefix else key)]
    return [(prefix, ", ".join(map(str, value)) if isinstance(value, list) else str(value))]
