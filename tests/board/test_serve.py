"""The local server: what it gives out, what it refuses, and that it builds again when records change."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from msbench.errors import UserError
from msbench.publishing.serve import HOST, served, watch
from tests.board.published import record_of, save


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """Port of a server for a folder with a page, beside a secret."""
    folder = tmp_path / "site"
    (folder / "runs").mkdir(parents=True)
    (folder / "index.html").write_text("front")
    (folder / "runs" / "a.html").write_text("run")
    (folder / "data.json").write_text("{}")
    (folder / "page.js").write_text("")
    (folder / ".pages.json").write_text("hidden")
    (tmp_path / "secret.html").write_text("secret")
    (folder / "link.html").symlink_to(tmp_path / "secret.html")
    with served(folder, 0) as address:
        yield int(address.rstrip("/").rpartition(":")[2])


def _get(port: int, path: str, host: str = "localhost") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    connection.request("GET", path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    return answer.status, answer.headers["Content-Type"], answer.read().decode()


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [
        ("/", "text/html; charset=utf-8", "front"),
        ("/runs/a.html", "text/html; charset=utf-8", "run"),
        ("/data.json", "application/json", "{}"),
        ("/page.js", "text/javascript; charset=utf-8", ""),
    ],
)
def test_files_come_with_their_type(server: int, path: str, kind: str, content: str) -> None:
    assert _get(server, path) == (200, kind, content)


@pytest.mark.parametrize(
    "path",
    ["/../secret.html", "/%2e%2e/secret.html", "/runs/", "/.pages.json", "/link.html", "//etc/passwd", "/nothing"],
)
def test_nothing_else_comes(server: int, path: str) -> None:
    status, _, content = _get(server, path)
    assert status == 404
    assert "secret" not in content
    assert "hidden" not in content


def test_a_page_elsewhere_cannot_read_it_through_its_own_name(server: int) -> None:
    assert _get(server, "/", host="evil.example")[0] == 421


def test_a_taken_port_is_said(server: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"--port {server}"), served(tmp_path, server):
        pass


def test_watching_rebuilds_on_new_and_changed_records_only(tmp_path: Path) -> None:
    stop, built = threading.Event(), threading.Semaphore(0)
    thread = threading.Thread(target=watch, args=(tmp_path, built.release, stop, 0.02))
    thread.start()
    try:
        assert not built.acquire(timeout=0.2)
        save([record_of("dense")], tmp_path)
        assert built.acquire(timeout=20)
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif(os.name == "nt", reason="sends an interrupt")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_and_ends_when_told_to(tmp_path: Path, end: signal.Signals) -> None:
    save([record_of("dense")], tmp_path / "runs")
    command = [
        sys.executable,
        "-m",
        "msbench.cli.main",
        "leaderboard",
        "serve",
        "--port",
        "0",
        "--results",
        str(tmp_path),
    ]
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore interrupts
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        signal.signal(signal.SIGINT, ours)
        assert process.stdout
        line = process.stdout.readline()
        try:
            assert "Serving" in line, process.stderr and process.stderr.read()
            port = int(line.partition(f"{HOST}:")[2].partition("/")[0])
            assert _get(port, "/")[0] == 200
        finally:
            process.send_signal(end)
        assert process.wait(timeout=60) == 0
        assert "Stopped." in process.stdout.read()
