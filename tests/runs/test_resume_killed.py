"""A whole command is killed with its runs' processes; the same command goes on where they were."""

from __future__ import annotations

import signal
import textwrap
from pathlib import Path

import pytest

from msbench.records.record import Record
from msbench.store.store import Store
from tests.conftest import msbench

PLUGIN = '''
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from msbench.api import Sparsifier, Step, Trainer, hookimpl


@dataclass
class Mortal(Sparsifier):
    """Dies once, in the middle of its second stage."""

    name: ClassVar[str] = "mortal"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        steps, died = Path("steps.txt"), Path("died.txt")

        def note(step: Step) -> None:
            with steps.open("a") as file:
                file.write(f"{os.getpid()} {trainer.history.step}\\n")
            if step.last and not died.exists():
                died.touch()
                os.kill(os.getppid(), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

        trainer.train(share=0.5, after_step=lambda step: None, state=())
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train(share=0.25, after_step=note, state=())
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Mortal]
'''
COMMAND = ("run", "-s", "mortal", "--budget", "0.5", "--preset", "smoke", "--plugin", "mortal.py", "engine.jobs=1")


def record_of(folder: Path) -> tuple[Path, Record]:
    store = Store(folder / "results")
    found = [store.find(run_id) for run_id in store.ids()]
    (record,) = [record for record in found if record is not None and record.sparsifier.name == "mortal"]
    return store.folder(record.run_id), record


@pytest.mark.long
def test_the_command_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, cache: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mortal.py").write_text(textwrap.dedent(PLUGIN), encoding="utf-8")
    (tmp_path / "whole" / "died.txt").touch()
    assert msbench(*COMMAND, cwd=tmp_path / "whole", cache=cache).returncode == 0

    often = (*COMMAND, "engine.checkpoint_seconds=0.001")
    assert msbench(*often, cwd=tmp_path / "killed", cache=cache).returncode == -signal.SIGKILL
    (left,) = (tmp_path / "killed" / "results" / "staging").glob("mortal-*/checkpoint")
    assert (left / "stage-1.safetensors").is_file()
    done = msbench(*often, cwd=tmp_path / "killed", cache=cache)
    assert done.returncode == 0, done.stdout + done.stderr

    (folder, record), (whole, expected) = record_of(tmp_path / "killed"), record_of(tmp_path / "whole")
    assert folder.name == whole.name, "how often checkpoints are made does not make a run another run"
    for artefact in ("model.safetensors", "mask.safetensors", "history.parquet"):
        assert (folder / artefact).read_bytes() == (whole / artefact).read_bytes(), artefact
    assert record.metrics == expected.metrics
    assert record.allowance == expected.allowance
    assert not (folder / "checkpoint").exists()
    assert record.cost is not None
    assert record.cost.wall_s > record.cost.earlier_attempts > 0

    lines = [line.split() for line in (tmp_path / "killed" / "steps.txt").read_text().splitlines()]
    first, second = (
        [int(step) for process, step in lines if process == own] for own in dict.fromkeys(p for p, _ in lines)
    )
    assert first == sorted(set(first))
    assert first[0] > 1, "the first stage was trained"
    assert second[0] >= first[0]
    assert second[-1] == first[-1], "and both went through the same step"
