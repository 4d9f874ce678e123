"""Sums over tasks from which every mean, standard error and interval is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, Ints, Mask

__all__ = ["Moments", "pooled_task_values"]

# Sums are taken over this many cells at a time: what is then computed from them is still in the cache.
_CELLS = 1 << 14

# Task values that differ by less than this share of their size are one value, rounded differently.
_SAME = 64 * np.finfo(np.float64).eps


@dataclass(frozen=True, slots=True)
class Moments:
    """What is kept of the task values of K statistics, such as one metric at k = 1 … K.

    Moments of disjoint sets of tasks add up with `+` to those of all tasks, so blocks, shards and machines can be
    merged. The second and third moments are kept about the mean and merged by the formulas of Chan, Golub & LeVeque
    (1983) and Pébay (2008): Σx² − N·mean² would lose every digit of a spread that is small beside the mean, as in
    rewards near 1e9. The plain sum is kept as well, since sums of 0/1 values are then exact. The least and greatest
    values tell, without accumulated rounding, whether the tasks differ at all.

    Attributes:
        count: N, the tasks that have a value; shape (K,).
        total: Σx; shape (K,).
        m2: Σ(x − mean)²; shape (K,).
        m3: Σ(x − mean)³; shape (K,).
        low: The least value, infinity without tasks; shape (K,).
        high: The greatest value, minus infinity without tasks; shape (K,).
        rollouts: The rollouts behind the values; shape (K,).
    """

    count: Ints
    total: Floats
    m2: Floats
    m3: Floats
    low: Floats
    high: Floats
    rollouts: Ints

    @classmethod
    def empty(cls, width: int) -> Moments:
        """The moments of no task, for K = width statistics."""
        none, zero = np.zeros(width, np.int64), np.zeros(width)
        return cls(none, zero, zero, zero, np.full(width, np.inf), np.full(width, -np.inf), none)

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
        behind = np.ones((len(table), 1), np.int64) if rollouts is None else np.asarray(rollouts, dtype=np.int64)
        behind = behind[:, None] if behind.ndim == 1 else behind
        mass = np.ones(len(table)) if weights is None else np.asarray(weights, dtype=np.float64)
        moments, step = cls.empty(table.shape[1]), max(64, _CELLS // max(1, table.shape[1]))
        for start in range(0, len(table), step):
            rows = slice(start, start + step)
            moments += cls._of_few(table[rows], behind[rows], mass[rows])
        return moments

    @classmethod
    def _of_few(cls, table: Floats, behind: Ints, mass: Floats) -> Moments:
        """The moments of tasks that fit into the cache together. Counts are floats, exact below 2^53, for speed."""
        present = ~np.isnan(table)
        whole = bool(present.all())
        if whole:
            zeroed, count, rollouts = table, np.full(table.shape[1], mass.sum()), mass @ behind.astype(np.float64)
        else:
            held = present.astype(np.float64)
            zeroed, count = np.where(present, table, 0.0), mass @ held
            rollouts = (mass * behind[:, 0]) @ held if behind.shape[1] == 1 else mass @ (behind * held)
        with np.errstate(over="ignore", invalid="ignore"):  # values beyond 1e154 have no square: no standard error
            total = mass @ zeroed
            off = zeroed - total / np.maximum(count, 1)
            if not whole:
                off *= held
            # The mean is rounded, so `off` may sum to a little more or less than 0. What that adds is taken out.
            drift = mass @ off / np.maximum(count, 1)
            squares = off * off
            m2 = np.maximum(mass @ squares - count * drift**2, 0.0)
            m3 = mass @ (squares * off) - 3.0 * drift * m2 - count * drift**3
        low, high = (
            np.where(count > 0, reduce(table, axis=0), empty)
            for reduce, empty in ((np.fmin.reduce, np.inf), (np.fmax.reduce, -np.inf))
        )
        rollouts = np.broadcast_to(rollouts, count.shape)
        return cls(count.astype(np.int64), total, m2, m3, low, high, rollouts.astype(np.int64))

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
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.rollouts + other.rollouts,
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
        """Whether all tasks have one value, up to rounding (a difference of 1.4e-14 of its size); shape (K,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            size = np.maximum(np.abs(self.low), np.abs(self.high))
            return (self.count > 0) & (self.high - self.low <= _SAME * size)

    @property
    def bounded(self) -> bool:
        """Whether every value lies between 0 and 1."""
        return bool(((self.low >= 0.0) & (self.high <= 1.0) | (self.count == 0)).all())

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
