"""What docs/how-to/hand-over.md tells a reader to type works, in its order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from msbench.cli.main import app

PAGE = (Path(__file__).parent.parent.parent / "docs" / "how-to" / "hand-over.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def run(blocks: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "hand-over.md", "exec"), names)
    return names


def test_the_blocks_for_torch_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run([block for block in BLOCKS if "onnx" not in block], tmp_path, monkeypatch)
    assert names["outputs"].shape == (2, 4, 48, 64)
    assert names["small"].report.compact_parameters < names["small"].report.dense_parameters
    assert {path.name for path in tmp_path.glob("*.*")} >= {"small.safetensors", "small.pt2", "msbench_load.py"}


@pytest.mark.long
def test_the_blocks_for_onnx_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(BLOCKS[:1] + [block for block in BLOCKS if "onnx" in block], tmp_path, monkeypatch)
    assert names["outputs"]["output"].shape == (1, 4, 48, 64)


def test_the_commands_are_understood() -> None:
    lines = [line.partition("  #")[0] for line in re.findall(r"^\$ msbench (compact .*)$", PAGE, flags=re.MULTILINE)]
    command: Any = typer.main.get_command(app)
    assert len(lines) == 3
    for line in lines:
        name, *arguments = shlex.split(line)
        command.commands[name].make_context(name, arguments)
