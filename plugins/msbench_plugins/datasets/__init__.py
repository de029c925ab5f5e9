"""Built-in datasets."""

from __future__ import annotations

from msbench.api import Dataset, hookimpl


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    from msbench_plugins.datasets.camvid import CamVid
    from msbench_plugins.datasets.faces.dataset import Faces
    from msbench_plugins.datasets.rooms.dataset import Rooms
    from msbench_plugins.datasets.rooms5 import Rooms5

    return [Rooms, Rooms5, Faces, CamVid]
