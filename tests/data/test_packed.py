"""Packed datasets: what is stored, that others can read it, and what damage is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from msbench.api import CorruptSampleError, Decoded, UserError
from msbench.data.arrays import CODES, HEADER, ArrayFile
from msbench.data.contract import arrays_of, fault
from msbench.data.manifest import MANIFEST, Packed, is_packed
from tests.data.packing_helpers import DroppingNotes, Notes, packed_bytes, silent, write_notes


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(root=str(write_notes(tmp_path / "notes")))


def prepared(dataset: Notes, cache: Path) -> Packed:
    dataset.prepare(cache, silent)
    return dataset.packed(cache)


def test_batches_are_what_decode_gave_in_canonical_types(notes: Notes, tmp_path: Path) -> None:
    notes.prepare(tmp_path / "cache", silent)
    index = notes.index(Path(notes.root))
    for part in ("train", "validation", "test"):
        samples = notes.samples(part, tmp_path / "cache")
        assert len(samples) == len(index[part])
        batch = samples.batch(torch.tensor([2, 0]))
        for row, item in enumerate((index[part][2], index[part][0])):
            sample = notes.decode(item)
            assert batch.image[row].equal(sample.image.float() / 255)
            for name in ("segmentation", "depth", "odd"):
                assert batch.target[name][row].equal(sample.target[name].to(batch.target[name].dtype)), name
                assert batch.valid[name][row].equal(sample.valid[name]), name
        dtypes = {name: value.dtype for name, value in batch.target.items()}
        assert dtypes == {"segmentation": torch.int64, "depth": torch.float32, "odd": torch.float32}


@pytest.fixture(scope="module")
def array_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("array") / "a.safetensors"


@settings(max_examples=40)
@given(
    dtype=st.sampled_from([dtype for dtype in CODES if dtype != torch.bfloat16]),
    shape=st.lists(st.integers(0, 4), max_size=3),
    rows=st.integers(0, 5),
    kept=st.integers(0, 5),
)
def test_the_official_library_reads_what_is_written_row_by_row(
    array_file: Path, dtype: torch.dtype, shape: list[int], rows: int, kept: int
) -> None:
    """Also when writing was broken off behind `kept` rows and went on from there."""
    kept, path = min(kept, rows), array_file
    values = torch.randint(0, 2, (rows, *shape), generator=torch.Generator().manual_seed(0)).to(dtype)
    layout = CODES[dtype], tuple(shape)
    broken = ArrayFile(path, layout)
    for row in [*values[:kept], *values[:1]]:
        broken.append(row)
    broken.abandon()
    file = ArrayFile(path, layout, rows=kept)
    for row in values[kept:]:
        file.append(row)
    file.close()
    with safe_open(path, "pt") as stored:
        assert list(stored.keys()) == ["data"]
        found = stored.get_tensor("data")
    assert found.dtype == dtype
    assert found.equal(values)
    assert path.stat().st_size == HEADER + values.numel() * values.element_size()


def test_checksums_are_those_of_the_files_and_equal_data_has_an_equal_fingerprint(notes: Notes, tmp_path: Path) -> None:
    packed = prepared(notes, tmp_path / "cache")
    for name, array in packed.manifest.arrays.items():
        content = (packed.folder / f"{name}.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == array.sha256
    copy = Notes(root=str(write_notes(tmp_path / "copy")))
    assert prepared(copy, tmp_path / "other").digest == packed.digest == notes.fingerprint(tmp_path / "cache")
    (tmp_path / "copy" / "test" / "0012.txt").write_text("99", encoding="utf-8")
    assert prepared(copy, tmp_path / "other").digest != packed.digest


def test_a_portable_folder_needs_no_originals(notes: Notes, tmp_path: Path) -> None:
    there = notes.pack_into(tmp_path / "portable", silent)
    assert prepared(notes, tmp_path / "cache").digest == there.digest
    moved = (tmp_path / "portable").rename(tmp_path / "moved")
    for file in Path(notes.root).rglob("*.txt"):
        file.unlink()
    elsewhere = Notes(root=str(moved))
    elsewhere.prepare(tmp_path / "unused", silent)
    assert elsewhere.samples("test", tmp_path / "unused").batch(torch.arange(4)).image.shape == (4, 3, 6, 6)
    assert elsewhere.fingerprint(tmp_path / "unused") == there.digest
    assert not (tmp_path / "unused").exists()
    with pytest.raises(UserError, match=r"moved is packed already"):
        elsewhere.pack_into(tmp_path / "again", silent)


def test_a_packed_folder_of_something_else_is_refused(notes: Notes, tmp_path: Path) -> None:
    notes.pack_into(tmp_path / "portable", silent)
    with pytest.raises(UserError, match=r"data\.size=8: .*portable was packed with size=6"):
        Notes(root=str(tmp_path / "portable"), size=8).prepare(tmp_path, silent)
    with pytest.raises(UserError, match=r"portable holds notes, not dropping_notes"):
        DroppingNotes(root=str(tmp_path / "portable")).prepare(tmp_path, silent)
    with pytest.raises(UserError, match=r"portable holds another packed dataset"):
        Notes(root=notes.root, size=8).pack_into(tmp_path / "portable", silent)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"full is not empty"):
        notes.pack_into(tmp_path / "full", silent)


def damage_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text("{", encoding="utf-8")


def damage_schema(folder: Path) -> None:
    plain = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(plain | {"format": 2}), encoding="utf-8")


def damage_length(folder: Path) -> None:
    file = folder / "train" / "image.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def damage_missing(folder: Path) -> None:
    (folder / "test" / "valid.depth.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_manifest, r"packed\.json is no manifest"),
        (damage_schema, r"packed\.json is no manifest"),
        (damage_length, r"train/image\.safetensors is missing or has not its"),
        (damage_missing, r"test/valid\.depth\.safetensors is missing"),
    ],
)
def test_damage_is_named_with_its_remedy(
    notes: Notes, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(prepared(notes, tmp_path / "cache").folder)
    with pytest.raises(UserError, match=message + r".*delete this folder") as caught:
        Notes(root=notes.root).prepare(tmp_path / "cache", silent)
    assert "\n" not in str(caught.value)


def test_verify_finds_a_single_changed_bit(notes: Notes, tmp_path: Path) -> None:
    packed = prepared(notes, tmp_path / "cache")
    assert packed.verify(silent) == []
    file = packed.folder / "validation" / "target.depth.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    assert packed.verify(silent) == ["validation/target.depth"]


def test_corrupt_samples_are_left_out_counted_and_named(tmp_path: Path) -> None:
    root = write_notes(tmp_path / "notes")
    for name in ("train/0000", "train/0003", "test/0015"):
        (root / f"{name}.txt").write_text("smudge", encoding="utf-8")
    said: list[str] = []
    dataset = DroppingNotes(root=str(root))
    dataset.prepare(tmp_path / "cache", lambda done, total, what: said.append(what))
    manifest = dataset.packed(tmp_path / "cache").manifest
    assert manifest.counts == {"train": 7, "validation": 3, "test": 3}
    assert {part: list(names) for part, names in manifest.dropped.items()} == {
        "train": ["0000", "0003"],
        "test": ["0015"],
    }
    assert "smudge" in manifest.dropped["train"]["0003"]
    assert said[-1] == "packed dropping_notes, 3 corrupt samples left out"
    batch = dataset.samples("train", tmp_path / "cache").batch(torch.tensor([2]))
    fourth = dataset.decode(dataset.index(root)["train"][4])
    assert batch.image[0].equal(fourth.image / 255.0), "rows close up"
    with pytest.raises(CorruptSampleError, match=r"train/0000\.txt"):
        Notes(root=str(root)).prepare(tmp_path / "cache", silent)


def test_a_part_without_samples_is_an_error(tmp_path: Path) -> None:
    root = write_notes(tmp_path / "notes", counts=(2, 0, 1))
    with pytest.raises(UserError, match=r"notes: no samples for validation"):
        Notes(root=str(root)).prepare(tmp_path / "cache", silent)
    root = write_notes(tmp_path / "smudged", counts=(2, 1, 1))
    (root / "test" / "0003.txt").write_text("smudge", encoding="utf-8")
    with pytest.raises(UserError, match=r"no sample of test can be decoded; the first, 0003: .*smudge"):
        DroppingNotes(root=str(root)).prepare(tmp_path / "cache", silent)


def spoilt(
    image: torch.Tensor | None = None,
    target: dict[str, torch.Tensor] | None = None,
    valid: dict[str, torch.Tensor] | None = None,
) -> Decoded:
    """A good sample for the tasks of Notes, but for these arrays."""
    plain = torch.zeros(4, 4)
    yes = torch.ones(4, 4, dtype=torch.bool)
    targets = {"segmentation": plain.byte(), "depth": plain, "odd": torch.tensor(True)}
    valids = {"segmentation": yes, "depth": yes, "odd": torch.tensor(True)}
    picture = torch.zeros(3, 4, 4, dtype=torch.uint8) if image is None else image
    return Decoded(picture, targets | (target or {}), valids | (valid or {}))


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (spoilt(image=torch.zeros(3, 4, 4)), "image is float32"),
        (spoilt(image=torch.zeros(4, 4, dtype=torch.uint8)), "expected uint8"),
        (spoilt(target={"segmentation": torch.full((4, 4), 3, dtype=torch.uint8)}), "label 3 is neither a class"),
        (spoilt(target={"segmentation": torch.full((4, 4), -1)}), "label -1"),
        (spoilt(target={"segmentation": torch.zeros(4, 4)}), "expected whole numbers"),
        (spoilt(target={"segmentation": torch.full((4, 4), 255, dtype=torch.uint8)}), None),
        (spoilt(target={"depth": torch.full((4, 4), torch.nan)}), "not a number"),
        (spoilt(target={"depth": torch.full((4, 4), torch.inf)}, valid={"depth": torch.zeros(4, 4).bool()}), None),
        (spoilt(target={"depth": torch.zeros(5, 4)}), "expected the same H and W"),
        (spoilt(target={"depth": torch.zeros(4, 4, dtype=torch.complex64)}), "cannot be stored"),
        (spoilt(valid={"depth": torch.zeros(4, 4)}), "expected bool"),
        (spoilt(target={"odd": torch.tensor(0.5)}), "expected 0 or 1"),
        (spoilt(target={"odd": torch.zeros(2)}), "expected one value each"),
        (spoilt(), None),
    ],
)
def test_the_contract_of_a_sample(sample: Decoded, message: str | None) -> None:
    tasks = Notes().tasks()
    found = fault(arrays_of(sample, tasks), tasks)
    assert (found is None) if message is None else (found is not None and message in found)


def test_a_sample_unlike_the_first_is_named(notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Notes.decode

    def taller(self: Notes, item: object) -> Decoded:
        self.size = 8 if item.name == "0004" else 6  # type: ignore[attr-defined]
        return plain(self, item)  # type: ignore[arg-type]

    monkeypatch.setattr(Notes, "decode", taller)
    monkeypatch.setattr("msbench.data.packing._MOST_THREADS", 1)
    with pytest.raises(CorruptSampleError, match=r"0004: image is U8 \[3, 8, 8\].*first sample U8 \[3, 6, 6\]"):
        notes.prepare(tmp_path / "cache", silent)
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_a_task_that_decode_forgets_is_the_datasets_fault(
    notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Notes.decode

    def forgetful(self: Notes, item: object) -> Decoded:
        sample = plain(self, item)  # type: ignore[arg-type]
        return Decoded(sample.image, {k: v for k, v in sample.target.items() if k != "odd"}, sample.valid)

    monkeypatch.setattr(Notes, "decode", forgetful)
    with pytest.raises(UserError, match=r"decode\(\) gives no target for its task 'odd'"):
        notes.prepare(tmp_path / "cache", silent)


def test_nothing_is_packed_twice(notes: Notes, tmp_path: Path) -> None:
    packed = prepared(notes, tmp_path / "cache")
    before = packed_bytes(packed.folder)
    Notes(root=notes.root).prepare(tmp_path / "cache", lambda done, total, what: pytest.fail("packed twice"))
    assert packed_bytes(packed.folder) == before
    assert is_packed(packed.folder)
