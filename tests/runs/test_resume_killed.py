"""What trains is killed: a run's process, also at its time limit, or the whole command. Asked again, it goes on."""

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
    """Ends once, in the middle of its second stage, as `how.txt` says."""

    name: ClassVar[str] = "mortal"
    paper: ClassVar[str] = "unpublished"

    def sparsify(self, trainer: Trainer) -> None:
        how = Path("how.txt")

        def note(step: Step) -> None:
            with Path("steps.txt").open("a") as file:
                file.write(f"{os.getpid()} {trainer.history.step}\\n")

        def end(step: Step) -> None:
            note(step)
            if step.last and how.exists():
                asked = how.read_text()
                how.unlink()
                print("the last words of the first attempt", flush=True)
                if asked == "command":
                    os.kill(os.getppid(), signal.SIGKILL)
                if asked != "timeout":
                    os.kill(os.getpid(), signal.SIGKILL)
                while True:
                    pass

        trainer.train(share=0.5, after_step=note, state=())
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train(share=0.25, after_step=end, state=())
        trainer.train()


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Mortal]
'''
COMMON = ("--budget", "0.5", "--preset", "smoke", "--plugin", "mortal.py", "engine.checkpoint_seconds=0.001")
LIMIT = 30


def asked(folder: Path, cache: Path, *more: str) -> tuple[int, Path, Record]:
    """`msbench run -s mortal`: the exit code, and the run's folder and record."""
    done = msbench("run", "-s", "mortal", *COMMON, *more, cwd=folder, cache=cache)
    store = Store(folder / "results")
    (run_id,) = [run_id for run_id in store.ids() if run_id.startswith("mortal")]
    record = store.find(run_id)
    assert record is not None, done.stdout + done.stderr
    return done.returncode, store.folder(run_id), record


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, Record]:
    """The folder and record of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "mortal.py").write_text(textwrap.dedent(PLUGIN), encoding="utf-8")
    code, run, record = asked(folder, cache)
    assert (code, record.status) == (0, "ok")
    return run, record


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "reason"),
    [("killed", "was killed by SIGKILL, as a system does that runs out of memory"), ("timeout", "stopped after 30 s")],
)
def test_it_says_so_keeps_its_checkpoint_and_ends_with_the_same_bytes(
    how: str, reason: str, undisturbed: tuple[Path, Record], tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "mortal.py").write_text(textwrap.dedent(PLUGIN), encoding="utf-8")
    dense = msbench("run", "-s", "dense", *COMMON, cwd=tmp_path, cache=cache)  # which no limit should stop
    assert dense.returncode == 0, dense.stderr
    (tmp_path / "how.txt").write_text(how, encoding="utf-8")

    code, folder, record = asked(tmp_path, cache, *(("--timeout", str(LIMIT)) if how == "timeout" else ()))
    assert code == 1
    assert record.status == how
    assert reason in record.reason
    failure = (folder / "failure.txt").read_text(encoding="utf-8")
    assert failure.startswith(f"{how}: {record.reason}\n")
    assert "the last words of the first attempt" in failure.splitlines()[-1]
    assert (folder / "checkpoint" / "stage-1.safetensors").is_file()
    assert not (folder / "model.safetensors").exists()

    code, again, record = asked(tmp_path, cache)
    assert (code, record.status, again) == (0, "ok", folder)
    check_goes_on(folder, record, undisturbed, tmp_path)
    assert not (folder / "failure.txt").exists()


@pytest.mark.long
def test_the_command_goes_on_and_ends_with_the_same_bytes(
    undisturbed: tuple[Path, Record], tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "mortal.py").write_text(textwrap.dedent(PLUGIN), encoding="utf-8")
    (tmp_path / "how.txt").write_text("command", encoding="utf-8")
    done = msbench("run", "-s", "mortal", *COMMON, "engine.jobs=1", cwd=tmp_path, cache=cache)
    assert done.returncode == -signal.SIGKILL
    (left,) = (tmp_path / "results" / "staging").glob("mortal-*/checkpoint")
    assert (left / "stage-1.safetensors").is_file()

    code, folder, record = asked(tmp_path, cache, "engine.jobs=1")
    assert (code, record.status) == (0, "ok")
    check_goes_on(folder, record, undisturbed, tmp_path)
    assert record.cost is not None
    assert record.cost.wall_s > record.cost.earlier_attempts > 0


def check_goes_on(folder: Path, record: Record, undisturbed: tuple[Path, Record], command: Path) -> None:
    """The second attempt began after the first stage, and ended with the bytes of a run that nobody stopped."""
    whole, expected = undisturbed
    assert folder.name == whole.name
    for artefact in ("model.safetensors", "mask.safetensors", "history.parquet"):
        assert (folder / artefact).read_bytes() == (whole / artefact).read_bytes(), artefact
    assert (record.metrics, record.allowance) == (expected.metrics, expected.allowance)
    assert not (folder / "checkpoint").exists()

    lines = [line.split() for line in (command / "steps.txt").read_text(encoding="utf-8").splitlines()]
    first, second = (
        [int(step) for own, step in lines if own == process] for process in dict.fromkeys(p for p, _ in lines)
    )
    assert (first[0], second[-1]) == (1, first[-1])
    assert first == sorted(set(first))
    assert second[0] > len(first) / 2, "the first stage, two thirds of these steps, was not trained again"
