"""Means of task values with standard errors and intervals, and the reason where one of these is absent."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..metrics.moments import Moments, Summary
from .clusters import Clusters, cluster_codes
from .intervals import BetaMean, HallMean, MeanKnowledge, StudentMean

__all__ = ["Estimates", "Interval", "Method", "all_bounded", "described", "estimates", "interval", "per_look"]

Method = Literal["auto", "exact", "t"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over tasks and how far it can be trusted. NaN stands for what is absent; `why` says why.

    Attributes:
        value: The mean of the task values.
        se: Its standard error for new tasks of this kind.
        lower: Lower bound of the interval.
        upper: Upper bound of the interval.
        method: How the interval was made: "beta", "exact", "hall" or "t"; empty where there is none.
        n: How many tasks have a value.
        why: Why the standard error or the interval is absent, in words; empty where both exist.
    """

    value: float
    se: float
    lower: float
    upper: float
    method: str
    n: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Estimates:
    """The same for K statistics at once.

    Attributes:
        value, se, lower, upper: As in `Interval`, in the unit of the task values; shape (K,).
        n: How many tasks have a value; shape (K,).
        method: The method of those that have an interval.
        variance: Sample variance of the task values, 0 where they are all equal; shape (K,).
        known: What the interval was read from; gives intervals at other confidences, and p-values.
        clusters: How many clusters the tasks fall into; none if they were not given.
    """

    value: Floats
    se: Floats
    lower: Floats
    upper: Floats
    n: Ints
    method: str
    variance: Floats
    known: MeanKnowledge
    clusters: Ints | None = None

    def __len__(self) -> int:
        return len(self.value)

    def at(self, i: int) -> Interval:
        """One of them."""
        held = not np.isnan(self.lower[i])
        return Interval(
            float(self.value[i]),
            float(self.se[i]),
            float(self.lower[i]),
            float(self.upper[i]),
            self.method if held else "",
            int(self.n[i]),
            self.why(i),
        )

    def why(self, i: int) -> str:
        """Why the standard error or the interval is absent; empty where both exist."""
        n, has_interval = int(self.n[i]), not np.isnan(self.lower[i])
        absent = "no standard error" if has_interval else "no standard error and no interval"
        if n == 0:
            reason = "no task has a value"
        elif n == 1:
            reason = f"{absent}: only 1 task"
        elif self.clusters is not None and self.clusters[i] < 2:
            reason = f"{absent}: all tasks are in one cluster"
        elif np.isnan(self.variance[i]):
            reason = f"{absent}: the values are too large to square"
        elif self.variance[i] == 0.0:
            reason = f"{absent}: all {n:,} tasks have the same value"
        elif np.isnan(self.se[i]):
            reason = f"{absent}: all clusters have the same mean"
        elif not has_interval:
            reason = f"no interval: the mean of values outside 0 to 1 needs 3 tasks (there are {n})"
        else:
            reason = ""
        return reason


def described(
    summaries: Sequence[tuple[Summary, bool]], *, confidence: float = 0.95, method: Method = "auto"
) -> list[list[Interval]]:
    """Estimates of several sets of statistics.

    Args:
        summaries: What follows from the moments of each set, and whether its values can only lie between 0 and 1.
        confidence: Between 0.5 and 1.
        method: As for `estimates`.

    Returns:
        By set, one estimate for each of its statistics.
    """
    sets = (estimates(each, bounded=bounded, confidence=confidence, method=method) for each, bounded in summaries)
    return [[found.at(i) for i in range(len(found))] for found in sets]


def estimates(
    moments: Moments | Summary,
    *,
    bounded: bool,
    confidence: float = 0.95,
    method: Method = "auto",
    clusters: Clusters | None = None,
) -> Estimates:
    """Means of task values with standard errors and intervals, from sums over tasks.

    Args:
        moments: Sums over the tasks, or what follows from them.
        bounded: Whether the values can only lie between 0 and 1.
        confidence: Between 0.5 and 1.
        method: "auto": the Beta interval for bounded values, Hall's for others, Student's t for others in clusters.
            "exact": for bounded values the wider interval that holds its level at any truth. "t": Student's t for all.
        clusters: Sums by cluster, where tasks come in families.

    Returns:
        One estimate for each of the K statistics.
    """
    if not 0.5 <= confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie between 0.5 and 1, as in 0.95")
    if isinstance(moments, Moments):
        moments = moments.summary()
    enough = np.where(moments.count >= 2, moments.count, np.nan).astype(np.float64)
    se, df, share = moments.standard_error, enough - 1.0, np.ones(len(enough))
    if clusters is not None:
        alone = clusters.singletons
        se = np.where(alone, se, clusters.standard_error)
        df = np.where(alone, df, clusters.number - 1.0)
        share = clusters.effective_share(moments.variance, moments.count, confidence)
    known: MeanKnowledge
    if bounded and method != "t":
        known = BetaMean(enough * share, moments.total * share, moments.squares * share, method == "exact")
        name = "exact" if method == "exact" else "beta"
    elif method == "t" or (clusters is not None and not bool(clusters.singletons.all())):
        known, name = StudentMean(moments.mean, se, df), "t"
    else:
        spread = np.where(moments.same, 0.0, moments.m2)
        known, name = HallMean(enough, moments.mean, spread, moments.m3), "hall"
    lower, upper = known.bounds(confidence)
    return Estimates(
        moments.mean,
        se,
        lower,
        upper,
        moments.count,
        name,
        moments.variance,
        known,
        None if clusters is None else clusters.number,
    )


def interval(
    values_by_task: ArrayLike,
    *,
    bounded: bool | None = None,
    confidence: float = 0.95,
    method: Method = "auto",
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """The mean of task values, its standard error and an interval for it.

    The unit is the task: with several rollouts per task, give one value per task, such as the share of its rollouts
    that are correct. The interval then says how far the mean would move with other tasks of the same kind, and includes
    the noise between rollouts.

    Args:
        values_by_task: One value per task; NaN where a task has none; shape (tasks,).
        bounded: Whether the values can only lie between 0 and 1; if not given, whether these do.
        confidence: Between 0.5 and 1.
        method: "auto", "exact" or "t"; see `estimates`.
        clusters: The family of each task, where tasks come in families: any labels, one per task.

    Returns:
        The estimate, in the unit of the values.

    Raises:
        ValueError: For a confidence that is none, or not one cluster per task.

    >>> solved = interval([1, 1, 0, 1, 0, 1, 1, 0, 1, 1])
    >>> solved.value, round(solved.se, 4), round(solved.lower, 4), round(solved.upper, 4), solved.method
    (0.7, 0.1528, 0.3942, 0.9073, 'beta')
    >>> perfect = interval([1.0] * 10)
    >>> round(perfect.lower, 4), perfect.upper, perfect.why
    (0.7828, 1.0, 'no standard error: all 10 tasks have the same value')
    >>> tokens = interval([120, 95, 430, 210, 88, 1020, 150, 133, 610, 99])
    >>> tokens.method, round(tokens.lower), round(tokens.upper)
    ('hall', 133, 1199)
    """
    values = np.asarray(values_by_task, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"values_by_task has {values.ndim} dimensions; give one value per task")
    if bounded is None:
        bounded = all_bounded(values)
    sums = None
    if clusters is not None:
        if len(clusters) != len(values):
            raise ValueError(f"{len(clusters)} clusters for {len(values)} tasks; give one per task")
        sums = Clusters.of(values, cluster_codes(clusters))
    return estimates(Moments.of(values), bounded=bounded, confidence=confidence, method=method, clusters=sums).at(0)


def all_bounded(values: ArrayLike) -> bool:
    """Whether all values lie between 0 and 1, as far as there are any."""
    table = np.asarray(values, dtype=np.float64)
    return not bool(((table < 0.0) | (table > 1.0)).any())


def per_look(confidence: float, looks: int) -> float:
    """The confidence at which to judge each of several looks at growing data, so that all together keep the first.

    >>> round(per_look(0.95, 5), 4)
    0.99
    """
    return 1.0 - (1.0 - confidence) / looks
