"""`msbench data export`: what is written reads back as what was written, and writes again byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat
from typer.testing import CliRunner

from msbench.api import Batch, Samples, UserError
from msbench.cli.main import app
from msbench.data.dataset import PARTS, Dataset
from msbench.data.export import export, exporter, exporters
from msbench.plugins import load_plugins
from msbench_plugins.datasets.faces.dataset import Faces
from msbench_plugins.datasets.nyuv2.dataset import NYUv2
from msbench_plugins.datasets.nyuv2.export import EXPORTERS
from msbench_plugins.datasets.nyuv2.export_mat import inpainted
from msbench_plugins.datasets.nyuv2.writers import lasting_jpeg
from msbench_plugins.datasets.rooms.dataset import Rooms

LAYOUTS = ("mtan", "adashare", "nyud_mt", "mat")
STORED = {
    "mtan": ("segmentation", "depth", "normals"),
    "adashare": ("segmentation", "depth", "normals"),
    "nyud_mt": ("segmentation", "depth", "normals", "edges"),
    "mat": ("segmentation", "depth"),
}


def silent(done: int, total: int, what: str) -> None:
    pass


class FewRooms(Rooms):
    """The first rooms of every part: eight for training, two for validation, three for testing."""

    def samples(self, part: str, cache: Path) -> Samples:  # type: ignore[override]
        return First(super().samples(part, cache), {"train": 8, "validation": 2, "test": 3}[part])  # type: ignore[arg-type]


class First(Samples):
    def __init__(self, samples: Samples, count: int) -> None:
        self.samples, self.count = samples, count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: torch.Tensor) -> Batch:
        return self.samples.batch(indices)


def whole(dataset: Dataset, part: str, cache: Path) -> Batch:
    samples = dataset.samples(part, cache)  # type: ignore[arg-type]
    return samples.batch(torch.arange(len(samples)))


def files(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def few(rooms: Rooms) -> FewRooms:
    return FewRooms(size="xs", classes=40)


@pytest.fixture(scope="module")
def exported(few: FewRooms, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("exported")
    for layout in LAYOUTS:
        counts = export(few, EXPORTERS[layout](), cache, root / layout, silent)
        assert counts == {"train": 8, "validation": 2, "test": 3}
    return root


def loaded(root: Path, layout: str, cache: Path) -> NYUv2:
    dataset = NYUv2(root=str(root / layout), classes=13 if layout == "mtan" else 40)
    dataset.prepare(cache, silent)
    return dataset


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_exported_is_read_as_the_same_samples(
    layout: str, exported: Path, few: FewRooms, cache: Path, tmp_path: Path
) -> None:
    dataset = loaded(exported, layout, tmp_path)
    source = FewRooms(size="xs", classes=dataset.classes)
    for part in PARTS:
        found, true = whole(dataset, part, tmp_path), whole(source, part, cache)
        if layout != "nyud_mt":
            assert found.image.equal(true.image)
        for task in STORED[layout]:
            assert found.valid[task].equal(true.valid[task]), task
        assert found.target["segmentation"].equal(true.target["segmentation"])
        assert found.target["depth"].equal(true.target["depth"])
        if layout in {"mtan", "nyud_mt"}:
            assert found.target["normals"].equal(true.target["normals"])
        if layout == "nyud_mt":
            assert found.target["edges"].equal((true.target["edges"] >= 0.5).float())


def test_eight_bits_give_exactly_what_they_stand_for(
    exported: Path, few: FewRooms, cache: Path, tmp_path: Path
) -> None:
    found = whole(loaded(exported, "adashare", tmp_path), "test", tmp_path)
    true = whole(few, "test", cache)
    for row in range(3):
        valid = true.valid["normals"][row]
        pixels = np.asarray(Image.open(exported / f"adashare/normal_mask/{10 + row:04d}.png")).astype(np.float64)
        right, forward, up = np.moveaxis(pixels / 127.5 - 1, 2, 0)
        vector = torch.from_numpy(np.stack([right, up, -forward]))
        unit = vector / vector.norm(dim=0)
        torch.testing.assert_close(found.target["normals"][row][:, valid].double(), unit[:, valid], rtol=0, atol=1e-6)
        assert (pixels[~valid.numpy()] == 255).all()
        cosine = (unit * true.target["normals"][row]).sum(0)[valid]
        assert cosine.min() > np.cos(np.radians(0.4))

        image = exported / f"nyud_mt/images/{11 + row:04d}.jpg"
        assert np.abs(np.asarray(Image.open(image)) / 255.0 - true.image[row].permute(1, 2, 0).numpy()).mean() < 0.02


@pytest.mark.parametrize("layout", LAYOUTS)
def test_exporting_what_was_read_gives_the_same_bytes(layout: str, exported: Path, tmp_path: Path) -> None:
    dataset = loaded(exported, layout, tmp_path / "cache")
    export(dataset, EXPORTERS[layout](), tmp_path / "cache", tmp_path / "again", silent)
    first, second = files(exported / layout), files(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_the_arrays_of_mtan_have_its_types(exported: Path) -> None:
    for name, dtype, shape in (
        ("image", "float32", (32, 32, 3)),
        ("label", "int64", (32, 32)),
        ("depth", "float32", (32, 32, 1)),
        ("normal", "float32", (32, 32, 3)),
    ):
        assert len(list((exported / "mtan/train" / name).iterdir())) == 10
        for file in sorted((exported / "mtan/val" / name).iterdir()):
            array = np.load(file)
            assert (array.dtype, array.shape) == (dtype, shape)
    labels = np.load(exported / "mtan/val/label/0.npy")
    assert labels.min() == -1
    assert labels.max() <= 12


def test_the_images_of_adashare_are_listed_in_halves(exported: Path) -> None:
    listed = json.loads((exported / "adashare/nyu_v2_3task.json").read_text())
    assert listed["train"][9] == ["img/0009.png", "seg/0009.png", "normal_mask/0009.png", "depth/0009.npy"]
    assert listed["train"] == listed["train1"] + listed["train2"]
    assert [row[0] for row in listed["test"]] == ["img/0010.png", "img/0011.png", "img/0012.png"]
    assert Image.open(exported / "adashare/seg/0000.png").mode == "L"


def test_the_lists_of_nyud_mt_name_its_files(exported: Path) -> None:
    root = exported / "nyud_mt"
    assert (root / "gt_sets/val.txt").read_text().split() == ["0011", "0012", "0013"]
    assert len((root / "gt_sets/train.txt").read_text().split()) == 10
    labels = np.asarray(Image.open(root / "segmentation/0011.png"))
    assert (labels.min(), labels.dtype) == (0, np.uint8)


def test_the_matlab_file_has_matlabs_axes_header_and_cells(exported: Path, few: FewRooms, cache: Path) -> None:
    root = exported / "mat"
    assert (root / "nyu_depth_v2_labeled.mat").read_bytes()[:10] == b"MATLAB 7.3"
    true = whole(few, "test", cache)
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as file:
        shapes = {name: (file[name].shape, file[name].dtype.name) for name in ("images", "depths", "labels")}
        assert shapes == {
            "images": ((13, 3, 32, 32), "uint8"),
            "depths": ((13, 32, 32), "float32"),
            "labels": ((13, 32, 32), "uint16"),
        }
        assert file["images"][10, 0].T.tolist() == (true.image[0, 0] * 255).round().int().tolist()
        assert (file["depths"][:] > 0).all()
        assert file["rawDepths"][10].T.tolist() == (true.target["depth"][0] * true.valid["depth"][0]).tolist()
        assert "".join(chr(c) for c in file[file["names"][0, 21]][:].ravel()) == "ceiling"
    splits = loadmat(root / "splits.mat")
    assert splits["trainNdxs"].ravel().tolist() == list(range(1, 11))
    assert (splits["testNdxs"].shape, splits["testNdxs"].dtype) == ((3, 1), np.uint16)
    mapping = loadmat(root / "classMapping40.mat")
    assert mapping["mapClass"].tolist() == [list(range(1, 41))]
    assert mapping["className"][0, 0].item() == "wall"


def test_holes_in_depth_get_the_nearest_known_one() -> None:
    depth = np.array([[0.0, 2.0, 0.0, 0.0, 5.0]], np.float32)
    assert inpainted(depth).tolist() == [[2.0, 2.0, 2.0, 5.0, 5.0]]
    assert (inpainted(np.zeros((2, 2), np.float32)) == 10).all()


def test_a_lasting_jpeg_of_noise_is_its_own_copy() -> None:
    import io

    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    written = lasting_jpeg(pixels)
    assert lasting_jpeg(np.asarray(Image.open(io.BytesIO(written)))) == written


def test_what_a_layout_cannot_hold_is_refused_before_anything_is_written(
    rooms: Rooms, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"but faces has no depth, normals"):
        export(Faces(size="xs"), EXPORTERS["mtan"](), cache, tmp_path / "out", silent)
    with pytest.raises(UserError, match=r"stores NYU's 40 classes, not these 13.*data.classes=40"):
        export(rooms, EXPORTERS["adashare"](), cache, tmp_path / "out", silent)
    assert not list(tmp_path.iterdir())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match=r"full: is there already and not empty; name a new folder"):
        export(rooms, EXPORTERS["mtan"](), cache, tmp_path / "full", silent)
    with pytest.raises(UserError, match=r"name a folder that can be written"):
        export(rooms, EXPORTERS["mtan"](), cache, tmp_path / "full" / "file" / "below", silent)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_layouts_are_known_by_name_and_by_the_dataset_that_reads_them() -> None:
    datasets = load_plugins([]).classes("dataset")
    known = exporters(datasets)
    for layout in LAYOUTS:
        assert known[layout] is known[f"nyuv2/{layout}"] is EXPORTERS[layout]
    with pytest.raises(UserError, match=r"--layout 'mtam': did you mean 'mtan'\?"):
        exporter(datasets, "mtam")


def test_the_command_writes_a_folder_that_a_run_can_read(
    cache: Path, rooms: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSBENCH_CACHE", str(cache))
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["data", "export", "rooms", "--layout", "mtan", "-o", str(out), "data.size=xs"])
    assert result.exit_code == 0, result.output
    assert "96 train, 32 validation, 32 test samples" in result.output
    assert NYUv2(root=str(out)).facts(out)["layout"] == "mtan"
