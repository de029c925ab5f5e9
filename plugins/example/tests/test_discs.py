"""Discs against geometry."""

from __future__ import annotations

import math

import torch
from msbench_example.discs import draw


def test_a_discs_area_is_that_of_its_circle() -> None:
    """Gauss's circle problem: the error is far below the circumference."""
    _, disc, radius = draw(count=32, side=64, seed=0)
    area = disc.flatten(1).sum(1).float()
    assert ((area - math.pi * radius**2).abs() < 0.25 * 2 * math.pi * radius).all()


def test_discs_lie_inside_and_are_brighter_than_the_rest() -> None:
    image, disc, radius = draw(count=32, side=32, seed=1)
    rows = disc.any(2).sum(1).float()
    assert ((rows - 2 * radius).abs() <= 1.5).all(), "nothing is cut off"
    red = image[:, 0]
    assert red[disc == 1].min() > red[disc == 0].max()
    assert torch.equal(draw(count=32, side=32, seed=1)[0], image)
