"""The memory that a forward takes beyond what the process holds between forwards."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def memory_environment() -> dict[str, str]:
    """Variables that a process must be started with in which memory is measured.

    glibc then takes every block above 16 KiB from the system and gives it back when it is freed, so that the resident
    size follows the tensors.
    """
    return {"MALLOC_MMAP_THRESHOLD_": str(16 * 2**10), "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}


def peak_forward_bytes(network: Callable[[Tensor], object], image: Tensor) -> int | None:
    """Bytes at the peak of one forward, above those held before it; None where the system cannot say.

    One forward goes before, so that what is set up once is not counted. GPU: the allocator's own peak. CPU: the peak
    of the resident size, which Linux keeps and lets a process reset; use a process started with
    `memory_environment()`, of this network alone.
    """
    with torch.inference_mode():
        network(image)
        if image.is_cuda:
            return _cuda_peak(network, image)
        if not _reset_peak():
            return None
        before = _resident("VmRSS")
        network(image)
        return max(0, _resident("VmHWM") - before)


def _cuda_peak(network: Callable[[Tensor], object], image: Tensor) -> int:
    torch.cuda.synchronize(image.device)
    torch.cuda.reset_peak_memory_stats(image.device)
    before = torch.cuda.memory_allocated(image.device)
    network(image)
    torch.cuda.synchronize(image.device)
    return int(torch.cuda.max_memory_allocated(image.device)) - before


def _reset_peak() -> bool:
    """Make the present size the peak so far; False where that is not allowed, or not Linux."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return _STATUS.is_file()


def _resident(field: str) -> int:
    """A size of this process in bytes."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None, field
    return int(found[1]) * 1024
