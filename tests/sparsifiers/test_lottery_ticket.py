"""Lottery tickets and iterative magnitude pruning: rewinding to the bit, densities by hand, nested masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from msbench.api import Mask, Sparsifier, Step, Trainer, UserError
from msbench_plugins.sparsifiers.lottery_ticket import Imp, LotteryTicket

Make = Callable[..., Trainer]
State = dict[str, Tensor]


def state_of(trainer: Trainer) -> State:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def equal(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def masked(state: State, mask: Mask) -> State:
    """What a state is once the mask is applied to it."""
    kept = {f"{name}.weight": mask.expanded(name, state[f"{name}.weight"]) for name in mask}
    return {name: value * kept[name] if name in kept else value for name, value in state.items()}


@dataclass
class Watched:
    """A trainer whose trainings, masks and rewinds are written down."""

    trainer: Trainer
    before: list[State] = field(default_factory=list)
    after: list[State] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    rewound: list[State] = field(default_factory=list)
    rates: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        train, apply_mask, restore = self.trainer.train, self.trainer.apply_mask, self.trainer.restore

        def watched_train(after_step: Callable[[Step], None] | None = None, **options: object) -> None:
            self.before.append(state_of(self.trainer))
            self.rates.append([])

            def note(step: Step) -> None:
                self.rates[-1].append(step.lr)
                if after_step is not None:
                    after_step(step)

            train(after_step=note, **options)  # type: ignore[arg-type]
            self.after.append(state_of(self.trainer))

        def watched_mask(mask: Mask) -> None:
            apply_mask(mask)
            self.masks.append(mask)

        def watched_restore(snapshot: object) -> None:
            restore(snapshot)  # type: ignore[arg-type]
            self.rewound.append(state_of(self.trainer))

        self.trainer.train = watched_train  # type: ignore[method-assign]
        self.trainer.apply_mask = watched_mask  # type: ignore[method-assign]
        self.trainer.restore = watched_restore  # type: ignore[method-assign]


@pytest.mark.parametrize("structured", [False, True])
def test_survivors_go_back_to_the_initial_weights_to_the_bit(make_trainer: Make, structured: bool) -> None:
    watched = Watched(make_trainer(target=0.8, width=8))
    initial = state_of(watched.trainer)
    LotteryTicket(structured=structured).sparsify(watched.trainer)
    assert len(watched.rewound) == len(watched.masks) == 3
    for rewound, mask, trained in zip(watched.rewound, watched.masks, watched.after, strict=False):
        assert equal(rewound, masked(initial, mask))
        assert not equal(trained, initial), "there was something to rewind"


def test_survivors_go_back_to_the_weights_after_k_steps(make_trainer: Make) -> None:
    watched, twin = Watched(make_trainer(target=0.8)), make_trainer(target=0.8)
    LotteryTicket(rewind_share=0.6).sparsify(watched.trainer)
    early: list[State] = []
    # 20 steps in 4 trainings are 5 each, of which 60 % are 3
    twin.train(steps=5, schedule="stage", after_step=lambda step: early.append(state_of(twin)))
    for rewound, mask in zip(watched.rewound, watched.masks, strict=True):
        assert equal(rewound, masked(early[2], mask))


def test_a_small_rewinding_share_is_one_step_and_not_the_start(make_trainer: Make) -> None:
    watched, twin = Watched(make_trainer(target=0.8)), make_trainer(target=0.8)
    LotteryTicket(**LotteryTicket.variants["lottery_ticket_rewind"]).sparsify(watched.trainer)
    early: list[State] = []
    twin.train(steps=5, schedule="stage", after_step=lambda step: early.append(state_of(twin)))
    assert equal(watched.rewound[0], masked(early[0], watched.masks[0]))


@pytest.mark.parametrize("sparsifier", [LotteryTicket(), Imp()])
def test_each_round_keeps_the_same_share_of_what_is_left(make_trainer: Make, sparsifier: Sparsifier) -> None:
    watched = Watched(make_trainer(target=0.784))  # 1 - 0.6³
    sparsifier.sparsify(watched.trainer)
    total = watched.trainer.groups.weights
    kept = [sum(int(part.sum()) for part in mask.values()) for mask in watched.masks]
    assert kept == [total - round(removed * total) for removed in (0.4, 0.64, 0.784)]


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("cls", [LotteryTicket, Imp])
def test_what_is_removed_stays_removed(make_trainer: Make, cls: type, structured: bool) -> None:
    watched = Watched(make_trainer(target=0.8, width=8))
    cls(rounds=4, structured=structured).sparsify(watched.trainer)
    assert len(watched.masks) == 4
    for earlier, later in zip(watched.masks, watched.masks[1:], strict=False):
        assert not any((later[name] & ~earlier[name]).any() for name in later)
        assert watched.trainer.budget.sparsity(later) > watched.trainer.budget.sparsity(earlier)


def test_a_round_removes_the_smallest_of_the_survivors(make_trainer: Make) -> None:
    watched = Watched(make_trainer(target=0.8))
    Imp().sparsify(watched.trainer)
    for round_, (earlier, later) in enumerate(zip(watched.masks, watched.masks[1:], strict=False)):
        trained = watched.after[round_ + 1]
        kept = torch.cat([trained[f"{name}.weight"][mask].abs() for name, mask in later.items()])
        gone = torch.cat([trained[f"{n}.weight"][earlier[n] & ~later[n]].abs() for n in later])
        assert kept.min() >= gone.max() > 0


def test_iterative_magnitude_pruning_never_rewinds(make_trainer: Make) -> None:
    watched = Watched(make_trainer(target=0.8))
    Imp().sparsify(watched.trainer)
    assert watched.rewound == []
    for trained, mask, start in zip(watched.after, watched.masks, watched.before[1:], strict=False):
        assert equal(start, masked(trained, mask)), "each round starts from the weights that the last one left"


def test_both_train_alike_until_the_first_rewind(make_trainer: Make) -> None:
    ticket, imp = Watched(make_trainer(target=0.8)), Watched(make_trainer(target=0.8))
    LotteryTicket().sparsify(ticket.trainer)
    Imp().sparsify(imp.trainer)
    assert ticket.masks[0].digest() == imp.masks[0].digest()
    assert ticket.masks[1].digest() != imp.masks[1].digest()
    assert ticket.trainer.allowance.spent == imp.trainer.allowance.spent


def test_trainings_are_equal_and_each_has_its_schedule(make_trainer: Make) -> None:
    stages, single = Watched(make_trainer(target=0.5, samples=176)), Watched(make_trainer(target=0.5, samples=176))
    Imp(schedule="stage").sparsify(stages.trainer)
    Imp(schedule="run").sparsify(single.trainer)
    assert [len(rates) for rates in stages.rates] == [5, 5, 5, 7], "the last one has what is left of 22 steps"
    settings = stages.trainer.settings
    for rates in stages.rates:
        assert rates == [settings.lr_at(index / len(rates)) for index in range(len(rates))]
    joined = [rate for rates in single.rates for rate in rates]
    assert joined == [settings.lr_at(index / 22) for index in range(22)]


def test_more_rounds_than_steps_are_refused(make_trainer: Make) -> None:
    with pytest.raises(UserError, match="rounds=20: 21 trainings do not fit into 20 steps"):
        LotteryTicket(rounds=20).sparsify(make_trainer(target=0.5))


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("cls", [LotteryTicket, Imp])
@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_it_meets_the_budget_and_spends_its_allowance(
    make_trainer: Make, target: float, cls: type, structured: bool
) -> None:
    trainer = make_trainer(target=target, width=8, samples=80)
    cls(structured=structured).sparsify(trainer)
    assert trainer.mask is not None
    assert trainer.mask.structured == structured
    tolerance = trainer.budget.tolerance(structured)
    assert trainer.budget.sparsity(trainer.mask) == pytest.approx(target, abs=tolerance)
    assert trainer.allowance.left < trainer.settings.batch


@pytest.mark.parametrize("sparsifier", [LotteryTicket(rounds=1), LotteryTicket(1, rewind_share=0.1), Imp()])
def test_it_learns(make_trainer: Make, sparsifier: Sparsifier) -> None:
    trainer = make_trainer(samples=1000, lr=1e-2, target=0.5)
    sparsifier.sparsify(trainer)
    trainer.finish()
    assert trainer.evaluate().score(trainer.loss_floor) < 0.75


@pytest.mark.parametrize("sparsifier", [LotteryTicket(), LotteryTicket(rewind_share=0.4), Imp()])
def test_same_seed_same_bytes(make_trainer: Make, sparsifier: Sparsifier) -> None:
    def run(seed: int) -> State:
        trainer = make_trainer(seed=seed, target=0.5, samples=80)
        sparsifier.sparsify(trainer)
        return state_of(trainer)

    outside = torch.random.get_rng_state()
    first = run(1)
    assert equal(first, run(1))
    assert not equal(first, run(2))
    assert torch.equal(torch.random.get_rng_state(), outside)
