"""Built-in criteria: what ranks groups."""

from __future__ import annotations

from msbench.api import Criterion, hookimpl
from msbench_plugins.criteria.batchnorm import BatchNormScale
from msbench_plugins.criteria.fisher import ChannelOBD
from msbench_plugins.criteria.gradients import Gradient, HessianOBD, Taylor
from msbench_plugins.criteria.reconstruction import ChannelPruning, ThiNet
from msbench_plugins.criteria.saved import SavedMask
from msbench_plugins.criteria.spectra import HRank
from msbench_plugins.criteria.weights import GeometricMedian, Lamp, Magnitude, Random


@hookimpl
def msbench_criteria() -> list[type[Criterion]]:
    return [
        Magnitude,
        Random,
        Lamp,
        GeometricMedian,
        BatchNormScale,
        Gradient,
        Taylor,
        HessianOBD,
        ChannelOBD,
        HRank,
        ThiNet,
        ChannelPruning,
        SavedMask,
    ]
