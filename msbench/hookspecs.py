"""Every hook of msbench: the whole extension surface. Built-in plugins use nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msbench.data.dataset import Dataset
    from msbench.models.base import Backbone, Head
    from msbench.records.record import Record
    from msbench.sparsity.criteria import Criterion
    from msbench.training.balancing import LossBalancer
    from msbench.training.sparsifier import Sparsifier

PROJECT = "msbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks the functions of a plugin that msbench calls; its name says which hook it is."""


@hookspec
def msbench_sparsifiers() -> Sequence[type[Sparsifier]]:  # type: ignore[empty-body]
    """Sparsifier classes that this plugin adds."""


@hookspec
def msbench_datasets() -> Sequence[type[Dataset]]:  # type: ignore[empty-body]
    """Dataset classes that this plugin adds."""


@hookspec
def msbench_backbones() -> Sequence[type[Backbone]]:  # type: ignore[empty-body]
    """Backbone classes that this plugin adds."""


@hookspec
def msbench_heads() -> Sequence[type[Head]]:  # type: ignore[empty-body]
    """Head classes that this plugin adds."""


@hookspec
def msbench_criteria() -> Sequence[type[Criterion]]:  # type: ignore[empty-body]
    """Criterion classes, which rank groups, that this plugin adds."""


@hookspec
def msbench_loss_balancers() -> Sequence[type[LossBalancer]]:  # type: ignore[empty-body]
    """Loss balancer classes, which weigh the tasks' losses, that this plugin adds."""


@hookspec
def msbench_run_started(run: Mapping[str, Any]) -> None:
    """Called in the run's own process before training; `run` has run_id, folder and the resolved configuration."""


@hookspec
def msbench_epoch_finished(run: Mapping[str, Any], history: Mapping[str, float]) -> None:
    """Called after each evaluation on validation data with the newest value of everything logged."""


@hookspec
def msbench_run_finished(record: Record) -> None:
    """Called in the run's own process with the finished record, before measurement."""
