"""Chunks joined in order, then sorted by task, agent and rollout into a `Rollouts`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..keys import key_name
from ..rollouts import DEFAULT_AGENT, Column, Labels, Rollouts
from .columns import Chunk

__all__ = ["Duplicates", "Rows", "arrange", "by_appearance", "merge_chunks", "merge_orders", "with_agents"]

Duplicates = Literal["error", "first", "last", "keep"]


@dataclass(slots=True)
class Rows:
    """The rows of all parts, in the order in which they stand in the files.

    Attributes:
        task, rollout, agent, masked, labels, places: As in `Chunk`.
        numbers, usage: By field the columns of the parts that have it, each with the row at which its part begins.
        orders: The fields of every row that has one which no row before it has, in the row's order.
        sources: By source, its name.
        source: By row, its source.
        lines: By row, its line in the source, counted from 1; 0 where rows have no lines.
        skipped: The lines left out, as messages.
        notes: What the reader decided and the user should know.
    """

    task: Labels
    rollout: Labels
    agent: Labels
    masked: NDArray[np.bool_]
    numbers: dict[str, list[tuple[int, Column]]] = field(default_factory=dict)
    usage: dict[str, list[tuple[int, Column]]] = field(default_factory=dict)
    labels: dict[str, Labels] = field(default_factory=dict)
    orders: list[tuple[str, ...]] = field(default_factory=list)
    places: NDArray[np.int64] | None = None
    sources: list[str] = field(default_factory=list)
    source: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    lines: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.masked)

    def where(self, row: int | np.integer) -> str:
        """File and line of a row, as messages begin."""
        line = self.lines[row]
        return f"{self.sources[self.source[row]]}:{line}" if line else f"{self.sources[self.source[row]]} {row}"

    def take(self, rows: NDArray[np.intp]) -> Rows:
        """Some of the rows, in the order given."""
        places = _places(rows, len(self))

        def taken(columns: dict[str, list[tuple[int, Column]]]) -> dict[str, list[tuple[int, Column]]]:
            return {name: [(0, Column.merge(parts, len(rows), places))] for name, parts in columns.items()}

        return replace(
            self,
            task=self.task.take(rows),
            rollout=self.rollout.take(rows),
            agent=self.agent.take(rows),
            masked=self.masked[rows],
            numbers=taken(self.numbers),
            usage=taken(self.usage),
            labels={name: labels.take(rows) for name, labels in self.labels.items()},
            places=None if self.places is None else self.places[rows],
            source=self.source[rows],
            lines=self.lines[rows],
        )

    def key_text(self, row: int | np.integer) -> str:
        """The task and rollout of a row, as messages name them."""
        task = key_name(self.task.values[self.task.codes[row]])
        return f"task {task}, rollout {key_name(self.rollout.values[self.rollout.codes[row]])}"


def merge_chunks(chunks: Sequence[Chunk]) -> Rows:
    """The rows of all chunks, in order."""
    lengths = [len(chunk.masked) for chunk in chunks]
    starts = np.concatenate([[0], np.cumsum(lengths)]).tolist()

    seen: dict[str, int] = {}
    orders = []
    for names in (names for chunk in chunks for names in chunk.orders):
        if not seen.keys() >= set(names):
            orders.append(names)
            for name in names:
                seen.setdefault(name, len(seen))

    def gathered(kind: str) -> dict[str, list[tuple[int, Column]]]:
        columns: dict[str, list[tuple[int, Column]]] = {}
        for start, chunk in zip(starts, chunks, strict=False):
            for name, column in getattr(chunk, kind).items():
                columns.setdefault(name, []).append((start, column))
        return {name: columns[name] for name in sorted(columns, key=lambda name: seen.get(name, 0))}

    sources = list(dict.fromkeys(chunk.source for chunk in chunks))
    lines_seen = dict.fromkeys(sources, 0)
    lines, skipped = [], []
    for chunk in chunks:
        before = 0 if chunk.begins else lines_seen[chunk.source]
        lines.append(chunk.lines.astype(np.int64) + before)
        skipped += [f"{chunk.source}:{before + line}:{reason}" for line, reason in chunk.skipped]
        lines_seen[chunk.source] = before + chunk.n_lines
    positions = {name: position for position, name in enumerate(sources)}
    label_names = dict.fromkeys(name for chunk in chunks for name in chunk.labels)
    return Rows(
        task=Labels.merge([chunk.task for chunk in chunks]),
        rollout=Labels.merge([chunk.rollout for chunk in chunks]),
        agent=Labels.merge([chunk.agent for chunk in chunks]),
        masked=np.concatenate([chunk.masked for chunk in chunks]) if chunks else np.empty(0, np.bool_),
        numbers=gathered("numbers"),
        usage=gathered("usage"),
        labels={name: Labels.merge([chunk.labels[name] for chunk in chunks]) for name in label_names},
        orders=orders,
        places=np.concatenate([c.places for c in chunks if c.places is not None])
        if any(c.places is not None for c in chunks)
        else None,
        sources=sources,
        source=np.repeat(np.array([positions[chunk.source] for chunk in chunks], np.int32), lengths),
        lines=np.concatenate(lines) if lines else np.empty(0, np.int64),
        skipped=skipped,
        notes=[
            f"{damage}: what comes after is left out, and values shortly before may be wrong"
            for chunk in chunks
            for damage in chunk.damage
        ],
    )


def merge_orders(rows: Iterable[Sequence[str]]) -> list[str]:
    """One order of all fields: each new one stands behind the field it follows in the row that is the first to have it.

    So it is the order of every row if all rows have their fields in one order, however many each has; and it does not
    depend on where the data was cut into parts.

    >>> merge_orders([("task", "reward"), ("task", "tokens", "reward"), ("id", "task")])
    ['id', 'task', 'tokens', 'reward']
    """
    merged: list[str] = []
    known: set[str] = set()
    for names in rows:
        place = next((merged.index(name) for name in names if name in known), len(merged))
        before = None
        for name in names:
            if name not in known:
                place = place if before is None else merged.index(before) + 1
                merged.insert(place, name)
                known.add(name)
            before = name
    return merged


def with_agents(rows: Rows, agents: Labels) -> Rows:
    """The rows with the agents given, and their own where none is given."""
    merged = Labels.merge([agents, rows.agent])
    given, own = np.split(merged.codes, 2)
    return replace(rows, agent=Labels(np.where(given >= 0, given, own), merged.values))


def arrange(rows: Rows, duplicates: Duplicates = "error") -> Rollouts:
    """Sorts rows into a table.

    Args:
        rows: The rows, as they stand in the files; their columns of numbers are moved into the table one by one, so
            that there are never two copies of all of them.
        duplicates: What to do with rows of the same task, rollout and agent.

    Raises:
        DataError: A row has no task index, only some rows have a rollout index, or two rows have the same key.
    """
    notes = list(rows.notes)
    if (rows.task.codes < 0).any():
        row = int(np.argmax(rows.task.codes < 0))
        raise DataError(f"{rows.where(row)}: no task index", "name its field with {task_key}")
    numbered = rows.rollout.codes >= 0
    if numbered.any() and not numbered.all():
        row = int(np.argmax(~numbered))
        raise DataError(
            f"{rows.where(row)}: no rollout index, while other rows have one",
            "complete the file, or name another field with {rollout_key}",
        )
    agent = rows.agent.filled(DEFAULT_AGENT).sorted()
    task, rollout = rows.task.sorted(), rows.rollout.sorted()
    unit = task.codes.astype(np.int64) * len(agent.values) + agent.codes
    order = _order(unit, rollout.codes)
    unit = unit[order]
    if len(rows) and not numbered.any():
        rollout = by_appearance(unit, order)
    elif duplicates != "keep":
        kept = _without_duplicates(rows, order, unit, rollout.codes[order], duplicates, notes)
        order, unit = order[kept], unit[kept]
    first = np.flatnonzero(np.concatenate([[True], unit[1:] != unit[:-1]])) if len(unit) else np.empty(0, np.int64)
    places = None if _is_sorted(order, len(rows)) else _places(order, len(rows))

    def moved(columns: dict[str, list[tuple[int, Column]]]) -> dict[str, Column]:
        return {name: Column.merge(columns.pop(name), len(order), places) for name in list(columns)}

    return Rollouts(
        starts=np.append(first, len(unit)).astype(np.int64),
        tasks=task.take(order[first]),
        agents=agent.take(order[first]),
        rollouts=rollout.take(order),
        positions=order,
        masked=rows.masked[order],
        numbers=moved(rows.numbers),
        usage=moved(rows.usage),
        labels={name: labels.take(order) for name, labels in rows.labels.items()},
        field_order=merge_orders(rows.orders),
        notes=notes,
    )


def by_appearance(sorted_unit: NDArray[np.int64], order: NDArray[np.intp]) -> Labels:
    """Rollout keys for rows that have none: their order of appearance within the unit, from 0 on."""
    begins = np.concatenate([[True], sorted_unit[1:] != sorted_unit[:-1]])
    start = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    position = np.empty(len(order), np.int32)
    position[order] = np.arange(len(order)) - start
    return Labels(position, list(range(int(position.max()) + 1)))


def _order(unit: NDArray[np.int64], rollout: NDArray[np.int32]) -> NDArray[np.intp]:
    step = np.diff(unit)
    if ((step > 0) | ((step == 0) & (np.diff(rollout) >= 0))).all():
        return np.arange(len(unit))
    return np.lexsort((rollout, unit))


def _places(rows: NDArray[np.intp], length: int) -> NDArray[np.int64]:
    """By row, its position among those taken; -1 for one that is not."""
    places = np.full(length, -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    return places


def _is_sorted(order: NDArray[np.intp], length: int) -> bool:
    return len(order) == length and bool((order == np.arange(length)).all())


def _without_duplicates(
    rows: Rows,
    order: NDArray[np.intp],
    unit: NDArray[np.int64],
    rollout: NDArray[np.int32],
    duplicates: Duplicates,
    notes: list[str],
) -> NDArray[np.bool_]:
    """Which of the sorted rows to keep."""
    again = np.concatenate([[False], (unit[1:] == unit[:-1]) & (rollout[1:] == rollout[:-1])])[: len(unit)]
    if not again.any():
        return ~again
    if duplicates == "error":
        pairs = np.flatnonzero(again)
        second = pairs[np.argmin(order[pairs])]  # the first in the order of the files
        first, second = order[second - 1], order[second]
        raise DataError(
            f"{rows.where(second)}: duplicate of {rows.where(first)} ({rows.key_text(second)})",
            "keep one of them with {duplicates=first} or last, or both with {duplicates=keep}",
        )
    notes.append(f"{int(again.sum())} duplicate rows left out; of each key the {duplicates} row in the files counts")
    return ~again if duplicates == "first" else ~np.append(again[1:], False)
