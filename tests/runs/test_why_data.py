"""A data file that is edited, added or replaced makes another run, and `results why` names it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from msbench.cli.main import app
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.records.record import DatasetPart, Record, SparsifierPart, write_record
from msbench.runs.identity.identity import FILE
from msbench.runs.plan import Command, PlannedRun, make_plan
from msbench.store.store import Store, write_json
from tests.data import test_camvid as camvid


class Asked:
    """The dense run over a small CamVid tree, planned as `msbench run` does: with the data prepared."""

    def __init__(self, plugins: Plugins, folder: Path) -> None:
        self.plugins, self.folder, self.cache = plugins, folder, folder / "cache"
        self.root, self.store = camvid.write_tree(folder / "CamVid"), Store(folder / "results")
        self.overrides = (f"data.root={self.root}", "data.height=18", "data.width=24")

    def planned(self, prepare: bool = True) -> PlannedRun:
        if prepare:
            camvid.prepared(self.root, self.cache)
        choices = {"preset": "smoke", "dataset": "camvid"}
        asked = experiment(
            self.plugins, sparsifiers=["dense"], budget=None, seeds=[0], choices=choices, overrides=self.overrides
        )
        flags = ("--dataset", "camvid", "--preset", "smoke")
        return make_plan(self.plugins, [asked], self.store, self.cache, Command(flags, self.overrides))[0]

    def make(self) -> PlannedRun:
        """The run as if it had been made."""
        run = self.planned()
        data = DatasetPart(name="camvid", params={}, synthetic=False, train=2, validation=2, test=2, image=[18, 24])
        part = SparsifierPart(name="dense", base="dense", plugin="msbench", version="", params={})
        record = Record(
            run_id=run.run_id, status="ok", created="2026-01-01T00:00:00+00:00", preset="smoke", command=run.command,
            seed=0, sparsifier=part, dataset=data,
        )  # fmt: skip
        self.store.folder(run.run_id).mkdir(parents=True)
        write_record(record, self.store.folder(run.run_id) / "record.json")
        write_json(run.identity, self.store.folder(run.run_id) / FILE)
        return run

    def why(self, run: PlannedRun, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
        monkeypatch.setenv("MSBENCH_CACHE", str(self.cache))
        done = CliRunner().invoke(app, ["results", "why", run.run_id, "--results", str(self.store.root)])
        return done.exit_code, done.output


@pytest.fixture
def asked(plugins: Plugins, tmp_path: Path) -> Asked:
    return Asked(plugins, tmp_path)


def edit(label: Path) -> None:
    ids = np.array(Image.open(label))
    ids[5, 5] = 8
    Image.fromarray(ids).save(label)


def test_an_edited_file_is_named_and_re_runs(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    run = asked.make()
    assert asked.planned().cached
    assert asked.why(run, monkeypatch)[0] == 0
    edit(asked.root / "valannot" / "0001TP_000001.png")
    for prepare in (False, True):
        again = asked.planned(prepare)
        assert not again.cached
        assert again.run_id != run.run_id
        code, text = asked.why(run, monkeypatch)
        assert code == 1
        assert "data fingerprint of camvid: " in text
        assert "data of validation: written since: valannot/0001TP_000001.png\n" in text
        assert "data of train" not in text


def test_a_touched_file_re_runs_nothing_once_it_is_read(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    run = asked.make()
    (asked.root / "train" / "0001TP_000000.png").touch()
    assert asked.planned().cached
    assert asked.why(run, monkeypatch)[0] == 0


def test_files_that_come_and_go_are_counted(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    run = asked.make()
    (asked.root / "train" / "0001TP_000000.png").unlink()
    for folder in ("test", "testannot"):
        shutil.copy(asked.root / folder / "0001TP_000001.png", asked.root / folder / "0001TP_000002.png")
    text = asked.why(run, monkeypatch)[1]
    assert "data of train: 1 samples, there were 2\n" in text
    assert "data of test: 3 samples, there were 2\n" in text
    assert "data of test: written since: test/0001TP_000002.png, testannot/0001TP_000002.png\n" in text


def test_a_file_with_an_old_date_is_named_by_when_it_was_put_there(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asked.make()
    label = asked.root / "trainannot" / "0001TP_000000.png"
    edit(label)
    os.utime(label, ns=(1, 1))
    assert "data of train: written since: trainannot/0001TP_000000.png\n" in asked.why(run, monkeypatch)[1]
