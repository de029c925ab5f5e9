"""msbench: a fair, proven, reproducible comparison of sparsifiers on multi-task vision networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "compact", "load_compact", "run"]

if TYPE_CHECKING:
    from msbench.handover import compact, load_compact
    from msbench.python import run


def __getattr__(name: str) -> Any:
    """`run`, `compact` and `load_compact`, imported when first used: the command line must not wait for torch."""
    if name == "run":
        from msbench.python import run

        return run
    if name in ("compact", "load_compact"):
        from msbench import handover

        return getattr(handover, name)
    raise AttributeError(f"module 'msbench' has no attribute {name!r}")
