"""Contact sheets are there to be looked at: right size, nothing blank, text where text belongs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from msbench.data.dataset import Batch, Dataset, Part, Progress, Samples, TensorSamples
from msbench.data.preview import contact_sheet, prediction_sheet
from msbench.tasks.attribute import AttributeTask
from msbench.tasks.segmentation import SegmentationTask
from msbench.tasks.task import Task
from msbench_plugins.datasets.rooms.dataset import Rooms

TILE, GAP = 128, 6


class Tiny(Dataset):
    """Two classes, left and right, and whether the image is bright."""

    name = "tiny"

    def tasks(self) -> tuple[Task, ...]:
        classes = SegmentationTask(classes=("left", "right"), palette=((255, 0, 0), (0, 0, 255)))
        return classes, AttributeTask(name="bright", label="bright image")

    def prepare(self, cache: Path, progress: Progress) -> None:
        """Nothing to do."""

    def samples(self, part: Part, cache: Path) -> Samples:
        image = torch.zeros(4, 3, 12, 16, dtype=torch.uint8)
        image[2:] = 200
        label = torch.zeros(4, 12, 16, dtype=torch.uint8)
        label[..., 8:] = 1
        valid = torch.ones(4, 12, 16, dtype=torch.bool)
        bright = torch.tensor([0.0, 0.0, 1.0, 1.0])
        return TensorSamples(
            image,
            {"segmentation": label, "bright": bright},
            {"segmentation": valid, "bright": torch.ones(4, dtype=torch.bool)},
        )

    def fingerprint(self, cache: Path) -> str:
        return "tiny"


def tile(sheet: Image.Image, column: int, top: int, height: int = TILE) -> np.ndarray:
    left = GAP + column * (TILE + GAP)
    return np.asarray(sheet.crop((left, top, left + TILE, top + height)))


def test_a_contact_sheet_shows_every_task_of_every_sample(rooms: Rooms, cache: Path) -> None:
    sheet = contact_sheet(rooms, rooms.samples("test", cache), count=3)
    assert sheet.mode == "RGB"
    assert sheet.width == 5 * (TILE + GAP) + GAP
    first = 17 + 2 * GAP
    assert sheet.height == first + 3 * (TILE + GAP)
    for row in range(3):
        for column in range(5):
            assert tile(sheet, column, first + row * (TILE + GAP)).std() > 5


def test_labels_keep_their_colours_when_enlarged(tmp_path: Path) -> None:
    dataset = Tiny()
    sheet = contact_sheet(dataset, dataset.samples("train", tmp_path), count=2)
    label = tile(sheet, 1, 17 + 2 * GAP, height=96)
    assert (label[:, :64] == (255, 0, 0)).all()
    assert (label[:, 64:] == (0, 0, 255)).all()


def test_attributes_are_written_below_their_row(tmp_path: Path) -> None:
    dataset = Tiny()
    sheet = contact_sheet(dataset, dataset.samples("train", tmp_path), count=2)
    top = 17 + 2 * GAP
    lines = [np.asarray(sheet.crop((0, top + row * 119 + 97, 200, top + row * 119 + 112))) for row in (0, 1)]
    assert all(line.min() < 100 for line in lines)
    assert not np.array_equal(*lines), "one says no, the other yes"


def test_long_attributes_of_a_dataset_without_maps_are_not_cut_off(tmp_path: Path) -> None:
    class Wordy(Tiny):
        def tasks(self) -> tuple[Task, ...]:
            return (AttributeTask(name="bright", label="brighter than the mean of all images of the part"),)

    narrow = contact_sheet(Tiny(), Tiny().samples("train", tmp_path), count=2)
    sheet = contact_sheet(Wordy(), Wordy().samples("train", tmp_path), count=2)
    assert sheet.width > narrow.width
    assert np.asarray(sheet)[:, -GAP:].min() == 255, "a margin is left"


def test_predictions_stand_beside_their_targets(tmp_path: Path) -> None:
    dataset = Tiny()
    batch: Batch = dataset.samples("train", tmp_path).batch(torch.arange(4))
    wrong = torch.zeros(4, 2, 12, 16)
    wrong[:, 0] = 5.0
    outputs = {"segmentation": wrong.requires_grad_(), "bright": torch.full((4, 1), 3.0)}
    sheet = prediction_sheet(batch, outputs, dataset.tasks(), count=2)
    top = 17 + 2 * GAP
    assert sheet.width == 3 * (TILE + GAP) + GAP
    assert (tile(sheet, 1, top, height=96)[:, 64:] == (0, 0, 255)).all()
    assert (tile(sheet, 2, top, height=96) == (255, 0, 0)).all()


def test_more_rows_than_samples_are_not_asked_for(tmp_path: Path) -> None:
    dataset = Tiny()
    samples = dataset.samples("train", tmp_path)
    assert contact_sheet(dataset, samples, count=99).size == contact_sheet(dataset, samples, count=4).size
