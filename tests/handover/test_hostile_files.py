"""Files from strangers: the loader refuses them in one line, runs nothing of theirs and needs little memory."""

from __future__ import annotations

import copy
import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from msbench.handover.loader import CALLS, FileError, load
from tests.handover.networks import compacted

Change = Callable[[dict[str, Any], dict[str, Tensor]], object]


@functools.cache
def good() -> tuple[dict[str, Any], dict[str, Tensor], bytes]:
    """Description, tensors and bytes of a file that loads."""
    with tempfile.TemporaryDirectory() as folder:
        path = compacted("bordered").save(Path(folder, "x.safetensors")).path
        return load(path).description, load_file(path), path.read_bytes()


def forge(folder: Path, change: Change, **metadata: str) -> Path:
    """The good file after `change(description, tensors)`."""
    description, tensors = copy.deepcopy(good()[0]), dict(good()[1])
    change(description, tensors)
    told = {"format": "msbench-compact", "version": "1", "network": json.dumps(description), **metadata}
    save_file(tensors, folder / "forged.safetensors", told)
    return folder / "forged.safetensors"


def operation(description: dict[str, Any], call: str = "layer") -> dict[str, Any]:
    return next(entry for entry in description["operations"] if entry["call"] == call)


def convolution(description: dict[str, Any]) -> dict[str, Any]:
    return description["layers"]["third"]


def first(call: str, *arguments: Any, **options: Any) -> Change:
    """Adds an operation that reads the image, before all others."""
    entry = {"result": "new", "call": call, "arguments": arguments, "options": options, "once_per_size": False}
    return lambda d, t: d["operations"].insert(0, entry)


IMAGE = {"value": "image"}
HOSTILE: dict[str, tuple[Change, str]] = {
    "unknown operation": (lambda d, t: operation(d).update(call="os.system"), "'os.system', which this loader"),
    "attribute of a module": (lambda d, t: operation(d).update(call="torch.load"), "'torch.load', which this loader"),
    "attribute of a value": (first("method.__class__", IMAGE), "'method.__class__', which this loader"),
    "unknown layer": (lambda d, t: convolution(d).update(kind="Module"), "of kind 'Module', which this loader"),
    "layer by path": (lambda d, t: convolution(d).update(kind="modules.conv.Conv2d"), "which this loader"),
    "wrong channels": (lambda d, t: convolution(d)["settings"].update(out_channels=9), "tensors do not fit its layers"),
    "wrong tensor": (lambda d, t: t.update({"third.bias": torch.ones(7)}), "tensors do not fit its layers"),
    "tensor missing": (lambda d, t: t.pop("third.weight"), "tensors do not fit its layers"),
    "tensor too many": (lambda d, t: t.update(more=torch.ones(1)), "tensors do not fit its layers"),
    "half precision": (lambda d, t: t.update({n: v.half() for n, v in t.items()}), "not all float32 or all float64"),
    "channels that do not fit": (
        lambda d, t: (
            t.update({"third.weight": t["third.weight"][:, :1].clone()})
            or convolution(d)["settings"].update(in_channels=1)
        ),
        "operation 'third' does not fit",
    ),
    "cycle": (lambda d, t: operation(d).update(arguments=[{"value": operation(d)["result"]}]), "before it is there"),
    "later result": (lambda d, t: d["operations"].reverse(), "before it is there"),
    "two results of one name": (lambda d, t: d["operations"].append(d["operations"][-1]), "two results named"),
    "output nowhere": (lambda d, t: d.update(outputs={"value": "x"}), "before it is there"),
    "output no tensor": (lambda d, t: d.update(outputs={"table": {"a": 3}}), "an output that is no tensor"),
    "no outputs": (lambda d, t: d.update(outputs={"table": {}}), "an output that is no tensor"),
    "path upwards": (lambda d, t: d["layers"].update({"../../etc": convolution(d)}), "a layer named '../../etc'"),
    "dunder": (lambda d, t: d["layers"].update({"__class__.x": convolution(d)}), "cannot be named '__class__.x'"),
    "method's name": (lambda d, t: d["layers"].update({"forward": convolution(d)}), "cannot be named 'forward'"),
    "into a layer": (lambda d, t: d["layers"].update({"third.weight": convolution(d)}), "cannot be named"),
    "layer nowhere": (lambda d, t: operation(d).update(layer="first.weight"), "no layer 'first.weight'"),
    "huge layer": (lambda d, t: convolution(d)["settings"].update(in_channels=2**62), "layer 'third'"),
    "large layer": (lambda d, t: convolution(d)["settings"].update(in_channels=2**31), "tensors do not fit its layers"),
    "large value": (first("method.new_ones", IMAGE, [2**20, 2**20]), "more than 17179869184 numbers"),
    "endless pieces": (
        first("method.split", {"tensor": "third.bias"}, 1, dim={"tuple": []}),
        "operation 'new' does not fit",
    ),
    "many pieces": (
        lambda d, t: (
            [first("torch.split", {"value": "b"}, 1)(d, t), first("method.new_ones", IMAGE, [9999])(d, t)]
            and d["operations"][0].update(result="b")
        ),
        "more than 4096 cut",
    ),
    "power of numbers": (first("operator.pow", 10**9, 10**9), "neither tensors nor sizes"),
    "text times number": (first("operator.mul", "a", 10**12), "neither tensors nor sizes"),
    "list times number": (first("operator.mul", [1], 10**12), "neither tensors nor sizes"),
    "writes elsewhere": (first("torch.add", IMAGE, 1, out=IMAGE), "writes into another's result"),
    "unknown option": (first("torch.relu", IMAGE, shell=True), "operation 'new' does not fit"),
    "text as argument": (first("torch.relu", "rm -rf /"), "a value 'rm -rf /'"),
    "number beyond 64 bits": (first("operator.add", 2**70, 1), "a value 11805"),
    "strange argument": (first("torch.relu", {"python": "1"}), "an argument 'python'"),
    "two-entry argument": (first("torch.relu", {"value": "image", "tensor": "x"}), "an argument {"),
    "deep argument": (first("torch.relu", functools.reduce(lambda x, _: [x], range(50), [])), "nested too deep"),
    "size map of the image": (
        lambda d, t: d["operations"].append(
            {**d["operations"][-1], "result": "x", "once_per_size": True, "arguments": [{"value": "third"}]}
        ),
        "once per size that reads",
    ),
    "image of no size": (lambda d, t: d["image"].update(shape=[1, 3, 0, 8]), "an image of an impossible size"),
    "image too large": (lambda d, t: d["image"].update(shape=[1, 3, 2**20, 8]), "an image of an impossible size"),
    "image missing": (lambda d, t: d.pop("image"), "'image' missing"),
    "operations missing": (lambda d, t: d.pop("operations"), "'operations' missing"),
    "device of its own": (lambda d, t: convolution(d)["settings"].update(device="cuda"), "device or type of its own"),
    "unknown setting": (lambda d, t: convolution(d)["settings"].update(hook="x"), "layer 'third'"),
    "long setting": (lambda d, t: convolution(d)["settings"].update(kernel_size=[1] * 999), "too many numbers"),
}


def test_the_unchanged_file_loads(tmp_path: Path) -> None:
    assert load(forge(tmp_path, lambda d, t: None))(torch.zeros(1, 3, 8, 8)).shape == (1, 2, 8, 8)


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_description_is_refused(case: str, tmp_path: Path) -> None:
    change, message = HOSTILE[case]
    with pytest.raises(FileError) as caught:
        load(forge(tmp_path, change))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/forged.safetensors: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"version": "2"}, "of version '2'; this loader reads 1: get a newer one"),
        ({"format": "other"}, "no msbench-compact file"),
        ({"network": "{"}, "its description cannot be read"),
        ({"network": "[1]"}, "its description cannot be read"),
        ({"network": "[" * 100_000}, "its description cannot be read"),
    ],
)
def test_other_metadata_is_refused(metadata: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="forged") as caught:
        load(forge(tmp_path, lambda d, t: None, **metadata))
    assert message in str(caught.value)


def test_no_call_reaches_beyond_torch_and_operators() -> None:
    allowed = ("torch", "_operator", "msbench.handover.loader")
    for name, call in CALLS.items():
        owner = getattr(call, "__module__", None) or getattr(call, "__objclass__", call).__module__
        assert owner.startswith(allowed), name
        assert not name.rpartition(".")[2].startswith("_"), name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(sorted(CALLS)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "tuple", "tensor", "x"]), inner)
    ),
    max_leaves=5,
)


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Every place in nested lists and tables: (container, key)."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else [])
    return [(value, key) for key, _ in items] + [spot for _, inner in items for spot in spots(inner)]


def loads_or_is_refused(path: Path) -> None:
    """Anything but a FileError of one line is a failure."""
    refusal = "one line"
    try:
        load(path)
    except FileError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) == 1


@settings(max_examples=60)
@given(choice=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), JSON), min_size=1, max_size=2))
def test_any_description_loads_or_is_refused(choice: list[tuple[float, Any]]) -> None:
    def change(description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        for where, value in choice:
            places = [spot for spot in spots(description) if spot[1] != "about"]
            container, key = places[int(where * len(places))]
            container[key] = value

    with tempfile.TemporaryDirectory() as folder:
        loads_or_is_refused(forge(Path(folder), change))


@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6), st.booleans())
def test_any_bytes_load_or_are_refused(where: float, what: bytes, cut: bool) -> None:
    whole = good()[2]
    position = int(where * len(whole))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.safetensors")
        path.write_bytes(whole[:position] + what + (b"" if cut else whole[position + len(what) :]))
        loads_or_is_refused(path)
