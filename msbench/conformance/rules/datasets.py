"""Rules for datasets."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

import torch

from msbench.conformance.case import RuleError
from msbench.conformance.data import DatasetSubject, scan
from msbench.conformance.rules.batches import fault
from msbench.conformance.watch import Watch, watched_generators
from msbench.data.dataset import PARTS, Dataset
from msbench.errors import UserError
from msbench.plugins import field_types
from msbench.training.evaluate import constants, evaluate_constant


def licence(subject: DatasetSubject) -> str:
    """It says under which licence the data are used and where they come from: a paper, or that they are made up."""
    cls = subject.cls
    if not cls.licence:
        raise RuleError("`licence` is empty: who may use the data, and where they come from")
    if not cls.paper and not cls.synthetic:
        raise RuleError("`paper` is empty, and the data are not `synthetic`: name their source")
    return str(cls.licence)


def tasks(subject: DatasetSubject) -> str:
    """Its tasks have different names, the default ones are among them, and each has a headline metric."""
    found = subject.create().tasks()
    names = [task.name for task in found]
    if not names or len(set(names)) != len(names):
        raise RuleError(f"the tasks are {names}: at least one, each under its own name")
    unknown = [name for name in subject.create().default_tasks() if name not in names]
    if unknown:
        raise RuleError(f"default_tasks() has {', '.join(unknown)}, which is none of {', '.join(names)}")
    for task in found:
        if task.headline not in task.metrics:
            raise RuleError(f"{task.name}: the headline {task.headline!r} is none of {', '.join(task.metrics)}")
    return ", ".join(names)


def batches(subject: DatasetSubject) -> str:
    """Every part gives canonical batches: shapes, types and ranges of images, targets and valid masks."""
    for part in PARTS:
        wrong = fault(subject.batch(part), subject.dataset.tasks())
        if wrong:
            raise RuleError(f"{part}: {wrong}")
    return f"images {list(subject.batch('train').image.shape[1:])}"


def repeatable(subject: DatasetSubject) -> str:
    """Samples come in the order that is asked for, the same every time, without a global generator."""
    watch = Watch()
    with watched_generators(watch):
        samples = subject.samples("train")
        last = len(samples) - 1
        mixed = samples.batch(torch.tensor([last, 0, last]))
        for position, index in enumerate((last, 0, last)):
            single = samples.batch(torch.tensor([index]))
            if not torch.equal(mixed.image[position], single.image[0]):
                raise RuleError(f"image {index} is another one when it is read again")
            for name, target in mixed.target.items():
                if not torch.equal(target[position], single.target[name][0]):
                    raise RuleError(f"target {name!r} of sample {index} is another one when it is read again")
    if watch.generators:
        raise RuleError(f"it used the global generator of {', '.join(watch.generators)}")
    return f"{last + 1} training samples"


def parts(subject: DatasetSubject) -> str:
    """Training, validation and test part have samples, and no image is in two of them."""
    for first, second in combinations(PARTS, 2):
        shared = set(subject.scans[first].images) & set(subject.scans[second].images)
        if shared:
            raise RuleError(f"{len(shared)} images are in {first} and in {second}")
    empty = [part for part in PARTS if not subject.scans[part].images]
    if empty:
        raise RuleError(f"{', '.join(empty)} has no samples")
    return ", ".join(f"{part} {len(subject.samples(part))}" for part in PARTS)


def prepares(subject: DatasetSubject) -> str:
    """Two processes may prepare it at the same time, and a prepared one again; all see the same samples."""
    here = {part: subject.scans[part].digest for part in PARTS}
    for found in subject.elsewhere:
        if "error" in found:
            raise RuleError(f"two processes prepared it at once, one of them failed: {found['error']}")
        differ = [part for part in PARTS if found[part] != here[part]]
        if differ:
            raise RuleError(f"another process sees other samples in {', '.join(differ)}")
    again: Dataset = subject.create()
    again.prepare(subject.cache, lambda done, total, what: None)
    if scan(again.samples("validation", subject.cache)).digest != here["validation"]:
        raise RuleError("prepared again, its samples are others")
    return "by two processes at once, and again"


def fingerprint(subject: DatasetSubject) -> str:
    """A hexadecimal digest that is the same in every process, and another one wherever the samples are others."""
    digest = subject.dataset.fingerprint(subject.cache)
    if re.fullmatch(r"[0-9a-f]{8,}", digest) is None:
        raise RuleError(f"{digest!r} is no hexadecimal digest")
    for found in subject.elsewhere:
        if found.get("fingerprint", digest) != digest:
            raise RuleError(f"{digest[:12]} here, {found['fingerprint'][:12]} in another process")
    changed = [text for field in dataclasses.fields(subject.cls) for text in _told_apart(subject, field, digest)]
    return f"{digest[:12]}" + (f"; told apart: {', '.join(changed)}" if changed else "")


def mirrored(subject: DatasetSubject) -> str:
    """Targets can be mirrored with their images: columns change places, and twice is as before."""
    batch = subject.batch("train")
    for task in subject.dataset.tasks():
        target = batch.target[task.name]
        once = task.flip(target)
        if once.shape != target.shape or not torch.equal(task.flip(once), target):
            raise RuleError(f"{task.name}: mirrored twice, a target is not what it was")
        expected = target.flip(-1) if task.head == "dense" else target
        if not torch.equal(once.float().abs(), expected.float().abs()):  # a normal's sign may change
            raise RuleError(f"{task.name}: a mirrored target does not fit the mirrored image")
    return "every task"


def constant(subject: DatasetSubject) -> str:
    """Each task has a constant predictor, the floor that a network must beat, with finite metrics on every part."""
    tasks = subject.dataset.tasks()
    found = constants(subject.samples("train"), tasks, LIMIT)
    for task in tasks:
        if tuple(found[task.name].shape) != (task.channels,) or not found[task.name].isfinite().all():
            raise RuleError(f"{task.name}: the constant is {found[task.name]}, expected {task.channels} finite numbers")
    losses = evaluate_constant(found, subject.samples("validation"), tasks, torch.device("cpu")).losses
    for name, loss in losses.items():
        if not 0 <= loss < float("inf"):
            raise RuleError(f"{name}: the constant predictor's loss on validation data is {loss}")
    return ", ".join(f"{name} {loss:.3g}" for name, loss in losses.items())


def _told_apart(subject: DatasetSubject, field: dataclasses.Field[Any], digest: str) -> Iterator[str]:
    """The parameter, if another valid value of it gives another fingerprint; RuleError if only other samples."""
    if field.name in subject.cls.location:
        return
    for value in _others(subject.params[field.name], field_types(subject.cls)[field.name]):
        try:
            other: Dataset = subject.create(**{field.name: value})
            other.prepare(subject.cache, lambda done, total, what: None)
        except UserError:
            continue
        if other.fingerprint(subject.cache) != digest:
            yield field.name
        elif scan(other.samples("validation", subject.cache)) != subject.scans["validation"]:
            raise RuleError(f"{field.name}={value!r} gives other samples under the same fingerprint")
        return


def _others(value: Any, hint: Any) -> tuple[Any, ...]:
    """Other values of a parameter, valid perhaps."""
    if typing.get_origin(hint) is typing.Literal:
        return tuple(choice for choice in typing.get_args(hint) if choice != value)
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return (value + 1, value - 1, 2 * value)
    return (value * 0.5,) if isinstance(value, float) else ()


LIMIT: Final = 200
"""Training samples that the constant predictors are made from."""
DATASETS: Final = (licence, tasks, batches, repeatable, parts, prepares, fingerprint, mirrored, constant)
