"""Values of JSON as a column of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rollouts import ABSENT, BOOLEAN, FLOAT, INFINITE, INTEGER, NAN, NOT_A_NUMBER, NULL, Column
from .jsonrow import UNSET
from .layout import NO_NUMBER

__all__ = ["column_of"]

_EXACT_LIMIT = 2.0**53

# So many values show whether a field is in all rows.
_PROBE = 16


class _States(dict[type, int]):
    """What the values of a type are; numpy's scalars, which Python callers may have, count as Python's."""

    def __missing__(self, value_type: type) -> int:
        self[value_type] = (
            INTEGER if issubclass(value_type, (int, np.integer))
            else FLOAT if issubclass(value_type, (float, np.floating))
            else BOOLEAN if issubclass(value_type, np.bool_)
            else NOT_A_NUMBER
        )  # fmt: skip
        return self[value_type]


_STATE_OF = _States({type(UNSET): ABSENT, type(None): NULL, int: INTEGER, float: FLOAT, bool: BOOLEAN})


def column_of(
    values: Sequence[Any], *, state: int | None = None, only_numbers: bool = False, keep_texts: bool = False
) -> Column | None:
    """Make a column of values of JSON, of the rows that have the field; None if no row has it.

    Args:
        values: Python values as a JSON parser gives them; UNSET or NO_NUMBER where the field is absent.
        state: INTEGER or BOOLEAN where every value is known to be that or NO_NUMBER, which saves looking.
        only_numbers: Give None too if no value is a number.
        keep_texts: Whether `exact` holds what is not a number.
    """
    if not values or (values[0] is NO_NUMBER and values.count(NO_NUMBER) == len(values)):
        return None
    if state is not None and (column := _column_of_state(values, state)) is not None:
        return column
    first = values[:_PROBE]
    if NO_NUMBER not in first and UNSET not in first:  # it stands in all rows, so it seems
        types, distinct = _types_of(values)
        if only_numbers and not any(_STATE_OF[value_type] >= INTEGER for value_type in distinct):
            return None
        if type(UNSET) not in distinct and (column := _full_column(values, types, distinct, keep_texts)) is not None:
            return column
    rows = [row for row, value in enumerate(values) if value is not NO_NUMBER and value is not UNSET]
    full = column_of([values[row] for row in rows], only_numbers=only_numbers, keep_texts=keep_texts)
    return None if full is None else Column(full.values, full.states, full.exact, np.array(rows), len(values))


def _column_of_state(values: Sequence[float], state: int) -> Column | None:
    """The column of integers or booleans with gaps; None if a float cannot hold one of them."""
    numbers = _floats(values)
    rows = None
    if np.isnan(numbers).any():
        rows = np.flatnonzero(~np.isnan(numbers))
        numbers = numbers[rows]
    if np.abs(numbers).max(initial=0.0) >= _EXACT_LIMIT:
        return None
    return Column(numbers, np.full(len(numbers), state, np.uint8), None, rows, len(values))


def _types_of(values: Sequence[Any]) -> tuple[list[type], set[type]]:
    """By value its type, and the types there are."""
    types = list(map(type, values))
    return types, set(types[:1]) if types.count(types[0]) == len(types) else set(types)


def _full_column(values: Sequence[Any], types: list[type], distinct: set[type], keep_texts: bool) -> Column | None:
    """The column of values that stand in all rows; None if one turns out not to."""
    count = len(values)
    states = (
        np.full(count, _STATE_OF[types[0]], np.uint8)
        if len(distinct) == 1
        else np.fromiter(map(_STATE_OF.__getitem__, types), np.uint8, count)
    )
    numeric = states >= INTEGER
    if numeric.all():
        numbers = _floats(values)
        if np.abs(numbers).max() < _EXACT_LIMIT:  # false for NaN too: nothing is strange and nothing beyond a float
            return Column(numbers, states)
    else:
        numbers = np.full(count, np.nan)
        numbers[numeric] = _floats(list(compress(values, numeric.tolist())))
    strange = numeric & ~np.isfinite(numbers)
    if strange.any():
        if any(value is NO_NUMBER for value in values):
            return None
        states[strange] = np.where(np.isnan(numbers[strange]), NAN, INFINITE)
        numbers[strange] = np.nan
    column = Column(numbers, states)
    beyond = (states == INTEGER) & (np.abs(numbers) >= _EXACT_LIMIT)
    if keep_texts:
        beyond |= states == NOT_A_NUMBER
    if beyond.any():
        column.exact = np.full(len(values), None, dtype=object)
        for row in np.flatnonzero(beyond).tolist():
            column.exact[row] = int(values[row]) if states[row] == INTEGER else values[row]
    return column


def _floats(values: Sequence[Any]) -> NDArray[np.float64]:
    try:
        return np.fromiter(values, np.float64, len(values))
    except OverflowError:
        return np.fromiter(map(_as_float, values), np.float64, len(values))


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1.8e308
        return float("inf") if value > 0 else float("-inf")
