"""Built-in datasets."""

from __future__ import annotations

from msbench.api import Dataset, hookimpl


@hookimpl
def msbench_datasets() -> list[type[Dataset]]:
    from msbench_plugins.datasets.camvid import CamVid
    from msbench_plugins.datasets.celebamask_hq.dataset import CelebAMaskHQ
    from msbench_plugins.datasets.cityscapes import Cityscapes
    from msbench_plugins.datasets.faces.dataset import Faces
    from msbench_plugins.datasets.folder import Folder
    from msbench_plugins.datasets.nyuv2.dataset import NYUv2
    from msbench_plugins.datasets.rooms.dataset import Rooms
    from msbench_plugins.datasets.rooms5 import Rooms5
    from msbench_plugins.datasets.taskonomy.dataset import Taskonomy

    return [Rooms, Rooms5, Faces, CamVid, CelebAMaskHQ, Taskonomy, Cityscapes, NYUv2, Folder]
