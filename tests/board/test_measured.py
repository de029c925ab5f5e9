"""What `msbench measure` leaves beside a run: on its page, and among what is published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from msbench.board.reading.load import load, read_run
from msbench.board.reading.measured import MEASUREMENTS, read_measurements
from msbench.board.site.build import build_site
from msbench.publishing.merge import merge
from msbench.publishing.publish import PublicFolder, publish
from msbench.publishing.published import check_folder
from msbench.records.measurement import Measurement
from msbench.records.record import Record
from msbench.store.measurements import save
from msbench.store.store import Store
from tests.board.published import record_of, run_id
from tests.board.published import save as save_records


def measurement(record: Record, created: str = "2026-02-01T00:00:00+00:00", **changes: Any) -> Measurement:
    """Two of CPU and GPU, with a gap."""
    part = {
        "device": "cpu", "ratio": 1.5, "q25": 1.4, "q75": 1.6, "low": 1.45, "high": 1.55, "dense_s": 0.3,
        "compact_s": 0.2, "rounds": 12, "threads": 2, "batch": 8, "size": [256, 256], "dtype": "float32",
        "why": ["spread: 31 %"], "noisy": True,
    }  # fmt: skip
    case = {"device": "cpu", "batch": 8, "size": [256, 256], "dtype": "fp32", "eager": part}
    gap = {"device": "cuda", "batch": 8, "size": [256, 256], "dtype": "fp32", "gaps": ["no GPU here"]}
    return Measurement.model_validate(
        {
            "run_id": record.run_id, "weights": record.hashes.get("weights", ""), "created": created,
            "request": {"devices": ["cpu"], "batches": [8], "size": 256, "threads": 2,
                        "dtypes": ["fp32"], "seconds": 3.0},
            "environment": {"cpu": "Another CPU"}, "allocator": {"LD_PRELOAD": "/home/joe/lib.so"},
            "proof": {"equal": True, "max_abs_diff": {}, "per_task": {}, "tolerance": {}},
            "cases": [case, gap],
        } | changes
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One run without measurements, whose weights are known."""
    record = record_of("dense")
    record.hashes["weights"] = "abc"
    save_records([record], tmp_path / "results" / "runs", extras=True)
    return Store(tmp_path / "results")


def _record(store: Store) -> Record:
    return load(store.runs).runs[0].record


def _publish(store: Store) -> str:
    (line,) = publish(store, store.ids(), PublicFolder(store.root.parent / "public"))
    return str(line)


def test_the_page_shows_what_was_measured_later_and_only_it_is_made_again(store: Store, tmp_path: Path) -> None:
    build_site(store.runs, tmp_path / "site")
    page = tmp_path / "site" / "runs" / f"{run_id('dense', 0)}.html"
    assert "Measured again" not in page.read_text()
    save(store, measurement(_record(store)))
    made = build_site(store.runs, tmp_path / "site").made
    assert [path for path in made if path.startswith(("runs/", "boards/", "index"))] == [f"runs/{page.name}"]
    html = page.read_text()
    for expected in (
        *("Measured again", "CPU, Another CPU", "1.50×", "[1.45×, 1.55×]", "1.40×–1.60×", "256×256"),
        *("spread: 31 %", "2026-02-01 00:00 UTC", "Gaps: no GPU here."),
    ):
        assert expected in html, expected


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": "other"},
        {"run_id": "another"},
        {"schema_version": "x"},
        {"cases": [{"device": "cpu"}]},
    ],
)
def test_what_is_damaged_or_of_another_network_counts_as_none(store: Store, changes: dict[str, Any]) -> None:
    record = _record(store)
    folder = store.folder(record.run_id) / "measurements"
    folder.mkdir()
    plain = measurement(record).model_dump(mode="json")
    (folder / "bad.json").write_text(json.dumps(plain | changes))
    assert read_measurements(folder.parent, record) == []
    (folder / "good.json").write_text(json.dumps(plain))
    assert len(read_measurements(folder.parent, record)) == 1


def test_links_are_not_followed(store: Store, tmp_path: Path) -> None:
    record = _record(store)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.json").write_text(measurement(record).model_dump_json())
    (store.folder(record.run_id) / "measurements").symlink_to(tmp_path / "elsewhere")
    assert read_measurements(store.folder(record.run_id), record) == []


def test_measurements_are_published_with_their_run_and_added_later(store: Store) -> None:
    record = _record(store)
    public = store.root.parent / "public" / "records" / record.run_id
    assert _publish(store).startswith("added")
    assert not (public / MEASUREMENTS).exists()
    for created in ("2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"):
        save(store, measurement(record, created))
        assert _publish(store) == f"updated: {record.run_id}: measured again"
    assert _publish(store) == f"unchanged: {record.run_id}"
    assert check_folder(public)[1] == []
    found = read_measurements(public, record)
    assert [one.created[:7] for one in found] == ["2026-02", "2026-03"]
    assert found[0].allocator == {"LD_PRELOAD": "FOLDER/lib.so"}


def test_a_measurement_that_cannot_be_is_refused(store: Store) -> None:
    record = _record(store)
    wrong = measurement(record)
    assert wrong.cases[0].eager
    wrong.cases[0].eager.ratio = 40.0
    save(store, wrong)
    assert "ratio 40 is not that of its times" in _publish(store)


def test_measurements_of_two_stores_meet(store: Store, tmp_path: Path, pack: Callable[[Path, Path], Path]) -> None:
    record = _record(store)
    save(store, measurement(record))
    _publish(store)
    (store.folder(record.run_id) / "measurements").rename(tmp_path / "taken")
    save(store, measurement(record, "2026-04-01T00:00:00+00:00"))
    (found,) = merge([pack(store.root, tmp_path / "other.zip")], PublicFolder(tmp_path / "public"))
    assert [str(item) for item in found.records] == [f"updated: {record.run_id}: measured again"]
    public = tmp_path / "public" / "records" / record.run_id
    assert len(read_measurements(public, record)) == 2
    assert read_run(public).record == record


@pytest.fixture
def pack() -> Callable[[Path, Path], Path]:
    """Packs a folder as an archive."""
    import shutil

    def packed(folder: Path, archive: Path) -> Path:
        return Path(shutil.make_archive(str(archive.with_suffix("")), "zip", folder))

    return packed


def test_check_finds_measurements_of_something_else(store: Store) -> None:
    record = _record(store)
    save(store, measurement(record))
    _publish(store)
    public = store.root.parent / "public" / "records" / record.run_id
    plain = measurement(record).model_dump(mode="json") | {"weights": "other"}
    (public / MEASUREMENTS).write_text(json.dumps([plain]))
    found = "; ".join(check_folder(public)[1])
    assert "another run or of other weights" in found
    assert "not the file that was published" in found
