"""TensorBoard: every value of the history, written into the run's folder when tensorboard is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from msbench.api import hookimpl


@hookimpl
def msbench_epoch_finished(run: Mapping[str, Any], history: Mapping[str, float]) -> None:
    if importlib.util.find_spec("tensorboard") is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(log_dir=str(run["folder"] / "tensorboard")) as writer:
        for name, value in history.items():
            writer.add_scalar(name, value, int(history.get("samples", 0)))
