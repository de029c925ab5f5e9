"""Stores of any size: valid records that differ in seed, method, level and board, and in nothing else that matters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from msbench.records.record import Record
from tests.board.conftest import Factory

LEVELS = (0.5, 0.7, 0.9, 0.97)


def records(boards: int, methods: int, levels: int, seeds: int) -> Iterator[Record]:
    """boards x methods x levels x seeds records; the first method of every board is its dense control."""
    factory = Factory()
    for board in range(boards):
        for seed in range(seeds):
            yield on_board(board, factory.record("dense", seed), f"dense-b{board}-s{seed}", seed)
            for method in range(1, methods):
                for share in LEVELS[:levels]:
                    name = f"method_{method:02}"
                    record = factory.record(name, seed, mode="share", share=share, quality=90 + method % 9)
                    yield on_board(board, record, f"{name}-b{board}-{share}-s{seed}", seed)


def on_board(board: int, record: Record, run_id: str, seed: int) -> Record:
    """The record as a run of one of the boards, compared with that board's dense control of its seed."""
    assert record.dataset
    record.run_id = run_id
    record.dataset.name = f"rooms{board}"
    record.config = {"sparsifier": {"name": record.sparsifier.name}, "training": {"lr": 0.1}, "seed": seed}
    if record.delta:
        record.delta.dense_run = f"dense-b{board}-s{seed}"
    return record


def write(found: Iterator[Record], folder: Path, history: bytes = b"") -> int:
    """Write run folders, each with the same history if there is one; the number written."""
    count = 0
    for record in found:
        run = folder / record.run_id
        run.mkdir(parents=True)
        text = json.dumps(record.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"
        (run / "record.json").write_text(text, encoding="utf-8")
        if history:
            (run / "history.parquet").write_bytes(history)
        count += 1
    return count
