"""Statistics of groups of values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Floats, Ints
from .ragged import index_blocks

__all__ = ["STATISTICS", "Statistics", "describe"]

STATISTICS = ("mean", "max", "min", "median", "std")

# From this length on, finding a median is faster than sorting; short groups sort faster.
_LONG_GROUP = 1024


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of groups of values; NaN where one is undefined.

    Attributes:
        count: How many values there are; shape (groups,).
        mean, max, min, median: Undefined for a group without values; shape (groups,).
        std: The sample standard deviation (n - 1), undefined below two values; shape (groups,).
        p25, p75: The quartiles, interpolated between values; None unless they were asked for; shape (groups,).
    """

    count: Ints
    mean: Floats
    max: Floats
    min: Floats
    median: Floats
    std: Floats
    p25: Floats | None = None
    p75: Floats | None = None


def describe(values: Floats, starts: Ints, *, quartiles: bool = False) -> Statistics:
    """Mean, max, min, median and std of groups of values.

    Args:
        values: Numbers, NaN where missing; shape (values,).
        starts: Group g is `values[starts[g]:starts[g + 1]]`; shape (groups + 1,).
        quartiles: Whether these are computed too.

    Returns:
        One value per group of each statistic.

    >>> describe(np.array([1.0, 2.0, np.nan, 6.0]), np.array([0, 4])).median.tolist()
    [2.0]
    """
    present = np.isfinite(values)
    if not present.all():
        starts = np.concatenate([[0], np.cumsum(present)])[starts]
        values = values[present]
    count = np.diff(starts)
    mean, high, low, median, std, p25, p75 = (np.full(len(count), np.nan) for _ in range(7))
    for block in index_blocks(starts):
        n = block.lengths
        rows = block.of(values, np.inf)
        ordered = np.sort(rows, axis=1) if quartiles else _ordered(rows, n)
        with np.errstate(over="ignore", invalid="ignore"):
            center = block.of(values, 0.0).sum(axis=1) / n
            spread = ordered - center[:, None]
            if block.padded:
                spread[~block.inside] = 0.0
            deviation = np.sqrt((spread**2).sum(axis=1) / np.maximum(n - 1, 1))
        each = np.arange(len(n))
        mean[block.groups] = center
        low[block.groups] = ordered[:, 0]
        high[block.groups] = ordered[each, n - 1]
        median[block.groups] = 0.5 * ordered[each, (n - 1) // 2] + 0.5 * ordered[each, n // 2]
        if quartiles:
            p25[block.groups], p75[block.groups] = (_quantile(ordered, n, share) for share in (0.25, 0.75))
        std[block.groups] = np.where(n > 1, deviation, np.nan)
    return Statistics(count, mean, high, low, median, std, *((p25, p75) if quartiles else ()))


def _ordered(rows: Floats, n: Ints) -> Floats:
    """The rows with their least, middle and greatest values where sorting would put them."""
    if n[0] < _LONG_GROUP or n[0] != n[-1]:
        return np.sort(rows, axis=1)
    last = int(n[0]) - 1
    return np.partition(rows, sorted({0, last // 2, (last + 1) // 2, last}), axis=1)


def _quantile(ordered: Floats, n: Ints, share: float) -> Floats:
    """The value at a share of the way through each row, linearly interpolated."""
    place = share * (n - 1)
    below = np.floor(place).astype(np.int64)
    each = np.arange(len(n))
    low, high = ordered[each, below], ordered[each, np.minimum(below + 1, n - 1)]
    weight = place - below
    return np.asarray(np.where(low == high, low, (1 - weight) * low + weight * high))
