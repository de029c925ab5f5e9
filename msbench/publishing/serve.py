"""A local server for the pages: this machine only, rebuilt when records change."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from msbench.board.reading.load import RECORD
from msbench.board.reading.verified import VERIFIED
from msbench.errors import UserError

HOST: Final = "127.0.0.1"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".tex": "text/plain; charset=utf-8",
    ".bib": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".webp": "image/webp",
    "": "application/octet-stream",
}
"""File ending to MIME type, whatever the system's own table says."""


class Handler(SimpleHTTPRequestHandler):
    """Files of one folder, and nothing else: no listings, no hidden files, no links that lead out of it."""

    extensions_map = TYPES

    def send_head(self) -> Any:
        """The file that was asked for, or an error; requests that name another host are refused."""
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if name not in ("localhost", HOST):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "This server answers to localhost only")
            return None
        if not self._is_inside():
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None
        return super().send_head()

    def _is_inside(self) -> bool:
        root = Path(self.directory).resolve()
        path = Path(self.translate_path(self.path)).resolve()
        return path.is_relative_to(root) and not any(part.startswith(".") for part in path.relative_to(root).parts)

    def list_directory(self, path: Any) -> None:
        """Folders have no listing."""
        self.send_error(HTTPStatus.NOT_FOUND, "File not found")

    def end_headers(self) -> None:
        """Pages change under a running server, and scripts come from the folder alone."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not news."""


@contextmanager
def served(folder: Path, port: int) -> Iterator[str]:
    """Serve a folder from a thread; gives its address. Port 0 chooses a free one. UserError where it is taken."""
    try:
        server = ThreadingHTTPServer((HOST, port), partial(Handler, directory=os.fspath(folder)))
    except (OSError, OverflowError) as error:
        raise UserError(f"--port {port}: {error}; choose another, or 0 for a free one") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def watch(records: Path, rebuild: Callable[[], None], stop: threading.Event, every: float = 2.0) -> None:
    """Call `rebuild` whenever a record has come, gone or changed, until `stop` is set; `every` in seconds."""
    before = state(records)
    while not stop.wait(every):
        now = state(records)
        if now != before:
            before = now
            rebuild()


def state(records: Path) -> frozenset[tuple[str, str, int, int]]:
    """Folder, name, size and time of change of every record and verification."""
    found = set()
    try:
        with os.scandir(records) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        names = []
    for folder in names:
        for name in (RECORD, VERIFIED):
            try:
                status = os.stat(records / folder / name)
            except OSError:
                continue
            found.add((folder, name, status.st_size, status.st_mtime_ns))
    return frozenset(found)
