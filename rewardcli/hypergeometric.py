"""Probabilities of draws without replacement: how many of k rollouts drawn from n succeed if c of the n do.

Logarithms of factorials would lose five digits at n = 10,000. Here their large parts are combined before they are
computed, as in Loader 2000 (Fast and accurate computation of binomial probabilities), which keeps twelve digits.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats

__all__ = ["greatest", "probability", "tails"]


def probability(j: ArrayLike, n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats:
    """Probability that exactly j of k rollouts drawn from n succeed, where c of the n do.

    C(c, j)·C(n − c, k − j) / C(n, k).

    Args:
        j: Any whole number.
        n: 0 or more.
        c: 0 … n.
        k: 0 … n.

    Returns:
        In the broadcast shape of the arguments; 0 where j cannot occur.

    >>> probability([0, 1, 2, 3], 5, 3, 2).round(12).tolist()
    [0.1, 0.6, 0.3, 0.0]
    """
    j, n, c, k = np.broadcast_arrays(*(np.asarray(x, dtype=np.int64) for x in (j, n, c, k)))
    possible = (j >= np.maximum(0, k - (n - c))) & (j <= np.minimum(c, k))
    j, n, c, k = (np.where(possible, x, 0) for x in (j, n, c, k))
    excess = _remainders(int(n.max(initial=0)))
    log = excess[c] + excess[n - c] + excess[k] + excess[n - k] - excess[n]
    expected = c * (k / np.maximum(n, 1))
    apart = j - expected  # the same, up to its sign, in all four cells of the table of drawn by successful
    for cell, mean, gap in (
        (j, expected, apart),
        (k - j, k - expected, -apart),
        (c - j, c - expected, -apart),
        (n - c - k + j, n - c - k + expected, apart),
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            log -= np.where(cell > 0, cell * np.log1p(gap / mean), 0.0) - gap + excess[cell]
    return np.where(possible, np.exp(log), 0.0)


def tails(n: ArrayLike, c: ArrayLike, least: ArrayLike) -> Floats:
    """Probability that at least m_k of k rollouts drawn from n succeed, for k = 1 … K.

    Drawing one more rollout changes it by the probability of standing just below the new threshold, times that of
    success, or less that of failure where the threshold rises too: one sum over k for all thresholds, exact to 1e-14.

    Args:
        n: Rollouts of each task; shape (P,).
        c: Successful ones among them; shape (P,).
        least: m_k for k = 1 … K: 1 or more, and as k rises by one it stays or rises by one; shape (K,).

    Returns:
        In [0, 1], NaN where k > n; shape (P, K).

    >>> tails([4], [2], [1, 1, 2, 2, 3]).round(4).tolist()
    [[0.5, 0.8333, 0.5, 1.0, nan]]
    """
    n, c, least = (np.asarray(x, dtype=np.int64) for x in (n, c, least))
    n, c = n[:, None], c[:, None]
    k = np.arange(1, len(least) + 1)
    inside = k <= n
    drawn, just_below = k - 1, least - 1
    before = probability(just_below, n, c, np.minimum(drawn, n))
    rises = np.diff(least, prepend=least[:1])
    steps = np.where(inside, before * ((c - just_below) / np.maximum(n - drawn, 1) - rises), 0.0)
    found = np.clip(np.cumsum(steps, axis=1), 0.0, 1.0)
    found = np.where(least > np.minimum(c, k), 0.0, found)  # cannot be reached
    found = np.where(k - (n - c) >= least, 1.0, found)  # cannot be missed
    return np.where(inside, found, np.nan)


def greatest(n: int, k: ArrayLike) -> Floats:
    """Probability that the i-th least of n values is the greatest of k drawn: C(i − 1, k − 1) / C(n, k).

    From w_n = k/n downwards by w_{i−1} = w_i·(i − k)/(i − 1).

    Args:
        n: How many values there are, at least 1.
        k: From 1 to n; shape (K,).

    Returns:
        For i = 1 … n; shape (K, n).

    >>> greatest(4, [2]).round(4).tolist()
    [[0.0, 0.1667, 0.3333, 0.5]]
    """
    k = np.asarray(k, dtype=np.int64)
    i = np.arange(n, 1, -1)
    factors = np.empty((len(k), n))
    factors[:, 0] = k / n
    factors[:, 1:] = np.maximum(i - k[:, None], 0) / (i - 1)
    return np.cumprod(factors, axis=1, dtype=np.float64)[:, ::-1]


def _remainders(largest: int) -> Floats:
    """The part of log x! beyond x·log x - x, for x = 0 … largest: small, and exact to the last digit or two."""
    x = np.maximum(np.arange(largest + 1, dtype=np.float64), 1.0)
    inverse = 1.0 / (x * x)
    series = 1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188)))
    excess = 0.5 * np.log(2.0 * math.pi * x) + series / x
    for few in range(min(largest + 1, 16)):
        excess[few] = math.log(math.factorial(few)) - (few * math.log(few) - few if few else 0.0)
    return excess
