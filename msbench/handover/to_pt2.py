"""The pt2 format: a program of torch.export."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from msbench.handover.errors import HandOverError
from msbench.handover.images import attempts, difference, first_line, outputs
from msbench.handover.saved import Saved, sizes


def write(network: nn.Module, aside: Path, path: Path, images: list[Tensor], about: Mapping[str, Any]) -> Saved:
    """Export `network` to `aside`, load the program again and compare its outputs with the network's.

    The program takes any batch and image size that `images` show the network to take; where torch cannot export it so,
    the example's size only, then the example's batch too.
    """
    reason = ""
    for trial in attempts(images):
        try:
            program = _export(network, trial.traced, trial.free)
            torch.export.save(program, aside)
            loaded = torch.export.load(aside)
            module = loaded.module()
            found = [outputs(module, image) for image in trial.images]
        except Exception as error:  # the exporter's errors have no class in common
            reason = reason or f"{type(error).__name__}: {first_line(error)}"
            continue
        greatest, wrong = difference([outputs(network, image) for image in trial.images], found)
        if not wrong:
            notes = [f"any other size is refused, as torch.export could not do better: {reason}"] if reason else []
            notes += _ranges(loaded, trial.free)
            return Saved(path, aside.stat().st_size, sizes(trial.images), greatest, len(trial.images), tuple(notes))
        reason = reason or wrong
    raise HandOverError(f"pt2: {reason}")


def _export(network: nn.Module, image: Tensor, free: Mapping[int, str]) -> ExportedProgram:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (image,), dynamic_shapes=(dict.fromkeys(free, Dim.AUTO),))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names folders of this machine
    program.example_inputs = None
    return program


def _ranges(program: ExportedProgram, free: Mapping[int, str]) -> list[str]:
    """The smallest sizes that the program takes, where it says that they are not 1."""
    (image,) = [node for node in program.graph.nodes if node.op == "placeholder" and node.meta["val"].ndim > 0][-1:]
    ranges = {str(symbol): found for symbol, found in program.range_constraints.items()}
    found = []
    for index, name in free.items():
        known = ranges.get(str(image.meta["val"].shape[index]))
        if known is not None and name != "batch" and int(known.lower) > 2:
            found.append(f"{name}: {int(known.lower)} or more")
    return found
