"""NYU Depth v2 in every layout, fabricated: written from the formats' descriptions, not with the product's writers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

HEIGHT, WIDTH = 24, 32
TRAIN, TEST = (2, 3, 5, 6), (1, 4)
"""Official numbers of the images, from 1."""

FINE = ("couch", "wall", "floor", "bed", "lamp", "night stand")
"""Annotators' names, in the order of their labels from 1."""

COARSE = (6, 1, 2, 4, 35, 32)
"""Of the forty classes, from 1: sofa, wall, floor, bed, lamp, night stand."""

THIRTEEN = {"sofa": 8, "wall": 11, "floor": 4, "bed": 0, "lamp": 6, "night stand": 5}
"""Labels from 0 of the same among bed, books, ceiling, chair, floor, furniture, objects, picture, sofa, ..."""


@dataclass(frozen=True)
class Scene:
    """What a loader must give, and the annotation it comes from.

    fine: labels of FINE from 1, 0 = void. instances: numbers of things. normals: x right, y up, z toward the camera.
    """

    image: np.ndarray
    fine: np.ndarray
    instances: np.ndarray
    depth: np.ndarray
    measured: np.ndarray
    normals: np.ndarray
    edges: np.ndarray

    @property
    def labels40(self) -> np.ndarray:
        """Labels of the forty classes, from 0; 255 = void."""
        return np.array([255, *(label - 1 for label in COARSE)])[self.fine]

    @property
    def labels13(self) -> np.ndarray:
        """Labels of the thirteen classes, from 0; 255 = void."""
        return np.array([255, *THIRTEEN.values()])[self.fine]


def scene(number: int) -> Scene:
    """A back wall, a floor and a left wall, each with its normal, and a void column; colours tell the number."""
    generator = np.random.default_rng(number)
    fine = np.full((HEIGHT, WIDTH), 2, np.uint16)
    fine[HEIGHT // 2 :] = 3
    fine[:6, 20:26] = 1 + number % 6
    normals = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    normals[: HEIGHT // 2] = (0, 0, 1)
    normals[HEIGHT // 2 :] = (0, 1, 0)
    normals[: HEIGHT // 2, :8] = (1, 0, 0)
    fine[:, 10] = 0
    normals[:, 10] = 0
    instances = np.where(fine == 2, 1 + (np.arange(WIDTH) < 16), fine > 0).astype(np.uint8)
    edges = np.zeros((HEIGHT, WIDTH), np.float32)
    edges[HEIGHT // 2 - 1] = 1
    depth = generator.uniform(1, 6, (HEIGHT, WIDTH)).astype(np.float32)
    measured = generator.uniform(size=(HEIGHT, WIDTH)) > 0.1
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([rows * 10, columns * 7, np.full_like(rows, 40 * number)], axis=2).astype(np.uint8)
    return Scene(image, fine, instances, depth, measured, normals, edges)


SCENES = {number: scene(number) for number in (*TRAIN, *TEST)}


def void_to(value: int, labels: np.ndarray, shift: int = 0) -> np.ndarray:
    return np.where(labels == 255, value, labels.astype(np.int64) + shift)


def png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def npy(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def colours(normals: np.ndarray) -> np.ndarray:
    """Red right, green forward, blue up; white where there is none, and grey at one pixel that is none either."""
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for vector, colour in (((0, 0, 1), (128, 0, 128)), ((0, 1, 0), (127, 127, 255)), ((1, 0, 0), (255, 128, 128))):
        pixels[(normals == np.array(vector, np.float32)).all(2)] = colour
    pixels[0, 10] = (128, 127, 128)
    return pixels


def write_mtan(root: Path) -> Path:
    for part, numbers in (("train", TRAIN), ("val", TEST)):
        for index, number in enumerate(numbers):
            scene = SCENES[number]
            folder = root / part
            npy(folder / "image" / f"{index}.npy", (scene.image / 255).astype(np.float32))
            npy(folder / "label" / f"{index}.npy", void_to(-1, scene.labels13).astype(np.float32))
            npy(folder / "depth" / f"{index}.npy", np.where(scene.measured, scene.depth, 0)[..., None])
            npy(folder / "normal" / f"{index}.npy", scene.normals)
    return root


def write_adashare(root: Path, listed: bool = True) -> Path:
    rows = {}
    for number, scene in SCENES.items():
        name = f"{number - 1:04d}"
        rows[number] = [f"img/{name}.png", f"seg/{name}.png", f"normal_mask/{name}.png", f"depth/{name}.npy"]
        png(root / rows[number][0], scene.image)
        png(root / rows[number][1], scene.labels40.astype(np.uint8))
        png(root / rows[number][2], colours(scene.normals))
        npy(root / rows[number][3], np.where(scene.measured, scene.depth, 0).astype(np.float32))
    if listed:
        parts = {"train": [rows[n] for n in TRAIN], "test": [rows[n] for n in TEST], "train1": [], "train2": []}
        (root / "nyu_v2_3task.json").write_text(json.dumps(parts))
    return root


def write_nyud_mt(root: Path, arrays: bool = True) -> Path:
    (root / "gt_sets").mkdir(parents=True)
    for part, numbers in (("train", TRAIN), ("val", TEST)):
        (root / "gt_sets" / f"{part}.txt").write_text("\n".join(f"{number:04d}" for number in numbers))
    for number, scene in SCENES.items():
        name = f"{number:04d}"
        (root / "images").mkdir(exist_ok=True)
        Image.fromarray(scene.image).save(root / "images" / f"{name}.jpg", quality=98, subsampling=0)
        labels = void_to(0, scene.labels40, 1).astype(np.uint8)
        depth = np.where(scene.measured, scene.depth, 0).astype(np.float32)
        if arrays:
            png(root / "segmentation" / f"{name}.png", labels)
            npy(root / "depth" / f"{name}.npy", depth)
            npy(root / "normals" / f"{name}.npy", scene.normals)
            npy(root / "edge" / f"{name}.npy", scene.edges)
            continue
        for folder, key, array in (("segmentation", "segmentation", labels), ("depth", "depth", depth)):
            (root / folder).mkdir(exist_ok=True)
            savemat(root / folder / f"{name}.mat", {key: array})
        (root / "normals").mkdir(exist_ok=True)
        pixels = ((scene.normals + 1) * 127.5).round().astype(np.uint8)
        Image.fromarray(pixels).save(root / "normals" / f"{name}.jpg", quality=100, subsampling=0)
        png(root / "edge" / f"{name}.png", (scene.edges * 255).astype(np.uint8))
    return root


def write_splits(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    numbers = {"trainNdxs": TRAIN, "testNdxs": TEST}
    savemat(root / "splits.mat", {key: np.array(value, np.uint16)[:, None] for key, value in numbers.items()})


def write_mat(root: Path, ladicky: bool = False) -> Path:
    """MATLAB's axes reversed: sample, channel, column, row; names as references to arrays of characters."""
    write_splits(root)
    names = np.array(FINE, object)[None]
    savemat(root / "classMapping40.mat", {"mapClass": np.array([COARSE], np.uint8), "allClassName": names})
    scenes = [SCENES[number] for number in sorted(SCENES)]
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.stack([np.moveaxis(scene.image, (0, 1, 2), (2, 1, 0)) for scene in scenes])
        file["depths"] = np.stack([scene.depth.T for scene in scenes])
        file["rawDepths"] = np.stack([np.where(scene.measured, scene.depth, 0).T for scene in scenes])
        file["labels"] = np.stack([scene.fine.T for scene in scenes])
        file["instances"] = np.stack([scene.instances.T for scene in scenes])
        cell = file.create_dataset("names", (1, len(FINE)), h5py.ref_dtype)
        for index, name in enumerate(FINE):
            text = file.create_dataset(f"#refs#/{index}", data=np.array([[ord(letter)] for letter in name], np.uint16))
            cell[0, index] = text.ref
    if ladicky:
        for part, numbers in (("train", TRAIN), ("test", TEST)):
            for number in numbers:
                png(root / "nyu_normals_gt" / part / f"{number:04d}.png", colours(SCENES[number].normals))
    return root


def write_pngs(root: Path) -> Path:
    for part, numbers in (("train", TRAIN), ("test", TEST)):
        for number in numbers:
            scene, name = SCENES[number], f"{number:04d}.png"
            png(root / f"{part}_rgb" / name, scene.image)
            png(root / f"{part}_seg13" / name, void_to(0, scene.labels13, 1).astype(np.uint8))
            png(root / f"{part}_sn" / name, colours(scene.normals))
            steps = np.where(scene.measured, scene.depth, 0) * 1e4
            png(root / f"{part}_depth" / name, steps.round().astype(np.uint16))
    return root
