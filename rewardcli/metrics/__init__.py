"""The numbers: arrays in, arrays out. `registry` says which metrics there are, `ragged` how rollouts come."""

from .curves import Curve, by_task, curves
from .describe import STATISTICS, Statistics, describe
from .metric import NO_ANSWER, Metric
from .moments import Moments
from .ragged import Scored
from .registry import DEFAULT_METRICS, REGISTRY, metrics_named
from .runs import RUN_MEANS

__all__ = [
    "DEFAULT_METRICS",
    "NO_ANSWER",
    "REGISTRY",
    "RUN_MEANS",
    "STATISTICS",
    "Curve",
    "Metric",
    "Moments",
    "Scored",
    "Statistics",
    "by_task",
    "curves",
    "describe",
    "metrics_named",
]
