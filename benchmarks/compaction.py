"""What compaction makes of channel masks: theoretical speed-up, multiply-adds, and measured speed-up.

    python benchmarks/compaction.py [--only resnet50] [--size 256] [--batch 1] [--threads 2] [--round-to N] [--gpu]

Networks: the meta-sparsity papers' dilated ResNet-50, MobileNetV2 and VGG-16 with batch-norm; the backbone
alone, and beside it the whole model with three DeepLabV3 heads, which stay dense. Patterns: "random", the
same share of input channels in every convolution but the first, which reads the image; "whole", about 60 %
of the zeros in whole convolutions and the rest random. Every time is beside the dense network's, given the
same treatment (batch-norms folded, results overwritten), in alternating rounds.

Columns: theory: the papers' ratio, all FLOPs / FLOPs of the kept weights. MACs: multiply-adds before / after
compaction. compaction. time: median (quartiles) of dense / compact. share: time / theory. round: layers keep a
multiple of so many channels, the fastest of 1, 8 and 16 here (as `msbench compact --round-to fastest`).
model: time of the whole model. build: seconds to compact. limit: the least that `time` may be.

Exit code 1 when outputs differ, when a limit is missed (checked at the default size, batch and threads), or
when a build takes 10 s or more.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from msbench.measure.flops import multiply_adds, theoretical_speedup
from msbench.measure.latency import allocator_environment, measure
from msbench.measure.rounding import fastest
from msbench.models.base import BackboneModule
from msbench.models.multitask import MultiTaskModel
from msbench.sparsity.compaction import Compaction, compact, prove
from msbench.sparsity.groups import GroupLayer, Groups
from msbench.sparsity.mask import Mask
from msbench_plugins.backbones.chain import VGG16, MobileNetV2
from msbench_plugins.backbones.resnet import ResNet
from msbench_plugins.heads.deeplab import DeepLabV3

LONGEST_BUILD_S = 10.0
IDLE_LOAD = 2.5
NETWORKS = {
    "resnet50": ResNet(depth=50, output_stride=8, stem="papers"),
    "mobilenet_v2": MobileNetV2(),
    "vgg16_bn": VGG16(),
}


@dataclass(frozen=True)
class Case:
    """limit: the least measured speed-up; None where nothing is promised."""

    network: str
    pattern: str
    sparsity: float
    limit: float | None = None


CASES = (
    Case("resnet50", "random", 0.44, 1.85),
    Case("resnet50", "random", 0.7, 3.0),
    Case("resnet50", "random", 0.9, 6.0),
    Case("resnet50", "whole", 0.44, 2.4),
    Case("resnet50", "whole", 0.7),
    Case("resnet50", "whole", 0.9, 8.5),
    *(Case(network, "random", s) for network in ("mobilenet_v2", "vgg16_bn") for s in (0.44, 0.7, 0.9)),
)


class LastMap(nn.Module):
    """A backbone and its last map, as a network of one output."""

    def __init__(self, backbone: BackboneModule) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"features": self.backbone(image)[-1]}


@torch.no_grad()
def build(network: str) -> tuple[nn.Module, nn.Module]:
    """The backbone alone, and with three heads; batch-norms as after training, so that no constant is zero."""
    torch.manual_seed(0)
    backbone = NETWORKS[network].build()
    heads = {f"task{channels}": DeepLabV3().build(backbone, channels) for channels in (13, 1, 3)}
    whole = MultiTaskModel(backbone, heads, list(heads)).eval()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(0.2 * torch.randn(shape))
            module.running_var.copy_(0.5 + torch.rand(shape))
            module.bias.copy_(0.2 * torch.randn(shape))
    return LastMap(backbone).eval(), whole


def make_mask(model: nn.Module, pattern: str, sparsity: float) -> Mask:
    """Of every layer but the first, and of those with more than one group."""
    generator = torch.Generator().manual_seed(0)
    layers = [layer for layer in Groups.of(model).layers[1:] if layer.count > 1]
    total = sum(layer.weights for layer in layers)
    dead = whole_layers(layers, 0.6 * sparsity * total, generator) if pattern == "whole" else frozenset()
    gone = sum(layer.weights for layer in layers if layer.name in dead)
    share = (sparsity * total - gone) / (total - gone)
    kept = {}
    for layer in layers:
        kept[layer.name] = torch.zeros(layer.count, dtype=torch.bool)
        if layer.name not in dead:
            count = max(1, round(layer.count * (1 - share)))
            kept[layer.name][torch.randperm(layer.count, generator=generator)[:count]] = True
    return Mask(kept)


def whole_layers(layers: list[GroupLayer], weights: float, generator: torch.Generator) -> frozenset[str]:
    """Convolutions of residual branches with about so many weights: without one, its block is an identity."""
    chosen, used = set(), 0
    for index in torch.randperm(len(layers), generator=generator).tolist():
        layer = layers[index]
        is_branch = "stages" in layer.name and "downsample" not in layer.name
        if is_branch and used + layer.weights <= weights:
            chosen.add(layer.name)
            used += layer.weights
    return frozenset(chosen)


def is_equal(model: nn.Module, mask: Mask, compaction: Compaction) -> bool:
    masked = copy.deepcopy(model)
    mask.apply(masked)
    images = [torch.randn(1, 3, *size) for size in ((64, 64), (49, 71))]
    return prove(masked, compaction.model, images, exact=compaction.exact).equal


def run(case: Case, options: argparse.Namespace) -> bool:
    """Measure and print one row; whether it is as promised."""
    model, whole = build(case.network)
    mask = make_mask(model, case.pattern, case.sparsity)
    image = torch.randn(options.batch, 3, options.size, options.size)
    width = options.round_to
    if width == "fastest":
        width = fastest(model, mask, image, threads=options.threads).round_to
    begin = time.perf_counter()
    compaction = compact(model, mask, image[:1], round_to=int(width))
    built = time.perf_counter() - begin
    small_whole = compact(whole, mask, image[:1], round_to=int(width)).model

    equal = is_equal(model, mask, compaction)
    theory = theoretical_speedup(model, mask, image)
    macs = multiply_adds(model, image) / multiply_adds(compaction.model, image)
    found = measure(model, compaction.model, image, threads=options.threads, budget_s=options.budget)
    beside = measure(whole, small_whole, image, threads=options.threads, budget_s=options.budget)

    is_default = (options.size, options.batch, options.threads) == (256, 1, 2)
    missed = is_default and case.limit is not None and found.ratio < case.limit
    verdict = "" if equal else "outputs differ"
    verdict = verdict or ("missed" if missed else "") or ("slow build" if built >= LONGEST_BUILD_S else "ok")
    label = f"{case.network} | {case.pattern} | {case.sparsity:.0%}"
    print(
        f"| {label} | {theory:.2f} | {macs:.2f} | {found.ratio:.2f} ({found.q25:.2f} to {found.q75:.2f})"
        f" | {1000 * found.dense_s:.1f}, {1000 * found.compact_s:.1f} ms | {found.ratio / theory:.0%}"
        f" | {width} | {beside.ratio:.2f} | {built:.1f} s | {case.limit or '-'} | {verdict} | {found.load:.1f} |",
        flush=True,
    )
    if options.gpu and torch.cuda.is_available():
        for row in gpu_rows(model, compaction.model, options.size):
            print(f"| {label} | {row} |", flush=True)
    return verdict == "ok"


def gpu_rows(model: nn.Module, small: nn.Module, size: int) -> Iterator[str]:
    """Eager, and as a CUDA graph, which leaves out the launch of every operation."""
    for batch in (1, 16):
        image = torch.randn(batch, 3, size, size)
        for mode in ("eager", "graph"):
            found = measure(model, small, image, device="cuda", mode=mode)
            yield f"{found.device}, batch {batch}, {mode}: {found.ratio:.2f} ({found.q25:.2f} to {found.q75:.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose label contains this, such as 'resnet50 random 0.9'")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds a measurement, at most")
    parser.add_argument("--round-to", default="fastest", help="kept channels are a multiple of this; or: fastest")
    parser.add_argument("--gpu", action="store_true", help="more rows, where there is a CUDA device")
    options = parser.parse_args()

    load = os.getloadavg()[0]
    setting = f"batch {options.batch}, {options.threads} threads, rounding of channels: {options.round_to}"
    print(f"{options.size}x{options.size}, {setting}, load {load:.1f}")
    if load > IDLE_LOAD:
        print("other processes keep this machine busy: measure again when it is idle")
    if options.gpu and not torch.cuda.is_available():
        print("no CUDA device: GPU rows are left out")
    columns = ("network", "pattern", "zeros", "theory", "MACs", "time", "dense, compact", "share")
    columns += ("round", "model", "build", "limit", "verdict", "load")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    chosen = [case for case in CASES if options.only in f"{case.network} {case.pattern} {case.sparsity}"]
    results = [run(case, options) for case in chosen]
    return int(not all(results))


if __name__ == "__main__":
    wanted = allocator_environment()
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        # glibc reads these when the process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})
    sys.exit(main())
