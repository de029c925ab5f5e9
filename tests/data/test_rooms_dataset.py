"""The rooms dataset: configuration, cache, packing, batches."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from msbench.errors import UserError
from msbench_plugins.datasets.rooms import produce as producing
from msbench_plugins.datasets.rooms.choose import choose_scenes
from msbench_plugins.datasets.rooms.dataset import Rooms, whole_lines
from msbench_plugins.datasets.rooms.render import render
from msbench_plugins.datasets.rooms.storage import RoomsSamples, batch_labels, encode
from tests.data.rooms_oracle import hand_made

GOLDEN = Path(__file__).parent / "rooms_golden.safetensors"
"""Labels and depth (int16, mm) of the first scenes of seed 7, train, at 32 pixels. A generator that changes on
purpose makes other data: rename its cache folder and write this file anew with `encode`."""


def test_parts_have_the_announced_sizes(rooms: Rooms, cache: Path) -> None:
    sizes = {part: len(rooms.samples(part, cache)) for part in ("train", "validation", "test")}
    assert sizes == {"train": 96, "validation": 32, "test": 32}


def test_batches_are_canonical(rooms: Rooms, cache: Path) -> None:
    batch = rooms.samples("train", cache).batch(torch.tensor([5, 0, 95]))
    assert batch.image.dtype == torch.float32
    assert batch.image.shape == (3, 3, 32, 32)
    assert 0 <= batch.image.min() < batch.image.max() <= 1
    shapes = {name: (value.dtype, tuple(value.shape)) for name, value in batch.target.items()}
    assert shapes == {
        "segmentation": (torch.int64, (3, 32, 32)),
        "depth": (torch.float32, (3, 32, 32)),
        "normals": (torch.float32, (3, 3, 32, 32)),
        "edges": (torch.float32, (3, 32, 32)),
    }
    assert all(valid.dtype == torch.bool and valid.shape == (3, 32, 32) for valid in batch.valid.values())
    assert batch.valid["segmentation"].equal(batch.target["segmentation"] != 255)


def test_every_task_trains_on_its_target(rooms: Rooms, cache: Path) -> None:
    batch = rooms.samples("train", cache).batch(torch.arange(2))
    for task in rooms.tasks():
        output = torch.zeros(2, task.channels, 32, 32, requires_grad=True)
        target, valid = batch.target[task.name], batch.valid[task.name]
        assert task.predict(output).shape == target.shape, task.name
        loss = task.loss(output, target, valid)
        loss.backward()
        assert loss.item() > 0
        assert task.picture(target[0], valid[0]).shape == (3, 32, 32)


def test_packing_keeps_depth_to_half_a_millimetre_and_normals_to_half_a_degree(rooms: Rooms, cache: Path) -> None:
    exact = render(choose_scenes(7, "train", range(8)), 32)
    batch = rooms.samples("train", cache).batch(torch.arange(8))
    valid = exact.valid
    assert batch.valid["depth"].equal(valid)
    assert (batch.target["depth"] - exact.depth)[valid].abs().max() <= 0.0005 + 1e-6
    cosine = (batch.target["normals"] * exact.normal).sum(1)[valid]
    assert torch.rad2deg(cosine.clamp(-1, 1).acos()).max() < 0.5
    torch.testing.assert_close(batch.target["normals"].norm(dim=1)[valid], torch.ones(int(valid.sum())))
    assert not batch.target["depth"][~valid].any()
    assert not batch.target["normals"].transpose(0, 1)[:, ~valid].any()
    assert (batch.target["edges"] - exact.edges).abs().max() <= 0.5 / 255 + 1e-6


def test_forty_classes_gather_into_the_thirteen(rooms: Rooms, cache: Path) -> None:
    indices = torch.arange(16)
    fine = replace(rooms, classes=40).samples("train", cache).batch(indices).target["segmentation"]
    coarse = rooms.samples("train", cache).batch(indices).target["segmentation"]
    assert (fine == 255).equal(coarse == 255)
    names = {task.name: task for task in replace(rooms, classes=40).tasks()}["segmentation"]
    assert names.channels == 40
    # wall 0 -> 11, floor 1 -> 4, bed 3 -> 0, desk 13 -> 9 (table), curtain 15 -> 12 (window), lamp 34 -> 6 (objects)
    for label, group in ((0, 11), (1, 4), (3, 0), (13, 9), (15, 12), (34, 6)):
        assert (coarse[fine == label] == group).all()
    assert int(batch_labels(13)[0]) == int(batch_labels(40)[0]) == 255


def test_training_parts_show_every_class(rooms: Rooms, cache: Path) -> None:
    labels = rooms.samples("train", cache).batch(torch.arange(96)).target["segmentation"]
    counts = torch.bincount(labels[labels < 255], minlength=13).double() / (labels < 255).sum()
    assert counts.min() > 0.002
    assert counts.max() < 0.5


def test_worker_processes_render_the_same_bytes(
    rooms: Rooms, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parallel = replace(producing.SIZES["xs"], parallel=True)
    monkeypatch.setattr(producing, "SIZES", {"xs": parallel})
    monkeypatch.setattr(producing.os, "cpu_count", lambda: 2)
    heard: list[tuple[int, int]] = []
    with whole_lines():
        producing.produce(tmp_path, "xs", 7, lambda done, total, what: heard.append((done, total)))
    assert heard[-1] == (160, 160)
    assert heard == sorted(heard)
    (folder,) = cache.glob("rooms-v1-xs-7-*")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in folder.iterdir())
    for file in tmp_path.iterdir():
        ours, theirs = load_file(file), load_file(folder / file.name)
        assert all(ours[name].equal(theirs[name]) for name in ours), file.name


def test_where_python_must_not_buffer_the_processes_that_render_still_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unbuffered, a number and the end of its line are two writes, and another process may write between them."""
    heard: list[str | None] = []

    def rendered(folder: Path, *_: object) -> None:
        heard.append(producing._environment().get("PYTHONUNBUFFERED"))

    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setattr("msbench_plugins.datasets.rooms.dataset.produce", rendered)
    Rooms(size="xs").prepare(tmp_path, lambda done, total, what: None)
    assert heard == [None]
    assert os.environ["PYTHONUNBUFFERED"] == "1"


def test_a_worker_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = producing.Size(32, 1, {"train": 4})
    monkeypatch.setattr(producing, "SIZES", {"unheard of": broken})
    monkeypatch.setattr(producing.os, "cpu_count", lambda: 2)
    with pytest.raises(RuntimeError, match="exit codes"):
        producing.produce(tmp_path, "unheard of", 7, lambda done, total, what: None)


def test_labels_and_depth_are_those_of_every_machine() -> None:
    golden = load_file(GOLDEN)
    rendered = render(choose_scenes(7, "train", range(len(golden["label"]))), 32)
    now = encode(rendered)
    assert (now["label"] == golden["label"]).float().mean() >= 0.999
    assert ((now["depth"] - golden["depth"]).abs() <= 1).float().mean() >= 0.999


def test_a_prepared_dataset_is_not_rendered_again(rooms: Rooms, cache: Path) -> None:
    rooms.prepare(cache, lambda done, total, what: pytest.fail("rendered twice"))


def test_the_fingerprint_tells_what_the_samples_are_made_of(cache: Path) -> None:
    prints = {
        Rooms(size=size, seed=seed, classes=classes).fingerprint(cache)
        for size in ("xs", "s")
        for seed in (7, 8)
        for classes in (13, 40)
    }
    assert len(prints) == 8
    assert Rooms().fingerprint(cache) == Rooms().fingerprint(cache / "elsewhere")


@pytest.mark.parametrize(
    ("field", "value", "choices"),
    [("size", "xl", "xs, s, m"), ("classes", 14, "13 nor 40"), ("seed", -1, "from 0"), ("seed", "a", "from 0")],
)
def test_impossible_settings_name_the_choices(field: str, value: object, choices: str) -> None:
    with pytest.raises(UserError, match=f"data.{field}.*{choices}"):
        Rooms(**{field: value})


def test_void_and_holes_are_stored_as_such(tmp_path: Path) -> None:
    rendered = render([hand_made()], 32)
    packed = encode(rendered)
    assert not packed["depth"][~rendered.valid].any()
    from safetensors.torch import save_file

    save_file(packed, tmp_path / "part.safetensors")
    batch = RoomsSamples(tmp_path / "part.safetensors", 13).batch(torch.tensor([0]))
    assert set(batch.target["segmentation"].unique().tolist()) <= {2, 4, 11, 255}
