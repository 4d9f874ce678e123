"""Metrics of k rollouts drawn at random from the n of a task: how many of them succeed, and the best of them.

The functions of n, the rollouts of each task that have the score, and c, the successful ones among them, are means of
a credit for J, the number of successes among k rollouts drawn without replacement: 1 from a threshold on, or how far J
lies above one half of k.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..arrays import Floats, Ints
from ..hypergeometric import greatest, tails
from .metric import Metric
from .ragged import Block, TaskValues

__all__ = ["METRICS", "g_pass_at_k", "max_at_k", "mg_pass_at_k"]

# The weights of max@k, one for each k and rollout, are made in pieces of this many, which stay in the cache.
_CELLS = 1 << 14


def g_pass_at_k(n: Ints, c: Ints, width: int, tau: Fraction) -> Floats:
    """Probability that at least a share τ of k rollouts succeeds, and at least one: g-pass@k[τ].

    Σ_{j ≥ m} C(c, j)·C(n − c, k − j) / C(n, k) with m = max(⌈τk⌉, 1). It is pass@k at τ = 0, and pass^k at τ = 1.

    Args:
        n: Rollouts of each task; shape (P,).
        c: Successful ones among them; shape (P,).
        width: K, the highest k.
        tau: τ, from 0 to 1; a fraction, since 0.1 as a float times 30 is a little more than 3.

    Returns:
        For k = 1 … K, in [0, 1]; NaN where k > n; shape (P, K).

    Raises:
        ValueError: If τ is not between 0 and 1.

    Source:
        Liu et al. 2024, arXiv:2412.13147.

    >>> g_pass_at_k(np.array([4]), np.array([2]), 4, Fraction("0.5")).round(4).tolist()
    [[0.5, 0.8333, 0.5, 1.0]]
    """
    if not 0 <= tau <= 1:
        raise ValueError(f"the threshold of g-pass@k is {float(tau)}; it must lie between 0 and 1")
    k = np.arange(1, width + 1)
    return tails(n, c, np.maximum(-(-k * tau.numerator // tau.denominator), 1))


def mg_pass_at_k(n: Ints, c: Ints, width: int) -> Floats:
    """Mean of g-pass@k over the thresholds above one half: mg-pass@k.

    (2/k)·Σ_{i = ⌈k/2⌉ + 1}^{k} P(J ≥ i) = (2/k)·E max(J − ⌈k/2⌉, 0). At odd k it reaches only (k − 1)/k, as in the
    paper.

    Args:
        n: Rollouts of each task; shape (P,).
        c: Successful ones among them; shape (P,).
        width: K, the highest k.

    Returns:
        For k = 1 … K, in [0, 1]; NaN where k > n and at k = 1, where there is no such threshold; shape (P, K).

    Source:
        Liu et al. 2024, arXiv:2412.13147.

    >>> mg_pass_at_k(np.array([10]), np.array([4]), 5).round(4).tolist()
    [[nan, 0.1333, 0.0222, 0.0619, 0.0095]]
    """
    k = np.arange(1, width + 1)
    half = -(-k // 2)
    # E[J; J > h]: each of the expected k·c/n successes counts in the draws that hold h or more other successes.
    others = np.zeros((len(n), width))
    others[:, 1:] = tails(np.maximum(n - 1, 0), np.maximum(c - 1, 0), half[1:])
    expected = k * (c / np.maximum(n, 1))[:, None]
    found = np.maximum(expected * others - half * tails(n, c, half + 1), 0.0) * 2.0 / k
    return np.where(k >= 2, found, np.nan)


def max_at_k(scores: Floats) -> Floats:
    """Expected maximum of k rollouts of a task, for any real score: max@k.

    Σ_i s_(i)·C(i − 1, k − 1) / C(n, k) over the scores in ascending order. It does not depend on the order of the
    rollouts, and equals pass@k for 0/1 scores.

    Args:
        scores: One row per task, NaN where a score is missing or beyond the task's rollouts; shape (T, W).

    Returns:
        For k = 1 … W, in the unit of the score; NaN where k > n, the scores present; shape (T, W).

    Source:
        Order statistics; Bagirov et al. 2025, arXiv:2510.23393.

    >>> max_at_k(np.array([[0.5, 0.0, 2.0, 1.0, 0.25]])).round(6).tolist()
    [[0.75, 1.225, 1.55, 1.8, 2.0]]
    """
    ascending = np.sort(scores, axis=1)  # NaN comes last
    counts = (~np.isnan(scores)).sum(axis=1)
    found = np.full(scores.shape, np.nan)
    for n in np.unique(counts[counts > 0]).tolist():
        rows = counts == n
        best = ascending[rows, n - 1]
        # What each score lacks of the best: where all are equal the result is then that value, to the last digit.
        lacking = best[:, None] - ascending[rows, :n]
        step = max(1, _CELLS // n)
        for first in range(1, n + 1, step):
            k = np.arange(first, min(first + step, n + 1))
            found[np.ix_(rows, k - 1)] = best[:, None] - lacking @ greatest(n, k).T
    return found


def expected_best_of_k(block: Block) -> TaskValues:
    """The expected best of k rollouts drawn; NaN where k > n."""
    return TaskValues(max_at_k(block.scores), block.n[:, None])


METRICS = (
    Metric(
        "g-pass@k[τ]",
        "the chance that at least the share τ of k rollouts succeeds, for scores of 0 and 1",
        "Σ C(c, j)·C(n - c, k - j) / C(n, k) over j from max(⌈τk⌉, 1)",
        "Liu et al. 2024, arXiv:2412.13147",
        of_share=g_pass_at_k,
        default=False,
    ),
    Metric(
        "mg-pass@k",
        "the mean of g-pass@k over the thresholds above one half, for scores of 0 and 1",
        "(2/k)·E max(J - ⌈k/2⌉, 0), J the successes among k rollouts drawn",
        "Liu et al. 2024, arXiv:2412.13147",
        of_counts=mg_pass_at_k,
        first_k=2,
        default=False,
    ),
    Metric(
        "max@k",
        "the expected best of k rollouts drawn, for any scores",
        "Σ s(i)·C(i - 1, k - 1) / C(n, k), scores ascending",
        "order statistics; Bagirov et al. 2025, arXiv:2510.23393",
        of_block=expected_best_of_k,
        default=False,
    ),
)
