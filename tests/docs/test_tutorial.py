"""The tutorial, typed from top to bottom with the smallest preset and one seed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import msbench
from tests.docs.pages import DOCS, blocks

PAGE = DOCS / "tutorial" / "first-run.md"
TYPED = [command for block in blocks() if block.page == PAGE for command in block.commands]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_newcomer_gets_from_nothing_to_a_network_on_disk(tmp_path: Path, cache: Path) -> None:
    output = {}
    for command in TYPED:
        words = shlex.split(command.replace("-quick-", "-smoke-").replace("--seeds 3", "--seeds 1"))[1:]
        if "all" in words:  # every method: what other tests run
            continue
        preset = ["--preset", "smoke"] if words[0] in ("run", "plan") and "--preset" not in words else []
        done = msbench(*words, *preset, cwd=tmp_path, cache=cache, timeout=1200)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        output[command] = done.stdout
    assert len(output) > 7
    shown = next(text for command, text in output.items() if "results show" in command)
    assert json.loads(shown)["sparsifier"]["name"] == "one_shot_magnitude"
    table = pd.read_csv(tmp_path / "results.csv")
    assert {"run_id", "status", "delta.mean", "sparsity.parameters"} <= set(table.columns)
    assert set(table["status"]) == {"ok"}
    assert (tmp_path / "results" / "leaderboard" / "index.html").is_file()
    assert (tmp_path / "small.safetensors").is_file()
