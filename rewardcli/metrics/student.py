"""Student's t distribution, as far as 95 % intervals need it.

`scipy.special` has it too, but takes longer to import than a small file takes to profile
(docs/decisions/0009-student-t.md).
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Floats, Ints

__all__ = ["t_975"]

_Z_975 = 1.959963984540054  # of the normal distribution, the limit
_FEW = 1000  # up to so many degrees of freedom the sum is used, from there on the series
_MOST_STEPS = 50


def t_975(freedom: Ints) -> Floats:
    """The 97.5 % quantile: 95 % of the distribution lies between its negative and itself.

    Args:
        freedom: Degrees of freedom, at least 1; shape (n,).

    Returns:
        Quantiles, to within 1e-13 of themselves; shape (n,).

    Source:
        Abramowitz and Stegun 1964, 26.7.3 and 26.7.4 (the distribution function, by Newton's method), 26.7.5 (the
        expansion about the normal quantile).

    >>> t_975(np.array([1, 10, 10**6])).round(6).tolist()
    [12.706205, 2.228139, 1.959966]
    """
    distinct, which = np.unique(freedom, return_inverse=True)
    few = distinct[distinct <= _FEW]
    return np.concatenate([[_by_newton(int(n)) for n in few], _by_series(distinct[len(few) :])])[which]


def _by_series(freedom: Ints) -> Floats:
    z, n = _Z_975, freedom.astype(np.float64)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return np.asarray(z + sum(term / n**power for power, term in enumerate(terms, 1)))


def _by_newton(freedom: int) -> float:
    """The quantile as sqrt(n) tan(angle): between minus that angle and the angle lies 95 % of the distribution."""
    odd = freedom % 2
    steps = np.arange(1 + odd, freedom - 1, 2)
    factors = np.cumprod(np.concatenate([[1.0], steps / (steps + 1)])) if freedom > 1 else np.empty(0)
    powers = odd + 2 * np.arange(len(factors))
    density = 2 / math.sqrt(math.pi) * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    angle = math.atan(_Z_975 / math.sqrt(freedom))
    for _ in range(_MOST_STEPS):
        inside = math.sin(angle) * float(factors @ math.cos(angle) ** powers)
        inside = 2 / math.pi * (angle + inside) if odd else inside
        step = (0.95 - inside) / (density * math.cos(angle) ** (freedom - 1))
        angle += step
        if abs(step) < 1e-15:
            break
    return math.sqrt(freedom) * math.tan(angle)
