"""Every fenced block of the README and the documentation is what it claims to be, and runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.errors import UserError
from msbench.store.store import Store
from tests.conftest import msbench
from tests.docs.pages import PAGES, ROOT, Block, blocks, files_of, name

BLOCKS = list(blocks())
CONSOLE = [(block, command) for block in BLOCKS if block.language == "console" for command in block.commands]
MSBENCH = [(block, command) for block, command in CONSOLE if command.startswith("msbench ")]
PLANNED = [(b, c) for b, c in MSBENCH if c.split()[1] in ("run", "plan")]
CHEAP = ("doctor", "plugins list", "plugins show", "data list")
"""Commands that need neither a store nor training: they are executed."""
OWN = {"docs/how-to/hand-over.md", "docs/how-to/use-your-own-data.md", "docs/tutorial/write-a-sparsifier.md"}
"""Pages whose Python blocks run, in their order and with what they need, in tests of their own."""
PREPARE = {
    "docs/how-to/check-your-plugin.md": {
        "my_package.py": "from msbench_plugins.sparsifiers.one_shot import OneShot as MySparsifier\n"
    }
}
"""What a page's reader has already."""
PYTHON = [page for page in PAGES if any(b.page == page and b.language == "python" for b in BLOCKS)]
PARSERS: dict[str, Any] = {"toml": tomllib.loads, "yaml": yaml.safe_load, "json": json.loads}


def ids(cases: list[tuple[Block, str]]) -> list[str]:
    return [f"{block}: {command}" for block, command in cases]


def test_there_is_something_to_check() -> None:
    assert len(BLOCKS) > 20
    assert len(MSBENCH) > 60
    assert {block.language for block in BLOCKS} <= {"console", "python", "text", *PARSERS}


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in PARSERS], ids=str)
def test_data_blocks_are_well_formed(block: Block) -> None:
    PARSERS[block.language](block.text)


@pytest.mark.parametrize(("block", "command"), CONSOLE, ids=ids(CONSOLE))
def test_commands_exist_with_their_options(block: Block, command: str) -> None:
    program, *words = shlex.split(command)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert set(words) <= set(targets)
    elif program == "python":
        assert words[0] in files_of(block.page) or (ROOT / words[0]).is_file()
    else:
        assert program == "msbench"
        understood(words)


def understood(words: list[str]) -> None:
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        assert words, "a group without a command"
        assert words[0] in command.commands, f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    command.make_context("msbench", words)


@pytest.mark.parametrize(("block", "command"), PLANNED, ids=ids(PLANNED))
def test_runs_can_be_planned(block: Block, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planned, not run: that checks every flag, name and key."""
    monkeypatch.chdir(tmp_path)
    for file, text in files_of(block.page).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    words = shlex.split(command)[2:]
    for only_run in ("--jobs", "--timeout"):
        if only_run in words:
            del words[words.index(only_run) : words.index(only_run) + 2]
    done = CliRunner().invoke(app, ["plan", *(word for word in words if word != "--explain")])
    if "data.root=" in command:  # a folder that only its owner has: everything else was understood
        assert isinstance(done.exception, UserError)
        assert "data.root" in str(done.exception)
    else:
        assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
        assert "to run" in done.output


@pytest.mark.parametrize("command", sorted({c for _, c in MSBENCH if c.removeprefix("msbench ").startswith(CHEAP)}))
def test_cheap_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MSBENCH_CACHE", str(tmp_path / "cache"))
    for page in PAGES:
        for file, text in files_of(page).items():
            (tmp_path / file).write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    assert len(done.output.splitlines()) > 3


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for what these tests run: two pages ask for the same run."""
    return tmp_path_factory.mktemp("results")


def test_the_guides_sparsifier_runs_as_it_says(
    tmp_path: Path, results: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSBENCH_RESULTS", str(results))
    guide = ROOT / "docs" / "tutorial" / "write-a-sparsifier.md"
    (tmp_path / "two_rounds.py").write_text(files_of(guide)["two_rounds.py"], encoding="utf-8")
    show, run = [command for block, command in MSBENCH if block.page == guide]
    assert "dense_share" in msbench(*shlex.split(show)[1:], cwd=tmp_path, cache=cache).stdout
    done = msbench(*shlex.split(run)[1:], "--preset", "smoke", cwd=tmp_path, cache=cache)
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(results)
    found = [record for run_id in store.ids() if (record := store.find(run_id)) is not None]
    mine = next(record for record in found if record.sparsifier.name == "two_rounds")
    assert mine.status == "ok"
    assert mine.sparsifier.params == {"dense_share": 0.3}
    assert mine.command.endswith("--plugin two_rounds.py sparsifier.dense_share=0.3")


@pytest.mark.parametrize("page", [page for page in PYTHON if name(page) not in OWN], ids=name)
def test_python_blocks_run(page: Path, tmp_path: Path, results: Path, cache: Path) -> None:
    """All blocks of a page, in their order, as one program."""
    for file, text in PREPARE.get(name(page), {}).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    program = "\n".join(block.text for block in BLOCKS if block.page == page and block.language == "python")
    guarded = "\n".join(f"    {line}" if line else "" for line in program.splitlines())
    (tmp_path / "page.py").write_text(f"if __name__ == '__main__':\n{guarded}\n", encoding="utf-8")
    environment = {**os.environ, "MSBENCH_CACHE": str(cache), "MSBENCH_RESULTS": str(results), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pages_with_tests_of_their_own_have_blocks() -> None:
    assert {name(page) for page in PYTHON} >= OWN
