"""What a run was made with: packages, machine, commit."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import site
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from msbench.records.record import ProvenancePart

PACKAGES = ("torch", "torchvision", "torch-pruning", "torchmetrics", "numpy", "msbench")
"""Packages whose version can change a run's numbers."""
MADE = "made"
"""Where an identity has what explains its digests, file by file."""


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


def provenance_of(identity: Mapping[str, Any], device: str) -> ProvenancePart:
    """What a run of this identity is made with, here and now."""
    commit = _commit()
    return ProvenancePart(
        packages=dict(identity["packages"]),
        installed=installed_digest(),
        commit=commit.get("commit", ""),
        diff=commit.get("diff", ""),
        plugins={
            "sparsifier": identity["sparsifier"],
            **identity["parts"],
            **{f"criterion {name}": digest for name, digest in identity["criteria"].items()},
        },
        driver=_driver() if device.startswith("cuda") else "",
        identity=identity_digest(identity),
    )


def identity_digest(identity: Mapping[str, Any]) -> str:
    """SHA-256 of all that decides a run; `MADE` only explains the digests beside it."""
    decides = {name: part for name, part in identity.items() if name != MADE}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def installed_digest() -> str:
    """SHA-256 of the sorted `name==version` lines of every installed package, names as PyPA normalises them."""
    lines = {
        f"{re.sub(r'[-_.]+', '-', name).lower()}=={found.version}"
        for found in distributions(path=_site_folders())
        if (name := found.metadata["Name"])
    }
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _site_folders() -> list[str]:
    """Where packages are installed: not what code has put on the path since, as setuptools does for its own copies."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [*site.getsitepackages(), *user, *filter(None, given)]


@lru_cache(maxsize=1)
def _driver() -> str:
    """Version of NVIDIA's driver; empty where it does not tell."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


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
    root = Path(__file__).parent.parent.parent.parent
    if not (root / ".git").exists():
        return {}
    try:
        sha = _git(root, "rev-parse", "HEAD")
        diff = _git(root, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {
        "commit": sha,
        "dirty": bool(diff),
        "diff": hashlib.sha256(diff.encode()).hexdigest() if diff else "",
    }


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, timeout=10, check=True)
    return done.stdout.decode("utf-8", errors="backslashreplace").strip()


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
