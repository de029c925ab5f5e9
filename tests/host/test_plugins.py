"""Plugins: three ways in, broken ones isolated, names that do not exist answered with the nearest."""

from __future__ import annotations

import inspect
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from msbench import hookspecs, plugins
from msbench.errors import UserError
from msbench.plugins import KINDS, Plugins, load_plugins

SPARSIFIER = """
from dataclasses import dataclass
from typing import ClassVar
from msbench.api import Sparsifier, Trainer, hookimpl

@dataclass
class Half(Sparsifier):
    \"\"\"Removes half.\"\"\"
    name: ClassVar[str] = "{name}"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.apply_mask(trainer.budget.select(trainer.rank("random")))
        trainer.train()

@hookimpl
def msbench_sparsifiers():
    return [Half]
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_built_ins_come_through_entry_points(plugins: Plugins) -> None:
    assert not plugins.broken
    assert {"dense", "meta_sparsity", "meta_sparsity_direct", "group_lasso", "one_shot_magnitude", "random"} <= set(
        plugins.components["sparsifier"]
    )
    assert {"rooms", "camvid"} <= set(plugins.components["dataset"])
    assert all(component.plugin.startswith("msbench:") for component in plugins.components["sparsifier"].values())


def test_a_file_is_a_plugin(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", SPARSIFIER.format(name="half"))
    assert load_plugins([str(path)]).get("sparsifier", "half").cls.__name__ == "Half"


def test_a_module_is_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "my_half_module", SPARSIFIER.format(name="half"))
    monkeypatch.syspath_prepend(tmp_path)
    assert "half" in load_plugins(["my_half_module"]).components["sparsifier"]


def test_a_class_of_a_file_is_a_plugin(tmp_path: Path) -> None:
    text = SPARSIFIER.format(name="half").split("@hookimpl")[0]
    path = write(tmp_path, "classes", text)
    assert "half" in load_plugins([f"{path}:Half"]).components["sparsifier"]


def test_a_broken_entry_point_is_isolated_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "msbench_no_such_module", hookspecs.PROJECT)
    found = [*plugins._entry_points(), broken]
    monkeypatch.setattr(plugins, "_entry_points", lambda: found)
    loaded = load_plugins()
    assert "dense" in loaded.components["sparsifier"]
    assert len(loaded.broken) == 1
    assert "msbench_no_such_module" in loaded.broken[0].error
    assert "Traceback" in loaded.broken[0].traceback
    with pytest.raises(UserError, match=r"unknown sparsifier 'lost'.*failed to load"):
        loaded.get("sparsifier", "lost")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        (SPARSIFIER.format(name="dense"), "'dense' is already provided by msbench:sparsifiers"),
    ],
)
def test_a_plugin_that_was_asked_for_and_fails_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_plugins([str(write(tmp_path, "bad", text))])


def test_nothing_of_a_failed_plugin_stays(tmp_path: Path) -> None:
    text = SPARSIFIER.format(name="half") + "\n@hookimpl\ndef msbench_heads():\n    raise RuntimeError('late')\n"
    path = write(tmp_path, "late", text)
    with pytest.raises(UserError, match="late"):
        load_plugins([str(path)])
    assert "half" not in load_plugins().components["sparsifier"]


def test_the_nearest_name_is_offered(plugins: Plugins) -> None:
    with pytest.raises(UserError, match="unknown sparsifier 'meta_sparsty': did you mean 'meta_sparsity'"):
        plugins.get("sparsifier", "meta_sparsty")


def test_every_hook_is_documented_and_collected() -> None:
    hooks = {n: f for n, f in vars(hookspecs).items() if n.startswith("msbench_") and inspect.isfunction(f)}
    events = {"msbench_run_started", "msbench_epoch_finished", "msbench_run_finished"}
    assert set(hooks) == set(KINDS.values()) | events
    for name, function in hooks.items():
        assert function.__doc__, name
        assert function.__doc__.strip().endswith("."), name


def test_every_built_in_is_documented(plugins: Plugins) -> None:
    for components in plugins.components.values():
        for component in components.values():
            assert component.cls.__doc__, component.name
            assert not component.cls.__doc__.startswith(f"{component.cls.__name__}("), component.name
