"""pass@k, and means and spread of the first k."""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Ints
from .ragged import CELLS, Curve, add, blocks, longest

__all__ = ["mean_of_first_k", "pass_at_k", "prefix_std"]


def pass_at_k(values: Floats, starts: Ints) -> Curve:
    """Probability that at least one of k rollouts succeeds; for scores other than 0 and 1 the best of the first k.

    For a task whose scores are all 0 or 1: 1 - C(n - c, k) / C(n, k). Otherwise the maximum of the first k rollouts
    that have the score. A task with fewer than k of them does not count.

    Args:
        values: Scores; shape (rollouts,).
        starts: Shape (tasks + 1,).

    Returns:
        Sums over tasks of values in [0, 1] for 0/1 scores.

    Source:
        Chen et al. 2021, arXiv:2107.03374; the rule for other scores is NeMo Gym's.

    >>> pass_at_k(np.array([1.0, 0.0, 0.0, 0.0]), np.array([0, 4])).mean.tolist()
    [0.25, 0.5, 0.75, 1.0]
    """
    width = longest(starts)
    present = np.isfinite(values)
    counts = np.diff(np.concatenate([[0], np.cumsum(present)])[starts])
    total = np.zeros(width)
    binary_pairs = []
    for block in blocks(starts):
        scores = block.of(values)
        gone = np.isnan(scores)
        binary = ((scores == 0) | (scores == 1) | gone).all(axis=1)
        n = counts[block.units]
        correct = np.nansum(scores[binary], axis=1).astype(np.int64)
        binary_pairs.append(n[binary] * (width + 1) + correct)
        if not binary.all():
            scores, gone, n = scores[~binary], gone[~binary], n[~binary]
            # Present scores to the left, in order: the first k are the first k that exist.
            scores = np.take_along_axis(scores, np.argsort(gone, axis=1, kind="stable"), axis=1)
            best = np.fmax.accumulate(scores, axis=1)
            best[np.arange(best.shape[1]) >= n[:, None]] = 0
            total[: best.shape[1]] += best.sum(axis=0)
    if binary_pairs:
        pairs, weights = np.unique(np.concatenate(binary_pairs), return_counts=True)
        step = max(1, CELLS // max(width, 1))
        for begin in range(0, len(pairs), step):
            n, c = np.divmod(pairs[begin : begin + step], width + 1)
            total += weights[begin : begin + step] @ _pass_probability(n, c, width)
    by_count = np.bincount(counts, minlength=width + 1)
    return Curve(total, _at_least(by_count), _at_least(by_count * np.arange(width + 1)))


def _pass_probability(n: Ints, c: Ints, width: int) -> Floats:
    """1 - C(n - c, k) / C(n, k) for k = 1 … K, 0 where k > n; shape (pairs, K)."""
    drawn = np.arange(width)
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.maximum((n - c)[:, None] - drawn, 0) / (n[:, None] - drawn)
    return np.where(drawn < n[:, None], 1.0 - np.cumprod(np.where(drawn < n[:, None], factors, 0.0), axis=1), 0.0)


def _at_least(by_count: Ints) -> Ints:
    """For k = 1 … K, the sum over the tasks with at least k rollouts."""
    return np.cumsum(by_count[::-1])[::-1][1:]


def mean_of_first_k(values: Floats, starts: Ints) -> Curve:
    """Mean score of the first k rollouts: pass@1[avg-of-k].

    Missing scores are left out; a task with fewer than k rollouts counts with all it has; one without any score among
    its first k does not count.

    Args:
        values: Scores; shape (rollouts,).
        starts: Shape (tasks + 1,).

    Returns:
        Sums over tasks of the tasks' means.

    >>> mean_of_first_k(np.array([1.0, 0.0, np.nan]), np.array([0, 3])).mean.tolist()
    [1.0, 0.5, 0.5]
    """
    width = longest(starts)
    total, n_tasks, n_rollouts = np.zeros(width), np.zeros(width, np.int64), np.zeros(width, np.int64)
    for block in blocks(starts):
        scores = block.of(values)
        counts = np.cumsum(~np.isnan(scores), axis=1)
        sums = np.cumsum(np.nan_to_num(scores, nan=0.0), axis=1)
        add(total, (sums / np.maximum(counts, 1)).sum(axis=0))
        add(n_tasks, (counts > 0).sum(axis=0))
        add(n_rollouts, counts.sum(axis=0))
    return Curve(total, n_tasks, n_rollouts)


def prefix_std(values: Floats, starts: Ints) -> Curve:
    """Sample standard deviation (n - 1) of the first k scores of a task, over the tasks with at least two of them.

    Args:
        values: Scores; shape (rollouts,).
        starts: Shape (tasks + 1,).

    Returns:
        Sums over tasks, in units of the score; no task counts at k = 1.

    Source:
        NeMo Gym's avg_sample_std_dev; Welford's recurrence, which does not cancel.
    """
    width = longest(starts)
    total, n_tasks, n_rollouts = np.zeros(width), np.zeros(width, np.int64), np.zeros(width, np.int64)
    for block in blocks(starts):
        scores = block.of(values).T.copy()
        present = ~np.isnan(scores)
        counts = np.cumsum(present, axis=0)
        mean, squares = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
        stds = np.empty(len(scores))
        with np.errstate(over="ignore", invalid="ignore"):  # scores beyond 1e154 have no square: no std either
            for k in range(len(scores)):
                delta = np.where(present[k], scores[k] - mean, 0.0)
                mean += delta / np.maximum(counts[k], 1)
                squares += delta * np.where(present[k], scores[k] - mean, 0.0)
                stds[k] = np.sqrt(squares / np.maximum(counts[k] - 1, 1)).sum()
        add(total, stds)
        add(n_tasks, (counts >= 2).sum(axis=1))
        add(n_rollouts, np.where(counts >= 2, counts, 0).sum(axis=1))
    return Curve(total, n_tasks, n_rollouts)
