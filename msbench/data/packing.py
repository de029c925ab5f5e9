"""Packing: every sample decoded once, in parallel, and appended to its arrays; goes on where it was stopped."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from msbench.data.arrays import ArrayFile, row_bytes
from msbench.data.cache import build_once
from msbench.data.contract import Arrays, arrays_of, changed_layout, fault, layouts_of
from msbench.data.dataset import PARTS, Part, Progress
from msbench.data.journal import JOURNAL, Journal, PartProgress, write_whole
from msbench.data.manifest import MANIFEST, Manifest, Packed, StoredArray, file_checksum, is_packed
from msbench.errors import UserError

if TYPE_CHECKING:
    from msbench.data.packed import Item, PackedDataset

T = TypeVar("T")
Index = Mapping[Part, Sequence["Item"]]

CHECKPOINT: Final = 1.0
"""Seconds between two entries of the journal, more where writing one is slow: what a kill costs at most."""

_SHARE: Final = 0.05
"""Greatest share of the time that is spent on the journal."""

_MOST_THREADS: Final = 16
_SYNCS: Final = 16
"""Files that are brought to the disk at the same time."""


class CorruptSampleError(UserError):
    """A sample that cannot be decoded; a dataset with `drops` leaves it out and counts it, others stop."""


class StorageError(UserError):
    """The disk is full or fails; what is packed so far is kept."""


def pack(dataset: PackedDataset, root: Path, index: Index, folder: Path, progress: Progress) -> None:
    """Decode every sample into `folder`, which is there whole or not at all.

    A packing that was killed, interrupted or stopped by a full disk goes on where it was; one that was stopped by a
    sample starts afresh, since mending it makes other data. UserError says what is wrong with which sample or part.
    """
    build_once(folder, lambda aside: _Packing(dataset, root, index, aside, progress).run(), keep=_can_go_on)


def check_index(dataset: PackedDataset, index: Index) -> None:
    """Every part has samples, and names are unique in their part; UserError otherwise."""
    for part in PARTS:
        names = Counter(item.name for item in index.get(part, ()))
        if not names:
            raise UserError(f"{dataset.name}: no samples for {part} in {dataset.root}; every part needs some")
        twice, count = names.most_common(1)[0]
        if count > 1:
            raise UserError(f"{dataset.name}: two samples of {part} are called {twice!r}; rename one of them")


def _can_go_on(error: BaseException) -> bool:
    return isinstance(error, StorageError) or not isinstance(error, Exception)


class _Packing:
    """One packing into a folder aside."""

    def __init__(self, dataset: PackedDataset, root: Path, index: Index, aside: Path, progress: Progress) -> None:
        self._dataset, self._root, self._index, self._aside = dataset, root, index, aside
        self._tasks = dataset.tasks()
        self._state = dataset.state(root, index)
        self._progress = progress
        self._total = sum(map(len, index.values()))
        self._journal = Journal.read(aside, self._state)

    def run(self) -> None:
        if is_packed(self._aside) and Packed.open(self._aside).manifest.state == self._state:
            return
        try:
            try:
                self._write()
            except _LostRowsError:
                self._journal = Journal(state=self._state)
                self._write()
        except OSError as error:
            raise self._storage_error(error) from error

    def _write(self) -> None:
        if not self._journal.parts:
            _empty(self._aside)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        threads = min(cores, _MOST_THREADS)
        with ThreadPoolExecutor(threads, "decode") as pool, ThreadPoolExecutor(_SYNCS, "disk") as disk:
            for part in PARTS:
                self._pack_part(pool, disk, 2 * threads, part)
        self._finish()

    def _pack_part(self, pool: Executor, disk: Executor, window: int, part: Part) -> None:
        seen = self._journal.parts.setdefault(part, PartProgress())
        items = self._index[part]
        decoded = _in_order(pool, self._decode, items[seen.done :], window)
        with _Rows(self._aside, part, self._journal, disk) as rows:
            for item, future in zip(items[seen.done :], decoded, strict=True):
                try:
                    rows.append(item, future.result(), self._total - self._done())
                except CorruptSampleError as error:
                    if not self._dataset.drops:
                        raise
                    seen.dropped[item.name] = str(error)
                seen.done += 1
                self._progress(self._done(), self._total, f"packing {self._dataset.name}")
                rows.checkpoint()
        if seen.rows == 0:
            name, reason = next(iter(seen.dropped.items()))
            raise UserError(f"{self._dataset.name}: no sample of {part} can be decoded; the first, {name}: {reason}")

    def _decode(self, item: Item) -> Arrays:
        """One checked sample; called from several threads."""
        try:
            sample = self._dataset.decode(item)
        except OSError as error:  # PIL raises it without an errno for a broken file
            if error.errno is None:
                raise _unreadable(item, error) from error
            raise StorageError(f"{error.filename or item.name}: cannot be read ({error.strerror})") from error
        except (SyntaxError, ValueError, EOFError) as error:
            raise _unreadable(item, error) from error
        arrays = arrays_of(sample, self._tasks)
        found = fault(arrays, self._tasks)
        if found is not None:
            raise CorruptSampleError(f"{item.name}: {found}; {_files(item)}")
        return arrays

    def _done(self) -> int:
        return sum(part.done for part in self._journal.parts.values())

    def _finish(self) -> None:
        stored = {}
        files = [(part, name) for part in PARTS for name in sorted(self._journal.layouts)]
        for done, (part, name) in enumerate(files, start=1):
            file = self._aside / part / f"{name}.safetensors"
            stored[f"{part}/{name}"] = StoredArray(bytes=file.stat().st_size, sha256=file_checksum(file))
            self._progress(done, len(files), f"checksums of {self._dataset.name}")
        parts = self._journal.parts
        manifest = Manifest(
            dataset=self._dataset.name,
            parameters=self._dataset.parameters(),
            description=dict(self._dataset.describe(self._root)),
            facts=dict(self._dataset.facts(self._root)),
            state=self._state,
            counts={part: parts[part].rows for part in PARTS},
            arrays=stored,
            dropped={part: parts[part].dropped for part in PARTS if parts[part].dropped},
        )
        write_whole(self._aside / MANIFEST, manifest.model_dump_json(indent=1))
        (self._aside / JOURNAL).unlink()
        dropped = sum(map(len, manifest.dropped.values()))
        if dropped:
            said = f"packed {self._dataset.name}, {dropped} corrupt samples left out"
            self._progress(self._total, self._total, said)

    def _storage_error(self, error: OSError) -> StorageError:
        reason = error.strerror or str(error)
        return StorageError(
            f"packing {self._dataset.name} into {self._aside.parent}: {reason} after {self._done()} of {self._total} "
            f"samples; make room, and the same command goes on from there, or name another folder with MSBENCH_CACHE"
        )


class _LostRowsError(Exception):
    """An array has fewer rows than the journal says, as after a power cut: start afresh."""


class _Rows:
    """The arrays of one part, and the journal that says how many of their rows are safe."""

    def __init__(self, aside: Path, part: Part, journal: Journal, disk: Executor) -> None:
        self._aside, self._folder, self._disk = aside, aside / part, disk
        self._folder.mkdir(exist_ok=True)
        self._journal, self._seen = journal, journal.parts[part]
        self._files: dict[str, ArrayFile] = {}
        self._due = time.monotonic() + CHECKPOINT

    def __enter__(self) -> _Rows:
        if self._journal.layouts:
            self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._on_all(ArrayFile.close)
            self._journal.write(self._aside)
        else:
            self._on_all(ArrayFile.abandon)

    def _open(self) -> None:
        for name, layout in self._journal.layouts.items():
            try:
                file = ArrayFile(self._folder / f"{name}.safetensors", layout, self._seen.rows)
            except (FileNotFoundError, ValueError) as error:
                self._on_all(ArrayFile.abandon)
                raise _LostRowsError from error
            self._files[name] = file

    def append(self, item: Item, arrays: Arrays, expected: int) -> None:
        """Store a sample; CorruptSampleError when it is not like the first one, OSError where there is no room.

        expected: how many samples are still to come, this one included.
        """
        layouts = layouts_of(arrays)
        if not self._journal.layouts:
            _check_room(self._folder, expected * sum(map(row_bytes, layouts.values())))
            self._journal.layouts = layouts
            self._open()
        changed = changed_layout(self._journal.layouts, layouts)
        if changed is not None:
            raise CorruptSampleError(f"{item.name}: {changed}; {_files(item)}")
        for name, file in self._files.items():
            file.append(arrays[name])
        self._seen.rows += 1

    def checkpoint(self) -> None:
        """Bring all rows to the disk and say so in the journal, when it is time."""
        started = time.monotonic()
        if started < self._due:
            return
        self._on_all(ArrayFile.sync)
        self._journal.write(self._aside)
        ended = time.monotonic()
        self._due = ended + max(CHECKPOINT, (ended - started) / _SHARE)

    def _on_all(self, action: Callable[[ArrayFile], None]) -> None:
        """The same with every file at once: a disk writes many of them about as fast as one."""
        list(self._disk.map(action, self._files.values()))


def _in_order(pool: Executor, function: Callable[[Item], T], items: Iterable[Item], window: int) -> Iterator[Future[T]]:
    """Futures of all items in their order, with at most `window` of them under way."""
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == window:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for future in waiting:
            future.cancel()


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _unreadable(item: Item, error: Exception) -> CorruptSampleError:
    return CorruptSampleError(f"{item.name}: cannot be decoded ({error}); copy it again: {_files(item)}")


def _files(item: Item) -> str:
    return ", ".join(map(str, item.files))
