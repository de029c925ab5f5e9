"""After training, on a quiet machine: shrink the network, prove it equal, measure it, compare it with dense."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from msbench.config import RunConfig
from msbench.measure.flops import multiply_adds, theoretical_speedup
from msbench.measure.latency import Latency, measure
from msbench.models.multitask import MultiTaskModel
from msbench.plugins import Plugins
from msbench.records.record import CompressionPart, DeltaPart, LatencyPart, ProofPart, Record, SpeedupPart
from msbench.runs.build import rebuild
from msbench.sparsity.compaction import Compaction, compact, prove
from msbench.sparsity.mask import Mask
from msbench.tasks.delta import delta
from msbench.tasks.task import MetricSpec

PROOF_TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


def finish(plugins: Plugins, record: Record, folder: Path, dense: Record | None) -> Record:
    """The record completed with compression, proof, speed-up and Δ_T; `folder` holds its weights and mask."""
    config = RunConfig.model_validate(record.config)
    model, mask, example = trained_network(plugins, record, folder)
    compaction = compact(model, mask, example)
    small = compaction.model.eval()
    record.proof = proof_of(model, compaction, example)
    if record.proof.equal:
        record.compression = compression(model, small)
        record.speedup = _speedup(model, small, mask, example, config)
    elif record.status == "ok":
        record.status, record.reason = "inexact", record.proof.reason
    if dense is not None:
        record.delta = delta_part(record, dense)
    return record


def trained_network(plugins: Plugins, record: Record, folder: Path) -> tuple[MultiTaskModel, Mask, torch.Tensor]:
    """A run's network with its weights, in eval mode, its mask, and an image [1, C, H, W] as large as its data's."""
    _, _, model = rebuild(plugins, RunConfig.model_validate(record.config), initial=False)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    path = folder / "mask.safetensors"
    mask = Mask.load(path) if path.is_file() else Mask({})
    assert record.dataset is not None
    return model, mask, torch.rand(1, *record.dataset.image, generator=torch.Generator().manual_seed(0))


def proof_of(model: MultiTaskModel, compaction: Compaction, example: torch.Tensor) -> ProofPart:
    """Masked against compact on random images of two sizes."""
    generator = torch.Generator().manual_seed(1)
    _, channels, height, width = example.shape
    sizes = [(2, height, width), (1, height + 8, width + 16)]
    inputs = [torch.rand(n, channels, h, w, generator=generator) for n, h, w in sizes]
    proof = prove(model, compaction.model, inputs, PROOF_TOLERANCE, exact=compaction.exact)
    return ProofPart(
        equal=proof.equal and not compaction.reason,
        max_abs_diff=dict(proof.max_abs_diff),
        per_task={task: dict(found) for task, found in proof.per_task.items()},
        tolerance=dict(proof.tolerance),
        reason=compaction.reason or proof.reason,
    )


def compression(model: torch.nn.Module, small: torch.nn.Module) -> CompressionPart:
    counts = [sum(parameter.numel() for parameter in module.parameters()) for module in (model, small)]
    sizes = [len(save({n: v.contiguous() for n, v in m.state_dict().items()})) for m in (model, small)]
    return CompressionPart(
        parameters=counts[0] / max(counts[1], 1),
        bytes=sizes[0] / sizes[1],
        dense_parameters=counts[0],
        compact_parameters=counts[1],
        dense_bytes=sizes[0],
        compact_bytes=sizes[1],
    )


def _speedup(
    model: MultiTaskModel, small: torch.nn.Module, mask: Mask, example: torch.Tensor, config: RunConfig
) -> SpeedupPart:
    theory = theoretical_speedup(model, mask, example, config.budget.scope)
    macs = multiply_adds(model, example), multiply_adds(small, example)
    measured: dict[str, LatencyPart | None] = {"cpu": _latency(model, small, example, "cpu", config)}
    measured["cuda"] = _latency(model, small, example, "cuda", config) if torch.cuda.is_available() else None
    return SpeedupPart(
        theoretical=theory if math.isfinite(theory) else None,
        macs=macs[0] / max(macs[1], 1),
        dense_macs=macs[0],
        compact_macs=macs[1],
        measured=measured,
    )


def _latency(
    model: torch.nn.Module, small: torch.nn.Module, example: torch.Tensor, device: str, config: RunConfig
) -> LatencyPart:
    seconds, threads = config.engine.measure_seconds, config.engine.threads
    return latency_part(measure(model, small, example, budget_s=seconds, threads=threads, device=device))


def latency_part(found: Latency) -> LatencyPart:
    """A measurement as it stands in records."""
    return LatencyPart(
        device=found.device,
        ratio=found.ratio,
        q25=found.q25,
        q75=found.q75,
        dense_s=found.dense_s,
        compact_s=found.compact_s,
        rounds=found.rounds,
        threads=found.threads,
        batch=found.batch,
        size=list(found.size),
        dtype=found.dtype,
        load=found.load,
        noisy=found.noisy,
        low=found.low,
        high=found.high,
        cpu_share=found.cpu_share,
        others=found.others,
        why=list(found.why),
        mode=found.mode,
    )


def delta_part(record: Record, dense: Record) -> DeltaPart:
    """Δ_T of a run against its dense run."""
    specs = {
        task: {
            name: MetricSpec(metric.better, metric.label, metric.unit, metric.in_delta)
            for name, metric in metrics.items()
        }
        for task, metrics in record.metrics.items()
    }
    found = delta(_values(record), _values(dense), specs)
    return DeltaPart(
        dense_run=dense.run_id,
        per_task=dict(found.per_task),
        mean=found.mean,
        sum=found.sum,
        worst_task=found.worst_task,
    )


def _values(record: Record) -> dict[str, dict[str, float]]:
    return {task: {name: m.value for name, m in metrics.items()} for task, metrics in record.metrics.items()}
