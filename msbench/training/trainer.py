"""The trainer: what a sparsifier works with. One training loop; everything else happens around its steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from msbench.data.dataset import Batch, Samples
from msbench.errors import DivergedError, UserError, nearest
from msbench.models.multitask import MultiTaskModel
from msbench.sparsity.budget import Budget
from msbench.sparsity.criteria import Criterion
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench.tasks.task import Task
from msbench.training.balancing import LossBalancer
from msbench.training.checkpoint import Checkpoint, Snapshot
from msbench.training.evaluate import Evaluation, evaluate
from msbench.training.history import History
from msbench.training.optimizer import Optimizer
from msbench.training.randomness import ModelRandomness
from msbench.training.settings import Allowance, TrainingSettings
from msbench.training.stepping import Step
from msbench.training.stream import Stream

if TYPE_CHECKING:
    from msbench.training.meta import MetaTraining


@dataclass
class Trainer:
    """Trains `model` on `tasks` within the allowance and holds the mask. Built by the host, one a run.

    model: the network; `groups`: its prunable layers; `budget`: what must be met; `generator`: the only source of
    randomness that a sparsifier may use (CPU generator, seeded by the run); `mask`: what is kept now, None = all.
    It never hands out test data.
    """

    model: MultiTaskModel
    tasks: tuple[Task, ...]
    budget: Budget
    settings: TrainingSettings
    balancer: LossBalancer
    criteria: Mapping[str, type[Criterion]]
    train_samples: Samples
    validation_samples: Samples
    loss_floor: Mapping[str, float]
    """Validation loss of each task's constant predictor: the unit in which checkpoints are compared."""
    device: torch.device
    seed: int
    on_evaluation: Callable[[History], None] | None = None

    mask: Mask | None = field(default=None, init=False)
    natural: float | None = field(default=None, init=False)
    """Sparsity that the method had found by itself, noted by `settle`."""

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.allowance = Allowance(self.settings.samples)
        self.history = History()
        self.optimizer = Optimizer(self.model, self.balancer, self.settings)
        order = torch.Generator().manual_seed(self.seed + 0x5EED)
        self._stream = Stream(self.train_samples, self.tasks, order, self.settings.flip)
        self._randomness = ModelRandomness(self.seed + 0xD0, self.device)
        self._evaluated = 0
        self._best = Checkpoint()

    @property
    def groups(self) -> Groups:
        """The prunable layers that the budget counts."""
        return self.budget.groups

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return self.settings.lr_at(self.allowance.progress)

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """The prunable weights by layer name."""
        return self.groups.parameters(self.model)

    # -- training ------------------------------------------------------------------------------------------------

    def train(
        self,
        *,
        share: float | None = None,
        steps: int | None = None,
        after_step: Callable[[Step], None] | None = None,
    ) -> None:
        """Train on all tasks for `share` of the whole allowance, for `steps`, or for all that is left of it.

        The mask is held: masked weights stay exactly zero. `after_step` runs after each optimizer step.
        """
        count = self.steps(share, steps)
        for index in range(count):
            lr = self.lr
            losses = self.backward(self.next_batch())
            self.update(losses)
            if after_step is not None:
                after_step(Step(index, index == count - 1, lr))
            self.evaluate_when_due()

    def meta_train(self, meta: MetaTraining, *, share: float | None = None) -> None:
        """Meta-train over episodes for `share` of the whole allowance, or for all that is left (see MetaTraining)."""
        meta.run(self, share)

    def steps(self, share: float | None = None, steps: int | None = None, samples_a_step: int | None = None) -> int:
        """How many optimizer steps a stage has: of `share` of the allowance, exactly `steps`, or all that fit."""
        if share is not None and steps is not None:
            raise ValueError("give share or steps, not both")
        per_step = samples_a_step or self.settings.batch
        if steps is not None:
            return steps
        if share is not None:
            return round(share * self.settings.samples / per_step)
        return self.allowance.left // per_step

    def next_batch(self, size: int | None = None) -> Batch:
        """The next training batch; its samples are counted as spent."""
        size = size or self.settings.batch
        self.allowance.spend(size)
        return self._stream.next(size).to(self.device)

    def losses(
        self, batch: Batch, active: Sequence[str] | None = None, weights: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Each active task's loss, in train mode, with `weights` in place of the model's own where given."""
        with self._randomness.lent(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.amp):
            if weights is None:
                outputs = self.model(batch.image, active)
            else:
                outputs = torch.func.functional_call(self.model, dict(weights), (batch.image, active))
        return {
            task.name: task.loss(outputs[task.name].float(), batch.target[task.name], batch.valid[task.name])
            for task in self.tasks
            if task.name in outputs
        }

    def backward(self, batch: Batch) -> dict[str, float]:
        """Forward and backward on one batch; gradients are left on the parameters. Returns the losses."""
        self.optimizer.zero_grad()
        losses = self.losses(batch)
        self.balancer(losses).backward()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def update(self, losses: Mapping[str, float]) -> None:
        """One optimizer step from the gradients on the parameters, the mask held, and its entries in the history."""
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise DivergedError(f"the loss of task {name!r} is {loss} after {self.allowance.spent} samples")
        self.optimizer.step(self.lr)
        self.history.advance(self.allowance.spent)
        for name, loss in losses.items():
            self.log(f"loss/{name}", loss)

    # -- what sparsifiers ask for --------------------------------------------------------------------------------

    def rank(self, criterion: str) -> dict[str, Tensor]:
        """Scores of every group by a criterion's name; what scores highest is kept."""
        if criterion not in self.criteria:
            raise UserError(f"unknown criterion {criterion!r}: {nearest(criterion, self.criteria)}")
        return dict(self.criteria[criterion]().score(self))

    def gradients(self, batches: int = 1) -> dict[str, Tensor]:
        """Mean gradient of the balanced loss per prunable layer over `batches` training batches (they are spent)."""
        total: dict[str, Tensor] = {}
        for _ in range(batches):
            self.backward(self.next_batch())
            for name, weight in self.weights.items():
                gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad.detach() / batches
                total[name] = total[name] + gradient if name in total else gradient.clone()
        self.optimizer.zero_grad()
        return total

    def apply_mask(self, mask: Mask) -> None:
        """Zero what the mask removes, now and after every step. Checkpoints made before no longer count."""
        mask.apply(self.model)
        self.optimizer.hold(mask)
        self.mask = mask
        self._best = Checkpoint()
        self.log("sparsity", self.sparsity())

    def settle(self, scores: Mapping[str, Tensor], before: Mapping[str, Tensor] | None = None) -> None:
        """Freeze the mask: what is alive now under a natural budget, else the selection that meets the target.

        scores: the method's own, taken so that dead groups rank too. before: weights by layer as they were before
        the last proximal step; a group that comes back gets its value from there.
        """
        alive = Mask.from_zeros(self.model, {layer.name: layer.count for layer in self.groups.layers})
        self.natural = self.budget.sparsity(alive)
        mask = alive if self.budget.natural else self.budget.select(scores)
        with torch.no_grad():
            for name, weight in self.weights.items():
                back = mask[name] & ~alive[name]
                if before is not None and bool(back.any()):
                    weight[:, back] = before[name][:, back]
        self.apply_mask(mask)

    def sparsity(self) -> float:
        """Share of the scope's weights that lie in groups which are exactly zero now."""
        alive = Mask.from_zeros(self.model, {layer.name: layer.count for layer in self.groups.layers})
        return self.budget.sparsity(alive)

    def snapshot(self) -> Snapshot:
        """Weights, buffers and loss weights now, for `restore` (rewinding)."""
        return Snapshot.take(self.model, self.balancer)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot; the optimizer starts afresh and the mask stays applied."""
        snapshot.put(self.model, self.balancer)
        self.optimizer = Optimizer(self.model, self.balancer, self.settings)
        if self.mask is not None:
            self.mask.apply(self.model)
            self.optimizer.hold(self.mask)

    def log(self, name: str, value: float) -> None:
        """Add one value to the history at the current step."""
        self.history.add(name, value)

    # -- validation ----------------------------------------------------------------------------------------------

    def evaluate_when_due(self) -> None:
        """Evaluate on validation data each time another share of the allowance is spent."""
        due = int(self.allowance.progress * self.settings.evaluations + 1e-9)
        if due > self._evaluated:
            self._evaluated = due
            self.evaluate()

    def evaluate(self) -> Evaluation:
        """Evaluate on validation data, log it, and keep these weights if they are the best under this mask."""
        result = evaluate(self.model, self.validation_samples, self.tasks, self.device)
        for task, metrics in result.metrics.items():
            for name, value in metrics.items():
                self.log(f"validation/{task}/{name}", value)
        score = result.score(self.loss_floor)
        self.log("validation/score", score)
        for task, weight in self.balancer.weights().items():
            self.log(f"loss_weight/{task}", weight)
        if math.isnan(score):
            raise DivergedError(f"the validation loss is not a number after {self.allowance.spent} samples")
        self._best.offer(score, self)
        if self.on_evaluation is not None:
            self.on_evaluation(self.history)
        return result

    def finish(self) -> None:
        """Called by the host when the sparsifier returns: go to the best checkpoint under the final mask."""
        if self._best.step != self.history.step:
            self.evaluate()
        self._best.restore(self)
