"""Load a compact network that msbench has written. Needs torch and safetensors, not msbench: copy this file anywhere.

    from msbench_load import load
    outputs = load("network.safetensors")(images)  # images [B, 3, H, W]; outputs {task: tensor}

The file holds weights and, in its metadata, a list of operations by name. The names are looked up in the tables
below and nowhere else: nothing in the file is run, imported or unpickled. SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

FORMAT, VERSION = "msbench-compact", 1
_FLOATS = {torch.float32, torch.float64}
_MOST_OPERATIONS, _MOST_ELEMENTS, _MOST_PIECES, _DEEPEST = 50_000, 2**34, 2**12, 6
_PATH = re.compile(r"\w+(\.\w+)*", re.ASCII)
_WORD = re.compile(r"[\w-]{1,32}", re.ASCII)

_BY_DIMENSION = """Conv ConvTranspose BatchNorm InstanceNorm MaxPool AvgPool AdaptiveAvgPool AdaptiveMaxPool Dropout
    ConstantPad ZeroPad ReflectionPad ReplicationPad CircularPad"""
_OTHERS = """Linear LayerNorm GroupNorm PReLU Softmax LogSoftmax Flatten Identity PixelShuffle PixelUnshuffle Upsample
    UpsamplingNearest2d UpsamplingBilinear2d ReLU ReLU6 LeakyReLU ELU SELU CELU GELU SiLU Mish Sigmoid Tanh Hardtanh
    Hardswish Hardsigmoid Softplus LogSigmoid Dropout AlphaDropout"""
LAYERS = {*_OTHERS.split(), *(f"{kind}{n}d" for kind in _BY_DIMENSION.split() for n in (1, 2, 3))}
"""Classes of torch.nn; their settings are their constructors' arguments."""


def _shape(value: Tensor) -> torch.Size:
    return value.shape


def _named(prefix: str, owner: Any, names: str) -> dict[str, Callable[..., Any]]:
    return {f"{prefix}.{name}": getattr(owner, name) for name in names.split() if hasattr(owner, name)}


_EITHER = """abs add amax amin clamp cos div erf exp flatten flip floor log log_softmax matmul maximum mean minimum
    movedim mul narrow neg permute pow reciprocal relu reshape roll round rsqrt sigmoid sin softmax sqrt square squeeze
    sub sum tanh transpose unsqueeze var index_select chunk split clone unflatten cumsum where"""
_FUNCTIONAL = """relu relu6 leaky_relu elu selu celu gelu silu mish sigmoid tanh hardtanh hardswish hardsigmoid softplus
    logsigmoid softmax log_softmax dropout dropout1d dropout2d dropout3d interpolate normalize pad linear prelu
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d conv1d conv2d conv3d
    conv_transpose1d conv_transpose2d conv_transpose3d batch_norm instance_norm layer_norm group_norm
    pixel_shuffle pixel_unshuffle channel_shuffle scaled_dot_product_attention"""
_OPERATORS = "add iadd sub isub mul imul truediv itruediv floordiv mod neg pow matmul getitem"
CALLS: Mapping[str, Callable[..., Any]] = {
    "shape": _shape,
    **_named("torch", torch, f"{_EITHER} cat concat stack bmm conv1d conv2d conv3d ones_like zeros_like layer_norm"),
    **_named("method", Tensor, f"{_EITHER} view size contiguous expand repeat new_ones new_zeros detach"),
    **_named("functional", F, _FUNCTIONAL),
    **_named("operator", operator, _OPERATORS),
}
"""Name to what it calls; `method.view` of (x, …) is `x.view(…)`."""


class FileError(ValueError):
    """The file is no compact network that this loader can read: one line that says why."""


def load(path: str | Path) -> CompactNetwork:
    """The network of a file, in eval mode on the CPU. FileError where the file is missing, damaged or newer."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            _expect(metadata.get("format") == FORMAT, f"no {FORMAT} file, although it is safetensors")
            version = metadata.get("version")
            _expect(
                version == str(VERSION), f"of version {version!r:.20}; this loader reads {VERSION}: get a newer one"
            )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        return CompactNetwork(_parse(metadata.get("network", "")), tensors)
    except FileError as error:
        raise FileError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise FileError(f"{path}: no such file") from error
    except Exception as error:  # the reader's own errors have no class in common: all say that the file is damaged
        raise FileError(f"{path}: damaged: {_line(error)}") from error


class CompactNetwork(nn.Module):
    """forward(images [B, C, H, W]) gives {task: output}, or one tensor. `description` is what the file says of itself.

    What depends on the image's size only is computed once a size, and again whenever gradients are recorded.
    """

    def __init__(self, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.description = description
        for name, fields in _items(description, "layers"):
            _place(self, name, _layer(name, fields))
        reader = _Reader(self, tensors)
        self._input = reader.result(_get(description, "image", dict).get("name"), static=True)
        entries = _get(description, "operations", list)
        _expect(len(entries) <= _MOST_OPERATIONS, f"more than {_MOST_OPERATIONS} operations")
        steps = [reader.step(entry) for entry in entries]
        self._outputs = reader.tree(description.get("outputs"))
        self._static = [step for step in steps if step.static]
        self._dynamic = [step for step in steps if not step.static]
        seen = set(_reads(self._outputs))
        for step in reversed(self._dynamic):
            step.last = tuple(({step.result} | step.reads) - seen)
            seen.update(step.last)
        self._shared = [step.result for step in self._static if step.result in seen]
        self._kept: tuple[Any, dict[str, Any]] | None = None
        self._fill(tensors)

    def forward(self, image: Tensor) -> Any:
        values: dict[str, Any] = {self._input: image, **(self._size_maps(image) if self._static else {})}
        for step in self._dynamic:
            values[step.result] = step.run(values)
            for name in step.last:
                del values[name]
        return _value(self._outputs, values)

    def _size_maps(self, image: Tensor) -> dict[str, Any]:
        exporting = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
        exporting = exporting or type(image) is not Tensor  # a subclass, as torch uses where only shapes are asked for
        key = None if exporting or torch.is_grad_enabled() else (image.shape[2:], image.dtype, image.device)
        if key is not None and self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        values: dict[str, Any] = {self._input: image}
        for step in self._static:
            values[step.result] = step.run(values)
        shared = {name: values[name] for name in self._shared}
        self._kept = None if key is None else (key, shared)
        return shared

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> CompactNetwork:
        self._kept = None
        super()._apply(fn, recurse)
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._kept = None
        super()._load_from_state_dict(*args, **kwargs)

    @torch.no_grad()
    def _fill(self, tensors: dict[str, Tensor]) -> None:
        """Rehearse on tensors without memory, so that what does not fit together shows; then take the weights."""
        floats = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} or {torch.float32}
        _expect(len(floats) == 1 and floats <= _FLOATS, "its weights are not all float32 or all float64")
        self._take({name: tensor.to("meta") for name, tensor in tensors.items()})
        values: dict[str, Any] = {self._input: _image(self.description, floats.pop())}
        for step in (*self._static, *self._dynamic):
            try:
                value = values[step.result] = step.run(values)
            except Exception as error:  # whatever torch has against the operands, the file is at fault
                raise FileError(f"operation {step.result!r:.80} does not fit: {_line(error)}") from error
            parts = value if isinstance(value, (list, tuple)) else [value]
            huge = any(isinstance(part, Tensor) and part.numel() > _MOST_ELEMENTS for part in parts)
            _expect(not huge, f"operation {step.result!r:.80} gives more than {_MOST_ELEMENTS} numbers")
        outputs = _value(self._outputs, values)
        outputs = list(outputs.values()) if isinstance(outputs, dict) else [outputs]
        _expect(outputs and all(isinstance(output, Tensor) for output in outputs), "an output that is no tensor")
        self._take(tensors)

    def _take(self, tensors: dict[str, Tensor]) -> None:
        try:
            self.load_state_dict(tensors, assign=True)
        except RuntimeError as error:
            raise FileError("its tensors do not fit its layers: " + " ".join(str(error).split())[:200]) from error
        self.eval()


@dataclass(frozen=True)
class _Read:
    """An earlier result."""

    name: str


@dataclass(frozen=True)
class _Place:
    """A layer or tensor, looked up at each use: who owns the network may exchange it."""

    owner: nn.Module
    name: str

    def get(self) -> Any:
        return getattr(self.owner, self.name)


@dataclass
class _Step:
    """One operation: `result` = `call`(arguments, options). last: results that nobody reads after it."""

    result: str
    call: Callable[..., Any] | _Place
    arguments: list[Any]
    options: dict[str, Any]
    static: bool
    last: tuple[str, ...] = ()

    @property
    def reads(self) -> set[str]:
        return set(_reads([self.arguments, self.options]))

    def run(self, values: dict[str, Any]) -> Any:
        call = self.call.get() if isinstance(self.call, _Place) else self.call
        arguments = [_value(argument, values) for argument in self.arguments]
        return call(*arguments, **{name: _value(option, values) for name, option in self.options.items()})


class _Reader:
    """Checks operations. Each may read only results before it, so that there are no cycles."""

    def __init__(self, network: nn.Module, tensors: dict[str, Tensor]) -> None:
        self.network, self.tensors = network, tensors
        self.static: dict[str, bool] = {}

    def result(self, name: Any, *, static: bool) -> str:
        _expect(isinstance(name, str) and _PATH.fullmatch(name), f"a result named {name!r:.40}")
        _expect(name not in self.static, f"two results named {name!r:.80}")
        self.static[name] = static
        return str(name)

    def step(self, entry: Any) -> _Step:
        call = self.call(entry)
        arguments = [self.tree(argument) for argument in _get(entry, "arguments", list)]
        options = {name: self.tree(option) for name, option in _items(entry, "options")}
        _expect("out" not in options, "an operation that writes into another's result")
        static = _get(entry, "once_per_size", bool)
        fits = not static or all(self.static[name] for name in _reads([arguments, options]))
        _expect(fits, "an operation once per size that reads what depends on the image")
        return _Step(self.result(entry.get("result"), static=static), call, arguments, options, static)

    def call(self, entry: Any) -> Callable[..., Any] | _Place:
        name = _get(entry, "call", str)
        if name != "layer":
            _expect(name in CALLS, f"an operation {name!r:.40}, which this loader (version {VERSION}) does not know")
            return _guarded(name)
        place = _find(self.network, _get(entry, "layer", str))
        if place is None or not isinstance(place.get(), nn.Module):
            raise FileError(f"no layer {entry['layer']!r:.80}")
        return place

    def tree(self, value: Any, depth: int = 0) -> Any:
        """An argument: a number, a word, a list of arguments, or a table with one entry for anything else."""
        _expect(depth <= _DEEPEST, "arguments nested too deep")
        if isinstance(value, list):
            return [self.tree(item, depth + 1) for item in value]
        if not isinstance(value, dict):
            return _plain(value)
        _expect(len(value) == 1, f"an argument {value!r:.40}")
        ((kind, content),) = value.items()
        if kind == "value":
            known = isinstance(content, str) and content in self.static
            _expect(known, f"result {content!r:.80} is read before it is there")
            return _Read(content)
        if kind == "tensor":
            return self.constant(content)
        if kind == "table":
            return {name: self.tree(item, depth + 1) for name, item in _items(value, kind)}
        _expect(kind in ("tuple", "slice", "ellipsis"), f"an argument {kind!r:.40}")
        items = self.tree(_get(value, kind, list), depth)
        return {"tuple": tuple(items), "slice": slice(*[*items, None, None, None][:3]), "ellipsis": ...}[kind]

    def constant(self, name: Any) -> _Place:
        _expect(isinstance(name, str) and name in self.tensors, f"no tensor {name!r:.80}")
        place = _find(self.network, name) or _place(self.network, name, self.tensors[name].to("meta"))
        _expect(isinstance(place.get(), Tensor), f"{name!r:.80} is a tensor and a layer")
        return place


def _value(tree: Any, values: dict[str, Any]) -> Any:
    """An argument with what it reads filled in."""
    kind = type(tree)
    if kind is _Read:
        return values[tree.name]
    if kind is _Place:
        return tree.get()
    if kind is list or kind is tuple:
        return kind([_value(item, values) for item in tree])
    if kind is dict:
        return {name: _value(item, values) for name, item in tree.items()}
    if kind is slice:
        return slice(*[_value(item, values) for item in (tree.start, tree.stop, tree.step)])
    return tree


def _reads(tree: Any) -> Iterator[str]:
    """The results that an argument reads."""
    if isinstance(tree, _Read):
        yield tree.name
    elif isinstance(tree, slice):
        yield from _reads([tree.start, tree.stop, tree.step])
    elif isinstance(tree, (list, tuple, dict)):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _reads(item)


def _guarded(name: str) -> Callable[..., Any]:
    """The function of this name, held back from what a file could make it do without end or measure."""
    if name.endswith((".split", ".chunk")):
        return functools.partial(_pieces, CALLS[name])
    if name.startswith("operator.") and name != "operator.getitem":
        return functools.partial(_operate, CALLS[name])
    return CALLS[name]


def _pieces(function: Callable[..., Any], value: Tensor, *args: Any, **kwargs: Any) -> Any:
    if value.shape[kwargs.get("dim", args[1] if len(args) > 1 else 0)] > _MOST_PIECES:
        raise ValueError(f"a dimension of more than {_MOST_PIECES} cut into pieces")
    return function(value, *args, **kwargs)


def _operate(function: Callable[..., Any], *operands: Any) -> Any:
    """A Python operator on tensors and sizes; shapes can only be joined."""
    shapes = [operand for operand in operands if isinstance(operand, (str, list, tuple, dict))]
    joined = function is operator.add and all(isinstance(shape, tuple) for shape in shapes)
    power = function is operator.pow and isinstance(operands[0], int)
    if power or (shapes and not joined) or sum(len(shape) for shape in shapes) > _DEEPEST * 2:
        raise TypeError("an operator on neither tensors nor sizes")
    result = function(*operands)
    if type(result) is int and abs(result) >= 2**63:
        raise OverflowError("a size out of range")
    return result


def _layer(name: str, fields: Any) -> nn.Module:
    kind = _get(fields, "kind", str)
    known = f"layer {name!r:.80} of kind {kind!r:.40}, which this loader (version {VERSION}) does not know"
    _expect(kind in LAYERS, known)
    settings = {key: _setting(value) for key, value in _items(fields, "settings")}
    _expect(not settings.keys() & {"device", "dtype"}, f"layer {name!r:.80} with a device or type of its own")
    try:
        with torch.device("meta"):
            return getattr(nn, kind)(**settings)
    except Exception as error:  # a constructor raises what it likes about bad settings
        raise FileError(f"layer {name!r:.80}: {_line(error)}") from error


def _setting(value: Any) -> Any:
    _expect(not isinstance(value, list) or len(value) <= _DEEPEST, "a setting of too many numbers")
    return tuple(_plain(item) for item in value) if isinstance(value, list) else _plain(value)


def _plain(value: Any) -> Any:
    good = value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63)
    _expect(good or (isinstance(value, str) and _WORD.fullmatch(value)), f"a value {value!r:.40}")
    return value


def _image(description: dict[str, Any], dtype: torch.dtype) -> Tensor:
    """An image of the example's size, without memory."""
    shape = _get(description["image"], "shape", list)
    good = 2 <= len(shape) <= 5 and all(type(size) is int and 0 < size < 2**16 for size in shape)
    _expect(good, "an image of an impossible size")
    return torch.empty(shape, dtype=dtype, device="meta")


def _place(root: nn.Module, name: str, what: nn.Module | Tensor) -> _Place:
    """Put a layer or a constant under its dotted name."""
    _expect(_PATH.fullmatch(name) and len(name) < 300, f"a layer named {name!r:.40}")
    *owners, last = name.split(".")
    try:
        for part in owners:
            if part not in root._modules:
                root.add_module(part, nn.Module())
            root = root.get_submodule(part)
        _expect(last not in root._modules, f"two layers in one place: {name!r:.80}")
        root.add_module(last, what) if isinstance(what, nn.Module) else root.register_buffer(last, what)
    except (KeyError, AttributeError) as error:
        raise FileError(f"a layer cannot be named {name!r:.80}") from error
    return _Place(root, last)


def _find(root: nn.Module, name: str) -> _Place | None:
    """Where the layer, parameter or constant of this name is, if there is one."""
    *owners, last = name.split(".")
    for part in owners:
        child = root._modules.get(part)
        if child is None:
            return None
        root = child
    known = last in root._modules or last in root._parameters or last in root._buffers
    return _Place(root, last) if known else None


def _parse(text: str) -> dict[str, Any]:
    try:
        return {**json.loads(text)}
    except (ValueError, TypeError, RecursionError) as error:
        raise FileError(f"its description cannot be read: {_line(error)}") from error


def _get(table: Any, key: str, kind: type) -> Any:
    _expect(isinstance(table, dict) and isinstance(table.get(key), kind), f"{key!r} missing, or no {kind.__name__}")
    return table[key]


def _items(table: Any, key: str) -> list[tuple[str, Any]]:
    return list(_get(table, key, dict).items())


def _expect(good: object, message: str) -> None:
    if not good:
        raise FileError(message)


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
