"""Sums over tasks from which every mean, standard error and interval is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Floats, Ints, Mask

__all__ = ["Moments", "Summary", "pooled_task_values"]

# Task values that differ by less than this share of their size are one value, rounded differently.
_SAME = 64 * np.finfo(np.float64).eps


@dataclass(frozen=True, slots=True)
class Summary:
    """What follows from `Moments`, as arrays of shape (K,) that bear the names of its attributes and properties."""

    count: Ints
    total: Floats
    squares: Floats
    m2: Floats
    m3: Floats
    mean: Floats
    variance: Floats
    standard_error: Floats
    same: Mask


@dataclass(frozen=True, slots=True)
class Moments:
    """What is kept of the task values of K statistics, such as one metric at k = 1 … K.

    Moments of disjoint sets of tasks add up with `+` to those of all tasks, so blocks, shards and machines can be
    merged. The second and third moments are kept about the mean and merged by the formulas of Chan, Golub & LeVeque
    (1983) and Pébay (2008): Σx² − N·mean² would lose every digit of a spread that is small beside the mean, as in
    rewards near 1e9. The plain sum is kept as well, since sums of 0/1 values are then exact.

    Attributes:
        count: N, the tasks that have a value; shape (K,).
        total: Σx; shape (K,).
        m2: Σ(x − mean)²; shape (K,).
        m3: Σ(x − mean)³; shape (K,).
        rollouts: The rollouts behind the values; shape (K,).
    """

    count: Ints
    total: Floats
    m2: Floats
    m3: Floats
    rollouts: Ints

    @classmethod
    def empty(cls, width: int) -> Moments:
        """The moments of no task, for K = width statistics."""
        none, zero = np.zeros(width, np.int64), np.zeros(width)
        return cls(none, zero, zero, zero, none)

    @classmethod
    def of(cls, values: ArrayLike, rollouts: ArrayLike | None = None, weights: ArrayLike | None = None) -> Moments:
        """The moments of task values.

        Args:
            values: One row per task, NaN where a task has no value; shape (tasks, K), or (tasks,) for K = 1.
            rollouts: How many rollouts stand behind each value; shape (tasks, K), or (tasks,) if all K values of a task
                rest on the same rollouts. One per value if not given.
            weights: How many tasks each row stands for; shape (tasks,). One if not given.

        >>> moments = Moments.of([[1.0, 1.0], [0.0, 0.5], [0.0, np.nan]])
        >>> moments.mean.round(4).tolist(), moments.standard_error.round(4).tolist()
        ([0.3333, 0.75], [0.3333, 0.25])
        """
        table = np.asarray(values, dtype=np.float64)
        table = table[:, None] if table.ndim == 1 else table
        behind = np.ones((len(table), 1), np.int64) if rollouts is None else np.asarray(rollouts)
        behind = behind[:, None] if behind.ndim == 1 else behind
        mass = None if weights is None else np.asarray(weights, dtype=np.float64)
        if not len(table):
            return cls.empty(table.shape[1])
        present = ~np.isnan(table)
        if present.all():
            zeroed = table
            count = np.full(table.shape[1], len(table) if mass is None else mass.sum())
        else:
            # A task without a value adds nothing to any sum.
            zeroed = np.where(present, table, 0.0)
            count = _sum(present, mass)
            behind = np.where(present, behind, 0)
        with np.errstate(over="ignore", invalid="ignore"):  # values beyond 1e154 have no square: no standard error
            total = _sum(zeroed, mass)
            # Sums about one of the values, which is no farther from the mean than the spread allows.
            pivot = zeroed[np.argmax(present, axis=0), np.arange(table.shape[1])]
            off = zeroed - pivot
            if zeroed is not table:
                off *= present
            squares = off * off
            s1, s2, s3 = _sum(off, mass), _sum(squares, mass), _sum(np.multiply(squares, off, out=off), mass)
            drift = _ratio(s1, count)
            m2 = np.maximum(s2 - drift * s1, 0.0)
            m3 = s3 - 3.0 * drift * s2 + 2.0 * drift**2 * s1
        rollouts = np.broadcast_to(_sum(behind, mass), count.shape)
        return cls(count.astype(np.int64), total, m2, m3, rollouts.astype(np.int64))

    def __add__(self, other: Moments) -> Moments:
        if self.count.shape != other.count.shape:
            raise ValueError(f"moments of {len(self.count)} and of {len(other.count)} statistics do not add up")
        count = self.count + other.count
        a, b, n = self.count.astype(np.float64), other.count.astype(np.float64), np.maximum(count, 1).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            gap = np.where((a > 0) & (b > 0), _ratio(other.total, b) - _ratio(self.total, a), 0.0)
            m2 = self.m2 + other.m2 + gap**2 * (a * b / n)
            m3 = self.m3 + other.m3 + gap**3 * (a * b * (a - b) / n**2) + 3.0 * gap * (a * other.m2 - b * self.m2) / n
        return Moments(
            count,
            self.total + other.total,
            m2,
            m3,
            self.rollouts + other.rollouts,
        )

    def widened(self, width: int, *, carried: bool) -> Moments:
        """The same for `width` statistics: past the last a task has its last value, if it is carried, or none."""
        missing = width - len(self.count)
        if not missing:
            return self
        more = (
            Moments(*(np.repeat(sums[-1:], missing) for sums in _columns(self))) if carried else Moments.empty(missing)
        )
        return Moments(*map(np.append, _columns(self), _columns(more)))

    def take(self, statistics: Ints) -> Moments:
        """The moments of some of the statistics."""
        return Moments(*(sums[statistics] for sums in _columns(self)))

    def summary(self) -> Summary:
        """All of this at once."""
        return Summary(
            self.count,
            self.total,
            self.squares,
            self.m2,
            self.m3,
            self.mean,
            self.variance,
            self.standard_error,
            self.same,
        )

    @property
    def mean(self) -> Floats:
        """Σx / N; NaN where no task has a value; shape (K,)."""
        return np.where(self.count > 0, _ratio(self.total, self.count), np.nan)

    @property
    def squares(self) -> Floats:
        """Σx²; shape (K,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.m2 + self.total * _ratio(self.total, self.count)

    @property
    def same(self) -> Mask:
        """Whether all tasks have one value, up to rounding (a spread of 1.4e-14 of its size); shape (K,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            size = _SAME * np.abs(_ratio(self.total, self.count))
            return (self.count > 0) & (self.m2 <= self.count * size**2)

    @property
    def variance(self) -> Floats:
        """Sample variance Σ(x − mean)² / (N − 1) of the task values.

        Shape (K,). 0 where all tasks have one value; NaN where N < 2, or where the squares are too large for a float.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            spread = _ratio(self.m2, self.count - 1)
        spread = np.where(self.same, 0.0, spread)
        return np.where((self.count > 1) & np.isfinite(spread), spread, np.nan)

    @property
    def standard_error(self) -> Floats:
        """Standard error s / √N of the mean, with s² the sample variance of the task values.

        Shape (K,). NaN where N < 2, and where all tasks have one value: nothing is known then of how tasks differ, and
        0 would claim certainty.
        """
        error = np.sqrt(_ratio(self.variance, self.count))
        return np.where(error > 0, error, np.nan)


def _columns(moments: Moments) -> tuple[Any, ...]:
    return moments.count, moments.total, moments.m2, moments.m3, moments.rollouts


def _sum(cells: NDArray[Any], weights: Floats | None) -> Floats:
    """Sums over the rows, each of which stands for as many as its weight says."""
    sums: Floats = cells.sum(axis=0, dtype=np.float64) if weights is None else weights @ cells
    return sums


def pooled_task_values(totals: ArrayLike, counts: ArrayLike) -> Floats:
    """Task values whose mean is the mean over all rollouts, whatever number of rollouts each task has.

    x_i = r + (N/M)·(t_i − n_i·r), where r = Σt/M is the mean over all M rollouts of the N tasks. The standard error of
    their mean is that of the ratio estimator with tasks as clusters.

    Args:
        totals: t_i, the sum of each task's values; shape (tasks,).
        counts: n_i, how many values that are; shape (tasks,).

    Returns:
        x_i in the unit of the values; NaN for a task without values; shape (tasks,).

    Source:
        Cochran 1977, Sampling Techniques, section 6.

    >>> pooled_task_values([3.0, 2.0], [3, 1]).tolist()  # five in four rollouts
    [0.875, 1.625]
    """
    totals, counts = np.asarray(totals, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    held = counts > 0
    rollouts = counts.sum()
    if not rollouts:
        return np.full(len(counts), np.nan)
    mean = totals[held].sum() / rollouts
    return np.where(held, mean + held.sum() / rollouts * (totals - counts * mean), np.nan)


def _ratio(numerator: Floats, denominator: Floats | Ints) -> Floats:
    """A quotient, 0 where the denominator is not positive."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator > 0)
