"""How a network's weights and activations lie in memory while it trains."""

from __future__ import annotations

import torch
from torch import nn


def to_training_layout(model: nn.Module, device: torch.device) -> None:
    """Move a network to its device, channels last where that is safe: it trains faster so on CPUs and GPUs.

    On a CPU, torch 2.13 writes beyond its buffers in the backward pass of a 1x1 convolution with a stride whose
    input is channels last and has few channels (8 to 16 at 64x64 pixels crash). Networks with such a layer keep the
    default layout.
    """
    safe = device.type != "cpu" or not any(_overruns(module) for module in model.modules())
    model.to(device)
    if safe:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _overruns(module: nn.Module) -> bool:
    """Whether this layer's input channels do not fill the blocks in which it is computed."""
    if not isinstance(module, nn.Conv2d) or module.kernel_size != (1, 1) or module.stride == (1, 1):
        return False
    return module.in_channels % 16 != 0
