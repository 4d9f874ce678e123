"""Rows to columns: what one worker makes of its part of the data."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..keys import canonical_answer, canonical_key
from ..rollouts import ABSENT, BOOLEAN, FLOAT, INFINITE, INTEGER, NAN, NOT_A_NUMBER, NULL, Column, Labels
from .layout import NO_NUMBER, UNSET, Layout, RowColumns

__all__ = ["LINE_KEY", "REWARD", "Chunk", "ChunkBuilder", "Fields", "column_of", "label_paths"]

INDEX_FIELDS = ("_ng_task_index", "_ng_rollout_index")
LINE_KEY = "@line"
REWARD = "reward"
MASK = "mask_sample"
USAGE = ("response", "usage")

_EXACT_LIMIT = 2.0**53

# So many values show whether a field is in all rows.
_PROBE = 16

# Rows become columns this many at a time: with fewer the calls cost more, and more no longer fit a core's own cache.
# Where rows are parsed whole they hold all their text, so that it is bytes that count.
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 1024, 16 << 20


class _Kinds(dict[type, int]):
    """What the values of a type are; numpy's scalars, which Python callers may have, count as Python's."""

    def __missing__(self, kind: type) -> int:
        self[kind] = (
            INTEGER if issubclass(kind, (int, np.integer))
            else FLOAT if issubclass(kind, (float, np.floating))
            else BOOLEAN if issubclass(kind, np.bool_)
            else NOT_A_NUMBER
        )  # fmt: skip
        return self[kind]


_KIND_OF = _Kinds({type(UNSET): ABSENT, type(None): NULL, int: INTEGER, float: FLOAT, bool: BOOLEAN})


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a rollout are read, by their names on disk.

    Attributes:
        task: The field of the task index; "@line" makes every row a task of its own.
        rollout: The field of the rollout index; None if rollouts have none.
        agent: The field of the agent's name.
        numbers: The numeric fields; None for all of them, those of `response.usage` included.
        reasons: Whether it is kept why a number is missing, even where a field holds none far and wide.
        answers: Fields whose values are compared as answers.
        subsets: Fields whose values are compared as keys.
        places: Whether the byte offset of every row is kept.
    """

    task: str
    rollout: str | None
    agent: str
    numbers: tuple[str, ...] | None = ()
    answers: tuple[str, ...] = ()
    subsets: tuple[str, ...] = ()
    places: bool = False
    reasons: bool = False


def label_paths(name: str) -> list[tuple[str, ...]]:
    """Where a field may stand: as a top-level key, else, if dotted, along a path."""
    return [(name,), tuple(name.split("."))] if "." in name else [(name,)]


# --- values to columns ----------------------------------------------------------------------------------------------


def column_of(
    values: Sequence[Any], *, kind: int | None = None, only_numbers: bool = False, keep_texts: bool = False
) -> Column | None:
    """Values of JSON as a column of the rows that have the field; None if no row has it.

    Args:
        values: Python values as a JSON parser gives them; UNSET or NO_NUMBER where the field is absent.
        kind: INTEGER or BOOLEAN where every value is known to be that or NO_NUMBER, which saves looking.
        only_numbers: Give None too if no value is a number.
        keep_texts: Whether `exact` holds what is no number.
    """
    if not values or (values[0] is NO_NUMBER and values.count(NO_NUMBER) == len(values)):
        return None
    if kind is not None and (column := _column_of_kind(values, kind)) is not None:
        return column
    first = values[:_PROBE]
    if NO_NUMBER not in first and UNSET not in first:  # it stands in all rows, so it seems
        types, distinct = _types_of(values)
        if only_numbers and not any(_KIND_OF[kind] >= INTEGER for kind in distinct):
            return None
        if type(UNSET) not in distinct and (column := _full_column(values, types, distinct, keep_texts)) is not None:
            return column
    rows = [row for row, value in enumerate(values) if value is not NO_NUMBER and value is not UNSET]
    full = column_of([values[row] for row in rows], only_numbers=only_numbers, keep_texts=keep_texts)
    return None if full is None else Column(full.values, full.kinds, full.exact, np.array(rows), len(values))


def _column_of_kind(values: Sequence[float], kind: int) -> Column | None:
    """The column of integers or booleans with gaps; None if a float cannot hold one of them."""
    numbers = _floats(values)
    rows = None
    if np.isnan(numbers).any():
        rows = np.flatnonzero(~np.isnan(numbers))
        numbers = numbers[rows]
    if np.abs(numbers).max(initial=0.0) >= _EXACT_LIMIT:
        return None
    return Column(numbers, np.full(len(numbers), kind, np.uint8), None, rows, len(values))


def _types_of(values: Sequence[Any]) -> tuple[list[type], set[type]]:
    """By value its type, and the types there are."""
    types = list(map(type, values))
    return types, set(types[:1]) if types.count(types[0]) == len(types) else set(types)


def _full_column(values: Sequence[Any], types: list[type], distinct: set[type], keep_texts: bool) -> Column | None:
    """The column of values that stand in all rows; None if one turns out not to."""
    count = len(values)
    kinds = (
        np.full(count, _KIND_OF[types[0]], np.uint8)
        if len(distinct) == 1
        else np.fromiter(map(_KIND_OF.__getitem__, types), np.uint8, count)
    )
    numeric = kinds >= INTEGER
    if numeric.all():
        numbers = _floats(values)
        if np.abs(numbers).max() < _EXACT_LIMIT:  # false for NaN too: nothing is strange and nothing beyond a float
            return Column(numbers, kinds)
    else:
        numbers = np.full(count, np.nan)
        numbers[numeric] = _floats(list(compress(values, numeric.tolist())))
    strange = numeric & ~np.isfinite(numbers)
    if strange.any():
        if any(value is NO_NUMBER for value in values):
            return None
        kinds[strange] = np.where(np.isnan(numbers[strange]), NAN, INFINITE)
        numbers[strange] = np.nan
    column = Column(numbers, kinds)
    beyond = (kinds == INTEGER) & (np.abs(numbers) >= _EXACT_LIMIT)
    if keep_texts:
        beyond |= kinds == NOT_A_NUMBER
    if beyond.any():
        column.exact = np.full(len(values), None, dtype=object)
        for row in np.flatnonzero(beyond).tolist():
            column.exact[row] = int(values[row]) if kinds[row] == INTEGER else values[row]
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


def _alternatives(columns: RowColumns, name: str) -> list[Sequence[Any]]:
    """The values at the places where a field may stand; the first that is set counts."""
    return [columns[path] for path in label_paths(name)]


def _first_set(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """By row, the first value that is set."""
    return [b if a is UNSET else a for a, b in zip(first, second, strict=True)]


class _Coder:
    """Codes for the values of a key field, in the order in which the values are met."""

    def __init__(self, canonical: Callable[[Any], Hashable | None]) -> None:
        self._canonical = canonical
        self._index = _Index({UNSET: -1, None: -1})
        self._codes: list[NDArray[np.int32]] = []
        self._present = False

    def add(self, *alternatives: Sequence[Any]) -> None:
        """Adds rows; where the first list has UNSET, the next one counts."""
        values = alternatives[0]
        if type(values[0]) is str and values.count(values[0]) == len(values):  # one agent has run them all, mostly
            self._present = True
            self._codes.append(np.full(len(values), self._index[values[0]], np.int32))
            return
        types = set(map(type, values))
        for other in alternatives[1:]:
            if types != (types := types - {type(UNSET)}):
                values = _first_set(values, other) if types else other
                types = set(map(type, values))
        self._present |= bool(types - {type(UNSET)})
        if not types <= {str, int, type(UNSET), type(None)}:
            values = list(map(self._canonical, (None if value is UNSET else value for value in values)))
        self._codes.append(np.fromiter(map(self._index.__getitem__, values), np.int32, len(values)))

    def labels(self) -> Labels:
        codes = np.concatenate(self._codes) if self._codes else np.empty(0, np.int32)
        return Labels(codes, list(self._index)[2:], self._present)


class _Index(dict[Any, int]):
    def __missing__(self, value: Any) -> int:
        self[value] = code = len(self) - 2  # less UNSET and None, which have none
        return code


# --- the chunk ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Chunk:
    """The rows of one part of the data, as columns, in the order of the file.

    Attributes:
        source: The file's name.
        n_lines: How many lines the part has.
        lines: By row, its line in the part, counted from 1.
        task, rollout, agent: The keys.
        masked: By row, whether it is masked.
        numbers, usage, labels: As in `Rollouts`.
        orders: The fields of every row that has one which no row before it has, in the row's order.
        places: By row, where it starts, in bytes from the start of the file.
        skipped: The lines that are no rollouts, as (line in the part, reason).
        damage: What was found of compressed data that is damaged, and left out.
        begins: Whether the part is the first of its file.
    """

    source: str
    n_lines: int
    lines: NDArray[np.uint32]
    task: Labels
    rollout: Labels
    agent: Labels
    masked: NDArray[np.bool_]
    numbers: dict[str, Column] = field(default_factory=dict)
    usage: dict[str, Column] = field(default_factory=dict)
    labels: dict[str, Labels] = field(default_factory=dict)
    orders: list[tuple[str, ...]] = field(default_factory=list)
    places: NDArray[np.int64] | None = None
    skipped: list[tuple[int, str]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    begins: bool = True

    def cut_before(self, line: int) -> None:
        """Leaves out a line and all that come after it."""
        rows = slice(int(np.searchsorted(self.lines, line)))
        self.n_lines, self.lines, self.masked = line - 1, self.lines[rows], self.masked[rows]
        self.task, self.rollout, self.agent = (labels.take(rows) for labels in (self.task, self.rollout, self.agent))
        self.labels = {name: labels.take(rows) for name, labels in self.labels.items()}
        self.numbers = {name: column.take(rows) for name, column in self.numbers.items()}
        self.usage = {name: column.take(rows) for name, column in self.usage.items()}
        self.places = None if self.places is None else self.places[rows]
        self.skipped = []


class ChunkBuilder:
    """Gathers decoded rows into the columns of a `Chunk`."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.learns = fields.numbers is None
        keys = [fields.agent, MASK, *fields.answers, *fields.subsets]
        keys += [] if fields.task == LINE_KEY else [fields.task]
        keys += [] if fields.rollout is None else [fields.rollout]
        paths = [path for name in keys for path in label_paths(name)]
        for name in fields.numbers or ():
            paths += [*label_paths(name), (*USAGE, name)]
        if self.learns:
            paths.append((REWARD,))  # shown as found, whatever it is
        self.layout = Layout(paths, learns=[(), USAGE] if self.learns else [])
        self._never_numbers = {fields.task, fields.rollout, *INDEX_FIELDS, MASK}
        self._waiting: list[Any] = []
        self._waiting_bytes = 0
        self._length = 0
        self._lines: list[NDArray[np.uint32]] = []
        self._places: list[NDArray[np.int64]] = []
        self._masked: list[NDArray[np.bool_]] = []
        self._numbers: dict[str, list[tuple[int, Column]]] = {}
        self._usage: dict[str, list[tuple[int, Column]]] = {}
        self._task, self._rollout, self._agent = (_Coder(canonical_key) for _ in range(3))
        self._labels = {name: _Coder(canonical_answer) for name in fields.answers}
        self._labels |= {name: _Coder(canonical_key) for name in fields.subsets if name not in self._labels}

    def add(
        self,
        rows: list[Any],
        line_numbers: Sequence[int] | NDArray[np.uint32],
        ordinals: Sequence[int] | NDArray[np.int64] = (),
        places: NDArray[np.int64] | None = None,
        size: int = 0,
    ) -> None:
        """Adds rows that the layout decoded.

        Args:
            rows: The rows.
            line_numbers: By row, its line.
            ordinals: By row, its number among all rows, for "@line".
            places: By row, its byte offset.
            size: How many bytes the rows had.
        """
        if not rows:
            return
        self._lines.append(np.asarray(line_numbers, dtype=np.uint32))
        if places is not None:
            self._places.append(places)
        if self.fields.task == LINE_KEY:
            self._task.add(np.asarray(ordinals).tolist())
        self._waiting += rows
        self._waiting_bytes += size
        if len(self._waiting) >= _ROWS_AT_ONCE or self._waiting_bytes >= _BYTES_AT_ONCE:
            self._add_columns()

    def _add_columns(self) -> None:
        """Turns the rows that wait into columns."""
        rows, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not rows:
            return
        columns = self.layout.columns(rows)
        if self.fields.task != LINE_KEY:
            self._task.add(*_alternatives(columns, self.fields.task))
        if self.fields.rollout is not None:
            self._rollout.add(*_alternatives(columns, self.fields.rollout))
        self._agent.add(*_alternatives(columns, self.fields.agent))
        for name, coder in self._labels.items():
            coder.add(*_alternatives(columns, name))
        mask = columns[(MASK,)]
        unmasked = mask.count(UNSET) == len(rows)
        self._masked.append(np.zeros(len(rows), np.bool_) if unmasked else np.array([value is True for value in mask]))
        if self.fields.numbers is None:
            self._add_every_number(columns)
        else:
            for name in self.fields.numbers:
                self._add_wanted_number(columns, name)
        self._length += len(rows)

    def _add_every_number(self, columns: RowColumns) -> None:
        for name, kind in self.layout.numbers(everything=self.fields.reasons).items():
            if name not in self._never_numbers:
                self._add_number(self._numbers, name, columns[(name,)], kind)
        for name, kind in self.layout.numbers(*USAGE, everything=self.fields.reasons).items():
            self._add_number(self._usage, name, columns[(*USAGE, name)], kind)

    def _add_wanted_number(self, columns: RowColumns, name: str) -> None:
        first, *others = _alternatives(columns, name)
        for other in others:
            first = _first_set(first, other)
        self._add_number(self._numbers, name, first)
        if type(UNSET) in set(map(type, first)):  # usage counts only where the field is absent at the top level
            self._add_number(self._usage, name, columns[(*USAGE, name)])

    def _add_number(
        self, into: dict[str, list[tuple[int, Column]]], name: str, values: Sequence[Any], kind: int | None = None
    ) -> None:
        reward = self.learns and name == REWARD and into is self._numbers
        only_numbers = self.learns and not (reward or self.fields.reasons or name in into)
        column = column_of(values, kind=kind, only_numbers=only_numbers, keep_texts=reward)
        if column is not None:
            into.setdefault(name, []).append((self._length, column))

    def chunk(self, source: str, n_lines: int, skipped: list[tuple[int, str]] | None = None) -> Chunk:
        """The columns of all rows added; the builder is spent."""
        self._add_columns()
        length = self._length

        def joined(arrays: list[Any], kind: Any) -> Any:
            return np.concatenate(arrays) if arrays else np.empty(0, kind)

        def merged(columns: dict[str, list[tuple[int, Column]]]) -> dict[str, Column]:
            # A field that never holds a number is no column, save the reward, which is shown as found, and what was
            # asked for.
            found = {name: Column.merge(columns.pop(name), length) for name in list(columns)}
            if not self.learns or self.fields.reasons:
                return found
            return {
                name: column
                for name, column in found.items()
                if column.first_number() is not None or (name == REWARD and columns is self._numbers)
            }

        rollout = (
            self._rollout.labels()
            if self.fields.rollout is not None
            else Labels(np.full(length, -1, np.int32), [], False)
        )
        return Chunk(
            source=source,
            n_lines=n_lines,
            lines=joined(self._lines, np.uint32),
            task=self._task.labels(),
            rollout=rollout,
            agent=self._agent.labels(),
            masked=joined(self._masked, np.bool_),
            numbers=merged(self._numbers),
            usage=merged(self._usage),
            labels={name: coder.labels() for name, coder in self._labels.items()},
            orders=self.layout.orders,
            places=joined(self._places, np.int64) if self._places else None,
            skipped=skipped or [],
        )
