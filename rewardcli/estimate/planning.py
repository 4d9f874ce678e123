"""How many tasks and rollouts a question needs, from what a pilot shows of both kinds of variance.

The variance of a task's value has two parts: between tasks, how much their true values vary, and run noise, which more
rollouts per task reduce. Of N tasks the variance of the mean is (between + noise)/N.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints
from ..hypergeometric import probability
from .again import draw_variances, subset_variances
from .comparison import pseudo_difference
from .distributions import f_above, normal_quantile, t_quantile

__all__ = [
    "Components",
    "PassComponents",
    "best_rollouts",
    "components",
    "detectable_difference",
    "difference_variance",
    "enough_rollouts",
    "pass_components",
    "run_effect",
    "tasks_for_width",
    "tasks_to_decide",
    "tasks_to_detect",
]

# No plan asks for more tasks than this.
_MOST_TASKS = 10**9


@dataclass(frozen=True, slots=True)
class Components:
    """The two parts of the variance of a task's mean score.

    Attributes:
        between: σ_b², the variance of the true means of tasks.
        within: σ_w², the variance of the rollouts of one task; NaN if no task has two.
        mean: The mean over tasks.
        tasks: How many tasks the pilot has.
    """

    between: float
    within: float
    mean: float
    tasks: int

    @property
    def icc(self) -> float:
        """Intraclass correlation σ_b² / (σ_b² + σ_w²): the share of the variance that is between tasks."""
        total = self.between + self.within
        return self.between / total if total > 0 else math.nan

    def noise(self, rollouts: int) -> float:
        """Run noise of one task with so many rollouts: σ_w²/n."""
        return self.within / rollouts

    def standard_error(self, tasks: int, rollouts: int) -> float:
        """Standard error that so many tasks, with so many rollouts each, would have."""
        return math.sqrt((self.between + self.noise(rollouts)) / tasks)


@dataclass(frozen=True, slots=True)
class PassComponents:
    """The two parts of the variance of a task's pass@k.

    Attributes:
        between: The variance of the true pass@k of tasks.
        failing: M_a for a = 0 … 2k, the mean over tasks of the chance that a rollouts all fail; shape (2k + 1,).
        k: How many are drawn.
        mean: The mean over tasks of pass@k.
        tasks: How many tasks of the pilot have 2k rollouts.
    """

    between: float
    failing: Floats
    k: int
    mean: float
    tasks: int

    def noise(self, rollouts: int) -> float:
        """Run noise of one task with n ≥ k rollouts: Σ_j H(j; n, k, k)·M_{2k−j} − M_{2k}.

        j is how many rollouts two draws of k have in common.
        """
        j = np.arange(self.k + 1)
        shared = probability(j, rollouts, self.k, self.k)
        return max(0.0, float(shared @ self.failing[2 * self.k - j] - self.failing[2 * self.k]))

    def standard_error(self, tasks: int, rollouts: int) -> float:
        """Standard error that so many tasks, with so many rollouts each, would have."""
        return math.sqrt((self.between + self.noise(rollouts)) / tasks)


def components(scores: Floats) -> Components:
    """The variance between and within tasks of a pilot, by analysis of variance.

    σ_w² is the mean of s_i² over the tasks with two rollouts or more, σ_b² = max(0, s²(x̄_i) − mean(σ_w²-part of x̄_i)).

    Args:
        scores: One row per task, NaN where a score is missing or beyond the task's rollouts; shape (T, W).

    >>> pilot = [[1, 1, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1], [0, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]]
    >>> found = components(np.array(pilot, dtype=float))
    >>> round(found.within, 4), round(found.between, 4), round(found.icc, 4), round(found.standard_error(6, 4), 4)
    (0.1667, 0.1083, 0.3939, 0.1581)
    """
    n = (~np.isnan(scores)).sum(axis=1)
    scores, n = scores[n > 0], n[n > 0]
    if len(n) < 2:
        raise ValueError(f"a pilot needs 2 tasks with a score (there {'is' if len(n) == 1 else 'are'} {len(n)})")
    means = np.nansum(scores, axis=1) / n
    spread = draw_variances(scores)
    if np.isnan(spread).all():
        return Components(math.nan, math.nan, float(means.mean()), len(n))
    within = float(np.nanmean(spread))
    noise = np.where(np.isnan(spread), within, spread) / n
    return Components(max(0.0, float(means.var(ddof=1) - noise.mean())), within, float(means.mean()), len(n))


def pass_components(n: Ints, c: Ints, k: int) -> PassComponents:
    """The variance of pass@k between tasks, and what its run noise at any number of rollouts is made of.

    Args:
        n: Rollouts of each task; shape (tasks,).
        c: Successful ones among them; shape (tasks,).
        k: How many are drawn.

    Raises:
        ValueError: If fewer than two tasks have 2k rollouts, without which the noise cannot be known.
    """
    enough = n >= 2 * k
    n, c = n[enough], c[enough]
    if len(n) < 2:
        raise ValueError(f"pass@{k} can be planned from a pilot with {2 * k:,} rollouts per task, on 2 tasks or more")
    drawn = np.arange(2 * k)
    factors = np.maximum((n - c)[:, None] - drawn, 0) / (n[:, None] - drawn)
    failing = np.cumprod(np.concatenate([np.ones((len(n), 1)), factors], axis=1), axis=1)
    values = 1.0 - failing[:, k]
    between = float(values.var(ddof=1) - subset_variances(n, n - c, k)[:, k - 1].mean())
    return PassComponents(max(0.0, between), failing.mean(axis=0), k, float(values.mean()), len(n))


def difference_variance(differences: ArrayLike, noise: ArrayLike) -> float:
    """How much the true differences of tasks between two runs vary: σ_δ² = max(0, s_d² − mean(v_A + v_B)).

    Args:
        differences: Candidate less baseline, one for each task; shape (tasks,).
        noise: Run-again variance of each, v_A + v_B, such as s_A²/n_A + s_B²/n_B; shape (tasks,).
    """
    values = np.asarray(differences, dtype=np.float64)
    return max(0.0, float(values.var(ddof=1) - np.asarray(noise, dtype=np.float64).mean()))


# --- differences ----------------------------------------------------------------------------------------------------


def detectable_difference(
    variance: float,
    tasks: int,
    *,
    draws: int = 1,
    bounded: bool = True,
    confidence: float = 0.95,
    power: float = 0.8,
) -> float:
    """The true difference that a paired comparison of so many tasks shows with a given power.

    t·√((v + D²/(N + 1))/(N + 2)) + z_power·√(v/N), with D the pseudo-task of `paired`.

    Args:
        variance: v = σ_δ² plus the run noise of a task on both sides.
        tasks: N, at least 2.
        draws: ⌊n/k⌋ on the side with fewer; from 8 on the pseudo-task may be smaller.
        bounded: Whether values lie between 0 and 1; otherwise there is no pseudo-task, and the plain t test is meant.
        confidence: Of the interval that has to leave out 0.
        power: Between 0 and 1.

    >>> round(detectable_difference(0.012 + 0.14 / 4 + 0.13 / 4, 500), 6)
    0.035646
    """
    t = float(t_quantile(tasks - 1.0, (1.0 + confidence) / 2.0))
    if bounded:
        extra = float(pseudo_difference(tasks, draws, 0.0)) ** 2
        error = math.sqrt((variance + extra / (tasks + 1.0)) / (tasks + 2.0))
    else:
        error = math.sqrt(variance / tasks)
    return t * error + normal_quantile(power) * math.sqrt(variance / tasks)


def tasks_to_detect(
    variance: float,
    difference: float,
    *,
    draws: int = 1,
    bounded: bool = True,
    confidence: float = 0.95,
    power: float = 0.8,
) -> int | None:
    """The fewest tasks of which a paired comparison shows a true difference; see `detectable_difference`.

    Returns:
        The number of tasks; None if a thousand million do not suffice.

    >>> tasks_to_detect(0.012 + 0.14 / 4 + 0.13 / 4, 0.03)
    703
    """

    def shows(tasks: int) -> bool:
        found = detectable_difference(variance, tasks, draws=draws, bounded=bounded, confidence=confidence, power=power)
        return found <= difference

    few, many = 1, 2
    while not shows(many):
        few, many = many, 2 * many
        if many > _MOST_TASKS:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if shows(middle) else (middle, many)
    return many


def tasks_to_decide(
    value: float, bound: float, variance: float, *, confidence: float = 0.95, power: float = 0.8
) -> int | None:
    """How many tasks decide whether a mean lies above or below a bound, if its true value is the value seen.

    N = (z_{1−α/2} + z_power)²·s²/(value − bound)².

    Args:
        value: The mean seen.
        bound: What it is to be told from.
        variance: s² of the task values.
        confidence: Of the interval.
        power: With which it shall decide.

    Returns:
        The number of tasks; None where it would have no end, or where s² is 0 or absent.

    >>> tasks_to_decide(0.563, 0.5, 0.1004)
    199
    """
    if not variance > 0 or not abs(value - bound) > 0:
        return None
    quantiles = normal_quantile((1.0 + confidence) / 2.0) + normal_quantile(power)
    found = (quantiles / (value - bound)) ** 2 * variance
    return math.ceil(found) if found <= _MOST_TASKS else None


def tasks_for_width(variance: float, width: float, *, confidence: float = 0.95) -> int:
    """How many tasks make the interval of a mean so wide: the N at which 2·z·√(v/N) is the width.

    Args:
        variance: v, between tasks plus run noise.
        width: Upper bound less lower bound.
        confidence: Of the interval.

    >>> tasks_for_width(0.1, 0.05)
    615
    """
    return math.ceil((2.0 * normal_quantile((1.0 + confidence) / 2.0) / width) ** 2 * variance)


# --- rollouts or tasks ----------------------------------------------------------------------------------------------


def best_rollouts(within: float, between: float, cost_task: float, cost_rollout: float) -> float:
    """The rollouts per task that make most of a budget: √((σ_w²/σ²)·(cost of a task / cost of a rollout)).

    If a task costs nothing, more tasks always win, and one rollout is best.

    Args:
        within: The numerator of the run noise: σ_w², or σ_wA² + σ_wB² for a difference.
        between: The variance that rollouts do not reduce: σ_b², or σ_δ² for a difference.
        cost_task: What a task costs, whatever its rollouts.
        cost_rollout: What a rollout costs, in the same unit.

    Returns:
        At least 1; infinity if tasks do not differ.

    >>> best_rollouts(0.16, 0.04, 9.0, 1.0)
    6.0
    """
    if not between > 0:
        return math.inf if within > 0 and cost_task > 0 else 1.0
    return max(1.0, math.sqrt(within / between * cost_task / cost_rollout))


def enough_rollouts(within: float, between: float) -> int | None:
    """The rollouts per task from which more change little: run noise is then at most a quarter of the rest.

    The standard error is then within 12 % of the least that these tasks allow.

    Args:
        within: The numerator of the run noise, as in `best_rollouts`.
        between: The variance that rollouts do not reduce.

    Returns:
        At least 1; None if tasks do not differ, so that every rollout helps.

    >>> enough_rollouts(0.16, 0.04)
    16
    """
    if not between > 0:
        return None
    return max(1, math.ceil(4.0 * within / between - 1e-9))


# --- runs -----------------------------------------------------------------------------------------------------------


def run_effect(scores: Floats) -> tuple[float, float]:
    """Whether whole runs differ, as when a server was down during one: F test of the tasks by runs table.

    F = MS_run / MS_residual with (n − 1, (N − 1)(n − 1)) degrees of freedom. A run is the i-th rollout of every task.

    Args:
        scores: One row per task, without gaps; shape (N, n).

    Returns:
        F and its p-value; NaN for fewer than two tasks or runs, gaps, or no spread left within the table.

    >>> table = [[1, 1, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1], [0, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]]
    >>> [round(number, 4) for number in run_effect(np.array(table, dtype=float))]
    [0.625, 0.6098]
    """
    tasks, runs = scores.shape
    if tasks < 2 or runs < 2 or np.isnan(scores).any():
        return math.nan, math.nan
    centered = scores - scores.mean(axis=1, keepdims=True)
    by_run = centered.mean(axis=0)
    residual = float(((centered - by_run) ** 2).sum()) / ((tasks - 1) * (runs - 1))
    if not residual > 1e-20 * float(np.abs(scores).max()) ** 2:
        return math.nan, math.nan
    f = tasks * float((by_run**2).sum()) / (runs - 1) / residual
    return f, f_above(runs - 1, (tasks - 1) * (runs - 1), f)
