"""Values as strict JSON can hold them, and as its text."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from ..metrics.histogram import Histogram

__all__ = ["encode", "finite_number", "strict"]


def strict(value: Any) -> Any:
    """The value as strict JSON can hold it: NaN and infinite numbers as null, numpy's numbers and arrays as Python's.

    >>> strict({"a": float("nan"), 1: (np.float64(2.0), np.array([3]))})
    {'a': None, '1': [2.0, [3]]}
    """
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items() if not isinstance(item, Histogram)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [strict(item) for item in value]
    return value


def finite_number(value: Any) -> int | float | None:
    """A value as a number that statistics can be made of, booleans as 0 and 1; None for any other."""
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if not isinstance(value, numbers.Real):
        return None
    try:
        return value if math.isfinite(value) else None  # type: ignore[return-value]
    except OverflowError:  # an integer beyond 1.8e308
        return None


def encode(value: Any, convert: Callable[[Any], Any] | None = None) -> bytes:
    """The compact JSON text of a value, with integers of any size, and null for NaN and infinite numbers.

    Args:
        value: Dicts, lists, numbers, texts, and rows that `as_structs` made.
        convert: Makes such values of any others.
    """
    import msgspec

    return msgspec.json.encode(value, enc_hook=convert)
