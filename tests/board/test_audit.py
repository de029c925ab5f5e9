"""The audit: each point judged on a board that meets it and on one that does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from msbench.board.auditing.audit import Audit, audit
from msbench.board.comparison.grouping import group
from msbench.board.comparison.points import Point
from msbench.board.reading.load import Loaded, Run, Unreadable
from msbench.cli.main import app
from msbench.errors import UserError
from msbench.records.record import Record
from tests.board.conftest import Factory

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9)
ENVIRONMENT = {"python": "3.11", "packages": {"torch": "2.13"}, "cpu": "A CPU"}


def _good(factory: Factory) -> list[Record]:
    """Three seeds, five budgets, both baselines and the dense control: a board that meets everything."""
    records = [factory.record("dense", seed) for seed in range(3)]
    for seed in range(3):
        for share in SHARES:
            for index, name in enumerate(("random", "magnitude")):
                record = factory.record(name, seed, mode="share", share=share, quality=90.0 + 5 * index)
                record.run_id = f"{name}-{share}-{seed}"
                record.sparsifier.params = {"criterion": "magnitude[norm=1]" if index else "random"}
                records.append(record)
    for record in records:
        record.environment = dict(ENVIRONMENT)
        record.config["training"] = {"lr": 0.1}
        record.hashes["host_sources"] = "same"
    return records


def _audit(records: list[Record], unreadable: tuple[Unreadable, ...] = ()) -> Audit:
    runs = tuple(Run(record, Path()) for record in records)
    return audit(Loaded(runs, unreadable), *group(runs))


def _points(records: list[Record]) -> dict[str, Point]:
    (board,) = _audit(records).boards
    return {point.title: point for point in board.points}


def test_a_good_board_meets_every_point(factory: Factory) -> None:
    points = _points(_good(factory))
    results = {point.title: point.result for point in points.values()}
    assert set(results.values()) == {"met", "not applicable"}
    assert [title for title, result in results.items() if result != "met"] == ["runs that did not end well say why"]


def _change(which: Callable[[Record], bool], act: Callable[[Record], object]) -> Callable[[list[Record]], None]:
    def change(records: list[Record]) -> None:
        act(next(record for record in records if which(record)))

    return change


def _sparse(record: Record) -> bool:
    return record.sparsifier.base != "dense"


def _drop(name: str) -> Callable[[list[Record]], None]:
    def change(records: list[Record]) -> None:
        records[:] = [record for record in records if record.sparsifier.name != name]

    return change


def _fail_the_budget(record: Record) -> None:
    assert record.budget
    record.budget.achieved, record.budget.met = 0.45, False


def _lose_the_proof(record: Record) -> None:
    assert record.proof
    record.proof.equal = False


def _be_noisy(record: Record) -> None:
    part = record.speedup and record.speedup.measured["cpu"]
    assert part
    part.noisy = True


def _overspend(record: Record) -> None:
    assert record.allowance
    record.allowance.spent = record.allowance.samples + 1


def _forget_layers(record: Record) -> None:
    assert record.sparsity
    record.sparsity.per_layer = {}


def _fail_silently(record: Record) -> None:
    record.status, record.reason = "failed", ""


def _another_configuration(record: Record) -> None:
    record.sparsifier.params = record.sparsifier.params | {"strength": 3}


def _two_seeds(records: list[Record]) -> None:
    records[:] = [record for record in records if record.seed < 2]


def _four_budgets(records: list[Record]) -> None:
    records[:] = [record for record in records if not (record.budget and record.budget.asked == SHARES[-1])]


@pytest.mark.parametrize(
    ("change", "title", "why"),
    [
        (_change(_sparse, lambda r: r.environment.pop("cpu")), "data, network, training", "1 of 33 runs lack some"),
        (_change(_sparse, lambda r: r.hashes.update(initial_weights="x")), "same initial weights", "1 of 30 runs"),
        (_change(_sparse, lambda r: r.hashes.update(host_sources="x")), "one version of the code", "32 and 1"),
        (_change(_sparse, _overspend), "at most 20000 training samples", "1 of 33 runs overspent"),
        (_change(_sparse, _fail_the_budget), "the asked sparsity", "largest miss 5.00 points"),
        (_change(_sparse, _forget_layers), "sparsity per layer", "1 of 30 runs lack it"),
        (_change(_sparse, _lose_the_proof), "the compact network is proven", "1 of 30 runs are not: random-0.5-0"),
        (_change(_sparse, lambda r: setattr(r, "compression", None)), "both compression", "1 of 30 proven runs"),
        (_change(_sparse, _be_noisy), "speed-up is measured", "1 of 30 proven runs are not, or are noisy"),
        (_change(_sparse, lambda r: r.metrics["depth"].pop("rel")), "all metrics", "1 of 33 runs lack some"),
        (_two_seeds, "at least 3 seeds a row", "10 of 10 rows have fewer: magnitude (2) and random (2)"),
        (_two_seeds, "rank ranges", "2 rows with 2 seeds at most: a rank needs 3"),
        (_four_budgets, "at least 5 budgets", "2 of 2 methods have fewer: magnitude (4) and random (4)"),
        (_drop("dense"), "a dense control", "30 of 30 runs have none"),
        (_drop("random"), "a baseline that selects by random", "5 of 5 targets have none"),
        (_drop("magnitude"), "a baseline that selects by magnitude", "5 of 5 targets have none"),
        (_change(_sparse, _another_configuration), "as many configurations", "2 of random, 1 of others"),
        (_change(_sparse, _fail_silently), "runs that did not end well", "1 of 1 unsuccessful run give no reason"),
    ],
)
def test_what_a_board_lacks_is_said_with_numbers(
    factory: Factory, change: Callable[[list[Record]], None], title: str, why: str
) -> None:
    records = _good(factory)
    change(records)
    point = next(point for name, point in _points(records).items() if name.startswith(title))
    assert point.result == "not met"
    assert why in point.why


def test_the_store_needs_three_pairs_of_real_data(factory: Factory) -> None:
    records = _good(factory)
    assert _audit(records).store[0].result == "not met"
    real = []
    for name in ("one", "two", "three"):
        for record in _good(factory):
            assert record.dataset
            record.dataset.name, record.dataset.synthetic = name, False
            record.run_id += name
            if record.delta:
                record.delta.dense_run += name
            real.append(record)
    found = _audit(real)
    assert found.store[0].result == "met"
    assert found.passed
    assert "dataset: three against one" in found.store[-1].why


def test_unreadable_and_unplaced_runs_fail_the_store(factory: Factory) -> None:
    records = [*_good(factory), factory.record("other", preset="smoke"), factory.early("adapmtl", preset="quick")]
    early = factory.early("stopped")
    early.preset = "quick"
    other = factory.record("again", metric_version=1, allowance={"samples": 5, "spent": 5})
    found = _audit([*records, other, early], (Unreadable("broken", "seed: not a number"),))
    points = {point.title: point for point in found.store}
    assert "broken: seed: not a number" in points["every record can be read"].why
    assert early.run_id in points["every run belongs to one board"].why


def test_the_command_prints_a_line_a_point_and_exits_with_one(factory: Factory, tmp_path: Path) -> None:
    factory.save(_good(factory), tmp_path / "runs")
    done = CliRunner().invoke(app, ["leaderboard", "audit", "--results", str(tmp_path)])
    assert done.exit_code == 1
    assert "  met             same initial weights for each seed: 30 runs\n" in done.output
    assert (
        "  not met         at least 3 (dataset, network) pairs: 0 pairs on real data of 1 in the store" in done.output
    )
    assert done.output.endswith("not applicable.\n")


def test_machines_read_the_same_as_json(factory: Factory, tmp_path: Path) -> None:
    factory.save(_good(factory), tmp_path / "runs")
    done = CliRunner().invoke(app, ["leaderboard", "audit", "--results", str(tmp_path), "--json"])
    data = json.loads(done.output)
    assert data["schema_version"] == 1
    assert data["passed"] is False
    assert {point["result"] for point in data["boards"][0]["points"]} == {"met", "not applicable"}


def test_an_empty_store_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["leaderboard", "audit", "--results", str(tmp_path)])
    assert isinstance(done.exception, UserError)
    assert "msbench run" in str(done.exception)
