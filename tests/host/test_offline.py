"""Nothing at run time reaches for a network: every process of a run reports each address that it would connect to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WATCH = """
import os, sys

def note(line, ending=""):
    with open(os.environ["OFFLINE_LOG"] + ending, "a") as log:
        log.write(line + "\\n")

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        note(f"{event} {arguments[0]}")
    elif event in ("socket.connect", "socket.sendto") and not isinstance(arguments[1], (str, bytes)):
        note(f"{event} {arguments[1]}")  # text is the path of a local pipe

sys.addaudithook(watch)
note(str(os.getpid()), ".seen")
"""
"""A sitecustomize, which Python imports first in every process."""


def watched(folder: Path, *arguments: str, cache: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """A Python process and its children under watch; it and what it would have connected to."""
    (folder / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    log = folder / "connections"
    environment = {**os.environ, "PYTHONPATH": str(folder), "OFFLINE_LOG": str(log), "MSBENCH_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done, log.read_text(encoding="utf-8").splitlines() if log.exists() else []


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket().connect_ex(('127.0.0.1', 9))",
        "import urllib.request as u; u.urlopen('http://localhost:9')",
    ],
)
def test_the_watch_sees_a_connection(code: str, tmp_path: Path) -> None:
    assert watched(tmp_path, "-c", code, cache=tmp_path)[1]


def test_a_run_opens_no_connection(tmp_path: Path, cache: Path) -> None:
    run = ("-m", "msbench.cli.main", "run", "-s", "dense", "--budget", "natural", "--preset", "smoke")
    done, connections = watched(tmp_path, *run, cache=cache)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "connections.seen").read_text(encoding="utf-8").splitlines()) >= 3  # its workers too
    assert connections == []
