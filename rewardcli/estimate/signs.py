"""The exact test of paired differences: all ways to swap the two sides within tasks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints

__all__ = ["sign_flip_p"]

# Differences are taken as whole multiples of one step if that step is no smaller than one in so many.
_FINEST = 10_000
# Steps of work up to which the distribution of whole sums is built; sums of 2^20 sign patterns take about as much.
_WORK = 200_000_000
_PATTERNS = 20
# How many sign patterns are drawn where not all can be looked at.
_SAMPLE = 100_000
# Sums that differ by less than this share of their size are equal, and were rounded differently.
_ROUNDING = 1e-9


def sign_flip_p(differences: ArrayLike) -> tuple[float, bool]:
    """Two-sided p-value of the sign-flip test: how many sign patterns give a sum as far from 0 as that observed.

    Right only if the two sides are exchangeable within each task, and so have as many rollouts. With one rollout per
    task it is McNemar's exact test.

    Args:
        differences: One for each task; shape (tasks,).

    Returns:
        The p-value, and whether all patterns were counted. They are if the differences are multiples of some step, as
        differences of shares of n rollouts are, or if no more than 20 differ from 0. Otherwise 100,000 are drawn,
        always the same ones.

    >>> sign_flip_p([1] * 12 + [-1] * 4 + [0] * 84)
    (0.076812744140625, True)
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    observed = abs(values.sum()) - _ROUNDING * np.abs(values).sum()
    whole = _whole_multiples(np.abs(values))
    if whole is not None:
        sums, chances = _whole_sums(whole)
        step = np.abs(values).sum() / max(int(whole.sum()), 1)
        return min(1.0, float(chances[np.abs(sums) * step >= observed].sum())), True
    if len(values) <= _PATTERNS:
        totals = np.zeros(1)
        for value in values.tolist():
            totals = np.concatenate([totals - value, totals + value])
        return float((np.abs(totals) >= observed).mean()), True
    rng = np.random.default_rng(0)
    extreme = 1  # the pattern observed
    for _ in range(100):
        signs = 2.0 * rng.integers(0, 2, (_SAMPLE // 100, len(values)), dtype=np.int8) - 1.0
        extreme += int((np.abs(signs @ values) >= observed).sum())
    return extreme / (_SAMPLE + 1), False


def _whole_multiples(sizes: Floats) -> Ints | None:
    """The sizes as whole multiples of their common step, if there is one and it is not too fine."""
    fractions = [Fraction(size).limit_denominator(_FINEST) for size in np.unique(sizes).tolist()]
    scale = math.lcm(*(fraction.denominator for fraction in fractions)) if fractions else 1
    multiples = np.rint(sizes * min(scale, 10**12))
    if scale > 10**12 or not np.allclose(multiples / scale, sizes, rtol=1e-12, atol=0):
        return None
    whole = multiples.astype(np.int64)
    whole //= max(int(np.gcd.reduce(whole)), 1)
    return whole if float(whole.sum()) * len(whole) <= _WORK else None


def _whole_sums(sizes: Ints) -> tuple[Ints, Floats]:
    """All sums of whole numbers with random signs, and their probabilities."""
    chances = np.ones(1)  # of the sum of those with a plus sign
    for size in np.sort(sizes).tolist():
        wider = np.zeros(len(chances) + size)
        wider[: len(chances)] += 0.5 * chances
        wider[size:] += 0.5 * chances
        chances = wider
    return 2 * np.arange(len(chances)) - int(sizes.sum()), chances
