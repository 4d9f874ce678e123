"""Repeats: what every rollout index says of all tasks, and how much the repeats of an agent differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Codes, Floats, Ints
from ..metrics import describe
from ..metrics.student import t_975
from ..rollouts import Column, Rollouts

__all__ = ["ACROSS", "OF_REPEAT", "Repeats", "Spread", "repeats_of", "spread_of"]

# The statistics, in the order in which they are shown: of the tasks of a repeat, and of the repeats of an agent.
OF_REPEAT = ("mean", "median", "std", "sem", "min", "max", "p25", "p75", "ci_low_95", "ci_high_95")
ACROSS = ("mean", "median", "std", "min", "max", "se", "ci_low_95", "ci_high_95")

Statistics = dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Spread:
    """Statistics over the repeats of each agent: they treat the repeats as the sample, not the tasks.

    Attributes:
        names: What was estimated in every repeat, such as the mean of a field.
        statistics: By name of statistic (`ACROSS`), its values, NaN where undefined; shape (names, agents).
    """

    names: list[str]
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class Repeats:
    """The repeats of the agents that have at least two; R of A agents, sorted by agent, then rollout index.

    A repeat is all measured rollouts of one agent with one rollout index.

    Attributes:
        agents: The names of the agents, sorted; A of them.
        starts: The repeats of agent `a` are `starts[a]` up to `starts[a + 1]`; shape (A + 1,).
        indices: By repeat, the code of its rollout index; shape (R,).
        n_tasks: How many tasks are measured; shape (R,).
        n_missing: How many of the agent's tasks are not; shape (R,).
        fields: The numeric fields, in the order of their names; F of them.
        statistics: By name of statistic (`OF_REPEAT`), its values, NaN where undefined; shape (F, R).
    """

    agents: list[str]
    starts: Ints
    indices: Codes
    n_tasks: Ints
    n_missing: Ints
    fields: list[str]
    statistics: Statistics

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def agent_of(self) -> Ints:
        """By repeat, the position of its agent; shape (R,)."""
        return np.repeat(np.arange(len(self.agents)), np.diff(self.starts))

    def across(self) -> Spread:
        """How much the means of the repeats differ."""
        return spread_of({name: self.statistics["mean"][place] for place, name in enumerate(self.fields)}, self.starts)


def spread_of(estimates: Mapping[str, Floats], starts: Ints) -> Spread:
    """Describe estimates over the repeats of each agent.

    Args:
        estimates: By name, one estimate per repeat, NaN where it is undefined; shape (R,).
        starts: As in `Repeats`.
    """
    values = np.concatenate([np.empty(0), *estimates.values()])
    begins = np.arange(len(estimates))[:, None] * starts[-1] + starts[:-1]
    described = _described(values, np.append(begins.ravel(), len(values)))
    described["se"] = described.pop("sem")
    shape = (len(estimates), len(starts) - 1)
    return Spread(list(estimates), {statistic: described[statistic].reshape(shape) for statistic in ACROSS})


def repeats_of(measured: Rollouts, columns: Mapping[str, Column], tasks_of_agent: Ints) -> Repeats:
    """Describe every repeat.

    Args:
        measured: The rollouts that are not masked.
        columns: Their numeric fields.
        tasks_of_agent: By code of the agent, how many tasks it has, fully masked ones included.
    """
    names = measured.agent_names()
    order_of_names = np.argsort(np.array(names, dtype=object), kind="stable") if names else np.empty(0, np.int64)
    rank = np.empty(len(names), np.int64)
    rank[order_of_names] = np.arange(len(names))
    width = max(len(measured.indices.values), 1)
    keys = rank[measured.row_agents()] * width + measured.indices.codes
    repeats, repeat_of = _distinct(keys)
    several = np.bincount(repeats // width, minlength=len(names)) > 1
    kept = several[repeats // width]
    repeats, repeat_of = repeats[kept], np.where(kept, np.cumsum(kept) - 1, -1)[repeat_of]
    agents = np.flatnonzero(several)
    n_tasks = _tasks_in(repeat_of, measured, len(repeats))
    grouping = _Grouping(repeat_of, len(repeats))
    fields = sorted(columns)
    described = [_described(*grouping.of(columns[name]), quartiles=True) for name in fields]
    return Repeats(
        agents=[names[code] for code in order_of_names[agents]],
        starts=np.searchsorted(repeats // width, np.append(agents, len(names))),
        indices=(repeats % width).astype(np.int32),
        n_tasks=n_tasks,
        n_missing=tasks_of_agent[order_of_names[repeats // width]] - n_tasks,
        fields=fields,
        statistics={
            statistic: np.array([values[statistic] for values in described]).reshape(len(fields), len(repeats))
            for statistic in OF_REPEAT
        },
    )


def _distinct(keys: Ints) -> tuple[Ints, Ints]:
    """The distinct keys, sorted, and by row the position of its key among them."""
    most = int(keys.max(initial=0)) + 1
    if most > 4 * len(keys) + 1000:  # many agents, each with rollout indices of its own
        distinct, positions = np.unique(keys, return_inverse=True)
        return distinct, positions
    present = np.bincount(keys, minlength=most) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[keys]


def _tasks_in(repeat_of: Ints, measured: Rollouts, count: int) -> Ints:
    """How many tasks each repeat has; one that it has twice, where duplicates are kept, counts once."""
    tasks = np.repeat(np.arange(measured.n_tasks), np.diff(measured.starts))
    first = np.ones(len(tasks), np.bool_)
    # Rows are sorted by task and rollout index, so that duplicates are neighbours.
    first[1:] = (tasks[1:] != tasks[:-1]) | (repeat_of[1:] != repeat_of[:-1])
    return np.bincount(repeat_of[first & (repeat_of >= 0)], minlength=count)


class _Grouping:
    """Sorts the values of columns by repeat.

    Args:
        group_of: By row, its repeat; -1 for none.
        count: How many repeats there are.
    """

    def __init__(self, group_of: Ints, count: int) -> None:
        # Small integers are sorted by radix, which is ten times as fast.
        self._group_of: NDArray[np.integer] = group_of.astype(np.int16 if count < 2**15 else np.int64)
        self._bounds = np.arange(count + 1)
        self._order, self._starts = self._sorted(self._group_of)

    def _sorted(self, groups: NDArray[np.integer]) -> tuple[Ints, Ints]:
        order = np.argsort(groups, kind="stable")
        return order, np.searchsorted(groups[order], self._bounds)

    def of(self, column: Column) -> tuple[Floats, Ints]:
        """The values of a column, sorted by repeat, and where each repeat starts."""
        if column.rows is None:
            return column.values[self._order], self._starts
        order, starts = self._sorted(self._group_of[column.rows])
        return column.values[order], starts


def _described(values: Floats, starts: Ints, *, quartiles: bool = False) -> Statistics:
    """The statistics of groups of values, in which a single value has the std 0."""
    basic = describe(values, starts, quartiles=quartiles)
    count, mean = basic.count, basic.mean
    std = np.where((count == 1) | (basic.min == basic.max), 0.0, basic.std)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = std / np.sqrt(count)
    half = np.full(len(count), np.nan)
    several = np.flatnonzero(count > 1)
    half[several] = t_975(count[several] - 1) * error[several]
    statistics = {"mean": mean, "median": basic.median, "std": std, "sem": error}
    statistics |= {"min": basic.min, "max": basic.max, "ci_low_95": mean - half, "ci_high_95": mean + half}
    if basic.p25 is not None and basic.p75 is not None:
        statistics |= {"p25": basic.p25, "p75": basic.p75}
    return statistics
