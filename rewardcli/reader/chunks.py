"""Decoded rows gathered into columns: what one worker makes of its part of the data."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Codes, Ints
from ..keys import canonical_answer, canonical_key
from ..rollouts import Column, Labels, Origin, Rows
from .columns import column_of
from .dialects import REWARD
from .fields import LINE_KEY, Fields, paths_of
from .jsonrow import UNSET
from .layout import Layout, RowColumns

__all__ = ["Chunk", "ChunkBuilder", "SkippedLine"]

# Rows become columns this many at a time: with fewer the calls cost more, and more no longer fit a core's own cache.
# Where rows are parsed whole they hold all their text, so that it is bytes that count.
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 1024, 16 << 20


@dataclass(frozen=True, slots=True)
class SkippedLine:
    """A line of a part that is not a row.

    Attributes:
        line: Its number in the part, counted from 1.
        column: The character at which that shows, counted from 1.
        what: What is wrong there, with an excerpt.
    """

    line: int
    column: int
    what: str


@dataclass(slots=True)
class Chunk:
    """The rows of one part, as columns, in the order of the file.

    Attributes:
        source: The file, as messages name it.
        rows: The rows.
        n_lines: How many lines the part has.
        lines: By row, its line in the part, counted from 1; None where every line is a row.
        offsets: By row, where it starts, in bytes from the start of the file; None where that is not kept.
        skipped: The lines that are not rows.
        damage: What is wrong with the compressed data, of which the rest is left out; "" if nothing is.
        begins: Whether the part is the first of its file.
    """

    source: str
    rows: Rows
    n_lines: int
    lines: NDArray[np.uint32] | None = None
    offsets: Ints | None = None
    skipped: list[SkippedLine] = field(default_factory=list)
    damage: str = ""
    begins: bool = True

    def cut_before(self, line: int) -> None:
        """Leave out a line and all that come after it."""
        count = line - 1 if self.lines is None else int(np.searchsorted(self.lines, line))
        self.rows = self.rows.take(slice(count))
        self.n_lines = line - 1
        self.lines = None if self.lines is None else self.lines[:count]
        self.offsets = None if self.offsets is None else self.offsets[:count]
        self.skipped = []

    def origin(self, lines_before: int) -> Origin:
        """Where the rows stand, after so many lines of the file."""
        return Origin(self.source, len(self.rows.masked), lines_before, self.lines, self.offsets)


# --- keys -----------------------------------------------------------------------------------------------------------


def _first_set(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """By row, the first value that is set."""
    return [b if a is UNSET else a for a, b in zip(first, second, strict=True)]


class _Coder:
    """Codes for the values of a key field, in the order in which the values are met."""

    def __init__(self, canonical: Callable[[Any], Hashable | None]) -> None:
        self._canonical = canonical
        self._index = _Index({UNSET: -1, None: -1})
        self._codes: list[Codes] = []
        self._present = False

    def add(self, *alternatives: Sequence[Any]) -> None:
        """Add rows; where the first list has UNSET, the next one counts."""
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


# --- the builder ----------------------------------------------------------------------------------------------------


class ChunkBuilder:
    """Gathers decoded rows into the columns of a `Chunk`."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.learns = fields.numbers is None
        dialect = fields.dialect
        keys = [fields.index, fields.agent, dialect.mask, *fields.answers, *fields.subsets]
        keys += [] if fields.task == LINE_KEY else [fields.task]
        keys += [fields.server] if fields.server else []
        paths = [path for name in keys for path in paths_of(name)]
        for name in fields.numbers or ():
            paths += [*fields.paths(name), (*fields.usage, name)]
        if self.learns:
            paths += fields.paths(REWARD)  # shown as it was read, whatever it is
        apart = [(name,) for name in fields.nested]
        self.layout = Layout(paths, [(), fields.usage] if self.learns else [], apart)
        self._never_numbers = {fields.task, fields.index, dialect.task, dialect.index, dialect.mask}
        self._has_reward = dialect.reward not in self._never_numbers
        self._never_numbers |= {REWARD, dialect.reward}  # which is added apart
        self._waiting: list[Any] = []
        self._waiting_bytes = 0
        self._length = 0
        self._lines: list[NDArray[np.uint32]] = []
        self._offsets: list[Ints] = []
        self._masked: list[NDArray[np.bool_]] = []
        self._numbers: dict[str, list[tuple[int, Column]]] = {}
        self._usage: dict[str, list[tuple[int, Column]]] = {}
        self._nested: dict[str, list[tuple[int, Column]]] = {}
        self._task, self._index, self._agent, self._server = (_Coder(canonical_key) for _ in range(4))
        self._labels = {name: _Coder(canonical_answer) for name in fields.answers}
        self._labels |= {name: _Coder(canonical_key) for name in fields.subsets if name not in self._labels}

    def add(
        self,
        rows: list[Any],
        line_numbers: Sequence[int] | NDArray[np.uint32],
        ordinals: Sequence[int] | Ints = (),
        offsets: Ints | None = None,
        size: int = 0,
    ) -> None:
        """Add rows that the layout decoded.

        Args:
            rows: The rows.
            line_numbers: By row, its line.
            ordinals: By row, its number among all rows, for "@line".
            offsets: By row, its byte offset.
            size: How many bytes the rows had.
        """
        if not rows:
            return
        self._lines.append(np.asarray(line_numbers, dtype=np.uint32))
        if offsets is not None:
            self._offsets.append(offsets)
        if self.fields.task == LINE_KEY:
            self._task.add(np.asarray(ordinals).tolist())
        self._waiting += rows
        self._waiting_bytes += size
        if len(self._waiting) >= _ROWS_AT_ONCE or self._waiting_bytes >= _BYTES_AT_ONCE:
            self._add_columns()

    def _add_columns(self) -> None:
        """Turn the rows that wait into columns."""
        rows, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not rows:
            return
        columns = self.layout.columns(rows)

        def alternatives(name: str) -> list[Sequence[Any]]:
            return [columns[path] for path in paths_of(name)]

        if self.fields.task != LINE_KEY:
            self._task.add(*alternatives(self.fields.task))
        self._index.add(*alternatives(self.fields.index))
        self._agent.add(*alternatives(self.fields.agent))
        if self.fields.server:
            self._server.add(*alternatives(self.fields.server))
        for name, coder in self._labels.items():
            coder.add(*alternatives(name))
        mask = _value(columns, paths_of(self.fields.dialect.mask))
        unmasked = mask.count(UNSET) == len(rows)
        self._masked.append(np.zeros(len(rows), np.bool_) if unmasked else np.array([value is True for value in mask]))
        if self.learns:
            self._add_every_number(columns)
        else:
            for name in self.fields.numbers or ():
                self._add_wanted_number(columns, name)
        for name in self.fields.nested:
            for inner, state in self.layout.numbers(name).items():
                self._add_number(self._nested, f"{name}.{inner}", columns[(name, inner)], state)
        self._length += len(rows)

    def _add_every_number(self, columns: RowColumns) -> None:
        if self._has_reward:
            self._add_number(self._numbers, REWARD, _value(columns, self.fields.paths(REWARD)))
        for name, state in self.layout.numbers(everything=self.fields.reasons).items():
            if name not in self._never_numbers:
                self._add_number(self._numbers, name, columns[(name,)], state)
        usage = self.fields.usage
        for name, state in self.layout.numbers(*usage, everything=self.fields.reasons).items():
            self._add_number(self._usage, name, columns[(*usage, name)], state)

    def _add_wanted_number(self, columns: RowColumns, name: str) -> None:
        values = _value(columns, self.fields.paths(name))
        self._add_number(self._numbers, name, values)
        if type(UNSET) in set(map(type, values)):  # usage counts only where the field is absent at the top level
            self._add_number(self._usage, name, columns[(*self.fields.usage, name)])

    def _add_number(
        self, into: dict[str, list[tuple[int, Column]]], name: str, values: Sequence[Any], state: int | None = None
    ) -> None:
        reward = self.learns and name == REWARD and into is self._numbers
        only_numbers = self.learns and not (reward or self.fields.reasons or name in into)
        column = column_of(values, state=state, only_numbers=only_numbers, keep_texts=reward)
        if column is not None:
            into.setdefault(name, []).append((self._length, column))

    def chunk(self, source: str, n_lines: int, skipped: Sequence[SkippedLine] = ()) -> Chunk:
        """The columns of all rows added; the builder is spent."""
        self._add_columns()
        lines = np.concatenate(self._lines) if self._lines else np.empty(0, np.uint32)
        rows = Rows(
            indices=self._index.labels(),
            masked=np.concatenate(self._masked) if self._masked else np.empty(0, np.bool_),
            numbers=self._columns_of(self._numbers),
            usage=self._columns_of(self._usage),
            nested=self._columns_of(self._nested),
            labels={name: coder.labels() for name, coder in self._labels.items()},
            tasks=self._task.labels(),
            agents=self._agent.labels(),
            servers=self._server.labels() if self.fields.server else Labels.none(self._length),
            orders=self._orders(),
        )
        return Chunk(
            source,
            rows,
            n_lines,
            lines=None if not len(lines) or lines[-1] == len(lines) else lines,
            offsets=np.concatenate(self._offsets) if self._offsets else None,
            skipped=list(skipped),
        )

    def _columns_of(self, pieces: dict[str, list[tuple[int, Column]]]) -> dict[str, Column]:
        """The columns of all rows, their pieces let go one by one.

        A field that never holds a number is not a column, save the reward, which is shown as it was read, and what was
        asked for.
        """
        columns = {}
        everything = not self.learns or self.fields.reasons
        for name in list(pieces):
            column = _whole(pieces.pop(name), self._length)
            reward = name == REWARD and pieces is self._numbers
            if everything or reward or column.first_number() is not None:
                columns[name] = column
        return columns

    def _orders(self) -> list[tuple[str, ...]]:
        reward = self.fields.dialect.reward
        if reward == REWARD:
            return self.layout.orders
        return [tuple(REWARD if name == reward else name for name in names) for names in self.layout.orders]


def _value(columns: RowColumns, paths: Sequence[tuple[str, ...]]) -> Sequence[Any]:
    """By row, the value at the first of the paths that is set."""
    values = columns[paths[0]]
    for path in paths[1:]:
        values = _first_set(values, columns[path])
    return values


def _whole(pieces: list[tuple[int, Column]], length: int) -> Column:
    """The column of so many rows; one piece that has them all is it already."""
    start, first = pieces[0]
    rows = len(first.values) if first.rows is None else first.length
    return first if start == 0 and rows == length else Column.concat(pieces, length)
