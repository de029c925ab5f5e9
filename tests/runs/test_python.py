"""`msbench.run` with a class that is defined in the calling script."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

SCRIPT = """
from dataclasses import dataclass
from typing import ClassVar

import msbench
from msbench.api import Sparsifier, Trainer


@dataclass
class Early(Sparsifier):
    '''Prunes before it trains.'''

    name: ClassVar[str] = "early"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()


if __name__ == "__main__":
    outcome = msbench.run([Early, "random"], budget=0.4, preset="smoke")
    for record in outcome.records.values():
        print(record.sparsifier.name, record.status, round(record.budget.achieved, 2))
    print(outcome.good, outcome.leaderboard.is_file())
"""


def test_a_class_of_the_calling_script_runs(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    environment = {**os.environ, "MSBENCH_CACHE": str(cache)}
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")[:3]) == ["dense ok 0.0", "early ok 0.4", "random ok 0.4"]
    assert "True True" in done.stdout
