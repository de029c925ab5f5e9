"""Rooms with five tasks: the keypoints against closed forms and scipy, the rest against `rooms`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from msbench.data.preview import contact_sheet
from msbench.errors import UserError
from msbench_plugins.datasets.rooms.dataset import Rooms
from msbench_plugins.datasets.rooms5 import Rooms5, keypoint_strength

SIZE = 64
CLIP = 0.005


@pytest.fixture(scope="module")
def five(rooms: Rooms, cache: Path) -> Rooms5:
    """On what `rooms` has rendered: nothing is rendered twice."""
    dataset = Rooms5(size="xs")
    dataset.prepare(cache, lambda done, total, what: pytest.fail("rendered again"))
    return dataset


def grey_picture(values: Tensor) -> Tensor:
    return values.float().expand(1, 3, *values.shape)


def grid() -> tuple[Tensor, Tensor]:
    steps = torch.arange(SIZE, dtype=torch.float64)
    return steps[:, None].expand(SIZE, SIZE), steps[None, :].expand(SIZE, SIZE)


def test_a_blob_has_the_strength_of_the_closed_form() -> None:
    """A Gaussian hill of width w, blurred with s, has the curvature -A w² / (w² + s²)² at its top."""
    height, width = 0.1, 4.0
    row, column = grid()
    hill = height * torch.exp(-((row - 32) ** 2 + (column - 30) ** 2) / (2 * width**2))
    strength = keypoint_strength(grey_picture(hill))[0]
    scales = [scale * SIZE / 512 for scale in (7, 13, 26)]
    expected = max(s**4 * (height * width**2 / (width**2 + s**2) ** 2) ** 2 for s in scales) / CLIP
    assert 0.1 < expected < 1
    assert float(strength[32, 30]) == pytest.approx(expected, rel=0.06)
    assert divmod(int(strength.argmax()), SIZE) == (32, 30)


def test_lines_saddles_and_slopes_are_no_keypoints_and_corners_are() -> None:
    row, column = grid()
    inner = (slice(12, -12), slice(12, -12))
    edge = (row + 2 * column > 96).double()
    saddle = 0.5 + 0.0004 * (row - 32) * (column - 32)
    for picture in (edge * 0.02, saddle, 0.01 * row):
        assert keypoint_strength(grey_picture(picture))[0][inner].max() < 0.01
    corner = keypoint_strength(grey_picture(((row > 31) & (column > 31)).double()))[0]
    assert corner[29:36, 29:36].max() == 1
    assert corner[12:24, 12:-12].max() < 0.01


def test_strength_is_that_of_scipy() -> None:
    """Gaussian filter and second differences of another library, in float64."""
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    luma = np.tensordot([0.299, 0.587, 0.114], image[0].double().numpy(), axes=1)
    best = np.zeros((SIZE, SIZE))
    second, first = np.array([1.0, -2.0, 1.0]), np.array([-0.5, 0.0, 0.5])
    for scale in (7, 13, 26):
        sigma = max(scale * SIZE / 512, 0.8)
        smooth = ndimage.gaussian_filter(luma, sigma, mode="nearest", radius=max(1, int(3 * sigma + 0.5)))
        yy, xx = (ndimage.correlate1d(smooth, second, axis, mode="nearest") for axis in (0, 1))
        y = ndimage.correlate1d(smooth, first, 0, mode="nearest")
        xy = ndimage.correlate1d(y, first, 1, mode="nearest")
        best = np.maximum(best, sigma**4 * (xx * yy - xy * xy))
    found = keypoint_strength(image)[0].double().numpy()
    np.testing.assert_allclose(found, np.clip(best / CLIP, 0, 1), atol=2e-3)
    assert 0.05 < found.mean() < 0.95


def test_the_strength_of_a_mirrored_picture_is_mirrored(five: Rooms5, cache: Path) -> None:
    batch = five.samples("train", cache).batch(torch.arange(8))
    task = {task.name: task for task in five.tasks()}["keypoints"]
    mirrored = keypoint_strength(batch.image.flip(-1))
    torch.testing.assert_close(mirrored, task.flip(batch.target["keypoints"]), atol=0.5 / 255 + 1e-4, rtol=0)
    assert not mirrored.equal(mirrored.flip(-1))


def test_a_batch_is_that_of_rooms_with_the_strength_of_its_own_pictures(
    five: Rooms5, rooms: Rooms, cache: Path
) -> None:
    indices = torch.tensor([5, 0, 95])
    batch, plain = five.samples("train", cache).batch(indices), rooms.samples("train", cache).batch(indices)
    assert batch.image.equal(plain.image)
    for name in plain.target:
        assert batch.target[name].equal(plain.target[name]), name
        assert batch.valid[name].equal(plain.valid[name]), name
    strength = batch.target["keypoints"]
    assert (strength.dtype, tuple(strength.shape)) == (torch.float32, (3, 32, 32))
    assert (strength - keypoint_strength(batch.image)).abs().max() <= 0.5 / 255 + 1e-6
    assert batch.valid["keypoints"].all()
    assert batch.valid["keypoints"].dtype == torch.bool


def test_keypoints_are_few_and_every_picture_has_some(five: Rooms5, cache: Path) -> None:
    samples = five.samples("train", cache)
    strength = samples.batch(torch.arange(len(samples))).target["keypoints"]
    assert 0.03 < strength.mean() < 0.15
    assert 0.01 < (strength >= 0.5).double().mean() < 0.12
    assert ((strength >= 0.5).sum((1, 2)) > 0).double().mean() > 0.95


def test_tasks_come_in_the_order_of_the_papers_and_train(five: Rooms5, cache: Path) -> None:
    assert five.default_tasks() == ("segmentation", "depth", "normals", "keypoints", "edges")
    assert five.synthetic
    samples = five.samples("validation", cache)
    batch = samples.batch(torch.arange(2))
    for task in five.tasks():
        output = torch.zeros(2, task.channels, 32, 32, requires_grad=True)
        target, valid = batch.target[task.name], batch.valid[task.name]
        assert task.predict(output).shape == target.shape, task.name
        loss = task.loss(output, target, valid)
        loss.backward()
        assert loss.item() > 0
    sheet = contact_sheet(five, samples, count=2)
    assert sheet.width > 6 * 128


def test_the_fingerprint_is_neither_that_of_rooms_nor_of_other_settings(cache: Path) -> None:
    datasets = [Rooms(size="xs"), Rooms5(size="xs"), Rooms5(), Rooms5(seed=8), Rooms5(classes=40)]
    assert len({dataset.fingerprint(cache) for dataset in datasets}) == 5
    assert Rooms5().fingerprint(cache) == replace(Rooms5()).fingerprint(cache / "elsewhere")


def test_settings_are_checked_as_those_of_rooms() -> None:
    with pytest.raises(UserError, match="data.size.*xs, s, m"):
        Rooms5(size="xl")
    assert Rooms5(classes=40).tasks()[0].channels == 40
