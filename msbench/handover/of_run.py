"""From a run in the store to its compact network."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from msbench.config import RunConfig
from msbench.errors import UserError
from msbench.handover.network import HandOver, RoundTo, check_rounding, compact
from msbench.plugins import Plugins
from msbench.records.record import Record
from msbench.runs.build import rebuild
from msbench.sparsity.mask import Mask
from msbench.store.store import Store


def compact_run(plugins: Plugins, store: Store, run: str, round_to: RoundTo = 1) -> tuple[Record, HandOver]:
    """The record and the compact network of a finished run, proven equal anew; UserError where it left no weights.

    run: its id, or any part of it that is unique. round_to: see `compact`; what is fastest is measured with as many
    threads as the run had.
    """
    check_rounding(round_to)
    run_id = store.resolve(run)
    record = store.find(run_id)
    assert record is not None
    if record.dataset is None:
        raise UserError(f"run {run_id} is {record.status}: it left no network")
    weights = load_file(store.artefact(run_id, "model.safetensors"))
    config = RunConfig.model_validate(record.config)
    _, _, model = rebuild(plugins, config, initial=False)
    model.load_state_dict(weights)
    mask = Mask({})
    if store.has(run_id, "mask.safetensors"):
        mask = Mask.load(store.artefact(run_id, "mask.safetensors"))
    example = torch.rand(1, *record.dataset.image, generator=torch.Generator().manual_seed(0))
    torch.set_num_threads(config.engine.threads)
    return record, compact(model, mask, example, round_to=round_to)
