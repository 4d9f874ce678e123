"""Runs: the i-th rollout of every task."""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Ints
from .passing import prefix_std
from .ragged import Curve, longest

__all__ = ["mean_by_position", "std_across_runs"]


def mean_by_position(values: Floats, starts: Ints) -> Curve:
    """Mean over tasks of the score of rollout position 1 … K: what one run over all tasks would have given.

    Args:
        values: Scores; shape (rollouts,).
        starts: Shape (tasks + 1,).

    Returns:
        Sums over the tasks that have the score at that position.
    """
    width = longest(starts)
    position = np.arange(len(values)) - np.repeat(starts[:-1], np.diff(starts))
    present = np.isfinite(values)
    counts = np.bincount(position[present], minlength=width)
    total = np.bincount(position[present], values[present], minlength=width).astype(np.float64)
    return Curve(total, counts, counts)


def std_across_runs(runs: Floats) -> tuple[Floats, Floats]:
    """Sample std of the first k runs, and the standard error of their mean.

    Args:
        runs: One mean a run, in any unit; shape (runs,).

    Returns:
        Standard deviations and standard errors for k = 1 … runs, in the same unit; NaN at k = 1.

    >>> [round(float(x), 4) for x in std_across_runs(np.array([40.0, 50.0, 60.0]))[0][1:]]
    [7.0711, 10.0]
    """
    counts = np.arange(1, len(runs) + 1)
    stds = np.where(counts < 2, np.nan, prefix_std(runs, np.array([0, len(runs)])).total)
    return stds, stds / np.sqrt(counts)
