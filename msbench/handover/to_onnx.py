"""The ONNX format: exported by torch.onnx, checked by onnx, run and timed by onnxruntime."""

from __future__ import annotations

import importlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from msbench.errors import UserError
from msbench.handover.errors import HandOverError
from msbench.handover.images import Attempt, Outputs, attempts, difference, first_line, outputs
from msbench.handover.saved import Saved, sizes
from msbench.measure.latency import race

OPSET = 18
"""The oldest that torch's exporter writes without converting, for the widest choice of runtimes."""
MEASURE_SECONDS = 3.0
"""Most that timing takes, once both files are written."""


def check_installed() -> None:
    """UserError where a package that this format needs is missing."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f"--to onnx: {name} is not installed: pip install 'msbench[onnx]'") from error


def write(
    network: nn.Module, aside: Path, path: Path, images: list[Tensor], about: Mapping[str, Any], tasks: Sequence[str]
) -> Saved:
    """Export `network` to `aside` with outputs named `tasks`; onnxruntime must give the network's outputs.

    The file takes any batch and image size that `images` show the network to take; where torch cannot export it so,
    the example's size only, then the example's batch too.
    """
    check_installed()
    reason = ""
    for trial in attempts(images):
        try:
            _export(network, trial, aside, tasks, about)
            run = Session(aside, threads=1)
            found = [run(image) for image in trial.images]
        except UserError:
            raise
        except Exception as error:  # the exporter's errors have no class in common
            reason = reason or f"{type(error).__name__}: {first_line(error)}"
            continue
        greatest, wrong = difference([outputs(network, image) for image in trial.images], found)
        if not wrong:
            notes = [f"opset {OPSET}, checked by onnx and onnxruntime"]
            notes += [f"any other size is refused, as the exporter could not do better: {reason}"] if reason else []
            return Saved(path, aside.stat().st_size, sizes(trial.images), greatest, len(trial.images), tuple(notes))
        reason = reason or wrong
    raise HandOverError(f"onnx: {reason}")


class Session:
    """Runs an ONNX file on the CPU with so many threads: image [B, C, ...] to outputs by name."""

    def __init__(self, path: Path, threads: int) -> None:
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (self._input,) = [value.name for value in self._session.get_inputs()]
        self._names = [value.name for value in self._session.get_outputs()]

    def __call__(self, image: Tensor) -> Outputs:
        found = self._session.run(None, {self._input: image.numpy()})
        return {name: torch.from_numpy(value) for name, value in zip(self._names, found, strict=True)}


@dataclass(frozen=True)
class SpeedUp:
    """onnxruntime's medians of seconds a forward, in alternating rounds.

    ratio, q25, q75: median and quartiles over rounds of dense time / compact time. shape: of the image.
    """

    ratio: float
    q25: float
    q75: float
    dense_s: float
    compact_s: float
    rounds: int
    threads: int
    shape: tuple[int, ...]


def speed_up(
    dense: nn.Module, saved: Saved, images: Sequence[Tensor], tasks: Sequence[str], threads: int = 1
) -> SpeedUp:
    """Time the compact network's file beside the dense network's, exported and run in the same way.

    images [B, C, ...]: those that the file was made with; the first is what both are timed on.
    """
    check_installed()
    free = {name for name in saved.image if isinstance(name, str)}
    (trial,) = [trial for trial in attempts(images) if set(trial.free.values()) == free]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "dense.onnx")
        _export(dense, trial, whole, tasks, {})
        sessions = [Session(whole, threads), Session(saved.path, threads)]
        times = race(sessions, images[0], budget_s=MEASURE_SECONDS)
    q25, ratio, q75 = np.quantile(times[:, 0] / times[:, 1], [0.25, 0.5, 0.75])
    dense_s, compact_s = np.median(times, axis=0)
    shape = tuple(images[0].shape)
    return SpeedUp(float(ratio), float(q25), float(q75), float(dense_s), float(compact_s), len(times), threads, shape)


class _InOrder(nn.Module):
    """The outputs of a network as a tuple, in the order of `tasks`."""

    def __init__(self, network: nn.Module, tasks: Sequence[str]) -> None:
        super().__init__()
        self.network, self.tasks = network, tuple(tasks)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.network(image)
        return (found,) if isinstance(found, Tensor) else tuple(found[task] for task in self.tasks)


def _export(network: nn.Module, trial: Attempt, path: Path, tasks: Sequence[str], about: Mapping[str, Any]) -> None:
    name = "input" if "image" in tasks else "image"
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _InOrder(network, tasks).eval(),
            (trial.traced,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(dict(trial.free),) if trial.free else None,
            input_names=[name],
            output_names=list(tasks),
            verbose=False,
        )
    assert program is not None
    for value in (program.model.graph, *program.model.graph, *program.model.functions.values()):
        value.metadata_props.clear()  # where in the source each operation came from, with folders of this machine
    program.model.metadata_props.update({"msbench": json.dumps(dict(about))} if about else {})
    program.save(path, external_data=False)
    _check(path)


def _check(path: Path) -> None:
    onnx = importlib.import_module("onnx")
    onnx.checker.check_model(str(path), full_check=True)
    written = {found.domain: found.version for found in onnx.load(path, load_external_data=False).opset_import}
    if written.get("") != OPSET:
        raise HandOverError(f"onnx: written in opset {written.get('')}, not {OPSET}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's log: what matters of it is raised as well."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
