"""Cityscapes from fabricated trees in three packagings, and every way in which a tree can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from msbench.data.dataset import PARTS
from msbench.errors import UserError
from msbench_plugins.datasets.cityscapes import CATEGORIES, CLASSES, Cityscapes, InverseDepthTask
from tests.data.cityscapes_trees import FORMS, NINETEEN, SEVEN, colour, write_tree


def silent(done: int, total: int, what: str) -> None:
    pass


def streets(root: Path, **fields: Any) -> Cityscapes:
    return Cityscapes(root=str(root), **({"height": 16, "width": 32} | fields))


@pytest.mark.parametrize(("form", "classes"), [(form, 7) for form in FORMS] + [("mtan", 19), ("json", 19)])
def test_every_packaging_gives_the_same_sample(tmp_path: Path, form: str, classes: int) -> None:
    root = write_tree(tmp_path, form)
    dataset = streets(root, classes=classes)
    item = dataset.index(root)["test"][2]
    sample = dataset.decode(item)
    assert sample.image[:, 4, 4].tolist() == list(colour("test", 2))
    expected = NINETEEN if classes == 19 else SEVEN
    labels = sample.target["segmentation"]
    assert labels.dtype == torch.uint8
    assert labels.equal(torch.from_numpy(np.where(expected < 0, 255, expected).astype(np.uint8)))
    assert sample.valid["segmentation"].equal(labels != 255)
    assert 0 < (labels == 255).sum() < labels.numel()
    assert sample.target["depth"][2:5, 0].tolist() == pytest.approx([2 / 65535, 0.4922, 8000 / 65535], rel=1e-3)
    assert sample.valid["depth"][:, 0].tolist() == [False, False] + [True] * 14


def test_the_parts_are_the_official_ones_with_a_fifth_held_out(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    index = streets(root).index(root)
    assert [len(index[part]) for part in PARTS] == [8, 2, 3]
    names = [[item.name for item in index[part]] for part in PARTS]
    assert sorted(names[0] + names[1]) == sorted(f"train/{number}" for number in range(10))
    assert names[2] == ["val/0", "val/1", "val/2"]
    assert names == [[item.name for item in streets(root, height=32).index(root)[part]] for part in PARTS]
    assert names[1] != ["train/0", "train/1"]


def test_numbers_without_zeros_are_read_in_order(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    index = streets(root).index(root)
    numbers = [int(item.name.split("/")[1]) for item in index["train"]]
    assert numbers == sorted(numbers)


def test_a_batch_is_canonical_and_both_tasks_train_on_it(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    dataset = streets(root)
    dataset.prepare(tmp_path / "cache", silent)
    batch = dataset.samples("validation", tmp_path / "cache").batch(torch.tensor([1, 0]))
    assert [task.name for task in dataset.tasks()] == ["segmentation", "depth"]
    for task in dataset.tasks():
        output = torch.zeros(2, task.channels, 16, 32, requires_grad=True)
        target, valid = batch.target[task.name], batch.valid[task.name]
        assert task.predict(output).shape == target.shape
        loss = task.loss(output, target, valid)
        loss.backward()
        assert loss.item() > 0
    assert dataset.facts(root) == {"layout": "train and val, labels in label_7"}


def test_smaller_labels_and_depths_are_picked_and_never_mixed(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    np.save(root / "val" / "label_7" / "0.npy", np.repeat(np.arange(32) % 7, 64).reshape(32, 64).astype(np.float64))
    stripes = np.zeros((32, 64, 3), np.float32)
    stripes[:, ::2] = 0.8
    np.save(root / "val" / "image" / "0.npy", stripes)
    np.save(root / "val" / "depth" / "0.npy", np.tile([0.0, 0.4], (32, 32)))
    dataset = streets(root)
    sample = dataset.decode(dataset.index(root)["test"][0])
    assert sample.target["segmentation"][:, 9].tolist() == [(2 * row + 1) % 7 for row in range(16)]
    assert set(sample.target["depth"].flatten().tolist()) == {float(torch.tensor(0.4).half())}
    assert (sample.image[:, :, 2:-2].float() - 102).abs().max() < 30


def test_inverse_depth_has_no_unit_and_grows_when_the_picture_is_enlarged() -> None:
    task = InverseDepthTask()
    assert {spec.unit for spec in task.metrics.values()} == {"", "%"}
    zoomed = task.zoom(torch.full((2, 1, 1), 0.1), torch.tensor([1.0, 1.5]))
    assert zoomed.flatten().tolist() == pytest.approx([0.1, 0.15])
    target = torch.tensor([[[0.1, 0.3]]])
    raw = torch.zeros(1, 1, 1, 2)
    expected = (task.predict(raw) - target).abs().mean()
    torch.testing.assert_close(task.loss(raw, target, torch.ones(1, 1, 2, dtype=torch.bool)), expected)


def test_names_and_colours_are_complete() -> None:
    for classes, names in ((7, CATEGORIES), (19, CLASSES)):
        task = Cityscapes(classes=classes).tasks()[0]
        assert len(set(names)) == classes == task.channels
        assert len(set(task.palette)) == classes  # type: ignore[attr-defined]


def put(root: Path, kind: str, values: object) -> None:
    np.save(root / "val" / kind / "1.npy", np.asarray(values))


def cut(root: Path, kind: str) -> None:
    file = root / "val" / kind / "1.npy"
    file.write_bytes(file.read_bytes()[:150])


def decode_all(dataset: Cityscapes, root: Path) -> None:
    for items in dataset.index(root).values():
        for item in items:
            dataset.decode(item)


def nan_depth() -> np.ndarray:
    depth = np.full((16, 32, 1), 0.1)
    depth[3, 3] = np.nan
    return depth


@pytest.mark.parametrize(
    ("spoil", "fields", "message"),
    [
        (lambda r: put(r, "depth", nan_depth()), {}, r"val/depth/1\.npy: depth is not a number"),
        (lambda r: put(r, "depth", np.zeros((8, 32, 1))), {}, r"val/depth/1\.npy: wrong shape, \(8, 32\).*\(16, 32\)"),
        (lambda r: put(r, "depth", np.array(["a"])), {}, r"val/depth/1\.npy: cannot be read as \.npy"),
        (lambda r: put(r, "label_7", np.full((16, 32), 7)), {}, r"val/label_7/1\.npy: class id 7 is not 0 to 6"),
        (lambda r: put(r, "label_7", np.full((16, 32), 0.5)), {}, r"class id 0\.5"),
        (lambda r: put(r, "label_7", np.full((16, 32), np.nan)), {}, r"class id nan"),
        (lambda r: put(r, "label_19", np.full((16, 32), -2)), {"classes": 19}, r"label_19/1\.npy: class id -2"),
        (lambda r: put(r, "image", np.full((16, 32, 3), 1.5)), {}, r"val/image/1\.npy: colours outside \[0, 1\]"),
        (lambda r: put(r, "image", np.zeros((3, 16, 32))), {}, r"val/image/1\.npy: wrong shape \(3, 16, 32\)"),
        (lambda r: cut(r, "image"), {}, r"val/image/1\.npy: cannot be read as \.npy.*copy it again"),
        (lambda r: (r / "val/depth/1.npy").write_bytes(b""), {}, r"val/depth/1\.npy: cannot be read"),
        (lambda r: (r / "val/depth/1.npy").unlink(), {}, r"val/depth/1\.npy: file is missing"),
        (lambda r: (r / "val/depth").rename(r / "x"), {}, r"val/depth: folder is missing.*lorenmt/mtan"),
        (lambda r: (r / "train/label_7").rename(r / "x"), {}, r"label_7: folder is missing; say data\.classes=19"),
        (lambda r: [f.unlink() for f in (r / "val/image").iterdir()], {}, r"no images for the test part"),
    ],
)
def test_a_spoilt_tree_is_named_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], object], fields: dict[str, Any], message: str
) -> None:
    root = write_tree(tmp_path)
    spoil(root)
    dataset = streets(root, **fields)
    with pytest.raises(UserError, match=message) as caught:
        decode_all(dataset, root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plain: plain.pop("test"), r"cityscape\.json: not a list of train and test files"),
        (lambda plain: plain["train"][0].pop(), r"a row of train has 4 files, not 5"),
        (lambda plain: plain["test"].append(plain["train"][0]), r"both in train and in test"),
        (lambda plain: plain["test"][0].__setitem__(0, "val/image/77.npy"), r"val/image/77\.npy: file is missing"),
    ],
)
def test_a_spoilt_list_is_named_in_one_line(tmp_path: Path, change: Callable[[Any], object], message: str) -> None:
    root = write_tree(tmp_path, "json")
    plain = json.loads((root / "cityscape.json").read_text())
    change(plain)
    (root / "cityscape.json").write_text(json.dumps(plain))
    with pytest.raises(UserError, match=message):
        streets(root).index(root)


@pytest.mark.parametrize(("fields", "message"), [({"classes": 2}, r"data\.classes: 2"), ({"width": 3}, r"data\.width")])
def test_impossible_settings_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Cityscapes(**fields)
