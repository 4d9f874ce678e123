"""Differences between two runs: their intervals, p-values and verdicts."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..metrics.moments import Moments
from .clusters import Clusters, cluster_codes
from .distributions import normal_quantile, t_quantile
from .intervals import MeanKnowledge, StudentMean
from .means import Estimates, Method, all_bounded, estimates
from .signs import sign_flip_p

__all__ = [
    "Comparison",
    "Verdict",
    "benjamini_hochberg",
    "holm",
    "paired",
    "paired_mean",
    "pseudo_difference",
    "unpaired",
]

Verdict = Literal["better", "worse", "higher", "lower", "unclear", "same", "within"]

# With so many disjoint draws of every task on both sides, one unseen task is unlikely to differ by the whole scale.
_MANY_DRAWS = 8


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference of two means, candidate less baseline. NaN stands for what is absent; `why` says why.

    Attributes:
        difference: The plain difference of the means.
        se: Its standard error, as the interval uses it.
        lower: Lower bound of the interval.
        upper: Upper bound of the interval.
        p: Two-sided p-value of no difference; below 1 − confidence exactly when the interval leaves out 0, unless it is
            that of the exact test.
        visible: The smallest true difference that these tasks show four times in five.
        n: Tasks on both sides; of unpaired runs the smaller number.
        variance: s², per task, of what the mean difference is a mean of.
        method: "paired" for the rule with a pseudo-task, "t", "mover" or "welch"; empty where there is no interval.
        test: "" for the p-value of the interval, "sign-flip", or "random sign-flip" for a sample of the flips.
        same: Whether every task has the same value on both sides.
        confidence: Of the interval.
        known: What the interval was read from; gives intervals at other confidences, and one-sided p-values.
        why: Why the interval is absent, in words.
    """

    difference: float
    se: float
    lower: float
    upper: float
    p: float
    visible: float
    n: int
    variance: float
    method: str
    test: str
    same: bool
    confidence: float
    known: MeanKnowledge
    why: str = ""

    def bounds(self, confidence: float) -> tuple[float, float]:
        """The interval at another confidence."""
        lower, upper = self.known.bounds(confidence)
        return _scalar(lower), _scalar(upper)

    def verdict(
        self,
        *,
        higher_is_better: bool | None = True,
        within: float | None = None,
        adjusted_p: float | None = None,
    ) -> Verdict:
        """The difference in a word.

        Args:
            higher_is_better: Whether it is; if None, differences are "higher" and "lower", neither better nor worse.
            within: δ: call the runs "within" δ of each other where the interval at confidence 1 − 2α lies inside ±δ
                (two one-sided tests at level α), whatever else is true.
            adjusted_p: The p-value after correction for other comparisons, to be used instead.

        Returns:
            "same" where no task differs, "unclear" where the data cannot tell.
        """
        level = 1.0 - self.confidence
        p = self.p if adjusted_p is None else adjusted_p
        if self.same:
            return "same"
        if within is not None and self.method:
            lower, upper = self.bounds(1.0 - 2.0 * level)
            if -within <= lower and upper <= within:
                return "within"
        if not p < level:
            return "unclear"
        if higher_is_better is None:
            return "higher" if self.difference > 0 else "lower"
        return "better" if (self.difference > 0) == higher_is_better else "worse"


def paired(
    differences: ArrayLike,
    *,
    bounded: bool = True,
    draws: int = 1,
    confidence: float = 0.95,
    method: Literal["auto", "exact"] = "auto",
    test: Literal["auto", "exact"] = "auto",
    equal_rollouts: bool = True,
    clusters: Sequence[Hashable] | None = None,
    power: float = 0.8,
) -> Comparison:
    """The mean difference between two runs of the same tasks.

    For values between 0 and 1 one pseudo-task is added, split between +D and −D, where D is the largest difference that
    a task not among these could show:

        m = Σd/(N + 1);  se² = ((Σd² + D²)/(N + 1) − m²)/(N + 2);  interval m ± t·se;  p = 2·P(T < −|m|/se)

    with Student's t on N − 1 degrees of freedom. Without it, tasks that happen not to differ would make the interval as
    narrow as one likes. For other values it is Student's paired t.

    Args:
        differences: Candidate less baseline, one for each task, NaN where one side has no value; shape (tasks,).
        bounded: Whether the values compared can only lie between 0 and 1.
        draws: min ⌊n/k⌋ over all tasks and both sides. From 8 on, D may be less than 1: max(½, N/100, max|d|).
        confidence: Between 0.5 and 1.
        method: "exact" leaves D at 1.
        test: "exact" takes the p-value from all ways to swap the two sides within tasks (at one rollout per task,
            McNemar's exact test).
        equal_rollouts: Whether every task has as many rollouts on both sides, without which the exact test is wrong.
        clusters: The family of each task, where tasks come in families.
        power: With which `visible` is seen.

    Returns:
        The comparison, in the unit of the values.

    Raises:
        ValueError: For the exact test of runs with unequal rollouts, or not one cluster per task.

    >>> change = paired([1] * 12 + [-1] * 4 + [0] * 84)
    >>> change.difference, round(change.lower, 4), round(change.upper, 4), round(change.p, 4), change.verdict()
    (0.08, 0.0001, 0.1583, 0.0497, 'better')
    """
    d = np.asarray(differences, dtype=np.float64)
    held = ~np.isnan(d)
    sums = None
    if clusters is not None:
        if len(clusters) != len(d):
            raise ValueError(f"{len(clusters)} clusters for {len(d)} tasks; give one per task")
        codes = cluster_codes(clusters)[held]
        sums = Clusters.of(d[held], codes)
    if test == "exact" and not equal_rollouts:
        raise ValueError(
            "the exact test needs as many rollouts of every task on both sides: the two sides are not exchangeable"
        )
    moments, largest = Moments.of(d[held]), np.abs(d[held]).max(initial=0.0)
    known = paired_mean(
        moments, bounded=bounded, draws=1 if method == "exact" else draws, largest=largest, clusters=sums
    )
    plain_error, se = _scalar(_plain_error(moments, sums)), _scalar(known.se)
    lower, upper = (_scalar(bound) for bound in known.bounds(confidence))
    n, p, how = int(moments.count[0]), _two_sided(known), ""
    if test == "exact" and n:
        flipped = d[held] if sums is None else sums.total[:, 0]
        p, every = sign_flip_p(flipped)
        how = "sign-flip" if every else "random sign-flip"
    reach = _scalar(t_quantile(known.df, (1.0 + confidence) / 2.0)) * se
    return Comparison(
        float(moments.mean[0]),
        se if se > 0 else math.nan,
        lower,
        upper,
        p,
        reach + normal_quantile(power) * plain_error,
        n,
        plain_error**2 * n,
        "" if math.isnan(lower) else "paired" if bounded else "t",
        how,
        bool(n and not d[held].any()),
        confidence,
        known,
        _why_not(moments, sums, lower),
    )


def paired_mean(
    moments: Moments,
    *,
    bounded: bool = True,
    draws: ArrayLike = 1,
    largest: ArrayLike = 1.0,
    clusters: Clusters | None = None,
) -> StudentMean:
    """What is known of K mean differences at once, by the rule of `paired`.

    In clusters the squared error is multiplied by max(1, V/V₀), with V by the jackknife over clusters and V₀ = s²/N (by
    N/G where all differences are equal), and t has G − 1 degrees of freedom.

    Args:
        moments: Of the differences, candidate less baseline.
        bounded: Whether the values compared can only lie between 0 and 1.
        draws: min ⌊n/k⌋ over all tasks and both sides; a number, or shape (K,).
        largest: max|d| over all tasks; a number, or shape (K,).
        clusters: Sums of the differences by cluster, where tasks come in families.
    """
    n = np.where(moments.count > 1, moments.count, np.nan).astype(np.float64)
    plain = _plain_error(moments, clusters)
    df, effect = n - 1.0, np.ones(len(n))
    if clusters is not None:
        alone, number = clusters.singletons, np.maximum(clusters.number, 1).astype(np.float64)
        df = np.where(alone, df, clusters.number - 1.0)
        naive = moments.variance / n
        ratio = np.divide(plain**2, naive, out=n / number, where=naive > 0)
        effect = np.where(alone, 1.0, np.maximum(ratio, 1.0))
    if not bounded:
        return StudentMean(moments.mean, plain, df)
    spread = pseudo_difference(moments.count, draws, largest)
    middle = moments.total / (n + 1.0)
    square = ((moments.squares + spread**2) / (n + 1.0) - middle**2) / (n + 2.0)
    return StudentMean(middle, np.sqrt(square * effect), df, 1.0)


def pseudo_difference(n: ArrayLike, draws: ArrayLike, largest: ArrayLike) -> Floats:
    """D, the largest difference that a task not among these could show: 1, or less where all tasks have many draws.

    Args:
        n: How many tasks there are.
        draws: min ⌊n_i/k⌋ over all tasks and both sides.
        largest: max|d| of the tasks there are.

    >>> pseudo_difference([30, 30, 70], [1, 8, 8], 0.2).tolist()
    [1.0, 0.5, 0.7]
    """
    reach = np.maximum(np.maximum(0.5, np.asarray(n) / 100.0), largest)
    return np.where(np.asarray(draws) < _MANY_DRAWS, 1.0, np.minimum(1.0, reach))


def _plain_error(moments: Moments, clusters: Clusters | None) -> Floats:
    """Standard errors without a pseudo-task, 0 where all differences are equal; NaN below two tasks or clusters."""
    error = np.sqrt(moments.variance / np.maximum(moments.count, 1))
    return error if clusters is None else np.where(clusters.singletons, error, np.sqrt(clusters.variance))


def _scalar(value: ArrayLike) -> float:
    """The only number of an array."""
    return float(np.ravel(value)[0])


def _two_sided(known: MeanKnowledge) -> float:
    """Two-sided p-value of a mean of 0; at most 1."""
    below, above = _scalar(known.p_at_least(0.0)), _scalar(known.p_at_most(0.0))
    return min(1.0, 2.0 * min(below, above)) if not math.isnan(below) else math.nan


def _why_not(moments: Moments, clusters: Clusters | None, lower: float) -> str:
    """Why a paired comparison has no interval."""
    n = int(moments.count[0])
    if not math.isnan(lower):
        return ""
    if n == 0:
        return "no task has a value on both sides"
    if n == 1:
        return "no interval: only 1 task is on both sides"
    if clusters is not None and clusters.number[0] < 2:
        return "no interval: all tasks are in one cluster"
    return f"no interval: all {n:,} tasks differ by the same amount" if moments.same[0] else "no interval"


# --- runs of different tasks ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _MoverMean:
    """The difference of two independent means, from an interval for each.

    lower = d − √((x_B − L_B)² + (U_A − x_A)²), upper = d + √((U_B − x_B)² + (x_A − L_A)²).
    """

    a: Estimates
    b: Estimates

    def bounds(self, confidence: float) -> tuple[Floats, Floats]:
        (a_lower, a_upper), (b_lower, b_upper) = self.a.known.bounds(confidence), self.b.known.bounds(confidence)
        # At low confidence a Beta interval may lie to one side of the mean.
        down = np.hypot(np.maximum(self.b.value - b_lower, 0.0), np.maximum(a_upper - self.a.value, 0.0))
        up = np.hypot(np.maximum(b_upper - self.b.value, 0.0), np.maximum(self.a.value - a_lower, 0.0))
        difference = self.b.value - self.a.value
        return difference - down, difference + up

    def p_at_least(self, bound: ArrayLike) -> Floats:
        return self._invert(bound, upper=True)

    def p_at_most(self, bound: ArrayLike) -> Floats:
        return self._invert(bound, upper=False)

    def _invert(self, bound: ArrayLike, *, upper: bool) -> Floats:
        """Half the α at which the upper (or lower) bound at confidence 1 − α is the bound given."""
        if math.isnan(_scalar(self.bounds(0.5)[0])):
            return np.full(1, np.nan)
        target, low, high = _scalar(bound), 0.0, 1.0
        for _ in range(50):
            middle = 0.5 * (low + high)
            end = _scalar(self.bounds(1.0 - middle)[upper])
            low, high = (low, middle) if (end < target if upper else end > target) else (middle, high)
        return np.full(1, 0.5 * high)


def unpaired(
    baseline: Moments | ArrayLike,
    candidate: Moments | ArrayLike,
    *,
    bounded: bool | None = None,
    confidence: float = 0.95,
    method: Method = "auto",
    power: float = 0.8,
) -> Comparison:
    """The difference between the means of two runs that share no task.

    For values between 0 and 1 the interval is put together from the Beta interval of each side (MOVER); for others it
    is that of Welch's t.

    Args:
        baseline: One value per task, or their moments; shape (tasks,).
        candidate: Likewise.
        bounded: Whether the values can only lie between 0 and 1; if not given, whether those seen do.
        confidence: Between 0.5 and 1.
        method: As in `estimates`.
        power: With which `visible` is seen.

    Returns:
        Candidate less baseline, in the unit of the values.

    Source:
        Newcombe 1998; Zou & Donner 2008.

    >>> change = unpaired([1] * 14 + [0] * 6, [1] * 27 + [0] * 3)
    >>> round(change.difference, 4), round(change.lower, 4), round(change.upper, 4), change.verdict()
    (0.2, -0.0178, 0.4285, 'unclear')
    """
    sides = [side if isinstance(side, Moments) else Moments.of(side) for side in (baseline, candidate)]
    if bounded is None:
        if isinstance(baseline, Moments) or isinstance(candidate, Moments):
            raise TypeError("moments do not show whether values are bounded: say whether they are")
        bounded = all_bounded(baseline) and all_bounded(candidate)
    a, b = (estimates(side, bounded=bounded, confidence=confidence, method=method) for side in sides)
    errors = np.array([float(side.variance[0]) / max(float(side.n[0]), 1.0) for side in (a, b)])
    counts = np.array([int(a.n[0]), int(b.n[0])])
    known: MeanKnowledge = _MoverMean(a, b)
    if not bounded or method == "t":
        with np.errstate(divide="ignore", invalid="ignore"):
            df = errors.sum() ** 2 / (errors**2 / (counts - 1)).sum()
        known = StudentMean(b.value - a.value, np.sqrt(errors.sum()), df)
    lower, upper = (_scalar(bound) for bound in known.bounds(confidence))
    absent = math.isnan(lower)
    error = math.sqrt(errors.sum()) if errors.sum() > 0 else math.nan
    return Comparison(
        float(b.value[0] - a.value[0]),
        error,
        lower,
        upper,
        _two_sided(known),
        0.5 * (upper - lower) + normal_quantile(power) * math.sqrt(errors.sum()),
        int(counts.min()),
        float(errors.sum() * counts.min()),
        "" if absent else "mover" if isinstance(known, _MoverMean) else "welch",
        "",
        False,
        confidence,
        known,
        "no interval: a side has fewer than 2 tasks, or all its tasks have the same value" if absent else "",
    )


# --- several comparisons --------------------------------------------------------------------------------------------


def holm(p: ArrayLike) -> Floats:
    """P-values adjusted so that no true null is rejected in more than the level's share of all families (Holm 1979).

    Args:
        p: P-values; NaN where there is none, which does not count; shape (comparisons,).

    >>> holm([0.001, 0.012, 0.013, 0.04, 0.2, 0.9]).round(4).tolist()
    [0.006, 0.06, 0.06, 0.12, 0.4, 0.9]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]
    adjusted = np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1))
    found = np.full(len(values), np.nan)
    found[order] = np.minimum(adjusted, 1.0)
    return found


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """P-values adjusted so that at most the level's share of all rejections is false (Benjamini & Hochberg 1995).

    Args:
        p: P-values; NaN where there is none, which does not count; shape (comparisons,).

    >>> benjamini_hochberg([0.001, 0.012, 0.013, 0.04, 0.2, 0.9]).round(4).tolist()
    [0.006, 0.026, 0.026, 0.06, 0.24, 0.9]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]
    scaled = values[order] * len(order) / np.arange(1, len(order) + 1)
    found = np.full(len(values), np.nan)
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return found
