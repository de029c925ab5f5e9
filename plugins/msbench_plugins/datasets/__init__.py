"""Built-in datasets."""

from __future__ import annotations

from msbench.api import Dataset, hookimpl


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    from msbench_plugins.datasets.camvid import CamVid
    from msbench_plugins.datasets.rooms.dataset import Rooms

    return [Rooms, CamVid]
