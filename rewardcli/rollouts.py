"""Rollouts as columns, which every number is computed from.

Rows are sorted by task, agent and rollout. A *task* here is one task attempted by one agent; its rows are contiguous,
so that `starts` describes all tasks at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Codes, Floats, Ints, Mask
from .errors import DataError
from .keys import names_of, sorting_order

__all__ = [
    "ABSENT",
    "BOOLEAN",
    "DEFAULT_AGENT",
    "FLOAT",
    "INFINITE",
    "INTEGER",
    "MISSING_REASONS",
    "NAN",
    "NOT_A_NUMBER",
    "NULL",
    "Column",
    "Labels",
    "Rollouts",
]


# What stood in a field, by row. Everything below INTEGER is a reason why a number is missing.
ABSENT, NULL, NOT_A_NUMBER, NAN, INFINITE, INTEGER, FLOAT, BOOLEAN = range(8)
MISSING_REASONS = {ABSENT: "absent", NULL: "null", NOT_A_NUMBER: "not a number", NAN: "NaN", INFINITE: "infinite"}

# The agent of rollouts that name none.
DEFAULT_AGENT = "agent"


@dataclass(slots=True)
class Labels:
    """A column of keys: a code by row (-1 where there is none) into the distinct values."""

    codes: Codes
    values: list[Hashable]
    present: bool = True  # whether any row has the field at all, be it null

    def take(self, rows: Any) -> Labels:
        """The same labels for some of the rows."""
        return Labels(self.codes[rows], self.values, self.present)

    @staticmethod
    def merge(parts: Sequence[Labels]) -> Labels:
        """The labels of several tables, one below the other."""
        index: dict[Hashable, int] = {}
        codes = [np.empty(0, np.int32)]
        for part in parts:
            # The appended -1 is what code -1 picks.
            merged = np.array([*(index.setdefault(value, len(index)) for value in part.values), -1], dtype=np.int32)
            codes.append(merged[part.codes])
        return Labels(np.concatenate(codes), list(index), any(part.present for part in parts))

    def filled(self, value: Hashable) -> Labels:
        """The same labels, with a value where there was none."""
        if not (self.codes < 0).any():
            return self
        merged = Labels.merge([Labels(np.zeros(1, np.int32), [value]), self])
        return Labels(np.where(self.codes < 0, merged.codes[0], merged.codes[1:]), merged.values)

    def sorted(self) -> Labels:
        """The same labels, with the values in sorting order, so that codes compare as their values do."""
        order = sorting_order(self.values)
        ranks = np.full(len(self.values) + 1, -1, dtype=np.int32)
        ranks[order] = np.arange(len(self.values))
        return Labels(ranks[self.codes], [self.values[i] for i in order], self.present)


# A column that has fewer values than one row in so many names their rows.
_RARE = 8


@dataclass(slots=True)
class Column:
    """A column of numbers; a rare field names the rows that have it, and takes no space for the others.

    Attributes:
        values: The numbers; NaN where one is missing. Booleans are 0 and 1.
        kinds: By row, what stood there: one of the constants above.
        exact: By row, what a float cannot hold (an int beyond 2**53, a reward that is no number); None elsewhere.
        rows: The rows that the arrays above are of, ascending; None for all. In any other row there was nothing.
        length: How many rows there are.
    """

    values: Floats
    kinds: NDArray[np.uint8]
    exact: NDArray[np.object_] | None = None
    rows: Ints | None = None
    length: int = -1

    def __post_init__(self) -> None:
        if self.rows is None:
            self.length = len(self.values)

    def __len__(self) -> int:
        return self.length

    @staticmethod
    def absent(length: int) -> Column:
        """A column of which no row has a value."""
        return Column(np.full(length, np.nan), np.zeros(length, np.uint8))

    @staticmethod
    def merge(parts: Sequence[tuple[int, Column]], length: int, places: Ints | None = None) -> Column:
        """The column that has each part from the row given with it on.

        Args:
            parts: First rows, and the parts that begin there.
            length: How many rows the column has.
            places: By row of the parts, the row of the column to which it goes, -1 for none; None if it stays.
        """
        if sum(np.count_nonzero(part.kinds) for _, part in parts) > length // _RARE:
            return Column._merge_dense(parts, length, places)
        rows = np.concatenate([np.empty(0, np.int64), *(start + part.own_rows() for start, part in parts)])
        values = np.concatenate([np.empty(0), *(part.values for _, part in parts)])
        kinds = np.concatenate([np.empty(0, np.uint8), *(part.kinds for _, part in parts)])
        exact = np.concatenate([np.empty(0, object), *(part.all_exact() for _, part in parts)])
        if places is not None:
            rows = places[rows]
        order = np.argsort(rows, kind="stable")
        order = order[(rows[order] >= 0) & (kinds[order] != ABSENT)]
        held = exact[order] if any(part.exact is not None for _, part in parts) else None
        return Column(values[order], kinds[order], held, rows[order], length)

    @staticmethod
    def _merge_dense(parts: Sequence[tuple[int, Column]], length: int, places: Ints | None) -> Column:
        merged = Column.absent(length + 1)  # the last row takes what goes nowhere, and is left out
        if any(part.exact is not None for _, part in parts):
            merged.exact = np.full(length + 1, None, dtype=object)
        for start, part in parts:
            rows: Any = slice(start, start + len(part)) if part.rows is None else start + part.rows
            rows = rows if places is None else places[rows]
            merged.values[rows] = part.values
            merged.kinds[rows] = part.kinds
            if merged.exact is not None and part.exact is not None:
                merged.exact[rows] = part.exact
        return merged.take(slice(length))

    def dense(self) -> Column:
        """The same column with all its rows."""
        return self if self.rows is None else Column._merge_dense([(0, self)], self.length, None)

    def own_rows(self) -> Ints:
        """The rows that the arrays are of."""
        return np.arange(self.length) if self.rows is None else self.rows

    def all_exact(self) -> NDArray[np.object_]:
        """`exact` even where there is none."""
        return np.full(len(self.values), None, dtype=object) if self.exact is None else self.exact

    def take(self, rows: Any) -> Column:
        """The same column for some of the rows: a slice, a mask or positions."""
        if self.rows is None:
            return Column(self.values[rows], self.kinds[rows], None if self.exact is None else self.exact[rows])
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(self.length)
            own: Any = slice(*np.searchsorted(self.rows, [start, stop]).tolist())
            new, length = self.rows[own] - start, stop - start
        elif rows.dtype == np.bool_:
            own = rows[self.rows]
            new, length = (np.cumsum(rows) - 1)[self.rows[own]], int(np.count_nonzero(rows))
        else:
            return self.dense().take(rows)
        return Column(self.values[own], self.kinds[own], None if self.exact is None else self.exact[own], new, length)

    def in_groups(self, starts: Ints) -> tuple[Floats, Ints]:
        """The values of groups of rows, each from one start up to the next, and where the groups' values start."""
        begins = starts if self.rows is None else np.searchsorted(self.rows, starts)
        return self.values[begins[0] : begins[-1]], begins - begins[0]

    def first_number(self) -> int | None:
        """The first row with a number, be it NaN or infinite."""
        found = self.kinds >= NAN
        if not found.any():
            return None
        first = int(np.argmax(found))
        return first if self.rows is None else int(self.rows[first])

    def over(self, other: Column | None) -> Column:
        """This column, and where this has no number the other."""
        if other is None:
            return self
        mine = self.dense()
        return mine.choose(mine.kinds >= INTEGER, other.dense())

    def choose(self, own: Mask, other: Column) -> Column:
        """This column where `own` holds, the other elsewhere; both with all their rows."""
        merged = Column(np.where(own, self.values, other.values), np.where(own, self.kinds, other.kinds))
        if self.exact is not None or other.exact is not None:
            merged.exact = np.where(own, self.all_exact(), other.all_exact())
        return merged

    def missing_reasons(self) -> dict[str, int]:
        """How many values are missing, by reason; reasons that do not occur are left out."""
        counts = np.bincount(self.kinds, minlength=len(MISSING_REASONS))
        counts[ABSENT] += self.length - len(self.kinds)
        return {reason: int(counts[kind]) for kind, reason in MISSING_REASONS.items() if counts[kind]}

    def numbers(self, absent: Any = None) -> list[Any]:
        """The column as Python ints and floats: None for NaN and infinite values.

        Args:
            absent: What stands for a row in which there is no number at all.
        """
        if self.rows is not None:
            listed = [absent] * self.length
            own = Column(self.values, self.kinds, self.exact).numbers(absent)
            for row, number in zip(self.rows.tolist(), own, strict=True):
                listed[row] = number
            return listed
        if self.exact is None and len(self):
            if (self.kinds == FLOAT).all():
                return self.values.tolist()  # type: ignore[no-any-return]
            if ((self.kinds == INTEGER) | (self.kinds == BOOLEAN)).all():
                return self.values.astype(np.int64).tolist()  # type: ignore[no-any-return]
        found = np.full(len(self), absent, dtype=object)
        found[(self.kinds == NAN) | (self.kinds == INFINITE)] = None
        floats = self.kinds == FLOAT
        found[floats] = self.values[floats]
        whole = (self.kinds == INTEGER) | (self.kinds == BOOLEAN)
        if self.exact is not None:
            held = whole & _held(self.exact)
            found[held] = self.exact[held]
            whole &= ~held
        found[whole] = self.values[whole].astype(np.int64)
        return found.tolist()

    def as_found(self, absent: Any = None) -> list[Any]:
        """The column as it stood in the rows, booleans and what is no number too; None for NaN and infinite values.

        Args:
            absent: What stands for a row without the field.
        """
        column = self.dense()
        found = np.array([*column.numbers(absent), None], dtype=object)[:-1]
        found[column.kinds == NULL] = None
        true = column.kinds == BOOLEAN
        found[true] = column.values[true].astype(np.bool_)
        if column.exact is not None:
            held = (column.kinds == NOT_A_NUMBER) & _held(column.exact)
            found[held] = column.exact[held]
        return found.tolist()  # type: ignore[no-any-return]


def _held(exact: NDArray[np.object_]) -> Mask:
    """By row, whether there is anything."""
    return np.array([value is not None for value in exact], dtype=np.bool_)


@dataclass(slots=True)
class Rollouts:
    """Rollouts as columns, sorted by task, agent and rollout.

    Attributes:
        starts: The rows of unit `u` are `starts[u]` up to `starts[u + 1]`; shape (units + 1,).
        tasks: By unit, the task.
        agents: By unit, the agent.
        rollouts: By row, the rollout key.
        positions: By row, where it stood among the rows before they were sorted.
        masked: By row, whether the rollout is left out of every statistic.
        numbers: Top-level numeric fields, in first-seen order.
        usage: Numeric fields of `response.usage`.
        labels: Answers and subset values by field.
        field_order: The fields, in the order in which rows have them.
        notes: What the reader decided and the user should know.
    """

    starts: Ints
    tasks: Labels
    agents: Labels
    rollouts: Labels
    positions: Ints
    masked: Mask
    numbers: dict[str, Column] = field(default_factory=dict)
    usage: dict[str, Column] = field(default_factory=dict)
    labels: dict[str, Labels] = field(default_factory=dict)
    field_order: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def n_rollouts(self) -> int:
        """How many rollouts there are, masked ones included."""
        return len(self.masked)

    @property
    def n_tasks(self) -> int:
        """How many (task, agent) pairs there are."""
        return len(self.starts) - 1

    def number(self, field: str) -> Column:
        """A numeric field with all its rows: at the top level, and in the usage only where it is absent there."""
        nothing = Column.absent(self.n_rollouts)
        top, usage = (columns.get(field, nothing).dense() for columns in (self.numbers, self.usage))
        return top.choose(top.kinds != ABSENT, usage)

    def by_first_rollout(self, field: str) -> Labels:
        """By unit, the label of its first rollout; -1 for a unit without rollouts."""
        labels = self.labels[field]
        codes = np.full(self.n_tasks, -1, np.int32)
        filled = np.diff(self.starts) > 0
        codes[filled] = labels.codes[self.starts[:-1][filled]]
        return Labels(codes, labels.values, labels.present)

    def row_agents(self) -> Codes:
        """By row, the code of its agent."""
        return np.repeat(self.agents.codes, np.diff(self.starts))

    def keep_rows(self, keep: Mask) -> Rollouts:
        """The table with some of the rows; all units stay, even if empty."""
        if keep.all():
            return self
        counted = np.concatenate([[0], np.cumsum(keep)])
        return replace(
            self,
            starts=counted[self.starts],
            rollouts=self.rollouts.take(keep),
            positions=self.positions[keep],
            masked=self.masked[keep],
            numbers={name: column.take(keep) for name, column in self.numbers.items()},
            usage={name: column.take(keep) for name, column in self.usage.items()},
            labels={name: labels.take(keep) for name, labels in self.labels.items()},
        )

    def keep_tasks(self, keep: Mask) -> Rollouts:
        """The table with some of the units and their rows."""
        if keep.all():
            return self
        kept = self.keep_rows(np.repeat(keep, np.diff(self.starts)))
        starts = np.concatenate([kept.starts[:-1][keep], kept.starts[-1:]])
        return replace(kept, starts=starts, tasks=self.tasks.take(keep), agents=self.agents.take(keep))

    def measured(self) -> Rollouts:
        """The table without masked rollouts."""
        return self.keep_rows(~self.masked)

    def of_agent(self, agent: str | None) -> Rollouts:
        """The rollouts of one agent; all of them for None.

        Raises:
            DataError: No rollout is of that agent.
        """
        if agent is None:
            return self
        names = self.agent_names()
        if agent not in names:
            raise DataError(f"no rollout is of the agent '{agent}'", f"the agents are {', '.join(names[:12])}")
        return self.keep_tasks(self.agents.codes == names.index(agent))

    def agent_names(self) -> list[str]:
        """The agents' names, in the order of their codes."""
        return names_of(self.agents.values)

    def coverage(self) -> dict[str, int]:
        """How much is left out because it is masked; empty if nothing is."""
        if not self.masked.any():
            return {}
        measured = np.diff(np.concatenate([[0], np.cumsum(~self.masked)])[self.starts])
        return {
            "coverage/measured_rollouts": int((~self.masked).sum()),
            "coverage/masked_rollouts": int(self.masked.sum()),
            "coverage/measured_tasks": int((measured > 0).sum()),
            "coverage/fully_masked_tasks": int(((measured == 0) & (np.diff(self.starts) > 0)).sum()),
        }
