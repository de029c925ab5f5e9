"""The dataset of drawn faces: batches, tasks, fingerprint, settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from msbench.data.preview import contact_sheet
from msbench.errors import UserError
from msbench.models.multitask import MultiTaskModel
from msbench.sparsity.compaction import compact, prove
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench_plugins.backbones.small_resnet import SmallResNet
from msbench_plugins.datasets.faces.attributes import NAMES
from msbench_plugins.datasets.faces.dataset import Faces
from msbench_plugins.datasets.faces.render import render
from msbench_plugins.heads.light import LightDense, TwoLayer

BACKGROUND, HAIR, SKIN = range(3)
SIZE = 48


@pytest.fixture(scope="module")
def faces(cache: Path) -> Faces:
    dataset = Faces(size="xs")
    dataset.prepare(cache, lambda done, total, what: None)
    return dataset


# ---- the dataset


def test_batches_are_canonical(faces: Faces, cache: Path) -> None:
    sizes = {part: len(faces.samples(part, cache)) for part in ("train", "validation", "test")}
    assert sizes == {"train": 256, "validation": 64, "test": 64}
    batch = faces.samples("train", cache).batch(torch.tensor([5, 0, 255]))
    assert batch.image.dtype == torch.float32
    assert batch.image.shape == (3, 3, 32, 32)
    assert 0 <= batch.image.min() < batch.image.max() <= 1
    shapes = {name: (value.dtype, tuple(value.shape)) for name, value in batch.target.items()}
    assert shapes == {"segmentation": (torch.int64, (3, 32, 32))} | dict.fromkeys(NAMES, (torch.int64, (3,)))
    assert all(batch.valid[name].all() and batch.valid[name].shape == batch.target[name].shape for name in shapes)
    exact = render(7, "train", [5, 0, 255], 32)
    assert batch.target["segmentation"].equal(exact.segmentation.long())
    assert torch.stack([batch.target[name] for name in NAMES], 1).equal(exact.attributes.long())


def test_tasks_are_those_of_the_papers(faces: Faces) -> None:
    tasks = faces.tasks()
    assert faces.default_tasks() == ("segmentation", *NAMES)
    assert tasks[0].channels == 3
    assert [task.head for task in tasks] == ["dense"] + ["vector"] * 6
    assert faces.synthetic


def test_mirrored_faces_have_mirrored_masks_and_the_same_answers(faces: Faces, cache: Path) -> None:
    batch = faces.samples("train", cache).batch(torch.arange(64))
    for task in faces.tasks():
        target = batch.target[task.name]
        mirrored = task.flip(target)
        if task.head == "vector":
            assert mirrored.equal(target)
            continue
        # every class keeps its pixels: their summed light is that of the unmirrored face
        for label in range(3):
            there = (batch.image * (target == label)[:, None]).sum((1, 2, 3))
            mirrored_there = (batch.image.flip(-1) * (mirrored == label)[:, None]).sum((1, 2, 3))
            torch.testing.assert_close(mirrored_there, there)
        assert not mirrored.equal(target)


def test_every_task_trains_on_its_target_and_the_sheet_shows_it(faces: Faces, cache: Path) -> None:
    samples = faces.samples("validation", cache)
    batch = samples.batch(torch.arange(2))
    for task in faces.tasks():
        shape = (2, task.channels, 32, 32) if task.head == "dense" else (2, task.channels)
        output = torch.zeros(shape, requires_grad=True)
        loss = task.loss(output, batch.target[task.name], batch.valid[task.name])
        loss.backward()
        assert loss.item() > 0
        assert output.grad is not None
        assert output.grad.any()
    sheet = contact_sheet(faces, samples, count=3)
    assert sheet.width > 2 * 128
    assert sheet.height > 3 * 128


@pytest.mark.parametrize("scope", ["backbone", "model"])
def test_a_network_with_dense_and_vector_heads_runs_and_shrinks_exactly(faces: Faces, cache: Path, scope: str) -> None:
    tasks = faces.tasks()
    image = faces.samples("test", cache).batch(torch.arange(2)).image
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = SmallResNet(width=8, blocks=1).build()
        heads = {
            task.name: (LightDense(width=8) if task.head == "dense" else TwoLayer(width=8)).build(
                backbone, task.channels
            )
            for task in tasks
        }
    model = MultiTaskModel(backbone, heads, [task.name for task in tasks if task.head == "dense"]).eval()
    shapes = {name: tuple(output.shape) for name, output in model(image).items()}
    assert shapes == {"segmentation": (2, 3, 32, 32)} | dict.fromkeys(NAMES, (2, 1))

    generator = torch.Generator().manual_seed(1)
    mask = Mask({
        layer.name: torch.rand(layer.count, generator=generator) < 0.6 for layer in Groups.of(model, scope).layers
    })  # fmt: skip
    shrunk = compact(model, mask, image)
    mask.apply(model)
    proof = prove(model, shrunk.model, [image], exact=shrunk.exact)
    assert proof.equal, proof
    assert sum(p.numel() for p in shrunk.model.parameters()) < 0.8 * sum(p.numel() for p in model.parameters())


def test_the_fingerprint_tells_what_the_samples_are_made_of(cache: Path) -> None:
    prints = {Faces(size=size, seed=seed).fingerprint(cache) for size in ("xs", "s") for seed in (7, 8)}
    assert len(prints) == 4
    assert Faces().fingerprint(cache) == Faces().fingerprint(cache / "elsewhere")


def test_a_prepared_dataset_is_not_drawn_again(faces: Faces, cache: Path) -> None:
    replace(faces).prepare(cache, lambda done, total, what: pytest.fail("drawn twice"))


def test_progress_ends_with_everything_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from msbench_plugins.datasets.faces import dataset

    monkeypatch.setitem(dataset.SIZES, "xs", dataset.Size(16, {"train": 300, "validation": 2, "test": 1}))
    heard: list[tuple[int, int]] = []
    Faces(size="xs").prepare(tmp_path, lambda done, total, what: heard.append((done, total)))
    assert heard == sorted(heard)
    assert heard[-1] == (303, 303)


@pytest.mark.parametrize(
    ("field", "value", "choices"), [("size", "xl", "xs, s, m"), ("seed", -1, "from 0"), ("seed", True, "from 0")]
)
def test_impossible_settings_name_the_choices(field: str, value: object, choices: str) -> None:
    with pytest.raises(UserError, match=f"data.{field}.*{choices}"):
        Faces(**{field: value})
