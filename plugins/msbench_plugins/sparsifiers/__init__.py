"""Built-in sparsifiers."""

from __future__ import annotations

from msbench.api import Sparsifier, hookimpl
from msbench_plugins.sparsifiers.adapmtl import AdapMTL
from msbench_plugins.sparsifiers.bn_scale import BatchNormSlimming
from msbench_plugins.sparsifiers.dense import Dense, SingleTask
from msbench_plugins.sparsifiers.disparse import DiSparse
from msbench_plugins.sparsifiers.group_lasso import GroupLasso
from msbench_plugins.sparsifiers.group_norm import GroupNorm
from msbench_plugins.sparsifiers.growing_reg import GrowingReg
from msbench_plugins.sparsifiers.iterative import Iterative
from msbench_plugins.sparsifiers.l1 import L1
from msbench_plugins.sparsifiers.lottery_ticket import Imp, LotteryTicket
from msbench_plugins.sparsifiers.meta_sparsity import MetaSparsity
from msbench_plugins.sparsifiers.mtl_meta import MtlMeta
from msbench_plugins.sparsifiers.one_shot import OneShot
from msbench_plugins.sparsifiers.progressive import Progressive
from msbench_plugins.sparsifiers.regrowth import DynamicSparse, Regrowth
from msbench_plugins.sparsifiers.snip import Snip
from msbench_plugins.sparsifiers.sparse_training import SparseTraining


@hookimpl
def msbench_sparsifiers() -> list[type[Sparsifier]]:
    return [
        Dense,
        SingleTask,
        MtlMeta,
        MetaSparsity,
        GroupLasso,
        L1,
        OneShot,
        Iterative,
        Progressive,
        SparseTraining,
        Regrowth,
        DynamicSparse,
        AdapMTL,
        Snip,
        LotteryTicket,
        Imp,
        DiSparse,
        GrowingReg,
        GroupNorm,
        BatchNormSlimming,
    ]
