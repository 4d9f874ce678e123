"""How far a mean would move if the same tasks ran again, as opposed to other tasks of the same kind.

Where a statistic u of a task is the average of some h over all k-subsets of its n rollouts, its variance over runs is
estimated without bias by v = u² − (the mean of h(A)·h(B) over all disjoint k-subsets A and B). There is such an
estimate only if n ≥ 2k (Wang & Lindsay 2014). The mean of N tasks then has the variance Σv/N².
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Floats, Ints, Mask
from ..hypergeometric import greatest, probability

__all__ = [
    "RunNoise",
    "credit_variances",
    "disjoint_draws",
    "draw_variances",
    "max_variances",
    "mean_variances",
    "subset_variances",
]

# The share of the tasks that must have rollouts enough; the others are then taken to be like them.
_ENOUGH = 0.9
# A difference of two probabilities that is below this share of them is their rounding.
_ROUNDING = 1e-12
# Tables of probabilities are made for this many cells at a time.
_CELLS = 1 << 18


@dataclass(frozen=True, slots=True)
class RunNoise:
    """Sums over tasks of the run-again variances of K statistics; those of disjoint sets of tasks add up with `+`.

    Attributes:
        tasks: N, the tasks whose value counts; shape (K,).
        eligible: Those among them with rollouts enough for a variance; shape (K,).
        total: Σv over the eligible tasks; shape (K,).
        needed: Rollouts per task that a variance takes: 2k; shape (K,).
        fewest: The fewest rollouts of a task that counts; shape (K,).
        most: The most rollouts of a task that counts; shape (K,).
    """

    tasks: Ints
    eligible: Ints
    total: Floats
    needed: Ints
    fewest: Ints
    most: Ints

    @classmethod
    def of(
        cls,
        variances: ArrayLike,
        rollouts: ArrayLike,
        needed: ArrayLike,
        *,
        counted: ArrayLike | None = None,
        weights: ArrayLike | None = None,
    ) -> RunNoise:
        """The sums of task variances.

        Args:
            variances: v of each task, NaN where it has too few rollouts; shape (tasks, K).
            rollouts: n of each task; shape (tasks,).
            needed: 2k; shape (K,).
            counted: Whether the task has a value at all; shape (tasks, K). If not given: whether n ≥ k.
            weights: How many tasks each row stands for; shape (tasks,). One if not given.
        """
        table, n = np.asarray(variances, dtype=np.float64), np.asarray(rollouts, dtype=np.int64)
        twice = np.broadcast_to(np.asarray(needed, dtype=np.int64), table.shape[1:])
        counts: Mask = 2 * n[:, None] >= twice if counted is None else np.asarray(counted, dtype=np.bool_)
        times = np.ones(len(n), np.int64) if weights is None else np.asarray(weights, dtype=np.int64)
        held = counts & ~np.isnan(table)
        return cls(
            times @ counts.astype(np.int64),
            times @ held.astype(np.int64),
            times.astype(np.float64) @ np.where(held, table, 0.0),
            twice,
            np.where(counts, n[:, None], np.iinfo(np.int64).max).min(axis=0, initial=np.iinfo(np.int64).max),
            np.where(counts, n[:, None], 0).max(axis=0, initial=0),
        )

    @classmethod
    def none(cls, needed: Ints) -> RunNoise:
        """Those of no task, for statistics that need so many rollouts."""
        nobody = np.zeros(len(needed), np.int64)
        return cls(nobody, nobody, np.zeros(len(needed)), needed, np.full(len(needed), np.iinfo(np.int64).max), nobody)

    def take(self, statistics: Ints) -> RunNoise:
        """Those of some of the statistics."""
        return RunNoise(*(getattr(self, name)[statistics] for name in self.__slots__))

    def widened(self, needed: Ints, *, carried: bool) -> RunNoise:
        """The same for more statistics: past the last a task has its last variance, if it is carried, or none."""
        missing = len(needed) - len(self.needed)
        if carried and missing:
            last = self.take(np.full(missing, len(self.needed) - 1))
        else:
            last = RunNoise.none(needed[len(self.needed) :])
        wide = (np.append(getattr(self, name), getattr(last, name)) for name in self.__slots__ if name != "needed")
        tasks, eligible, total, fewest, most = wide
        return RunNoise(tasks, eligible, total, needed, fewest, most)

    def __add__(self, other: RunNoise) -> RunNoise:
        if self.needed.tolist() != other.needed.tolist():
            raise ValueError("run-again variances of different statistics do not add up")
        return RunNoise(
            self.tasks + other.tasks,
            self.eligible + other.eligible,
            self.total + other.total,
            self.needed,
            np.minimum(self.fewest, other.fewest),
            np.maximum(self.most, other.most),
        )

    @property
    def variance(self) -> Floats:
        """Variance of the mean over runs of the same tasks, in the squared unit of the values; shape (K,).

        NaN unless at least 90 % of the tasks have 2k rollouts, and unless the sum is above 0: single estimates may fall
        below, and 0 would claim certainty.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            found = self.total / self.eligible / self.tasks
        return np.where(self._enough & (found > 0), found, np.nan)

    @property
    def standard_error(self) -> Floats:
        """√variance; shape (K,)."""
        return np.sqrt(self.variance)

    @property
    def _enough(self) -> Mask:
        return (self.tasks > 0) & (self.eligible >= _ENOUGH * self.tasks)

    def described(self) -> tuple[list[float], list[str]]:
        """The standard errors, NaN where one is absent, and why it is; shape (K,)."""
        errors = self.standard_error.tolist()
        return errors, [self.why(i) if error != error else "" for i, error in enumerate(errors)]  # noqa: PLR0124 - NaN

    def why(self, i: int) -> str:
        """Why there is no standard error; empty where there is one."""
        needed, fewest, most = int(self.needed[i]), int(self.fewest[i]), int(self.most[i])
        if self.tasks[i] == 0:
            reason = "no task has a value"
        elif not self._enough[i]:
            purpose = f" for k = {needed // 2}" if needed > 2 else ""
            present = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
            reason = f"run-again error needs {needed:,} rollouts a task{purpose} (these have {present})"
        elif self.total[i] == 0:
            reason = "no run-again error: in no task do the rollouts differ"
        elif self.total[i] < 0:
            reason = "no run-again error: its estimate falls below 0, as it may with few rollouts"
        else:
            reason = ""
        return reason


# --- variances of one task ------------------------------------------------------------------------------------------


def mean_variances(within: ArrayLike, n: ArrayLike, *, pooled: bool = False) -> Floats:
    """Run-again variance of the mean score of each task: s²/n.

    Args:
        within: s², the sample variance of the task's rollouts, NaN where n < 2; shape (tasks,).
        n: Rollouts of each task; shape (tasks,). At most k where the mean is that of k rollouts.
        pooled: For the mean over all rollouts, whose task values are those of `pooled_task_values`.

    Returns:
        In the squared unit of the score; NaN where n < 2; shape (tasks,).
    """
    n = np.asarray(n, dtype=np.float64)
    weights = n * (n > 0).sum() / n.sum() if pooled else np.ones(len(n))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(n >= 2, weights**2 * np.asarray(within, dtype=np.float64) / n, np.nan)


def subset_variances(n: Ints, hits: Ints, longest: int) -> Floats:
    """Run-again variance of the probability that k rollouts of a task are all of one kind.

    v = u² − C(h, 2k)/C(n, 2k) with u = C(h, k)/C(n, k). With h the successes this is the variance of pass^k, with h the
    failures that of pass@k, which is one minus it.

    Args:
        n: Rollouts of each task; shape (P,).
        hits: h, those of the kind; shape (P,).
        longest: K.

    Returns:
        For k = 1 … K; NaN where n < 2k; shape (P, K).

    >>> subset_variances(np.array([8]), np.array([5]), 5).round(4).tolist()
    [[0.0335, 0.0561, 0.0319, 0.0051, nan]]
    """
    drawn = np.arange(2 * longest)
    left = n[:, None] - drawn
    factors = np.where(left > 0, np.maximum(hits[:, None] - drawn, 0) / np.maximum(left, 1), np.nan)
    together = np.cumprod(factors, axis=1, dtype=np.float64)
    return together[:, :longest] ** 2 - together[:, 1::2]


def credit_variances(n: Ints, c: Ints, k: int, credit: ArrayLike) -> Floats:
    """Run-again variance of the mean credit of k rollouts, for any credit for the number of successes among them.

    v = u² − Σ_j H(j; n, c, k)·credit(j)·E credit(J'), with J' hypergeometric of n − k, c − j and k. For g-pass@k the
    credit is 1 from max(⌈τk⌉, 1) on, for mg-pass@k it is (2/k)·max(j − ⌈k/2⌉, 0).

    Args:
        n: Rollouts of each task; shape (P,).
        c: Successful ones among them; shape (P,).
        k: How many are drawn.
        credit: For 0 … k successes; shape (k + 1,).

    Returns:
        NaN where n < 2k; shape (P,).
    """
    worth = np.asarray(credit, dtype=np.float64)
    j = np.arange(k + 1)
    found = np.full(len(n), np.nan)
    for size in np.unique(n[n >= 2 * k]).tolist():
        rows = np.flatnonzero(n == size)
        left = np.arange(size - k + 1)
        second = np.concatenate([probability(j, size - k, part[:, None], k) @ worth for part in _pieces(left, k + 1)])
        for part in _pieces(rows, k + 1):
            correct = c[part][:, None]
            first = probability(j, size, correct, k) * worth
            both = (first * second[np.clip(correct - j, 0, size - k)]).sum(axis=1)
            square = first.sum(axis=1) ** 2
            found[part] = np.where(np.abs(square - both) > _ROUNDING * square, square - both, 0.0)
    return found


def max_variances(scores: Floats, ks: Sequence[int]) -> Floats:
    """Run-again variance of the expected maximum of k rollouts of a task.

    v = u² − 2·Σ_{i<j} s_(i)·s_(j)·C(i − 1, k − 1)·C(j − 1 − k, k − 1) / (C(n, k)·C(n − k, k)) over the scores in
    ascending order.

    Args:
        scores: One row per task, NaN where a score is missing or beyond the task's rollouts; shape (T, W).
        ks: How many are drawn; shape (K,).

    Returns:
        In the squared unit of the score; NaN where n < 2k; shape (T, K).
    """
    ascending = np.sort(scores, axis=1)  # NaN comes last
    counts = (~np.isnan(scores)).sum(axis=1)
    found = np.full((len(scores), len(ks)), np.nan)
    for n in np.unique(counts).tolist():
        rows = np.flatnonzero(counts == n)
        # A shift changes no variance, but keeps what is subtracted small.
        centered = ascending[rows, :n] - ascending[rows, :n].mean(axis=1, keepdims=True) if n else ascending[rows, :0]
        for column, k in enumerate(ks):
            if n >= 2 * k:
                first = centered * greatest(n, [k])[0]
                below = np.cumsum(first, axis=1) - first
                both = (centered[:, k:] * greatest(n - k, [k])[0] * below[:, k:]).sum(axis=1)
                found[rows, column] = first.sum(axis=1) ** 2 - 2.0 * both
    return found


def disjoint_draws(metric: Callable[..., Floats], k: int, lengths: Ints, *tables: NDArray[np.generic]) -> Floats:
    """A metric of the first k rollouts, on each of the disjoint blocks of k rollouts that a task has.

    Args:
        metric: Takes tables of rollouts, one row per task and k columns; gives one value per task and number of
            rollouts, the last of which is taken.
        k: How many rollouts a block has.
        lengths: Rollouts of each task; shape (T,).
        tables: Scores, answers … as the metric takes them; shape (T, W).

    Returns:
        NaN where a task has no such block; shape (T, ⌊W/k⌋).
    """
    blocks = tables[0].shape[1] // k
    found = np.full((len(lengths), blocks), np.nan)
    for block in range(blocks):
        rows = np.flatnonzero(lengths >= (block + 1) * k)
        found[rows, block] = metric(*(table[rows, block * k : (block + 1) * k] for table in tables))[:, -1]
    return found


def draw_variances(draws: Floats) -> Floats:
    """Run-again variance of a metric of the first k rollouts: the sample variance of its values on disjoint draws.

    Of the scores themselves it is s², the variance between the rollouts of a task.

    Args:
        draws: From `disjoint_draws`, or scores; NaN where there is none; shape (T, draws).

    Returns:
        In the squared unit of the metric; NaN where a task has fewer than two draws; shape (T,).

    For an average over all k-subsets, such as cons@k, this divided by the number of draws is an upper bound (Hoeffding
    1963).
    """
    present = ~np.isnan(draws)
    count = present.sum(axis=1)
    mean = np.where(present, draws, 0.0).sum(axis=1) / np.maximum(count, 1)
    squares = (np.where(present, draws - mean[:, None], 0.0) ** 2).sum(axis=1)
    return np.where(count >= 2, squares / np.maximum(count - 1, 1), np.nan)


def _pieces(rows: Ints, width: int) -> list[Ints]:
    """The rows in pieces that hold a bounded number of cells."""
    step = max(1, _CELLS // width)
    return [rows[start : start + step] for start in range(0, len(rows), step)]
