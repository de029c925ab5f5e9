"""Everything that can be wrong with NYU Depth v2 on a disk: the error names the file and the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from msbench.api import CorruptSampleError, UserError
from msbench_plugins.datasets.nyuv2.dataset import NYUv2
from msbench_plugins.datasets.nyuv2.pngs import metres
from tests.data import nyuv2_trees as trees

MAT = "nyu_depth_v2_labeled.mat"
Damage = Callable[[Path], object]


def read_all(root: Path) -> None:
    dataset = NYUv2(root=str(root), height=16, width=16)
    for items in dataset.index(root).values():
        for item in items:
            dataset.decode(item)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def put(path: Path, array: np.ndarray) -> None:
    np.save(path, array)


def pixels(path: Path, array: np.ndarray) -> None:
    Image.fromarray(array).save(path)


def change(path: Path, key: str, index: object, value: float) -> None:
    with h5py.File(path, "r+") as file:
        file[key][index] = value


def without(path: Path, key: str) -> None:
    with h5py.File(path, "r+") as file:
        del file[key]


def transposed(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        images = np.moveaxis(file["images"][:], 0, -1)
        del file["images"]
        file["images"] = images


MISSING: list[tuple[Callable[[Path], Path], Damage, str]] = [
    (trees.write_mtan, lambda r: (r / "train/depth/1.npy").unlink(), r"train/depth/1.npy: is missing.*MTAN"),
    (trees.write_mtan, lambda r: (r / "val/image/0.npy").unlink(), r"val/image/0.npy: is missing"),
    (trees.write_adashare, lambda r: (r / "seg/0003.png").unlink(), r"seg/0003.png: is missing.*11pWuQXMFBN"),
    (trees.write_adashare, lambda r: (r / "nyu_v2_3task.json").write_text("{}"), r"3task.json: is not the list.*copy"),
    (
        trees.write_adashare,
        lambda r: (r / "nyu_v2_3task.json").write_text(json.dumps({"train": [["a", "b"]], "test": []})),
        r"\['a', 'b'\] is not image, labels, normals and depth",
    ),
    (trees.write_nyud_mt, lambda r: (r / "normals/0002.npy").unlink(), r"normals/0002.npy: is missing .*0002.jpg"),
    (trees.write_nyud_mt, lambda r: (r / "gt_sets/val.txt").write_text(""), r"gt_sets/val.txt: is empty"),
    (trees.write_pngs, lambda r: (r / "test_sn/0001.png").unlink(), r"test_sn/0001.png: is missing.*xapharius"),
    (trees.write_mat, lambda r: (r / "splits.mat").unlink(), r"splits.mat: is missing; get .*2,626 bytes, md5 08e3"),
    (trees.write_mat, lambda r: (r / "classMapping40.mat").unlink(), r"classMapping40.mat: is missing; get .*e377c887"),
    (trees.write_mat, lambda r: cut(r / MAT), r"labeled.mat: is not a whole HDF5.*2,972,037,809 bytes, md5 520609c5"),
    (trees.write_mat, lambda r: without(r / MAT, "rawDepths"), r"'rawDepths' has shape None"),
    (trees.write_mat, lambda r: transposed(r / MAT), r"'images' has shape .*expected 4 dimensions, the first of the 6"),
    (
        trees.write_mat,
        lambda r: savemat(r / "splits.mat", {"trainNdxs": [[1], [2]], "testNdxs": [[2], [3]]}),
        r"splits.mat: trainNdxs and testNdxs are not a partition",
    ),
    (
        trees.write_mat,
        lambda r: savemat(r / "classMapping40.mat", {"allClassName": np.array([["x"]], object), "mapClass": [[1]]}),
        r"classMapping40.mat: its allClassName are not the names",
    ),
    (trees.write_mat, lambda r: (r / "nyu_normals_gt/train").mkdir(parents=True), r"no normals of image 0002.*derive"),
]


@pytest.mark.parametrize(("write", "damage", "message"), MISSING)
def test_what_is_missing_or_does_not_belong_together_is_named_with_its_source(
    write: Callable[[Path], Path], damage: Damage, message: str, tmp_path: Path
) -> None:
    root = write(tmp_path)
    damage(root)
    with pytest.raises(UserError, match=message):
        read_all(root)


HALF = np.zeros((trees.HEIGHT, trees.WIDTH // 2), np.float32)
NAN = np.full((trees.HEIGHT, trees.WIDTH, 1), np.nan)
FULL = np.full((trees.HEIGHT, trees.WIDTH), 41, np.uint8)

CORRUPT: list[tuple[Callable[[Path], Path], Damage, str]] = [
    (trees.write_mtan, lambda r: put(r / "train/depth/1.npy", NAN), r"train/depth/1.npy: depth holds negative or not"),
    (
        trees.write_mtan,
        lambda r: put(r / "train/label/1.npy", FULL * 1.0),
        r"1.npy: label 41 is neither one of 0 to 12",
    ),
    (trees.write_mtan, lambda r: put(r / "train/label/0.npy", HALF + 0.5), r"0.npy: labels are not whole numbers"),
    (trees.write_mtan, lambda r: put(r / "val/depth/0.npy", HALF), r"depth of sample val/0 differ in size .24x32 and"),
    (trees.write_mtan, lambda r: put(r / "val/normal/0.npy", HALF), r"normal/0.npy: expected normals of shape"),
    (trees.write_mtan, lambda r: put(r / "val/image/0.npy", NAN.repeat(3, 2)), r"image/0.npy: expected colours from 0"),
    (trees.write_mtan, lambda r: put(r / "val/image/0.npy", HALF), r"image/0.npy: expected an image of shape"),
    (trees.write_mtan, lambda r: cut(r / "train/image/0.npy"), r"train/image/0.npy: cannot be read as .npy"),
    (trees.write_adashare, lambda r: cut(r / "img/0001.png"), r"img/0001.png: cannot be read as a picture"),
    (trees.write_adashare, lambda r: pixels(r / "img/0001.png", FULL), r"img/0001.png: expected 8-bit RGB"),
    (trees.write_adashare, lambda r: pixels(r / "seg/0001.png", FULL), r"label 41 is neither one of 0 to 39 nor 255"),
    (trees.write_nyud_mt, lambda r: pixels(r / "segmentation/0002.png", FULL), r"label 41 is neither one of 1 to 40"),
    (trees.write_nyud_mt, lambda r: put(r / "edge/0002.npy", HALF + 2), r"edges are not between 0 and 1"),
    (
        lambda r: trees.write_nyud_mt(r, arrays=False),
        lambda r: cut(r / "depth/0002.mat"),
        r"depth/0002.mat: cannot be read as a MATLAB",
    ),
    (
        lambda r: trees.write_nyud_mt(r, arrays=False),
        lambda r: savemat(r / "depth/0002.mat", {"metres": HALF}),
        r"depth/0002.mat: holds no variable 'depth'",
    ),
    (trees.write_mat, lambda r: change(r / MAT, "labels", (2, 0, 0), 7), r"sample 0003 has label 7, but .* ends at 6"),
    (trees.write_mat, lambda r: change(r / MAT, "depths", (2, 0, 0), np.nan), r"depth holds negative or not finite"),
    (trees.write_pngs, lambda r: pixels(r / "train_depth/0002.png", FULL), r"0002.png: expected 16-bit depth"),
    (
        trees.write_pngs,
        lambda r: pixels(r / "train_sn/0002.png", 255 - np.asarray(Image.open(r / "train_sn/0002.png"))),
        r"train_sn/0002.png: most normals point away from the camera",
    ),
]


@pytest.mark.parametrize(("write", "damage", "message"), CORRUPT)
def test_a_sample_that_cannot_be_right_is_named_with_its_file(
    write: Callable[[Path], Path], damage: Damage, message: str, tmp_path: Path
) -> None:
    root = write(tmp_path)
    damage(root)
    with pytest.raises(CorruptSampleError, match=message):
        read_all(root)


def test_depth_that_wrapped_around_is_unknown_where_it_may_be_wrong(tmp_path: Path) -> None:
    """7 m is stored as 0.4464 m, which no sensor saw; 9 m as 2.4464 m, which it may have seen."""
    true = np.array([[2.0, 5.0], [7.0, 9.0]])
    wrapped = (np.round(true * 1e4).astype(np.int64) % 65536).astype(np.uint16)
    assert metres(wrapped, tmp_path).tolist() == [[0.0, 5.0], [0.0, 0.0]]
    assert metres(wrapped[:1], tmp_path).tolist() == [[2.0, 5.0]]


def test_an_unknown_folder_is_answered_with_every_layout_and_its_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no known layout") as raised:
        NYUv2(root=str(tmp_path)).index(tmp_path)
    for text in ("train/image", "nyu_v2_3task.json", "gt_sets/train.txt", MAT, "train_rgb", "520609c519fba", "2,626"):
        assert text in str(raised.value)


def test_two_layouts_in_one_folder_must_be_told_apart(tmp_path: Path) -> None:
    trees.write_pngs(trees.write_mtan(tmp_path))
    with pytest.raises(UserError, match=r"several layouts \(mtan, pngs\); say which with data.layout=mtan"):
        NYUv2(root=str(tmp_path)).tasks()
    assert NYUv2(root=str(tmp_path), layout="pngs").facts(tmp_path)["layout"] == "pngs"
    file = tmp_path / "train" / "image" / "0.npy"
    with pytest.raises(UserError, match="is a file; name the folder"):
        NYUv2(root=str(file)).tasks()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layout": "matlab"}, "data.layout: 'matlab' is not one of auto, mtan"),
        ({"classes": 14}, "data.classes: 14 is neither 13 nor 40"),
        ({"classes": True}, "data.classes: True is neither"),
        ({"height": 64}, "data.width: 0 is not a whole number"),
        ({"normals": "computed"}, "data.normals: 'computed' is not one of auto, given, derived"),
        ({"protocol": "paper:mtan"}, "data.protocol: 'paper:mtan' is not one of none"),
        ({"layout": "mtan", "classes": 40}, "data.classes=40: the layout mtan stores 13 classes; say data.classes=13"),
        ({"layout": "mtan", "protocol": "paper:astmt"}, "is about the layout nyud_mt, not mtan"),
        ({"layout": "nyud_mt", "protocol": "paper:astmt"}, "add data.classes=40"),
        ({"layout": "adashare", "protocol": "paper:adashare", "normals": "derived"}, "leave data.normals=derived out"),
    ],
)
def test_fields_that_cannot_be_are_refused_at_once(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        NYUv2(**fields)  # type: ignore[arg-type]


def test_forty_classes_are_not_made_up_from_thirteen(tmp_path: Path) -> None:
    trees.write_pngs(tmp_path)
    with pytest.raises(UserError, match="the layout pngs stores 13 classes"):
        NYUv2(root=str(tmp_path), classes=40).tasks()


def test_stored_normals_are_asked_for_in_vain(tmp_path: Path) -> None:
    trees.write_mat(tmp_path)
    with pytest.raises(UserError, match=r"data.normals=given.*nyu_normals_gt.zip.*data.normals=derived"):
        NYUv2(root=str(tmp_path), normals="given").tasks()


def test_without_a_folder_the_error_says_where_the_data_is_to_be_had() -> None:
    with pytest.raises(UserError, match=r"nyuv2: no data folder given.*data.root=FOLDER.*520609c519fba3ba"):
        NYUv2().folder()
    assert [task.name for task in NYUv2().tasks()] == ["segmentation", "depth", "normals", "edges"]
