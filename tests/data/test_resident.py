"""Samples held in memory: the same batches bit for bit, in the smallest exact types."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from msbench.data import resident
from msbench.data.dataset import Batch, Samples
from msbench.data.resident import ResidentSamples
from msbench.errors import UserError
from msbench.training.stream import Stream
from msbench_plugins.datasets.rooms.dataset import Rooms
from tests.conftest import toy_samples, toy_tasks

CPU = torch.device("cpu")


class Floats(Samples):
    """Images and depths that no smaller type holds."""

    def __init__(self, image: Tensor, depth: Tensor) -> None:
        self.image, self.depth = image, depth

    def __len__(self) -> int:
        return len(self.image)

    def batch(self, indices: Tensor) -> Batch:
        depth = self.depth[indices]
        return Batch(self.image[indices], {"depth": depth}, {"depth": torch.ones_like(depth, dtype=torch.bool)})


def assert_same(one: Batch, other: Batch) -> None:
    assert torch.equal(one.image, other.image)
    for mine, theirs in ((one.target, other.target), (one.valid, other.valid)):
        assert list(mine) == list(theirs)
        for name in mine:
            assert mine[name].dtype == theirs[name].dtype
            assert torch.equal(mine[name], theirs[name])


@given(st.lists(st.integers(0, 299), min_size=1, max_size=8))
def test_batches_are_those_of_the_samples(indices: list[int]) -> None:
    samples = toy_samples(300, seed=0)  # more than one chunk

    assert_same(ResidentSamples(samples, CPU).batch(torch.tensor(indices)), samples.batch(torch.tensor(indices)))


def test_bytes_stay_bytes() -> None:
    samples = toy_samples(10, seed=0)
    held = ResidentSamples(samples, CPU)
    pixels = 10 * 16 * 16

    # image 3 bytes, label 1, two masks of 1, and normals whose 0.6 needs float32
    assert held.nbytes == pixels * (3 + 1 + 2 + 3 * 4)


def test_numbers_that_no_smaller_type_holds_are_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = Floats(torch.rand(4, 3, 8, 8, generator=generator), torch.rand(4, 8, 8, generator=generator))

    assert_same(ResidentSamples(samples, CPU).batch(torch.arange(4)), samples.batch(torch.arange(4)))


def test_parts_of_different_types_are_joined_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "_CHUNK", 2)
    depth = torch.tensor([0.5, 0.25, 0.1, 0.3]).view(4, 1, 1).expand(4, 8, 8)  # the first two fit float16
    samples = Floats(torch.zeros(4, 3, 8, 8), depth)

    assert_same(ResidentSamples(samples, CPU).batch(torch.arange(4)), samples.batch(torch.arange(4)))


def test_too_little_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "_room", lambda device: 100.0)

    with pytest.raises(UserError, match=r"training.data_on_device: .* GB of cpu may be used .*=false"):
        ResidentSamples(toy_samples(10, seed=0), CPU)


def test_embedded_rooms(rooms: Rooms, cache: Path) -> None:
    samples = rooms.samples("validation", cache)
    indices = torch.arange(len(samples)).flip(0)[:5]

    assert_same(ResidentSamples(samples, CPU).batch(indices), samples.batch(indices))


def test_stream_over_held_samples_is_the_same() -> None:
    samples, tasks = toy_samples(20, seed=0), toy_tasks()
    streams = [
        Stream(each, tasks, torch.Generator().manual_seed(3), flip=True, zoom=1.4, jitter=0.2)
        for each in (samples, ResidentSamples(samples, CPU))
    ]

    for size in (8, 5, 12):
        assert_same(*(stream.next(size) for stream in streams))
