"""The Fisher information of channels, against torch-pruning and against explicit Kronecker products."""

from __future__ import annotations

import torch
import torch_pruning as tp
from torch import Tensor, nn

from msbench_plugins.criteria.fisher import ChannelOBD, _Factors, _mean_squares
from tests.criteria.isolated import Make, same_order


def torch_prunings_fisher(trainer_of: Make) -> dict[str, Tensor]:
    """OBDCImportance's Fisher matrices after one batch, as weights [O, I, kH, kW]."""
    trainer, importance = trainer_of(), tp.importance.OBDCImportance()
    for name in trainer.weights:
        layer = trainer.model.get_submodule(name)
        importance.modules.append(layer)
        layer.register_forward_pre_hook(importance._save_input)
        layer.register_full_backward_hook(importance._save_grad_output)
    trainer.model.eval()
    batch = trainer.next_batch()
    batch.image.requires_grad_()  # their backward hook wants a gradient of the input
    trainer.backward(batch)
    importance.step()
    return {n: importance.Fisher[trainer.model.get_submodule(n)].view(w.shape) for n, w in trainer.weights.items()}


def test_diagonal_is_torch_prunings(make_trainer: Make) -> None:
    trainer = make_trainer()
    scores, elements = ChannelOBD().score(make_trainer()), ChannelOBD().score_elements(make_trainer())
    for name, fisher in torch_prunings_fisher(make_trainer).items():
        weight = trainer.weights[name].detach()
        # theirs adds the samples up and leaves out the half: 2 * 8 samples
        expected = weight**2 * fisher / 16
        assert torch.allclose(elements[name], expected, rtol=1e-3, atol=float(expected.max()) * 1e-5)
        assert same_order(scores[name], expected.sum((0, 2, 3)))


def test_diagonal_is_the_mean_square_of_single_samples_gradients() -> None:
    torch_rng = torch.Generator().manual_seed(0)
    for layer, shape in (
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), (5, 4, 9, 8)),
        (nn.Conv1d(3, 2, 3, padding="same"), (5, 3, 7)),
        (nn.Linear(3, 4), (5, 3)),
        (nn.Linear(3, 4), (5, 7, 3)),
    ):
        x = torch.randn(shape, generator=torch_rng)
        y = layer(x)
        gradient = torch.randn(y.shape, generator=torch_rng)
        squares = torch.zeros_like(layer.weight)
        for sample in range(5):
            own = torch.autograd.grad(layer(x[sample : sample + 1]), layer.weight, 5 * gradient[sample : sample + 1])
            squares += own[0] ** 2 / 5
        assert torch.allclose(_mean_squares(layer, x, gradient), squares, rtol=1e-4, atol=1e-4)  # type: ignore[arg-type]


def channel_quadratic(fisher: Tensor, weight: Tensor, channel: int) -> float:
    """½ w_cᵀ F w_c with F over the flattened weight [O * I * K]."""
    alone = torch.zeros_like(weight)
    alone[:, channel] = weight[:, channel]
    return float(alone.flatten() @ fisher @ alone.flatten() / 2)


def scores_of(layer: nn.Module, x: Tensor, gradient: Tensor, model: nn.Module) -> Tensor:
    factors = _Factors.__new__(_Factors)
    factors.model, factors.names, factors.patches, factors.outputs = model, ["0"], {}, {}  # type: ignore[assignment]
    factors.see("0", layer, x, gradient)  # type: ignore[arg-type]
    return factors.scores(1)["0"]


@torch.no_grad()
def test_kronecker_is_the_quadratic_form_of_the_explicit_product() -> None:
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(3, 4, (2, 3), padding=1, bias=False)
    x, model = torch.randn(6, 3, 5, 5, generator=generator), nn.Sequential(conv)
    gradient = torch.randn(conv(x).shape, generator=generator) / 6
    patches = nn.functional.unfold(x, (2, 3), padding=1)  # [B, I * K, P]
    own = 6 * gradient.flatten(2)
    A = torch.einsum("bip,bjp->ij", patches, patches) / 6
    S = torch.einsum("bop,bqp->oq", own, own) / (6 * own.shape[-1])
    fisher = torch.kron(S, A)  # rows run over O, then I * K, as the flattened weight does
    found = scores_of(conv, x, gradient, model)
    for channel in range(3):
        assert torch.allclose(found[channel], torch.tensor(channel_quadratic(fisher, conv.weight, channel)), rtol=1e-4)


def test_kronecker_is_half_the_squared_taylor_change_of_one_sample_and_position() -> None:
    """There F is exactly g gᵀ, so the quadratic form is (Σ w g)² / 2."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(5, 4)
    x, gradient = torch.randn(1, 5, generator=generator), torch.randn(1, 4, generator=generator)
    (own,) = torch.autograd.grad(layer(x), layer.weight, gradient)
    expected = (layer.weight * own).sum(0) ** 2 / 2
    assert torch.allclose(scores_of(layer, x, gradient, nn.Sequential(layer)), expected.detach(), rtol=1e-4)


def test_kronecker_adds_up_convolution_groups(make_trainer: Make) -> None:
    generator = torch.Generator().manual_seed(0)
    grouped = nn.Conv2d(4, 6, 3, groups=2, bias=False)
    x = torch.randn(3, 4, 6, 6, generator=generator)
    gradient = torch.randn(grouped(x).shape, generator=generator)
    halves = []
    for half in range(2):
        part = nn.Conv2d(2, 3, 3, bias=False)
        part.weight.data = grouped.weight.data[3 * half : 3 * half + 3].clone()
        inputs, outputs = x[:, 2 * half : 2 * half + 2], gradient[:, 3 * half : 3 * half + 3]
        halves.append(scores_of(part, inputs, outputs, nn.Sequential(part)))
    assert torch.allclose(scores_of(grouped, x, gradient, nn.Sequential(grouped)), halves[0] + halves[1], rtol=1e-4)


def test_kronecker_on_the_network_agrees_with_the_diagonal_in_the_large(make_trainer: Make) -> None:
    """Two estimates of one thing: over all groups of the network their logarithms must go together."""
    trainer = make_trainer(width=8, batch=32, samples=320)
    diagonal = torch.cat(list(ChannelOBD().score(trainer).values()))
    factored = torch.cat(list(ChannelOBD(fisher="kronecker", batches=2).score(trainer).values()))
    assert trainer.allowance.spent == 96
    alive = (diagonal > 0) & (factored > 0)
    assert alive.float().mean() > 0.9
    assert torch.corrcoef(torch.stack([diagonal[alive].log(), factored[alive].log()]))[0, 1] > 0.8
