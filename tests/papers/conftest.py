"""Records for a paper's runs, made from the plan itself, so that they carry what real ones carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from msbench.papers.expand import expand, table_command
from msbench.papers.fill import Filled, Wanted, fill
from msbench.papers.schema import PaperTable
from msbench.plugins import Plugins
from msbench.records.record import Record
from msbench.runs.build import build_dataset
from msbench.runs.plan import PlannedRun, make_plan
from msbench.store.store import Store

UNPRUNED = frozenset({"dense"})
SMOKE = ("preset=smoke",)

TABLE: dict[str, Any] = {
    "name": "made_up",
    "title": "a made-up table",
    "paper": "Nobody. Nothing. 2025",
    "table": "Table 9",
    "shows": "How it is done.",
    "published_on": "real rooms",
    "dataset": "rooms_xs",
    "reference": "meta_sparsity",
    "tasks": ["segmentation", "depth"],
    "budget": "matched",
    "row_header": ["method", "tests"],
    "columns": [
        {"id": "iou", "label": "IoU", "better": "higher", "task": "segmentation", "metric": "iou_micro_img",
         "scale": 0.01, "ours": "micro IoU"},
        {"id": "abs", "label": "MAE", "better": "lower", "task": "depth", "metric": "abs", "ours": "abs. error, m"},
        {"id": "delta", "label": "delta sum", "better": "higher", "figure": "delta_sum", "decimals": 2},
        {"id": "sparsity", "label": "sparsity %", "better": None, "figure": "sparsity", "decimals": 2},
    ],
    "rows": [
        {"label": ["dense", "same"], "sparsifier": "dense",
         "published": {"iou": [0.30, 0.01], "abs": 0.15, "delta": 0}},
        {"label": ["magnitude", "same"], "sparsifier": "one_shot_magnitude",
         "published": {"iou": [0.25, 0.02], "abs": 0.18, "delta": -9.5}},
        {"label": ["meta mask", "same"], "sparsifier": "one_shot[criterion=mask:meta_sparsity]",
         "published": {"iou": [0.28, 0.03], "abs": None}},
        {"label": ["meta", "same"], "sparsifier": "meta_sparsity", "published": {"iou": 0.29, "sparsity": 44.12}},
        {"label": ["magnitude", "with normals"], "sparsifier": "one_shot_magnitude", "meta_test": "add:normals",
         "published": {"iou": [0.26, 0.02]}},
    ],
    "notes": ["depth is relative there | and not here"],
}  # fmt: skip


@pytest.fixture
def table() -> PaperTable:
    return PaperTable.model_validate(TABLE)


@pytest.fixture
def plan(plugins: Plugins, tmp_path: Path) -> Callable[..., list[PlannedRun]]:
    """The runs of a table at smoke size: plan(table, seeds=[0, 1], …)."""

    def make(table: PaperTable, seeds: Sequence[int] = (0,), overrides: Sequence[str] = SMOKE, **asked: Any) -> Any:
        experiments = expand(plugins, table, seeds=seeds, overrides=overrides, **asked)
        flags = {"dataset": None, "model": None, **asked}
        command = table_command(table, experiments, plugins=[], overrides=overrides, **flags)
        return make_plan(plugins, experiments, Store(tmp_path / "nothing"), tmp_path, command)

    return make


@pytest.fixture
def record(plugins: Plugins) -> Callable[..., Record]:
    """A finished record of a planned run; its metrics are `quality` above a base, by seed."""

    def make(run: PlannedRun, quality: float = 0.0, created: str = "2025-11-20T10:00:00Z", **changes: Any) -> Record:
        config = run.config
        dataset = build_dataset(plugins, config.data)
        tasks = [task for task in dataset.tasks() if task.name in config.tasks]
        metrics = {
            task.name: {
                name: {"value": 40.0 + config.seed + quality, "better": spec.better, "label": spec.label,
                       "unit": spec.unit, "in_delta": spec.in_delta, "constant": 12.5}
                for name, spec in task.metrics.items()
            }
            for task in tasks
        }  # fmt: skip
        per_task = {task.name: quality for task in tasks}
        meta = config.meta_test
        values = {
            "run_id": run.run_id, "status": "ok", "created": created, "preset": config.preset, "command": run.command,
            "seed": config.seed, "metrics": metrics, "hashes": {"data": run.identity["data"]},
            "config": config.model_dump(mode="json"),
            "sparsifier": {"name": config.sparsifier.name, "base": config.sparsifier.base, "plugin": "x",
                           "version": "1", "params": config.sparsifier.params},
            "dataset": {"name": config.data.name, "params": config.data.params, "synthetic": True, "train": 96,
                        "validation": 32, "test": 32, "image": [3, 32, 32]},
            "model": {"name": config.model.name, "backbone": "small_resnet", "head": "light", "params": {},
                      "parameters": 26_000},
            "tasks": [{"name": task.name, "kind": task.kind, "headline": task.headline} for task in tasks],
            "meta_test": meta.model_dump(exclude={"share"}) if meta else None,
            "delta": {"dense_run": run.dense, "per_task": per_task, "mean": quality, "sum": 4 * quality,
                      "worst_task": tasks[0].name} if run.dense else None,
            "sparsity": {"parameters": 0.441159, "groups": 0.5, "per_layer": {}, "channels": {},
                         "per_component": {"backbone": 0.441159, "heads.depth": 0.0}},
            "speedup": {"theoretical": 2.0, "macs": 1.5, "dense_macs": 8_000_000_000, "compact_macs": 5_000_000_000,
                        "measured": {}},
        }  # fmt: skip
        return Record.model_validate(values | changes)

    return make


@pytest.fixture
def filled() -> Callable[..., Filled]:
    """A table filled from records."""

    def make(table: PaperTable, records: Sequence[Record], **wanted: Any) -> Filled:
        return fill(table, records, UNPRUNED, Wanted(**wanted))

    return make
