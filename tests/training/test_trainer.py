"""The trainer: one stream a seed, the allowance counted, the mask held, the best checkpoint kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from msbench.errors import AllowanceExceededError, UserError
from msbench.sparsity.mask import Mask
from msbench.training.optimizer import Optimizer
from msbench.training.settings import TrainingSettings
from msbench.training.stepping import Step
from msbench.training.stream import Stream
from msbench.training.trainer import Trainer
from msbench.training.view import View, Weights
from tests.conftest import toy_samples, toy_tasks

Make = Callable[..., Trainer]


def state_bytes(trainer: Trainer) -> bytes:
    return b"".join(value.numpy().tobytes() for value in trainer.model.state_dict().values())


def half_mask(trainer: Trainer) -> Mask:
    return Mask({layer.name: torch.arange(layer.count) % 2 == 0 for layer in trainer.groups.layers})


def test_same_seed_same_bytes(make_trainer: Make) -> None:
    first, second, other = make_trainer(seed=3), make_trainer(seed=3), make_trainer(seed=4)
    for trainer in (first, second, other):
        trainer.train()
    assert state_bytes(first) == state_bytes(second)
    assert state_bytes(first) != state_bytes(other)


def test_every_sample_is_counted_and_overspending_stops(make_trainer: Make) -> None:
    trainer = make_trainer(samples=64)
    trainer.train(share=0.5)
    assert trainer.allowance.spent == 32
    trainer.gradients(batches=2)
    assert trainer.allowance.spent == 48
    with pytest.raises(AllowanceExceededError, match="asked for 8 more samples, but 64 of 64"):
        trainer.train(share=0.5)
    assert trainer.allowance.spent == 64


def test_training_learns(make_trainer: Make) -> None:
    trainer = make_trainer(samples=1600, lr=1e-2)
    before = trainer.evaluate().score(trainer.loss_floor)
    trainer.train()
    assert trainer.evaluate().score(trainer.loss_floor) < 0.5 < before


def test_an_unknown_criterion_names_the_nearest(make_trainer: Make) -> None:
    with pytest.raises(UserError, match="unknown criterion 'magnitud': did you mean 'magnitude'"):
        make_trainer().rank("magnitud")


def test_autocast_trains_too(make_trainer: Make) -> None:
    trainer = make_trainer(samples=1600, lr=1e-2, amp=True)
    assert trainer.losses(trainer.next_batch())["segmentation"].dtype == torch.float32
    trainer.train()
    assert trainer.evaluate().score(trainer.loss_floor) < 0.5


def test_masked_weights_stay_exactly_zero_through_training(make_trainer: Make) -> None:
    trainer = make_trainer()
    trainer.train(share=0.3)
    mask = half_mask(trainer)
    trainer.apply_mask(mask)
    trainer.train(steps=3)
    for name, weight in trainer.weights.items():
        assert not (weight * ~mask.expanded(name, weight)).any()
        moment = trainer.optimizer.second_moment(weight)
        assert not (moment * ~mask.expanded(name, moment)).any(), "a stale moment would revive it"
        assert (weight * mask.expanded(name, weight)).any()


def test_settle_gives_a_returning_group_its_value_from_before(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.5)
    before = {name: weight.detach().clone() for name, weight in trainer.weights.items()}
    with torch.no_grad():
        for weight in trainer.weights.values():
            weight[:, 1:] = 0
    scores = {layer.name: torch.arange(layer.count).float() for layer in trainer.groups.layers}
    natural = trainer.sparsity()
    trainer.settle(scores, before=before)
    assert trainer.natural == pytest.approx(natural)
    assert trainer.mask is not None
    revived = 0
    for name, weight in trainer.weights.items():
        back = trainer.mask[name].clone()
        back[0] = False
        revived += int(back.sum())
        assert torch.equal(weight[:, back], before[name][:, back])
    assert revived > 0
    assert abs(trainer.sparsity() - 0.5) <= 0.005 + max(g.size for g in trainer.groups.layers) / trainer.groups.weights


def test_best_checkpoint_counts_only_under_the_final_mask(make_trainer: Make) -> None:
    trainer = make_trainer(samples=1600, lr=1e-2)
    trainer.train(share=0.8)
    dense_score = trainer.evaluate().score(trainer.loss_floor)
    trainer.apply_mask(Mask({layer.name: torch.arange(layer.count) == 0 for layer in trainer.groups.layers}))
    trainer.train(steps=1)
    trainer.finish()
    assert trainer.evaluate().score(trainer.loss_floor) > dense_score, "the dense checkpoint must not come back"
    assert trainer.sparsity() > 0.5


def test_restore_rewinds_weights_and_keeps_the_mask(make_trainer: Make) -> None:
    trainer = make_trainer()
    start = trainer.snapshot()
    initial = state_bytes(trainer)
    trainer.train(share=0.3)
    mask = half_mask(trainer)
    trainer.apply_mask(mask)
    trainer.restore(start)
    trainer.train(steps=1)
    for name, weight in trainer.weights.items():
        assert not (weight * ~mask.expanded(name, weight)).any()
    fresh = trainer.snapshot()
    start.put(trainer.model, trainer.balancer)
    assert state_bytes(trainer) == initial
    fresh.put(trainer.model, trainer.balancer)


def test_training_leaves_the_global_generator_alone(make_trainer: Make) -> None:
    before = torch.random.get_rng_state()
    trainer = make_trainer()
    trainer.model.backbone.stem.append(torch.nn.Dropout(0.5))
    trainer.train(share=0.5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_dropout_differs_from_step_to_step_and_repeats_with_the_seed(make_trainer: Make) -> None:
    def draws() -> list[torch.Tensor]:
        trainer = make_trainer()
        seen: list[torch.Tensor] = []
        dropout = torch.nn.Dropout(0.5)
        dropout.register_forward_hook(lambda module, inputs, output: seen.append(output.detach() == 0))
        trainer.model.backbone.stem.append(dropout)
        trainer.train(steps=2)
        return seen

    first, second = draws(), draws()
    assert not torch.equal(first[0], first[1])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_stream_is_the_same_whatever_the_batch_size() -> None:
    def images(sizes: list[int]) -> torch.Tensor:
        stream = Stream(toy_samples(16, 0), toy_tasks(), torch.Generator().manual_seed(5), flip=False)
        return torch.cat([stream.next(size).image for size in sizes])

    assert torch.equal(images([4, 4, 4]), images([12]))


def test_mirroring_turns_normals_with_the_image() -> None:
    samples = toy_samples(8, 0)
    plain = Stream(samples, toy_tasks(), torch.Generator().manual_seed(1), flip=False).next(8)
    turned = Stream(samples, toy_tasks(), torch.Generator().manual_seed(1), flip=True).next(8)
    changed = [i for i in range(8) if not torch.equal(plain.image[i], turned.image[i])]
    assert 0 < len(changed) < 8
    for i in changed:
        assert torch.equal(turned.image[i], plain.image[i].flip(-1))
        assert torch.equal(turned.target["segmentation"][i], plain.target["segmentation"][i].flip(-1))
        mirrored = plain.target["normals"][i].flip(-1)
        assert torch.equal(turned.target["normals"][i, 0], -mirrored[0])
        assert torch.equal(turned.target["normals"][i, 1:], mirrored[1:])


def test_learning_rate_rises_then_falls_to_zero() -> None:
    settings = TrainingSettings(lr=1.0, warmup=0.2)
    assert settings.lr_at(0.1) == pytest.approx(0.5)
    assert settings.lr_at(0.2) == pytest.approx(1.0)
    assert settings.lr_at(0.6) == pytest.approx(0.5)
    assert settings.lr_at(1.0) == pytest.approx(0.0)


def test_second_moment_is_bias_corrected(make_trainer: Make) -> None:
    trainer = make_trainer()
    optimizer = Optimizer(trainer.model, trainer.balancer, trainer.settings)
    weight = next(iter(trainer.weights.values()))
    for parameter in trainer.model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    optimizer.step(1e-3)
    # after one step v̂ = g², whatever beta2 is
    assert torch.allclose(optimizer.second_moment(weight), torch.full_like(weight, 0.25), rtol=1e-4)


def test_only_weights_decay(make_trainer: Make) -> None:
    trainer = make_trainer(weight_decay=0.5)
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    for parameter in [*trainer.model.parameters(), *trainer.balancer.parameters()]:
        parameter.grad = torch.zeros_like(parameter)
    trainer.optimizer.step(0.1)
    for name, value in trainer.model.named_parameters():
        expected = before[name] * (1 - 0.1 * 0.5) if value.ndim > 1 else before[name]
        assert torch.allclose(value, expected), name


class Doubled(View):
    """W = 2 Θ, differentiable."""

    def weights(self, parameters: Weights) -> Weights:
        return {name: 2 * value for name, value in parameters.items()}


def test_a_view_is_what_trains_and_what_is_evaluated(make_trainer: Make) -> None:
    trainer, plain = make_trainer(), make_trainer()
    batch = trainer.next_batch()
    trainer.view = Doubled()
    with torch.no_grad():
        for weight in plain.model.parameters():
            weight.mul_(2)
    plain.backward(batch)
    trainer.backward(batch)
    for (name, ours), theirs in zip(trainer.model.named_parameters(), plain.model.parameters(), strict=True):
        assert torch.allclose(ours.grad, 2 * theirs.grad, atol=1e-6), name  # type: ignore[operator, arg-type]
    before = state_bytes(trainer)
    assert trainer.evaluate().losses == pytest.approx(plain.evaluate().losses)
    assert state_bytes(trainer) == before, "evaluation puts the latent weights back"


def test_gradients_leave_no_trace_and_are_those_of_the_batch(make_trainer: Make) -> None:
    trainer, twin = make_trainer(), make_trainer()
    before = state_bytes(trainer)
    found = trainer.gradients(batches=2)
    assert state_bytes(trainer) == before, "batch-norm's running statistics are as they were"
    first, second = twin.next_batch(), twin.next_batch()
    expected = {}
    for batch in (first, second):
        twin.backward(batch)
        for name, weight in twin.weights.items():
            assert weight.grad is not None
            expected[name] = expected.get(name, 0) + weight.grad / 2
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], atol=1e-7)
        assert trainer.weights[name].grad is None


def test_task_gradients_add_up_and_every_backward_pass_is_counted(make_trainer: Make) -> None:
    trainer, twin = make_trainer(), make_trainer()
    found = trainer.task_gradients(trainer.next_batch())
    assert trainer.allowance.spent == 2 * trainer.settings.batch
    twin.backward(twin.next_batch(), lambda losses: torch.stack(list(losses.values())).sum())
    for name, weight in twin.weights.items():
        assert weight.grad is not None
        assert torch.allclose(sum(task[name] for task in found.values()), weight.grad, atol=1e-6)  # type: ignore[arg-type]


def test_settle_and_sparsity_by_element(make_trainer: Make) -> None:
    trainer = make_trainer(target=0.5)
    before = {name: weight.detach().clone() for name, weight in trainer.weights.items()}
    scores = {name: weight.abs() for name, weight in before.items()}
    with torch.no_grad():
        for weight in trainer.weights.values():
            weight.flatten()[::3] = 0
    assert trainer.sparsity(structured=False) > 0.3 > trainer.sparsity()
    trainer.settle(scores, before=before)
    assert trainer.sparsity(structured=False) == pytest.approx(0.5, abs=1e-3)
    assert trainer.mask is not None
    for name, weight in trainer.weights.items():
        assert torch.equal(weight, before[name] * trainer.mask[name]), "what comes back has its value from before"


def test_a_stage_has_a_schedule_of_its_own(make_trainer: Make) -> None:
    trainer = make_trainer(samples=320)
    trainer.train(share=0.5)
    seen: list[float] = []
    trainer.train(share=0.5, schedule="stage", after_step=lambda step: seen.append(step.lr))
    assert seen == [trainer.settings.lr_at(index / 20) for index in range(20)]
    assert max(seen) > 0.9 * trainer.settings.lr > trainer.settings.lr_at(0.75)


def test_before_step_sees_the_gradients_of_masked_weights(make_trainer: Make) -> None:
    trainer = make_trainer()
    mask = half_mask(trainer)
    trainer.apply_mask(mask)
    seen = []

    def look(step: Step) -> None:
        for name, weight in trainer.weights.items():
            assert weight.grad is not None
            seen.append(float((weight.grad * ~mask.expanded(name, weight)).abs().sum()))

    trainer.train(steps=1, before_step=look)
    assert max(seen) > 0
    assert trainer.sparsity() > 0


def test_a_restarted_optimizer_has_no_moments_and_holds_the_mask(make_trainer: Make) -> None:
    trainer = make_trainer()
    trainer.train(steps=2)
    mask = half_mask(trainer)
    trainer.apply_mask(mask)
    before = state_bytes(trainer)
    assert any(trainer.optimizer.second_moment(weight).any() for weight in trainer.weights.values())
    trainer.restart_optimizer()
    assert state_bytes(trainer) == before
    assert not any(trainer.optimizer.second_moment(weight).any() for weight in trainer.weights.values())
    trainer.train(steps=2)
    for name, weight in trainer.weights.items():
        assert not (weight * ~mask.expanded(name, weight)).any()
