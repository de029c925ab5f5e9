"""ONNX and pt2: the runtimes' outputs against torch's, at sizes and batches other than the example's."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import msbench
from msbench.errors import UserError
from msbench.handover import HandOverError, Saved, to_onnx, to_pt2
from msbench.handover.images import attempts
from tests.handover.networks import BUILDERS, by_task, compacted, images, mask_of, network

OTHER = ((1, 3, 16, 24), (3, 3, 37, 21), (2, 3, 9, 9))


@pytest.fixture(scope="module")
def bordered(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """The smallest network with size maps, as ONNX."""
    return compacted("bordered").save(tmp_path_factory.mktemp("onnx") / "small.onnx")


def check_onnx(path: Path, model: nn.Module, *shapes: tuple[int, ...]) -> None:
    run = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for image in images(*shapes):
        with torch.inference_mode():
            expected = by_task(model(image))
        found = run.run(None, {"image": image.numpy()})
        assert [output.name for output in run.get_outputs()] == list(expected)
        for value, other in zip(expected.values(), found, strict=True):
            torch.testing.assert_close(torch.from_numpy(other), value, rtol=1e-4, atol=1e-4)


def check_pt2(path: Path, model: nn.Module, *shapes: tuple[int, ...]) -> None:
    module = torch.export.load(path).module()
    for image in images(*shapes):
        with torch.inference_mode():
            expected, found = by_task(model(image)), by_task(module(image))
        assert list(expected) == list(found)
        for task, value in expected.items():
            torch.testing.assert_close(found[task], value, rtol=1e-5, atol=1e-5)


def test_onnxruntime_gives_torchs_outputs_at_any_size(bordered: Saved) -> None:
    assert bordered.image == ("batch", 3, "height", "width")
    assert bordered.max_abs_diff < 1e-4
    check_onnx(bordered.path, compacted("bordered").model, *OTHER, (4, 3, 5, 6))


def test_the_onnx_file_says_what_it_is_and_nothing_of_this_machine(bordered: Saved) -> None:
    model = onnx.load(bordered.path)
    assert {found.domain: found.version for found in model.opset_import}[""] == 18
    assert '"parameters"' in {entry.key: entry.value for entry in model.metadata_props}["msbench"]
    content = bordered.path.read_bytes()
    assert str(Path(torch.__file__).parent.parent).encode() not in content
    assert b"stack_trace" not in content
    assert [path.name for path in bordered.path.parent.iterdir()] == ["small.onnx"]


def test_onnxruntime_is_timed_beside_the_dense_network(bordered: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "MEASURE_SECONDS", 0.2)
    found = compacted("bordered").onnx_speed_up(bordered)
    assert found.q25 <= found.ratio <= found.q75
    assert (found.threads, found.shape) == (1, (2, 3, 16, 24))
    assert min(found.dense_s, found.compact_s) > 0
    assert found.rounds >= 7


def test_a_network_of_one_size_is_exported_for_any_batch_of_it(tmp_path: Path) -> None:
    saved = compacted("one-size").save(tmp_path / "x.pt2")
    assert saved.image == ("batch", 3, 8, 8)
    check_pt2(saved.path, compacted("one-size").model, (1, 3, 8, 8), (5, 3, 8, 8))


def test_pt2_gives_torchs_outputs_at_any_size(tmp_path: Path) -> None:
    saved = compacted("bordered").save(tmp_path / "x.pt2")
    assert saved.image == ("batch", 3, "height", "width")
    check_pt2(saved.path, compacted("bordered").model, *OTHER)
    assert str(Path(torch.__file__).parent.parent).encode() not in saved.path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt2"]


@pytest.mark.parametrize(("ending", "module"), [("onnx", to_onnx), ("pt2", to_pt2)])
def test_a_program_with_other_outputs_is_not_written(
    ending: str, module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(found: list[Any], expected: list[Any]) -> tuple[float, str]:
        return 0.5, "output: outputs differ by 0.5, allowed 0.0001"

    monkeypatch.setattr(module, "difference", wrong)
    monkeypatch.setattr(module, "attempts", lambda found: attempts(found)[-1:])
    if ending == "onnx":
        monkeypatch.setattr(module, "_export", lambda *args: None)
        monkeypatch.setattr(module, "Session", lambda path, threads: compacted("bordered").model)
    with pytest.raises(HandOverError, match=f"{ending}: output: outputs differ by 0.5"):
        compacted("bordered").save(tmp_path / f"x.{ending}")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_onnx_is_refused_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"onnx is not installed: pip install 'msbench\[onnx\]'"):
        compacted("bordered").save(tmp_path / "x.onnx")


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "bordered"])
def test_every_network_survives_every_format(name: str, tmp_path: Path) -> None:
    shapes = ((1, 3, 8, 8), (3, 3, 8, 8)) if name == "one-size" else OTHER[:2]
    for ending, check in (("onnx", check_onnx), ("pt2", check_pt2)):
        saved = compacted(name).save(tmp_path / f"x.{ending}")
        assert saved.image == (("batch", 3, 8, 8) if name == "one-size" else ("batch", 3, "height", "width"))
        check(saved.path, compacted(name).model, *shapes)


@pytest.mark.long
def test_a_deep_network_on_small_images_is_exported_for_any_size(tmp_path: Path) -> None:
    """Its maps are one pixel on the example, which an exporter that traced the example would take for a constant."""
    model = network("classifier")
    found = msbench.compact(model, mask_of(model), torch.randn(1, 3, 24, 24))
    for ending, check in (("onnx", check_onnx), ("pt2", check_pt2)):
        saved = found.save(tmp_path / f"x.{ending}")
        check(saved.path, found.model, (1, 3, 24, 24), (2, 3, 70, 90))


def test_images_differ_in_what_a_network_takes() -> None:
    def sides(image: Tensor) -> tuple[int, ...]:
        return tuple(image.shape[2:])

    free, whole, fixed = attempts(images((1, 3, 8, 8), (2, 3, 8, 8), (1, 3, 13, 15)))
    assert (free.free, whole.free, fixed.free) == ({0: "batch", 2: "height", 3: "width"}, {0: "batch"}, {})
    assert len(set(sides(free.traced))) == 2, "equal sides would be taken for one"
    assert [len(trial.images) for trial in (free, whole, fixed)] == [3, 2, 1]
    assert sides(whole.traced) == sides(fixed.traced) == (8, 8)
