"""Energy of a forward, where the machine says: Intel's counters of a CPU package, NVIDIA's of a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from msbench.measure.noise import Clock, SystemClock

POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    """A counter of energy. source: what it counts."""

    source: str

    def joules(self) -> float:
        """Joules since some moment."""
        ...


@dataclass
class Rapl:
    """All CPU packages of the machine, whatever runs on them; counters that start again at 0 are followed."""

    packages: tuple[Path, ...]
    source: str = "CPU packages (RAPL)"

    def __post_init__(self) -> None:
        self._last = [self._read(package) for package in self.packages]
        self._total = 0

    def joules(self) -> float:
        for index, package in enumerate(self.packages):
            now, before = self._read(package), self._last[index]
            self._total += now - before if now >= before else now - before + self._range(package)
            self._last[index] = now
        return self._total / 1e6

    def _read(self, package: Path) -> int:
        return int((package / "energy_uj").read_text(encoding="ascii"))

    def _range(self, package: Path) -> int:
        return int((package / "max_energy_range_uj").read_text(encoding="ascii"))


@dataclass
class Nvml:
    """One GPU's counter, by NVIDIA's library."""

    library: Any
    handle: Any
    source: str = "GPU (NVML)"

    def joules(self) -> float:
        return float(self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1000


def find_meter(device: torch.device, powercap: Path = POWERCAP) -> Meter | str:
    """The meter of a device, or why there is none."""
    return _find_nvml(device) if device.type == "cuda" else _find_rapl(powercap)


def _find_rapl(powercap: Path) -> Meter | str:
    packages = tuple(sorted(path.parent for path in powercap.glob("intel-rapl:*/energy_uj") if _is_package(path)))
    if not packages:
        return f"no energy: {powercap} has no counters of this CPU"
    try:
        return Rapl(packages)
    except (OSError, ValueError) as error:
        return f"no energy: the CPU's counters cannot be read ({error})"


def _is_package(path: Path) -> bool:
    """Not a part of a package, such as intel-rapl:0:0."""
    return path.parent.name.count(":") == 1


def _find_nvml(device: torch.device) -> Meter | str:
    try:
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]

        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        meter = Nvml(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid))
        meter.joules()
    except Exception as error:  # the library has errors of its own for everything that may be missing
        return f"no energy: NVML cannot be read ({type(error).__name__}: {error})"
    return meter


def joules_per_forward(
    network: Callable[[Tensor], object], image: Tensor, seconds: float, meter: Meter, clock: Clock | None = None
) -> float:
    """Mean joules of a forward over `seconds` of them, of everything that the meter counts meanwhile."""
    clock = clock or SystemClock()
    count = 0
    with torch.inference_mode():
        network(image)
        _wait(image)
        before, begin = meter.joules(), clock.wall()
        while clock.wall() - begin < seconds or count == 0:
            network(image)
            _wait(image)
            count += 1
    return (meter.joules() - before) / count


def _wait(image: Tensor) -> None:
    if image.is_cuda:
        torch.cuda.synchronize(image.device)
