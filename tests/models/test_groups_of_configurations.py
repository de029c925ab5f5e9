"""configs/model: every file says what it is, and builds a network that can be traced."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.compose import config_folder, options
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.runs.build import build_dataset, build_model, build_tasks
from msbench.sparsity.compaction.tracing import trace

MODELS = options("model")


def test_every_model_says_what_it_is_and_is_named_like_its_file() -> None:
    for path in sorted((config_folder() / "model").glob("*.yaml")):
        first, second = Path(path).read_text(encoding="utf-8").splitlines()[:2]
        assert first.startswith("# "), path
        assert first.endswith("."), path
        assert second == f"name: {path.stem}", path


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_built_and_traced(plugins: Plugins, name: str) -> None:
    asked = experiment(
        plugins,
        sparsifiers=["dense"],
        budget=None,
        seeds=[0],
        choices={"model": name, "dataset": "faces"},
        overrides=["model.backbone.model=test_resnet"] if name == "timm" else [],
    )
    tasks = build_tasks(build_dataset(plugins, asked.data), asked.tasks[:2])
    with torch.device("meta"):
        model = build_model(plugins, asked.model, tasks, 0)

    outputs = trace(model)(torch.empty(1, 3, 64, 64, device="meta"))

    assert {task.name: tuple(outputs[task.name].shape) for task in tasks} == {
        task.name: (1, task.channels, 64, 64) if task.head == "dense" else (1, task.channels) for task in tasks
    }


def test_the_models_page_names_every_model_backbone_and_head(plugins: Plugins) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")

    assert [name for name in MODELS if f"`{name}`" not in page and name != "timm"] == []
    heads = set(plugins.components["head"])
    assert [name for name in heads if f"`{name}`" not in page] == []


MODELS_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "models.md"
PAGE = re.findall(r"^\$ msbench plan (.*)$", MODELS_PAGE.read_text(), re.M)


@pytest.mark.parametrize("command", PAGE)
def test_the_models_pages_commands_are_understood(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["plan", *shlex.split(command)])
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
