"""Packing that is killed, interrupted, short of disk or done twice at once."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from msbench.api import UserError
from msbench.data.journal import JOURNAL, Journal
from tests.data.packing_helpers import Notes, in_a_process, packed_bytes, silent, write_notes


@pytest.fixture(autouse=True)
def eager_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry after every sample, so that little data makes many."""
    monkeypatch.setattr("msbench.data.packing.CHECKPOINT", 0.0)
    monkeypatch.setattr("msbench.data.packing._SHARE", 1e9)
    monkeypatch.setattr("msbench.data.packing._MOST_THREADS", 2)


def folder_of(cache: Path) -> Path:
    (found,) = (path for path in cache.iterdir() if path.is_dir())
    return found


def undisturbed(root: Path, cache: Path) -> dict[str, bytes]:
    Notes(root=str(root)).prepare(cache, silent)
    return packed_bytes(folder_of(cache))


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it never came")


@pytest.mark.parametrize(("counts", "rows"), [((12, 2, 2), 5), ((2, 2, 12), 7)])
def test_a_killed_packing_goes_on_to_the_same_bytes(tmp_path: Path, counts: tuple[int, int, int], rows: int) -> None:
    root = write_notes(tmp_path / "notes", counts)
    cache, dataset = tmp_path / "cache", Notes(root=str(root), pause=0.05)
    partial = cache / f".{dataset.place(cache, root, dataset.index(root)).name}.partial"
    process = in_a_process(lambda: dataset.prepare(cache, silent))

    def has_rows() -> bool:
        journal = Journal.read(partial, dataset.state(root, dataset.index(root)))
        return sum(part.rows for part in journal.parts.values()) >= rows

    wait_for(has_rows)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [partial.name], "not there, or whole"
    with (partial / "train" / "image.safetensors").open("ab") as file:
        file.write(b"half a row")

    seen: list[int] = []
    dataset.prepare(cache, lambda done, total, what: seen.append(done) if what.startswith("packing") else None)
    assert seen[0] > rows, "nothing was decoded again from the start"
    assert seen == list(range(seen[0], 17))
    assert packed_bytes(folder_of(cache)) == undisturbed(root, tmp_path / "calm")


def test_rows_that_the_journal_promises_and_the_disk_lost_are_packed_again(tmp_path: Path) -> None:
    root, cache = write_notes(tmp_path / "notes"), tmp_path / "cache"
    interrupted(root, cache, after=5)
    (partial,) = cache.glob(".*.partial")
    image = partial / "train" / "image.safetensors"
    image.write_bytes(image.read_bytes()[:600])
    assert undisturbed(root, cache) == undisturbed(root, tmp_path / "calm")


def interrupted(root: Path, cache: Path, after: int) -> None:
    def stop(done: int, total: int, what: str) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Notes(root=str(root)).prepare(cache, stop)


def test_an_interrupted_packing_of_files_that_changed_starts_afresh(tmp_path: Path) -> None:
    root, out = write_notes(tmp_path / "notes"), tmp_path / "out"

    def stop(done: int, total: int, what: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Notes(root=str(root)).pack_into(out, stop)
    (root / "train" / "0000.txt").write_text("77", encoding="utf-8")
    seen: list[int] = []
    Notes(root=str(root)).pack_into(out, lambda done, total, what: seen.append(done))
    assert seen[0] == 1
    assert packed_bytes(out) == undisturbed(root, tmp_path / "calm")


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the same error from the same call."""
    root, cache = write_notes(tmp_path / "notes", (30, 2, 2)), tmp_path / "cache"

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        Notes(root=str(root)).prepare(cache, silent)

    process = in_a_process(limited, tmp_path / "error")
    process.join()
    error = (tmp_path / "error").read_text(encoding="utf-8")
    assert process.exitcode == 1
    assert error.startswith("StorageError: packing notes into")
    assert "samples; make room, and the same command goes on from there, or name another folder" in error
    assert "\n" not in error
    (partial,) = cache.glob(".*.partial")
    assert (partial / JOURNAL).is_file()
    seen: list[int] = []
    Notes(root=str(root)).prepare(cache, lambda done, total, what: seen.append(done))
    assert seen[0] > 5
    assert packed_bytes(folder_of(cache)) == undisturbed(root, tmp_path / "calm")


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_notes(tmp_path / "notes")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match=r"0\.0 GB are needed and 0\.0 GB free after 0 of 16 samples"):
        Notes(root=str(root)).prepare(tmp_path / "cache", silent)


def test_an_unreadable_file_is_no_corrupt_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing disk or network share must not make samples disappear, and what is packed is kept."""
    root = write_notes(tmp_path / "notes")

    def fail(self: Notes, item: object) -> None:
        raise PermissionError(13, "Permission denied", "secret.txt")

    monkeypatch.setattr(Notes, "decode", fail)
    monkeypatch.setattr(Notes, "drops", True)
    with pytest.raises(UserError, match=r"secret\.txt: cannot be read \(Permission denied\)"):
        Notes(root=str(root)).prepare(tmp_path / "cache", silent)
    assert list((tmp_path / "cache").glob(".*.partial"))


def test_two_processes_pack_once(tmp_path: Path) -> None:
    root, cache = write_notes(tmp_path / "notes"), tmp_path / "cache"
    processes = [in_a_process(lambda: Notes(root=str(root), pause=0.02).prepare(cache, silent)) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert packed_bytes(folder_of(cache)) == undisturbed(root, tmp_path / "calm")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, so that not even root makes a folder below it")
    with pytest.raises(UserError, match=r"cache.*Not a directory.*MSBENCH_CACHE"):
        Notes(root=str(write_notes(tmp_path / "notes"))).prepare(tmp_path / "cache" / "inner", silent)
