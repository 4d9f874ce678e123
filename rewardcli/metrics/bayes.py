"""Bayes@N: the mean score of each task under a uniform prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from .metric import Metric
from .moments import Moments
from .ragged import Block, TaskValues

__all__ = ["METRICS", "bayes_at_n", "category_counts"]


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


# A score of more distinct values is a measurement, not a category.
_MOST_LEVELS = 10


def posterior_mean(block: Block) -> TaskValues:
    """The posterior mean of a task at k = n; NaN elsewhere, unless tasks have equally many rollouts of few levels."""
    return _at_n(block, 0)


def posterior_variance(block: Block) -> TaskValues:
    """The posterior variance of a task, defined where the mean is."""
    return _at_n(block, 1)


def _at_n(block: Block, part: int) -> TaskValues:
    values = np.full(block.scores.shape, np.nan)
    whole = block.whole
    if whole is not None and len(set(whole.counts[whole.counts > 0].tolist())) == 1:
        # The scores of a pass/fail test are 0 and 1, even if only one of them has occurred.
        levels = np.union1d(whole.levels, [0.0, 1.0]) if whole.bounded else whole.levels
        scored = np.flatnonzero(block.n)
        if 1 < len(levels) <= _MOST_LEVELS and len(scored):
            moments = bayes_at_n(category_counts(block.scores[scored], levels), levels)
            values[scored, block.n[scored] - 1] = moments[part]
    return TaskValues(values, block.n[:, None])


def _sd_of_mean(moments: Moments) -> Floats:
    """√Σvariance / M: the posterior standard deviation of the mean over these tasks."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(moments.total) / moments.count


METRICS = (
    Metric(
        "bayes@n",
        "the posterior mean under a uniform prior, for scores of at most 10 values and equally many rollouts per task;"
        " shrunk towards the middle of the scale",
        "Σ (1 + count of the level)·level / (n + levels)",
        "Hariri et al. 2025, arXiv:2510.04265",
        of_block=posterior_mean,
        of_no_answer=posterior_mean,
        interval="none",
        default=False,
    ),
    Metric(
        "bayes@n",
        "the posterior standard deviation of that mean, for these tasks only",
        "√Σ variance / tasks",
        "Hariri et al. 2025, arXiv:2510.04265",
        stat="posterior_sd",
        heading="posterior sd, these tasks",
        of_block=posterior_variance,
        reduce=_sd_of_mean,
        interval="none",
        default=False,
    ),
)
