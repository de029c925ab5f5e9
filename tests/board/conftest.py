"""Fabricated records, through the record's own schema, and the boards built from them."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from pyarrow import parquet

from msbench.board.site.build import build
from msbench.records.record import Record, write_record

SPECS = {
    "segmentation": {
        "miou": (52.0, "higher", "mIoU", "%", 8.1),
        "pixel_accuracy": (83.0, "higher", "pixel accuracy", "%", 41.3),
    },
    "depth": {
        "abs": (0.312, "lower", "absolute error", "m", 0.94),
        "rel": (0.121, "lower", "relative error", "", 0.41),
    },
    "normals": {
        "mean": (18.4, "lower", "mean angle", "°", 38.2),
        "within_11": (48.0, "higher", "within 11.25°", "%", 9.0),
    },
    "smiling": {"accuracy": (91.0, "higher", "accuracy", "%", 51.8)},
    "eyeglasses": {"accuracy": (97.0, "higher", "accuracy", "%", 93.5)},
}
KINDS = {"smiling": "attribute", "eyeglasses": "attribute"}
SCENE = ("segmentation", "depth", "normals")
FACES = ("smiling", "eyeglasses")


class Factory:
    """Makes records that differ only in what is asked for. Quality is in percent of the dense network's."""

    def record(
        self,
        name: str,
        seed: int = 0,
        *,
        quality: float = 97.0,
        share: float = 0.44,
        tasks: tuple[str, ...] = SCENE,
        mode: str = "matched",
        structured: bool = True,
        **changes: Any,
    ) -> Record:
        """A good run; `changes` replace whole parts of the record."""
        noise = random.Random(f"{name}/{seed}")
        dense = name == "dense"
        mode = "natural" if dense else mode
        quality = 100.0 if dense else quality + noise.gauss(0, 0.4)
        record = {
            "run_id": f"{name}-{tasks[0]}-{mode}-{seed}",
            "status": "ok",
            "created": f"2025-11-2{seed % 10}T10:00:00Z",
            "preset": "quick",
            "command": f"msbench run -s {name} -d rooms --budget {mode} --seeds {seed}",
            "seed": seed,
            "sparsifier": {
                "name": name, "base": name, "plugin": "msbench-plugins", "version": "0.1.0", "params": {},
                "summary": f"Makes a network sparse by {name}.", "paper": "A. Author, 2024, arXiv:2401.12345",
            },
            "dataset": {
                "name": "rooms" if tasks == SCENE else "faces", "params": {"size": 64}, "synthetic": True,
                "train": 2000, "validation": 200, "test": 400, "image": [3, 64, 64],
            },
            "model": {
                "name": "resnet18_small", "backbone": "resnet18", "head": "dense", "params": {"width": 16},
                "parameters": 1_234_567,
            },
            "tasks": [
                {"name": task, "kind": KINDS.get(task, task), "headline": next(iter(SPECS[task]))} for task in tasks
            ],
            "budget": self._budget(mode, structured, dense, share),
            "allowance": {"samples": 20_000, "spent": 19_984},
            "metrics": self._metrics(tasks, quality, noise),
            "validation": self._metrics(tasks, quality + 0.6, noise),
            "delta": None if dense else self._delta(tasks, quality - 100.0, seed),
            "cost": {"wall_s": 412.0 + noise.random() * 40, "peak_memory": 913_000_000},
            "hashes": {"initial_weights": f"weights-{seed}", "data": "data-1", "config": f"config-{name}-{seed}"},
            "environment": {"python": "3.11.7", "torch": "2.13.0", "cpu": {"model": "A CPU", "cores": 2}},
            "config": {"sparsifier": {"name": name}, "seed": seed},
        } | ({} if dense else self._compact(tasks, share, noise))  # fmt: skip
        return Record.model_validate(record | changes)

    def failed(
        self, name: str, seed: int = 0, status: str = "failed", reason: str = "out of memory", **changes: Any
    ) -> Record:
        """A run that ended before it had any result."""
        nothing = dict.fromkeys(("delta", "sparsity", "compression", "speedup", "proof", "cost"))
        return self.record(
            name, seed, **({"status": status, "reason": reason, "metrics": {}, "validation": {}} | nothing | changes)
        )

    def early(self, name: str, seed: int = 0, **changes: Any) -> Record:
        """A run that failed before it knew its dataset."""
        record = self.failed(name, seed, **changes)
        record.dataset = record.model = record.budget = record.allowance = None
        record.tasks = []
        return record

    def inexact(self, name: str, seed: int = 0, **changes: Any) -> Record:
        """A run whose compact network is not equal to the masked one."""
        proof = {
            "equal": False, "max_abs_diff": {"float32": 0.31, "float64": 0.31}, "per_task": {},
            "tolerance": {"float32": 1e-4}, "reason": "depth differs by 0.31",
        }  # fmt: skip
        return self.record(name, seed, **({"status": "inexact", "reason": "depth differs", "proof": proof} | changes))

    def scene(self, seeds: int = 3) -> list[Record]:
        """Dense and five methods, of which one fails and one is inexact."""
        records = []
        for seed in range(seeds):
            reference = self.record("meta_sparsity", seed, quality=98.6, share=0.44 + 0.01 * seed, mode="natural")
            note = "Formulation B (saliency share) ran; the paper's Algorithm 3 updates λ by its gradient."
            reference.sparsifier.notes = [note]
            matched = {"share": 0.44 + 0.01 * seed}
            records += [
                self.record("dense", seed, mode="natural"),
                reference,
                self.record("one_shot_magnitude", seed, quality=97.1, **matched),
                self.record("random", seed, quality=90.2, **matched),
                self.inexact("group_lasso", seed, quality=96.0, **matched),
                self.failed("adapmtl", seed),
            ]
        for record in records:
            if record.budget and record.budget.mode == "matched":
                record.budget.reference = f"meta_sparsity-segmentation-natural-{record.seed}"
        return records

    def save(self, records: list[Record], folder: Path, extras: bool = False) -> Path:
        """Write run folders; with `extras` also history, samples, configuration and log."""
        for record in records:
            run = folder / record.run_id
            run.mkdir(parents=True)
            write_record(record, run / "record.json")
            if extras:
                self._extras(record, run)
        return folder

    @staticmethod
    def _budget(mode: str, structured: bool, dense: bool, sparsity: float) -> dict[str, Any]:
        natural = mode == "natural"
        return {
            "mode": mode, "scope": "backbone", "unit": "params", "structured": structured,
            "asked": None if natural else sparsity, "achieved": 0.0 if dense else sparsity + 0.0003,
            "natural": None if dense or mode == "share" else sparsity - 0.031,
            "settled_by": None if dense or mode == "share" else 0.0313,
            "tolerance": 0.005, "met": None if natural else True,
        }  # fmt: skip

    @staticmethod
    def _metrics(tasks: tuple[str, ...], quality: float, noise: random.Random) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for task in tasks:
            found[task] = {}
            for name, (value, better, label, unit, constant) in SPECS[task].items():
                factor = (quality + noise.gauss(0, 0.3)) / 100
                found[task][name] = {
                    "value": value * factor if better == "higher" else value / factor,
                    "better": better, "label": label, "unit": unit, "in_delta": True, "constant": constant,
                }  # fmt: skip
        return found

    @staticmethod
    def _delta(tasks: tuple[str, ...], change: float, seed: int) -> dict[str, Any]:
        per_task = {task: change + index - 1 for index, task in enumerate(tasks)}
        mean = sum(per_task.values()) / len(per_task)
        return {
            "dense_run": f"dense-{tasks[0]}-natural-{seed}", "per_task": per_task, "mean": mean, "sum": 2 * mean,
            "worst_task": min(per_task, key=lambda task: per_task[task]),
        }  # fmt: skip

    @staticmethod
    def _compact(tasks: tuple[str, ...], sparsity: float, noise: random.Random) -> dict[str, Any]:
        layers = {f"backbone.stage{i}.conv{j}": 16 * 2**i for i in range(4) for j in range(4)}
        ratio, measured = 1 / (1 - sparsity), 1 + 0.7 * sparsity / (1 - sparsity) + noise.gauss(0, 0.02)
        return {
            "sparsity": {
                "parameters": sparsity, "groups": sparsity + 0.02,
                "per_component": {"backbone": sparsity, "heads": 0.0},
                "per_layer": dict.fromkeys(layers, sparsity),
                "channels": {layer: [round(count * (1 - sparsity)), count] for layer, count in layers.items()},
            },
            "compression": {
                "parameters": ratio, "bytes": ratio * 0.98, "dense_parameters": 1_234_567,
                "compact_parameters": round(1_234_567 / ratio), "dense_bytes": 4_950_000,
                "compact_bytes": round(4_950_000 / ratio / 0.98),
            },
            "speedup": {
                "theoretical": ratio, "macs": ratio * 1.1, "dense_macs": 310_000_000,
                "compact_macs": round(310_000_000 / ratio / 1.1),
                "measured": {
                    "cpu": {
                        "device": "Example CPU @ 2.5 GHz", "ratio": measured, "q25": measured - 0.05,
                        "q75": measured + 0.06, "dense_s": 0.021, "compact_s": 0.021 / measured, "rounds": 30,
                        "threads": 1, "batch": 1, "size": [3, 64, 64], "dtype": "float32",
                    },
                    "cuda": None,
                },
            },
            "proof": {
                "equal": True, "max_abs_diff": {"float32": 3.1e-6, "float64": 4.4e-15},
                "per_task": {task: {"float32": 3.1e-6, "float64": 4.4e-15} for task in tasks},
                "tolerance": {"float32": 1e-4, "float64": 1e-9},
            },
        }  # fmt: skip

    @staticmethod
    def _extras(record: Record, folder: Path) -> None:
        rows = []
        for step in range(600):
            for index, name in enumerate(("loss/total", "loss/depth", "sparsity", "lambda", "lambda_gradient")):
                rows.append((step, 8 * step, name, (index + 1) / (1 + 0.02 * step)))
            if step % 100 == 99:
                for task, metrics in record.validation.items():
                    rows += [(step, 8 * step, f"validation/{task}/{m}", v.value) for m, v in metrics.items()]
        columns = ("step", "samples", "name", "value")
        parquet.write_table(
            pa.table(dict(zip(columns, zip(*rows, strict=True), strict=True))), folder / "history.parquet"
        )
        Image.new("RGB", (96, 32), (90, 120, 150)).save(folder / "samples.png")
        (folder / "config.yaml").write_text(f"sparsifier:\n  name: {record.sparsifier.name}\nseed: {record.seed}\n")
        (folder / "log.txt").write_text("\x1b[32mstarted\x1b[0m\nepoch 1 of 4\nfinished\n")


@pytest.fixture(scope="session")
def factory() -> Factory:
    return Factory()


@pytest.fixture(scope="session")
def site(factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboard of the scene records with every extra file: the folder that holds index.html."""
    folder = tmp_path_factory.mktemp("board")
    runs = factory.save(factory.scene(), folder / "runs", extras=True)
    return build(runs, folder / "leaderboard").parent


@pytest.fixture
def built(factory: Factory, tmp_path: Path) -> Callable[[list[Record]], Path]:
    """Builds a leaderboard from records; gives its folder."""

    def make(records: list[Record]) -> Path:
        return build(factory.save(records, tmp_path / "runs"), tmp_path / "leaderboard").parent

    return make


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser of the machine. CI installs one and must have it; elsewhere its absence is said, not fatal."""
    found = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
    if not found:
        assert "CI" not in os.environ, "CI must test the pages: install chromium"
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium); CI runs these")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found[0],
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page of a leaderboard's folder from disk; fails the test on console errors and requests elsewhere."""
    problems: list[str] = []
    contexts = []

    def go(folder: Path, path: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        inside = (folder.as_uri(), "data:", "blob:")
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith(inside) else problems.append(sent.url))
        page.goto(f"{folder.as_uri()}/{path}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def visit(open_page: Callable[..., Page], site: Path) -> Callable[..., Page]:
    """Opens a page of the scene's leaderboard; see `open_page`."""
    return partial(open_page, site)
