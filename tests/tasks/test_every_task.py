"""What every standard task promises to the trainer and to the board."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msbench.errors import UserError
from msbench.tasks.attribute import AttributeTask
from msbench.tasks.depth import DepthTask
from msbench.tasks.edges import EdgesTask
from msbench.tasks.keypoints import KeypointsTask
from msbench.tasks.segmentation import SegmentationTask

from .conftest import TASKS, broadcast, evaluate, example


def test_metrics_are_reported_in_display_order_with_the_headline_among_them(task):
    found = evaluate(task, *example(task, 0))
    assert list(found) == list(task.metrics)
    assert task.headline in found
    assert task.metrics[task.headline].in_delta
    assert all(spec.label and spec.better in {"higher", "lower"} for spec in task.metrics.values())


def test_tasks_are_immutable_comparable_and_hashable(task):
    assert dataclasses.replace(task, name="other") != task
    assert hash(dataclasses.replace(task)) == hash(task)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "other"


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_loss_is_never_negative_and_its_gradient_is_finite(task, seed, scale):
    output, target, valid = example(task, seed, images=2)
    target = target.float() if target.is_floating_point() else target
    output = (output * scale).float().requires_grad_()
    loss = task.loss(output, target, valid)
    loss.backward()
    assert loss.item() >= 0
    assert output.grad.isfinite().all()


def test_loss_gradient_agrees_with_finite_differences(task):
    output, target, valid = example(task, 1, images=2, size=5)
    output.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: task.loss(x, target, valid), (output,))


def test_ignored_pixels_change_neither_loss_nor_gradient_nor_metrics(task):
    output, target, valid = example(task, 2)
    changed_output, changed_target = output.clone(), target.clone()
    places = ~valid if target.shape == valid.shape else ~valid[:, None].expand_as(target)
    changed_target[places] = 255 if task.kind == "segmentation" else 1
    if target.is_floating_point():
        changed_target[places] = torch.nan
    changed_output[~valid[:, None].expand_as(output)] += 7.0

    losses, gradients = [], []
    for x, y in ((output, target), (changed_output, changed_target)):
        leaf = x.detach().requires_grad_()
        losses.append(task.loss(leaf, y, valid))
        losses[-1].backward()
        gradients.append(leaf.grad)
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-12)
    torch.testing.assert_close(gradients[0], gradients[1])
    assert not gradients[1][~valid[:, None].expand_as(output)].any()
    assert evaluate(task, output, target, valid) == pytest.approx(evaluate(task, changed_output, changed_target, valid))


def test_nothing_valid_gives_zero_loss_with_a_finite_gradient_and_no_metrics(task):
    output, target, valid = example(task, 3)
    output.requires_grad_()
    loss = task.loss(output, target, torch.zeros_like(valid))
    loss.backward()
    assert loss.item() == 0
    assert output.grad.abs().sum() == 0
    with pytest.raises(UserError, match=f"task {task.name!r}: this part has no valid target"):
        evaluate(task, output.detach(), target, torch.zeros_like(valid))
    assert task.constant(target, torch.zeros_like(valid)).isfinite().all()


@given(data=st.data(), seed=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_metrics_depend_neither_on_the_cut_into_batches_nor_on_the_order(task, data, seed):
    batch = example(task, seed, images=5, size=5)
    whole = evaluate(task, *batch)
    cuts = sorted(data.draw(st.sets(st.integers(1, 4))))
    sizes = [stop - start for start, stop in zip([0, *cuts], [*cuts, 5], strict=True)]
    order = torch.tensor(data.draw(st.permutations(range(5))))
    shuffled = [part[order] for part in batch]
    assert evaluate(task, *shuffled, sizes=sizes) == pytest.approx(whole, rel=1e-9)
    assert float(task.loss(*shuffled)) == pytest.approx(float(task.loss(*batch)), rel=1e-9)


def test_every_metric_is_documented_and_finite_also_for_a_part_with_next_to_nothing(task):
    output, target, valid = example(task, 12)
    first = torch.zeros_like(valid)
    first.view(-1)[0] = True
    found = evaluate(task, output, target, first)
    assert all(math.isfinite(value) for value in found.values())
    assert all(spec.formula for spec in task.metrics.values())


def test_an_empty_batch_among_others_changes_nothing(task):
    output, target, valid = example(task, 5)
    valid[1] = False
    kept = torch.tensor([0, 2, 3, 4])
    assert evaluate(task, output, target, valid, sizes=(1, 1, 3)) == pytest.approx(
        evaluate(task, output[kept], target[kept], valid[kept]), rel=1e-9
    )


def test_mirroring_twice_is_the_identity(task):
    _, target, _ = example(task, 6)
    assert torch.equal(task.flip(task.flip(target)), target)


def test_a_mirrored_batch_has_the_same_metrics_when_the_output_is_mirrored_too(task):
    output, target, valid = example(task, 7)
    mirrored = task.flip(output) if task.kind == "normals" or task.head == "vector" else output.flip(-1)
    side = valid.flip(-1) if task.head == "dense" else valid
    assert evaluate(task, mirrored, task.flip(target), side) == pytest.approx(
        evaluate(task, output, target, valid), rel=1e-9
    )


def test_constant_is_the_least_loss_or_the_best_headline_of_all_constants(task):
    """No constant of a random search beats the task's own, on what it is made for."""
    _, target, valid = example(task, 8)
    constant = task.constant(target, valid)
    assert constant.shape == (task.channels,)
    assert constant.isfinite().all()

    spec = task.metrics[task.headline]
    sign = 1 if spec.better == "higher" else -1
    # label smoothing and class weights move the least loss away from the class frequencies
    by_loss = task.kind in {"segmentation", "normals"} or getattr(task, "binary", False)
    by_loss = by_loss and not getattr(task, "smoothing", 0.0) and not getattr(task, "class_weights", ())

    def value(candidate):
        output = broadcast(candidate.double(), valid)
        if by_loss:
            return -float(task.loss(output, target, valid))
        return sign * evaluate(task, output, target, valid)[task.headline]

    own = value(constant)
    generator = torch.Generator().manual_seed(0)
    far, near = torch.randn(2, 15, task.channels, generator=generator)
    others = torch.cat([3 * far, constant + 0.05 * near])
    assert all(value(other) <= own + 1e-4 * abs(own) for other in others)


def test_pictures_are_rgb_with_invalid_pixels_in_black(task):
    _, target, valid = example(task, 9, size=12)
    valid[1] = False
    seen, hidden = task.picture(target[0], valid[0]), task.picture(target[1], valid[1])
    for picture in (seen, hidden):
        assert picture.dtype == torch.uint8
        assert picture.ndim == 3
        assert picture.shape[0] == 3
    if task.head == "dense":
        assert seen.shape[1:] == target.shape[-2:]
    assert seen.any()
    assert not hidden.any()


def test_predictions_have_the_form_of_targets(task):
    output, target, valid = example(task, 10)
    predicted = task.predict(output)
    assert predicted.shape == target.shape
    assert predicted.is_floating_point() or task.kind == "segmentation"
    assert task.picture(predicted[0], valid[0]).dtype == torch.uint8


@pytest.mark.parametrize("name", list(TASKS))
def test_evaluating_300_small_images_is_fast(name):
    """Below 0.3 s on one idle thread; processor time, and room for a busy machine."""
    task = TASKS[name]
    output, target, valid = example(task, 11, images=300, size=64)
    output, target = output.float(), target.float() if target.is_floating_point() else target
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        evaluate(task, output, target, valid, sizes=[50] * 6)
        start = time.thread_time()
        evaluate(task, output, target, valid, sizes=[50] * 6)
        assert time.thread_time() - start < 0.6
    finally:
        torch.set_num_threads(threads)


def test_defining_tasks_does_not_import_torchmetrics_or_torchvision():
    code = (
        "import sys, msbench.tasks.depth, msbench.tasks.edges, msbench.tasks.normals, msbench.tasks.attribute, "
        "msbench.tasks.segmentation as s; s.SegmentationTask(classes=('a', 'b')); "
        "print([m for m in ('torchmetrics', 'torchvision') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SegmentationTask(classes=("only",)), "classes: expected at least 2, got 1"),
        (lambda: SegmentationTask(classes=("a", "b"), palette=((0, 0, 0),)), "1 colours for 2 classes"),
        (lambda: DepthTask(typical=0.0), "typical: expected metres above 0, got 0.0"),
        (lambda: SegmentationTask(classes=("a", "b"), class_weights=(1.0,)), "1 weights for 2 classes"),
        (lambda: SegmentationTask(classes=("a", "b"), class_weights=(1.0, 0.0)), "class_weights: expected all above 0"),
        (lambda: DepthTask(objective="l3"), "objective: expected one of hu, l1, l2, got 'l3'"),
        (lambda: EdgesTask(huber_delta=-1.0), "huber_delta: expected 0 or more, got -1.0"),
        (lambda: KeypointsTask(huber_delta=math.nan), "huber_delta: expected 0 or more, got nan"),
        (lambda: AttributeTask("a", positive_weight=math.nan), "positive_weight: expected above 0, got nan"),
    ],
)
def test_impossible_settings_are_refused_with_the_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()
