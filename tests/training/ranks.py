"""What a test computes in several processes at once: python -m tests.training.ranks FOLDER under torchrun.

Each process leaves what it found in FOLDER/RANK.pt; with one process it is what the others must equal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from msbench.plugins import load_plugins
from msbench.training.collectives import Ranks
from msbench.training.meta import MetaTraining
from msbench.training.parallel import Split
from msbench.training.trainer import Trainer
from tests.conftest import trainer_maker

CPU = torch.device("cpu")
Make = Callable[..., Trainer]


class Toy(nn.Module):
    """Two tasks, a map and a vector, and a layer that neither uses. Biases that batch-norm undoes are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.Tanh())
        self.map = nn.Sequential(
            nn.Conv2d(6, 4, 3, bias=False), nn.BatchNorm2d(4, momentum=None), nn.Tanh(), nn.Conv2d(4, 3, 1)
        )
        self.vector = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5, bias=False), nn.BatchNorm1d(5, affine=False)
        )
        self.idle = nn.Linear(2, 2)

    def forward(self, image: Tensor, active: tuple[str, ...] | None = None) -> dict[str, Tensor]:
        features = self.body(image)
        heads = {"map": self.map, "vector": self.vector}
        return {name: heads[name](features) for name in active or heads}


def toy(split: Split | None, dtype: torch.dtype, samples: int, active: tuple[str, ...] | None) -> dict[str, Tensor]:
    """Losses that are no sums over samples, their gradients, second derivatives, and the running statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = Toy().to(dtype)
        image = 2 * torch.rand(samples, 3, 6, 6, dtype=dtype) - 0.5
        label = torch.randint(3, (samples, 4, 4))
        # the parts have different shares of pixels that count
        label[torch.rand(samples, 4, 4) < torch.linspace(0.1, 0.9, samples).view(-1, 1, 1)] = 255
        answer = torch.rand(samples, 5, dtype=dtype)
    outputs = model(image, active) if split is None else split.outputs(model, image, active, None)
    losses = {}
    if "map" in outputs:
        losses["map"] = nn.functional.cross_entropy(outputs["map"], label, ignore_index=255)
    if "vector" in outputs:
        losses["vector"] = (outputs["vector"] - answer).square().mean().sqrt()
    value = torch.stack([loss.log() for loss in losses.values()]).sum()
    named = dict(model.named_parameters())
    first = torch.autograd.grad(value, list(named.values()), create_graph=True, allow_unused=True)
    assert first[list(named).index("idle.weight")] is None
    size = torch.stack([g.square().sum() for g in first if g is not None]).sum()
    size.backward()
    found = {f"loss.{name}": loss.detach() for name, loss in losses.items()}
    found |= {f"gradient.{n}": g.detach() for n, g in zip(named, first, strict=True) if g is not None}
    found |= {f"second.{n}": p.grad for n, p in named.items() if p.grad is not None}
    return found | {f"buffer.{name}": buffer.clone() for name, buffer in model.named_buffers()}


def state(trainer: Trainer) -> dict[str, Tensor]:
    """Weights, statistics, the balancer's parameters and every logged value."""
    rows = torch.tensor([value for *_, value in trainer.history.rows], dtype=torch.float64)
    balancer = {f"balancer.{name}": p.detach() for name, p in trainer.balancer.named_parameters()}
    return {**{name: value.clone() for name, value in trainer.model.state_dict().items()}, **balancer, "history": rows}


def trained(make: Make, split: Split | None) -> dict[str, Tensor]:
    """Ten steps of ordinary training, of which the second half is under a mask."""
    trainer = make(samples=70, batch=7, target=0.5)
    trainer.split = split
    trainer.train(steps=5)
    trainer.apply_mask(trainer.budget.select(trainer.rank("magnitude")))
    trainer.train(steps=5)
    trainer.finish()
    return state(trainer)


def mixed(make: Make, split: Split | None) -> dict[str, Tensor]:
    """The losses of training in bfloat16, and that losses are none."""
    trainer = make(samples=21, batch=7, amp=True)
    trainer.split = split
    trainer.train()
    assert trainer.losses(trainer._stream.next(7))["normals"].dtype == torch.float32
    return {"history": state(trainer)["history"]}


def by_task(make: Make, split: Split | None) -> dict[str, Tensor]:
    trainer = make(batch=7)
    trainer.split = split
    found = trainer.task_gradients(trainer.next_batch())
    return {f"{task}.{name}": g for task, gradients in found.items() for name, g in gradients.items()}


def ranked(make: Make, split: Split | None, criterion: str) -> dict[str, Tensor]:
    trainer = make(batch=7)
    trainer.split = split
    return trainer.rank(criterion)


def meta(make: Make, split: Split | None, order: str) -> dict[str, Tensor]:
    trainer = make(samples=160)
    trainer.split = split
    trainer.meta_train(MetaTraining(1, 1e-2, order=order, meta_batch=2), share=0.6)  # type: ignore[arg-type]
    return state(trainer)


def dropped(make: Make, split: Split | None) -> dict[str, Tensor]:
    """A network that draws: processes must still hold the same weights."""
    trainer = make(samples=21, batch=7)
    trainer.model.backbone.stem.append(nn.Dropout(0.5))
    trainer.split = split
    trainer.train()
    return {**state(trainer), "drawn": trainer.generator.get_state()}


def everything(split: Split | None) -> dict[str, dict[str, Tensor]]:
    make = trainer_maker(load_plugins())
    found = {}
    for samples in (8, 7):
        for name, dtype in (("single", torch.float32), ("double", torch.float64)):
            found[f"toy {samples} {name}"] = toy(split, dtype, samples, None)
    found["toy of one task"] = toy(split, torch.float64, 5, ("vector",))
    found["training"] = trained(make, split)
    found["bfloat16"] = mixed(make, split)
    found["task gradients"] = by_task(make, split)
    found["layers that are watched"] = ranked(make, split, "obd_c")
    found["second derivatives"] = ranked(make, split, "obd_hessian")
    for order in ("fomaml", "maml"):
        found[f"meta-training {order}"] = meta(make, split, order)
    found["dropout"] = dropped(make, split)
    return found


def refusals(split: Split) -> dict[str, Any]:
    """What cannot be done in parts says so in one line; what cannot be shared out is not."""

    class Own(nn.BatchNorm2d):
        """Another kind."""

    network = nn.Sequential(Own(3))
    found: dict[str, Any] = {"few": split.serves(network, 1), "enough": split.serves(network, 2)}
    try:
        split.outputs(network, torch.rand(2, 3, 4, 4), None, None)
    except Exception as error:
        found["norm"] = f"{type(error).__name__}: {error}"
    try:
        split.ranks.check_alike(str(split.ranks.rank))
    except RuntimeError as error:
        found["unlike"] = str(error)
    split.ranks.check_alike("the same")
    found["of first"] = split.ranks.of_first(lambda: split.ranks.rank + 5)
    return found


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    split = Split(Ranks.joined(CPU), 0, CPU)
    torch.save((everything(split), refusals(split)), folder / f"{split.ranks.rank}.pt")


if __name__ == "__main__":
    main(Path(os.path.abspath(sys.argv[1])))
