"""A network of the user's own and a mask, to the compact network, its proof, and files of it."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from msbench.errors import UserError, nearest
from msbench.handover import loader, to_onnx, to_pt2, to_torch
from msbench.handover.errors import HandOverError
from msbench.handover.images import outputs, probes
from msbench.handover.saved import Saved
from msbench.measure.rounding import fastest
from msbench.sparsity.compaction import Compaction, Proof, Report, fold_batchnorm, prove
from msbench.sparsity.compaction import compact as compact_module
from msbench.sparsity.mask import Mask

Format = Literal["torch", "onnx", "pt2"]
RoundTo = int | Literal["fastest"]
SUFFIXES: Mapping[str, str] = {"torch": ".safetensors", "onnx": ".onnx", "pt2": ".pt2"}
"""Format to the ending of its files' names."""


@dataclass(frozen=True)
class HandOver:
    """A compact network and what is known of it.

    model: the compact network, in eval mode. report: what compaction removed. proof: masked against compact network.
    reason: why it cannot be saved (not equal, or not shrunk); empty when it can.
    masked: the network under its mask, on the CPU. example [B, C, ...]: the image that it was compacted with.
    round_to: layers keep a multiple of this many channels.
    """

    model: nn.Module
    report: Report
    proof: Proof
    masked: nn.Module
    example: Tensor
    reason: str = ""
    round_to: int = 1

    @property
    def tasks(self) -> tuple[str, ...]:
        """The outputs' names; "output" where the network returns a tensor."""
        return tuple(outputs(self.masked, self.example))

    def save(self, path: Path | str, format: Format | None = None, about: Mapping[str, Any] | None = None) -> Saved:
        """Write one file that a product can load, and check it before it gets its name.

        format: "torch", "onnx" or "pt2"; by the name's ending (.safetensors, .onnx, .pt2) when left out. about: what
        is to be known of the network, kept in files of the first two formats. Raises HandOverError where the network
        is not equal to the masked one, or its file not to the network; UserError for a bad path or format.
        """
        path = Path(path)
        chosen = check_format(path, format)
        if self.reason:
            raise HandOverError(self.reason)
        network = copy.deepcopy(self.model).cpu()
        images = probes(self.masked, self.example)
        write: dict[str, Callable[..., Saved]] = {
            "torch": to_torch.write,
            "onnx": functools.partial(to_onnx.write, tasks=self.tasks),
            "pt2": to_pt2.write,
        }
        facts = {**self._facts(), **(about or {})}
        with _aside(path) as aside:
            return write[chosen](network, aside, path, images, facts)

    def onnx_speed_up(self, saved: Saved, threads: int = 1) -> to_onnx.SpeedUp:
        """How much faster onnxruntime is with a file that `save` wrote than with the dense network, on the CPU.

        The dense network has nothing removed, but its batch-norm folded too, as that needs no sparsity.
        """
        dense = fold_batchnorm(self.masked, self.example)
        return to_onnx.speed_up(dense, saved, probes(self.masked, self.example), self.tasks, threads)

    def _facts(self) -> dict[str, Any]:
        from msbench import __version__

        return {
            "msbench": __version__,
            "torch": torch.__version__,
            "tasks": list(self.tasks),
            "parameters": {"dense": self.report.dense_parameters, "compact": self.report.compact_parameters},
            "proof": {"max_abs_diff": dict(self.proof.max_abs_diff), "tolerance": dict(self.proof.tolerance)},
        }


def compact(model: nn.Module, mask: Mapping[str, Tensor], example: Tensor, *, round_to: RoundTo = 1) -> HandOver:
    """A smaller network with the outputs of `model` under `mask`, proven equal on images of several sizes.

    model: any module from an image to a tensor or a dict of task to tensor; left untouched, used in eval mode, float32
    or float64. mask: layer name (as in `model.named_modules()`) to booleans, True = kept: one an input channel [I], or
    one a weight [O, I, ...]; layers that are absent keep everything, and an empty mask only folds batch-norm. example
    [B, C, ...]: any image; others of its kind are made from it for the proof. round_to: layers keep a multiple of this
    many channels, which some kernels are faster with; "fastest" measures 1, 8 and 16 on `example` with torch's present
    number of threads. Raises UserError on bad input; a network that torch.fx cannot trace, or that is not equal, comes
    back with the `reason` and cannot be saved.
    """
    check_rounding(round_to)
    checked = _check(model, mask)
    masked = copy.deepcopy(model).cpu().eval()
    checked.apply(masked)
    example = example.detach().cpu()
    _check_outputs(masked, example)
    if round_to == "fastest":
        round_to = fastest(model, checked, example, threads=torch.get_num_threads()).round_to
    compaction = compact_module(model, checked, example, round_to=round_to)
    proof = _prove(masked, compaction, probes(masked, example))
    reason = compaction.reason and f"the network cannot be shrunk: {compaction.reason}"
    reason = reason or proof.reason
    return HandOver(compaction.model.eval(), compaction.report, proof, masked, example, reason, round_to)


def load_compact(path: Path | str) -> loader.CompactNetwork:
    """The network of a file in the torch format, in eval mode on the CPU; UserError where that is not possible."""
    try:
        return loader.load(path)
    except loader.FileError as error:
        raise UserError(str(error)) from error


def check_rounding(round_to: RoundTo) -> None:
    """UserError unless it is a number from 1 or "fastest"."""
    if round_to != "fastest" and (not isinstance(round_to, int) or round_to < 1):
        raise UserError(f"round_to {round_to!r}: give a number of channels from 1, or 'fastest'")


def check_format(path: Path, format: str | None) -> Format:
    """The format of a file, given or told by its name; UserError where they disagree or the folder is missing."""
    if format is not None and format not in SUFFIXES:
        raise UserError(f"format {format!r}: {nearest(format, SUFFIXES)}")
    fitting: list[Format] = [name for name in get_args(Format) if format in (None, name)]
    chosen = next((name for name in fitting if SUFFIXES[name] == path.suffix), None)
    if chosen is None:
        raise UserError(f"{path}: name a file that ends in {', '.join(SUFFIXES[name] for name in fitting)}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: no folder {path.parent}")
    return chosen


def _check(model: nn.Module, mask: Mapping[str, Tensor]) -> Mask:
    dtypes = {parameter.dtype for parameter in model.parameters()}
    if len(dtypes) != 1 or not dtypes <= {torch.float32, torch.float64}:
        found = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes)) or "no parameters"
        raise UserError(f"model: its parameters must be all float32 or all float64, got {found}; use model.float()")
    layers = {name: module for name, module in model.named_modules() if isinstance(_weight(module), Tensor)}
    for name, kept in mask.items():
        if name not in layers:
            raise UserError(f"mask: no layer {name!r} with a weight; {nearest(name, layers)}")
        shape = tuple(_weight(layers[name]).shape)
        if tuple(kept.shape) not in (shape[1:2], shape):
            raise UserError(f"mask of {name!r}: shape {tuple(kept.shape)}, must be {shape[1:2]} or {shape}")
    return Mask(mask)


def _check_outputs(masked: nn.Module, example: Tensor) -> None:
    try:
        with torch.inference_mode():
            found = masked(example)
    except Exception as error:  # the model's own code raises what it likes
        line = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"example {tuple(example.shape)}: the model fails on it: {type(error).__name__}: {line}"
        ) from error
    values = found.values() if isinstance(found, dict) else [found]
    if not all(isinstance(value, Tensor) for value in values):
        raise UserError(f"model: returns a {type(found).__name__}; must be a tensor or a dict of task to tensor")


def _weight(module: nn.Module) -> Any:
    return getattr(module, "weight", None)


def _prove(masked: nn.Module, compaction: Compaction, images: list[Tensor]) -> Proof:
    return prove(masked, compaction.model, images, exact=compaction.exact)


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; renamed to it at the end, removed when anything goes wrong."""
    aside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield aside
        aside.replace(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)
