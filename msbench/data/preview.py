"""Contact sheets: samples beside their targets, and targets beside predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from msbench.data.dataset import Batch, Dataset, Samples
from msbench.tasks.task import Task

_TILE: Final = 128
_GAP: Final = 6
_LINE: Final = 17
_FONT_SIZE: Final = 13
_INK: Final = (32, 32, 36)
_PAPER: Final = (255, 255, 255)

Row = tuple[list[Image.Image], str]
"""Tiles of one sample, and the line of text below them."""


def contact_sheet(dataset: Dataset, samples: Samples, count: int = 8) -> Image.Image:
    """One row for each of `count` samples, spread over the part: the image, then every task's target.

    Attributes are written below the row that they belong to.
    """
    count = min(count, len(samples))
    batch = samples.batch(torch.linspace(0, len(samples) - 1, count).round().long())
    dense, vector = _by_head(dataset.tasks())
    rows: list[Row] = []
    for index in range(count):
        tiles = [_photo(batch, index), *(_target(task, batch, index) for task in dense)]
        known = (f"{_label(task)}: {_answer(task, batch, index)}" for task in vector)
        rows.append((tiles, "   ".join(known)))
    return _sheet(["image", *(task.name for task in dense)], rows)


def prediction_sheet(batch: Batch, outputs: Mapping[str, Tensor], tasks: Sequence[Task], count: int = 8) -> Image.Image:
    """One row for each of the first `count` samples: the image, then target and prediction of every task.

    outputs: raw head outputs by task name, already resized to the targets' grid.
    """
    count = min(count, len(batch))
    dense, vector = _by_head(tasks)
    predicted = {task.name: task.predict(outputs[task.name][:count].detach().cpu()) for task in tasks}
    rows: list[Row] = []
    for index in range(count):
        tiles = [_photo(batch, index)]
        for task in dense:
            tiles += [_target(task, batch, index), _prediction(task, predicted[task.name][index])]
        answers = []
        for task in vector:
            score = predicted[task.name][index].item()
            answers.append(f"{_label(task)}: {_answer(task, batch, index)} (predicted {score:.2f})")
        rows.append((tiles, "   ".join(answers)))
    titles = [title for task in dense for title in (task.name, "predicted")]
    return _sheet(["image", *titles], rows)


def _by_head(tasks: Sequence[Task]) -> tuple[list[Task], list[Task]]:
    dense = [task for task in tasks if task.head == "dense"]
    return dense, [task for task in tasks if task.head == "vector"]


def _photo(batch: Batch, index: int) -> Image.Image:
    pixels = (batch.image[index].detach().cpu() * 255).round().clamp(0, 255).to(torch.uint8)
    return _tile(pixels, Image.Resampling.BICUBIC)


def _target(task: Task, batch: Batch, index: int) -> Image.Image:
    target, valid = batch.target[task.name][index].cpu(), batch.valid[task.name][index].cpu()
    return _tile(task.picture(target, valid), Image.Resampling.NEAREST)


def _prediction(task: Task, predicted: Tensor) -> Image.Image:
    everywhere = torch.ones(predicted.shape[-2:], dtype=torch.bool)
    return _tile(task.picture(predicted, everywhere), Image.Resampling.NEAREST)


def _label(task: Task) -> str:
    return str(getattr(task, "label", "") or task.name)


def _answer(task: Task, batch: Batch, index: int) -> str:
    if not batch.valid[task.name][index]:
        return "unknown"
    return "yes" if batch.target[task.name][index] > 0.5 else "no"


def _tile(picture: Tensor, resampling: Image.Resampling) -> Image.Image:
    """uint8 [3, H, W] with its longer side brought to the size of a tile."""
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    scale = _TILE / max(image.size)
    if scale < 1:
        resampling = Image.Resampling.LANCZOS if resampling == Image.Resampling.BICUBIC else resampling
    return image.resize((round(image.width * scale), round(image.height * scale)), resampling)


def _sheet(titles: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    """Titles above columns of tiles, and below each row its text, broken where it is wider than the row."""
    font = ImageFont.load_default(_FONT_SIZE)
    phrases = [phrase for _, text in rows for phrase in text.split("   ")]
    longest = max((round(font.getlength(phrase)) for phrase in phrases), default=0)
    width = max(len(titles) * (_TILE + _GAP) + _GAP, longest + 2 * _GAP)
    wrapped = [_wrap(text, width - 2 * _GAP, font) for _, text in rows]
    tallest = max((tile.height for tiles, _ in rows for tile in tiles), default=0)
    lines = max((len(text) for text in wrapped), default=0)
    step = tallest + lines * _LINE + _GAP
    sheet = Image.new("RGB", (width, _LINE + 2 * _GAP + len(rows) * step), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((_GAP + column * (_TILE + _GAP), _GAP), title, _INK, font)
    for number, ((tiles, _), text) in enumerate(zip(rows, wrapped, strict=True)):
        top = _LINE + 2 * _GAP + number * step
        for column, tile in enumerate(tiles):
            sheet.paste(tile, (_GAP + column * (_TILE + _GAP), top))
        for line, words in enumerate(text):
            draw.text((_GAP, top + tallest + line * _LINE), words, _INK, font)
    return sheet


def _wrap(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines: list[str] = []
    for phrase in filter(None, text.split("   ")):
        joined = f"{lines[-1]}   {phrase}" if lines else phrase
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(phrase)
    return lines
