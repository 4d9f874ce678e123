"""Bayes@N: the mean score of each task under a uniform prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints

__all__ = ["bayes_at_n", "category_counts"]


def bayes_at_n(counts: ArrayLike, levels: ArrayLike, prior: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Posterior mean and variance of the score of each task under a uniform Dirichlet prior: bayes@n.

    With ν_j = 1 + the rollouts of the task (and prior ones) at level w_j, and T = Σν: mean Σ ν_j·w_j / T, and variance
    (Σ ν_j·w_j² / T − mean²) / (T + 1). Of M tasks, the mean of the means and √Σvariance / M are the metric and its
    posterior standard deviation.

    The prior pulls the mean towards the middle of the levels: a task solved once in one rollout scores ⅔. The standard
    deviation is that of the scores of these very tasks, so neither is the basis of an interval for new ones.

    Args:
        counts: Rollouts of each task at each level; shape (tasks, levels).
        levels: The distinct scores that can occur; shape (levels,).
        prior: Earlier outcomes, counted likewise; shape (tasks, levels).

    Returns:
        Means in the unit of the score, and variances in its square; shape (tasks,).

    Source:
        Hariri et al. 2025, arXiv:2510.04265.

    >>> mean, variance = bayes_at_n([[2, 3], [1, 4]], [0.0, 1.0])
    >>> round(float(mean.mean()), 4), round(float(variance.sum() ** 0.5 / 2), 4)  # 9/14
    (0.6429, 0.1185)
    """
    weights = np.asarray(levels, dtype=np.float64)
    seen = 1.0 + np.asarray(counts, dtype=np.float64)
    if prior is not None:
        seen = seen + np.asarray(prior, dtype=np.float64)
    size = seen.sum(axis=1)
    mean = seen @ weights / size
    spread = (seen * (weights - mean[:, None]) ** 2).sum(axis=1) / size
    return mean, spread / (size + 1.0)


def category_counts(scores: Floats, levels: Floats) -> Ints:
    """How many rollouts of each task have each score.

    Args:
        scores: One row per task, NaN where a score is missing or beyond the task's rollouts; shape (T, W).
        levels: The distinct scores that occur, ascending; shape (L,).

    Returns:
        Shape (T, L).

    >>> category_counts(np.array([[1.0, 0.0, 1.0], [0.5, np.nan, 0.5]]), np.array([0.0, 0.5, 1.0])).tolist()
    [[1, 0, 2], [0, 2, 0]]
    """
    return np.asarray((scores[:, :, None] == levels).sum(axis=1), dtype=np.int64)
