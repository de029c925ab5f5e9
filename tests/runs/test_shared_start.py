"""Shared starts: a run that goes on from one ends like a run that trains it, and nothing else is ever gone on from."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from msbench.plugins import Plugins
from msbench.runs.starts import ABOUT, STATE, StoredStarts
from msbench.training.sparsifier import Sparsifier
from msbench.training.state import State
from msbench.training.trainer import Trainer
from msbench.training.view import View
from tests.conftest import msbench

Make = Callable[..., Trainer]
NAMES = ["one_shot", "iterative", "regrowth", "growing_reg", "lottery_ticket", "imp", "disparse"]
PARAMS: dict[str, dict[str, Any]] = {"disparse": {"mode": "pretrained"}, "growing_reg": {"every": 2}}
SETTINGS = {"samples": 128, "evaluations": 4}


@dataclass
class Ended:
    """All that a run leaves."""

    weights: bytes
    moments: bytes
    rows: list[tuple[int, int, str, float]]
    spent: int
    shared: float
    steps: int


def starts_in(folder: Path, *keep: int) -> StoredStarts:
    return StoredStarts(folder, {"data": "toy"}, frozenset(keep))


def run(trainer: Trainer, sparsifier: Sparsifier, starts: StoredStarts | None) -> Ended:
    trainer.starts, steps = starts, 0
    update = trainer.update

    def counting(*arguments: Any) -> None:
        nonlocal steps
        steps += 1
        update(*arguments)

    trainer.update = counting  # type: ignore[method-assign]
    sparsifier.sparsify(trainer)
    trainer.finish()
    moments = b"".join(value.numpy().tobytes() for _, value in sorted(trainer.optimizer.tensors().items()))
    weights = b"".join(value.numpy().tobytes() for value in trainer.model.state_dict().values())
    spent = trainer.allowance.spent
    return Ended(weights, moments, trainer.history.rows, spent, trainer.shared_seconds, steps)


def alike(found: Ended, expected: Ended) -> None:
    assert found.weights == expected.weights
    assert found.moments == expected.moments
    assert found.rows == expected.rows
    assert found.spent == expected.spent


def made(plugins: Plugins, name: str) -> Sparsifier:
    sparsifier: Sparsifier = plugins.get("sparsifier", name).cls(**PARAMS.get(name, {}))
    return sparsifier


@pytest.mark.parametrize("name", NAMES)
def test_with_and_without_a_start_a_run_ends_the_same(
    plugins: Plugins, make_trainer: Make, tmp_path: Path, name: str
) -> None:
    def once(starts: StoredStarts | None) -> Ended:
        return run(make_trainer(seed=2, target=0.4, **SETTINGS), made(plugins, name), starts)

    alone, making, going_on = once(None), once(starts_in(tmp_path)), once(starts_in(tmp_path))
    alike(making, alone)
    alike(going_on, alone)
    assert (alone.shared, making.shared) == (0, 0)
    assert going_on.shared > 0
    assert going_on.steps < making.steps == alone.steps
    assert not list((tmp_path / "staging").iterdir())


def test_a_longer_stage_goes_on_from_a_shorter_start_and_the_best_checkpoint_comes_along(
    plugins: Plugins, make_trainer: Make, tmp_path: Path
) -> None:
    dense, one_shot, regrowth = (made(plugins, name) for name in ("dense", "one_shot", "regrowth"))
    # so high a rate at the end that the best network is the one of the start
    settings = {**SETTINGS, "lr": 2e-2, "warmup": 0.9}
    expected = [run(make_trainer(**settings), dense, None), run(make_trainer(target=0.4, **settings), one_shot, None)]
    run(make_trainer(target=0.4, **settings), regrowth, starts_in(tmp_path))
    longer = run(make_trainer(target=0.4, **settings), one_shot, starts_in(tmp_path))
    whole = run(make_trainer(**settings), dense, starts_in(tmp_path))
    alike(longer, expected[1])
    alike(whole, expected[0])
    assert (longer.steps, whole.steps) == (16 - 5, 16 - 8), "5 steps are regrowth's, 8 one_shot's"
    assert sorted(int(path.name) for path in tmp_path.glob("starts/*/*")) == [5, 8], "none where nothing is left"


def test_a_dense_run_keeps_what_others_will_need(plugins: Plugins, make_trainer: Make, tmp_path: Path) -> None:
    run(make_trainer(**SETTINGS), made(plugins, "dense"), starts_in(tmp_path, 8))
    found = run(make_trainer(target=0.4, **SETTINGS), made(plugins, "one_shot"), starts_in(tmp_path))
    alike(found, run(make_trainer(target=0.4, **SETTINGS), made(plugins, "one_shot"), None))
    assert found.steps == 8


def test_random_layers_go_on_where_they_were(make_trainer: Make, tmp_path: Path) -> None:
    ended = []
    for starts in (None, starts_in(tmp_path), starts_in(tmp_path)):
        trainer = make_trainer(**SETTINGS)
        trainer.model.backbone.stem.append(nn.Dropout(0.5))  # type: ignore[union-attr, operator]
        trainer.starts = starts
        trainer.train(share=0.5)
        trainer.train()
        ended.append(b"".join(value.numpy().tobytes() for value in trainer.model.state_dict().values()))
    assert ended[0] == ended[1] == ended[2]
    assert trainer.shared_seconds > 0


def hooked(trainer: Trainer) -> None:
    trainer.model.backbone.register_forward_hook(lambda module, inputs, output: None)


def drawn(trainer: Trainer) -> None:
    torch.rand(1, generator=trainer.generator)


def viewed(trainer: Trainer) -> None:
    trainer.view = type("Other", (View,), {})()


def frozen(trainer: Trainer) -> None:
    trainer.model.freeze_backbone()


def moved(trainer: Trainer) -> None:
    with torch.no_grad():
        next(iter(trainer.weights.values())).mul_(2)


@pytest.mark.parametrize("change", [hooked, drawn, viewed, frozen, moved])
def test_a_stage_that_is_not_plain_or_begins_elsewhere_is_not_shared(
    make_trainer: Make, tmp_path: Path, change: Callable[[Trainer], None]
) -> None:
    plain, other = make_trainer(**SETTINGS), make_trainer(**SETTINGS)
    plain.starts = other.starts = starts_in(tmp_path)
    plain.train(share=0.5)
    change(other)
    other.train(share=0.5)
    assert other.shared_seconds == 0


def test_hooks_objectives_and_stages_of_other_lengths_share_nothing(make_trainer: Make, tmp_path: Path) -> None:
    for asked in (
        {"after_step": lambda step: None},
        {"before_step": lambda step: None},
        {"objective": lambda losses: losses["normals"]},
    ):
        trainer = make_trainer(**SETTINGS)
        trainer.starts = starts_in(tmp_path)
        trainer.train(steps=2, **asked)  # type: ignore[arg-type]
    assert not (tmp_path / "starts").exists()
    for steps, schedule in ((2, "stage"), (3, "stage"), (3, "run")):
        trainer = make_trainer(**SETTINGS)
        trainer.starts = starts_in(tmp_path)
        trainer.train(steps=steps, schedule=schedule)  # type: ignore[arg-type]
        assert trainer.shared_seconds == 0
    assert len(list((tmp_path / "starts").iterdir())) == 3


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / STATE).read_bytes())
    data[-1] ^= 1
    (folder / STATE).write_bytes(data)


def cut_off(folder: Path) -> None:
    (folder / ABOUT).write_text((folder / ABOUT).read_text()[:-20])


def change_a_fact(folder: Path) -> None:
    about = json.loads((folder / ABOUT).read_text())
    about["facts"]["spent"] = 0
    (folder / ABOUT).write_text(json.dumps(about))


def lose_the_state(folder: Path) -> None:
    (folder / STATE).unlink()


def of_something_else(folder: Path) -> None:
    about = json.loads((folder / ABOUT).read_text())
    other = StoredStarts(folder.parents[2], {"data": "other"})
    other.save(about["key"]["plain"], State(load_file(folder / STATE), about["facts"]))
    (theirs,) = (path for path in folder.parents[1].glob("*/*") if path != folder)
    shutil.rmtree(folder)
    theirs.rename(folder)


@pytest.mark.parametrize("damage", [flip_a_byte, cut_off, change_a_fact, lose_the_state, of_something_else])
def test_a_damaged_or_foreign_start_is_ignored_with_a_line_and_made_again(
    plugins: Plugins,
    make_trainer: Make,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    def once(starts: StoredStarts | None) -> Ended:
        return run(make_trainer(target=0.4, **SETTINGS), made(plugins, "one_shot"), starts)

    alone = once(starts_in(tmp_path))
    (folder,) = tmp_path.glob("starts/*/*")
    damage(folder)
    with caplog.at_level(logging.WARNING):
        found = once(starts_in(tmp_path))
    alike(found, alone)
    assert found.shared == 0
    (line,) = (record.message for record in caplog.records)
    assert line.startswith(f"{folder} is not used and removed")
    assert ("of something else" in line) is (damage is of_something_else)
    assert once(starts_in(tmp_path)).shared > 0


def test_a_start_that_cannot_be_written_does_not_stop_the_run(
    plugins: Plugins, make_trainer: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "starts").write_text("in the way")
    run(make_trainer(target=0.4, **SETTINGS), made(plugins, "one_shot"), starts_in(tmp_path))
    assert "was not kept" in caplog.text


@pytest.mark.long
def test_the_command_shares_starts_and_says_what_they_cost(tmp_path: Path, cache: Path) -> None:
    asked = ("run", "-s", "one_shot_magnitude,random", "--budget", "0.5", "--preset", "smoke", "engine.jobs=1")
    for folder, more in (("with", ()), ("without", ("engine.share_start=false",))):
        (tmp_path / folder).mkdir()
        done = msbench(*asked, *more, cwd=tmp_path / folder, cache=cache)
        assert done.returncode == 0, done.stderr
    records = {
        folder: {
            p.parent.name: json.loads(p.read_text()) for p in (tmp_path / folder).glob("results/runs/*/record.json")
        }
        for folder in ("with", "without")
    }
    assert set(records["with"]) == set(records["without"]), "sharing does not make a run another run"
    for name, alone in records["without"].items():
        shared = records["with"][name]
        assert shared["hashes"] == alone["hashes"]
        assert shared["metrics"] == alone["metrics"]
        assert shared["allowance"] == alone["allowance"]
        own = shared["cost"]["shared_start"]
        assert (own > 0) is (shared["sparsifier"]["name"] != "dense")
        assert shared["cost"]["wall_s"] > own
        weights = [load_file(tmp_path / folder / "results/runs" / name / "model.safetensors") for folder in records]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not (tmp_path / "without" / "results" / "starts").exists()
