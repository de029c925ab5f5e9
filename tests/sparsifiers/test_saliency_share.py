"""λ as the multiplier of a saliency-share constraint."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msbench.api import Episode, Step, Trainer
from msbench_plugins.sparsifiers.meta.saliency_share import SaliencyShare
from msbench_plugins.sparsifiers.meta_sparsity import MetaSparsity

Make = Callable[..., Trainer]


def random_episode(trainer: Trainer, seed: int) -> Episode:
    generator = torch.Generator().manual_seed(seed)
    gradients = {f"{n}.weight": torch.randn(w.shape, generator=generator) for n, w in trainer.weights.items()}
    return Episode(("segmentation",), gradients, {})


def test_saliency_is_the_mean_of_gradient_times_weight(make_trainer: Make) -> None:
    trainer = make_trainer()
    share = SaliencyShare(trainer, phi=0.1)
    episode = random_episode(trainer, 0)
    share.observe(episode)
    raw = {
        name: np.abs(episode.gradients[f"{name}.weight"].numpy() * w.detach().numpy())
        for name, w in trainer.weights.items()
    }
    mean = np.concatenate([r.ravel() for r in raw.values()]).mean()
    for name, values in raw.items():
        expected = [values[:, c].mean() / mean for c in range(values.shape[1])]
        assert share.saliency[name].tolist() == pytest.approx(expected, rel=1e-4)


def test_every_episode_weighs_the_same(make_trainer: Make) -> None:
    trainer = make_trainer()
    share, loud = SaliencyShare(trainer, phi=0.1), SaliencyShare(trainer, phi=0.1)
    first, second = random_episode(trainer, 0), random_episode(trainer, 1)
    shouted = Episode(second.tasks, {n: 1e4 * g for n, g in second.gradients.items()}, {})
    for one, other in ((first, first), (second, shouted)):
        share.observe(one)
        loud.observe(other)
    for name, saliency in share.saliency.items():
        assert torch.allclose(saliency, loud.saliency[name], rtol=1e-4)


@given(seed=st.integers(0, 10_000), phi=st.floats(0.01, 0.95))
def test_lambda_is_the_exact_root_of_the_constraint(make_trainer: Make, seed: int, phi: float) -> None:
    trainer = make_trainer()
    share = SaliencyShare(trainer, phi)
    generator = torch.Generator().manual_seed(seed)
    scores = {layer.name: torch.rand(layer.count, generator=generator) for layer in trainer.groups.layers}
    lam, level, held = share.solve(scores)
    sizes = {layer.name: layer.size for layer in trainer.groups.layers}
    pairs = sorted((float(u), sizes[n]) for n, values in scores.items() for u in values.double())
    everything = sum(u * n for u, n in pairs)
    removed = [(u, n) for u, n in pairs if u <= lam]
    assert sum(u * n for u, n in removed) <= phi * everything * (1 + 1e-9)
    one_more = pairs[: len(removed) + 1]
    assert sum(u * n for u, n in one_more) > phi * everything * (1 - 1e-9)
    assert held == pytest.approx(sum(u * n for u, n in removed) / everything)
    assert level == pytest.approx(sum(n for _, n in removed) / trainer.groups.weights)


def test_the_level_rises_with_phi(make_trainer: Make) -> None:
    trainer = make_trainer(width=16)
    share = SaliencyShare(trainer, 0.1)
    for seed in range(3):
        share.observe(random_episode(trainer, seed))
    levels = []
    for phi in (0.05, 0.1, 0.3, 0.6, 0.9):
        share.phi = phi
        levels.append(share.solve(share.scores())[1])
    assert all(a < b for a, b in pairwise(levels))


def test_the_mask_is_what_lambda_removes(make_trainer: Make) -> None:
    trainer = make_trainer(width=16)
    share = SaliencyShare(trainer, 0.3)
    share.observe(random_episode(trainer, 0))
    share.step(Step(0, True, 1e-3))
    share.settle()
    assert trainer.mask is not None
    for name, score in share.scores().items():
        kept = trainer.mask[name]
        assert kept[score.argmax()], "the best group of every layer stays"
        assert torch.equal(kept | (torch.arange(len(kept)) == score.argmax()), (score > share.lam) | kept)
    assert trainer.natural == pytest.approx(share.level, abs=0.02)


def test_natural_meta_sparsity_prunes_without_being_told_how_much(make_trainer: Make) -> None:
    trainer = make_trainer(samples=2400, width=16)
    MetaSparsity(phi=0.4).sparsify(trainer)
    trainer.finish()
    assert 0.2 < trainer.sparsity() < 0.7
    assert trainer.natural == pytest.approx(trainer.sparsity())
