"""Pages that are written by several processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from msbench.board.site import render
from msbench.board.site.page import Page


def test_what_a_process_cannot_write_is_raised_once_and_it_prints_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "processors", lambda: 2)
    monkeypatch.setattr(render, "render", lambda page, environment: "text")
    page = Page.__new__(Page)  # is handed on, and not looked at
    wanted = [(page, str(tmp_path / "missing" / str(number))) for number in range(2 * render.SHARE)]
    with pytest.raises(FileNotFoundError), render.rendering(wanted, render.make_environment("")):
        pass
    assert capfd.readouterr().err == ""
