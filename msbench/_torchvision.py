"""Import torchvision, also where its compiled operators do not fit the installed torch.

torchvision's wheels are built against a CUDA torch. Beside a CPU-only torch its extension cannot be loaded, and
the import fails because two operators have no schema to attach their fake kernels to. Declaring the schemas is
enough for everything that msbench uses (models, transforms), none of which calls a compiled operator.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_keep_alive: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """torchvision, with the missing operator schemas declared when, and only when, its extension is unusable."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _keep_alive.append(library)
    return importlib.import_module("torchvision")
