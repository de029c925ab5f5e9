"""Data parallelism: two processes compute what one computes, for any loss, balancer, batch-norm and gradient."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from msbench.training.collectives import Ranks
from tests.training.ranks import everything

Found = dict[str, dict[str, Tensor]]
COUNT = 2
ROUNDING = {"single": 3e-5, "double": 1e-10}  # of gradients that are small sums of large terms


@pytest.fixture(scope="module")
def alone() -> Found:
    return everything(None)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Found, dict[str, Any]]]:
    """What each of two processes has found."""
    folder = tmp_path_factory.mktemp("ranks")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node"]
    command = [sys.executable, *launcher, str(COUNT), "-m", "tests.training.ranks", str(folder)]
    root = Path(__file__).parents[2]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in range(COUNT)]


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Every tensor is there, and is off by `tolerance` of its largest entry at most."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = float(value.double().abs().max()) or 1.0
        off = float((found[name].double() - value.double()).abs().max()) / scale
        assert off <= tolerance, f"{name} is off by {off:.2g}"


@pytest.mark.parametrize("samples", [8, 7])
@pytest.mark.parametrize("dtype", ["single", "double"])
def test_losses_gradients_and_statistics_are_those_of_the_whole_batch(
    alone: Found, together: list[tuple[Found, Any]], samples: int, dtype: str
) -> None:
    name = f"toy {samples} {dtype}"
    assert {part.partition(".")[0] for part in alone[name]} == {"loss", "gradient", "second", "buffer"}
    for found, _ in together:
        assert_close(found[name], alone[name], ROUNDING[dtype])


def test_layers_of_other_tasks_have_no_gradient_and_keep_their_statistics(
    alone: Found, together: list[tuple[Found, Any]]
) -> None:
    name = "toy of one task"
    assert alone[name]["buffer.map.1.num_batches_tracked"] == 0
    for found, _ in together:
        assert_close(found[name], alone[name], 1e-10)


def test_ten_steps_come_out_within_rounding(alone: Found, together: list[tuple[Found, Any]]) -> None:
    for found, _ in together:
        assert_close(found["training"], alone["training"], 1e-4)
        zeros = {name: value == 0 for name, value in alone["training"].items() if name.endswith("conv1.weight")}
        assert zeros
        for name, zero in zeros.items():
            assert torch.equal(found["training"][name] == 0, zero), "the mask is the same"


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("task gradients", 1e-5),
        ("bfloat16", 2e-2),
        ("layers that are watched", 0.0),
        ("second derivatives", 1e-4),
        ("meta-training fomaml", 1e-4),
        ("meta-training maml", 1e-4),
    ],
)
def test_what_methods_ask_for_is_the_same(
    alone: Found, together: list[tuple[Found, Any]], name: str, tolerance: float
) -> None:
    assert any(value.any() for value in alone[name].values())
    for found, _ in together:
        assert_close(found[name], alone[name], tolerance)


def test_all_processes_hold_the_same_to_the_last_bit(together: list[tuple[Found, Any]]) -> None:
    first, *others = (found for found, _ in together)
    for other in others:
        for name, tensors in first.items():
            for key, value in tensors.items():
                assert torch.equal(value, other[name][key]), f"{name}: {key}"


def test_a_network_that_draws_trains_and_leaves_the_run_s_own_draws_alone(
    alone: Found, together: list[tuple[Found, Any]]
) -> None:
    for found, _ in together:
        assert torch.equal(found["dropout"]["drawn"], alone["dropout"]["drawn"])
        assert not torch.equal(found["dropout"]["history"], alone["dropout"]["history"]), "each part has its own draws"


def test_what_cannot_be_done_in_parts_is_refused(together: list[tuple[Found, dict[str, Any]]]) -> None:
    for _, found in together:
        assert (found["few"], found["enough"]) == (False, True)
        assert found["norm"].startswith("UserError: engine.processes: the network has a batch-norm of the kind Own")
        assert found["unlike"].startswith("the 2 processes of this run have come to different weights")
        assert found["of first"] == 5


def test_parts_differ_by_one_sample_at_most() -> None:
    for total in range(1, 20):
        for count in range(1, 7):
            sizes = Ranks(0, count, None, None).sizes(total)
            assert (sum(sizes), len(sizes)) == (total, count)
            assert max(sizes) - min(sizes) <= 1
