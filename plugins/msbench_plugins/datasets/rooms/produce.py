"""Renders whole parts, in worker processes where that pays, and writes them to a folder.

Run as a module it is one such worker, with the arguments of `_work`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from msbench.api import Progress

from .choose import choose_scenes
from .render import render
from .storage import encode

_GROUP: Final = 32
_WORKERS: Final = 2


@dataclass(frozen=True)
class Size:
    """Side of a picture in pixels, rays along a pixel's side, and the number of pictures in each part."""

    pixels: int
    supersampling: int
    counts: dict[str, int]
    parallel: bool = True


SIZES: Final = {
    "xs": Size(32, 1, {"train": 96, "validation": 32, "test": 32}, parallel=False),
    "s": Size(64, 1, {"train": 1000, "validation": 200, "test": 300}),
    "m": Size(96, 2, {"train": 2000, "validation": 300, "test": 500}),
}


def produce(folder: Path, size: str, seed: int, progress: Progress) -> None:
    """Fill `folder` with one file a part."""
    total, done = sum(SIZES[size].counts.values()), 0

    def report(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total, "rendering rooms")

    workers = min(_WORKERS, os.cpu_count() or 1) if SIZES[size].parallel else 1
    if workers == 1:
        with _one_thread():
            _render_share(folder, size, seed, share=0, shares=1, report=report)
    else:
        _run_workers(folder, size, seed, workers, report)
    for part, count in SIZES[size].counts.items():
        shards = [folder / _shard(part, share) for share in range(workers)]
        save_file(_interleave([load_file(shard) for shard in shards], count), part_file(folder, part))
        for shard in shards:
            shard.unlink()


def part_file(folder: Path, part: str) -> Path:
    return folder / f"{part}.safetensors"


def render_indices(
    seed: int, part: str, indices: Sequence[int], size: Size, report: Callable[[int], None]
) -> dict[str, Tensor]:
    """Packed pictures of these scenes; `report` hears how many more are done."""
    groups = []
    for start in range(0, len(indices), _GROUP):
        scenes = choose_scenes(seed, part, indices[start : start + _GROUP])
        groups.append(encode(render(scenes, size.pixels, size.supersampling)))
        report(len(scenes))
    return {name: torch.cat([group[name] for group in groups]) for name in groups[0]}


def _render_share(
    folder: Path, size: str, seed: int, *, share: int, shares: int, report: Callable[[int], None]
) -> None:
    for part, count in SIZES[size].counts.items():
        packed = render_indices(seed, part, range(share, count, shares), SIZES[size], report)
        save_file(packed, folder / _shard(part, share))


def _shard(part: str, share: int) -> str:
    return f"{part}-{share}.safetensors"


def _interleave(shards: list[dict[str, Tensor]], count: int) -> dict[str, Tensor]:
    whole = {name: value.new_empty((count, *value.shape[1:])) for name, value in shards[0].items()}
    for share, shard in enumerate(shards):
        for name, value in shard.items():
            whole[name][share :: len(shards)] = value
    return whole


def _run_workers(folder: Path, size: str, seed: int, workers: int, report: Callable[[int], None]) -> None:
    """Processes of one thread each: two OpenMP threads that spin for work cost more than they bring.

    They are commands rather than multiprocessing children, which would need a guarded main module in the
    caller's script. All of them write their counts into one pipe, which ends when the last one does.
    """
    reading, writing = os.pipe()
    command = [sys.executable, "-m", __name__, size, str(seed)]
    processes = [
        subprocess.Popen([*command, str(share), str(workers), str(folder)], stdout=writing, env=_environment())
        for share in range(workers)
    ]
    os.close(writing)
    try:
        with os.fdopen(reading) as counts:
            for line in counts:
                report(int(line))
        codes = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if any(codes):
        raise RuntimeError(f"a rendering process failed (exit codes {codes}); its error is above")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small tensors gain nothing from a second thread, and lose much to it where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _environment() -> dict[str, str]:
    """This process's environment, with its import path, for a worker of one thread."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def _work(size: str, seed: str, share: str, shares: str, folder: str) -> None:
    def report(count: int) -> None:
        print(count, flush=True)

    with _one_thread():
        _render_share(Path(folder), size, int(seed), share=int(share), shares=int(shares), report=report)


if __name__ == "__main__":
    _work(*sys.argv[1:])
