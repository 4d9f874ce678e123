"""The plurality answer of k rollouts drawn at random from the n of a task, exactly: cons@k.

Of the n rollouts of a task, n_a give the answer a, n_b the answer b …, and s are silent: they are drawn, but give no
answer. Answer a wins a draw of k with t votes if no other answer has more; r others with just as many share the win
evenly. With one factor for each other answer,

    W_a(k) = 1/C(n, k) · Σ_t C(n_a, t) · [z^(k − t)] (1 + z)^s · ∫₀¹ Π_b ( Σ_{j<t} C(n_b, j)·z^j + y·C(n_b, t)·z^t ) dy,

because ∫ yʳ dy = 1/(r + 1). All terms are positive, so nothing cancels. What makes it fast: an answer with fewer than t
rollouts cannot tie, and joins the silent ones; a polynomial in y is integrated exactly at a few Gauss-Legendre nodes,
or term by term at t = 1, where every answer may tie; and only answers with a score other than 0 are looked at, once for
all tasks in which the answers are split alike. Every C(m, j) is kept as a binomial probability
C(m, j)·p^j·(1 − p)^(m − j), which takes the same factor out of numerator and denominator and stays within the range of
a float.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..arrays import Codes, Floats, Ints
from .metric import Metric
from .ragged import Block, TaskValues

__all__ = ["METRICS", "cons_at_k", "win_probabilities"]

# Up to this many rollouts every C(m, j)/2^m is a normal float, and so is every product of them that occurs.
_EVEN_ODDS_SUFFICE = 1000
# Beyond, only those draws k are read off at one p whose binomial probability is at least e to this power.
_SMALLEST_LOG = -600.0


def cons_at_k(scores: Floats, answers: Codes) -> Floats:
    """Expected score of the most frequent answer among k rollouts of a task: cons@k.

    The mean over all k-subsets of the rollouts that have the score. Ties are split evenly, the score of an answer is
    its mean over the rollouts that give it, and a subset without any answer scores 0.

    Args:
        scores: One row per task, NaN where a score is missing or beyond the task's rollouts; shape (T, W).
        answers: Codes of answers, -1 for none; shape (T, W).

    Returns:
        For k = 1 … W, in the unit of the score; NaN where k > n, the scores present; shape (T, W).

    Source:
        Exact form of maj@k (Wang et al. 2022, arXiv:2203.11171), which samples subsets.

    >>> right, wrong = 0, 1
    >>> cons_at_k(np.array([[1.0, 1.0, 0.0]]), np.array([[right, right, wrong]], dtype=np.int32)).round(4).tolist()
    [[0.6667, 0.6667, 1.0]]
    """
    n = (~np.isnan(scores)).sum(axis=1)
    found = np.where(np.arange(scores.shape[1]) < n[:, None], 0.0, np.nan)
    for split in _splits(scores, answers):
        size = split.silent + sum(split.counts)
        for own in sorted(set(split.counts)):
            credit = np.bincount(split.task, split.score * (split.votes == own), minlength=len(split.tasks))
            if credit.any():
                others = list(split.counts)
                others.remove(own)
                found[split.tasks, :size] += np.outer(credit, win_probabilities(own, others, split.silent))
    return found


@dataclass(frozen=True, slots=True)
class _Split:
    """The tasks whose rollouts split alike into answers, and the scores of these answers.

    Attributes:
        counts: Votes of each answer, the most first.
        silent: Rollouts without an answer.
        tasks: Which tasks these are.
        task, votes, score: For each answer of these tasks: its place in `tasks`, its votes, its mean score.
    """

    counts: list[int]
    silent: int
    tasks: Ints
    task: Ints
    votes: Ints
    score: Floats


def _splits(scores: Floats, answers: Codes) -> Iterator[_Split]:
    """The tasks with any answer, in groups that split alike."""
    present = ~np.isnan(scores)
    codes = np.where(present, answers, -1)
    order = np.argsort(codes, axis=1, kind="stable")
    codes = np.take_along_axis(codes, order, axis=1)
    voting = codes >= 0
    first = voting.copy()
    first[:, 1:] &= codes[:, 1:] != codes[:, :-1]
    answer = (np.cumsum(first) - 1)[voting.ravel()]
    task = np.nonzero(first)[0]
    votes = np.bincount(answer, minlength=len(task))
    total = np.bincount(answer, np.take_along_axis(scores, order, axis=1)[voting], minlength=len(task))
    silent = present.sum(axis=1) - voting.sum(axis=1)

    most_first = np.lexsort((-votes, task))
    task, votes, score = task[most_first], votes[most_first], (total / votes)[most_first]
    starts = np.searchsorted(task, np.arange(len(scores) + 1))
    table = np.zeros((len(scores), 1 + int(np.diff(starts).max(initial=0))), dtype=np.int32)
    table[:, 0] = silent
    table[task, 1 + np.arange(len(task)) - starts[task]] = votes
    groups: dict[bytes, list[int]] = {}
    for row in np.unique(task).tolist():
        groups.setdefault(table[row].tobytes(), []).append(row)
    for rows in groups.values():
        tasks = np.array(rows)
        lengths = starts[tasks + 1] - starts[tasks]  # equal, as the tasks split alike
        entries = (starts[tasks][:, None] + np.arange(lengths[0])).ravel()
        counts = table[rows[0], 1 : 1 + lengths[0]].tolist()
        yield _Split(
            counts,
            int(silent[rows[0]]),
            tasks,
            np.repeat(np.arange(len(tasks)), lengths),
            votes[entries],
            score[entries],
        )


def win_probabilities(own: int, others: list[int], silent: int) -> Floats:
    """Probability that an answer wins the vote of k rollouts, ties split evenly: W_a(k) for k = 1 … n.

    Args:
        own: Rollouts that give the answer, at least 1.
        others: Rollouts that give each other answer.
        silent: Rollouts that give none.

    Returns:
        In [0, 1]; shape (n,).

    >>> win_probabilities(2, [1], 0).round(4).tolist()
    [0.6667, 0.6667, 1.0]
    """
    n = own + sum(others) + silent
    found = np.empty(n)
    for first, last, p in _windows(n):
        k = np.arange(first, last + 1)
        found[first - 1 : last] = _favourable(own, others, silent, p)[k] / _binomial(n, p)[k]
    return found


def _favourable(own: int, others: list[int], silent: int, p: float) -> Floats:
    """W_a(k) times the binomial probability of k, for k = 0 … n."""
    n = own + sum(others) + silent
    votes, favourable = _binomial(own, p), np.zeros(n + 1)
    ties = _one_vote(others, silent, p)
    favourable[1 : 1 + len(ties)] += votes[1] * ties
    # Between two successive counts the answers that may tie are the same.
    steps = sorted({1, own, *(count for count in others if 1 < count < own)})
    for below, last in itertools.pairwise(steps):
        rivals = [count for count in others if count > below]
        part = np.zeros(last * (1 + len(rivals)) + 1)
        for t in range(below + 1, last + 1):
            standing = _rivals_at_most(t, Counter(rivals), p)
            part[t : t + len(standing)] += votes[t] * standing
        whole = np.convolve(part, _binomial(n - own - sum(rivals), p))[: n + 1]
        favourable[: len(whole)] += whole
    return favourable


def _one_vote(others: list[int], silent: int, p: float) -> Floats:
    """The polynomial in z beside C(n_a, t) at t = 1: each other answer has no vote, or one and ties."""
    tied = np.ones(1)
    for count, times in Counter(others).items():
        tied = np.convolve(tied, _power(_binomial(count, p)[:2], times))
    return np.convolve(tied / np.arange(1, len(tied) + 1), _binomial(silent, p))


def _rivals_at_most(t: int, rivals: Counter[int], p: float) -> Floats:
    """The integral over y of the product over rivals, as a polynomial in z; each has t votes at most, or ties with t.

    Args:
        t: 2 or more.
        rivals: How many answers have each number of rollouts, all t or more.
        p: As in `_binomial`.
    """
    factors = [(_binomial(count, p)[: t + 1], times) for count, times in rivals.items()]
    nodes, weights = _gauss_legendre(rivals.total() // 2 + 1)
    found = np.zeros(t * rivals.total() + 1)
    for y, weight in zip(nodes, weights, strict=True):
        product = None
        for factor, times in factors:
            tied = factor.copy()
            tied[t] *= y
            power = _power(tied, times)
            product = power if product is None else np.convolve(product, power)
        found += weight if product is None else weight * product
    return found


def _power(polynomial: Floats, exponent: int) -> Floats:
    """A polynomial multiplied by itself, `exponent` factors in all."""
    if exponent == 1:
        return polynomial
    half = _power(polynomial, exponent // 2)
    square = np.convolve(half, half)
    return np.convolve(square, polynomial) if exponent % 2 else square


@lru_cache(maxsize=1024)
def _binomial(m: int, p: float) -> Floats:
    """C(m, j)·p^j·(1 − p)^(m − j) for j = 0 … m, to 14 digits: from the greatest outwards, then scaled to sum 1."""
    j = np.arange(1, m + 1)
    middle = int((m + 1) * p)
    ratios = (m + 1 - j) / j * (p / (1.0 - p))
    up = np.cumprod(ratios[middle:])
    down = np.cumprod(1.0 / ratios[:middle][::-1])[::-1]
    found = np.concatenate([down, [1.0], up])
    return np.asarray(found / found.sum(), dtype=np.float64)


@lru_cache(maxsize=256)
def _gauss_legendre(count: int) -> tuple[list[float], list[float]]:
    """Nodes and weights on [0, 1], exact for polynomials of degree 2·count − 1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (0.5 + 0.5 * nodes).tolist(), (0.5 * weights).tolist()


@lru_cache(maxsize=64)
def _windows(n: int) -> tuple[tuple[int, int, float], ...]:
    """Ranges of k that together are 1 … n, each with a p at which its binomial probabilities are normal floats."""
    if n <= _EVEN_ODDS_SUFFICE:
        return ((1, n, 0.5),)
    k = np.arange(n + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    choices = factorials[n] - factorials - factorials[::-1]
    windows, first = [], 1
    while first <= n:
        # The largest p = mean/n at which the first k is still likely enough.
        means = np.arange(first, n, dtype=np.float64) if first < n else np.array([n - 0.5])
        likely = choices[first] + first * np.log(means / n) + (n - first) * np.log1p(-means / n) >= _SMALLEST_LOG
        p = float(means[likely][-1]) / n
        last = int(k[choices + k * np.log(p) + (n - k) * np.log1p(-p) >= _SMALLEST_LOG][-1])
        windows.append((first, last, p))
        first = last + 1
    return tuple(windows)


def expected_plurality_of_k(block: Block) -> TaskValues:
    """The expected score of the most frequent answer among k rollouts drawn; NaN where k > n."""
    if block.answers is None:
        raise TypeError("voting needs answers")
    return TaskValues(cons_at_k(block.scores, block.answers), block.n[:, None])


def _not_defined(block: Block) -> TaskValues:
    return TaskValues(np.full(block.scores.shape, np.nan), block.n[:, None])


METRICS = (
    Metric(
        "cons@k",
        "the expected score of the most frequent answer among k rollouts drawn; a draw without any answer scores 0",
        "mean over all k-subsets, ties split evenly",
        "exact form of maj@k, Wang et al. 2022, arXiv:2203.11171",
        of_block=expected_plurality_of_k,
        of_no_answer=_not_defined,
        needs_answers=True,
        default=False,
    ),
)
