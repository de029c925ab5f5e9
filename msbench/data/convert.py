"""Preparing a dataset on request, and what to say when it is done."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from msbench.data.dataset import Dataset, Progress
from msbench.data.manifest import Packed
from msbench.data.packed import PackedDataset
from msbench.data.summary import counted, dropped
from msbench.errors import UserError


def convert(dataset: Dataset, cache: Path, out: Path | None, progress: Progress) -> Iterator[str]:
    """Prepare below `cache`, or pack into the new folder `out`; afterwards, lines that say what there is."""
    if isinstance(dataset, PackedDataset):
        yield from _report(_packed(dataset, cache, out, progress), dataset, out)
        return
    if out is not None:
        raise UserError(f"--out: {dataset.name} is made anew on each machine, not packed; leave --out out")
    dataset.prepare(cache, progress)
    yield f"{dataset.name} is ready. Fingerprint {dataset.fingerprint(cache)}"


def _packed(dataset: PackedDataset, cache: Path, out: Path | None, progress: Progress) -> Packed:
    if out is not None:
        return dataset.pack_into(out, progress)
    dataset.prepare(cache, progress)
    return dataset.packed(cache)


def _report(packed: Packed, dataset: PackedDataset, out: Path | None) -> Iterator[str]:
    yield f"{counted(packed.manifest.counts)}; {packed.bytes / 1e6:.1f} MB in {packed.folder}"
    for _, text in dropped(packed):
        yield f"Left out: {text}"
    yield f"Fingerprint {packed.digest}"
    if out is not None:
        settings = [f"data.{name}={_plain(value)}" for name, value in dataset.changed().items()]
        yield f"Use it with: {shlex.join(['-d', dataset.name, f'data.root={out}', *settings])}"


def _plain(value: object) -> str:
    """A value as one types it in `data.KEY=value`."""
    return f"[{','.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)
