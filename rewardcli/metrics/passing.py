"""pass@k, pass^k, and means and spread of the first k: what each says of a task.

Functions of counts take n and c of tasks whose scores are all 0 or 1; functions of blocks take any scores.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Ints
from .again import subset_variances
from .metric import Metric
from .ragged import Block, TaskValues

__all__ = ["METRICS", "std_of_first_k"]


def any_of_k(n: Ints, c: Ints, width: int) -> Floats:
    """Probability that at least one of k rollouts drawn succeeds: 1 - C(n - c, k) / C(n, k).

    Args:
        n: Rollouts that have the score; shape (P,).
        c: Successes; shape (P,).
        width: The highest k.

    Returns:
        Values in [0, 1], NaN where k > n; shape (P, width).

    Source:
        Chen et al. 2021, arXiv:2107.03374.

    >>> any_of_k(np.array([4]), np.array([1]), 4).tolist()
    [[0.25, 0.5, 0.75, 1.0]]
    """
    return 1.0 - _all_drawn_from(n - c, n, width)


def all_of_k(n: Ints, c: Ints, width: int) -> Floats:
    """Probability that all of k rollouts drawn succeed: C(c, k) / C(n, k).

    Args:
        n: Rollouts that have the score; shape (P,).
        c: Successes; shape (P,).
        width: The highest k.

    Returns:
        Values in [0, 1], NaN where k > n; shape (P, width).

    Source:
        Yao et al. 2024, τ-bench, arXiv:2406.12045.

    >>> all_of_k(np.array([4]), np.array([2]), 3).round(4).tolist()
    [[0.5, 0.1667, 0.0]]
    """
    return _all_drawn_from(c, n, width)


def _all_drawn_from(some: Ints, n: Ints, width: int) -> Floats:
    """C(some, k) / C(n, k) for k = 1 … width: the chance that k drawn of n are all among `some`; NaN where k > n."""
    drawn = np.arange(width)
    possible = drawn < n[:, None]
    factors = np.maximum(some[:, None] - drawn, 0) / np.where(possible, n[:, None] - drawn, 1)
    return np.where(possible, np.cumprod(factors, axis=1), np.nan)


def best_of_first_k(block: Block) -> TaskValues:
    """The best of the first k rollouts that have the score: NeMo Gym's pass@k of scores other than 0 and 1."""
    # Present scores to the left, in order: the first k are the first k that exist.
    order = np.argsort(~block.present, axis=1, kind="stable")
    best = np.fmax.accumulate(np.take_along_axis(block.scores, order, axis=1), axis=1)
    best[np.arange(best.shape[1]) >= block.n[:, None]] = np.nan
    return TaskValues(best, block.n[:, None])


def mean_of_first_k(block: Block) -> TaskValues:
    """Mean of the scores present among the first k rollouts: pass@1[avg-of-k]; NaN where none is."""
    sums = np.cumsum(block.filled, axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0 where no score is present yet
        return TaskValues(sums / block.seen, block.seen)


def std_of_first_k(block: Block) -> TaskValues:
    """Sample standard deviation (n - 1) of the scores present among the first k; NaN below two of them.

    Source:
        NeMo Gym's avg_sample_std_dev; Welford's recurrence, which does not cancel.
    """
    scores, present, seen = block.filled.T, block.present.T, block.seen.T
    mean, squares = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    stds = np.empty(scores.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # scores beyond 1e154 have no square: no std either
        for k in range(len(scores)):
            delta = np.where(present[k], scores[k] - mean, 0.0)
            mean += delta / np.maximum(seen[k], 1)
            squares += delta * np.where(present[k], scores[k] - mean, 0.0)
            stds[k] = np.sqrt(squares / np.maximum(seen[k] - 1, 1))
    stds[seen < 2] = np.nan
    return TaskValues(stds.T, block.seen)


def any_of_k_again(n: Ints, c: Ints, width: int) -> Floats:
    """Variance of a task's pass@k over runs; NaN where n < 2k."""
    return subset_variances(n, n - c, width)


def mean_of_first_k_again(block: Block) -> TaskValues:
    """Variance of a task's mean of k rollouts over runs: s² / k, with s² over all its rollouts; NaN below two."""
    n = block.n[:, None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        deviation = np.where(block.present, block.scores - block.filled.sum(axis=1, keepdims=True) / n, 0.0)
        variance = (deviation**2).sum(axis=1, keepdims=True) / (n - 1)
        return TaskValues(np.where((n >= 2) & (block.seen > 0), variance / block.seen, np.nan), n)


METRICS = (
    Metric(
        "pass@k",
        "the chance that at least one of k rollouts succeeds; for scores other than 0 and 1 the best of the first k",
        "1 - C(n - c, k) / C(n, k)",
        "Chen et al. 2021, arXiv:2107.03374; the rule for other scores is NVIDIA NeMo Gym's",
        of_counts=any_of_k,
        of_block=best_of_first_k,
        again_of_counts=any_of_k_again,
    ),
    Metric(
        "pass^k",
        "the chance that all of k rollouts succeed, for scores of 0 and 1",
        "C(c, k) / C(n, k)",
        "Yao et al. 2024 (τ-bench), arXiv:2406.12045",
        of_counts=all_of_k,
        again_of_counts=subset_variances,
        default=False,
    ),
    Metric(
        "pass@1[avg-of-k]",
        "the mean score of the first k rollouts; a shorter task counts with what it has",
        "mean of the scores present among the first k",
        "NVIDIA NeMo Gym",
        of_block=mean_of_first_k,
        again_of_block=mean_of_first_k_again,
        again_needs=0,
        carried=True,
    ),
    Metric(
        "pass@1[avg-of-k]",
        "the mean over tasks of the std of the first k scores, in the units of the score, not in percent",
        "sample std of the scores present among the first k",
        "NVIDIA NeMo Gym",
        stat="avg_sample_std_dev",
        heading="std within tasks",
        of_block=std_of_first_k,
        carried=True,
        first_k=2,
        percent=False,
        interval="unbounded",
    ),
)
