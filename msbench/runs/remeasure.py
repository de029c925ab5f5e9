"""Stored runs measured again, on this machine: each in processes of its own, one after the other.

python -m msbench.runs.remeasure speed|memory.dense|memory.compact JOB
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from msbench.errors import UserError
from msbench.measure.components import component_seconds
from msbench.measure.energy import find_meter, joules_per_forward
from msbench.measure.flops import multiply_adds, theoretical_speedup
from msbench.measure.latency import Mode, allocator_environment, measure
from msbench.measure.memory import memory_environment, peak_forward_bytes
from msbench.plugins import Plugins, load_plugins
from msbench.records.measurement import Case, Energy, Measurement, Pair, Request
from msbench.records.record import LatencyPart, Record
from msbench.runs.finish import compression, latency_part, proof_of, trained_network
from msbench.runs.identity.provenance import environment
from msbench.sparsity.compaction import compact, fold_batchnorm
from msbench.store.store import Store

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
NO_GPU = "no GPU: torch sees none on this machine"


def remeasure(store: Store, run_id: str, request: Request, plugins_from: Sequence[str] = ()) -> Measurement:
    """Measure one finished run; raises UserError where it left no network, or a process of the measurement failed."""
    record = store.find(run_id)
    if record is None or record.dataset is None:
        raise UserError(f"run {run_id} left no network to measure")
    store.artefact(run_id, "model.safetensors")
    job = {
        "results": str(store.root.absolute()),
        "run_id": run_id,
        "request": request.model_dump(mode="json"),
        "plugins": list(plugins_from),
    }
    found = Measurement.model_validate(_process("speed", job, request.threads, allocator_environment()))
    if not found.proof.equal:
        return found
    peaks = {
        which: _process(f"memory.{which}", job, request.threads, memory_environment())["peaks"]
        for which in ("dense", "compact")
    }
    for case, dense, small in zip(found.cases, peaks["dense"], peaks["compact"], strict=True):
        if dense is not None and small is not None:
            case.memory = Pair(dense=dense, compact=small)
        elif case.eager is not None:
            case.gaps.append("no memory: this system does not tell a process its peak")
    return found


def _process(what: str, job: Mapping[str, Any], threads: int, extra: Mapping[str, str]) -> dict[str, Any]:
    """What a process of this module answers."""
    variables = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", **extra}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "msbench.runs.remeasure", what, json.dumps({**job, "answer": str(answer)})]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not answer.is_file():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise UserError(f"run {job['run_id']}: it could not be measured ({what}): {last}")
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found


# -- inside the processes --------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Do one part of a measurement and write the answer where the job says."""
    what, job = arguments[0], json.loads(arguments[1])
    torch.set_flush_denormal(True)
    request = Request.model_validate(job["request"])
    torch.set_num_threads(request.threads)
    store, plugins = Store(Path(job["results"])), load_plugins(job["plugins"])
    record = store.find(job["run_id"])
    assert record is not None
    folder = store.folder(record.run_id)
    if what == "speed":
        answer = measured(plugins, record, folder, request).model_dump(mode="json")
    else:
        answer = {"peaks": peaks(plugins, record, folder, request, what.removeprefix("memory."))}
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


def measured(plugins: Plugins, record: Record, folder: Path, request: Request) -> Measurement:
    """Everything but memory, in this process. A network that is not proven equal is not measured."""
    model, mask, example = trained_network(plugins, record, folder)
    compaction = compact(model, mask, example)
    small = compaction.model.eval()
    used = environment("cuda" if "cuda" in request.devices and torch.cuda.is_available() else "cpu", request.threads)
    found = Measurement(
        run_id=record.run_id,
        weights=record.hashes.get("weights", ""),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        request=request,
        environment=used,
        allocator={name: value for name, value in os.environ.items() if name.startswith(("MALLOC_", "OMP_", "LD_PRE"))},
        proof=proof_of(model, compaction, example),
    )
    if not found.proof.equal:
        found.gaps.append(f"not measured: the compact network is not equal to the masked one: {found.proof.reason}")
        return found
    image = _image(record, request, 1)
    theory = theoretical_speedup(model, mask, image, record.budget.scope if record.budget else "backbone")
    found.theoretical = theory if math.isfinite(theory) else None
    found.multiply_adds = Pair(dense=multiply_adds(model, image), compact=multiply_adds(small, image))
    found.compression = compression(model, small)
    found.cases = [_case(model, small, record, request, *choice) for choice in _choices(request)]
    return found


def peaks(plugins: Plugins, record: Record, folder: Path, request: Request, which: str) -> list[int | None]:
    """Bytes of each case of one network, `dense` or `compact`; None where there is no device or no answer."""
    model, mask, example = trained_network(plugins, record, folder)
    network = fold_batchnorm(model, example) if which == "dense" else compact(model, mask, example).model.eval()
    del model
    found: list[int | None] = []
    for device, batch, dtype in _choices(request):
        peak = None
        if device == "cpu" or torch.cuda.is_available():
            with contextlib.suppress(RuntimeError):  # a dtype that does not run: timing it says so
                placed = copy.deepcopy(network).to(device, DTYPES[dtype])
                peak = peak_forward_bytes(placed, _image(record, request, batch).to(device, DTYPES[dtype]))
        found.append(peak)
    return found


def _choices(request: Request) -> list[tuple[str, int, str]]:
    """Each device, batch and dtype."""
    return [
        (device, batch, dtype) for device in request.devices for batch in request.batches for dtype in request.dtypes
    ]


def _image(record: Record, request: Request, batch: int) -> Tensor:
    assert record.dataset is not None
    channels, *size = record.dataset.image
    if request.size is not None:
        size = [request.size, request.size]
    return torch.rand(batch, channels, *size, generator=torch.Generator().manual_seed(0))


def _case(
    model: nn.Module, small: nn.Module, record: Record, request: Request, device: str, batch: int, dtype: str
) -> Case:
    """Times, parts and energy of one case; whatever does not run is a gap with its reason."""
    image = _image(record, request, batch)
    case = Case.model_validate({"device": device, "batch": batch, "size": list(image.shape[2:]), "dtype": dtype})
    if device == "cuda" and not torch.cuda.is_available():
        case.gaps.append(NO_GPU)
        return case
    image = image.to(device, DTYPES[dtype])

    def timed(mode: Mode) -> LatencyPart:
        options: dict[str, Any] = {"threads": request.threads, "device": device, "budget_s": request.seconds}
        return latency_part(measure(model, small, image, mode=mode, **options))

    case.eager = _tried(case, f"{dtype} does not run", lambda: timed("eager"))
    if case.eager is None:
        return case
    if device == "cuda":
        case.graph = _tried(case, "no CUDA graph", lambda: timed("graph"))
    networks = {
        name: copy.deepcopy(network).to(device, DTYPES[dtype]).eval()
        for name, network in {"dense": fold_batchnorm(model, _image(record, request, 1)), "compact": small}.items()
    }
    parts = _tried(case, "no parts", lambda: component_seconds(networks, image, request.seconds))
    case.components = {part: Pair(**seconds) for part, seconds in (parts or {}).items()}
    if parts == {}:
        case.gaps.append("no parts: the network cannot be taken apart into backbone and heads")
    case.energy = _energy(case, networks, image, request)
    return case


def _energy(case: Case, networks: Mapping[str, nn.Module], image: Tensor, request: Request) -> Energy | None:
    meter = find_meter(image.device)
    if isinstance(meter, str):
        case.gaps.append(meter)
        return None
    joules = {name: joules_per_forward(network, image, request.seconds, meter) for name, network in networks.items()}
    return Energy(source=meter.source, joules=Pair(**joules))


def _tried(case: Case, gap: str, work: Callable[[], Any]) -> Any:
    """What `work` gives; None, and a gap, where it raises: kernels may be missing for a dtype, device or capture."""
    try:
        return work()
    except (RuntimeError, TypeError) as error:
        case.gaps.append(f"{gap}: {(str(error).splitlines() or [type(error).__name__])[0]}")
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
