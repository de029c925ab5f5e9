"""The connection to a Ray cluster: one that runs already, or one of this machine's cores that ends with the command."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from msbench.config import EngineConfig
from msbench.errors import UserError
from msbench.runs.engines.devices import runs_at_a_time

MANY = 256
"""Runs that are given to a cluster at a time; it starts what it has room for, on machines that join later too."""
OBJECTS = 80 * 2**20
"""Bytes of shared memory for Ray's objects on this machine, near the least that it takes: runs talk through files."""


def ray_package() -> Any:
    """The `ray` package; UserError where it is not installed."""
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError("engine=ray needs Ray, which is not installed: pip install 'msbench[ray]'") from error


@contextmanager
def connected(config: EngineConfig) -> Iterator[Any]:
    """The `ray` package, connected as `config` says; a connection that the process has already is used, and kept.

    Raises UserError where there is no such cluster.
    """
    ray = ray_package()
    if ray.is_initialized():
        if config.address:
            raise UserError("engine.address: this process is connected to a Ray cluster already; leave the key out")
        yield ray
        return
    with ExitStack() as stack:
        options = {"address": config.address} if config.address else _here(config, stack)
        stack.callback(ray.shutdown)
        ours = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            said = str(error).strip().partition("\n")[0]
            raise UserError(f"engine.address={config.address}: cannot connect: {said}") from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)  # Ray takes it for itself; msbench ends by it as by an interrupt
        yield ray


def _here(config: EngineConfig, stack: ExitStack) -> dict[str, Any]:
    """Options of a cluster of this machine alone. Its folder has a short path: Ray's sockets lie in it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    base = os.environ.get("RAY_TMPDIR", "/tmp")
    folder = tempfile.TemporaryDirectory(prefix="msbench-ray-", dir=base, ignore_cleanup_errors=True)
    cores = max(os.cpu_count() or 1, config.threads * config.processes * max(config.jobs, 1))
    return {
        "address": "local",
        "num_cpus": cores,
        "include_dashboard": False,
        "object_store_memory": OBJECTS,
        "_temp_dir": stack.enter_context(folder),
    }


def resources(ray: Any, config: EngineConfig) -> dict[str, int]:
    """What one run takes; `auto` is a GPU where the cluster has one. UserError when no node could ever give it."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpu = config.device == "cuda" or (config.device == "auto" and any(node.get("GPU", 0) >= 1 for node in nodes))
    asked = {"CPU": config.threads * config.processes, "GPU": int(gpu) * config.processes}
    if not any(all(node.get(name, 0) >= number for name, number in asked.items()) for node in nodes):
        what = f"{asked['CPU']} CPUs (engine.threads)" + (f" and {asked['GPU']} GPU (engine.device)" if gpu else "")
        raise UserError(f"engine=ray: no node of the cluster has {what}, which a run needs")
    return {"num_cpus": asked["CPU"], "num_gpus": asked["GPU"]}


def places(ray: Any, config: EngineConfig) -> int:
    """How many runs are given to the cluster at a time."""
    if config.address:
        return config.jobs or MANY
    return runs_at_a_time(config, int(ray.cluster_resources().get("GPU", 0)), os.cpu_count() or 1)
