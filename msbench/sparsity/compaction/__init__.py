"""Turn a masked network into a smaller dense one with the same outputs, and prove that they are the same."""

from __future__ import annotations

from msbench.sparsity.compaction.compact import Compaction, compact
from msbench.sparsity.compaction.inplace import fold_batchnorm
from msbench.sparsity.compaction.proof import Proof, prove
from msbench.sparsity.compaction.report import Report

__all__ = ["Compaction", "Proof", "Report", "compact", "fold_batchnorm", "prove"]
