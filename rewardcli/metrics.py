"""The numbers: arrays in, arrays out.

Rollouts come as ragged arrays. `values` has one score per rollout, NaN where it is missing; the rollouts of unit (task)
`u` are `values[starts[u]:starts[u + 1]]`, in the order in which "the first k" counts. In docstrings n is how many
rollouts of a task have the score, c how many of these are correct, and k how many are drawn, from 1 up to the length K
of the longest task.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Curve",
    "Statistics",
    "answered_at_k",
    "describe",
    "majority_at_k",
    "mean_by_position",
    "mean_of_first_k",
    "pass_at_k",
    "prefix_std",
    "std_across_runs",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.number)

# Tasks are worked on in blocks of at most this many cells, so that memory does not grow with the data.
_CELLS = 1 << 20

# From this length on, finding a median is faster than sorting; short groups sort faster.
_LONG_GROUP = 1024


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric for k = 1 … K, as sums over tasks, which add up across tables.

    Attributes:
        total: Sum of the tasks' values; shape (K,).
        n_tasks: How many tasks count; shape (K,).
        n_rollouts: How many rollouts stand behind the value; shape (K,).
    """

    total: Floats
    n_tasks: Ints
    n_rollouts: Ints

    @property
    def mean(self) -> Floats:
        """Mean over the tasks that count; NaN where none does."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total / self.n_tasks

    @property
    def percent(self) -> Floats:
        """The mean in percent."""
        with np.errstate(over="ignore"):
            return 100.0 * self.mean


@dataclass(frozen=True, slots=True)
class _Block:
    """Some tasks as rows of a matrix, padded at the right."""

    units: Ints
    starts: Ints
    lengths: Ints

    @property
    def columns(self) -> Ints:
        """The numbers of the columns."""
        return np.arange(int(self.lengths[-1]))

    @property
    def padded(self) -> bool:
        """Whether any task is shorter than the longest."""
        return bool(self.lengths[0] != self.lengths[-1])

    @property
    def inside(self) -> Mask:
        """By cell, whether it is a rollout rather than padding."""
        return self.columns < self.lengths[:, None]

    def of(self, values: NDArray[Number], padding: float = np.nan) -> NDArray[Number]:
        """The values of these tasks: not to be changed, since without padding they are the values themselves."""
        width, first = int(self.lengths[-1]), int(self.starts[0])
        if not self.padded and self.starts[-1] - first == width * (len(self.units) - 1):
            return values[first : first + width * len(self.units)].reshape(-1, width)
        inside = self.inside
        rows = np.where(inside, self.starts[:, None] + self.columns, first)
        return np.where(inside, values[rows], padding).astype(values.dtype, copy=False)


def _blocks(starts: Ints) -> Iterator[_Block]:
    """All tasks that have rollouts, in blocks of tasks of similar length, the shortest first.

    Padding at most doubles the cells.
    """
    lengths = np.diff(starts)
    units = (
        np.argsort(lengths, kind="stable")
        if len(lengths) and (lengths != lengths[0]).any()
        else np.arange(len(lengths))
    )
    units = units[np.searchsorted(lengths[units], 1) :]
    ordered = lengths[units]
    begin = 0
    while begin < len(units):
        end = int(np.searchsorted(ordered, 2 * ordered[begin], side="right"))
        end = begin + max(1, min(end - begin, _CELLS // int(ordered[end - 1])))
        yield _Block(units[begin:end], starts[units[begin:end]], ordered[begin:end])
        begin = end


def _longest(starts: Ints) -> int:
    return int(np.diff(starts).max(initial=0))


def _add(total: NDArray[np.generic], by_k: NDArray[np.generic]) -> None:
    """Adds a block's sums for k = 1 … its width; a task that is shorter than k counts with all it has."""
    width = len(by_k)
    total[:width] += by_k  # type: ignore[misc]
    total[width:] += by_k[-1]  # type: ignore[misc]


# --- metrics over k -------------------------------------------------------------------------------------------------


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
    longest = _longest(starts)
    present = np.isfinite(values)
    counts = np.diff(np.concatenate([[0], np.cumsum(present)])[starts])
    total = np.zeros(longest)
    binary_pairs = []
    for block in _blocks(starts):
        scores = block.of(values)
        gone = np.isnan(scores)
        binary = ((scores == 0) | (scores == 1) | gone).all(axis=1)
        n = counts[block.units]
        correct = np.nansum(scores[binary], axis=1).astype(np.int64)
        binary_pairs.append(n[binary] * (longest + 1) + correct)
        if not binary.all():
            scores, gone, n = scores[~binary], gone[~binary], n[~binary]
            # Present scores to the left, in order: the first k are the first k that exist.
            scores = np.take_along_axis(scores, np.argsort(gone, axis=1, kind="stable"), axis=1)
            best = np.fmax.accumulate(scores, axis=1)
            best[np.arange(best.shape[1]) >= n[:, None]] = 0
            total[: best.shape[1]] += best.sum(axis=0)
    if binary_pairs:
        pairs, weights = np.unique(np.concatenate(binary_pairs), return_counts=True)
        step = max(1, _CELLS // max(longest, 1))
        for begin in range(0, len(pairs), step):
            n, c = np.divmod(pairs[begin : begin + step], longest + 1)
            total += weights[begin : begin + step] @ _pass_probability(n, c, longest)
    by_count = np.bincount(counts, minlength=longest + 1)
    return Curve(total, _at_least(by_count), _at_least(by_count * np.arange(longest + 1)))


def _pass_probability(n: Ints, c: Ints, longest: int) -> Floats:
    """1 - C(n - c, k) / C(n, k) for k = 1 … K, 0 where k > n; shape (pairs, K)."""
    drawn = np.arange(longest)
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
    longest = _longest(starts)
    total, n_tasks, n_rollouts = np.zeros(longest), np.zeros(longest, np.int64), np.zeros(longest, np.int64)
    for block in _blocks(starts):
        scores = block.of(values)
        counts = np.cumsum(~np.isnan(scores), axis=1)
        sums = np.cumsum(np.nan_to_num(scores, nan=0.0), axis=1)
        _add(total, (sums / np.maximum(counts, 1)).sum(axis=0))
        _add(n_tasks, (counts > 0).sum(axis=0))
        _add(n_rollouts, counts.sum(axis=0))
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
    longest = _longest(starts)
    total, n_tasks, n_rollouts = np.zeros(longest), np.zeros(longest, np.int64), np.zeros(longest, np.int64)
    for block in _blocks(starts):
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
        _add(total, stds)
        _add(n_tasks, (counts >= 2).sum(axis=1))
        _add(n_rollouts, np.where(counts >= 2, counts, 0).sum(axis=1))
    return Curve(total, n_tasks, n_rollouts)


def majority_at_k(values: Floats, answers: Codes, starts: Ints) -> Curve:
    """Score of the majority answer among the first k rollouts.

    Among the first k rollouts that have an answer and the score, (answer, score) pairs are counted; the scores of all
    pairs tied at the highest count are averaged. A task without such a rollout counts as 0.

    Args:
        values: Scores; shape (rollouts,).
        answers: Answer codes, -1 for none; shape (rollouts,).
        starts: Shape (tasks + 1,).

    Returns:
        Sums over tasks; all tasks count. `n_rollouts` counts the votes.

    Source:
        NeMo Gym's majority@k; maj@k of Wang et al. 2022, arXiv:2203.11171.

    >>> majority_at_k(np.array([0.0, 1.0, 1.0]), np.array([7, 4, 4], dtype=np.int32), np.array([0, 3])).mean.tolist()
    [0.0, 0.5, 1.0]
    """
    longest = _longest(starts)
    total, n_rollouts = np.zeros(longest), np.zeros(longest, np.int64)
    for block in _blocks(starts):
        scores = block.of(values)
        codes = block.of(answers, -1)
        votes = (codes >= 0) & ~np.isnan(scores)
        level = _ranks(scores)
        ballots = np.where(votes, codes.astype(np.int64) * (level.max(initial=0) + 1) + level, -1)
        seen = np.where(votes, _occurrences(ballots), 0).T  # how often this ballot was cast up to here
        best = np.maximum.accumulate(seen, axis=0)
        scores, votes = np.where(votes, scores, 0.0).T, votes.T
        # A ballot reaches a count once only: those that reach the highest count are the tied ones.
        sums, tied = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
        winners = np.empty(len(scores))
        for k in range(len(scores)):
            level_with_best = votes[k] & (seen[k] == best[k])
            higher = best[k] > (best[k - 1] if k else 0)
            sums = np.where(higher, 0.0, sums) + np.where(level_with_best, scores[k], 0.0)
            tied = np.where(higher, 0.0, tied) + level_with_best
            winners[k] = (sums / np.maximum(tied, 1)).sum()
        _add(total, winners)
        _add(n_rollouts, np.cumsum(votes.sum(axis=1)))
    return Curve(total, np.full(longest, len(starts) - 1), n_rollouts)


def _ranks(scores: Floats) -> Ints:
    """Equal scores as equal small integers."""
    if ((scores == 0) | (scores == 1) | np.isnan(scores)).all():
        return np.nan_to_num(scores, nan=0.0).astype(np.int64)
    return np.unique(scores, return_inverse=True)[1].reshape(scores.shape)


def _occurrences(ballots: Ints) -> Ints:
    """For every cell, how many cells up to it in its row hold the same value."""
    order = np.argsort(ballots, axis=1, kind="stable")
    ordered = np.take_along_axis(ballots, order, axis=1)
    columns = np.arange(ballots.shape[1])
    new = np.ones(ballots.shape, np.bool_)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    run = columns - np.maximum.accumulate(np.where(new, columns, 0), axis=1) + 1
    seen = np.empty_like(run)
    np.put_along_axis(seen, order, run, axis=1)
    return seen


def answered_at_k(answers: Codes, starts: Ints) -> Curve:
    """Share of tasks with an answer among their first k rollouts.

    Args:
        answers: Answer codes, -1 for none; shape (rollouts,).
        starts: Shape (tasks + 1,).

    Returns:
        Sums over tasks of 0 or 1; all tasks count. `n_rollouts` counts the rollouts looked at.
    """
    longest = _longest(starts)
    total, n_rollouts = np.zeros(longest), np.zeros(longest, np.int64)
    for block in _blocks(starts):
        found = block.of(answers, -1) >= 0
        _add(total, np.maximum.accumulate(found, axis=1).sum(axis=0).astype(np.float64))
        _add(n_rollouts, np.cumsum(block.inside.sum(axis=0)))
    return Curve(total, np.full(longest, len(starts) - 1), n_rollouts)


# --- runs -----------------------------------------------------------------------------------------------------------


def mean_by_position(values: Floats, starts: Ints) -> Curve:
    """Mean over tasks of the score of rollout position 1 … K: what one run over all tasks would have given.

    Args:
        values: Scores; shape (rollouts,).
        starts: Shape (tasks + 1,).

    Returns:
        Sums over the tasks that have the score at that position.
    """
    longest = _longest(starts)
    position = np.arange(len(values)) - np.repeat(starts[:-1], np.diff(starts))
    present = np.isfinite(values)
    counts = np.bincount(position[present], minlength=longest)
    total = np.bincount(position[present], values[present], minlength=longest).astype(np.float64)
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


# --- statistics of groups -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of groups of values; NaN where one is undefined.

    Attributes:
        count: How many values there are; shape (groups,).
        mean, max, min, median: Undefined for a group without values; shape (groups,).
        std: The sample standard deviation (n - 1), undefined below two values; shape (groups,).
    """

    count: Ints
    mean: Floats
    max: Floats
    min: Floats
    median: Floats
    std: Floats


def describe(values: Floats, starts: Ints) -> Statistics:
    """Mean, max, min, median and std of groups of values.

    Args:
        values: Numbers, NaN where missing; shape (values,).
        starts: Group g is `values[starts[g]:starts[g + 1]]`; shape (groups + 1,).

    Returns:
        One value a group of each statistic.

    >>> describe(np.array([1.0, 2.0, np.nan, 6.0]), np.array([0, 4])).median.tolist()
    [2.0]
    """
    present = np.isfinite(values)
    if not present.all():
        starts = np.concatenate([[0], np.cumsum(present)])[starts]
        values = values[present]
    count = np.diff(starts)
    mean, high, low, median, std = (np.full(len(count), np.nan) for _ in range(5))
    for block in _blocks(starts):
        n = block.lengths
        ordered = _ordered(block.of(values, np.inf), n)
        with np.errstate(over="ignore", invalid="ignore"):
            center = block.of(values, 0.0).sum(axis=1) / n
            spread = ordered - center[:, None]
            if block.padded:
                spread[~block.inside] = 0.0
            deviation = np.sqrt((spread**2).sum(axis=1) / np.maximum(n - 1, 1))
        each = np.arange(len(n))
        mean[block.units] = center
        low[block.units] = ordered[:, 0]
        high[block.units] = ordered[each, n - 1]
        median[block.units] = 0.5 * ordered[each, (n - 1) // 2] + 0.5 * ordered[each, n // 2]
        std[block.units] = np.where(n > 1, deviation, np.nan)
    return Statistics(count, mean, high, low, median, std)


def _ordered(rows: Floats, n: Ints) -> Floats:
    """The rows with their least, middle and greatest values where sorting would put them."""
    if n[0] < _LONG_GROUP or n[0] != n[-1]:
        return np.sort(rows, axis=1)
    last = int(n[0]) - 1
    return np.partition(rows, sorted({0, last // 2, (last + 1) // 2, last}), axis=1)
