"""Rows of rollouts: as they were read, and sorted by task, agent and rollout index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..arrays import Codes, Ints, Mask
from ..errors import DataError, Location
from ..keys import key_name, names_of
from .column import ABSENT, Column
from .labels import Labels

__all__ = ["DEFAULT_AGENT", "Columns", "Matching", "Origin", "Origins", "Rollouts", "Rows", "by_appearance"]

# The agent of rollouts that name none.
DEFAULT_AGENT = "agent"


# --- where rows come from -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Where some rows stand that follow each other in one source.

    Attributes:
        source: The file, as messages name it.
        count: How many rows there are.
        lines_before: How many lines of the source come before.
        lines: By row, its line, counted from 1 after those; None where every line is a row.
        offsets: By row, the byte of the (decompressed) source at which it starts; None where that is not kept.
        position: The position, among all rows read, of the first row.
    """

    source: str
    count: int
    lines_before: int = 0
    lines: NDArray[np.uint32] | None = None
    offsets: Ints | None = None
    position: int = 0

    def line(self, row: int) -> int:
        """The line of a row of these."""
        return self.lines_before + (row + 1 if self.lines is None else int(self.lines[row]))


class Origins:
    """Where all rows stand, by their position: the number of the row among all that were read.

    Args:
        origins: One after the other.
    """

    def __init__(self, origins: Iterable[Origin]) -> None:
        self._origins: list[Origin] = []
        position = 0
        for origin in origins:
            self._origins.append(replace(origin, position=position))
            position += origin.count
        self._first = np.array([origin.position for origin in self._origins])

    @property
    def sources(self) -> list[str]:
        """The sources, in order."""
        return list(dict.fromkeys(origin.source for origin in self._origins))

    def of(self, position: int) -> Origin:
        """Where a row stands, and its neighbours with it."""
        return self._origins[int(np.searchsorted(self._first, position, "right")) - 1]

    def location(self, position: int) -> Location:
        """File and line of a row."""
        origin = self.of(position)
        return Location(origin.source, origin.line(int(position) - origin.position))

    def offset(self, position: int) -> int | None:
        """At which byte a row starts; None where that is not kept."""
        origin = self.of(position)
        return None if origin.offsets is None else int(origin.offsets[int(position) - origin.position])

    def all_offsets(self) -> Ints | None:
        """At which byte every row starts; None where that is not kept."""
        offsets = [origin.offsets for origin in self._origins if origin.offsets is not None]
        return np.concatenate(offsets) if len(offsets) == len(self._origins) else None


_NOWHERE = Origins([])


# --- columns --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Columns:
    """What rows hold beside their task and agent.

    Attributes:
        indices: By row, the rollout index; `present` is False where rollouts count in order of appearance.
        masked: By row, whether the rollout is left out of every statistic.
        numbers: Top-level numeric fields, in first-seen order.
        usage: Numeric fields of the usage.
        nested: Numeric fields of other objects, as `OBJECT.FIELD`, where they were asked for.
        labels: Answers and subset values by field.
    """

    BY_ROW: ClassVar[tuple[str, ...]] = ("indices", "masked", "numbers", "usage", "nested", "labels")

    indices: Labels
    masked: Mask
    numbers: dict[str, Column] = field(default_factory=dict)
    usage: dict[str, Column] = field(default_factory=dict)
    nested: dict[str, Column] = field(default_factory=dict)
    labels: dict[str, Labels] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.masked)

    def _taken(self, rows: Any) -> dict[str, Any]:
        """By name of attribute, every column for some of the rows: a slice, a mask or positions."""

        def take(column: Any) -> Any:
            if isinstance(column, dict):
                return {name: inner.take(rows) for name, inner in column.items()}
            return column[rows] if isinstance(column, np.ndarray) else column.take(rows)

        return {name: take(getattr(self, name)) for name in self.BY_ROW}


@dataclass(slots=True)
class Rows(Columns):
    """Rows in the order in which they were read.

    Attributes:
        tasks, agents: By row; codes are -1 where there is none.
        servers: By row, the server that ran the agent; codes are -1 where the row names none.
        orders: The fields of every row that has one which no row before it has, in the row's order.
        origins: Where the rows stand.
        apart: After `concat`, for numbers, usage and nested: by field, the pieces of the column that are not put
            together yet, each with the row at which it begins.
    """

    tasks: Labels = field(default_factory=lambda: Labels.none(0))
    agents: Labels = field(default_factory=lambda: Labels.none(0))
    servers: Labels = field(default_factory=lambda: Labels.none(0))
    orders: list[tuple[str, ...]] = field(default_factory=list)
    origins: Origins = _NOWHERE
    apart: dict[str, dict[str, list[tuple[int, Column]]]] = field(default_factory=dict)

    @staticmethod
    def concat(chunks: Sequence[Rows], origins: Iterable[Origin] = ()) -> Rows:
        """Put rows below each other.

        Their numbers are put together only when rows are taken, one column after the other, and let go: so there are
        never two copies of all of them, and rows can be taken once.
        """
        starts = np.cumsum([0, *map(len, chunks)]).tolist()
        fields = dict.fromkeys(name for chunk in chunks for name in chunk.labels)
        orders = _with_news(names for chunk in chunks for names in chunk.orders)
        place = {name: place for place, name in enumerate(dict.fromkeys(name for names in orders for name in names))}

        def pieces(role: str) -> dict[str, list[tuple[int, Column]]]:
            columns: dict[str, list[tuple[int, Column]]] = {}
            for start, chunk in zip(starts, chunks, strict=False):
                for name, column in getattr(chunk, role).items():
                    columns.setdefault(name, []).append((start, column))
            return {name: columns[name] for name in sorted(columns, key=lambda name: place.get(name, 0))}

        return Rows(
            indices=Labels.concat([chunk.indices for chunk in chunks]),
            masked=np.concatenate([np.empty(0, np.bool_), *(chunk.masked for chunk in chunks)]),
            labels={name: Labels.concat([chunk.labels[name] for chunk in chunks]) for name in fields},
            tasks=Labels.concat([chunk.tasks for chunk in chunks]),
            agents=Labels.concat([chunk.agents for chunk in chunks]),
            servers=Labels.concat([chunk.servers for chunk in chunks]),
            orders=orders,
            origins=Origins(origins),
            apart={role: pieces(role) for role in ("numbers", "usage", "nested")},
        )

    def take(self, rows: NDArray[np.intp] | slice) -> Rows:
        """Some of the rows, in the order given."""
        keys = {name: getattr(self, name).take(rows) for name in ("tasks", "agents", "servers")}
        return replace(self, **self.taken(rows), **keys, apart={})

    def taken(self, rows: NDArray[np.intp] | slice) -> dict[str, Any]:
        """By name of attribute, every column but tasks, agents and servers for some of the rows, in the order given."""
        taken = self._taken(rows)
        destinations = _destinations(rows, len(self)) if self.apart else None
        length = len(taken["masked"])
        for role, columns in self.apart.items():
            taken[role] = {name: Column.concat(columns.pop(name), length, destinations) for name in list(columns)}
        return taken

    def numbered(self) -> Rows:
        """The rows; where none has a rollout index, with one that counts them within their task."""
        if not len(self) or (self.indices.codes >= 0).any():
            return self
        order = np.argsort(self.tasks.codes, kind="stable")
        return replace(self, indices=by_appearance(self.tasks.codes[order].astype(np.int64), order))

    def key_text(self, row: int | np.integer) -> str:
        """Task and rollout index of a row, as messages name them."""
        task, index = (key_name(labels.values[labels.codes[row]]) for labels in (self.tasks, self.indices))
        return f"task {task}, rollout {index}"


def _with_news(orders: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Those that have a field which none before them has."""
    seen: set[str] = set()
    kept = []
    for names in orders:
        if not seen.issuperset(names):
            kept.append(names)
            seen.update(names)
    return kept


def _destinations(rows: NDArray[np.intp] | slice, length: int) -> Ints | None:
    """By row, its position among those taken, -1 for one that is not; None where all stay where they are."""
    positions = np.arange(length)
    taken = positions[rows]
    if len(taken) == length and (taken == positions).all():
        return None
    destinations = np.full(length, -1, dtype=np.int64)
    destinations[taken] = np.arange(len(taken))
    return destinations


def by_appearance(sorted_groups: Ints, order: NDArray[np.intp]) -> Labels:
    """Rollout indices for rows that have none: their order of appearance within their group, from 0 on.

    Args:
        sorted_groups: The groups of the rows, sorted.
        order: The rows in that order.
    """
    begins = np.concatenate([[True], sorted_groups[1:] != sorted_groups[:-1]])
    start = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    counted = np.empty(len(order), np.int32)
    counted[order] = np.arange(len(order)) - start
    return Labels(counted, list(range(int(counted.max()) + 1)), present=False)


# --- sorted ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matching:
    """Which input each rollout answers.

    Attributes:
        input_of: By position of the rollout among all that were read, the position of its input, -1 for none.
        inputs: The inputs, with an agent on each that has or can be given one.
        source: The inputs' file, as messages name it.
        key_fields: The fields of their task and rollout index.
    """

    input_of: Ints
    inputs: Rows
    source: str = ""
    key_fields: tuple[str, ...] = ()

    def extra(self) -> NDArray[np.intp]:
        """The positions of the rollouts without an input."""
        return np.flatnonzero(self.input_of < 0)

    def missing(self) -> NDArray[np.intp]:
        """The inputs without a rollout."""
        return np.flatnonzero(np.bincount(self.input_of[self.input_of >= 0], minlength=len(self.inputs)) == 0)

    def agents_of_inputs(self) -> Labels:
        """By position of the rollout, the agent that its input names."""
        agents = self.inputs.agents
        known = self.input_of >= 0
        codes = np.where(known, agents.codes[self.input_of] if len(self.inputs) else -1, -1)
        return Labels(codes.astype(np.int32), agents.values, agents.present)


@dataclass(slots=True)
class Rollouts(Columns):
    """Rollouts, sorted by task, agent and rollout index.

    Attributes:
        starts: The rows of task `t` are `starts[t]` up to `starts[t + 1]`; shape (tasks + 1,).
        tasks: By task, its key.
        agents: By task, the agent; `present` is False where no rollout names one.
        positions: By row, where it stood among all rows that were read.
        orders: The fields of every row that has one which no row before it has, in the row's order.
        origins: Where the rows stood.
        matching: Which input each rollout answers; None without inputs.
        left_out: How many duplicate rows were left out.
    """

    BY_ROW: ClassVar[tuple[str, ...]] = (*Columns.BY_ROW, "positions")

    starts: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    tasks: Labels = field(default_factory=lambda: Labels.none(0))
    agents: Labels = field(default_factory=lambda: Labels.none(0))
    positions: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    orders: list[tuple[str, ...]] = field(default_factory=list)
    origins: Origins = _NOWHERE
    matching: Matching | None = None
    left_out: int = 0

    @property
    def n_rollouts(self) -> int:
        """How many rollouts there are, masked ones included."""
        return len(self.masked)

    @property
    def n_tasks(self) -> int:
        """How many tasks there are: pairs of a task key and an agent."""
        return len(self.starts) - 1

    @property
    def field_order(self) -> list[str]:
        """The fields, in the order in which rows have them."""
        return merge_orders(self.orders)

    def number(self, field: str) -> Column:
        """A numeric field with all its rows: at the top level, and in the usage only where it is absent there."""
        nothing = Column.absent(self.n_rollouts)
        top, usage = (columns.get(field, nothing).dense() for columns in (self.numbers, self.usage))
        return top.choose(top.states != ABSENT, usage)

    def by_first_rollout(self, field: str) -> Labels:
        """By task, the label of its first rollout that has one; -1 for a task without any."""
        labels = self.labels[field]
        codes = np.full(self.n_tasks, -1, np.int32)
        rows = np.flatnonzero(labels.codes >= 0)
        tasks, first = np.unique(np.searchsorted(self.starts, rows, "right") - 1, return_index=True)
        codes[tasks] = labels.codes[rows[first]]
        return Labels(codes, labels.values, labels.present)

    def by_row(self, labels: Labels) -> Labels:
        """Labels by task as labels by row."""
        return labels.take(np.repeat(np.arange(self.n_tasks), np.diff(self.starts)))

    def row_agents(self) -> Codes:
        """By row, the code of its agent."""
        return np.repeat(self.agents.codes, np.diff(self.starts))

    def inputs(self) -> Ints:
        """By row, the position of the input that it answers; -1 for none."""
        return np.full(len(self), -1) if self.matching is None else self.matching.input_of[self.positions]

    def location(self, row: int) -> Location:
        """File and line of a row."""
        return self.origins.location(int(self.positions[row]))

    def take_rows(self, keep: Mask) -> Rollouts:
        """Some of the rollouts; all tasks stay, even if empty."""
        if keep.all():
            return self
        counted = np.concatenate([[0], np.cumsum(keep)])
        return replace(self, **self._taken(keep), starts=counted[self.starts])

    def take_tasks(self, keep: Mask) -> Rollouts:
        """Some of the tasks and their rollouts."""
        if keep.all():
            return self
        kept = self.take_rows(np.repeat(keep, np.diff(self.starts)))
        starts = np.concatenate([kept.starts[:-1][keep], kept.starts[-1:]])
        return replace(kept, starts=starts, tasks=self.tasks.take(keep), agents=self.agents.take(keep))

    def measured(self) -> Rollouts:
        """The rollouts that are not masked."""
        return self.take_rows(~self.masked)

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
        return self.take_tasks(self.agents.codes == names.index(agent))

    def agent_names(self) -> list[str]:
        """The agents' names, in the order of their codes."""
        return names_of(self.agents.values)

    def coverage(self) -> dict[str, int]:
        """How much is left out because it is masked; empty if nothing is."""
        if not self.masked.any():
            return {}
        measured = np.diff(np.concatenate([[0], np.cumsum(~self.masked)])[self.starts])
        return {
            "measured_rollouts": int((~self.masked).sum()),
            "masked_rollouts": int(self.masked.sum()),
            "measured_tasks": int((measured > 0).sum()),
            "fully_masked_tasks": int(((measured == 0) & (np.diff(self.starts) > 0)).sum()),
        }


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
