"""Segmentation against formulas in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msbench.tasks.colours import OKABE_ITO, palette
from msbench.tasks.segmentation import SegmentationTask

from .conftest import CLASSES, broadcast, evaluate, example

TASK = SegmentationTask(classes=CLASSES)


def one_hot(labels: torch.Tensor) -> torch.Tensor:
    """Confident outputs that predict these labels."""
    return torch.nn.functional.one_hot(labels, len(CLASSES)).movedim(-1, 1).float() * 9


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_smoothed_cross_entropy_over_valid_pixels(smoothing):
    task = SegmentationTask(classes=CLASSES, smoothing=smoothing)
    output, target, valid = example(task, 0)
    logits = output.numpy()
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    own = -np.take_along_axis(log_p, target.numpy()[:, None], 1)[:, 0]
    expected = ((1 - smoothing) * own - smoothing * log_p.mean(1))[valid.numpy()].mean()
    assert float(task.loss(output, target, valid)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_weights_make_a_weighted_mean(smoothing):
    """Torch's own weighted mean over the valid pixels alone."""
    weights = (0.1, 1.0, 2.0, 0.7)
    task = SegmentationTask(classes=CLASSES, class_weights=weights, smoothing=smoothing)
    output, target, valid = example(task, 4)
    pixels = output.movedim(1, -1)[valid], target[valid], output.new_tensor(weights)
    expected = float(torch.nn.functional.cross_entropy(*pixels, label_smoothing=smoothing))
    assert float(task.loss(output, target, valid)) == pytest.approx(expected, rel=1e-12)
    plain = float(torch.nn.functional.cross_entropy(*pixels))
    assert evaluate(task, output, target, valid)["cross_entropy"] == pytest.approx(plain, rel=1e-12)


def test_a_part_without_hits_has_defined_metrics():
    target = torch.tensor([[[0, 1], [2, 2]]])
    found = evaluate(TASK, one_hot((target + 1) % 4), target, torch.ones_like(target, dtype=torch.bool))
    assert found.pop("cross_entropy") > 0
    assert set(found.values()) == {0.0}


def test_label_255_is_ignored_even_where_it_is_marked_valid():
    output, target, valid = example(TASK, 1)
    marked = target.clone()
    marked[~valid] = 255
    everywhere = torch.ones_like(valid)
    assert float(TASK.loss(output, marked, everywhere)) == pytest.approx(float(TASK.loss(output, target, valid)))
    assert evaluate(TASK, output, marked, everywhere) == pytest.approx(evaluate(TASK, output, target, valid))


def test_metrics_of_a_hand_computed_case():
    # class 3 is predicted but never true: it lowers nobody's mean, only class 1's recall
    target = torch.tensor([[[0, 0, 0, 0], [1, 1, 2, 255]]])
    predicted = torch.tensor([[[0, 0, 0, 1], [1, 3, 2, 0]]])
    found = evaluate(TASK, one_hot(predicted), target, torch.ones_like(target, dtype=torch.bool))
    assert found["miou"] == pytest.approx(100 * (3 / 4 + 1 / 3 + 1) / 3)
    assert found["pixel_accuracy"] == pytest.approx(100 * 5 / 7)
    assert found["iou_micro_img"] == pytest.approx(100 * 5 / (5 + 2 + 2))
    assert found["miou_hit"] == found["miou"]


def test_a_class_that_is_never_hit_lowers_only_the_mean_over_all_that_are_there():
    target = torch.tensor([[[0, 0, 1, 1]]])
    found = evaluate(TASK, one_hot(torch.tensor([[[0, 0, 0, 0]]])), target, torch.ones_like(target, dtype=torch.bool))
    assert found["miou"] == pytest.approx(25)
    assert found["miou_hit"] == pytest.approx(50)


def test_metrics_equal_numpy_over_the_pooled_part():
    output, target, valid = example(TASK, 2)
    predicted, v, g = output.numpy().argmax(1), valid.numpy(), target.numpy()
    ious = []
    for label in range(len(CLASSES)):
        union = ((predicted == label) | (g == label)) & v
        if ((g == label) & v).any():
            ious.append(((predicted == label) & (g == label) & v).sum() / union.sum())
    per_image = []
    for p, t, m in zip(predicted, g, v, strict=True):
        hits = sum(((p == c) & (t == c) & m).sum() for c in range(len(CLASSES)))
        misses = sum(((p == c) != (t == c))[m].sum() for c in range(len(CLASSES)))
        per_image.append(hits / (hits + misses))
    found = evaluate(TASK, output, target, valid)
    assert found["miou"] == pytest.approx(100 * np.mean(ious))
    assert found["pixel_accuracy"] == pytest.approx(100 * (predicted == g)[v].mean())
    assert found["iou_micro_img"] == pytest.approx(100 * np.mean(per_image))


def test_constant_scores_the_majority_rate():
    _, target, valid = example(TASK, 3)
    target[target == 3] = 2
    shares = np.bincount(target[valid].numpy(), minlength=4) / int(valid.sum())
    found = evaluate(TASK, broadcast(TASK.constant(target, valid), valid), target, valid)
    assert found["pixel_accuracy"] == pytest.approx(100 * shares.max())
    assert found["miou"] == pytest.approx(100 * shares.max() / 3)


def test_picture_uses_the_palette_and_black_for_what_is_ignored():
    task = SegmentationTask(classes=("a", "b"), palette=((1, 2, 3), (4, 5, 6)))
    picture = task.picture(torch.tensor([[0, 1, 255, 1]]), torch.tensor([[True, True, True, False]]))
    assert picture[:, 0].T.tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0], [0, 0, 0]]


def test_generated_palette_starts_colour_blind_safe_and_repeats_no_colour_for_forty_classes():
    assert palette(8) == OKABE_ITO
    assert len(set(palette(40))) == 40
    assert (0, 0, 0) not in palette(40)
