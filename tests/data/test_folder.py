"""One's own folder of images and labels: what is read from it, against values that are put into the files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from msbench.api import Batch
from msbench_plugins.datasets.folder import Folder

HEIGHT, WIDTH = 20, 32


def silent(done: int, total: int, what: str) -> None:
    pass


def write_sample(folder: Path, name: str, number: int) -> None:
    """Left half class 0, right half class `number % 3`, void in the last row; depth and normals of the same parts."""
    for kind in ("images", "segmentation", "depth", "normals", "edges"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    right = np.arange(WIDTH) >= WIDTH // 2
    image = np.full((HEIGHT, WIDTH, 3), 10 * number % 256, np.uint8)
    Image.fromarray(image).save(folder / "images" / f"{name}.png")
    label = np.where(right, number % 3, 0).astype(np.uint8) * np.ones((HEIGHT, 1), np.uint8)
    label[-1] = 255
    Image.fromarray(label).save(folder / "segmentation" / f"{name}.png")
    depth = np.where(right, 2.0 + number, 0.0) * np.ones((HEIGHT, 1))
    np.save(folder / "depth" / f"{name}.npy", depth.astype(np.float32))
    normals = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    normals[:, right] = (0.0, 0.0, 2.0)
    np.save(folder / "normals" / f"{name}.npy", normals)
    edges = np.zeros((HEIGHT, WIDTH), np.uint8)
    edges[:, WIDTH // 2] = 255
    Image.fromarray(edges).save(folder / "edges" / f"{name}.png")


def write_tree(root: Path, train: int = 8, fixed: bool = True) -> Path:
    """A complete folder; with `fixed` two samples each of val and test."""
    counts = {"train": train, "val": 2, "test": 2} if fixed else {"train": train}
    rows, number = ["name,bright,striped"], 0
    for part, count in counts.items():
        for _ in range(count):
            write_sample(root / part, f"p{number:02}", number)
            rows.append(f"p{number:02}.png,{number % 2},")
            number += 1
    (root / "classes.txt").write_text("wall\nfloor\ndoor\n", encoding="utf-8")
    (root / "attributes.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("data") / "mine")


def batch_of(root: Path, cache: Path, **fields: object) -> Batch:
    """The test part, in order."""
    dataset = Folder(root=str(root), **({"height": HEIGHT, "width": WIDTH} | fields))  # type: ignore[arg-type]
    dataset.prepare(cache, silent)
    samples = dataset.samples("test", cache)
    return samples.batch(torch.arange(len(samples)))


def test_every_kind_of_target_arrives_as_it_was_written(root: Path, tmp_path: Path) -> None:
    batch = batch_of(root, tmp_path)
    for row, number in enumerate((10, 11)):
        assert batch.image[row].mul(255).round().unique().tolist() == [10 * number % 256]
        labels = batch.target["segmentation"][row]
        assert labels[:-1, : WIDTH // 2].eq(0).all()
        assert labels[:-1, WIDTH // 2 :].eq(number % 3).all()
        assert labels[-1].eq(255).all()
        assert batch.valid["segmentation"][row].equal(labels != 255)
        assert batch.target["depth"][row][batch.valid["depth"][row]].unique().tolist() == [2.0 + number]
        assert batch.valid["depth"][row].any(0).nonzero().flatten().tolist() == list(range(WIDTH // 2, WIDTH))
        assert batch.target["normals"][row][:, 0, -1].tolist() == [0.0, 0.0, 1.0], "brought to unit length"
        assert not batch.valid["normals"][row][:, : WIDTH // 2].any()
        assert batch.target["edges"][row].any(0).nonzero().flatten().tolist() == [WIDTH // 2]
        assert batch.target["bright"][row] == number % 2
    assert batch.valid["bright"].all()
    assert not batch.valid["striped"].any(), "empty cells are unknown"


def test_the_tasks_are_what_the_folder_holds(root: Path, tmp_path: Path) -> None:
    dataset = Folder(root=str(root))
    assert [task.name for task in dataset.tasks()] == [
        "segmentation", "depth", "normals", "edges", "bright", "striped",
    ]  # fmt: skip
    assert dataset.tasks()[0].classes == ("wall", "floor", "door")  # type: ignore[attr-defined]
    chosen = Folder(root=str(root), targets=["bright", "depth"])
    assert [task.name for task in chosen.tasks()] == ["depth", "bright"]
    assert set(batch_of(root, tmp_path, targets=["bright", "depth"]).target) == {"depth", "bright"}
    assert "attributes.csv" in dataset.facts(root)["tasks from"]


def test_all_tasks_train(root: Path, tmp_path: Path) -> None:
    batch = batch_of(root, tmp_path, edges="binary", height=18, width=24)
    for task in Folder(root=str(root), edges="binary").tasks():
        target, valid = batch.target[task.name], batch.valid[task.name]
        shape = (2, task.channels, 18, 24) if task.head == "dense" else (2, task.channels)
        output = torch.zeros(shape, requires_grad=True)
        task.loss(output, target, valid).backward()
        assert output.grad is not None
        assert output.grad.isfinite().all(), task.name


def test_thin_edges_and_small_labels_survive_reduction(root: Path, tmp_path: Path) -> None:
    batch = batch_of(root, tmp_path, height=16, width=16)
    assert batch.target["edges"].eq(1).any(2).all()
    assert set(batch.target["segmentation"].unique().tolist()) <= {0, 1, 2, 255}, "no id is invented"


def test_parts_without_a_folder_are_carved_by_name(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "mine", train=20, fixed=False)
    dataset = Folder(root=str(root))
    index = {part: [item.name for item in items] for part, items in dataset.index(root).items()}
    assert {part: len(names) for part, names in index.items()} == {"train": 14, "validation": 3, "test": 3}
    assert sorted(name for names in index.values() for name in names) == [f"p{number:02}" for number in range(20)]
    elsewhere = Path(shutil.copytree(root, tmp_path / "copy"))
    assert {part: [i.name for i in items] for part, items in Folder().index(elsewhere).items()} == index
    assert "validation and test: 15% of train each" in dataset.facts(root)["carved"]
    shutil.copytree(root / "train", root / "val")
    assert {part: len(items) for part, items in dataset.index(root).items()} == {
        "train": 17, "validation": 20, "test": 3,
    }  # fmt: skip


def test_other_files_of_the_same_meaning(tmp_path: Path) -> None:
    """16-bit depth in millimetres, normals as colours, labels as palette picture or array, a JPEG image."""
    root = write_tree(tmp_path / "mine")
    plain = batch_of(root, tmp_path / "a")
    for part, number in (("train", 0), ("test", 10)):
        folder, name = root / part, f"p{number:02}"
        depth = np.load(folder / "depth" / f"{name}.npy")
        (folder / "depth" / f"{name}.npy").unlink()
        Image.fromarray((depth * 1000).astype(np.uint16)).save(folder / "depth" / f"{name}.png")
        normals = np.load(folder / "normals" / f"{name}.npy")
        (folder / "normals" / f"{name}.npy").unlink()
        colours = np.where(normals.any(2, keepdims=True), (normals / 2 + 1) * 127.5, 127.5).round().astype(np.uint8)
        Image.fromarray(colours).save(folder / "normals" / f"{name}.png")
        label = Image.open(folder / "segmentation" / f"{name}.png")
        (folder / "segmentation" / f"{name}.png").unlink()
        np.save(folder / "segmentation" / f"{name}.npy", np.asarray(label).astype(np.int64))
        image = Image.open(folder / "images" / f"{name}.png")
        image.save(folder / "images" / f"{name}.jpg", quality=95)
        (folder / "images" / f"{name}.png").unlink()
    other = batch_of(root, tmp_path / "b")
    assert (other.image - plain.image).abs().max() < 0.02
    for name in ("segmentation", "edges", "bright"):
        assert other.target[name].equal(plain.target[name]), name
    torch.testing.assert_close(other.target["depth"], plain.target["depth"])
    assert other.valid["normals"].equal(plain.valid["normals"])
    where = plain.valid["normals"][:, None].expand(-1, 3, -1, -1)
    torch.testing.assert_close(other.target["normals"][where], plain.target["normals"][where], atol=0.01, rtol=0)


def test_a_packed_copy_keeps_classes_and_tasks(root: Path, tmp_path: Path) -> None:
    original = Folder(root=str(root), height=HEIGHT, width=WIDTH)
    packed = original.pack_into(tmp_path / "packed", silent)
    copy = Folder(root=str(tmp_path / "packed"), height=HEIGHT, width=WIDTH)
    assert copy.tasks() == original.tasks()
    original.prepare(tmp_path / "cache", silent)
    assert copy.fingerprint(tmp_path) == packed.digest == original.fingerprint(tmp_path / "cache")


def test_other_class_names_are_other_data(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "mine")
    prints = []
    for names in ("a\nb\nc\n", "a\nb\nc\nd\n"):
        (root / "classes.txt").write_text(names, encoding="utf-8")
        dataset = Folder(root=str(root), height=HEIGHT, width=WIDTH)
        dataset.prepare(tmp_path / "cache", silent)
        prints.append(dataset.fingerprint(tmp_path / "cache"))
    assert prints[0] != prints[1]


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "mine")
    photo = Image.new("RGB", (HEIGHT, WIDTH))
    exif = photo.getexif()
    exif[0x0112] = 6
    (root / "test" / "images" / "p10.png").unlink()
    photo.save(root / "test" / "images" / "p10.jpg", exif=exif)
    assert batch_of(root, tmp_path / "cache").image.shape == (2, 3, HEIGHT, WIDTH)
