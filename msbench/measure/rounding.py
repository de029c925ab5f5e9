"""Which channel counts are fastest here: kernels like widths that fill their vectors, and masks do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from msbench.measure.latency import measure
from msbench.sparsity.compaction import Compaction, compact
from msbench.sparsity.mask import Mask

WIDTHS = (1, 8, 16)
"""Multiples of channels that are tried: none, and the widths of common vector registers in float32."""


@dataclass(frozen=True)
class Rounded:
    """A compact network and the multiple of channels that its layers keep.

    gain: measured time of the network without rounding / time of this one; 1 where none was faster.
    """

    compaction: Compaction
    round_to: int
    gain: float


def fastest(
    model: nn.Module,
    mask: Mask,
    image: Tensor,
    *,
    widths: Sequence[int] = WIDTHS,
    threads: int = 1,
    device: str = "cpu",
    budget_s: float = 5.0,
) -> Rounded:
    """The compact network whose rounding is fastest on `image` [B, 3, H, W] on this machine.

    A wider network takes the place of a smaller one only if the whole 95 % interval of their measured ratio says that
    it is faster, so noise keeps the smaller. budget_s: seconds a comparison, at most.
    """
    chosen = Rounded(compact(model, mask, image[:1], round_to=widths[0]), widths[0], 1.0)
    if chosen.compaction.reason:
        return chosen
    for width in widths[1:]:
        wider = compact(model, mask, image[:1], round_to=width)
        if wider.report.compact_parameters == chosen.compaction.report.compact_parameters:
            continue
        found = measure(chosen.compaction.model, wider.model, image, threads=threads, device=device, budget_s=budget_s)
        if found.low > 1:
            chosen = Rounded(wider, width, chosen.gain * found.ratio)
    return chosen
