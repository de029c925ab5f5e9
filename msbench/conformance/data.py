"""A dataset as a subject: prepared once here, and once by two other processes at the same time."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from msbench.conformance.subject import Subject
from msbench.data.dataset import PARTS, Batch, Dataset, Part, Samples

LIMIT = 1000
"""Samples of a part that are read; parts with more are judged by their first ones."""
STEP = 50


@dataclass(frozen=True)
class Scan:
    """One part read from start to end: a digest of everything, and one of each image."""

    digest: str
    images: tuple[str, ...]


@dataclass
class DatasetSubject(Subject):
    """A dataset in a cache of its own, which goes when the subject does."""

    _folder: Any = field(default_factory=lambda: tempfile.TemporaryDirectory(prefix="msbench-check-"))

    def attempt(self, instance: Any) -> None:
        instance.tasks()

    @property
    def cache(self) -> Path:
        """Where this process prepares the data."""
        return Path(self._folder.name) / "here"

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, prepared."""
        dataset: Dataset = self.create()
        self.cache.mkdir(parents=True, exist_ok=True)
        dataset.prepare(self.cache, lambda done, total, what: None)
        return dataset

    def samples(self, part: Part) -> Samples:
        """One part of the prepared data."""
        return self.dataset.samples(part, self.cache)

    def batch(self, part: Part, count: int = 8) -> Batch:
        """The first samples of a part."""
        samples = self.samples(part)
        return samples.batch(torch.arange(min(count, len(samples))))

    @cached_property
    def scans(self) -> Mapping[str, Scan]:
        """Every part, read once."""
        return {part: scan(self.samples(part)) for part in PARTS}

    @cached_property
    def elsewhere(self) -> list[dict[str, str]]:
        """What two processes report that prepare the data at the same time in one empty cache: see `report`."""
        cache = Path(self._folder.name) / "elsewhere"
        cache.mkdir()
        command = [sys.executable, "-m", "msbench.conformance.preparing"]
        task = {"path": sys.path, "sources": self.sources, "name": self.cls.name, "params": self.params}
        started = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        text = json.dumps({**task, "cache": str(cache)})
        for process in started:
            assert process.stdin is not None
            process.stdin.write(text)
            process.stdin.close()
            process.stdin = None
        ended = [(*process.communicate(), process.returncode) for process in started]
        return [
            json.loads(out.splitlines()[-1]) if code == 0 else {"error": (err.strip().splitlines() or ["it died"])[-1]}
            for out, err, code in ended
        ]


def scan(samples: Samples) -> Scan:
    """Read a part in order."""
    digest, images = hashlib.sha256(), []
    for start in range(0, min(len(samples), LIMIT), STEP):
        batch = samples.batch(torch.arange(start, min(start + STEP, len(samples), LIMIT)))
        images += [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in batch.image]
        for values in (batch.target, batch.valid):
            for name in sorted(values):
                digest.update(name.encode() + values[name].contiguous().numpy().tobytes())
    digest.update("".join(images).encode())
    return Scan(digest.hexdigest(), tuple(images))


def report(dataset: Dataset, cache: Path) -> dict[str, str]:
    """Prepare, and say what is there: the fingerprint and a digest of each part."""
    dataset.prepare(cache, lambda done, total, what: None)
    parts: dict[str, str] = {part: scan(dataset.samples(part, cache)).digest for part in PARTS}
    return {"fingerprint": dataset.fingerprint(cache), **parts}
