"""Every metric against torchmetrics or scikit-learn, on whole random parts with ignored pixels."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from msbench.tasks.attribute import AttributeTask
from msbench.tasks.depth import DepthTask
from msbench.tasks.edges import EdgesTask
from msbench.tasks.keypoints import KeypointsTask
from msbench.tasks.normals import NormalsTask
from msbench.tasks.pooling import import_torchmetrics
from msbench.tasks.segmentation import SegmentationTask

from .conftest import CLASSES, evaluate, example

seeds = given(seed=st.integers(0, 10_000))
few = settings(max_examples=15, deadline=None)


@pytest.fixture(scope="module")
def torchmetrics() -> ModuleType:
    return import_torchmetrics()


@seeds
@few
def test_segmentation(seed):
    task = SegmentationTask(classes=CLASSES)
    output, target, valid = example(task, seed, images=3, size=5)
    target[target == seed % 4] = 0  # a class that is predicted and never true
    found = evaluate(task, output, target, valid)
    p, g = output.argmax(1)[valid].numpy(), target[valid].numpy()
    assert found["miou"] == pytest.approx(100 * sk.jaccard_score(g, p, labels=np.unique(g), average="macro"))
    assert found["pixel_accuracy"] == pytest.approx(100 * sk.accuracy_score(g, p))
    each = sk.jaccard_score(g, p, labels=np.unique(g), average=None)
    assert found["miou_hit"] == pytest.approx(100 * each[each > 0].mean() if each.any() else 0.0)
    probabilities = output.softmax(1).movedim(1, -1)[valid].numpy()
    assert found["cross_entropy"] == pytest.approx(sk.log_loss(g, probabilities, labels=range(4)), rel=1e-6)
    images = [
        sk.jaccard_score(t[v], o.argmax(0)[v], labels=range(4), average="micro")
        for o, t, v in zip(output, target, valid, strict=True)
        if v.any()
    ]
    assert found["iou_micro_img"] == pytest.approx(100 * np.mean(images))


@seeds
@few
def test_micro_iou_is_a_transform_of_pixel_accuracy(seed):
    """One label a pixel: IoU = accuracy / (2 - accuracy) of each image, so it knows nothing of rare classes."""
    task = SegmentationTask(classes=CLASSES)
    batch = example(task, seed, images=1)
    found = evaluate(task, *batch)
    accuracy = found["pixel_accuracy"] / 100
    assert found["iou_micro_img"] == pytest.approx(100 * accuracy / (2 - accuracy))


@seeds
@few
def test_depth(seed):
    task = DepthTask()
    output, target, valid = example(task, seed, images=3, size=5)
    found = evaluate(task, output, target, valid)
    p, g = task.predict(output)[valid].numpy(), target[valid].numpy()
    assert found["abs"] == pytest.approx(sk.mean_absolute_error(g, p))
    assert found["rel"] == pytest.approx(sk.mean_absolute_percentage_error(g, p))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(g, p))
    for power in (1, 2, 3):
        # within a factor of 1.25**k: an interval in the logarithm
        near = np.abs(np.log(p) - np.log(g)) <= power * np.log(1.25) + 1e-12
        assert found[f"delta{power}"] == pytest.approx(100 * near.mean())
    scale = torch.where(valid, target, 0.0).flatten(1).amax(1)
    weights = (1 / scale)[:, None, None].expand_as(valid)[valid].numpy()
    share = sk.mean_absolute_error(g, p, sample_weight=weights) * weights.mean()
    assert found["abs_of_max"] == pytest.approx(share)


@seeds
@few
def test_normals(seed):
    task = NormalsTask()
    output, target, valid = example(task, seed, images=3, size=5)
    cosine = import_torchmetrics().functional.pairwise_cosine_similarity
    p, g = (v.movedim(1, -1)[valid] for v in (output, target))
    expected = cosine(p, g).diagonal()
    found = evaluate(task, output, target, valid)
    angle = np.degrees(np.arccos(expected.numpy().clip(-1, 1)))
    assert found["cosine"] == pytest.approx(expected.mean().item(), abs=1e-9)
    assert found["mean"] == pytest.approx(angle.mean(), rel=1e-6)
    assert found["median"] == pytest.approx(np.percentile(angle, 50, method="lower"), abs=0.005)
    for name, bound in (("within_11_25", 11.25), ("within_22_5", 22.5), ("within_30", 30.0)):
        assert found[name] == pytest.approx(100 * (angle <= bound).mean())


@seeds
@few
def test_soft_edges_and_keypoints(seed):
    for task, squash in ((EdgesTask(), torch.sigmoid), (KeypointsTask(), lambda x: x.clamp(0, 1))):
        output, target, valid = example(task, seed, images=3, size=5)
        found = evaluate(task, output, target, valid)
        p, g = squash(output[:, 0])[valid].numpy(), target[valid].numpy()
        nonzero = "mae_on_edges" if task.kind == "edges" else "mae_nonzero"
        assert found["mae"] == pytest.approx(sk.mean_absolute_error(g, p))
        assert found[nonzero] == pytest.approx(sk.mean_absolute_error(g, p, sample_weight=g != 0))


@seeds
@few
def test_binary_edges(seed):
    task = EdgesTask(binary=True)
    output, target, valid = example(task, seed, images=3, size=8)
    found = evaluate(task, output, target, valid)
    # probabilities a bin's width apart, so that a histogram of a thousand bins loses nothing
    p, g = (output[:, 0].sigmoid()[valid] * 1000).floor().numpy() / 1000, target[valid].numpy()
    precision, recall, _ = sk.precision_recall_curve(g, p)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert found["f1"] == pytest.approx(100 * f1.max())
    assert found["average_precision"] == pytest.approx(100 * sk.average_precision_score(g, p))


@seeds
@few
def test_attributes(seed):
    task = AttributeTask("smiling")
    output, target, valid = example(task, seed, images=12)
    found = evaluate(task, output, target, valid)
    p, g = (output[:, 0] >= 0)[valid].numpy().astype(int), target[valid].numpy()
    assert found["accuracy"] == pytest.approx(100 * sk.accuracy_score(g, p))
    assert found["f1"] == pytest.approx(100 * sk.f1_score(g, p, zero_division=0.0))
    assert found["balanced_accuracy"] == pytest.approx(
        100 * sk.recall_score(g, p, labels=np.unique(g), average="macro")
    )
    assert found["majority_rate"] == pytest.approx(100 * sk.accuracy_score(g, np.full_like(g, np.median(g) > 0.5)))


def test_torchmetrics_agrees_on_the_mean_iou(torchmetrics):
    task = SegmentationTask(classes=CLASSES)
    output, target, valid = example(task, 3)
    marked = torch.where(valid, target, 255)
    jaccard = torchmetrics.functional.classification.multiclass_jaccard_index
    expected = jaccard(output, marked, num_classes=4, ignore_index=255, average="macro")
    assert evaluate(task, output, target, valid)["miou"] == pytest.approx(100 * float(expected), rel=1e-6)


def test_the_metrics_that_the_papers_report_are_there():
    """Meta-sparsity (Table 2) and AdapMTL (its experiments section), by task; the published name is the comment."""
    reported = {
        SegmentationTask(classes=CLASSES): ["iou_micro_img", "miou", "pixel_accuracy"],  # IoU; mIoU, pixel accuracy
        DepthTask(): ["abs_of_max", "abs", "rel", "delta1", "delta2", "delta3"],  # MAE; abs., rel. error, δ
        NormalsTask(): ["cosine", "mean", "median", "within_11_25", "within_22_5", "within_30"],  # CS; angles
        EdgesTask(): ["mae", "mae_on_edges"],  # MAE over all pixels, or where there is an edge
        KeypointsTask(): ["mae", "mae_nonzero"],
        AttributeTask(): ["accuracy"],
    }
    for task, names in reported.items():
        assert set(names) <= set(task.metrics)


DELTA = {
    "segmentation": {"miou", "pixel_accuracy"},
    "depth": {"abs", "rel", "delta1", "delta2", "delta3"},
    "normals": {"mean", "median", "within_11_25", "within_22_5", "within_30"},
    "edges": {"mae"},
    "keypoints": {"mae"},
    "attribute": {"accuracy"},
}


@pytest.mark.parametrize(
    "task",
    [
        SegmentationTask(classes=CLASSES),
        DepthTask(),
        NormalsTask(),
        EdgesTask(),
        KeypointsTask(),
        AttributeTask(),
    ],
    ids=lambda task: task.kind,
)
def test_delta_is_made_of_the_metrics_of_adapmtl(task):
    assert {name for name, spec in task.metrics.items() if spec.in_delta} == DELTA[task.kind]
