"""What the README and the docs tell a newcomer to type works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.config import BudgetConfig
from msbench.plugins import Plugins
from msbench.runs.store import Store
from msbench.selection import every, select
from tests.conftest import msbench

ROOT = Path(__file__).parent.parent.parent
GUIDE = ROOT / "docs" / "write-a-sparsifier.md"


def commands(path: Path) -> list[str]:
    """Every `$ msbench …` line of a document, without its comment."""
    text = path.read_text(encoding="utf-8")
    lines = re.findall(r"^\$ (msbench .*)$", text, flags=re.MULTILINE)
    return [part.strip() for line in lines for part in line.partition("  #")[0].split(";")]


README = [command for command in commands(ROOT / "README.md") if command.split()[1] in ("run", "plan")]


def test_the_readme_has_commands() -> None:
    assert len(README) > 5


@pytest.mark.parametrize("command", README)
def test_commands_of_the_readme_are_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planned, not run: that checks every flag, name and key."""
    monkeypatch.chdir(tmp_path)
    words = [word for word in shlex.split(command)[2:] if word != "--explain"]
    done = CliRunner().invoke(app, ["plan", *words])
    if "path/to/" in command:  # a data folder that only its owner has
        assert "data.root" in str(done.exception)
    else:
        assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
        assert "to run" in done.output


def test_the_guides_sparsifier_runs_as_it_says(tmp_path: Path, cache: Path) -> None:
    code = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert code is not None
    (tmp_path / "two_rounds.py").write_text(code[1], encoding="utf-8")
    show, run = commands(GUIDE)
    assert "dense_share" in msbench(*shlex.split(show)[1:], cwd=tmp_path, cache=cache).stdout
    done = msbench(*shlex.split(run)[1:], "--preset", "smoke", cwd=tmp_path, cache=cache)
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(tmp_path / "results")
    found = [record for run_id in store.ids() if (record := store.find(run_id)) is not None]
    mine = next(record for record in found if record.sparsifier.name == "two_rounds")
    assert mine.status == "ok"
    assert mine.sparsifier.params == {"dense_share": 0.3}
    assert mine.command.endswith("--plugin two_rounds.py sparsifier.dense_share=0.3")


def test_every_method_and_dataset_is_documented(plugins: Plugins) -> None:
    readme, methods = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/methods.md"))
    for name in every(plugins, BudgetConfig(mode="matched")):
        assert f"`{name}`" in readme, name
        assert f"`{name}`" in methods, name
    for name in plugins.classes("criterion"):
        assert f"`{name}`" in methods or f"`{name}:RUN`" in methods, name
    for name in plugins.classes("dataset"):
        assert f"`{name}`" in readme, name


SELECTIONS = sorted(set(re.findall(r"`(\w+\[criterion=[^`]+\])`", (ROOT / "docs" / "methods.md").read_text("utf-8"))))


def test_methods_has_selections() -> None:
    assert len(SELECTIONS) > 8


@pytest.mark.parametrize("selection", SELECTIONS)
def test_selections_of_the_methods_page_are_understood(plugins: Plugins, selection: str) -> None:
    found = select(plugins, [selection], {}, BudgetConfig(mode="share", share=0.5))
    assert [config.name for config in found] == [selection]
