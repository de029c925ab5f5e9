"""msbench: a fair, proven, reproducible comparison of sparsifiers on multi-task vision networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "run"]

if TYPE_CHECKING:
    from msbench.python import run


def __getattr__(name: str) -> Any:
    """`msbench.run`, imported when it is first used: the command line must not wait for torch."""
    if name == "run":
        from msbench.python import run

        return run
    raise AttributeError(f"module 'msbench' has no attribute {name!r}")
