"""Intervals for medians and other quantiles of rollouts that come in tasks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..metrics.moments import Moments, pooled_task_values
from .clusters import Clusters, cluster_codes
from .distributions import beta_above, beta_below, beta_quantile, normal_quantile, t_quantile
from .means import Interval

__all__ = ["WoodruffQuantile", "quantile_interval", "woodruff"]


@dataclass(frozen=True, slots=True)
class WoodruffQuantile:
    """What is known of a quantile: which share of all rollouts lies at or below it, read back as a value.

    Attributes:
        ordered: The rollouts in ascending order; shape (M,).
        a, b: The share has a Beta(a, b) distribution.
    """

    ordered: Floats
    a: float
    b: float

    def bounds(self, confidence: float) -> tuple[Floats, Floats]:
        """Lower and upper bound; each is a value that occurs."""
        count = len(self.ordered)
        low, high = beta_quantile(self.a, self.b, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]).tolist()
        first, last = int(np.ceil(low * count)) - 1, int(np.floor(high * count))
        return self.ordered[[max(first, 0)]], self.ordered[[min(last, count - 1)]]

    def p_at_least(self, bound: ArrayLike) -> Floats:
        """One-sided p-value of a quantile of `bound` or more."""
        return beta_above(self.a, self.b, np.searchsorted(self.ordered, bound, side="left") / len(self.ordered))

    def p_at_most(self, bound: ArrayLike) -> Floats:
        """One-sided p-value of a quantile of `bound` or less."""
        return beta_below(self.a, self.b, np.searchsorted(self.ordered, bound, side="right") / len(self.ordered))


def woodruff(
    values: Floats,
    starts: Ints,
    q: float = 0.5,
    confidence: float = 0.95,
    clusters: Sequence[Hashable] | None = None,
) -> WoodruffQuantile | None:
    """What is known of a quantile of all rollouts; none where fewer than two tasks (or clusters) have a value.

    With F_i the share of a task's rollouts at or below the sample quantile, and V the variance of their pooled mean,
    the M rollouts tell as much as n* = min(q·(1 − q)/V, M)·(z/t_{N−1})² independent ones. The share of rollouts below
    the true quantile is then Beta(q·n* + ½, (1 − q)·n* + ½).

    Args:
        values: One for each rollout, NaN where missing; shape (rollouts,).
        starts: The rollouts of task i are `values[starts[i]:starts[i + 1]]`; shape (tasks + 1,).
        q: Between 0 and 1; ½ for the median.
        confidence: At which the interval will be read: it decides t.
        clusters: The family of each task, where tasks come in families.

    Source:
        Woodruff 1952, Confidence intervals for medians and other position measures.
    """
    present = ~np.isnan(values)
    counts = np.diff(np.concatenate([[0], np.cumsum(present)])[starts])
    task = np.repeat(np.arange(len(counts)), counts)
    held = values[present]
    if not len(held):
        return None
    below = np.bincount(task[held <= np.quantile(held, q)], minlength=len(counts))
    shares = pooled_task_values(below, counts)
    moments = Moments.of(shares)
    degrees, variance = float(moments.count[0]) - 1.0, float(moments.variance[0]) / float(moments.count[0])
    if clusters is not None:
        sums = Clusters.of(shares, cluster_codes(clusters))
        if not sums.singletons[0]:
            degrees, variance = float(sums.number[0]) - 1.0, float(sums.variance[0])
    if degrees < 1:
        return None
    shrink = normal_quantile((1.0 + confidence) / 2.0) / float(t_quantile(degrees, (1.0 + confidence) / 2.0))
    size = (min(q * (1.0 - q) / variance, len(held)) if variance > 0 else len(held)) * shrink**2
    return WoodruffQuantile(np.sort(held), q * size + 0.5, (1.0 - q) * size + 0.5)


def quantile_interval(
    values: Floats,
    starts: Ints,
    q: float = 0.5,
    confidence: float = 0.95,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """A quantile of all rollouts and an interval for it; see `woodruff` for the arguments.

    Covers 95 % for the median; near the ends of the scale less (89 to 98 % for the 90th percentile).

    Returns:
        The quantile (between two rollouts, interpolated) with bounds in the unit of the values, and no standard error.

    >>> tokens = np.array([120.0, 95, 430, 210, 88, 1020, 150, 133, 610, 99, 240, 180])
    >>> found = quantile_interval(tokens, np.arange(0, 13, 2))  # six tasks with two rollouts each
    >>> found.value, found.lower, found.upper, found.method
    (165.0, 95.0, 610.0, 'woodruff')
    """
    held = values[~np.isnan(values)]
    known = woodruff(values, starts, q, confidence, clusters)
    counted = np.unique(np.repeat(np.arange(len(starts) - 1), np.diff(starts))[~np.isnan(values)]).size
    value = float(np.quantile(held, q)) if len(held) else np.nan
    if known is None:
        why = "no task has a value" if not counted else f"no interval: only {counted} task"
        if counted > 1:
            why = "no interval: all tasks are in one cluster"
        return Interval(value, np.nan, np.nan, np.nan, "", counted, why)
    lower, upper = (float(bound[0]) for bound in known.bounds(confidence))
    return Interval(
        value, np.nan, lower, upper, "woodruff", counted, "a quantile has an interval, but no standard error"
    )
