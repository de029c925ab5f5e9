"""HRank against matrices of known rank and torch.linalg."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from msbench_plugins.criteria.spectra import HRank, maps, matrix_ranks
from tests.criteria.isolated import Make, inputs_in_eval


@pytest.mark.parametrize("shape", [(7, 12), (12, 7), (9, 9), (40, 64)])
def test_ranks_of_matrices_of_known_rank(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    for rank in (0, 1, 3, min(shape) - 1, min(shape)):
        left = torch.randn(5, shape[0], rank, generator=generator, dtype=torch.float64)
        right = torch.randn(5, rank, shape[1], generator=generator, dtype=torch.float64)
        matrices = (left @ right).float()
        assert torch.equal(matrix_ranks(matrices), torch.full((5,), rank))
        assert torch.equal(matrix_ranks(matrices * 1e-6), torch.full((5,), rank)), "scale must not matter"


def test_ranks_are_those_of_torch_on_real_feature_maps(make_trainer: Make) -> None:
    trainer, other = make_trainer(), make_trainer()
    scores = HRank(images=8).score(trainer)
    for name, x in inputs_in_eval(other, other.next_batch().image).items():
        full = min(x.shape[2:])
        mean = torch.linalg.matrix_rank(x).double().mean(0) / full
        assert ((scores[name] >= mean) & (scores[name] < mean + 1 / (8 * full))).all(), name


def test_ties_are_broken_and_dead_groups_rank_last(make_trainer: Make) -> None:
    trainer = make_trainer()
    name, weight = list(trainer.weights.items())[3]
    with torch.no_grad():
        weight[:, 1] = 0
    scores = HRank(batches=2, images=3).score(trainer)
    assert trainer.allowance.spent == 16
    assert scores[name][1] == 0
    alive = torch.cat([torch.cat([score[:1], score[2:]]) if n == name else score for n, score in scores.items()])
    assert alive.unique().numel() == alive.numel()


def test_maps_of_every_kind_of_layer() -> None:
    assert maps(nn.Conv2d(3, 1, 1), torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5, 7)
    assert maps(nn.Conv3d(3, 1, 1), torch.zeros(2, 3, 4, 5, 7)).shape == (2, 3, 20, 7)
    assert maps(nn.Conv1d(3, 1, 1), torch.zeros(2, 3, 5)).shape == (2, 3, 5, 1)
    assert maps(nn.Linear(3, 1), torch.zeros(2, 3)).shape == (2, 3, 1, 1)
    tokens = torch.arange(2 * 4 * 3.0).view(2, 4, 3)
    assert torch.equal(maps(nn.Linear(3, 1), tokens)[1, 2].flatten(), tokens[1, :, 2])
