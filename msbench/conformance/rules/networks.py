"""Rules for backbones and heads."""

from __future__ import annotations

import copy
from typing import Final

import torch
from torch import Tensor, nn

from msbench.conformance.case import Inapplicable, RuleError, one_line
from msbench.conformance.networks import BackboneSubject, HeadSubject, NetworkSubject
from msbench.conformance.rules.results import shrunk
from msbench.conformance.toy import ToyBackbone
from msbench.models.base import BackboneModule
from msbench.sparsity.compaction.tracing import trace
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask


@torch.no_grad()
def maps(subject: BackboneSubject) -> str:
    """Its feature maps have the channels and strides that it declares, finest first, at two image sizes."""
    module = subject.module(0).eval()
    if not isinstance(module, BackboneModule):
        raise RuleError(f"build() returned a {type(module).__name__}, not a BackboneModule")
    if list(module.strides) != sorted(module.strides):
        raise RuleError(f"strides={module.strides}: the finest map comes first")
    for height, width in subject.sizes():
        found = [tuple(y.shape[1:]) for y in module(torch.rand(2, 3, height, width))]
        pairs = zip(module.channels, module.strides, strict=True)
        expected = [(channels, height // stride, width // stride) for channels, stride in pairs]
        if found != expected:
            raise RuleError(f"at {height}x{width} the maps are {found}, declared are {expected}")
    return f"channels {module.channels}, strides {module.strides}"


@torch.no_grad()
def shapes(subject: HeadSubject) -> str:
    """It gives as many channels as it is asked for: a map (kind dense) or a vector (kind vector), at two sizes."""
    kind = subject.cls.kind
    if kind not in ("dense", "vector"):
        raise RuleError(f"kind={kind!r}: write 'dense' or 'vector'")
    backbone = ToyBackbone().eval()
    for channels in (1, 5):
        module = subject.module(0, channels).eval()
        for height, width in subject.sizes():
            found = tuple(module(backbone(torch.rand(2, 3, height, width))).shape)
            if found[:2] != (2, channels) or len(found) != (4 if kind == "dense" else 2):
                wanted = f"(2, {channels}, h, w)" if kind == "dense" else f"(2, {channels})"
                raise RuleError(f"at {height}x{width} its output is {found}, expected {wanted}")
    return kind


def initialisation(subject: NetworkSubject) -> str:
    """Fresh weights depend on torch's default generator, which the host seeds, and on nothing else."""
    first, again, other = (subject.module(seed).state_dict() for seed in (0, 0, 1))
    moved = [name for name in subject.watch.generators if name != "torch"]
    if moved:
        raise RuleError(f"it draws from the global generator of {', '.join(moved)}")
    for name, value in first.items():
        if not torch.equal(value, again[name]):
            raise RuleError(f"{name} differs between two networks of one seed")
    if all(torch.equal(value, other[name]) for name, value in first.items()):
        raise RuleError("two seeds give the same weights")
    return f"{len(first)} tensors"


@torch.no_grad()
def state(subject: NetworkSubject) -> str:
    """What its state dict holds is all of it: another network that loads it has the same outputs, twice."""
    first, second = subject.network(0).eval(), subject.network(1).eval()
    second.load_state_dict(first.state_dict())
    image = _image(subject)
    expected, found = first(image), second(image)
    for task, output in expected.items():
        difference = float((output - found[task]).abs().max())
        if not difference <= 1e-5:
            raise RuleError(f"a network with the same state differs by {difference:.3g}")
        if not torch.equal(first(image)[task], output):
            raise RuleError("in eval mode the same image gives another output the second time")
    return f"{len(first.state_dict())} tensors"


def gradients(subject: NetworkSubject) -> str:
    """The loss reaches every one of its parameters."""
    network = subject.network().train()
    outputs: dict[str, Tensor] = network(_image(subject))
    torch.stack([output.square().mean() for output in outputs.values()]).sum().backward()
    part = subject.part(network)
    unreached = [name for name, parameter in part.named_parameters() if parameter.grad is None]
    if unreached:
        raise RuleError(f"no gradient reaches {', '.join(unreached[:3])}")
    return f"{sum(1 for _ in part.parameters())} parameters"


def traceable(subject: NetworkSubject) -> str:
    """torch.fx traces it: no branch depends on a tensor's value."""
    try:
        return f"{len(trace(subject.network()).graph.nodes)} operations"
    except Exception as error:  # tracing runs the plugin's own code
        raise RuleError(one_line(error)) from error


def compacts(subject: NetworkSubject) -> str:
    """With half of its groups gone it shrinks to a smaller network with the same outputs."""
    network = subject.network()
    try:
        trace(copy.deepcopy(network))
    except Exception as error:  # the rule `traceable` reports it
        raise Inapplicable("it cannot be traced, see above") from error
    prefix = "backbone." if subject.part(network) is network.backbone else "heads."
    generator = torch.Generator().manual_seed(0)
    layers = [layer for layer in Groups.of(network, "model").layers if layer.name.startswith(prefix)]
    if not layers:
        raise RuleError("it has no convolution and no linear layer: nothing can be pruned")
    mask = Mask({layer.name: torch.rand(layer.count, generator=generator) > 0.5 for layer in layers})
    _settle_batchnorm(network)
    return shrunk(network, mask, *subject.sizes())


def _settle_batchnorm(network: nn.Module) -> None:
    """Statistics that differ by channel, as after training: fresh ones would hide a wrong channel."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1, generator=generator)


def _image(subject: NetworkSubject) -> Tensor:
    return torch.rand(2, 3, *subject.sizes()[0], generator=torch.Generator().manual_seed(0))


SHARED: Final = (initialisation, state, gradients, traceable, compacts)
BACKBONES: Final = (maps, *SHARED)
HEADS: Final = (shapes, *SHARED)
