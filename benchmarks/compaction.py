"""What compaction makes of a random 70 % channel mask: multiply-adds, theoretical and measured speed-up.

    python benchmarks/compaction.py [--sparsity 0.7] [--size 256] [--batch 1] [--threads 2]

The network is the meta-sparsity papers' dilated ResNet-50, the backbone alone; every convolution but the
first, which reads the image, keeps the same share of its input channels. Exit code 1 when the outputs
differ, or when the measured speed-up at the default settings is below 2.3.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys

import torch
from torch import Tensor, nn

from msbench.measure.flops import multiply_adds, theoretical_speedup
from msbench.measure.latency import allocator_environment, measure
from msbench.sparsity.compaction import compact, prove
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench_plugins.backbones.resnet import ResNet

TARGET = 2.3


class LastMap(nn.Module):
    """A backbone and its last map, as a network of one output."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet(depth=50, output_stride=8, stem="papers").build()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"features": self.backbone(image)[-1]}


def random_mask(model: nn.Module, sparsity: float, generator: torch.Generator) -> Mask:
    """The same share of input channels in each convolution, at least one; the image's channels all kept."""
    kept = {}
    for layer in Groups.of(model).layers[1:]:
        count = max(1, round(layer.count * (1 - sparsity)))
        kept[layer.name] = torch.zeros(layer.count, dtype=torch.bool)
        kept[layer.name][torch.randperm(layer.count, generator=generator)[:count]] = True
    return Mask(kept)


@torch.no_grad()
def randomise_statistics(model: nn.Module, generator: torch.Generator) -> None:
    """Batch-norms as after training, so that no constant is trivially zero."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(0.2 * torch.randn(shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(shape, generator=generator))
            module.bias.copy_(0.2 * torch.randn(shape, generator=generator))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sparsity", type=float, default=0.7)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = LastMap().eval()
    randomise_statistics(model, generator)
    mask = random_mask(model, options.sparsity, generator)
    image = torch.randn(options.batch, 3, options.size, options.size, generator=generator)

    compaction = compact(model, mask, image[:1])
    masked = copy.deepcopy(model)
    mask.apply(masked)
    small = [torch.randn(1, 3, *size, generator=generator) for size in ((64, 64), (49, 71))]
    proof = prove(masked, compaction.model, small, exact=compaction.exact)
    latency = measure(masked, compaction.model, image, threads=options.threads, budget_s=60)

    dense_macs, compact_macs = multiply_adds(masked, image), multiply_adds(compaction.model, image)
    report = compaction.report
    print(f"max abs difference      {proof.max_abs_diff}  equal: {proof.equal}")
    print(f"parameters              {report.dense_parameters:,} -> {report.compact_parameters:,}")
    print(f"multiply-adds           {dense_macs:,} -> {compact_macs:,}  ratio {dense_macs / compact_macs:.2f}")
    print(f"theoretical speed-up    {theoretical_speedup(model, mask, image):.2f}")
    print(f"measured speed-up       {latency.ratio:.2f}  quartiles {latency.q25:.2f} to {latency.q75:.2f}")
    print(
        f"dense (folded), compact {1000 * latency.dense_s:.1f} ms, {1000 * latency.compact_s:.1f} ms; "
        f"{latency.rounds} rounds, {latency.threads} threads, batch {latency.batch}, load {latency.load}"
    )
    if latency.load is not None and latency.load > (os.cpu_count() or 1):
        print("other processes keep this machine busy: measure again when it is idle")
    is_default = (options.sparsity, options.size, options.batch) == (0.7, 256, 1)
    return int(not proof.equal or (is_default and latency.ratio < TARGET))


if __name__ == "__main__":
    wanted = allocator_environment()
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        # glibc reads these when the process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})
    sys.exit(main())
