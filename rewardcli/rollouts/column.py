"""A column of numbers: by row a value, or why it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints, Mask

__all__ = [
    "ABSENT",
    "BOOLEAN",
    "FLOAT",
    "INFINITE",
    "INTEGER",
    "MISSING_REASONS",
    "NAN",
    "NOT_A_NUMBER",
    "NULL",
    "Column",
]

# What stood in a field, by row. Everything below INTEGER is a reason why a number is missing.
ABSENT, NULL, NOT_A_NUMBER, NAN, INFINITE, INTEGER, FLOAT, BOOLEAN = range(8)
MISSING_REASONS = {ABSENT: "absent", NULL: "null", NOT_A_NUMBER: "not a number", NAN: "NaN", INFINITE: "infinite"}

# A column that has fewer values than one row in so many names their rows.
_RARE = 8


@dataclass(slots=True)
class Column:
    """A column of numbers; a rare field names the rows that have it, and takes no space for the others.

    Attributes:
        values: The numbers; NaN where one is missing. Booleans are 0 and 1.
        states: By row, what stood there: one of the constants above.
        exact: By row, what a float cannot hold (an int beyond 2**53, a reward that is not a number); None elsewhere.
        rows: The rows that the arrays above are of, ascending; None for all. In any other row there was nothing.
        length: How many rows there are, where `rows` names some of them.
    """

    values: Floats
    states: NDArray[np.uint8]
    exact: NDArray[np.object_] | None = None
    rows: Ints | None = None
    length: int = -1

    def __len__(self) -> int:
        return len(self.values) if self.rows is None else self.length

    @staticmethod
    def absent(length: int) -> Column:
        """A column of which no row has a value."""
        return Column(np.full(length, np.nan), np.zeros(length, np.uint8))

    @staticmethod
    def concat(pieces: Sequence[tuple[int, Column]], length: int, destinations: Ints | None = None) -> Column:
        """Put pieces of a column into one.

        Args:
            pieces: First rows, and the pieces that begin there.
            length: How many rows the column has.
            destinations: By row of the pieces, the row of the column to which it goes, -1 for none; None if all stay.
        """
        if sum(np.count_nonzero(piece.states) for _, piece in pieces) > length // _RARE:
            return Column._concat_dense(pieces, length, destinations)
        rows = np.concatenate([np.empty(0, np.int64), *(start + piece.filled_rows() for start, piece in pieces)])
        values = np.concatenate([np.empty(0), *(piece.values for _, piece in pieces)])
        states = np.concatenate([np.empty(0, np.uint8), *(piece.states for _, piece in pieces)])
        exact = np.concatenate([np.empty(0, object), *(piece.all_exact() for _, piece in pieces)])
        if destinations is not None:
            rows = destinations[rows]
        order = np.argsort(rows, kind="stable")
        order = order[(rows[order] >= 0) & (states[order] != ABSENT)]
        kept = exact[order] if any(piece.exact is not None for _, piece in pieces) else None
        return Column(values[order], states[order], kept, rows[order], length)

    @staticmethod
    def _concat_dense(pieces: Sequence[tuple[int, Column]], length: int, destinations: Ints | None) -> Column:
        whole = Column.absent(length + 1)  # the last row takes what goes nowhere, and is left out
        if any(piece.exact is not None for _, piece in pieces):
            whole.exact = np.full(length + 1, None, dtype=object)
        for start, piece in pieces:
            rows: Any = slice(start, start + len(piece)) if piece.rows is None else start + piece.rows
            rows = rows if destinations is None else destinations[rows]
            whole.values[rows] = piece.values
            whole.states[rows] = piece.states
            if whole.exact is not None and piece.exact is not None:
                whole.exact[rows] = piece.exact
        return whole.take(slice(length))

    def dense(self) -> Column:
        """The same column with all its rows."""
        return self if self.rows is None else Column._concat_dense([(0, self)], self.length, None)

    def filled_rows(self) -> Ints:
        """The rows that the arrays are of."""
        return np.arange(len(self)) if self.rows is None else self.rows

    def all_exact(self) -> NDArray[np.object_]:
        """`exact` even where there is none."""
        return np.full(len(self.values), None, dtype=object) if self.exact is None else self.exact

    def take(self, rows: Any) -> Column:
        """The same column for some of the rows: a slice, a mask or positions."""
        if self.rows is None:
            return Column(self.values[rows], self.states[rows], None if self.exact is None else self.exact[rows])
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(self.length)
            kept: Any = slice(*np.searchsorted(self.rows, [start, stop]).tolist())
            moved, length = self.rows[kept] - start, stop - start
        elif rows.dtype == np.bool_:
            kept = rows[self.rows]
            moved, length = (np.cumsum(rows) - 1)[self.rows[kept]], int(np.count_nonzero(rows))
        else:
            return self.dense().take(rows)
        exact = None if self.exact is None else self.exact[kept]
        return Column(self.values[kept], self.states[kept], exact, moved, length)

    def in_groups(self, starts: Ints) -> tuple[Floats, Ints]:
        """The values of groups of rows, each from one start up to the next, and where the groups' values start."""
        begins = starts if self.rows is None else np.searchsorted(self.rows, starts)
        return self.values[begins[0] : begins[-1]], begins - begins[0]

    def first_number(self) -> int | None:
        """The first row with a number, be it NaN or infinite."""
        numeric = self.states >= NAN
        if not numeric.any():
            return None
        first = int(np.argmax(numeric))
        return first if self.rows is None else int(self.rows[first])

    def over(self, other: Column | None) -> Column:
        """This column, and where this has no number the other."""
        if other is None:
            return self
        column = self.dense()
        return column.choose(column.states >= INTEGER, other.dense())

    def choose(self, where: Mask, other: Column) -> Column:
        """This column where the mask holds, the other elsewhere; both with all their rows."""
        chosen = Column(np.where(where, self.values, other.values), np.where(where, self.states, other.states))
        if self.exact is not None or other.exact is not None:
            chosen.exact = np.where(where, self.all_exact(), other.all_exact())
        return chosen

    def missing_reasons(self) -> dict[str, int]:
        """How many values are missing, by reason; reasons that do not occur are left out."""
        counts = np.bincount(self.states, minlength=len(MISSING_REASONS))
        counts[ABSENT] += len(self) - len(self.states)
        return {reason: int(counts[state]) for state, reason in MISSING_REASONS.items() if counts[state]}

    def numbers(self, absent: Any = None) -> list[Any]:
        """The column as Python ints and floats: None for NaN and infinite values.

        Args:
            absent: What stands for a row in which there is no number at all.
        """
        if self.rows is not None:
            cells = [absent] * self.length
            filled = Column(self.values, self.states, self.exact).numbers(absent)
            for row, number in zip(self.rows.tolist(), filled, strict=True):
                cells[row] = number
            return cells
        if self.exact is None and len(self):
            if (self.states == FLOAT).all():
                return self.values.tolist()  # type: ignore[no-any-return]
            if ((self.states == INTEGER) | (self.states == BOOLEAN)).all():
                return self.values.astype(np.int64).tolist()  # type: ignore[no-any-return]
        objects = np.full(len(self), absent, dtype=object)
        objects[(self.states == NAN) | (self.states == INFINITE)] = None
        floats = self.states == FLOAT
        objects[floats] = self.values[floats]
        whole = (self.states == INTEGER) | (self.states == BOOLEAN)
        if self.exact is not None:
            kept = whole & _is_something(self.exact)
            objects[kept] = self.exact[kept]
            whole &= ~kept
        objects[whole] = self.values[whole].astype(np.int64)
        return objects.tolist()

    def as_read(self, absent: Any = None) -> list[Any]:
        """The column as it stood in the rows, booleans and what is not a number too; None for NaN and infinite values.

        Args:
            absent: What stands for a row without the field.
        """
        column = self.dense()
        objects = np.array([*column.numbers(absent), None], dtype=object)[:-1]
        objects[column.states == NULL] = None
        booleans = column.states == BOOLEAN
        objects[booleans] = column.values[booleans].astype(np.bool_)
        if column.exact is not None:
            kept = (column.states == NOT_A_NUMBER) & _is_something(column.exact)
            objects[kept] = column.exact[kept]
        return objects.tolist()  # type: ignore[no-any-return]


def _is_something(exact: NDArray[np.object_]) -> Mask:
    """By row, whether there is anything."""
    return np.array([value is not None for value in exact], dtype=np.bool_)
