"""What a run was made with: packages, machine, commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "torch-pruning", "torchmetrics", "numpy", "msbench")
"""Packages whose version can change a run's numbers."""


@lru_cache(maxsize=8)
def package_versions(more: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of the packages that matter, and of `more`; one that is not installed is left out."""
    found = {}
    for name in (*PACKAGES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def environment(device: str, threads: int) -> dict[str, Any]:
    """Machine, interpreter, packages, and the commit that msbench runs from (if it runs from a clone)."""
    import torch

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "device": device,
        "threads": threads,
        "packages": package_versions(),
        **_commit(),
    }
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = torch.version.cuda
        found["cudnn"] = torch.backends.cudnn.version()
    return found


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@lru_cache(maxsize=1)
def _commit() -> dict[str, Any]:
    root = Path(__file__).parent.parent.parent
    if not (root / ".git").exists():
        return {}
    try:
        sha = _git(root, "rev-parse", "HEAD")
        return {"commit": sha, "dirty": bool(_git(root, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
