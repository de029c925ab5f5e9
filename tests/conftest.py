"""Fixtures that several folders share: a tiny problem, and one finished smoke suite for the whole session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import torch
from filelock import FileLock

from msbench.api import SegmentationTask, Task, TensorSamples
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import Plugins, load_plugins
from msbench.selection import build_criterion
from msbench.sparsity.budget import Budget
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench.tasks.normals import NormalsTask
from msbench.training.balancing import Uncertainty
from msbench.training.evaluate import constants, evaluate_constant
from msbench.training.settings import TrainingSettings
from msbench.training.trainer import Trainer
from msbench_plugins.backbones.small_resnet import SmallResNet
from msbench_plugins.heads.light import LightDense

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
torch.set_num_threads(1)
hypothesis.settings.register_profile("msbench", deadline=None, derandomize=True)  # the same on any machine, at any load
hypothesis.settings.load_profile("msbench")


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    """The built-in plugins."""
    return load_plugins()


def toy_tasks() -> tuple[Task, ...]:
    return (SegmentationTask(classes=("dark", "light")), NormalsTask())


def toy_samples(count: int, seed: int) -> TensorSamples:
    """Images whose left part is dark and right part light; the label says which, the normal points to the light."""
    generator = torch.Generator().manual_seed(seed)
    edge = torch.randint(3, 13, (count, 1, 1), generator=generator)
    light = (torch.arange(16).view(1, 1, -1) >= edge).expand(count, 16, 16)
    noise = torch.randint(0, 60, (count, 3, 16, 16), generator=generator)
    image = (light[:, None] * 150 + noise).to(torch.uint8)
    x = torch.where(light, 0.6, -0.6)
    normals = torch.stack([x, torch.zeros_like(x), torch.full_like(x, 0.8)], 1)
    valid = torch.ones(count, 16, 16, dtype=torch.bool)
    target = {"segmentation": light.to(torch.uint8), "normals": normals}
    return TensorSamples(image, target, {"segmentation": valid, "normals": valid})


@pytest.fixture(scope="session")
def make_trainer(plugins: Plugins) -> Callable[..., Trainer]:
    """A trainer on the toy problem: make_trainer(seed=0, target=0.5, samples=160, …)."""
    return trainer_maker(plugins)


def trainer_maker(plugins: Plugins) -> Callable[..., Trainer]:
    """What the fixture `make_trainer` is, for other processes."""

    def make(seed: int = 0, target: float | None = None, width: int = 4, **settings: object) -> Trainer:
        tasks = toy_tasks()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            backbone = SmallResNet(width=width, blocks=1).build()
            heads = {task.name: LightDense(width=4).build(backbone, task.channels) for task in tasks}
        model = MultiTaskModel(backbone, heads, [task.name for task in tasks])
        train, validation = toy_samples(64, 1), toy_samples(16, 2)
        device = torch.device("cpu")
        floor = evaluate_constant(constants(train, tasks), validation, tasks, device).losses
        options = {"samples": 160, "batch": 8, "evaluations": 2, **settings}
        return Trainer(
            model=model,
            tasks=tasks,
            budget=Budget("share" if target else "natural", "backbone", Groups.of(model), target),
            settings=TrainingSettings(**options),  # type: ignore[arg-type]
            balancer=Uncertainty([task.name for task in tasks]),
            criterion=lambda text: build_criterion(plugins, text),
            saved_mask=dict[str, Mask]().__getitem__,
            train_samples=train,
            validation_samples=validation,
            loss_floor=floor,
            device=device,
            seed=seed,
        )

    return make


def msbench(*arguments: str, cwd: Path, cache: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    environment = {**os.environ, "MSBENCH_CACHE": str(cache), "COLUMNS": "160"}
    command = [sys.executable, "-m", "msbench.cli.main", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def shared_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder for the whole session, the same one in every worker of pytest-xdist."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data cache for the whole session."""
    return shared_folder(tmp_path_factory, "cache")


@pytest.fixture(scope="session")
def smoke_suite(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder and output of `msbench run -s all --preset smoke`; the first worker that asks runs it."""
    folder = shared_folder(tmp_path_factory, "smoke")
    output = folder.with_name("smoke.json")
    with FileLock(folder.with_name("smoke.lock")):
        if not output.exists():
            done = msbench("run", "-s", "all", "--preset", "smoke", cwd=folder, cache=cache, timeout=500)
            output.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    return folder, subprocess.CompletedProcess("msbench run -s all", *json.loads(output.read_text()))
