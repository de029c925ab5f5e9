"""Attributes against formulas in numpy and hand-counted confusion matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msbench.tasks.attribute import AttributeTask

from .conftest import broadcast, evaluate, example

TASK = AttributeTask("smiling")


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_loss_is_the_weighted_cross_entropy_of_the_raw_output(weight):
    output, target, valid = example(TASK, 0, images=20)
    p = 1 / (1 + np.exp(-output.numpy()[:, 0]))
    y = target.numpy()
    expected = -(weight * y * np.log(p) + (1 - y) * np.log(1 - p))[valid.numpy()].mean()
    task = AttributeTask("smiling", positive_weight=weight)
    assert float(task.loss(output, target, valid)) == pytest.approx(expected, rel=1e-9)


def test_metrics_of_a_hand_counted_case():
    # tp 2, fn 1, fp 1, tn 4, and one invalid image; all outputs lie in [0, 1] in the last batch
    output = torch.tensor([[3.0], [0.1], [-1.0], [2.0], [-1.0], [-2.0], [-0.1], [-5.0], [0.9]])
    target = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0])
    valid = torch.tensor([True] * 8 + [False])
    found = evaluate(TASK, output, target, valid)
    assert found["accuracy"] == pytest.approx(100 * 6 / 8)
    assert found["majority_rate"] == pytest.approx(100 * 5 / 8)
    assert found["balanced_accuracy"] == pytest.approx(100 * (2 / 3 + 4 / 5) / 2)
    assert found["f1"] == pytest.approx(100 * 4 / 6)


def test_outputs_between_zero_and_one_are_logits_too():
    """A metric that guesses whether scores are logits would take 0.1 for a probability."""
    found = evaluate(TASK, torch.tensor([[0.1], [0.4]]), torch.tensor([1, 1]), torch.tensor([True, True]))
    assert found["accuracy"] == 100.0


def test_a_part_with_one_class_has_defined_metrics():
    found = evaluate(TASK, torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 0]), torch.tensor([True, True]))
    assert found == {"accuracy": 50.0, "majority_rate": 100.0, "balanced_accuracy": 50.0, "f1": 0.0}


@pytest.mark.parametrize("positives", [0, 3, 8, 10])
def test_constant_scores_the_majority_rate_whatever_the_weight(positives):
    target = (torch.arange(10) < positives).long()
    valid = torch.ones(10, dtype=torch.bool)
    task = AttributeTask("smiling", positive_weight=5.0)
    found = evaluate(task, broadcast(task.constant(target, valid), valid), target, valid)
    assert found["accuracy"] == found["majority_rate"] == pytest.approx(10 * max(positives, 10 - positives))


def test_mirroring_a_batch_keeps_the_order_of_its_labels():
    target = torch.tensor([1, 0, 0])
    assert TASK.flip(target).tolist() == [1, 0, 0]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_labels_may_have_any_dtype(dtype):
    output, target, valid = example(TASK, 1)
    assert float(TASK.loss(output, target.to(dtype), valid)) == pytest.approx(float(TASK.loss(output, target, valid)))
    assert evaluate(TASK, output, target.to(dtype), valid) == evaluate(TASK, output, target, valid)


def test_picture_tells_yes_from_no():
    yes, no = (TASK.picture(torch.tensor(label), torch.tensor(True)) for label in (1, 0))
    assert yes.shape == no.shape
    assert not torch.equal(yes, no)


def test_balanced_accuracy_stands_for_the_task_where_shares_of_positives_differ():
    balanced = AttributeTask("smiling", balanced=True)
    assert (TASK.headline, balanced.headline) == ("accuracy", "balanced_accuracy")
    for task in (TASK, balanced):
        assert [name for name, spec in task.metrics.items() if spec.in_delta] == [task.headline]


@pytest.mark.parametrize("positives", [1, 3, 9])
def test_no_constant_gets_more_than_half_of_balanced_accuracy(positives):
    """Learned where most are negative, judged where any number is positive."""
    task = AttributeTask("smiling", balanced=True)
    learned = task.constant(torch.tensor([0, 0, 1]), torch.ones(3, dtype=torch.bool))
    target, valid = (torch.arange(10) < positives).long(), torch.ones(10, dtype=torch.bool)
    assert evaluate(task, broadcast(learned, valid), target, valid)["balanced_accuracy"] == 50.0
