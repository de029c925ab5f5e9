"""A store that is full, read-only, gone or no folder: one line and exit code 2, and nothing half written."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from msbench.errors import UserError
from msbench.plugins import Plugins
from msbench.records.record import read_record
from msbench.runs.engines.local import LocalEngine
from msbench.runs.trouble import readable_errors
from msbench.store.locks import Locks
from msbench.store.store import Store
from tests.conftest import msbench
from tests.disk import files_of_at_most
from tests.runs.scripted import made, maker_of, planned

RUN = ("run", "-s", "dense", "--preset", "smoke", "training.samples=32")


def test_a_disk_that_is_full_at_once_is_one_line(plugins: Plugins, tmp_path: Path) -> None:
    plan = planned(plugins, tmp_path, "random")
    said = r"File too large.*; make room: what is finished or trained is kept"
    with pytest.raises(UserError, match=said), readable_errors(tmp_path), files_of_at_most(600):
        made(plugins, tmp_path, plan)
    assert not list((tmp_path / "runs").iterdir())
    assert not list((tmp_path / "staging").rglob("job.json"))
    assert {record.status for record in made(plugins, tmp_path, plan).values()} == {"ok"}


def test_a_run_that_cannot_write_its_weights_is_a_row_without_them(plugins: Plugins, tmp_path: Path) -> None:
    behave = "if what == 'train':\n with open(f'{first}/samples.png', 'wb') as file: file.write(bytes(10**6))"
    with files_of_at_most(300_000):
        found = made(plugins, tmp_path, planned(plugins, tmp_path, "random"), behave)
    for record in found.values():
        assert record.status == "killed"
        assert "File too large" in record.reason
        names = {path.name for path in Store(tmp_path).folder(record.run_id).iterdir()}
        assert names == {"record.json", "log.txt", "failure.txt"}


def test_a_full_disk_while_a_result_is_put_away_keeps_the_result(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    plan = planned(plugins, tmp_path, "dense")
    made(plugins, tmp_path, plan, "if what == 'measure': os._exit(1)")
    run_id = plan[0].run_id
    (before,) = (path.read_bytes() for path in store.runs.glob("*/record.json"))
    record = store.find(run_id)
    assert record is not None
    (store.begin(run_id) / "model.safetensors").write_text("weights")

    def full(path: Path, text: str, **options: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="No space left on device; make room"), readable_errors(tmp_path):
        store.commit(run_id, record)
    monkeypatch.undo()
    assert (store.folder(run_id) / "record.json").read_bytes() == before
    assert {path.name for path in store.staged(run_id).iterdir()} == {"model.safetensors"}


def test_a_store_that_is_removed_while_in_use_is_one_line(plugins: Plugins, tmp_path: Path) -> None:
    root = tmp_path / "results"
    plan = planned(plugins, root, "random")
    behave = f"import shutil; shutil.rmtree({str(root)!r})"
    said = "was moved or removed while it was in use"
    with pytest.raises(UserError, match=said), readable_errors(root), Locks(root) as locks:
        LocalEngine(maker_of(plugins, root, locks, behave)).run(plan)
    assert not root.exists()


def test_results_that_are_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UserError, match=r"--results .*results: .*; choose a folder that can be written"):
        Store(tmp_path / "results").open()
    assert (tmp_path / "results").read_text() == "a file"


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), readable_errors(tmp_path / "results"):
        (tmp_path / "elsewhere").read_text()
    with pytest.raises(BrokenPipeError), readable_errors(tmp_path):
        raise BrokenPipeError(errno.EPIPE, "")


def without_override() -> None:
    """The super-user may write where permissions say no; from here on it may not."""
    ctypes.CDLL(None).prctl(24, 1)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


def test_a_store_that_is_read_only_is_one_line(tmp_path: Path) -> None:
    root = tmp_path / "results"
    Store(root).open()
    modes = {path: path.stat().st_mode for path in (root, *root.iterdir())}
    script = (
        "import sys; from pathlib import Path; from msbench.store.locks import Locks; "
        "from msbench.runs.trouble import readable_errors; root = Path(sys.argv[1])\n"
        "with readable_errors(root), Locks(root): pass"
    )
    for path in modes:
        path.chmod(0o555)
    try:
        command = [sys.executable, "-c", script, str(root)]
        done = subprocess.run(command, preexec_fn=without_override, capture_output=True, text=True, check=False)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"msbench.errors.UserError: --results {root}: Permission denied")
    assert last.endswith("choose a folder that can be written")


@pytest.mark.long
def test_a_disk_that_fills_up_is_a_line_and_leaves_no_half_run(tmp_path: Path, cache: Path) -> None:
    with files_of_at_most(10_000):
        done = msbench(*RUN, cwd=tmp_path, cache=tmp_path / "cache")
    assert done.returncode == 2, done.stdout
    assert "make room, or name another folder with MSBENCH_CACHE" in done.stderr.splitlines()[-1]
    (tmp_path / "elsewhere").mkdir()
    assert msbench(*RUN, cwd=tmp_path / "elsewhere", cache=cache).returncode == 0, "the data are in the cache now"
    with files_of_at_most(200_000):
        done = msbench(*RUN, cwd=tmp_path, cache=cache)
    assert done.returncode == 2, done.stdout
    assert "File too large" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    for folder in (tmp_path / "results" / "runs").iterdir():
        whole = read_record(folder / "record.json").status == "ok"
        assert (folder / "model.safetensors").exists() is whole
    assert msbench(*RUN, cwd=tmp_path, cache=cache).returncode == 0


@pytest.mark.long
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs Linux's unshare; make test-all on Linux runs this")
def test_a_real_full_disk(tmp_path: Path, cache: Path) -> None:
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode != 0:
        pytest.skip("no right to mount a disk here; make test-all runs this where there is one")
    store = tmp_path / "disk"
    store.mkdir()
    command = [sys.executable, "-m", "msbench.cli.main", *RUN, "--results", str(store)]
    mount = f'mount -t tmpfs -o size=100k tmpfs {store} && exec "$@"'
    environment = {**os.environ, "MSBENCH_CACHE": str(cache)}
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 2, done.stdout
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
