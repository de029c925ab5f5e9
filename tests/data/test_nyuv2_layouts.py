"""Every layout of NYU Depth v2 gives the same samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from msbench.api import Decoded, UserError
from msbench_plugins.datasets.nyuv2.dataset import NYUv2
from msbench_plugins.datasets.nyuv2.split import carve, merge, validation_positions
from tests.data import nyuv2_trees as trees
from tests.data.nyuv2_trees import SCENES, TEST, TRAIN, Scene


@dataclass(frozen=True)
class Case:
    """A layout as it is fabricated. colour, depth, normal: greatest errors that the format's own steps explain."""

    layout: str
    write: Callable[[Path], Path]
    classes: int
    tasks: tuple[str, ...] = ("segmentation", "depth", "normals")
    colour: int = 0
    depth: float = 0.0
    normal: float = 0.0


EDGES = ("segmentation", "depth", "normals", "edges")
CASES = {
    "mtan": Case("mtan", trees.write_mtan, 13),
    "adashare": Case("adashare", trees.write_adashare, 40, normal=0.008),
    "nyud_mt": Case("nyud_mt", trees.write_nyud_mt, 40, EDGES, colour=12),
    "nyud_mt of ASTMT": Case("nyud_mt", partial(trees.write_nyud_mt, arrays=False), 40, EDGES, 12, normal=0.1),
    "mat": Case("mat", partial(trees.write_mat, ladicky=True), 40, EDGES, normal=0.008),
    "pngs": Case("pngs", trees.write_pngs, 13, depth=5.1e-5, normal=0.008),
}


def all_samples(dataset: NYUv2) -> dict[str, list[Decoded]]:
    return {part: [dataset.decode(item) for item in items] for part, items in dataset.index(Path(dataset.root)).items()}


def official(dataset: NYUv2) -> list[tuple[Scene, Decoded]]:
    """Every sample with the scene that it must be, in the official order."""
    found = all_samples(dataset)
    samples = [*merge(found["train"], found["validation"]), *found["test"]]
    return list(zip((SCENES[number] for number in (*TRAIN, *TEST)), samples, strict=True))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_layout_is_recognised_and_gives_the_canonical_samples(case: Case, tmp_path: Path) -> None:
    dataset = NYUv2(root=str(case.write(tmp_path)), classes=case.classes)
    assert dataset.facts(tmp_path)["layout"] == case.layout
    assert tuple(task.name for task in dataset.tasks()) == case.tasks
    for scene, sample in official(dataset):
        labels = torch.from_numpy(scene.labels40 if case.classes == 40 else scene.labels13)
        assert sample.image.dtype == sample.target["segmentation"].dtype == torch.uint8
        assert np.abs(sample.image.permute(1, 2, 0).numpy().astype(int) - scene.image).max() <= case.colour
        assert sample.target["segmentation"].equal(labels.to(torch.uint8))
        assert sample.valid["segmentation"].equal(labels != 255)

        measured = torch.from_numpy(scene.measured)
        assert sample.valid["depth"].equal(measured)
        depth = torch.from_numpy(np.where(scene.measured, scene.depth, 0)).float()
        torch.testing.assert_close(sample.target["depth"], depth, rtol=0, atol=case.depth)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_normals_have_one_convention_and_edges_one_form(case: Case, tmp_path: Path) -> None:
    dataset = NYUv2(root=str(case.write(tmp_path)), classes=case.classes)
    assert dataset.facts(tmp_path)["normals"] == "given"
    for scene, sample in official(dataset):
        normals, valid = sample.target["normals"], sample.valid["normals"]
        expected = torch.from_numpy(scene.normals).permute(2, 0, 1)
        # a JPEG smears its invalid column into the neighbours
        clear = far_from_void() if case.normal == 0.1 else torch.ones_like(valid)
        assert valid[clear].equal(expected.any(0)[clear])
        assert (normals - expected)[:, clear].abs().max() <= case.normal
        torch.testing.assert_close(normals.norm(dim=0)[valid], torch.ones(int(valid.sum())), rtol=0, atol=1e-3)
        assert not normals[:, ~valid].any()
        if "edges" in case.tasks and case.layout != "mat":
            assert sample.target["edges"].equal(torch.from_numpy(scene.edges))


def far_from_void() -> torch.Tensor:
    clear = torch.zeros(trees.HEIGHT, trees.WIDTH, dtype=torch.bool)
    clear[2:10, 18:] = clear[14:, 18:] = True
    return clear


def test_the_mat_files_edges_are_borders_between_instances_one_pixel_wide(tmp_path: Path) -> None:
    dataset = NYUv2(root=str(trees.write_mat(tmp_path)), classes=40)
    for _, sample in official(dataset):
        edges = sample.target["edges"]
        # two instances of one class meet between columns 15 and 16; below, wall meets floor, and nothing further
        assert edges[8].nonzero().flatten().tolist() == [9, 10, 15]
        assert edges[11].all()
        assert edges[20].nonzero().flatten().tolist() == [9, 10]
        assert sample.valid["edges"].all()


@pytest.mark.parametrize("case", [CASES["adashare"], CASES["nyud_mt"], CASES["mat"]], ids=lambda case: case.layout)
def test_thirteen_classes_follow_from_forty(case: Case, tmp_path: Path) -> None:
    dataset = NYUv2(root=str(case.write(tmp_path)))
    assert len(dataset.tasks()[0].classes) == 13  # type: ignore[attr-defined]
    for scene, sample in official(dataset):
        assert sample.target["segmentation"].tolist() == scene.labels13.tolist()


def test_without_its_list_adashare_is_split_by_the_official_one_which_counts_from_one(tmp_path: Path) -> None:
    root = trees.write_adashare(tmp_path, listed=False)
    with pytest.raises(UserError, match=r"nyu_v2_3task.json: is missing.*splits.mat.*08e3c3aea27130ac7c01ffd739a4535f"):
        NYUv2(root=str(root)).index(root)
    trees.write_splits(root)
    for scene, sample in official(NYUv2(root=str(root), classes=40)):
        assert sample.image.permute(1, 2, 0).numpy().tolist() == scene.image.tolist()


def test_the_test_part_is_the_official_one_and_validation_comes_out_of_training(tmp_path: Path) -> None:
    dataset = NYUv2(root=str(trees.write_mat(tmp_path)))
    index = dataset.index(tmp_path)
    names = {part: [item.name for item in items] for part, items in index.items()}
    assert names["test"] == ["0001", "0004"]
    assert sorted(names["train"] + names["validation"]) == ["0002", "0003", "0005", "0006"]
    assert len(names["validation"]) == 1
    assert NYUv2(root=str(tmp_path)).index(tmp_path) == index


def test_of_the_795_official_training_images_159_are_for_validation() -> None:
    train, validation = carve(range(795))
    assert (len(train), len(validation)) == (636, 159)
    assert sorted(train + validation) == list(range(795))
    assert merge(train, validation) == list(range(795))
    # fixed for good: records of different machines and versions compare
    assert validation_positions(795)[:5] == sorted(validation)[:5] == [3, 7, 19, 20, 22]
    assert merge(["a", "b"], ["c", "d", "e"]) == list("abcde")


def test_samples_are_resized_without_inventing_labels_or_losing_edges(tmp_path: Path) -> None:
    dataset = NYUv2(root=str(trees.write_nyud_mt(tmp_path)), classes=40, height=16, width=16)
    for scene, sample in official(dataset):
        assert sample.image.shape == (3, 16, 16)
        assert set(sample.target["segmentation"].unique().tolist()) <= set(scene.labels40.ravel().tolist())
        assert set(sample.target["depth"].unique().tolist()) <= {0.0, *scene.depth.ravel().tolist()}
        assert sample.target["edges"].any(1).nonzero().flatten().tolist() == [7]
        assert sample.target["edges"][7].all()


def test_the_background_is_a_class_only_by_the_protocol_that_says_so(tmp_path: Path) -> None:
    root = trees.write_nyud_mt(tmp_path)
    dataset = NYUv2(root=str(root), classes=40, protocol="paper:astmt")
    assert dataset.tasks()[0].channels == 41
    assert dataset.tasks()[0].classes[:2] == ("background", "wall")  # type: ignore[attr-defined]
    for scene, sample in official(dataset):
        assert sample.target["segmentation"].tolist() == trees.void_to(0, scene.labels40, 1).tolist()
        assert sample.valid["segmentation"].all()
    assert "paper:astmt" in dataset.facts(root)["protocol"]


def test_a_packed_folder_knows_its_layout_tasks_and_normals(tmp_path: Path) -> None:
    fields = {"classes": 40, "height": 16, "width": 16}
    dataset = NYUv2(root=str(trees.write_mat(tmp_path / "mat")), **fields)  # type: ignore[arg-type]
    dataset.pack_into(tmp_path / "packed", lambda done, total, what: None)
    again = NYUv2(root=str(tmp_path / "packed"), **fields)  # type: ignore[arg-type]
    assert again.tasks() == dataset.tasks()
    assert "derived normals" in again.tasks()[2].metrics["mean"].formula
    again.prepare(tmp_path / "cache", lambda done, total, what: None)
    batch = again.samples("test", tmp_path / "cache").batch(torch.arange(2))
    for sample, row in zip(all_samples(dataset)["test"], range(2), strict=True):
        for task in again.tasks():
            assert batch.target[task.name][row].equal(sample.target[task.name].to(batch.target[task.name].dtype))
