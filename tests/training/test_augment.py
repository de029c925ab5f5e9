"""Augmentation against analytic scenes, and images that say what their labels must be."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from msbench.api import AttributeTask, Batch, DepthTask, NormalsTask, SegmentationTask, Task
from msbench.training.augment import jitter, mirror, zoom

DEPTH, NORMALS, SMILING = DepthTask(), NormalsTask(), AttributeTask("smiling")
COLUMN = SegmentationTask("column", classes=tuple(map(str, range(200))))
FOCAL, SIZE = 60.0, 96
unit = st.floats(0.0, 1.0, exclude_max=True, width=32)


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Row and column of every pixel, float64 [H, W]."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return rows.double(), columns.double()


def scene(depth: Tensor, normals: Tensor) -> Batch:
    """A grey picture of one depth map [H, W] and one normal map [3, H, W]."""
    valid = torch.ones(1, *depth.shape, dtype=torch.bool)
    target = {"depth": depth[None], "normals": normals[None]}
    return Batch(torch.full((1, 3, *depth.shape), 0.5), target, {"depth": valid, "normals": valid})


def coded(height: int, width: int, images: int = 1) -> Batch:
    """Red is the column, green the row; so is the label, the depth (plus 1), and whether a pixel is valid."""
    rows, columns = (part.expand(images, -1, -1) for part in grid(height, width))
    image = torch.stack([columns, rows, torch.zeros_like(rows)], 1).float() / 255
    target = {"column": columns.long(), "depth": columns.float() + 1, "smiling": torch.arange(images) % 2}
    even = columns % 2 == 0
    return Batch(image, target, {"column": even, "depth": ~even, "smiling": torch.ones(images, dtype=torch.bool)})


CODED: tuple[Task, ...] = (COLUMN, DEPTH, SMILING)


def test_a_wall_at_three_metres_seen_twice_as_large_is_half_as_far() -> None:
    facing = torch.tensor([0.0, 0.0, 1.0]).view(3, 1, 1).expand(3, 8, 8)
    batch = scene(torch.full((8, 8), 3.0), facing)
    zoomed = zoom(batch, (DEPTH, NORMALS), torch.tensor([[1.0], [0.3], [0.8]]), 2.0)
    torch.testing.assert_close(zoomed.target["depth"], torch.full((1, 8, 8), 1.5))
    torch.testing.assert_close(zoomed.target["normals"][0], facing)


@given(tilt=st.floats(-0.9, 0.9), side=st.floats(-0.9, 0.9), size=unit, down=unit, across=unit)
@settings(max_examples=25)
def test_a_zoomed_plane_is_a_plane_with_the_zoomed_normals(tilt, side, size, down, across) -> None:
    """Points from the zoomed depth, through the lens as it was, lie on one plane, and the normals are that plane's."""
    slope = torch.tensor([tilt, side, 1.0], dtype=torch.float64)
    normal = slope / slope.norm()
    rows, columns = grid(SIZE, SIZE)
    rays = torch.stack([(columns + 0.5 - SIZE / 2) / FOCAL, (rows + 0.5 - SIZE / 2) / FOCAL, torch.ones_like(rows)])
    nearness = (normal[:, None, None] * rays).sum(0)
    assume(nearness.min() > 0.15)  # no horizon in the picture
    batch = scene(2.0 / nearness, normal[:, None, None].expand(3, SIZE, SIZE))
    zoomed = zoom(batch, (DEPTH, NORMALS), torch.tensor([[size], [down], [across]]), 2.0)

    depth = zoomed.target["depth"][0]
    # the crop's place from its own contents: where the principal point has gone is free
    design = torch.stack([columns.flatten(), rows.flatten(), torch.ones(SIZE**2, dtype=torch.float64)], 1)
    u, v, w = torch.linalg.lstsq(design, (1 / depth).flatten()[:, None]).solution[:, 0]
    found = torch.stack([FOCAL * u, FOCAL * v, w])  # 1 / Z = (n . ray) / d, linear in the pixel
    factor = SIZE / round(SIZE / (1.0 + size))
    left, top = (int(place * (SIZE - round(SIZE / (1.0 + size)) + 1)) for place in (across, down))
    centre = [factor * (SIZE / 2 - start) - 0.5 for start in (left, top)]
    found[2] = u * centre[0] + v * centre[1] + w  # at the principal point the ray is (0, 0, 1)
    expected = zoomed.target["normals"][0, :, 0, 0]
    assert math.degrees(math.acos(min(1.0, float(found @ expected / found.norm())))) < 0.5
    flattened = normal * torch.tensor([1.0, 1.0, factor])
    assert 1 / float(found.norm()) == pytest.approx(2.0 / float(flattened.norm()), rel=0.01)  # distance to the camera
    flat = math.atan(math.hypot(tilt, side) / factor)
    assert math.acos(min(1.0, float(expected[2]))) == pytest.approx(flat, abs=1e-6)


def test_a_mirrored_sphere_has_the_normals_of_a_sphere_on_the_other_side() -> None:
    def sphere(centre: float) -> Tensor:
        rows, columns = grid(20, 30)
        x, y = (columns + 0.5 - centre) / 8, (rows + 0.5 - 10) / 8
        inside = x.square() + y.square() < 1
        return torch.stack([x, -y, (1 - x.square() - y.square()).clamp_min(0).sqrt()]) * inside

    batch = scene(torch.ones(20, 30), sphere(9.0))
    mirrored = mirror(batch, (DEPTH, NORMALS), torch.tensor([True]))
    torch.testing.assert_close(mirrored.target["normals"][0], sphere(21.0))


@given(
    height=st.integers(5, 40), width=st.integers(5, 40), largest=st.floats(1.0, 4.0), size=unit, down=unit, across=unit
)
@settings(max_examples=80)
def test_labels_depth_and_masks_stay_where_the_image_shows_them(height, width, largest, size, down, across) -> None:
    """The image shows its own coordinates: bilinear is where a pixel looks, and the target is the nearest one there."""
    batch = coded(height, width)
    zoomed = zoom(batch, CODED, torch.tensor([[size], [down], [across]]), largest)
    label = zoomed.target["column"]
    assert zoomed.image.shape == batch.image.shape
    assert label.dtype == torch.int64
    assert ((zoomed.image[:, 0] * 255 - label).abs() <= 0.5 + 1e-3).all()
    assert torch.equal(zoomed.valid["column"], label % 2 == 0)
    assert torch.equal(zoomed.valid["depth"], label % 2 == 1)
    source, factor = label + 1, (label + 1)[0, 0, 0] / zoomed.target["depth"][0, 0, 0]
    torch.testing.assert_close(zoomed.target["depth"] * factor, source.float())
    rows = (zoomed.image[:, 1] * 255).amax() - (zoomed.image[:, 1] * 255).amin()
    assert factor == pytest.approx(1.0 + size * (largest - 1.0), rel=0.5 / min(height, width) * largest * 1.3)
    assert rows <= height / factor * (1 + 0.5 * largest / height) + 1


def test_a_factor_of_one_changes_nothing() -> None:
    batch = coded(7, 9, images=3)
    same = zoom(batch, CODED, torch.tensor([[0.0] * 3, [0.9] * 3, [0.9] * 3]), 3.0)
    torch.testing.assert_close(same.image, batch.image)
    assert all(torch.equal(same.target[name], batch.target[name]) for name in batch.target)
    assert all(torch.equal(same.valid[name], batch.valid[name]) for name in batch.valid)


def test_every_sample_is_cropped_at_its_own_place_and_an_answer_about_the_image_stays() -> None:
    draws = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.99]])
    zoomed = zoom(coded(12, 12, images=3), CODED, draws, 2.0)
    assert [int(label.min()) for label in zoomed.target["column"]] == [0, 3, 6]
    assert zoomed.target["smiling"].tolist() == [0, 1, 0]


def test_depth_without_a_measurement_stays_without_one_and_nan_stays_where_it_was() -> None:
    depth = torch.tensor([[0.0, math.nan], [2.0, 4.0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)
    batch = scene(depth, torch.zeros(3, 4, 4))
    found = zoom(batch, (DEPTH, NORMALS), torch.tensor([[1.0], [0.5], [0.5]]), 2.0).target
    expected = torch.tensor([[0.0, math.nan], [1.0, 2.0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)
    torch.testing.assert_close(found["depth"][0], expected, equal_nan=True)
    assert not found["normals"].any()


def test_images_without_maps_are_zoomed_too() -> None:
    batch = coded(6, 6)
    found = zoom(batch, (SMILING,), torch.tensor([[1.0], [0.0], [0.0]]), 2.0)
    assert set(found.target) == {"smiling"}
    assert float(found.image[0, 0].max() * 255) == pytest.approx(2.0)


@pytest.mark.parametrize("row", [0, 1, 2])
@given(strength=st.floats(0.05, 1.0), draw=unit, seed=st.integers(0, 99))
@settings(max_examples=15)
def test_colours_follow_their_definitions(row: int, strength: float, draw: float, seed: int) -> None:
    """Towards or away from black, the mean grey, and each pixel's own grey (ITU-R 601 weights), clamped."""
    image = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(seed))
    draws = torch.full((3, 2), 0.5)
    draws[row, 1] = draw
    found = jitter(image, draws, strength)
    torch.testing.assert_close(found[0], image[0])
    grey = (image[1] * torch.tensor([0.2989, 0.587, 0.114]).view(3, 1, 1)).sum(0)
    towards = (torch.zeros(()), grey.mean(), grey)[row]
    factor = 1 + strength * (2 * draw - 1)
    torch.testing.assert_close(found[1], (towards + factor * (image[1] - towards)).clamp(0, 1), atol=2e-4, rtol=0)
