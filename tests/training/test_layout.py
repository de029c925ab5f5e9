"""The memory layout that a network trains in: channels last, but where torch would corrupt memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from msbench.training.layout import to_training_layout

TRAINS = """
import torch
from torch import nn
from msbench.training.layout import to_training_layout
torch.set_num_threads(1)
model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 1, stride=2))
to_training_layout(model, torch.device("cpu"))
for _ in range(4):
    model(torch.randn(8, 3, 64, 64)).square().sum().backward()
print("trained")
"""


def is_channels_last(model: nn.Module) -> bool:
    wide = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    return all(weight.is_contiguous(memory_format=torch.channels_last) for weight in wide)


@pytest.mark.parametrize(
    ("shortcut", "expected"),
    [
        (nn.Conv2d(16, 32, 1, stride=2), True),
        (nn.Conv2d(8, 16, 1, stride=2), False),
        (nn.Conv2d(24, 48, 1, stride=2), False),
        (nn.Conv2d(8, 16, 1), True),
        (nn.Conv2d(8, 16, 3, stride=2), True),
    ],
)
def test_strided_pointwise_layers_decide(shortcut: nn.Conv2d, expected: bool) -> None:
    model = nn.Sequential(nn.Conv2d(3, shortcut.in_channels, 3), shortcut)
    to_training_layout(model, torch.device("cpu"))
    assert is_channels_last(model) == expected


def test_a_network_with_such_a_layer_trains() -> None:
    done = subprocess.run([sys.executable, "-c", TRAINS], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "trained", (done.returncode, done.stderr[-500:])
