"""How far a mean would move if the same tasks ran again, from the variances of `metrics.again`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..metrics.again import (
    RunNoise,
    credit_variances,
    disjoint_draws,
    draw_variances,
    max_variances,
    mean_variances,
    subset_variances,
)
from .intervals import BetaMean

__all__ = [
    "RunNoise",
    "again_interval",
    "again_mean",
    "credit_variances",
    "disjoint_draws",
    "draw_variances",
    "max_variances",
    "mean_variances",
    "noise_share",
    "subset_variances",
]


def noise_share(again: ArrayLike, new: ArrayLike) -> Floats:
    """The share of run noise in the variance for new tasks, at most 1; NaN where either variance is absent.

    Args:
        again: Variance for the same tasks run again.
        new: Variance for new tasks, which contains it.
    """
    again, new = np.asarray(again, dtype=np.float64), np.asarray(new, dtype=np.float64)
    share = np.divide(again, new, out=np.full(np.broadcast_shapes(again.shape, new.shape), np.nan), where=new > 0)
    return np.asarray(np.minimum(share, 1.0), dtype=np.float64)


def again_mean(mean: ArrayLike, variance: ArrayLike, rollouts: ArrayLike) -> BetaMean:
    """What is known of the mean of a bounded score over these tasks, if they ran again.

    As much as N* rollouts tell, N* = max(mean·(1 − mean)/V, N²/Σ(1/n_i)). For the mean score only: for other statistics
    no interval was found that covers well.

    Args:
        mean: Mean over tasks of their mean scores, between 0 and 1.
        variance: V, from `RunNoise.variance`; where it is NaN only the second term counts.
        rollouts: n_i of each task; shape (tasks,).
    """
    mean, variance = np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    n = np.asarray(rollouts, dtype=np.float64)
    independent = len(n) ** 2 / (1.0 / n).sum()
    known = np.divide(mean * (1.0 - mean), variance, out=np.zeros(np.shape(mean)), where=variance > 0)
    size = np.maximum(known, independent)
    return BetaMean(size, mean * size, mean * size)


def again_interval(
    mean: ArrayLike, variance: ArrayLike, rollouts: ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Interval for the mean of a bounded score over these tasks, if they ran again; see `again_mean`.

    >>> [float(bound.round(4)) for bound in again_interval(0.42, 0.000733, [4] * 50)]  # 50 tasks, four rollouts each
    [0.3678, 0.4736]
    """
    return again_mean(mean, variance, rollouts).bounds(confidence)
