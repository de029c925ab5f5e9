"""Which planned runs start alike, known before anything trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.runs.engines.sharing import kept_steps, sharing
from msbench.runs.plan import Command, PlannedRun, make_plan
from msbench.store.store import Store
from msbench.training.sparsifier import Sparsifier
from msbench.training.trainer import Trainer


def planned(plugins: Plugins, tmp_path: Path, names: str, *overrides: str) -> list[PlannedRun]:
    found = experiment(
        plugins, sparsifiers=[names], budget="0.5", seeds=[0], choices={"preset": "smoke"}, overrides=overrides
    )
    return make_plan(plugins, [found], Store(tmp_path), tmp_path, Command((), ()))


def test_a_plan_knows_who_starts_alike(plugins: Plugins, tmp_path: Path) -> None:
    names = "one_shot_magnitude,random,regrowth,group_lasso,snip"
    plan = planned(plugins, tmp_path, names)
    kept = {run.config.sparsifier.name: kept_steps(plugins, plan).get(run.run_id) for run in plan}
    steps = plan[0].config.training.samples // plan[0].config.training.batch
    short, long = round(0.3 * steps), steps // 2
    assert kept["dense"] == (short, long)
    assert (kept["one_shot_magnitude"], kept["random"], kept["regrowth"]) == ((short,), (short,), ())
    assert (kept["group_lasso"], kept["snip"]) == (None, None)
    saved = (2 * long + short) * plan[0].config.training.batch
    assert sharing(plugins, plan) == (
        f"3 share their starts with another run: {saved:,} samples are trained once instead of again."
    )


def test_a_plan_shares_nothing_where_it_is_off_or_nothing_is_alike(plugins: Plugins, tmp_path: Path) -> None:
    assert sharing(plugins, planned(plugins, tmp_path, "random,one_shot_magnitude", "engine.share_start=false")) == ""
    assert sharing(plugins, planned(plugins, tmp_path, "group_lasso,snip")) == ""


def test_what_is_announced_is_what_is_trained_first(plugins: Plugins, make_trainer: Callable[..., Trainer]) -> None:
    for name, params, share in (
        ("dense", {}, 1.0),
        ("one_shot", {}, 0.5),
        ("one_shot", {"init": "random"}, 0.0),
        ("iterative", {}, 0.2),
        ("progressive", {"init": "dense"}, 0.3),
        ("sparse_training", {"init": "dense"}, 0.5),
        ("regrowth", {}, 0.3),
        ("growing_reg", {}, 0.3),
        ("disparse", {"mode": "pretrained"}, 0.4),
        ("disparse", {}, 0.0),
    ):
        sparsifier = plugins.get("sparsifier", name).cls(**params)
        trainer = make_trainer(target=0.4, samples=160)
        assert sparsifier.plain_share() == share, name
        assert stages(trainer, sparsifier)[0] == (round(20 * share) if share else None), name


class FirstError(Exception):
    """Ends a script at its first stage."""


def stages(trainer: Trainer, sparsifier: Sparsifier) -> list[int | None]:
    """Steps of its first stage, None where it is not plain or does not come first."""
    found: list[int | None] = []

    def train(**asked: Any) -> None:
        plain = trainer.mask is None and trainer.allowance.spent == 0 and set(asked) <= {"share", "steps"}
        found.append(trainer.steps(asked.get("share"), asked.get("steps")) if plain else None)
        raise FirstError

    trainer.train = train  # type: ignore[method-assign]
    with pytest.raises(FirstError):
        sparsifier.sparsify(trainer)
    return found
