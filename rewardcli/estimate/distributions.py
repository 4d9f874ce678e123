"""Quantiles and tails of the Beta, t, normal and F distributions.

The only module that knows scipy. `scipy.special` takes 165 ms to import, which only those who ask for an interval
should wait for, so each function imports what it needs when it is called.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats

__all__ = ["beta_above", "beta_below", "beta_quantile", "f_above", "normal_quantile", "t_below", "t_quantile"]


def beta_quantile(a: ArrayLike, b: ArrayLike, p: ArrayLike) -> Floats:
    """The value that a Beta(a, b) variable stays below with probability p."""
    from scipy.special import betaincinv

    return np.asarray(betaincinv(a, b, p), dtype=np.float64)


def beta_below(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Floats:
    """Probability that a Beta(a, b) variable is at most x; any real x."""
    from scipy.special import betainc

    return np.asarray(betainc(a, b, np.clip(x, 0.0, 1.0)), dtype=np.float64)


def beta_above(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Floats:
    """Probability that a Beta(a, b) variable is at least x; any real x."""
    from scipy.special import betaincc

    return np.asarray(betaincc(a, b, np.clip(x, 0.0, 1.0)), dtype=np.float64)


def t_quantile(df: ArrayLike, p: ArrayLike) -> Floats:
    """The value that Student's t with df degrees of freedom stays below with probability p; NaN where df is not > 0."""
    from scipy.special import stdtrit

    df = np.asarray(df, dtype=np.float64)
    return np.where(df > 0, np.asarray(stdtrit(np.where(df > 0, df, 1.0), p), dtype=np.float64), np.nan)


def t_below(df: ArrayLike, t: ArrayLike) -> Floats:
    """Probability that Student's t with df degrees of freedom is at most t; NaN where df is not > 0."""
    from scipy.special import stdtr

    df = np.asarray(df, dtype=np.float64)
    return np.where(df > 0, np.asarray(stdtr(np.where(df > 0, df, 1.0), t), dtype=np.float64), np.nan)


def normal_quantile(p: float) -> float:
    """The value that a standard normal variable stays below with probability p."""
    from scipy.special import ndtri

    return float(ndtri(p))


def f_above(df1: float, df2: float, f: float) -> float:
    """Probability that an F variable with (df1, df2) degrees of freedom is at least f."""
    from scipy.special import fdtrc

    return float(fdtrc(df1, df2, f))
