"""A run that is killed and started again ends like one that was not, whatever its sparsifier and wherever it was."""

from __future__ import annotations

import json
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from msbench.api import Stateful, Step
from msbench.conformance.resuming import EveryStep
from msbench.plugins import Plugins
from msbench.sparsity.mask import Mask
from msbench.training.sparsifier import Sparsifier
from msbench.training.stage import Checkpoints
from msbench.training.stateful import pack, unpack
from msbench.training.trainer import Trainer
from msbench.training.view import View

Make = Callable[..., Trainer]
SETTINGS = {"seed": 2, "samples": 192, "evaluations": 4, "target": 0.4}
SPARSIFIERS: dict[str, list[dict[str, Any]]] = {
    "dense": [{}],
    "single_task": [{}],
    "mtl_meta": [{}],
    "meta_sparsity": [
        {"order": "reptile", "meta_share": 0.4},
        {"learn": "direct", "penalty": "l1", "regrow_p": 0.1},
        {"learn": "hyper", "lambda_per": "stage", "prox_metric": "adaptive"},
    ],
    "group_lasso": [{}, {"prox_metric": "adaptive"}, {"prox_metric": "adaptive", "penalty": "mcp"}],
    "l1": [{}, {"prox_metric": "adaptive"}],
    "one_shot": [{}],
    "iterative": [{"rounds": 3}],
    "progressive": [{"every": 2}],
    "sparse_training": [{}],
    "regrowth": [{"every": 3}, {"every": 3, "growth": "gradient"}],
    "dynamic_sparse": [{"every": 3}, {"every": 3, "growth": "random"}],
    "adapmtl": [{}, {"threshold_group": "layer", "lam": 5.0, "ratio": True}, {"beta": "none", "structured": True}],
    "snip": [{}],
    "lottery_ticket": [{"rewind_share": 0.5, "rounds": 2}],
    "imp": [{}],
    "disparse": [{"mode": "dynamic", "score_share": 0.1}, {"mode": "pretrained"}],
    "growing_reg": [{"every": 2}],
    "group_norm": [{}],
    "bn_scale": [{}, {"update": "subgradient"}],
}
CASES = [
    pytest.param(name, params, marks=[pytest.mark.long] if number else [], id=f"{name}-{number}")
    for name, several in SPARSIFIERS.items()
    for number, params in enumerate(several)
]


class KilledError(Exception):
    """The process ends here."""


@dataclass
class Ended:
    """All that a run leaves, and the batches that its last attempt took."""

    weights: bytes
    mask: str
    rows: list[tuple[int, int, str, float]]
    spent: int
    natural: float | None
    batches: int


def attempt(trainer: Trainer, sparsifier: Sparsifier, kept: Checkpoints | None, killed_at: int = 10**9) -> Ended:
    """One process: it ends before it takes batch number `killed_at`."""
    trainer.checkpoints, batches, take = kept, 0, trainer.next_batch

    def counting(size: int | None = None) -> Any:
        nonlocal batches
        if batches == killed_at:
            raise KilledError
        batches += 1
        return take(size)

    trainer.next_batch = counting  # type: ignore[method-assign]
    sparsifier.sparsify(trainer)
    trainer.finish()
    state = [*trainer.model.state_dict().values(), *trainer.balancer.state_dict().values()]
    weights = b"".join(value.numpy().tobytes() for value in state)
    mask = trainer.mask.digest() if trainer.mask is not None else ""
    return Ended(weights, mask, trainer.history.rows, trainer.allowance.spent, trainer.natural, batches)


def alike(found: Ended, expected: Ended) -> None:
    assert found.rows == expected.rows
    assert found.weights == expected.weights
    assert (found.mask, found.spent, found.natural) == (expected.mask, expected.spent, expected.natural)


def fresh(plugins: Plugins, name: str, params: dict[str, Any]) -> Sparsifier:
    made: Sparsifier = plugins.get("sparsifier", name).cls(**params)
    return made


def chain(make: Callable[[], tuple[Trainer, Sparsifier]], kills: list[int]) -> tuple[Ended, int]:
    """Attempts that are killed one after the other before so many batches, and one that ends; how many were killed."""
    killed, kept = 0, EveryStep()
    for batches in kills:
        try:
            return attempt(*make(), kept, batches), killed
        except KilledError:
            killed += 1
    return attempt(*make(), kept), killed


def test_every_built_in_sparsifier_is_here(plugins: Plugins) -> None:
    known = plugins.components["sparsifier"].values()
    assert {c.cls.name for c in known if c.plugin.startswith("msbench:")} == set(SPARSIFIERS)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "params"), CASES)
def test_killed_at_any_step_it_ends_with_the_same_bytes(
    plugins: Plugins, make_trainer: Make, name: str, params: dict[str, Any]
) -> None:
    def make() -> tuple[Trainer, Sparsifier]:
        return make_trainer(**SETTINGS), fresh(plugins, name, params)

    whole = attempt(*make(), None)
    chance = random.Random(f"{name} {params}")
    found, killed = chain(make, [chance.randrange(1, whole.batches), chance.randrange(1, 6)])
    alike(found, whole)
    assert killed
    assert found.batches < whole.batches


@settings(max_examples=4)
@given(kills=st.lists(st.integers(1, 25), min_size=1, max_size=4))
def test_however_often_it_is_killed(plugins: Plugins, make_trainer: Make, kills: list[int]) -> None:
    def make() -> tuple[Trainer, Sparsifier]:
        return make_trainer(**SETTINGS), fresh(plugins, "progressive", {"init": "dense", "every": 2})

    whole = attempt(*make(), None)
    found, _ = chain(make, kills)
    alike(found, whole)


class Averaging(Stateful):
    """Moves its threshold with every step; `declares` says whether it tells the trainer."""

    changes = ("mean", "queue")

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.mean, self.queue = trainer, torch.zeros(()), deque[float](maxlen=3)

    def step(self, step: Step) -> None:
        weight = next(iter(self.trainer.weights.values()))
        self.mean.lerp_(weight.detach().abs().mean(), 0.3)
        self.queue.append(float(self.mean))
        self.trainer.log("mean", sum(self.queue))
        with torch.no_grad():
            weight.sub_(weight.clamp(-0.01, 0.01) * self.mean)


@dataclass
class Script:
    """Three stages, the second with an averaging callback."""

    says: str

    def sparsify(self, trainer: Trainer) -> None:
        trainer.train(steps=6)
        averaging = Averaging(trainer)
        state = {"everything": averaging, "nothing": None, "a lie": ()}[self.says]
        trainer.train(steps=8, after_step=averaging.step, state=state)
        trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
        trainer.train()


def script(make_trainer: Make, says: str) -> Callable[[], tuple[Trainer, Any]]:
    return lambda: (make_trainer(**SETTINGS), Script(says))


@pytest.mark.parametrize(("says", "left"), [("everything", 24 - 11), ("nothing", 24 - 6)])
def test_a_stage_goes_on_if_its_callbacks_state_is_declared_and_is_trained_again_if_not(
    make_trainer: Make, says: str, left: int
) -> None:
    make = script(make_trainer, says)
    whole = attempt(*make(), None)
    found, _ = chain(make, [11])
    alike(found, whole)
    assert found.batches == left


def test_an_undeclared_stage_does_not_cost_the_ones_around_it(make_trainer: Make) -> None:
    make, kept = script(make_trainer, "nothing"), EveryStep()
    whole = attempt(*make(), None)
    with pytest.raises(KilledError):
        attempt(*make(), kept, 20)
    found = attempt(*make(), kept)
    alike(found, whole)
    assert found.batches == 8 + 24 - 20, "the second stage, and what was left of the third"
    assert any("state is not declared" in note for note in kept.notes)


def test_who_says_that_nothing_is_kept_but_keeps_something_ends_elsewhere(make_trainer: Make) -> None:
    """What the rule `resumes` is for: the host cannot look into a callback."""
    make = script(make_trainer, "a lie")
    assert chain(make, [11])[0].weights != attempt(*make(), None).weights


def test_a_stage_that_begins_elsewhere_is_trained(make_trainer: Make) -> None:
    def started(kept: EveryStep, factor: float, killed_at: int = 10**9) -> Ended:
        trainer = make_trainer(**SETTINGS)
        with torch.no_grad():
            next(iter(trainer.weights.values())).mul_(factor)
        return attempt(trainer, Script("everything"), kept, killed_at)

    kept = EveryStep()
    with pytest.raises(KilledError):
        started(kept, 1.0, 10)
    found = started(kept, 2.0)
    assert found.batches == 24
    alike(found, started(EveryStep(), 2.0))
    assert kept.notes == [f"stage-{n} is not used: the stage begins in another state now" for n in (1,)] + [
        "stage-2-part is not used: the stage begins in another state now"
    ]


def frozen(trainer: Trainer) -> None:
    trainer.model.freeze_backbone()


def hooked(trainer: Trainer) -> None:
    trainer.model.backbone.register_forward_hook(lambda module, inputs, output: None)


def viewed(trainer: Trainer) -> None:
    trainer.view = type("Other", (View,), {})()


@pytest.mark.parametrize("change", [frozen, hooked, viewed])
def test_what_a_callback_changes_and_no_checkpoint_holds_ends_them(
    make_trainer: Make, change: Callable[[Trainer], None]
) -> None:
    trainer, kept = make_trainer(**SETTINGS), EveryStep()
    trainer.checkpoints = kept
    trainer.train(steps=4, after_step=lambda step: change(trainer) if step.index == 1 else None, state=())
    assert [state.facts["done"] for _, state in kept.made] == [1]
    assert "a callback" in kept.notes[0]


def test_state_that_has_no_state_is_refused_at_once(make_trainer: Make) -> None:
    with pytest.raises(TypeError, match="list has no state_dict"):
        make_trainer().train(steps=1, after_step=lambda step: None, state=[1])
    with pytest.raises(TypeError, match="is a set; see"):
        pack({"a": {1, 2}}, "declared.0", {})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers() | st.text(), inner),
    max_leaves=8,
)


@given(value=PLAIN)
def test_plain_values_survive_json(value: Any) -> None:
    assert unpack(json.loads(json.dumps(pack(value, "it", {}))), {}) == value


def test_tensors_keep_their_memory_layout_and_containers_their_kind() -> None:
    tensor = torch.arange(120.0).view(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    value = {"a": deque([tensor], maxlen=4), "b": Counter({"x": 2}), "c": Mask({"y": torch.ones(2)})}
    tensors: dict[str, Any] = {}
    packed = json.loads(json.dumps(pack(value, "it", tensors)))
    found = unpack(packed, {name: each.contiguous() for name, each in tensors.items()})
    assert found["a"][0].stride() == tensor.stride()
    assert torch.equal(found["a"][0], tensor)
    assert [type(each) for each in found.values()] == [deque, Counter, Mask]
    assert found["a"].maxlen == 4


def test_torchs_own_optimizers_and_modules_are_stateful() -> None:
    layer = nn.Linear(2, 1)
    adam = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    adam.step()
    tensors: dict[str, Any] = {}
    packed = json.loads(json.dumps(pack((layer, adam), "it", tensors)))
    other = nn.Linear(2, 1)
    again = torch.optim.Adam(other.parameters())
    for part, state in zip((other, again), unpack(packed, tensors), strict=True):
        part.load_state_dict(state)  # type: ignore[attr-defined]
    assert str(again.state_dict()) == str(adam.state_dict())
    assert torch.equal(other.weight, layer.weight)
