"""The stream: what is drawn depends on the seed alone, and what is off draws nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.utils._python_dispatch import TorchDispatchMode

from msbench.api import Batch, TensorSamples, Trainer
from msbench.training.settings import TrainingSettings
from msbench.training.stream import Stream
from tests.conftest import toy_samples, toy_tasks

EVERYTHING = {"flip": True, "zoom": 1.6, "jitter": 0.4}

GOLDEN = [
    [(5, False), (0, False), (3, False), (4, True)],
    [(1, True), (7, True), (9, True), (6, False)],
    [(8, False), (2, False), (2, False)],
    [(4, True), (8, False), (5, False), (0, False), (3, False)],
]
"""(sample, mirrored) of the batches of generator 7 over ten samples, from before there was any other augmentation."""


def stream(seed: int, **options: float) -> Stream:
    return Stream(toy_samples(16, 0), toy_tasks(), torch.Generator().manual_seed(seed), **{"flip": False, **options})


def equal(a: Batch, b: Batch) -> bool:
    same = [torch.equal(a.image, b.image)]
    same += [torch.equal(a.target[name], b.target[name]) for name in a.target]
    return all([*same, *(torch.equal(a.valid[name], b.valid[name]) for name in a.valid)])


def test_a_stream_that_only_mirrors_is_what_it_always_was() -> None:
    image = torch.zeros(10, 3, 2, 2, dtype=torch.uint8)
    image[:, 0] = torch.arange(10).view(-1, 1, 1)
    image[:, 1, :, 0] = 255
    batches = Stream(TensorSamples(image, {}, {}), (), torch.Generator().manual_seed(7), flip=True)
    found = []
    for size in map(len, GOLDEN):
        shown = batches.next(size).image
        numbers = (shown[:, 0, 0, 0] * 255).round().int().tolist()
        found.append(list(zip(numbers, (shown[:, 1, 0, 1] > 0.5).tolist(), strict=True)))
    assert found == GOLDEN


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"zoom": 1.5}, {"jitter": 0.3}, EVERYTHING], ids=str)
def test_the_same_seed_gives_the_same_batches_and_global_generators_are_left_alone(options) -> None:
    before = torch.random.get_rng_state()
    first, second, other = (stream(seed, **options) for seed in (3, 3, 4))
    for size in (5, 8, 2):
        ours = first.next(size)
        assert equal(ours, second.next(size))
        assert not equal(ours, other.next(size))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_samples_are_changed_each_by_itself() -> None:
    image = torch.arange(256).view(1, 1, 16, 16).expand(12, 3, 16, 16).to(torch.uint8)
    for options in ({"zoom": 3.0}, {"jitter": 0.9}):
        same = Stream(TensorSamples(image, {}, {}), (), torch.Generator().manual_seed(0), flip=False, **options)
        assert len({tuple(one.flatten().tolist()) for one in same.next(12).image}) == 12


def test_labels_show_the_image_after_everything() -> None:
    """Left of the edge it is dark and labelled so, right of it light: also mirrored, enlarged and recoloured."""
    batch = stream(1, **EVERYTHING).next(16)
    light, normals = batch.target["segmentation"] == 1, batch.target["normals"]
    assert light.any()
    assert not light.all()
    compared = 0
    for image, label in zip(batch.image.mean(1), light, strict=True):
        inside = torch.nn.functional.avg_pool2d(label[None].float(), 3, 1, 1, count_include_pad=False)[0]
        if (inside == 1).any() and (inside == 0).any():
            compared += 1
            assert image[inside == 1].min() > image[inside == 0].max()
    assert compared > 8
    away = normals[:, 0].sign()
    mirrored = (light[:, :, 0] & ~light[:, :, -1]).all(1)
    plain = (~light[:, :, 0] & light[:, :, -1]).all(1)
    assert mirrored.any()
    assert plain.any()
    assert torch.equal(away[plain] > 0, light[plain])
    assert torch.equal(away[mirrored] < 0, light[mirrored])
    torch.testing.assert_close(normals.norm(dim=1), torch.ones_like(normals[:, 0]))


def test_the_trainer_uses_the_settings(make_trainer: Callable[..., Trainer]) -> None:
    plain, same, zoomed, coloured = (
        make_trainer(**options).next_batch(8).image for options in ({}, {}, {"zoom": 2.0}, {"jitter": 0.5})
    )
    assert torch.equal(plain, same)
    assert not torch.equal(plain, zoomed)
    assert not torch.equal(plain, coloured)


@pytest.mark.parametrize(("name", "value"), [("zoom", 0.9), ("zoom", 5.0), ("jitter", -0.1), ("jitter", 1.1)])
def test_settings_that_mean_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        TypeAdapter(TrainingSettings).validate_python({name: value})


class Crossings(TorchDispatchMode):
    """Notes the kinds of what is copied to a device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device, self.kinds = device, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and found.device == self.device != args[0].device:
            self.kinds.append(found.dtype)
        return found


def test_what_is_stored_crosses_to_the_device_and_becomes_a_batch_there() -> None:
    """On "meta", a device of this machine that is not its processor."""
    here, there = stream(3, flip=True), stream(3, flip=True, device=torch.device("meta"))
    with Crossings(torch.device("meta")) as crossings:
        batch = there.next(4)
    mirrored = [torch.int64]  # which samples
    assert crossings.kinds == [torch.uint8, torch.uint8, torch.float32, torch.bool, torch.bool, *mirrored]
    expected = here.next(4)
    for ours, theirs in ((batch.target, expected.target), (batch.valid, expected.valid)):
        assert {name: (v.shape, v.dtype) for name, v in ours.items()} == {
            name: (v.shape, v.dtype) for name, v in theirs.items()
        }
    assert (batch.image.shape, batch.image.dtype) == (expected.image.shape, torch.float32)
    assert {v.device.type for v in (batch.image, *batch.target.values(), *batch.valid.values())} == {"meta"}
