"""Small valid trees of every dataset that is read from files, and what comes of them when one file is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from msbench.api import CorruptSampleError, Item, PackedDataset, UserError
from msbench.data.arrays import Layout
from msbench.data.contract import arrays_of, fault, layouts_of
from msbench_plugins.datasets.camvid import CamVid
from msbench_plugins.datasets.celebamask_hq.dataset import CelebAMaskHQ
from msbench_plugins.datasets.cityscapes import Cityscapes
from msbench_plugins.datasets.folder import Folder
from msbench_plugins.datasets.nyuv2.dataset import NYUv2
from msbench_plugins.datasets.taskonomy.dataset import Taskonomy
from tests.data import celebamask_trees, cityscapes_trees, nyuv2_trees, taskonomy_trees, test_camvid, test_folder

SIDE: Final = {"height": 16, "width": 16}


def folder_of_pictures(root: Path) -> Folder:
    """Depth and normals as PNG, one image with an EXIF entry, and a table of attributes."""
    test_folder.write_tree(root, train=3)
    for part in ("train", "val", "test"):
        for file in (root / part / "depth").glob("*.npy"):
            depth = (np.load(file) * 1000).astype(np.uint16)
            Image.fromarray(depth).save(file.with_suffix(".png"))
            file.unlink()
        for file in (root / part / "normals").glob("*.npy"):
            normals = ((np.load(file).clip(-1, 1) + 1) * 127.5).astype(np.uint8)
            Image.fromarray(normals).save(file.with_suffix(".png"))
            file.unlink()
    first = min((root / "train" / "images").glob("*.png"))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 3, "a camera"
    Image.open(first).save(first.with_suffix(".jpg"), exif=exif)
    first.unlink()
    return Folder(root=str(root), **SIDE)


def folder_of_arrays(root: Path) -> Folder:
    test_folder.write_tree(root, train=3)
    for kind in ("images", "segmentation", "edges"):
        for file in root.glob(f"*/{kind}/*.png"):
            np.save(file.with_suffix(".npy"), np.asarray(Image.open(file)))
            file.unlink()
    return Folder(root=str(root), **SIDE)


def camvid(suffix: str, mode: str) -> Callable[[Path], CamVid]:
    return lambda root: CamVid(root=str(test_camvid.write_tree(root, suffix=suffix, mode=mode)), **SIDE)


def nyuv2(write: Callable[[Path], Path]) -> Callable[[Path], NYUv2]:
    return lambda root: NYUv2(root=str(write(root)), **SIDE)


def faces(form: str, classes: int = 3) -> Callable[[Path], CelebAMaskHQ]:
    def make(root: Path) -> CelebAMaskHQ:
        return CelebAMaskHQ(root=str(celebamask_trees.write_tree(root, form)), classes=classes, **SIDE)

    return make


def cityscapes(form: str) -> Callable[[Path], Cityscapes]:
    return lambda root: Cityscapes(root=str(cityscapes_trees.write_tree(root, form)), **SIDE)


def buildings(root: Path) -> Taskonomy:
    tree = taskonomy_trees.write_tree(root, buildings=("hanson", "corozal", "mcdade"), count=1)
    return Taskonomy(root=str(tree), **SIDE)


def listed_buildings(root: Path) -> Taskonomy:
    tree = taskonomy_trees.write_tree(root, buildings=("hanson", "merom", "mcdade"), count=1)
    taskonomy_trees.write_json(root / "taskonomy.json", ("hanson", "merom"), ("mcdade",), 1, "domain_first")
    return Taskonomy(root=str(tree), split="json", **SIDE)


MAKERS: Final[Mapping[str, Callable[[Path], PackedDataset]]] = {
    "camvid png": camvid(".png", "P"),
    "camvid jpg": camvid(".jpg", "L"),
    "folder of pictures": folder_of_pictures,
    "folder of arrays": folder_of_arrays,
    "nyuv2 mtan": nyuv2(nyuv2_trees.write_mtan),
    "nyuv2 adashare": nyuv2(nyuv2_trees.write_adashare),
    "nyuv2 nyud_mt": nyuv2(lambda root: nyuv2_trees.write_nyud_mt(root, arrays=False)),
    "nyuv2 pngs": nyuv2(nyuv2_trees.write_pngs),
    "celebamask_hq parts": faces("parts"),
    "celebamask_hq merged": faces("merged", classes=19),
    "celebamask_hq array": faces("void"),
    "taskonomy": buildings,
    "taskonomy listed": listed_buildings,
    "cityscapes": cityscapes("mtan"),
    "cityscapes listed": cityscapes("json"),
}
"""By name, who writes a valid tree and gives the dataset that reads it."""

MAT: Final = nyuv2(lambda root: nyuv2_trees.write_mat(root, ladicky=True))
"""The official HDF5 file: apart, since what reads it is not known to survive whatever it is given."""


LISTS: Final = (".json", ".txt", ".csv")


@dataclass(frozen=True)
class Tree:
    """A valid tree. files: one of each kind that its samples are made of. layouts: types and shapes of a sample."""

    dataset: PackedDataset
    root: Path
    files: tuple[Path, ...]
    layouts: Mapping[str, Layout]

    @classmethod
    def write(cls, make: Callable[[Path], PackedDataset], root: Path) -> Tree:
        dataset = make(root)
        parts = dataset.index(root)
        item = parts["train"][0]
        of_samples = {file for items in parts.values() for other in items for file in other.files}
        lists = sorted(path for path in root.rglob("*") if path.suffix in LISTS and path not in of_samples)
        kinds = {(file.parent, file.suffix): file for file in [*lists, *item.files[::-1]]}
        layouts = layouts_of(arrays_of(dataset.decode(item), dataset.tasks()))
        return cls(dataset, root, tuple(kinds.values()), layouts)

    def read(self, changed: Path, raw: bytes) -> UserError | None:
        """Put these bytes in place of a file and read samples that are made of it, as packing does."""
        good = changed.read_bytes()
        changed.write_bytes(raw)
        try:
            dataset = replace(self.dataset)  # without what it has read already
            parts = dataset.index(self.root)
            of_it = [item for items in parts.values() for item in items if changed in item.files]
            for item in of_it[:1] or [items[0] for items in parts.values()]:
                self._check(dataset, item)
        except UserError as error:
            return error
        finally:
            changed.write_bytes(good)
        return None

    def check(self, changed: Path, raw: bytes) -> None:
        """A sample as it should be, or one line that names a file of the tree, with these bytes in place of a file."""
        error = self.read(changed, raw)
        assert error is None or (str(self.root) in str(error) and len(str(error).splitlines()) == 1), error

    def _check(self, dataset: PackedDataset, item: Item) -> None:
        arrays = arrays_of(dataset.decode(item), dataset.tasks())
        found = fault(arrays, dataset.tasks())
        if found is not None:
            raise CorruptSampleError(f"{item.files}: {found}")
        assert layouts_of(arrays) == self.layouts


def everything(folder: Path) -> dict[Path, bytes]:
    """All that lies in a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
