"""Hand a compact network over: as a file that a product can load, proven equal before and after it is written."""

from __future__ import annotations

from msbench.handover.errors import HandOverError
from msbench.handover.network import HandOver, compact, load_compact
from msbench.handover.saved import Saved

__all__ = ["HandOver", "HandOverError", "Saved", "compact", "load_compact"]
