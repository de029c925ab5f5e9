"""Built-in sparsifiers."""

from __future__ import annotations

from msbench.api import Sparsifier, hookimpl
from msbench_plugins.sparsifiers.dense import Dense, SingleTask
from msbench_plugins.sparsifiers.group_lasso import GroupLasso
from msbench_plugins.sparsifiers.meta_sparsity import MetaSparsity
from msbench_plugins.sparsifiers.one_shot import OneShot


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [Dense, SingleTask, MetaSparsity, GroupLasso, OneShot]
