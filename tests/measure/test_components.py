"""A network taken apart into backbone and heads computes the same, part by part."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from msbench.measure.components import component_seconds, split
from msbench.models.multitask import MultiTaskModel
from msbench.sparsity.compaction import compact, fold_batchnorm
from msbench.sparsity.mask import Mask
from msbench.training.trainer import Trainer

IMAGE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def model_of(make_trainer: Callable[..., Trainer]) -> MultiTaskModel:
    return make_trainer().model.eval()


@pytest.mark.parametrize("shrunk", [False, True])
def test_parts_together_give_the_networks_outputs(make_trainer: Callable[..., Trainer], shrunk: bool) -> None:
    model = model_of(make_trainer)
    layer = next(name for name, module in model.named_modules() if isinstance(module, nn.Conv2d) and "stem" not in name)
    mask = Mask({layer: torch.arange(model.get_submodule(layer).weight.shape[1]) > 0})
    mask.apply(model)
    network = compact(model, mask, IMAGE[:1]).model.eval() if shrunk else fold_batchnorm(model, IMAGE)

    parts = split(network, IMAGE)

    assert set(parts) == {"backbone", "heads.segmentation", "heads.normals"}
    with torch.inference_mode():
        expected = model(IMAGE)
        for task in ("segmentation", "normals"):
            torch.testing.assert_close(parts[f"heads.{task}"](IMAGE), expected[task], atol=1e-5, rtol=1e-4)


def test_a_network_that_is_not_traced_has_no_parts() -> None:
    assert split(nn.Sequential(nn.Flatten()), IMAGE) == {}


class Slow(nn.Module):
    """Sleeps: a backbone of 4 ms, a head of 1 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Sleep(0.004)
        self.heads = nn.ModuleDict({"x": _Sleep(0.001)})

    def forward(self, image: Tensor) -> Tensor:
        return self.heads["x"](self.backbone(image))


class _Sleep(nn.Identity):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, image: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return image


class _Leaves(torch.fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _Sleep)


def test_each_part_takes_its_own_time() -> None:
    slow = Slow()
    network = torch.fx.GraphModule(slow, _Leaves().trace(slow))

    found = component_seconds({"dense": network, "compact": network}, IMAGE, 0.01)

    assert set(found) == {"backbone", "heads.x"}
    for seconds in found["backbone"].values():
        assert seconds >= 0.004
    assert found["backbone"]["dense"] > 1.5 * found["heads.x"]["dense"]
