"""A chain of layers held at an output stride: strides beyond it become dilation (Chen et al., 2015)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from msbench.api import UserError

OUTPUT_STRIDES = (8, 16, 32)


def check_output_stride(value: int) -> None:
    """UserError for a stride that no backbone offers."""
    if value not in OUTPUT_STRIDES:
        known = ", ".join(map(str, OUTPUT_STRIDES))
        raise UserError(f"model.backbone.output_stride: {value!r} is not one of {known}")


def hold_stride(features: nn.Sequential, output_stride: int, ends: Sequence[int]) -> tuple[int, ...]:
    """Take away, in place, every stride after `output_stride` is reached; returns the strides after `ends`.

    A convolution that loses its stride keeps the dilation before it, the ones after it are dilated by as much as was
    lost, so that weights trained with strides see what they saw. A pooling layer that would stride is left out.
    ends: indices into `features`, ascending.
    """
    total, dilation, totals = 1, 1, []
    for index, block in enumerate(features):
        if isinstance(block, nn.MaxPool2d):
            step = _one(block.stride)
            if total * step > output_stride:
                features[index] = nn.Identity()
                dilation *= step
            else:
                total *= step
        for conv in block.modules():
            if isinstance(conv, nn.Conv2d):
                step = conv.stride[0]
                held = total * step > output_stride
                _set_grid(conv, 1 if held else step, dilation)
                total, dilation = (total, dilation * step) if held else (total * step, dilation)
        if index in ends:
            totals.append(total)
    return tuple(totals)


def _one(stride: int | tuple[int, ...]) -> int:
    return stride if isinstance(stride, int) else stride[0]


def _set_grid(conv: nn.Conv2d, stride: int, dilation: int) -> None:
    conv.stride = (stride, stride)
    if conv.kernel_size != (1, 1):
        conv.dilation = (dilation, dilation)
        conv.padding = (dilation * (conv.kernel_size[0] // 2), dilation * (conv.kernel_size[1] // 2))
