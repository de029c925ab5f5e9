"""What is refused while plugins load, in one line; what is not loaded at all; and what can be watched."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

from msbench import hookspecs, plugins
from msbench.cli.main import app
from msbench.errors import UserError
from msbench.plugins import load_plugins
from msbench.runs.execute import notify

HEAD = "from msbench.api import Head, Equal, hookimpl\nfrom tests.plugins.good import GoodHead\n"
HOOK = "@hookimpl\ndef msbench_heads():\n    return [GoodHead]\n"


def write(folder: Path, text: str) -> str:
    path = folder / "plugin.py"
    path.write_text(HEAD + text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HOOK.replace("heads", "haeds"), "msbench_haeds is no hook: did you mean 'msbench_heads'?"),
        (
            HOOK.replace("@hookimpl\n", "").replace("heads", "headz"),
            "msbench_headz is no hook: did you mean 'msbench_heads'?",
        ),
        (HOOK.replace("msbench_heads", "heads"), "heads is no hook: did you mean 'msbench_heads'?"),
        (HOOK.replace("@hookimpl\n", ""), "msbench_heads lacks its @hookimpl"),
        (
            "@hookimpl\ndef msbench_run_finished(rekord):\n    pass\n",
            r"hook 'msbench_run_finished'.*\{'rekord'\} are declared in the hookimpl but can not be found",
        ),
        (HOOK.replace("[GoodHead]", "GoodHead()"), "msbench_heads returned GoodHead.*, not a list of classes"),
        (HOOK.replace("GoodHead]", "Equal]"), "Equal is a loss balancer, but msbench_heads returned it"),
        (HOOK.replace("GoodHead]", "dict]"), "dict is no plugin class"),
        ("msbench_requires = '>=9'\n" + HOOK, "it works with msbench >=9, this is 0"),
        ("msbench_requires = '<0.0.1'\n" + HOOK, "it works with msbench <0.0.1, this is 0"),
        ("msbench_requires = 'new'\n" + HOOK, "msbench_requires='new' is no range of versions"),
        ("msbench_requires = 9\n" + HOOK, "msbench_requires=9 is no range of versions"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_plugins([write(tmp_path, text)])
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("--plugin") == 1


def test_a_version_that_fits_and_a_helper_of_another_name_are_fine(tmp_path: Path) -> None:
    text = "msbench_requires = '>=0.1,<9'\ndef helper(): pass\n" + HOOK
    assert "good_head" in load_plugins([write(tmp_path, text)]).components["head"]


def test_the_same_plugin_twice_is_one(tmp_path: Path) -> None:
    source = write(tmp_path, HOOK)
    assert "good_head" in load_plugins([source, source]).components["head"]
    assert not load_plugins(["msbench_plugins.heads"]).broken, "an installed one, named once more"


def entry_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """As if a package `unsafe` were installed whose module is this text."""
    (tmp_path / "unsafe_module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    found = [*plugins._entry_points(), EntryPoint("unsafe", "unsafe_module", hookspecs.PROJECT)]
    monkeypatch.setattr(plugins, "_entry_points", lambda: found)


def test_a_broken_installed_plugin_is_a_line_of_the_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry_points(monkeypatch, tmp_path, HEAD + HOOK.replace("heads", "haeds"))
    done = CliRunner().invoke(app, ["plugins", "list"])
    assert done.exit_code == 0
    assert "Failed to load unknown:unsafe: msbench_haeds is no hook: did you mean 'msbench_heads'?" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("name", ["unsafe", "unknown:unsafe", " unsafe ,"])
def test_a_disabled_plugin_is_not_imported(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry_points(monkeypatch, tmp_path, "raise SystemExit('imported')")
    monkeypatch.setenv(plugins.DISABLE, name)
    loaded = load_plugins()
    assert loaded.disabled == ["unknown:unsafe"]
    assert "snip" in loaded.components["sparsifier"]
    with pytest.raises(UserError, match="plugin 'unknown:unsafe' is disabled by MSBENCH_DISABLE"):
        loaded.get("sparsifier", "lost")
    done = CliRunner().invoke(app, ["plugins", "list"])
    assert "Disabled by MSBENCH_DISABLE, not imported: unknown:unsafe" in done.output


def test_a_misspelt_name_disables_nothing_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.DISABLE, "tensorbord")
    with pytest.raises(UserError, match="MSBENCH_DISABLE: there is no plugin 'tensorbord': did you mean 'tensorboard'"):
        load_plugins()


def test_an_asked_for_plugin_that_is_disabled_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = write(tmp_path, "raise SystemExit('imported')")
    monkeypatch.setenv(plugins.DISABLE, source)
    with pytest.raises(UserError, match="it is disabled by MSBENCH_DISABLE"):
        load_plugins([source])


def test_hook_calls_can_be_watched(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(plugins.TRACE, "1")
    loaded = load_plugins()
    assert "msbench_sparsifiers [hook]" in capsys.readouterr().err
    notify(loaded.hook.msbench_epoch_finished, run={"folder": Path()}, history={})
    assert "msbench_epoch_finished [hook]" in capsys.readouterr().err
    monkeypatch.setenv(plugins.TRACE, "0")
    load_plugins()
    assert capsys.readouterr().err == ""
