"""The architecture: which part may import which."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HOST = ROOT / "msbench"
LAYERS = {
    "tasks": {"tasks"},
    "data": {"data", "tasks"},
    "models": {"models"},
    "sparsity": {"sparsity", "models"},
    "measure": {"measure", "sparsity", "models"},
    "training": {"training", "sparsity", "models", "tasks", "data"},
    "records": {"records"},
    "store": {"store", "records"},
    "runs": {
        "runs",
        "records",
        "store",
        "training",
        "sparsity",
        "models",
        "tasks",
        "data",
        "measure",
        "config",
        "compose",
        "experiment",
        "plugins",
        "selection",
        "board",
        "leaderboard",
    },
    "handover": {"handover", "runs", "records", "store", "measure", "sparsity", "models", "config", "plugins"},
    "board": {"board", "records"},
    "publishing": {"publishing", "board", "runs", "records", "store"},
    "papers": {"papers", "runs", "records", "store", "board", "config", "compose", "experiment", "plugins"},
    "scaffold": {"scaffold", "plugins"},
    "docsgen": {"docsgen", "cli", "api", "conformance", "runs", "records", "training", "compose", "config", "plugins"},
    "conformance": {
        "conformance",
        "training",
        "sparsity",
        "models",
        "tasks",
        "data",
        "config",
        "plugins",
        "selection",
    },
    "cli": {
        "cli",
        "conformance",
        "scaffold",
        "runs",
        "records",
        "store",
        "handover",
        "board",
        "papers",
        "data",
        "config",
        "compose",
        "experiment",
        "plugins",
        "request",
        "selection",
        "leaderboard",
        "publishing",
    },
}
"""Package to what of msbench it may import, apart from what everything may."""
ANYONE = {"errors", "_torchvision", "hookspecs"}
NARROW = {
    "sparsity": {"msbench.training.trainer"},  # for type checking only: a criterion is given a trainer
}
"""Single modules beyond that."""


def imports(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:  # a relative import stays inside its package
            found.append(str(node.module))
    return found


@pytest.mark.parametrize("package", LAYERS)
def test_host_imports_point_one_way(package: str) -> None:
    files = list((HOST / package).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "msbench" and len(parts) > 1 and parts[1] not in LAYERS[package] | ANYONE:
                assert name in NARROW.get(package, ()), f"{path.relative_to(ROOT)} imports {name}"


def test_host_names_no_plugin() -> None:
    for path in HOST.rglob("*.py"):
        assert not any(name.split(".")[0] == "msbench_plugins" for name in imports(path)), path


def test_plugins_import_only_the_public_surface() -> None:
    files = list((ROOT / "plugins" / "msbench_plugins").rglob("*.py"))
    assert len(files) > 10
    for path in files:
        for name in imports(path):
            if name.split(".")[0] == "msbench":
                assert name == "msbench.api", f"{path.relative_to(ROOT)} imports {name}"


def test_only_compaction_may_use_torch_pruning() -> None:
    for path in [*HOST.rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]:
        if any(name.split(".")[0] == "torch_pruning" for name in imports(path)):
            assert "compaction" in path.parts or path.stem == "compaction", path


def test_no_pickle() -> None:
    for path in [*HOST.rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        for forbidden in ("import pickle", "torch.load(", "torch.save(", "allow_pickle=True"):
            assert forbidden not in re.sub(r"torch\.load\([^()]*weights_only=True\)", "", text), f"{path}: {forbidden}"
