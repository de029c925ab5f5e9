"""What decides a run is what re-runs it, and `results why` names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from msbench.config import Experiment
from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins, load_plugins
from msbench.records.record import Record, SparsifierPart, Status, write_record
from msbench.runs import plan as planning
from msbench.runs.identity import sources
from msbench.runs.identity.identity import FILE, begin
from msbench.runs.identity.provenance import MADE
from msbench.runs.identity.why import compare, explain
from msbench.runs.plan import Command, PlannedRun, make_plan
from msbench.store.store import Store, write_json

LIBRARY = {
    "__init__.py": "",
    "helper.py": "SHARE = 0.5\n",
    "elsewhere.py": "UNUSED = 1\n",
    "mine.py": '''
from dataclasses import dataclass
from typing import ClassVar
from msbench.api import Sparsifier, Trainer, hookimpl
from why_library.helper import SHARE

@dataclass
class Mine(Sparsifier):
    """Mine."""
    name: ClassVar[str] = "mine"

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(share=SHARE)

@hookimpl
def msbench_sparsifiers():
    return [Mine]
''',
}
Plan = Callable[..., PlannedRun]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A plugin package with a helper module."""
    folder = tmp_path_factory.mktemp("lib") / "why_library"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder.parent)
        reset(folder)
        yield folder


def reset(folder: Path) -> None:
    for name, text in LIBRARY.items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def planned(library: Path, tmp_path: Path) -> Plan:
    """Plan the one run of `mine`: planned(*overrides)."""
    reset(library)
    plugins = load_plugins(["why_library.mine"])

    def make(*overrides: str) -> PlannedRun:
        asked = asked_for(plugins, overrides)
        return make_plan(plugins, [asked], Store(tmp_path), tmp_path, Command((), overrides))[-1]

    return make


def asked_for(plugins: Plugins, overrides: tuple[str, ...] = ()) -> Experiment:
    return experiment(
        plugins, sparsifiers=["mine"], budget="0.5", seeds=[0], choices={"preset": "smoke"}, overrides=overrides
    )


def keep(store: Store, run: PlannedRun, status: Status = "ok", identity: bool = True) -> Record:
    """The run as if it had been made."""
    part = SparsifierPart(name="mine", base="mine", plugin="why_library", version="", params={})
    record = Record(
        run_id=run.run_id, status=status, created="2026-01-01T00:00:00+00:00", preset="smoke", command=run.command,
        seed=0, sparsifier=part, config={**run.config.model_dump(mode="json"), "model": run.identity["model"]},
        hashes={"data": run.identity["data"], "host_sources": run.identity["host"],
                "sparsifier_sources": run.identity["sparsifier"]},
        environment={"packages": run.identity["packages"]},
    )  # fmt: skip
    store.folder(run.run_id).mkdir(parents=True)
    write_record(record, store.folder(run.run_id) / "record.json")
    if identity:
        write_json(run.identity, store.folder(run.run_id) / FILE)
    return record


def edit(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def test_the_same_request_is_a_hit(planned: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    keep(store, planned())
    reason = explain(store, planned())
    assert reason.hit
    assert reason.lines() == [f"{planned().run_id}: in the store; nothing that decides its numbers has changed."]


def test_a_run_that_was_never_made_says_so(planned: Plan, tmp_path: Path) -> None:
    reason = explain(Store(tmp_path), planned())
    assert (reason.hit, reason.stored) == (False, None)
    assert "not in the store" in reason.lines()[0]


def test_a_run_without_a_result_is_tried_again(planned: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    keep(store, planned(), status="killed")
    reason = explain(store, planned())
    assert not reason.hit
    assert "ended as killed: it is tried again" in reason.lines()[0]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("training.lr=0.05",), "configuration training.lr 0.004 -> 0.05"),
        (("model.backbone.width=12",), "configuration model.backbone.params.width"),
        (("data.seed=8",), "data fingerprint of rooms"),
    ],
)
def test_a_change_of_the_configuration_is_named(
    planned: Plan, tmp_path: Path, overrides: tuple[str, ...], words: str
) -> None:
    store = Store(tmp_path)
    keep(store, planned())
    reason = explain(store, planned(*overrides))
    assert not reason.hit
    assert any(line.startswith(words) for line in reason.changes), reason.changes


def test_an_edited_helper_is_named_and_re_runs(planned: Plan, library: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    keep(store, planned())
    edit(library / "helper.py", "SHARE = 0.25\n")
    reason = explain(store, planned())
    assert not reason.hit
    assert reason.changes == ("source of sparsifier mine changed: why_library.helper",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("helper.py", "# a half\nSHARE = 0.5\n"),
        ("helper.py", '"""The helper."""\n\nSHARE = (\n    0.5\n)\n'),
        ("mine.py", LIBRARY["mine.py"].replace('"""Mine."""', '"""Mine, and nobody else\'s."""')),
        ("elsewhere.py", "UNUSED = 2\n"),
    ],
)
def test_comments_docstrings_layout_and_other_modules_re_run_nothing(
    planned: Plan, library: Path, tmp_path: Path, name: str, text: str
) -> None:
    store = Store(tmp_path)
    keep(store, planned())
    edit(library / name, text)
    assert explain(store, planned()).hit


def test_a_package_version_is_named_and_re_runs(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    keep(store, planned())
    now = {**planned().identity["packages"], "torch": "99.0"}
    monkeypatch.setattr(planning, "package_versions", lambda more: now)
    reason = explain(store, planned())
    assert not reason.hit
    assert reason.changes == (f"package torch {torch.__version__} -> 99.0",)


def test_the_sources_of_msbench_are_those_that_make_numbers() -> None:
    files = sources.host_files()
    assert {"training/trainer.py", "sparsity/mask.py", "tasks/depth.py", "runs/execute.py"} <= set(files)
    assert not [name for name in files if name.startswith(("cli/", "board/", "papers/"))]


def test_a_source_of_msbench_is_named_and_re_runs(
    planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    keep(store, planned())
    changed = tmp_path / "trainer.py"
    changed.write_text("pass\n", encoding="utf-8")
    files = {**sources.host_files(), "training/trainer.py": changed}
    for module in ("msbench.runs.identity.sources", "msbench.runs.identity.identity"):
        monkeypatch.setattr(f"{module}.host_files", lambda: files)
    reason = explain(store, planned())
    assert reason.changes == ("source of msbench changed: training/trainer.py",)


def test_of_several_stored_runs_the_nearest_is_compared(planned: Plan, library: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    keep(store, planned("training.lr=0.05", "training.batch=4"))
    near = keep(store, planned("training.lr=0.05"))
    reason = explain(store, planned())
    assert reason.stored == near.run_id
    assert reason.changes == ("configuration training.lr 0.05 -> 0.004",)


def test_a_run_that_is_older_than_its_identity_is_compared_by_its_record(
    planned: Plan, library: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    keep(store, planned("training.lr=0.05"), identity=False)
    edit(library / "helper.py", "SHARE = 0.25\n")
    reason = explain(store, planned())
    assert set(reason.changes) == {
        "configuration training.lr 0.05 -> 0.004",
        "source of sparsifier mine changed",
    }


def test_a_control_that_changed_is_named(planned: Plan, tmp_path: Path) -> None:
    store, run = Store(tmp_path), planned()
    keep(store, run)
    other = PlannedRun(**{**vars(run), "run_id": f"{run.run_id}x", "identity": {**run.identity, "dense": "dense-2"}})
    assert compare(store, other, run.run_id).changes == (f"its dense run is another run: {run.dense} -> dense-2",)


def test_an_identity_that_cannot_be_read_is_one_line(planned: Plan, tmp_path: Path) -> None:
    store, run = Store(tmp_path), planned()
    keep(store, run)
    (store.folder(run.run_id) / FILE).write_text("[1", encoding="utf-8")
    with pytest.raises(UserError, match=r"identity\.json: not readable"):
        compare(store, PlannedRun(**{**vars(run), "run_id": "other-1"}), run.run_id)


def test_a_source_that_changes_between_plan_and_run_stops_the_run(planned: Plan, library: Path, tmp_path: Path) -> None:
    run, plugins = planned(), load_plugins(["why_library.mine"])
    begin(plugins, run.config, run.identity, tmp_path)
    assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))[MADE]["files"]["sparsifier"]
    edit(library / "helper.py", "SHARE = 0.25\n")
    with pytest.raises(UserError, match=r"helper\.py \(sparsifier\) has changed since this run was planned"):
        begin(plugins, run.config, run.identity, tmp_path)


def test_what_explains_an_identity_is_no_part_of_it(planned: Plan) -> None:
    first, second = planned(), planned()
    assert first.identity[MADE]["at"] != second.identity[MADE]["at"]
    assert first.run_id == second.run_id
