"""What plugins import, and all that they may import from msbench."""

from __future__ import annotations

from msbench._torchvision import import_torchvision
from msbench.data.cache import build_once
from msbench.data.dataset import Batch, Dataset, Part, Progress, Samples, TensorSamples
from msbench.data.export import Exporter
from msbench.data.packed import CorruptSampleError, Decoded, Item, PackedDataset
from msbench.errors import UserError
from msbench.hookspecs import hookimpl
from msbench.models.base import Backbone, BackboneModule, Head
from msbench.sparsity.budget import Budget
from msbench.sparsity.criteria import Criterion, CriterionName
from msbench.sparsity.groups import GroupLayer, Groups
from msbench.sparsity.mask import Mask
from msbench.sparsity.prox import (
    AdaptiveMCP,
    AdaptiveProx,
    group_norms,
    prox_euclidean,
    prox_l1,
    prox_l1_adaptive,
    prox_mcp,
)
from msbench.tasks.attribute import AttributeTask
from msbench.tasks.depth import DepthTask
from msbench.tasks.edges import EdgesTask
from msbench.tasks.keypoints import KeypointsTask
from msbench.tasks.normals import NormalsTask
from msbench.tasks.segmentation import SegmentationTask
from msbench.tasks.task import Evaluator, MetricSpec, Task
from msbench.training.balancing import Equal, LossBalancer, Uncertainty
from msbench.training.meta import Episode, MetaTraining
from msbench.training.sparsifier import Sparsifier
from msbench.training.stateful import Stateful
from msbench.training.stepping import Step
from msbench.training.trainer import Trainer
from msbench.training.view import View, Weights

__all__ = [
    "AdaptiveMCP",
    "AdaptiveProx",
    "AttributeTask",
    "Backbone",
    "BackboneModule",
    "Batch",
    "Budget",
    "CorruptSampleError",
    "Criterion",
    "CriterionName",
    "Dataset",
    "Decoded",
    "DepthTask",
    "EdgesTask",
    "Episode",
    "Equal",
    "Evaluator",
    "Exporter",
    "GroupLayer",
    "Groups",
    "Head",
    "Item",
    "KeypointsTask",
    "LossBalancer",
    "Mask",
    "MetaTraining",
    "MetricSpec",
    "NormalsTask",
    "PackedDataset",
    "Part",
    "Progress",
    "Samples",
    "SegmentationTask",
    "Sparsifier",
    "Stateful",
    "Step",
    "Task",
    "TensorSamples",
    "Trainer",
    "Uncertainty",
    "UserError",
    "View",
    "Weights",
    "build_once",
    "group_norms",
    "hookimpl",
    "import_torchvision",
    "prox_euclidean",
    "prox_l1",
    "prox_l1_adaptive",
    "prox_mcp",
]
