"""Normals of NYU Depth v2: read from colours, and derived from depth where none are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from msbench.api import NormalsTask
from msbench_plugins.datasets.nyuv2.dataset import NYUv2
from msbench_plugins.datasets.nyuv2.derive import Camera, camera, normals_from_depth
from msbench_plugins.datasets.nyuv2.ladicky import decode, encode
from msbench_plugins.datasets.nyuv2.normals import StoredNormals
from tests.data import nyuv2_trees as trees

HEIGHT, WIDTH = 120, 160
PINHOLE = Camera(130.0, 128.0, 81.0, 62.0)


def rays(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Points at depth 1 of each pixel in the camera's axes: x right, y down, z forward."""
    row, column = np.mgrid[:height, :width]
    return np.stack([(column - PINHOLE.cx) / PINHOLE.fx, (row - PINHOLE.cy) / PINHOLE.fy, np.ones((height, width))], 2)


def degrees(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Angles between unit vectors, where `found` is known."""
    known = found.any(2)
    cosine = (found * np.broadcast_to(expected, found.shape)).sum(2)[known]
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize(
    ("canonical", "distance"),
    [((0, 0, 1), 2.0), ((0, 1, 0), 1.5), ((0.6, 0, 0.8), 3.0), ((-0.48, -0.6, 0.64), 4.0)],
    ids=["wall", "floor", "slanted wall", "slanted ceiling"],
)
def test_a_planes_normal_is_found_everywhere_also_at_the_border(
    canonical: tuple[float, float, float], distance: float
) -> None:
    x, y, z = canonical
    toward = np.array([x, -y, -z])
    with np.errstate(divide="ignore"):
        depth = -distance / (rays() @ toward)
    seen = (depth > 0) & (depth < 12)
    found = normals_from_depth(np.where(seen, depth, 0).astype(np.float32), PINHOLE)
    known = found.any(2)
    # a floor seen at this size recedes by more than 5 % in three rows where it is far
    assert known[seen].mean() > (0.4 if y == 1 else 0.7)
    assert not known[~seen].any()
    assert degrees(found, np.array(canonical)).max() < 0.05


def test_a_spheres_normals_are_found_to_two_degrees() -> None:
    centre, radius = np.array([0.1, -0.1, 3.0]), 0.9
    ray = rays()
    a, b, c = (ray**2).sum(2), ray @ centre, centre @ centre - radius**2
    hit = b**2 - a * c > 0
    depth = np.where(hit, (b - np.sqrt(np.maximum(b**2 - a * c, 0))) / a, 0)
    outward = (ray * depth[..., None] - centre) / radius
    found = normals_from_depth(depth.astype(np.float32), PINHOLE)
    known = found.any(2)
    assert known[hit].mean() > 0.8
    assert not known[~hit].any()
    error = degrees(found, outward * (1, -1, -1))
    assert np.median(error) < 1
    assert np.quantile(error, 0.95) < 2


def test_steps_and_holes_have_no_normals_and_do_not_bend_their_neighbours() -> None:
    depth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    depth[:, WIDTH // 2 :] = 2.5
    depth[40:44, 20:24] = 0
    found = normals_from_depth(depth, PINHOLE)
    known = found.any(2)
    assert not known[:, WIDTH // 2 - 1 : WIDTH // 2 + 1].any()
    assert not known[39:45, 19:25].any()
    assert known[:, : WIDTH // 2 - 1].sum() == HEIGHT * (WIDTH // 2 - 1) - 36
    # the hole bends nothing at all, the step nothing beyond the blur
    assert degrees(found[:, :60], np.array([0, 0, 1])).max() < 0.01


def test_the_camera_follows_crop_and_size() -> None:
    whole, half = camera(480, 640, cropped=False), camera(240, 320, cropped=False)
    assert (half.fx, half.fy) == pytest.approx((whole.fx / 2, whole.fy / 2))
    # pixel 0 of the small image lies between pixels 0 and 1 of the large one
    assert half.cx == pytest.approx((whole.cx - 0.5) / 2)
    cropped = camera(427, 561, cropped=True)
    assert cropped == whole.cropped(40, 44)
    assert (cropped.cx, cropped.cy) == pytest.approx((whole.cx - 40, whole.cy - 44))


@pytest.mark.parametrize(
    ("colour", "canonical"),
    [
        ((255, 127, 127), (1, 0, 0)),
        ((127, 0, 127), (0, 0, 1)),
        ((128, 255, 127), (0, 0, -1)),
        ((127, 128, 255), (0, 1, 0)),
        ((127, 127, 0), (0, -1, 0)),
        ((255, 255, 255), (0, 0, 0)),
        ((127, 128, 128), (0, 0, 0)),
    ],
)
def test_red_is_right_green_forward_blue_up_white_and_grey_nothing(
    colour: tuple[int, int, int], canonical: tuple[int, int, int]
) -> None:
    found = decode(np.array([[colour]], np.uint8))[0, 0]
    assert np.abs(found - canonical).max() < 0.006
    assert np.linalg.norm(found) == pytest.approx(float(any(canonical)), abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_decoded_colour_is_encoded_as_itself_rounded_or_cut_off(seed: int, cut: bool) -> None:
    vectors = np.random.default_rng(seed).normal(size=(8, 64, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    scaled = (vectors + 1) * 127.5
    colours = np.floor(scaled) if cut else np.round(scaled)
    colours = colours.clip(0, 255).astype(np.uint8)
    assert (encode(decode(colours)) == colours).all()
    # half a step in each component is 0.39 degrees at most
    assert degrees(decode(encode(vectors.astype(np.float32))), vectors).max() < 0.4


def test_zero_vectors_are_encoded_white() -> None:
    assert (encode(np.zeros((2, 2, 3), np.float32)) == 255).all()


def test_normals_on_request_or_for_want_of_stored_ones_are_derived_and_say_so(tmp_path: Path) -> None:
    root = trees.write_mat(tmp_path / "mat")
    dataset = NYUv2(root=str(root))
    assert "derived normals" in dataset.facts(root)["normals"]
    assert "derived normals" in dataset.tasks()[2].metrics["mean"].formula
    sample = dataset.decode(dataset.index(root)["test"][0])
    depth = sample.target["depth"].numpy()
    expected = normals_from_depth(depth, camera(*depth.shape, cropped=False))
    assert sample.target["normals"].permute(1, 2, 0).numpy().tolist() == expected.tolist()

    stored = trees.write_mtan(tmp_path / "mtan")
    assert NYUv2(root=str(stored)).tasks()[2] == StoredNormals()
    assert NYUv2(root=str(stored), normals="derived").tasks()[2] == StoredNormals(derived=True)


def test_undecoded_normals_are_the_bytes_and_do_not_turn_with_the_image(tmp_path: Path) -> None:
    root = trees.write_adashare(tmp_path)
    dataset = NYUv2(root=str(root), classes=40, protocol="paper:adashare")
    item = dataset.index(root)["test"][0]
    sample = dataset.decode(item)
    pixels = np.asarray(Image.open(item.files[2])).astype(np.float64)
    length = np.linalg.norm(pixels, axis=2, keepdims=True)
    white = (pixels == 255).all(2)
    assert sample.valid["normals"].equal(torch.from_numpy(~white))
    expected = torch.from_numpy(np.where(white[..., None], 0, pixels / length)).permute(2, 0, 1).float()
    torch.testing.assert_close(sample.target["normals"], expected)

    task = dataset.tasks()[2]
    normals = expected[None]
    assert task.flip(normals).equal(normals.flip(-1))
    assert task.zoom(normals, torch.tensor([1.5])).equal(normals)
    assert "not decoded" in task.metrics["mean"].formula
    assert StoredNormals().flip(normals).equal(NormalsTask().flip(normals))
    assert StoredNormals().zoom(normals, torch.tensor([1.5])).equal(NormalsTask().zoom(normals, torch.tensor([1.5])))
