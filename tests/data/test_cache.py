"""Cache folders: built once, whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from msbench.data.cache import build_once
from msbench.errors import UserError
from tests.disk import files_of_at_most


def run_python(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=os.environ | {"PYTHONPATH": path})


def fill(aside: Path) -> None:
    (aside / "data").write_text("whole")


def test_a_folder_that_is_there_is_not_built_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"
    assert build_once(folder, fill) == folder
    assert (folder / "data").read_text() == "whole"
    build_once(folder, lambda aside: pytest.fail("built twice"))


def test_a_failing_build_passes_its_error_on_and_leaves_nothing(tmp_path: Path) -> None:
    def fail(aside: Path) -> None:
        (aside / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_once(tmp_path / "cache", fail)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_killed_build_leaves_no_folder_and_the_next_one_starts_afresh(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from msbench.data.cache import build_once
def build(aside):
    (aside / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
build_once(Path(sys.argv[1]), build)
"""
    folder = tmp_path / "cache"
    assert run_python(code, folder).wait() == -signal.SIGKILL
    assert not folder.exists()
    build_once(folder, fill)
    assert [path.name for path in folder.iterdir()] == ["data"]
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]


def test_a_build_that_can_go_on_finds_what_was_left_when_it_says_so(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def build(aside: Path) -> None:
        seen.append(sorted(path.name for path in aside.iterdir()))
        (aside / f"step{len(seen)}").touch()
        if len(seen) < 4:
            raise (TimeoutError if len(seen) < 3 else ValueError)

    for error in (TimeoutError, TimeoutError, ValueError):
        with pytest.raises(error):
            build_once(tmp_path / "cache", build, keep=lambda error: isinstance(error, TimeoutError))
    build_once(tmp_path / "cache", build, keep=lambda error: True)
    assert seen == [[], ["step1"], ["step1", "step2"], []]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["step4"]


def test_builders_at_the_same_time_build_once(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from msbench.data.cache import build_once
def build(aside):
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    time.sleep(0.5)
    (aside / "data").write_text("whole")
folder = build_once(Path(sys.argv[1]), build)
assert (folder / "data").read_text() == "whole"
"""
    processes = [run_python(code, tmp_path / "cache", tmp_path / "log") for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert (tmp_path / "log").read_text() == "built\n"


def test_an_unusable_cache_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file.*MSBENCH_CACHE"):
        build_once(tmp_path / "file" / "cache", fill)


@pytest.mark.parametrize("way", ["plain", "safetensors"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, way: str) -> None:
    def build(aside: Path) -> None:
        if way == "plain":
            (aside / "part").write_bytes(bytes(10**6))
        save_file({"part": torch.zeros(10**6)}, aside / "part")

    said = r"data cache .*: File too large; make room, or name .* MSBENCH_CACHE"
    with pytest.raises(UserError, match=said), files_of_at_most(10_000):
        build_once(tmp_path / "cache" / "rooms", build)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]
