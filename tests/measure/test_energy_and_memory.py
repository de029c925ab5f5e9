"""Energy by counters that tests write; memory of forwards that take a known amount."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from msbench.measure.energy import Rapl, find_meter, joules_per_forward
from msbench.measure.memory import memory_environment
from tests.measure.clocks import FakeClock

CPU = torch.device("cpu")


def package(root: Path, name: str, microjoules: int, limit: int = 1000) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{limit}\n")
    return folder


def test_packages_are_added_up_and_their_parts_left_out(tmp_path: Path) -> None:
    first, second = package(tmp_path, "intel-rapl:0", 100), package(tmp_path, "intel-rapl:1", 50)
    package(tmp_path, "intel-rapl:0:0", 7)
    meter = find_meter(CPU, tmp_path)
    assert isinstance(meter, Rapl)
    (first / "energy_uj").write_text("400")
    (second / "energy_uj").write_text("60")

    assert meter.joules() == pytest.approx(310e-6)


def test_a_counter_that_starts_again_is_followed(tmp_path: Path) -> None:
    folder = package(tmp_path, "intel-rapl:0", 900)
    meter = Rapl((folder,))
    (folder / "energy_uj").write_text("100")

    assert meter.joules() == pytest.approx(200e-6)


def test_a_machine_without_counters_is_a_gap_with_its_reason(tmp_path: Path) -> None:
    assert find_meter(CPU, tmp_path) == f"no energy: {tmp_path} has no counters of this CPU"


@dataclass
class PerSecond:
    """A machine of so many watts."""

    clock: FakeClock
    watts: float
    source: str = field(default="test")

    def joules(self) -> float:
        return self.watts * self.clock.wall()


def test_joules_of_a_forward_are_watts_times_its_seconds() -> None:
    clock = FakeClock()

    found = joules_per_forward(lambda _: clock.work(0.25), torch.zeros(1), 1.0, PerSecond(clock, 8.0), clock)

    assert found == pytest.approx(2.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process its peak")
def test_the_peak_is_what_a_forward_takes_and_gives_back() -> None:
    """In a process of its own, as measuring is: one that has freed memory before may find room in what it kept."""
    megabyte = 2**20
    forward = f"lambda image: torch.ones({64 * megabyte // 4}).add_(image.sum())"
    code = "import torch; from msbench.measure.memory import peak_forward_bytes; "
    code += f"print(peak_forward_bytes({forward}, torch.zeros(4)))"
    environment = {**os.environ, **memory_environment()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    found = int(done.stdout) if done.stdout.strip() != "None" else None

    if os.access("/proc/self/clear_refs", os.W_OK):
        assert found == pytest.approx(64 * megabyte, rel=0.1)
    else:
        assert found is None, "a system that does not let a process reset its peak has no answer"
