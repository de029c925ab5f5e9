"""Every mistake that a newcomer makes with a folder is one line with the file and the remedy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from msbench.api import UserError
from msbench_plugins.datasets.folder import Folder
from tests.data.test_folder import HEIGHT, WIDTH, silent, write_tree

Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("pristine") / "mine")


def remove(name: str) -> Spoil:
    def spoil(root: Path) -> None:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def both(first: Spoil, second: Spoil) -> Spoil:
    return lambda root: (first(root), second(root))


def move(name: str, to: str) -> Spoil:
    return lambda root: (root / name).rename(root / to)


def text(name: str, content: str) -> Spoil:
    return lambda root: (root / name).write_text(content, encoding="utf-8")


def picture(name: str, mode: str = "L", size: tuple[int, int] = (WIDTH, HEIGHT), value: int = 0) -> Spoil:
    colour = (value,) * len(Image.new(mode, (1, 1)).getbands()) if mode != "I;16" else value
    return lambda root: Image.new(mode, size, colour if mode != "L" else value).save(root / name)


def array(name: str, values: np.ndarray) -> Spoil:
    return lambda root: np.save(root / name, values)


def truncated(root: Path) -> None:
    file = root / "train" / "images" / "p03.png"
    file.write_bytes(file.read_bytes()[:60])


def table(change: Callable[[list[str]], list[str]]) -> Spoil:
    def spoil(root: Path) -> None:
        file = root / "attributes.csv"
        file.write_text("\n".join(change(file.read_text(encoding="utf-8").splitlines())), encoding="utf-8")

    return spoil


DEPTH = np.ones((HEIGHT, WIDTH), np.float32)

MISTAKES: list[tuple[Spoil, str]] = [
    (remove("train"), r"mine/train: folder is missing; put images and labels into it"),
    (both(remove("train"), move("val", "images")), r"move .*mine/images"),
    (move("val", "validation"), r"mine/validation: rename it to val"),
    (remove("train/images"), r"train/images: folder is missing \(train has depth, edges"),
    (remove("test/depth"), r"test/depth: folder is missing .*every part needs the same"),
    (remove("train/segmentation/p02.png"), r"train/segmentation: no label for p02\.png \(1 of 8 images lack one\)"),
    (move("val/edges/p08.png", "val/edges/p8.png"), r"val/edges: no label for p08\.png"),
    (picture("train/segmentation/extra.png"), r"segmentation/extra\.png: no image of this name"),
    (picture("train/images/p02.jpg", "RGB"), r"p02\.png: p02\.jpg has the same name"),
    (text("train/images/readme.md", "hello"), r"readme\.md: images are read from \.png, \.jpg"),
    (remove("classes.txt"), r"classes\.txt: missing; write one class name a line"),
    (text("classes.txt", "wall\n"), r"classes\.txt: expected 2 to 255 different class names"),
    (text("classes.txt", "wall\n\nfloor\n"), r"classes\.txt: .*without empty lines"),
    (text("classes.txt", "wall\nfloor\n"), r"segmentation/p02\.png: label id 2 has no line in classes\.txt"),
    (picture("train/segmentation/p01.png", value=7), r"segmentation/p01\.png: label id 7 has no line"),
    (picture("train/segmentation/p01.png", "RGB"), r"segmentation/p01\.png: has mode RGB; ids, not colours"),
    (picture("train/segmentation/p01.png", size=(8, 8)), r"segmentation/p01\.png: has 8x8 pixels, its image 32x20"),
    (truncated, r"images/p03\.png: cannot be read.*copy it again"),
    (text("test/depth/p11.npy", "no array"), r"test/depth/p11\.npy: cannot be read as \.npy"),
    (array("train/depth/p00.npy", DEPTH * np.nan), r"depth/p00\.npy: some depths are infinite or not a number"),
    (array("train/depth/p00.npy", -DEPTH), r"depth/p00\.npy: some depths are negative"),
    (array("train/depth/p00.npy", DEPTH[:5]), r"depth/p00\.npy: has 32x5 pixels"),
    (both(remove("train/depth/p00.npy"), picture("train/depth/p00.png")),
     r"depth/p00\.png: has mode L; depth needs 16 bits"),
    (array("train/normals/p00.npy", DEPTH), r"normals/p00\.npy: normals are float32 \[20, 32\]"),
    (array("train/images/p00.npy", DEPTH), r"images/p00\.png: p00\.npy has the same name"),
    (both(remove("train/edges/p00.png"), array("train/edges/p00.npy", DEPTH * 9)),
     r"edges/p00\.npy: some edge strengths are outside"),
    (table(lambda lines: ["image,bright,striped", *lines[1:]]), r"attributes\.csv: the first line is 'image,bright"),
    (table(lambda lines: [line.replace(",", ";") for line in lines]), r"separated by commas"),
    (table(lambda lines: [*lines[:3], *lines[4:]]), r"attributes\.csv: no row for image p02"),
    (table(lambda lines: [*lines, lines[1]]), r"line 14: a second row for image p00"),
    (table(lambda lines: [lines[0], "p00,maybe,1", *lines[2:]]), r"line 2: bright is 'maybe', neither 1 nor 0"),
    (table(lambda lines: [lines[0], "p00,1", *lines[2:]]), r"line 2: 2 cells, expected 3"),
    (table(lambda lines: ["name,bright,two words", *lines[1:]]), r"column 'two words' cannot name a task"),
    (table(lambda lines: ["name,depth,type", *lines[1:]]), r"column 'depth' cannot name a task"),
    (table(lambda lines: ["name,bright,type", *lines[1:]]), r"column 'type' cannot name a task"),
    (text("train/attributes.csv", "name,bright\n"), r"keep one table for all, or one in each part"),
    (move("attributes.csv", "train/attributes.csv"), r"val/attributes\.csv: missing, while other parts have one"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_a_mistake_is_named_in_one_line(pristine: Path, tmp_path: Path, spoil: Spoil, message: str) -> None:
    root = Path(shutil.copytree(pristine, tmp_path / "mine"))
    spoil(root)
    with pytest.raises(UserError, match=message) as caught:
        Folder(root=str(root), height=HEIGHT, width=WIDTH).prepare(tmp_path / "cache", silent)
    assert "\n" not in str(caught.value)
    assert [path for path in (tmp_path / "cache").glob("*") if path.is_dir()] == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"targets": ["segmentaton"]}, r"data\.targets: no 'segmentaton' in .*; there are segmentation, depth"),
        ({"height": 4}, r"data\.height: 4 is not a whole number of pixels"),
        ({"depth_scale": 0.0}, r"data\.depth_scale: 0\.0 is not above 0"),
        ({"root": ""}, r"data\.root=FOLDER"),
        ({"root": "/nowhere/mine"}, r"data\.root: /nowhere/mine does not exist; it should be a folder of yours"),
    ],
)
def test_a_wrong_setting_is_named(pristine: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Folder(**({"root": str(pristine)} | fields)).tasks()  # type: ignore[arg-type]


def test_images_alone_are_nothing_to_learn(tmp_path: Path) -> None:
    (tmp_path / "train" / "images").mkdir(parents=True)
    with pytest.raises(UserError, match=r"nothing to learn beside the images; expected segmentation, depth"):
        Folder(root=str(tmp_path)).tasks()


def test_three_images_are_too_few_to_carve(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "mine", train=2, fixed=False)
    with pytest.raises(UserError, match=r"2 samples are too few to carve validation and test from"):
        Folder(root=str(root)).index(root)


def test_a_void_id_of_its_own(pristine: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(pristine, tmp_path / "mine"))
    picture("train/segmentation/p01.png", value=7)(root)
    dataset = Folder(root=str(root), height=HEIGHT, width=WIDTH, ignore=7)
    dataset.prepare(tmp_path / "cache", silent)
    labels = dataset.samples("train", tmp_path / "cache").batch(torch.tensor([1])).target["segmentation"]
    assert labels.eq(255).all()
