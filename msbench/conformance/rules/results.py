"""Rules for sparsifiers: what can be done with the network that a run leaves."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from msbench.conformance.case import RuleError, one_line
from msbench.conformance.runs import SparsifierSubject
from msbench.conformance.toy import SIDE, toy_model
from msbench.sparsity.compaction import compact, prove
from msbench.sparsity.mask import Mask


def save_load(subject: SparsifierSubject) -> str:
    """Weights and mask come back from their files: a fresh network with the weights has the same outputs."""
    run = subject.run()
    fresh = toy_model(seed=9, separate=subject.cls.separate)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_file({k: v.detach().contiguous() for k, v in run.model.state_dict().items()}, folder / "model")
        run.mask.save(folder / "mask")
        saved, mask = load_file(folder / "model"), Mask.load(folder / "mask")
    if mask.digest() != run.mask.digest():
        raise RuleError("the mask is another one when it is loaded again")
    changed = sorted(saved.keys() ^ fresh.state_dict().keys())
    if changed:
        raise RuleError(f"the network's state has other names than before: {', '.join(changed[:3])}")
    fresh.load_state_dict(saved)
    difference = _difference(_outputs(run.model), _outputs(fresh))
    if difference > 1e-5:
        raise RuleError(f"a fresh network with the saved weights differs by {difference:.3g}")
    return f"{len(saved)} tensors, outputs differ by {difference:.1g}"


def device(subject: SparsifierSubject) -> str:
    """The network moves to another device as a whole; where there is a GPU, the sparsifier also runs on it."""
    model = copy.deepcopy(subject.run().model).eval().to("meta")
    try:
        with torch.no_grad():
            outputs = model(torch.empty(2, 3, SIDE, SIDE, device="meta"))
    except Exception as error:  # torch has many errors for tensors on two devices
        raise RuleError(f"on the device meta: {one_line(error)}") from error
    for task, output in outputs.items():
        if output.device.type != "meta":
            raise RuleError(f"the output of {task} stays on {output.device} when the network moves to meta")
    if not torch.cuda.is_available():
        return "meta; no GPU here"
    run = subject.run(device="cuda")
    if subject.cls.sparse and abs(run.sparsity - 0.5) > run.budget.tolerance(run.mask.structured):
        raise RuleError(f"on cuda: achieved {run.sparsity:.2%}, asked for 50 %")
    return "meta, cuda"


def compacts(subject: SparsifierSubject) -> str:
    """The network shrinks to a smaller dense one with the same outputs, in float32 and float64."""
    run = subject.run()
    return shrunk(run.model, run.mask, (SIDE, SIDE), (SIDE + 8, SIDE + 16))


def shrunk(model: nn.Module, mask: Mask, *sizes: tuple[int, int]) -> str:
    """Compact a network and prove it equal on images of these sizes; raises RuleError where that fails."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(2, 3, *size, generator=generator) for size in sizes]
    compaction = compact(model, mask, images[0][:1])
    if compaction.reason:
        raise RuleError(f"it cannot be shrunk: {compaction.reason}")
    masked = copy.deepcopy(model)
    mask.apply(masked)
    proof = prove(masked, compaction.model, images, exact=compaction.exact)
    if not proof.equal:
        raise RuleError(proof.reason)
    parameters = [sum(p.numel() for p in network.parameters()) for network in (model, compaction.model)]
    return f"{parameters[0]} to {parameters[1]} parameters, outputs differ by {max(proof.max_abs_diff.values()):.1g}"


@torch.no_grad()
def _outputs(model: nn.Module) -> dict[str, Tensor]:
    image = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return dict(model.eval()(image))


def _difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    return max(float((output - second[task]).abs().max()) for task, output in first.items())


RESULTS: Final = (save_load, device, compacts)
