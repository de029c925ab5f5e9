"""Network slimming's scales, traced to each layer's input."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import Tensor, nn

from msbench.errors import UserError
from msbench_plugins.criteria.batchnorm import BatchNormScale, input_scales
from tests.criteria.isolated import RAW, Make


def draw_scales(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            module.weight.data = torch.randn(module.num_features, generator=generator)


def gamma(model: nn.Module, *names: str) -> Tensor:
    return torch.stack([model.get_submodule(name).get_parameter("weight").detach().abs() for name in names]).sum(0)


def test_scales_of_the_residual_network_by_hand(make_trainer: Make) -> None:
    trainer = make_trainer()
    draw_scales(trainer.model)
    scores = BatchNormScale().score(trainer)
    b, model = "backbone.", trainer.model
    after = {
        "stage1.0.conv1": ("stem.1",),
        "stage1.0.conv2": ("stage1.0.bn1",),
        "stage2.0.conv1": ("stem.1", "stage1.0.bn2"),
        "stage2.0.conv2": ("stage2.0.bn1",),
        "stage2.0.shortcut.0": ("stem.1", "stage1.0.bn2"),
        "stage3.0.conv1": ("stage2.0.bn2", "stage2.0.shortcut.1"),
        "stage3.0.conv2": ("stage3.0.bn1",),
        "stage3.0.shortcut.0": ("stage2.0.bn2", "stage2.0.shortcut.1"),
    }
    assert {b + name for name in after} | {b + "stem.0"} == set(scores)
    for name, norms in after.items():
        assert torch.equal(scores[b + name], gamma(model, *(b + norm for norm in norms))), name


def test_sums_over_additions_are_torch_prunings(make_trainer: Make) -> None:
    """All batch-norms that torch-pruning couples with the last block's output are those that add up in it."""
    trainer = make_trainer()
    draw_scales(trainer.model)
    scores = BatchNormScale().score(trainer)
    graph = tp.DependencyGraph().build_dependency(trainer.model, example_inputs=torch.zeros(2, 3, 16, 16))
    for reader, producer in (
        ("stage1.0.conv2", "stage1.0.conv1"),
        ("stage2.0.conv1", "stem.0"),
        ("stage3.0.conv1", "stage2.0.conv2"),
    ):
        conv = trainer.model.get_submodule("backbone." + producer)
        group = graph.get_pruning_group(conv, tp.prune_conv_out_channels, idxs=list(range(conv.out_channels)))
        expected = tp.importance.BNScaleImportance(**RAW)(group)
        assert torch.allclose(scores["backbone." + reader], expected)


def test_the_image_ranks_above_every_scale_and_by_magnitude(make_trainer: Make) -> None:
    trainer = make_trainer()
    draw_scales(trainer.model)
    with torch.no_grad():
        trainer.weights["backbone.stem.0"][:, 1] *= 3
        trainer.weights["backbone.stage1.0.conv1"][:, 2] = 0
    scores = BatchNormScale().score(trainer)
    image = scores.pop("backbone.stem.0")
    assert image.min() > max(float(score.max()) for score in scores.values())
    assert image.argmax() == 1
    assert scores["backbone.stage1.0.conv1"][2] == 0, "what is removed already ranks last"


class Branches(nn.Module):
    """Concatenation, pooling, resizing, flattening, an unnormalised branch and a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.b = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, affine=False))
        self.c = nn.Conv2d(3, 1, 1)
        self.mix = nn.Conv2d(6, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.gated = nn.Conv2d(4, 4, 1)
        self.linear = nn.Linear(16, 2)
        self.pooled = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a = F.interpolate(self.a(x), scale_factor=2)
        y = self.mix(torch.cat([a, F.relu(self.b(x)), self.c(x)], dim=1))
        y = F.relu(self.norm(y))
        z = self.gated(y * self.depthwise(y).sigmoid())
        y = y + 1.0
        return self.linear(F.adaptive_avg_pool2d(y, 2).flatten(1)), self.pooled(y.mean((2, 3))) + z.mean((2, 3))


def test_walks_through_concatenation_pooling_flattening_and_groups() -> None:
    model = Branches()
    draw_scales(model)
    counts = {"a.0": 3, "mix": 6, "depthwise": 2, "gated": 4, "linear": 16, "pooled": 4}
    found = input_scales(model, counts)
    first, main, nan = gamma(model, "a.1"), gamma(model, "norm"), torch.tensor([torch.nan])
    for name, expected in {
        "a.0": nan.expand(3),
        "mix": torch.cat([first, torch.ones(3), nan]),
        "depthwise": main[:2] + main[2:],
        "gated": nan.expand(4),  # a product with another branch has no one scale
        "linear": main.repeat_interleave(4),
        "pooled": main,
    }.items():
        assert torch.equal(found[name].nan_to_num(-1), expected.nan_to_num(-1)), name


def test_a_network_without_batch_norm_or_trace_is_refused(make_trainer: Make) -> None:
    trainer = make_trainer()
    for name, module in list(trainer.model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            parent, _, child = name.rpartition(".")
            setattr(trainer.model.get_submodule(parent), child, nn.Identity())
    with pytest.raises(UserError, match="no prunable layer reads a channel of a batch-norm"):
        BatchNormScale().score(trainer)

    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UserError, match=r"torch\.fx can trace"):
        input_scales(Branching(), {})
