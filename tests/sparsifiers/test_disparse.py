"""DiSparse: unions against brute force, scores against autograd, dynamic updates replayed, targets in both scopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from msbench.api import Budget, GroupLayer, Groups, Mask, Trainer
from msbench_plugins.sparsifiers.disparse import DiSparse, strongest, union_order, uses
from tests.sparsifiers.helpers import state_bytes, whole_model

Make = Callable[..., Trainer]
Entry = tuple[str, int]
TASKS = ("segmentation", "normals")


# -- the union, by brute force ----------------------------------------------------------------------------------


def top_share(groups: Groups, scores: Mapping[str, Tensor], p: Fraction) -> set[Entry]:
    """What one task keeps: its best entries, best first, while their weights are at most p of all of its weights."""
    ranked = []
    for place, layer in enumerate(groups.layers):
        if layer.name in scores:
            flat = scores[layer.name].flatten().tolist()
            size = layer.weights // len(flat)
            ranked += [(-score, place, index, layer.name, size) for index, score in enumerate(flat)]
    total, used, kept = sum(entry[4] for entry in ranked), 0, set()
    for _, _, index, name, size in sorted(ranked):
        used += size
        if Fraction(used, total) > p:
            break
        kept.add((name, index))
    return kept


def union(groups: Groups, tasks: Mapping[str, Mapping[str, Tensor]], p: Fraction) -> set[Entry]:
    return set().union(*(top_share(groups, scores, p) for scores in tasks.values()))


def entries(mask: Mask) -> set[Entry]:
    return {(name, int(index)) for name, kept in mask.items() for index in kept.flatten().nonzero()}


def weights_in(groups: Groups, kept: set[Entry], lengths: Mapping[str, int]) -> int:
    size = {layer.name: layer.weights // lengths[layer.name] for layer in groups.layers}
    return sum(size[name] for name, _ in kept)


def around(groups: Groups, tasks: Mapping[str, Mapping[str, Tensor]], room: int) -> tuple[set[Entry], set[Entry]]:
    """By bisection over the share: the largest union of at most `room` single weights, and the next larger one."""
    steps = 4 * groups.weights**2  # finer than any two different quantiles
    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        fits = len(union(groups, tasks, Fraction(middle, steps))) <= room
        low, high = (middle, high) if fits else (low, middle)
    return union(groups, tasks, Fraction(low, steps)), union(groups, tasks, Fraction(high, steps))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Groups, dict[str, dict[str, Tensor]]]:
    """Two to three tasks that share two layers and have a head each; coarse scores, so that there are ties."""
    structured, seed = draw(st.booleans()), draw(st.integers(0, 1000))
    names = ["a", "b", "c"][: draw(st.integers(2, 3))]
    generator = torch.Generator().manual_seed(seed)
    sizes = [draw(st.tuples(st.integers(1, 5), st.integers(1, 4))) for _ in range(2 + len(names))]
    layers = ["backbone.x", "backbone.y", *(f"heads.{name}.z" for name in names)]
    groups = Groups(tuple(GroupLayer(layer, *size) for layer, size in zip(layers, sizes, strict=True)))
    tasks = {
        task: {
            layer.name: torch.randint(
                0, 8, (layer.count if structured else layer.weights,), generator=generator
            ).float()
            for layer in groups.layers
            if uses(task, layer.name)
        }
        for task in names
    }
    return groups, tasks


@given(problem=problems(), p=st.fractions(0, 1, max_denominator=60))
def test_every_union_is_a_top_of_the_order(problem: tuple[Groups, dict[str, dict[str, Tensor]]], p: Fraction) -> None:
    groups, tasks = problem
    order = union_order(groups, tasks)
    kept = union(groups, tasks, p)
    inside = [float(order[layer.name][i]) for layer in groups.layers for i in range(len(order[layer.name]))
              if (layer.name, i) in kept]  # fmt: skip
    outside = [float(order[layer.name][i]) for layer in groups.layers for i in range(len(order[layer.name]))
               if (layer.name, i) not in kept]  # fmt: skip
    assert min(inside, default=0) > max(outside, default=-2)
    # so the budget's selection of as many weights is that union
    lengths = {name: len(score) for name, score in order.items()}
    target = 1 - weights_in(groups, kept, lengths) / groups.weights
    mask = Budget("share", "model", groups, target).select(order, floor=0)
    assert entries(mask) == kept


def test_a_union_by_hand() -> None:
    # both tasks keep the share 1/2: b and c of 4, c and d of 4; only a is dropped by both
    groups = Groups((GroupLayer("backbone.x", 4, 1),))
    tasks = {"one": {"backbone.x": torch.tensor([1.0, 9, 8, 2])}, "two": {"backbone.x": torch.tensor([1.0, 2, 9, 8])}}
    order = union_order(groups, tasks)["backbone.x"]
    assert order.tolist() == [-1.0, -0.25, -0.25, -0.5]
    assert Budget("share", "model", groups, 0.25).select({"backbone.x": order})["backbone.x"].tolist() == [0, 1, 1, 1]


def test_scores_that_are_not_numbers_are_refused() -> None:
    groups = Groups((GroupLayer("backbone.x", 2, 1),))
    with pytest.raises(ValueError, match="not a number"):
        union_order(groups, {"one": {"backbone.x": torch.tensor([1.0, float("nan")])}})


# -- scores and masks on a network --------------------------------------------------------------------------------


def expected_scores(trainer: Trainer, batches: int, power: int) -> dict[str, dict[str, Tensor]]:
    """|w|^power times the sum of |dL/dw| of each task's own loss, with a forward and backward pass a task."""
    names = list(trainer.weights)
    weights = list(trainer.weights.values())
    total = {task: {name: torch.zeros_like(trainer.weights[name]) for name in names} for task in TASKS}
    for _ in range(batches):
        batch = trainer.next_batch()
        for task in trainer.tasks:
            output = trainer.model(batch.image, [task.name])[task.name]
            loss = task.loss(output, batch.target[task.name], batch.valid[task.name])
            for name, slope in zip(names, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
                total[task.name][name] += 0 if slope is None else slope.abs()
    return {
        task: {n: found[n] * trainer.weights[n].detach().abs() ** power for n in names if uses(task, n)}
        for task, found in total.items()
    }


@pytest.mark.parametrize(("mode", "power"), [("static", 1), ("pretrained", 2)])
def test_scores_are_each_tasks_own(make_trainer: Make, mode: str, power: int) -> None:
    trainer, twin = (whole_model(make_trainer(samples=320)) for _ in range(2))
    found = DiSparse(mode=mode, score_share=0.1).task_scores(trainer)  # type: ignore[arg-type]
    # 10 % of 320 samples pay for 2 batches of 8 with 2 backward passes
    assert trainer.allowance.spent == 32
    assert state_bytes(trainer) == state_bytes(twin), "scoring leaves no trace"
    expected = expected_scores(twin, 2, power)
    for task in TASKS:
        assert found[task].keys() == expected[task].keys()
        assert not any(name.startswith("heads.") and f".{task}." not in name for name in found[task])
        for name, score in found[task].items():
            assert torch.allclose(score.float(), expected[task][name], rtol=1e-3, atol=1e-8), (task, name)
    assert any(
        not torch.allclose(found[TASKS[0]][n], found[TASKS[1]][n]) for n in found[TASKS[0]] if n in found[TASKS[1]]
    )


@pytest.mark.parametrize("scope", ["backbone", "model"])
def test_the_mask_is_the_union_of_the_tasks_masks(make_trainer: Make, scope: str) -> None:
    trainer, twin = make_trainer(target=0.6, width=2), make_trainer(target=0.6, width=2)
    if scope == "model":
        trainer, twin = whole_model(trainer), whole_model(twin)
    scores = DiSparse().task_scores(twin)
    DiSparse().sparsify(trainer)
    assert trainer.mask is not None
    kept = entries(trainer.mask)
    room = twin.groups.weights - round(0.6 * twin.groups.weights)
    smaller, larger = around(twin.groups, scores, room)
    assert len(kept) == room
    assert smaller <= kept <= larger
    assert len(larger) - len(smaller) <= len(TASKS)
    only_one = top_share(twin.groups, scores["segmentation"], Fraction(1, 4)) - top_share(
        twin.groups, scores["normals"], Fraction(1, 4)
    )
    assert any(name.startswith("backbone.") for name, _ in only_one), "the tasks do not agree"
    assert (scope == "model") == any(name.startswith("heads.") for name in trainer.mask)


def test_magnitude_over_the_backbone_is_global_magnitude(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.5)
    order = union_order(trainer.groups, DiSparse(mode="pretrained", score="magnitude").task_scores(trainer))
    expected = trainer.budget.select(trainer.rank("magnitude", structured=False))
    assert trainer.budget.select(order).digest() == expected.digest()


@pytest.mark.parametrize(
    "options", [{}, {"mode": "pretrained"}, {"mode": "pretrained", "score": "magnitude"}, {"mode": "dynamic"}]
)
@pytest.mark.parametrize("scope", ["backbone", "model"])
def test_the_target_is_met(make_trainer: Make, scope: str, options: Mapping[str, str]) -> None:
    for target in (0.3, 0.5, 0.8, 0.9):
        trainer = make_trainer(target=target, samples=80)
        if scope == "model":
            whole_model(trainer)
        DiSparse(**options).sparsify(trainer)  # type: ignore[arg-type]
        assert trainer.mask is not None
        assert trainer.budget.sparsity(trainer.mask) == pytest.approx(target, abs=0.001)
        assert trainer.sparsity(structured=False) >= trainer.budget.sparsity(trainer.mask)
        assert trainer.allowance.left < trainer.settings.batch


@pytest.mark.parametrize("mode", ["static", "pretrained"])
@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_whole_groups_meet_the_target(make_trainer: Make, target: float, mode: str) -> None:
    trainer = make_trainer(target=target, width=8, samples=80)
    DiSparse(mode=mode, structured=True).sparsify(trainer)  # type: ignore[arg-type]
    assert trainer.mask is not None
    assert trainer.mask.structured
    assert trainer.budget.sparsity(trainer.mask) == pytest.approx(target, abs=0.005)


# -- the dynamic mode ---------------------------------------------------------------------------------------------


def top(values: Sequence[float], candidates: set[int], count: int) -> set[int]:
    return set(sorted(candidates, key=lambda index: (-abs(values[index]), index))[:count])


def indices(mask: Mask, name: str) -> set[int]:
    return {int(index) for index in mask[name].flatten().nonzero()}


def test_dynamic_updates_replayed(make_trainer: Make) -> None:
    trainer = whole_model(make_trainer(target=0.8, samples=480, width=2))
    masks: list[Mask] = []
    weights: list[dict[str, Tensor]] = []
    found: list[dict[str, dict[str, Tensor]]] = []
    apply_mask, task_gradients = trainer.apply_mask, trainer.task_gradients

    def watched_mask(mask: Mask) -> None:
        weights.append({name: weight.detach().clone() for name, weight in trainer.weights.items()})
        apply_mask(mask)
        masks.append(mask)
        for name, weight in trainer.weights.items():
            new = mask[name] & ~masks[-2][name] if len(masks) > 1 else torch.zeros_like(mask[name])
            assert not weight[new].any(), "what grows starts from zero"
            assert not trainer.optimizer.second_moment(weight)[new].any()

    def watched_gradients(batch: object) -> dict[str, dict[str, Tensor]]:
        found.append(task_gradients(batch))  # type: ignore[arg-type]
        return found[-1]

    trainer.apply_mask, trainer.task_gradients = watched_mask, watched_gradients  # type: ignore[method-assign, assignment]
    DiSparse(mode="dynamic", score_share=0.1).sparsify(trainer)

    # 10 % of 480 samples pay for 3 updates; each shrinks and grows; then comes the last drop
    assert len(found) == 3
    assert len(masks) == 1 + 2 * 3 + 1
    start = {name: len(indices(masks[0], name)) for name in masks[0]}
    for update, rate in enumerate((0.25 * (1 + 2**-0.5), 0.25, 0.25 * (1 - 2**-0.5))):
        before, shrunk, grown = masks[2 * update : 2 * update + 3]
        for name in start:
            values = weights[1 + 2 * update][name].flatten().tolist()
            kept = top(values, indices(before, name), len(indices(shrunk, name)))
            assert indices(shrunk, name) == kept
            assert (1 - rate) * start[name] <= len(kept) < (1 - rate) * start[name] + 1
            gone = set(range(len(values))) - kept
            for task in TASKS:
                if uses(task, name):
                    slopes = found[update][task][name].flatten().tolist()
                    kept = kept | top(slopes, gone, start[name] - len(indices(shrunk, name)))
            assert indices(grown, name) == kept
    for name in start:
        values = weights[-1][name].flatten().tolist()
        assert indices(masks[-1], name) == top(values, indices(masks[-2], name), start[name])
    assert any(len(indices(masks[2], name)) > start[name] for name in start), "the union exceeds the target in between"
    assert trainer.budget.sparsity(masks[-1]) == pytest.approx(0.8, abs=0.001)


def test_the_dynamic_mask_is_final_when_updates_end(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.5, samples=480)
    changed: list[float] = []
    apply_mask = trainer.apply_mask

    def watched_mask(mask: Mask) -> None:
        changed.append(trainer.allowance.progress)
        apply_mask(mask)

    trainer.apply_mask = watched_mask  # type: ignore[method-assign]
    DiSparse(mode="dynamic", score_share=0.1, update_share=0.6).sparsify(trainer)
    assert changed[0] == 0.0
    assert 0.5 < changed[-1] <= 0.6
    assert trainer.allowance.left < trainer.settings.batch


def test_the_strongest_are_chosen_among_the_allowed() -> None:
    values, among = torch.tensor([3.0, -5.0, 0.0, 2.0, -2.0]), torch.tensor([True, False, True, True, True])
    assert strongest(values, among, 2).tolist() == [True, False, False, True, False]
    assert strongest(values, among, 4).tolist() == among.tolist(), "a value of 0 may be kept"


# -- all modes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "dynamic", "structured": True}, "structured=True: acts only with mode=static or pretrained"),
        ({"mode": "pretrained", "redraw": True}, "redraw=True: acts only with mode=static"),
        ({"score": "magnitude"}, "score=magnitude: acts only with mode=pretrained"),
        ({"drop": 0.3}, "drop=0.3: acts only with mode=dynamic"),
        ({"mode": "pretrained", "score": "magnitude", "score_share": 0.1}, "acts only with score=saliency"),
    ],
)
def test_options_of_another_mode_are_refused(options: Mapping[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiSparse(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", DiSparse.variants)
def test_it_learns(make_trainer: Make, variant: str) -> None:
    trainer = make_trainer(samples=800, lr=1e-2, target=0.5)
    DiSparse(**DiSparse.variants[variant]).sparsify(trainer)
    trainer.finish()
    assert trainer.evaluate().score(trainer.loss_floor) < 0.75


@pytest.mark.parametrize("options", [{"redraw": True}, {"mode": "pretrained"}, {"mode": "dynamic"}])
def test_same_seed_same_bytes(make_trainer: Make, options: Mapping[str, object]) -> None:
    def run(seed: int) -> bytes:
        trainer = make_trainer(seed=seed, target=0.5)
        DiSparse(**options).sparsify(trainer)  # type: ignore[arg-type]
        return state_bytes(trainer)

    outside = torch.random.get_rng_state()
    assert run(1) == run(1) != run(2)
    assert torch.equal(torch.random.get_rng_state(), outside)
