"""The faces: answers that can be seen, masks that fit the drawing, a part that is the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msbench_plugins.datasets.faces import render as rendering
from msbench_plugins.datasets.faces.attributes import NAMES, PREVALENCE, Traits, draw_attributes
from msbench_plugins.datasets.faces.dataset import Faces
from msbench_plugins.datasets.faces.dice import Sitters, hsv
from msbench_plugins.datasets.faces.render import Portraits, render

BACKGROUND, HAIR, SKIN = range(3)
SIZE = 48


@pytest.fixture(scope="module")
def faces(cache: Path) -> Faces:
    dataset = Faces(size="xs")
    dataset.prepare(cache, lambda done, total, what: None)
    return dataset


@pytest.fixture(scope="module")
def answers() -> Tensor:
    """Of 4000 faces, float64 [4000, 6]."""
    return draw_attributes(Sitters(7, "train", range(4000)))[1].double()


@pytest.fixture(scope="module")
def crowd() -> tuple[Portraits, Portraits]:
    """Faces to learn from, and faces to be asked about."""
    return render(7, "train", range(1400), SIZE), render(7, "test", range(400), SIZE)


def drawn(strength: dict[str, float], monkeypatch: pytest.MonkeyPatch, count: int = 48) -> tuple[Tensor, Tensor]:
    """Images and masks of the same sitters with these traits, 0.5 for the ones not named."""

    def traits(sitters: Sitters) -> tuple[Traits, Tensor]:
        columns = {name: torch.full((len(sitters.indices), 1), strength.get(name, 0.5)) for name in NAMES}
        return Traits(**columns), torch.zeros(len(sitters.indices), 6, dtype=torch.uint8)

    monkeypatch.setattr(rendering, "draw_attributes", traits)
    portraits = render(7, "train", range(count), 64)
    return portraits.image.float() / 255, portraits.segmentation


# ---- the answers


def test_prevalences_are_the_stated_ones(answers: Tensor) -> None:
    # two answers in a hundred are slips
    expected = [0.98 * share + 0.02 * (1 - share) for share in PREVALENCE]
    assert answers.mean(0).tolist() == pytest.approx(expected, abs=0.025)
    assert all(0.3 < share < 0.6 for share in expected)


def test_attributes_correlate_as_in_celeba(answers: Tensor) -> None:
    found = torch.corrcoef(answers.T)

    def between(first: str, second: str) -> float:
        return float(found[NAMES.index(first), NAMES.index(second)])

    assert -0.8 < between("male", "wearing_lipstick") < -0.5
    assert 0.4 < between("smiling", "high_cheekbones") < 0.7
    assert between("male", "arched_eyebrows") < -0.2
    assert between("male", "high_cheekbones") < -0.1
    assert between("wearing_lipstick", "arched_eyebrows") > 0.2
    assert between("wearing_lipstick", "big_lips") > 0.05
    assert between("wearing_lipstick", "high_cheekbones") > 0.1
    # no question is a copy of another
    assert (found - torch.eye(6)).abs().max() < 0.8


def test_what_shows_mostly_agrees_with_the_answer_but_not_always() -> None:
    traits, answers = draw_attributes(Sitters(7, "train", range(2000)))
    shows = torch.cat(list(vars(traits).values()), 1)
    assert list(vars(traits)) == list(NAMES)
    assert ((shows > 0) & (shows < 1)).all()
    agreement = ((shows > 0.5) == answers.bool()).double().mean(0)
    assert (agreement > 0.88).all()
    assert (agreement < 0.98).all()


# ---- the drawing

MIDDLES = {
    "smiling": (0.38, 0.85),
    "big_lips": (0.6, 0.85),
    "high_cheekbones": (0.4, 0.85),
    "wearing_lipstick": (0.38, 0.85),
    "arched_eyebrows": (0.25, 0.5),
}
"""Where each attribute shows: shares of the picture's height, from the top."""


@pytest.mark.parametrize("name", list(NAMES))
def test_each_attribute_shows_where_it_belongs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (off, before), (on, after) = (drawn({name: strength}, monkeypatch) for strength in (0.05, 0.95))
    change = (on - off).abs().mean(1)
    assert (change.flatten(1).amax(1) > 0.06).double().mean() > 0.9
    if name == "male":
        assert (before != after).any()
        return
    # all of it on the face, and in the band of the feature: paint that is not there must not move
    assert float(change[(before != SKIN) & (after != SKIN)].mean()) < 0.004
    top, bottom = (round(64 * share) for share in MIDDLES[name])
    rows = change.mean((0, 2))
    assert float(rows[top:bottom].sum() / rows.sum()) > 0.85
    # only cheekbones and nothing else may move the outline
    assert float((before != after).double().mean()) < (0.01 if name == "high_cheekbones" else 1e-9)


def test_lipstick_is_redder_than_bare_lips_and_big_lips_cover_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def redness(lipstick: float, lips: float) -> Tensor:
        image = drawn({"wearing_lipstick": lipstick, "big_lips": lips}, monkeypatch)[0][..., 36:58, 14:50]
        return image[:, 0] / image.sum(1).clamp_min(0.05)

    def redder(bare: Tensor, painted: Tensor) -> Tensor:
        return (painted - bare > 0.02).double().sum((1, 2))

    thin = redder(redness(0.02, 0.05), redness(0.98, 0.05))
    full = redder(redness(0.02, 0.95), redness(0.98, 0.95))
    assert (full > 10).double().mean() > 0.8
    assert full.mean() > 1.5 * thin.mean()


def test_arched_brows_are_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dark that comes is above the dark that goes."""
    (flat, mask), (arched, _) = (drawn({"arched_eyebrows": strength}, monkeypatch) for strength in (0.05, 0.95))
    change = (arched - flat).mean(1) * (mask == SKIN)
    rows = torch.arange(64.0)[:, None]
    came = ((-change).clamp_min(0) * rows).sum((1, 2)) / (-change).clamp_min(0).sum((1, 2)).clamp_min(1e-6)
    went = (change.clamp_min(0) * rows).sum((1, 2)) / change.clamp_min(0).sum((1, 2)).clamp_min(1e-6)
    assert (came < went).double().mean() > 0.85


def test_masks_have_all_classes_with_skin_in_the_middle_and_hair_on_top(crowd: tuple[Portraits, Portraits]) -> None:
    mask = crowd[0].segmentation
    shares = torch.bincount(mask.flatten().long(), minlength=3).double() / mask.numel()
    assert 0.3 < shares[BACKGROUND] < 0.6
    assert 0.12 < shares[HAIR] < 0.4
    assert 0.2 < shares[SKIN] < 0.4
    rows = torch.arange(float(SIZE))[:, None]

    def height(region: int) -> Tensor:
        inside = (mask == region).float()
        return (inside * rows).sum((1, 2)) / inside.sum((1, 2)).clamp_min(1)

    middle = mask[:, SIZE // 2 - 3 : SIZE // 2 + 3, SIZE // 2 - 3 : SIZE // 2 + 3]
    assert (middle == SKIN).double().mean() > 0.95
    haired = (mask == HAIR).sum((1, 2)) > 40
    assert 0.85 < haired.double().mean() < 1
    assert (height(HAIR) < height(SKIN))[haired].double().mean() > 0.8
    # neck and shoulders are no skin: hardly any at the bottom edge
    assert (mask[:, -2:] == SKIN).double().mean() < 0.05


def test_masks_end_where_the_picture_changes(crowd: tuple[Portraits, Portraits]) -> None:
    image, mask = crowd[0].image[:300].float() / 255, crowd[0].segmentation[:300]
    change = (image[..., 1:] - image[..., :-1]).abs().sum(1)
    border = mask[..., 1:] != mask[..., :-1]
    assert change[border].mean() > 2.5 * change[~border].mean()


def test_skin_has_the_hues_of_skin_and_hair_is_apart_from_it(crowd: tuple[Portraits, Portraits]) -> None:
    image, mask = crowd[0].image[:300].float() / 255, crowd[0].segmentation[:300]

    def mean(region: int) -> Tensor:
        inside = (mask == region)[:, None]
        return (image * inside).sum((2, 3)) / inside.sum((2, 3)).clamp_min(1)

    red, green, blue = mean(SKIN).unbind(1)
    assert ((red > green) & (green > blue)).double().mean() > 0.85
    haired = (mask == HAIR).sum((1, 2)) > 40
    assert ((mean(SKIN) - mean(HAIR)).abs().sum(1) > 0.15)[haired].double().mean() > 0.8


def test_colour_names_are_those_of_the_colour_wheel() -> None:
    one = torch.ones(6, 1)
    wheel = hsv(torch.arange(6)[:, None] / 6, one, one)[..., 0]
    assert wheel.round(decimals=5).tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]]


# ---- the same everywhere, another for every key


def test_a_face_does_not_depend_on_its_company_or_on_threads() -> None:
    several = render(3, "test", range(40), 32)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        alone = render(3, "test", [33], 32)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for name, value in vars(alone).items():
        assert value.equal(getattr(several, name)[33:34]), name


def test_faces_are_those_of_every_machine() -> None:
    """Answers, and pixels of background, hair and skin, of the first faces of seed 7, train, at 32 pixels."""
    first = render(7, "train", range(6), 32)
    assert ["".join(map(str, row)) for row in first.attributes.tolist()] == [
        "000010", "100000", "101000", "110000", "100001", "011100",
    ]  # fmt: skip
    pixels = [torch.bincount(mask.flatten().long(), minlength=3).tolist() for mask in first.segmentation]
    known = [[198, 498, 328], [476, 136, 412], [509, 169, 346], [580, 17, 427], [622, 20, 382], [335, 354, 335]]
    for found, expected in zip(pixels, known, strict=True):
        assert found == pytest.approx(expected, abs=3)


def test_no_face_appears_twice_in_or_across_parts_and_seeds() -> None:
    keys = [(3, "train"), (3, "validation"), (3, "test"), (4, "train")]
    seen = [image.numpy().tobytes() for seed, part in keys for image in render(seed, part, range(60), 32).image]
    assert len(set(seen)) == 240


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    render(3, "test", range(2), 32)
    assert torch.get_rng_state().equal(before)


# ---- neither trivial nor impossible


def accuracy(predicted: Tensor, truth: Tensor) -> Tensor:
    return ((predicted > 0) == truth.bool()).double().mean(0)


def majority(truth: Tensor) -> Tensor:
    share = truth.double().mean(0)
    return torch.maximum(share, 1 - share)


def test_the_mean_colour_does_not_answer_the_questions(crowd: tuple[Portraits, Portraits]) -> None:
    learn, ask = crowd
    (a, b) = (F.pad(p.image.double().mean((2, 3)) / 255, (0, 1), value=1.0) for p in (learn, ask))
    weights = torch.linalg.lstsq(a, learn.attributes.double() - 0.5).solution
    assert (accuracy(b @ weights, ask.attributes) < 0.7).all()


def test_the_colour_of_a_pixel_does_not_tell_its_class(crowd: tuple[Portraits, Portraits]) -> None:
    """A histogram of 4096 colours, the commonest class of each: well below what is possible, above the majority."""

    def cells(portraits: Portraits) -> Tensor:
        return (portraits.image.long() // 16 * torch.tensor([256, 16, 1])[:, None, None]).sum(1).flatten()

    learn, ask = crowd
    joint = torch.bincount(cells(learn) * 3 + learn.segmentation.flatten(), minlength=3 * 4096).view(4096, 3)
    truth = ask.segmentation.flatten()
    right = (joint.argmax(1)[cells(ask)] == truth).double().mean()
    assert torch.bincount(truth.long()).max() / truth.numel() + 0.05 < right < 0.8


def test_a_small_network_answers_every_question_better_than_the_majority(crowd: tuple[Portraits, Portraits]) -> None:
    learn, ask = crowd

    def centre(image: Tensor) -> Tensor:
        return image[..., 8:44, 6:42].float() / 255

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 81, 6),
        )  # fmt: skip
        optimizer = torch.optim.AdamW(network.parameters(), 8e-3, weight_decay=0.1)
        rounds = 8
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=rounds * 44)
        for turn in range(rounds):
            for chosen in torch.randperm(len(learn.image)).split(32):
                image = centre(learn.image[chosen])
                logits = network(image.flip(-1) if turn % 2 else image)
                loss = F.binary_cross_entropy_with_logits(logits, learn.attributes[chosen].float())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    with torch.no_grad():
        found = accuracy(network.eval()(centre(ask.image)), ask.attributes)
    above = dict(zip(NAMES, (found - majority(ask.attributes)).tolist(), strict=True))
    assert min(above.values()) > 0.05, above
    assert (found < 0.95).all()
