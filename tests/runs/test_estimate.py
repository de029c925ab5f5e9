"""What `msbench plan` says a plan costs: from the store's runs, else from a few steps, else nothing."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.runs import probe
from msbench.runs.build import build_dataset
from msbench.runs.estimate import duration, estimate
from msbench.runs.plan import Command, PlannedRun, make_plan
from msbench.store.store import Store
from tests.conftest import toy_samples, toy_tasks


def plan(
    plugins: Plugins, store: Store, cache: Path, *names: str, seed: int = 0, overrides: tuple[str, ...] = ()
) -> list[PlannedRun]:
    choices = {"preset": "smoke"}
    found = experiment(plugins, sparsifiers=names, budget="0.5", seeds=[seed], choices=choices, overrides=overrides)
    return make_plan(plugins, [found], store, cache, Command((), overrides))


def test_runs_of_the_same_kind_tell_time_and_disk(
    plugins: Plugins, smoke_suite: tuple[Path, subprocess.CompletedProcess[str]], cache: Path
) -> None:
    store = Store(smoke_suite[0] / "results")
    records = [record for run_id in store.ids() if (record := store.find(run_id))]
    rates = [r.cost.wall_s / r.allowance.spent for r in records if r.cost and r.allowance and r.allowance.spent]
    planned = plan(plugins, store, cache, "random", "snip", "imp", seed=1000)
    samples = sum(run.config.training.samples for run in planned)
    said = estimate(planned, store, plugins, cache)
    assert said.startswith(f"About {duration(samples * sum(rates) / len(rates))} of one worker and ")
    assert "timed here" not in said


def test_without_runs_a_few_steps_are_timed(
    plugins: Plugins, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(plugins, Store(tmp_path), cache, "random")  # and the dense control
    build_dataset(plugins, planned[0].config.data).prepare(cache, lambda done, total, what: None)
    monkeypatch.setattr(probe, "_seconds", lambda *_: 15.0)
    samples = sum(run.config.training.samples for run in planned)
    said = estimate(planned, Store(tmp_path), plugins, cache)
    assert said.startswith(f"About {duration(samples * 15)} of one worker and 1 MB, by a few training steps")


def test_without_runs_and_data_there_is_no_estimate(plugins: Plugins, tmp_path: Path) -> None:
    said = estimate(plan(plugins, Store(tmp_path), tmp_path, "random"), Store(tmp_path), plugins, tmp_path)
    assert said.startswith("No estimate of time")
    assert "`msbench data prepare rooms`" in said


class Slow(nn.Module):
    """Takes a hundredth of a second a sample; notes how many samples came at once."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(5))
        self.batches: list[int] = []

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        self.batches.append(len(image))
        time.sleep(0.01 * len(image))
        outputs = self.weight.view(1, 5, 1, 1).expand(len(image), 5, 16, 16)
        return {"segmentation": outputs[:, :2], "normals": outputs[:, 2:] + image}


def test_a_step_costs_what_it_takes() -> None:
    model, samples = Slow(), toy_samples(8, 0)
    found = probe._seconds(model, toy_tasks(), samples.batch(torch.arange(4)), amp=False)  # type: ignore[arg-type]
    assert 0.01 <= found < 0.03
    assert set(model.batches) == {4}
    assert model.weight.grad is not None


@pytest.mark.parametrize(("seconds", "words"), [(5, "1 min"), (600, "10 min"), (7200, "2 hours"), (200_000, "2 days")])
def test_durations_are_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_device_that_is_not_there_is_named(plugins: Plugins, cache: Path, tmp_path: Path) -> None:
    planned = plan(plugins, Store(tmp_path), cache, "random", overrides=("engine.device=nothing",))
    with pytest.raises(UserError, match=r"engine\.device=nothing: no such device"):
        estimate(planned, Store(tmp_path), plugins, cache)
