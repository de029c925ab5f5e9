"""Random small networks of everything that compaction has a rule for, and some that it has not; random masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn

from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from tests.sparsity import networks

WIDTHS = (6, 12)


class Add(nn.Module):
    def __init__(self, width: int, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.norm = inner, nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.inner(x)) + x)


class Join(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.inner(x), x], dim=1)


class SqueezeExcite(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, 4, 1), nn.Conv2d(4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class ChannelsLast(nn.Module):
    """A ConvNeXt block: depthwise convolution, layer-norm and two linear layers with channels last, layer scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand, self.project = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.scale = nn.Parameter(torch.rand(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.project(F.gelu(self.expand(y))).permute(0, 3, 1, 2)
        return x + self.scale * y


class Shuffle(nn.Module):
    """ShuffleNet's exchange between two groups of channels."""

    def forward(self, x: Tensor) -> Tensor:
        batch, width, height, length = x.shape
        return x.view(batch, 2, width // 2, height, length).transpose(1, 2).reshape(batch, width, height, length)


class Network(nn.Module):
    """The layers in a row, then a map and a vector."""

    def __init__(self, layers: list[nn.Module], width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.predict, self.vector = nn.Conv2d(width, 2, 3, padding=1), nn.Linear(width, 3)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.layers(image)
        return {"map": self.predict(x), "vector": self.vector(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))}


@st.composite
def convolutions(draw: st.DrawFn, inputs: int, outputs: int, *, shrinks: bool) -> nn.Module:
    """Any geometry; `shrinks`: strided or without padding."""
    kernel = draw(st.sampled_from([1, 3, 3]))
    dilation = draw(st.sampled_from([1, 2])) if kernel == 3 else 1
    strided = shrinks and draw(st.booleans())
    return nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride=2 if strided else 1,
        padding=0 if shrinks and not strided else dilation * (kernel // 2),
        dilation=dilation,
        groups=draw(st.sampled_from([1, 1, 2, 3, inputs])) if inputs % 6 == 0 and outputs % inputs == 0 else 1,
        bias=draw(st.booleans()),
        padding_mode=draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"])),
    )


POOLS = (nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(5))
ACTIVATIONS = (nn.ReLU(inplace=True), nn.ReLU6(), nn.Hardswish(), nn.Sigmoid())


@st.composite
def models(draw: st.DrawFn, most: int = 5) -> nn.Module:
    """Networks for images of at least 20 pixels: at most two of their layers shrink the grid."""
    width = draw(st.sampled_from(WIDTHS))
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1)]
    shrinking = 2
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(["conv", "conv", "add", "join", "gate", "last", "shuffle", "norm", "pool", "act"]))
        shrinks = shrinking > 0 and (kind == "pool" or (kind == "conv" and draw(st.booleans())))
        shrinking -= shrinks
        if kind == "conv":
            after = draw(st.sampled_from(WIDTHS))
            layers.append(draw(convolutions(width, after, shrinks=shrinks)))
            width = after
        elif kind == "join" and width == min(WIDTHS):
            layers.append(Join(draw(convolutions(width, width, shrinks=False))))
            width *= 2
        elif kind == "add":
            layers.append(Add(width, draw(convolutions(width, width, shrinks=False))))
        elif kind == "pool" and shrinks:
            layers.append(draw(st.sampled_from(POOLS)))
        elif kind == "act":
            layers.append(draw(st.sampled_from(ACTIVATIONS)))
        else:
            makers = {"gate": SqueezeExcite, "last": ChannelsLast, "shuffle": lambda _: Shuffle()}
            layers.append(makers.get(kind, nn.BatchNorm2d)(width))
    torch.manual_seed(0)
    return networks.unsettle(Network(layers, width), seed=draw(st.integers(0, 99)))


@st.composite
def masks(draw: st.DrawFn, model: nn.Module) -> Mask:
    """Some share of every layer, or: some layers whole, a run of layers whole, one group left in each layer."""
    layers = Groups.of(model, "model").layers
    pattern = draw(st.sampled_from(["share", "layers", "stage", "one"]))
    share, structured = draw(st.sampled_from([0.2, 0.5, 0.9])), draw(st.sampled_from([True, True, False]))
    first, last = sorted(draw(st.tuples(*[st.integers(0, len(layers) - 1)] * 2)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    kept = {}
    for index, layer in enumerate(layers):
        weight = model.get_submodule(layer.name).weight
        chosen = torch.rand((layer.count,) if structured else weight.shape, generator=generator)
        if pattern == "one":
            kept[layer.name] = torch.arange(layer.count) == chosen.flatten().argmax() % layer.count
            continue
        dead = first <= index <= last if pattern == "stage" else pattern == "layers" and index % 3 == first % 3
        kept[layer.name] = chosen < (0.0 if dead else share)
    return Mask(kept)
