"""How many runs go on at a time, and which GPU each gets."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msbench.config import EngineConfig
from msbench.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Gpus:
    """GPUs that runs share: a run gets those with the fewest runs, the first of several.

    names: as CUDA_VISIBLE_DEVICES takes them; none: runs are not told which to use.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._runs = dict.fromkeys(names, 0)
        self._guard = threading.Lock()

    @contextmanager
    def some(self, count: int) -> Iterator[dict[str, str]]:
        """What a run's environment says of its GPUs, so many, while the run goes on."""
        with self._guard:
            names = sorted(self._runs, key=lambda name: self._runs[name])[:count]
            self._add(names, 1)
        try:
            yield {VISIBLE: ",".join(names)} if names else {}
        finally:
            with self._guard:
                self._add(names, -1)

    def _add(self, names: Sequence[str], runs: int) -> None:
        for name in names:
            self._runs[name] += runs


def gpu_names(config: EngineConfig, count: int, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs to share out among runs: all that are visible, unless runs go to the CPU or to one that is named.

    count: of the GPUs that torch sees.
    """
    if config.device not in ("auto", "cuda"):
        return ()
    given = [name.strip() for name in environment.get(VISIBLE, "").split(",") if name.strip()]
    return tuple(given[:count] or [str(index) for index in range(count)])


def runs_at_a_time(config: EngineConfig, gpus: int, cores: int) -> int:
    """`engine.jobs`; else one where a GPU is named, or as many as there are GPUs, or cores, for their processes."""
    if config.jobs > 0:
        return config.jobs
    if config.device not in ("auto", "cpu", "cuda"):
        return 1
    return max(1, (gpus or cores // config.threads) // config.processes)


def visible_gpus(config: EngineConfig) -> tuple[str, ...]:
    """The GPUs of this machine that runs share out among them; UserError where they are too few for one run."""
    if config.device == "cpu":
        return ()
    import torch

    names = gpu_names(config, torch.cuda.device_count() if torch.cuda.is_available() else 0, os.environ)
    if names and len(names) < config.processes:
        raise UserError(
            f"engine.processes={config.processes}: a GPU each, and this machine shows {len(names)}: use at most "
            "so many, or engine.device=cpu"
        )
    return names
