"""The trainer: what a sparsifier works with. One training loop; everything else happens around its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from msbench.data.dataset import Batch, Samples
from msbench.models.multitask import MultiTaskModel
from msbench.sparsity.budget import Budget
from msbench.sparsity.criteria import Criterion
from msbench.sparsity.groups import Groups
from msbench.sparsity.mask import Mask
from msbench.tasks.task import Task
from msbench.training.balancing import LossBalancer
from msbench.training.checkpoint import Snapshot
from msbench.training.evaluate import Evaluation
from msbench.training.gradients import mean_gradients, scoring, task_gradients
from msbench.training.history import LOSS, History
from msbench.training.optimizer import Optimizer
from msbench.training.parallel import Split
from msbench.training.randomness import ModelRandomness
from msbench.training.settings import Allowance, TrainingSettings
from msbench.training.stage import Checkpoints, Stage
from msbench.training.start import Starts
from msbench.training.stepping import Step
from msbench.training.stream import Stream
from msbench.training.validation import Validation
from msbench.training.view import View

if TYPE_CHECKING:
    from msbench.training.meta import MetaTraining

Objective = Callable[[Mapping[str, Tensor]], Tensor]
"""The tasks' losses to the loss that is minimised."""
Schedule = Literal["run", "stage"]


@dataclass
class Trainer:
    """Trains `model` on `tasks` within the allowance and holds the mask. Built by the host, one a run.

    model: the network; `groups`: its prunable layers; `budget`: what must be met; `generator`: the only source of
    randomness that a sparsifier may use (CPU generator, seeded by the run); `mask`: what is kept now, None = all;
    `view`: how the weights in use follow from the trained ones, for algorithms with latent weights (soft
    thresholds); settle with the weights in use and reset it. It never hands out test data.
    """

    model: MultiTaskModel
    tasks: tuple[Task, ...]
    budget: Budget
    settings: TrainingSettings
    balancer: LossBalancer
    criterion: Callable[[str], Criterion]
    """A criterion by its name, with parameters in brackets; UserError where there is none."""
    saved_mask: Callable[[str], Mask]
    """The mask of a finished run, by its id; UserError where there is none."""
    train_samples: Samples
    validation_samples: Samples
    loss_floor: Mapping[str, float]
    """Validation loss of each task's constant predictor: the unit in which checkpoints are compared."""
    device: torch.device
    seed: int
    on_evaluation: Callable[[History], None] | None = None
    starts: Starts | None = None
    """Where plain first stages are kept for other runs; None: nowhere."""
    checkpoints: Checkpoints | None = None
    """Where this run's stages are kept, should it be killed and started again; None: nowhere."""
    split: Split | None = None
    """Shares forward and backward out among the run's processes; None: this one has no others."""

    mask: Mask | None = field(default=None, init=False)
    view: View = field(default_factory=View, init=False)
    objective: Objective | None = field(default=None, init=False)
    """What replaces the loss balancer in the stage that trains now."""
    natural: float | None = field(default=None, init=False)
    """Sparsity that the method had found by itself, noted by `settle`."""
    shared_seconds: float = field(default=0.0, init=False)
    """Seconds of training that another run has spent for this one (a shared start)."""
    stages: int = field(default=0, init=False)
    """How many have begun."""

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.allowance = Allowance(self.settings.samples)
        self.history = History(deferred=self.device.type != "cpu")
        self.optimizer = Optimizer(self.model, self.balancer, self.settings)
        order = torch.Generator().manual_seed(self.seed + 0x5EED)
        augmentation = (self.settings.flip, self.settings.zoom, self.settings.jitter)
        self._stream = Stream(self.train_samples, self.tasks, order, *augmentation, self.device)
        self._randomness = ModelRandomness(self.seed + 0xD0, self.device)
        self._validation = Validation(self.settings.evaluations)
        self._forward: Callable[..., dict[str, Tensor]] = self.model
        self._compiled = torch.compile(self.model) if self.settings.compile else self.model

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
        before_step: Callable[[Step], None] | None = None,
        after_step: Callable[[Step], None] | None = None,
        objective: Objective | None = None,
        schedule: Schedule = "run",
        state: object = None,
    ) -> None:
        """Train on all tasks for `share` of the whole allowance, for `steps`, or for all that is left of it.

        The mask is held: masked weights stay exactly zero. `before_step` runs between the backward pass and the
        optimizer's step, when the (unmasked) gradients are on the parameters and may be changed; `after_step` runs
        after it. `objective` replaces the run's loss balancer. The learning rate follows the whole run, or starts
        its schedule afresh for this "stage" (methods that train several times from the start). `state` is what the
        callbacks keep from step to step (see Stateful), one object or a tuple, () for nothing: with it a run that was
        killed goes on in the middle of this stage, without it a stage with callbacks is trained again.
        """
        count = self.steps(share, steps)
        self.objective = objective
        for index in Stage(self, count, schedule, (before_step, after_step, objective), state):
            lr = self.lr if schedule == "run" else self.settings.lr_at(index / count)
            step = Step(index, index == count - 1, lr)
            self._forward = self._compiled
            losses = self.backward(self.next_batch(), objective)
            self._forward = self.model  # a compiled one would not see hooks that come later
            if before_step is not None:
                before_step(step)
            self.update(losses, lr)
            if after_step is not None:
                after_step(step)
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
        return self._stream.next(size)

    def losses(
        self, batch: Batch, active: Sequence[str] | None = None, weights: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Each active task's loss, in train mode, with `weights` in place of the view of the model's own."""
        if weights is None and type(self.view) is not View:
            weights = self.view.weights(dict(self.model.named_parameters()))
        with self._randomness.lent(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.amp):
            if self.split is not None and self.split.serves(self.model, len(batch)):
                outputs = self.split.outputs(self.model, batch.image, active, weights)
            elif weights is None:
                outputs = self._forward(batch.image, active)
            else:
                outputs = torch.func.functional_call(self.model, dict(weights), (batch.image, active))
        losses = {
            task.name: task.loss(outputs[task.name].float(), batch.target[task.name], batch.valid[task.name])
            for task in self.tasks
            if task.name in outputs
        }
        return losses if self.split is None else self.split.alike(losses)

    def backward(self, batch: Batch, objective: Objective | None = None) -> dict[str, Tensor]:
        """Forward and backward on one batch; gradients are left on the parameters. Returns the losses, detached."""
        self.optimizer.zero_grad()
        losses = self.losses(batch)
        (objective or self.balancer)(losses).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def update(self, losses: Mapping[str, Tensor], lr: float | None = None) -> None:
        """One optimizer step from the gradients on the parameters, the mask held, and its entries in the history.

        Nothing here waits for a GPU: there a loss that is no number is found at the next evaluation or stage's end.
        """
        self.optimizer.step(self.lr if lr is None else lr)
        self.history.advance(self.allowance.spent)
        for name, loss in losses.items():
            self.log(f"{LOSS}{name}", loss)
        if not self.history.deferred:
            self.history.check()

    # -- what sparsifiers ask for --------------------------------------------------------------------------------

    def rank(self, criterion: str, structured: bool = True) -> dict[str, Tensor]:
        """Scores by a criterion's name; what scores highest is kept.

        criterion: `magnitude`, with parameters `magnitude[norm=1]`, or the mask of a finished run `mask:RUN`.
        structured: score whole groups, [I] a layer; otherwise single weights, of the weight's shape.
        """
        chosen = self.criterion(criterion)
        return dict(chosen.score(self) if structured else chosen.score_elements(self))

    def scoring(self) -> AbstractContextManager[None]:
        """What goes forward and backward inside leaves no trace: buffers (batch-norm) and gradients are as before."""
        return scoring(self)

    def gradients(self, batches: int = 1) -> dict[str, Tensor]:
        """Mean gradient of the balanced loss per prunable layer over `batches` training batches (they are spent).

        Batch-norm uses batch statistics; its running statistics are left as they were.
        """
        return mean_gradients(self, batches)

    def task_gradients(self, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """Gradient of each task's own loss per prunable layer on one batch, forward once; zeros where it has none.

        The batch goes backward once a task, and every further task's samples are counted as spent as well.
        """
        return task_gradients(self, batch)

    def apply_mask(self, mask: Mask) -> None:
        """Zero what the mask removes, now and after every step. Checkpoints made before no longer count."""
        mask.apply(self.model)
        self.optimizer.hold(mask)
        self.mask = mask
        self._validation.forget()
        self.log("sparsity", self.budget.sparsity(mask))

    def settle(self, scores: Mapping[str, Tensor], before: Mapping[str, Tensor] | None = None) -> None:
        """Freeze the mask: what is alive now under a natural budget, else the selection that meets the target.

        scores: the method's own, taken so that what is dead ranks too; [I] a layer for whole groups, the weight's
        shape for single weights. before: weights by layer as they were before the last proximal step; what comes
        back gets its value from there.
        """
        structured = all(score.ndim == 1 for score in scores.values())
        alive = Mask.from_zeros(self.model, self.groups, structured)
        self.natural = self.budget.sparsity(alive)
        mask = alive if self.budget.natural else self.budget.select(scores)
        with torch.no_grad():
            for name, weight in self.weights.items():
                if before is not None:
                    back = mask.expanded(name, weight) & ~alive.expanded(name, weight)
                    weight.copy_(torch.where(back, before[name], weight))
        self.apply_mask(mask)

    def sparsity(self, structured: bool = True) -> float:
        """Share of the scope's weights that are exactly zero now; structured: that lie in groups which are."""
        return self.budget.sparsity(Mask.from_zeros(self.model, self.groups, structured))

    def snapshot(self) -> Snapshot:
        """Weights, buffers and loss weights now, for `restore` (rewinding)."""
        return Snapshot.take(self.model, self.balancer)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot; the optimizer starts afresh and the mask stays applied."""
        snapshot.put(self.model, self.balancer)
        if self.mask is not None:
            self.mask.apply(self.model)
        self.restart_optimizer()

    def restart_optimizer(self) -> None:
        """Forget the optimizer's moments, for a stage whose gradients have another scale; the mask stays held."""
        self.optimizer = Optimizer(self.model, self.balancer, self.settings)
        if self.mask is not None:
            self.optimizer.hold(self.mask)

    def log(self, name: str, value: float | Tensor) -> None:
        """Add one value to the history at the current step."""
        self.history.add(name, value)

    # -- validation ----------------------------------------------------------------------------------------------

    def evaluate_when_due(self) -> None:
        """Evaluate on validation data each time another share of the allowance is spent."""
        self._validation.when_due(self)

    def evaluate(self) -> Evaluation:
        """Evaluate on validation data, log it, and keep these weights if they are the best under this mask."""
        return self._validation.evaluate(self)

    def finish(self) -> None:
        """Called by the host when the sparsifier returns: go to the best checkpoint under the final mask."""
        self._validation.finish(self)
