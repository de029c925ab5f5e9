"""CelebAMask-HQ from fabricated trees: every form gives the same sample, and every way in which a tree can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from msbench.data.dataset import PARTS, Part
from msbench.errors import UserError
from msbench_plugins.datasets.celebamask_hq.dataset import CelebAMaskHQ
from msbench_plugins.datasets.celebamask_hq.splits import at_random, of_less_is_more
from tests.data.celebamask_trees import COLUMNS, NINETEEN, SIX, THREE, answer, colour, write_split, write_tree

FORMS = ("parts", "misspelt", "merged", "palette", "zero", "void")


def silent(done: int, total: int, what: str) -> None:
    pass


def faces(root: Path, **fields: Any) -> CelebAMaskHQ:
    return CelebAMaskHQ(root=str(root), **({"height": 16, "width": 16} | fields))


def names(dataset: CelebAMaskHQ, root: Path) -> dict[Part, list[str]]:
    return {part: [item.name for item in items] for part, items in dataset.index(root).items()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_sample(tmp_path: Path, form: str) -> None:
    root = write_tree(tmp_path, form)
    dataset = faces(root)
    for items in dataset.index(root).values():
        for item in items:
            image = int(item.name)
            sample = dataset.decode(item)
            assert sample.image.shape == (3, 16, 16)
            assert sample.image.dtype == torch.uint8
            assert (sample.image.float().mean((1, 2)) - torch.tensor(colour(image))).abs().max() <= 3
            assert sample.target["segmentation"].equal(torch.from_numpy(THREE))
            assert sample.target["segmentation"].dtype == torch.uint8
            assert all(valid.all() for valid in sample.valid.values())
            for column in SIX:
                assert bool(sample.target[column.lower()]) == answer(image, column)


@pytest.mark.parametrize("form", ["parts", "merged"])
def test_nineteen_classes_are_painted_in_the_official_order(tmp_path: Path, form: str) -> None:
    root = write_tree(tmp_path, form)
    dataset = faces(root, classes=19)
    sample = dataset.decode(dataset.index(root)["test"][0])
    assert sample.target["segmentation"].equal(torch.from_numpy(NINETEEN))
    assert dataset.tasks()[0].channels == 19


def test_a_part_without_a_file_is_absent(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    (root / "CelebAMask-HQ-mask-anno" / "0" / "00005_hat.png").unlink()
    (root / "CelebAMask-HQ-mask-anno" / "0" / "00005_nose.png").unlink()
    dataset = faces(root, classes=19)
    labels = dataset.decode(dataset.index(root)["test"][0]).target["segmentation"].numpy()
    expected = NINETEEN.copy()
    expected[7:9, 7:9] = 1
    expected[1, 4:12], expected[0, 4:12] = 13, 0
    np.testing.assert_array_equal(labels, expected)


def test_a_batch_is_canonical_and_every_task_trains_on_it(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    dataset = faces(root)
    dataset.prepare(tmp_path / "cache", silent)
    batch = dataset.samples("train", tmp_path / "cache").batch(torch.arange(3))
    tasks = dataset.tasks()
    assert [task.name for task in tasks] == ["segmentation", *(name.lower() for name in SIX)]
    assert batch.target["segmentation"].dtype == torch.int64
    assert batch.target["male"].tolist() == [float(answer(i, "Male")) for i in range(3)]
    for task in tasks:
        output = torch.zeros(3, task.channels, *batch.target[task.name].shape[1:], requires_grad=True)
        task.loss(output, batch.target[task.name], batch.valid[task.name]).backward()
    again = faces(root)
    again.prepare(tmp_path / "cache", lambda done, total, what: pytest.fail("decoded twice"))
    assert again.fingerprint(tmp_path / "cache") == dataset.fingerprint(tmp_path / "cache")


@pytest.mark.parametrize("count_line", [True, False])
def test_attributes_are_found_by_name_with_and_without_the_count(tmp_path: Path, count_line: bool) -> None:
    root = write_tree(tmp_path, count_line=count_line)
    dataset = faces(root, attributes=("Bald", "Smiling"))
    item = dataset.index(root)["validation"][1]
    target = dataset.decode(item).target
    assert list(target) == ["segmentation", "bald", "smiling"]
    assert bool(target["bald"]) == answer(int(item.name), "Bald")
    assert bool(target["smiling"]) == answer(int(item.name), "Smiling")


def test_without_attributes_their_list_is_not_needed(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    (root / "CelebAMask-HQ-attribute-anno.txt").unlink()
    dataset = faces(root, attributes=())
    assert list(dataset.decode(dataset.index(root)["test"][0]).target) == ["segmentation"]


def test_celeba_is_split_at_its_official_numbers(tmp_path: Path) -> None:
    root = write_tree(tmp_path)
    assert names(faces(root), root) == {"train": ["0", "1", "2"], "validation": ["3", "4"], "test": ["5"]}


@given(numbers=st.sets(st.integers(0, 29_999), min_size=7, max_size=60))
@settings(max_examples=40, deadline=None)
def test_the_random_split_is_disjoint_complete_and_the_same_in_any_order(numbers: set[int]) -> None:
    split = at_random(sorted(numbers))
    assert split == at_random(sorted(numbers, reverse=True))
    assert sorted(number for part in PARTS for number in split[part]) == sorted(numbers)
    assert abs(len(split["train"]) - 0.7 * len(numbers)) <= 0.5
    assert abs(len(split["validation"]) - 0.15 * len(numbers)) <= 0.5


def test_a_json_split_is_taken_in_its_own_order(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "tree")
    write_split(root / "celebA_datasplit.json", [4, 1, 0], [3], [5])
    assert names(faces(root, split="json"), root) == {"train": ["4", "1", "0"], "validation": ["3"], "test": ["5"]}
    other = write_split(tmp_path / "mine.json", [2], [0], [1])
    assert names(faces(root, split="json", split_file=str(other)), root)["train"] == ["2"]


def test_less_is_more_reads_a_third_and_whole_batches() -> None:
    """21,000, 4,500 and 4,500 images become 7,000 and 46 batches of 32, as published."""
    split = {"train": range(21_000), "validation": range(4_500), "test": range(9_000, 13_500)}
    kept = of_less_is_more(split)  # type: ignore[arg-type]
    assert [len(kept[part]) for part in PARTS] == [7_000, 1_472, 1_472]
    assert [kept[part][0] for part in PARTS] == [0, 0, 9_000]


def test_less_is_more_interpolates_class_numbers(tmp_path: Path) -> None:
    """Between background (0) and skin (2) lie pixels of 1, which is hair; by default there are none."""
    labels = np.zeros((64, 64))
    labels[:, 33:] = 2
    root = write_tree(tmp_path, "zero", count=297)
    for file in (root / "CelebA-HQ-segmask").iterdir():
        np.save(file, labels)
    paper = faces(root, protocol="paper:less_is_more", split="json", attributes=())
    write_split(root / "celebA_datasplit.json", list(range(3)), list(range(3, 99)), list(range(99, 297)))
    index = paper.index(root)
    assert [len(index[part]) for part in PARTS] == [1, 32, 64]
    found = paper.decode(index["train"][0]).target["segmentation"]
    plain = faces(root, attributes=()).decode(index["train"][0]).target["segmentation"]
    # 4 to 1: the value at column c is the mean of the two old columns 4c + 1 and 4c + 2
    means = [labels[0, 4 * c + 1 : 4 * c + 3].mean() for c in range(16)]
    assert found[0].tolist() == [int(mean) for mean in means]
    assert found.unique().tolist() == [0, 2]
    labels[:, 33:] = 0
    labels[:, 34:] = 2
    np.save(root / "CelebA-HQ-segmask" / "00000_mask.npy", labels)
    assert paper.decode(index["train"][0]).target["segmentation"].unique().tolist() == [0, 1, 2]
    assert plain.unique().tolist() == [0, 2]


def test_the_archive_may_lie_in_its_own_folder_and_facts_name_the_layout(tmp_path: Path) -> None:
    write_tree(tmp_path / "CelebAMask-HQ", "merged")
    facts = faces(tmp_path).facts(tmp_path)
    assert facts["layout"] == "CelebAMask-HQ-mask: merged pictures"
    assert len(faces(tmp_path).index(tmp_path)["train"]) == 3


def decode_all(dataset: CelebAMaskHQ, root: Path) -> None:
    for items in dataset.index(root).values():
        for item in items:
            dataset.decode(item)


def edit(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


LIST = "CelebAMask-HQ-attribute-anno.txt"
MASKS = "CelebAMask-HQ-mask-anno/0"


@pytest.mark.parametrize(
    ("spoil", "fields", "message"),
    [
        (lambda r: edit(r / "CelebA-HQ-img/3.jpg", lambda b: b[: len(b) // 2]), {}, r"3\.jpg: cannot be read.*copy it"),
        (lambda r: edit(r / MASKS / "00003_hair.png", lambda b: b[:60]), {}, r"00003_hair\.png: cannot be read"),
        (lambda r: Image.new("L", (8, 8)).save(r / MASKS / "00003_hair.png"), {}, r"00003_hair\.png: wrong shape"),
        (lambda r: Image.new("L", (8, 8)).save(r / MASKS / "00003_beard.png"), {}, r"00003_beard\.png is of no part"),
        (lambda r: edit(r / LIST, lambda b: b.replace(b"\n3.jpg", b"\nx.jpg")), {}, r"no row for 3\.jpg"),
        (lambda r: edit(r / LIST, lambda b: b.replace(b"3.jpg  ", b"3.jpg  1 ")), {}, r"row of 3\.jpg is not 7 values"),
        (lambda r: edit(r / LIST, lambda b: b[: len(b) // 2]), {}, r"rows where 6 were expected"),
        (lambda r: edit(r / LIST, lambda b: b.replace(b"Big_Lips", b"Lips")), {}, r"no column Big_Lips.*Lips"),
        (lambda r: None, {"attributes": ("Smilling",)}, r"no column Smilling; did you mean Smiling"),
        (lambda r: (r / LIST).unlink(), {}, r"attribute-anno\.txt: file is missing.*attributes=\[\]"),
        (lambda r: (r / "CelebA-HQ-to-CelebA-mapping.txt").unlink(), {}, r"mapping\.txt: file is missing.*random"),
        (lambda r: (r / "CelebA-HQ-img/5.jpg").unlink(), {}, r"split celeba leaves no image for test"),
        (lambda r: [f.unlink() for f in (r / MASKS).glob("00003*")], {}, r"0/00003_skin\.png: no mask of image 3"),
        (lambda r: (r / "CelebAMask-HQ-mask-anno").rename(r / "x"), {}, r"no folder of masks"),
        (lambda r: (r / "CelebA-HQ-img").rename(r / "x"), {}, r"CelebA-HQ-img: folder is missing.*1badu11N"),
        (lambda r: write_split(r / "s.json", [0, 1], [1], [2]), {"split": "json"}, r"named twice"),
        (lambda r: write_split(r / "s.json", [0, 9], [1], [2]), {"split": "json"}, r"names 9\.jpg"),
        (lambda r: (r / "s.json").write_text("{}"), {"split": "json"}, r"s\.json: not lists of images"),
    ],
)
def test_a_spoilt_tree_is_named_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], object], fields: dict[str, Any], message: str
) -> None:
    root = write_tree(tmp_path)
    spoil(root)
    if fields.get("split") == "json":
        fields = fields | {"split_file": str(root / "s.json")}
    dataset = faces(root, **fields)
    with pytest.raises(UserError, match=message) as caught:
        decode_all(dataset, root)
    assert "\n" not in str(caught.value)


def test_ids_that_no_class_has_are_refused(tmp_path: Path) -> None:
    merged = write_tree(tmp_path / "merged", "merged")
    Image.new("L", (8, 8), 19).save(merged / "CelebAMask-HQ-mask" / "5.png")
    array = write_tree(tmp_path / "array", "zero")
    np.save(array / "CelebA-HQ-segmask" / "00005_mask.npy", np.full((8, 8), 3))
    for root, message in ((merged, r"5\.png: class id 19"), (array, r"00005_mask\.npy: class id 3")):
        with pytest.raises(UserError, match=message):
            faces(root).decode(faces(root).index(root)["test"][0])
    with pytest.raises(UserError, match="no folder of masks for these classes"):
        faces(array, classes=19).index(array)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": 7}, r"data\.classes: 7"),
        ({"split": "mine"}, r"data\.split: no split 'mine'"),
        ({"split_file": "a.json"}, r"data\.split_file"),
        ({"attributes": ("Male", "male")}, r"data\.attributes: 'male'"),
        ({"attributes": ("segmentation",)}, r"data\.attributes"),
        ({"protocol": "paper:less_is_more", "classes": 19}, r"data\.protocol.*3 classes"),
        ({"height": 8}, r"data\.height: 8"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        faces(tmp_path, **fields)


def test_the_columns_of_the_fixture_are_not_in_the_order_asked_for() -> None:
    assert [COLUMNS.index(name) for name in SIX] != sorted(COLUMNS.index(name) for name in SIX)
