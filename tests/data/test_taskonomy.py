"""Taskonomy from fabricated trees: what a sample is, in every layout, and what happens to damaged ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from msbench.errors import UserError
from msbench_plugins.datasets.rooms5 import Rooms5
from msbench_plugins.datasets.taskonomy.dataset import LogDepthTask, Taskonomy
from tests.data.taskonomy_trees import DEPTH, LAYOUTS, SEGMENTATION, path_of, picture, png, write_tree

FIVE = ["segmentation", "depth", "normals", "keypoints", "edges"]


def silent(done: int, total: int, what: str) -> None:
    pass


def views(root: Path, **fields: Any) -> Taskonomy:
    return Taskonomy(root=str(root), **({"height": 16, "width": 16} | fields))


def first(dataset: Taskonomy, root: Path) -> Any:
    return dataset.decode(dataset.index(root)["test"][0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_sample(tmp_path: Path, layout: str) -> None:
    root = write_tree(tmp_path, layout)
    dataset = views(root)
    index = dataset.index(root)
    assert [item.name for item in index["train"]] == [
        f"{building}/point_8_view_{view}" for building in ("hanson", "merom") for view in (0, 1)
    ]
    assert [item.name for item in index["test"]] == ["mcdade/point_8_view_0", "mcdade/point_8_view_1"]
    sample = dataset.decode(index["test"][1])
    assert sample.image[:, 5, 5].tolist() == [10, 200, 245]
    assert list(sample.target) == FIVE
    check(sample)


def check(sample: Any) -> None:
    """The targets against what the writer's codes stand for, by hand."""
    labels = sample.target["segmentation"]
    assert labels[:, 3].tolist() == [255, 0, *range(3, 17)]
    assert labels.dtype == torch.uint8
    assert sample.valid["segmentation"][:, 3].tolist() == [False] + [True] * 15

    depth, known = sample.target["depth"], sample.valid["depth"]
    assert depth[5, 3:6].tolist() == pytest.approx([300 / 512, 2.5, 2.5], rel=5e-4)
    assert float(depth[5, 2]) == pytest.approx(64499 / 512, rel=5e-4)
    assert known[5, :5].tolist() == [False, False, True, True, True]

    normals, facing = sample.target["normals"], sample.valid["normals"]
    assert tuple(normals.shape) == (3, 16, 16)
    for (row, column), expected in {
        (2, 5): (0, 0, 1),  # a wall seen from the front
        (9, 5): (0, 1, 0),  # a floor points up
        (2, 13): (1, 0, 0),  # what is on the left points to the right
    }.items():
        assert normals[:, row, column].tolist() == pytest.approx(expected, abs=0.01)
    slope = np.array([36 - 127.5, 127.5 - 37, 128 - 127.5])
    assert normals[:, 15, 5].tolist() == pytest.approx((slope / np.linalg.norm(slope)).tolist(), abs=1e-3)
    assert facing[2, :5].tolist() == [False, False, True, True, True]
    assert normals[:, facing].float().norm(dim=0).numpy() == pytest.approx(1.0, abs=2e-3)

    keypoints, edges = sample.target["keypoints"], sample.target["edges"]
    assert [float(keypoints[i, i]) for i in range(2, 6)] == pytest.approx([0, 0.5, 1, 1], abs=2e-3)
    assert edges[3, 6:9].tolist() == pytest.approx([0, 0.5, 1], abs=1e-3)
    assert float(keypoints.max()) == float(edges.max()) == 1


def test_the_euclidean_distance_can_take_the_place_of_depth(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    assert float(first(views(root, depth="euclidean"), root).target["depth"][5, 5]) == 3.0


def test_tasks_are_those_of_the_stand_in_and_train_on_a_batch(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    dataset = views(root)
    dataset.prepare(tmp_path / "cache", silent)
    batch = dataset.samples("train", tmp_path / "cache").batch(torch.arange(4))
    tasks = dataset.tasks()
    assert [(task.name, task.kind) for task in tasks] == [(task.name, task.kind) for task in Rooms5().tasks()]
    assert tasks[0].channels == 17
    for task in tasks:
        target = batch.target[task.name]
        assert target.dtype == (torch.int64 if task.name == "segmentation" else torch.float32)
        output = torch.zeros(4, task.channels, 16, 16, requires_grad=True)
        assert task.predict(output).shape == target.shape
        task.loss(output, target, batch.valid[task.name]).backward()


def test_a_view_needs_the_files_of_the_tasks_asked_for_and_no_others(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    (root / path_of("domain_first", "merom", "edge_texture", 8, 0)).unlink()
    assert len(views(root).index(root)["train"]) == 3
    two = views(root, targets=("depth", "segmentation"))
    assert len(two.index(root)["train"]) == 4
    assert [task.name for task in two.tasks()] == list(first(two, root).target) == ["segmentation", "depth"]
    facts = views(root).facts(root)
    assert facts["views with every file"] == "7"
    assert "rgb 8" in facts["files"]
    assert "edges 7" in facts["files"]
    assert "woodbine" in facts["buildings missing"]
    assert "hanson" not in facts["buildings missing"]


def damage(file: Path, how: str) -> None:
    whole = file.read_bytes()
    file.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "foreign": b"<html>not found</html>"}[how])


@pytest.mark.parametrize("how", ["truncated", "empty", "foreign"])
@pytest.mark.parametrize("domain", ["rgb", "edge_texture", "depth_zbuffer"])
def test_a_damaged_picture_is_left_out_and_counted(tmp_path: Path, how: str, domain: str) -> None:
    root = write_tree(tmp_path / "tree")
    damaged = root / path_of("domain_first", "hanson", domain, 8, 1)
    damage(damaged, how)
    dataset = views(root)
    dataset.prepare(tmp_path / "cache", silent)
    assert len(dataset.samples("train", tmp_path / "cache")) == 3
    dropped = dataset.packed(tmp_path / "cache").manifest.dropped
    assert list(dropped) == ["train"]
    assert list(dropped["train"]) == ["hanson/point_8_view_1"]
    assert str(damaged) in dropped["train"]["hanson/point_8_view_1"]


@given(place=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_any_damage_gives_a_sample_or_an_error_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cut: int
) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    write_tree(root, buildings=("hanson", "corozal", "mcdade"), count=1)
    file = root / path_of("domain_first", "mcdade", "depth_zbuffer", 8, 0)
    whole = bytearray(file.read_bytes())
    whole[place % len(whole)] = value
    file.write_bytes(bytes(whole[: max(1, len(whole) - cut % 40)]))
    dataset = views(root)
    message = ""
    try:
        depth = first(dataset, root).target["depth"]
    except UserError as error:
        depth, message = torch.zeros(1), str(error)
    assert depth.isfinite().all()
    assert message == "" or (str(file) in message and "\n" not in message)


@pytest.mark.parametrize("protocol", ["paper:adapmtl", "paper:disparse"])
def test_papers_take_uncertain_for_background_and_depth_for_its_logarithm(tmp_path: Path, protocol: str) -> None:
    root = write_tree(tmp_path)
    dataset = views(root, protocol=protocol)
    sample = first(dataset, root)
    assert sample.target["segmentation"][:2, 3].tolist() == [0, 0]
    assert sample.valid["segmentation"].all()
    assert float(sample.target["depth"][5, 5]) == pytest.approx(math.log(1281) / math.log(65536), rel=1e-3)
    assert sample.valid["depth"][5, :3].tolist() == [False, False, True]
    everywhere = protocol == "paper:disparse"
    assert bool(sample.valid["normals"][:, :2].any()) == everywhere
    assert sample.valid["normals"][:, 2:].all()
    task = dataset.tasks()[1]
    assert task.metrics["abs"].unit == ""
    assert len(dataset.tasks()[0].class_weights) == 17  # type: ignore[attr-defined]


def test_a_logarithm_of_depth_is_zoomed_as_the_depth_is() -> None:
    metres = torch.tensor([[[0.5, 3.0]], [[8.0, 40.0]]], dtype=torch.float64)
    factor = torch.tensor([1.5, 2.0])

    def logarithm(depth: torch.Tensor) -> torch.Tensor:
        return torch.log1p(512 * depth) / math.log(65536)

    expected = logarithm(metres / factor.double().view(-1, 1, 1))
    torch.testing.assert_close(LogDepthTask().zoom(logarithm(metres), factor), expected)


def eight_bits(root: Path) -> None:
    for building in ("hanson", "merom", "corozal", "mcdade"):
        for view in (0, 1):
            file = root / path_of("domain_first", building, "depth_zbuffer", 8, view)
            file.write_bytes(png((DEPTH.repeat(2, 0).repeat(2, 1) // 256).astype(np.uint8)))


def other_ids(root: Path) -> None:
    file = root / path_of("domain_first", "mcdade", "segment_semantic", 8, 0)
    file.write_bytes(png((SEGMENTATION.repeat(2, 0).repeat(2, 1) + 1).astype(np.uint8)))


def small(root: Path) -> None:
    file = root / path_of("domain_first", "mcdade", "edge_texture", 8, 0)
    file.write_bytes(png(np.zeros((16, 16), np.uint16)))


def colours(root: Path) -> None:
    file = root / path_of("domain_first", "mcdade", "segment_semantic", 8, 0)
    file.write_bytes(picture("rgb", 1))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (eight_bits, r"depth_zbuffer\.png: has 8 bits a pixel"),
        (other_ids, r"segmentsemantic\.png: class id 18"),
        (small, r"edge_texture\.png: wrong shape, 16x16 where the image has 32x32"),
        (colours, r"segmentsemantic\.png: has mode RGB"),
    ],
)
def test_files_that_are_not_as_published_are_named(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    root = write_tree(tmp_path)
    spoil(root)
    with pytest.raises(UserError, match=message) as caught:
        first(views(root), root)
    assert "\n" not in str(caught.value)


def test_sixteen_bits_are_what_the_writer_wrote(tmp_path: Path) -> None:
    """The hand-written PNG against Pillow's reading of it."""
    (tmp_path / "depth.png").write_bytes(picture("depth_zbuffer", 0))
    values = np.asarray(Image.open(tmp_path / "depth.png"))
    assert sorted(np.unique(values).tolist()) == [300, 1280, 64499, 64500, 65535]
