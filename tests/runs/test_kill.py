"""A suite that is killed at random moments, again and again, ends as one that never was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUITE = ("run", "-s", "random,one_shot_magnitude", "--budget", "0.5", "--preset", "smoke")
SMALL = ("training.samples=64", "engine.checkpoint_seconds=0.05")


def killed(folder: Path, cache: Path, kills: int, seed: int, timeout: float) -> dict[str, Any]:
    """What `tests.runs.warm` found."""
    command = [sys.executable, "-m", "tests.runs.warm", str(folder), str(cache), str(kills), str(seed), *SUITE, *SMALL]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_kills_at_random_moments_lose_nothing_and_change_nothing(tmp_path: Path, cache: Path) -> None:
    found = killed(tmp_path, cache, kills=6, seed=1, timeout=550)
    assert found["wrong"] == []
    assert found["kills"] >= 6
    assert found["runs"] == 3


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_two_hundred_kills_lose_nothing_and_change_nothing(tmp_path: Path, cache: Path) -> None:
    found = killed(tmp_path, cache, kills=200, seed=2, timeout=7000)
    assert found["wrong"] == []
    assert found["kills"] >= 200
    assert found["suites"] > 1
