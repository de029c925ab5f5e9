"""Rules for sparsifiers: what a run does."""

from __future__ import annotations

import math
from typing import Final

from msbench.conformance.case import Inapplicable, RuleError, one_line
from msbench.conformance.runs import SAMPLES, Run, SparsifierSubject
from msbench.errors import AllowanceExceededError
from msbench.sparsity.groups import Groups

TARGETS: Final = (0.3, 0.5, 0.8)


def runs(subject: SparsifierSubject) -> str:
    """It trains and prunes a small network to its end."""
    run = subject.plain()
    if isinstance(run.error, AllowanceExceededError):
        raise Inapplicable("it asked for too many samples, see `allowance`")
    if run.error is not None:
        raise RuleError(one_line(run.error)) from run.error
    return f"{run.trainer.history.step} steps in {run.seconds:.1f} s"


def allowance(subject: SparsifierSubject) -> str:
    """It stays within the training allowance, and every sample that it trains on is counted."""
    run = subject.plain()
    if isinstance(run.error, AllowanceExceededError):
        raise RuleError(str(run.error)) from run.error
    subject.run()
    spent = run.trainer.allowance.spent
    if run.trainer.allowance.samples != SAMPLES or spent > SAMPLES:
        raise RuleError(f"it changed the allowance: {spent} of {run.trainer.allowance.samples}, given were {SAMPLES}")
    if run.watch.forwarded > spent:
        raise RuleError(f"{run.watch.forwarded} samples went forward with gradient, {spent} were counted")
    return f"{spent} of {SAMPLES} samples spent, {run.watch.forwarded} forward with gradient"


def budget(subject: SparsifierSubject) -> str:
    """It meets 30, 50 and 80 % sparsity within the tolerance: 0.5 percentage points, 0.1 for single weights."""
    found = [(target, subject.run(target=target)) for target in TARGETS]
    if not subject.cls.sparse:
        if any(run.sparsity for _, run in found):
            raise RuleError("it says sparse=False, but removes weights")
        return "a control: nothing is removed"
    for target, run in found:
        _meets(run, target)
    return "achieved " + ", ".join(f"{run.sparsity:.2%}" for _, run in found)


def scope(subject: SparsifierSubject) -> str:
    """Only what the budget counts is masked: the backbone's layers, or also the heads' under budget.scope=model."""
    run = subject.run()
    inside = {layer.name for layer in run.budget.groups.layers}
    stray = sorted(set(run.mask) - inside)
    if stray:
        raise RuleError(f"under scope=backbone the mask also has {', '.join(stray)}")
    outside = Groups.of(run.model, "model").parameters(run.model)
    for name, weight in outside.items():
        zeros = int((weight == 0).sum())
        if name not in inside and zeros:
            raise RuleError(f"{zeros} weights of {name} are zero, a layer that the budget does not count")
    whole = subject.run(scope="model")
    if subject.cls.sparse:
        _meets(whole, 0.5)
    return f"{len(inside)} layers of the backbone, {len(whole.budget.groups.layers)} of the model"


def natural(subject: SparsifierSubject) -> str:
    """If it says that it finds a sparsity of its own, it does so where no target is given."""
    if not subject.cls.finds_sparsity:
        raise Inapplicable("finds_sparsity=False")
    run = subject.run(target=None)
    if not 0 <= run.sparsity < 1:
        raise RuleError(f"it found {run.sparsity:.2%}: nothing is left")
    return f"found {run.sparsity:.2%}"


def same_seed(subject: SparsifierSubject) -> str:
    """The same seed gives the same weights, mask and history, to the byte."""
    first, second = subject.run().digests(), subject.run(attempt=1).digests()
    differ = [name for name in first if first[name] != second[name]]
    if differ:
        raise RuleError(f"two runs of seed 0 differ in {', '.join(differ)}; draw from trainer.generator only")
    return f"weights {first['weights'][:8]}, mask {first['mask'][:8]}"


def other_seed(subject: SparsifierSubject) -> str:
    """Another seed gives another result."""
    first, second = subject.run().digests(), subject.run(seed=1).digests()
    what = "mask" if subject.cls.sparse else "weights"
    if first[what] == second[what]:
        raise RuleError(f"seeds 0 and 1 give the same {what}; draw from trainer.generator, which the run seeds")
    return f"{what} {first[what][:8]} and {second[what][:8]}"


def generators(subject: SparsifierSubject) -> str:
    """The global generators of torch, numpy and Python stay as they were."""
    moved = subject.run().watch.generators
    if moved:
        raise RuleError(f"it used the global generator of {', '.join(moved)}; draw from trainer.generator instead")
    return "torch, numpy, random"


def test_data(subject: SparsifierSubject) -> str:
    """It reads the training part through the trainer, and nothing else."""
    reads = subject.run().watch.reads
    if reads:
        raise RuleError(f"it read {', '.join(reads)}")
    return "nothing read but training data"


def mask(subject: SparsifierSubject) -> str:
    """In the end there is a mask, and the weights are zero where it removes them and alive where it keeps a group."""
    run = subject.run()
    if run.trainer.mask is None:
        if subject.cls.sparse:
            raise RuleError("no mask was applied: end with trainer.apply_mask(...) or trainer.settle(...)")
        raise Inapplicable("a control without a mask")
    for name, weight in run.budget.groups.parameters(run.model).items():
        if name not in run.mask:
            continue
        removed = ~run.mask.expanded(name, weight).expand_as(weight)
        alive = int((weight.detach() * removed).ne(0).sum())
        if alive:
            raise RuleError(f"{alive} weights of {name} are not zero although the mask removes them")
        dead = run.mask.channels(name, weight.shape[1]) & ~weight.detach().transpose(0, 1).flatten(1).ne(0).any(1)
        if dead.any():
            raise RuleError(f"{int(dead.sum())} groups of {name} are zero although the mask keeps them")
    return f"{'whole groups' if run.mask.structured else 'single weights'} of {len(run.mask)} layers"


def history(subject: SparsifierSubject) -> str:
    """What is logged is finite, in the order of the steps, and sparsity is a share in [0, 1]."""
    rows = subject.run().trainer.history.rows
    for (step, samples, name, value), (next_step, next_samples, *_) in zip(rows, rows[1:] + rows[-1:], strict=True):
        if not math.isfinite(value):
            raise RuleError(f"{name} is {value} at step {step}")
        if next_step < step or next_samples < samples:
            raise RuleError(f"the history goes back from step {step} to {next_step}")
        if "sparsity" in name and not 0 <= value <= 1:
            raise RuleError(f"{name} is {value} at step {step}; log a share in [0, 1]")
    return f"{len(rows)} values, {len({row[2] for row in rows})} curves"


def _meets(run: Run, target: float) -> None:
    tolerance = run.budget.tolerance(run.mask.structured)
    if abs(run.sparsity - target) > tolerance:
        raise RuleError(
            f"scope={run.budget.scope}: achieved {run.sparsity:.2%}, asked for {target:.2%} ± {tolerance:.2%}"
        )


RUNS: Final = (
    runs,
    allowance,
    budget,
    scope,
    natural,
    same_seed,
    other_seed,
    generators,
    test_data,
    mask,
    history,
)
