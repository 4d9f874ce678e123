"""The statistics of every numeric field, by task and by agent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import metrics as m
from ..arrays import Floats, Ints
from ..completion import Completion
from ..rollouts import BOOLEAN, INTEGER, Column, Rollouts
from .repeats import Repeats, repeats_of

__all__ = ["STATISTICS", "AgentStatistics", "ByStatistic", "Profile", "describe_columns", "is_whole"]

STATISTICS = ("mean", "max", "min", "median", "std")

# By statistic and field, the values of every group: NaN (None in arrays of objects) where one is undefined.
ByStatistic = dict[str, dict[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class AgentStatistics:
    """The statistics over all measured rollouts of one agent.

    Attributes:
        name: The agent's name.
        statistics: By statistic and field, the value; an undefined one is left out.
        coverage: How many rollouts and tasks are measured and masked; empty if none is masked.
    """

    name: str
    statistics: dict[str, dict[str, int | float]]
    coverage: dict[str, int]


@dataclass(frozen=True)
class Profile:
    """The statistics of rollouts, and how complete these are.

    Attributes:
        rollouts: All rollouts, masked ones included.
        completion: What was expected.
    """

    rollouts: Rollouts
    completion: Completion

    @cached_property
    def measured(self) -> Rollouts:
        """The rollouts that count: those that are not masked."""
        return self.rollouts.measured()

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The numeric fields of the measured rollouts, in first-seen order; usage wins where it has a number."""
        table = self.measured
        top, usage = _fields(table.numbers), _fields(table.usage)
        merged = {name: usage[name].over(column) if name in usage else column for name, column in top.items()}
        merged |= {name: column for name, column in usage.items() if name not in merged}
        first = {name: row for name, column in merged.items() if (row := column.first_number()) is not None}
        merged = {name: merged[name] for name in first}
        rank = {name: rank for rank, name in enumerate(table.field_order)}
        return {name: merged[name] for name in sorted(merged, key=lambda name: (first[name], rank.get(name, 0)))}

    @cached_property
    def numbers(self) -> dict[str, Column]:
        """The numeric fields of all rollouts, without the reward: the usage, then the top level, which wins."""
        top, usage = _fields(self.rollouts.numbers), _fields(self.rollouts.usage)
        columns = {name: top[name].over(column) if name in top else column for name, column in usage.items()}
        columns |= {name: column for name, column in top.items() if name not in usage}
        columns.pop("reward", None)
        return columns

    @cached_property
    def _whole(self) -> bool:
        return is_whole(self.columns.values())

    def by_task(self, tasks: slice = slice(None)) -> ByStatistic:
        """The statistics of tasks, in the order of the rollouts."""
        chosen = range(self.rollouts.n_tasks)[tasks]
        return describe_columns(self.columns, self.measured.starts[chosen.start : chosen.stop + 1], whole=self._whole)

    @cached_property
    def agents(self) -> list[AgentStatistics]:
        """The statistics of every agent, sorted by its name."""
        table = self.measured
        names = table.agent_names()
        by_row = table.row_agents()
        order = None if (by_row[1:] >= by_row[:-1]).all() else np.argsort(by_row, kind="stable")
        starts = np.searchsorted(by_row if order is None else by_row[order], np.arange(len(names) + 1))
        described = describe_columns(self.columns, starts, order, whole=self._whole)
        coverage = self._coverage_by_agent()
        agents = [
            AgentStatistics(names[code], _defined(described, code), coverage.get(code, {}))
            for code in np.unique(self.rollouts.agents.codes).tolist()
        ]
        return sorted(agents, key=lambda agent: agent.name)

    @cached_property
    def repeats(self) -> Repeats:
        """The statistics of every repeat of the agents that have several."""
        table = self.rollouts
        tasks_of_agent = np.bincount(table.agents.codes, minlength=len(table.agents.values))
        return repeats_of(self.measured, self.columns, tasks_of_agent)

    def _coverage_by_agent(self) -> dict[int, dict[str, int]]:
        """By code of an agent that has masked rollouts, how many are measured and masked."""
        table = self.rollouts
        if not table.masked.any():
            return {}
        all_rows, measured = np.diff(table.starts), np.diff(self.measured.starts)

        def count(by_task: Any) -> list[int]:
            return np.bincount(table.agents.codes, by_task).astype(np.int64).tolist()  # type: ignore[no-any-return]

        columns = {
            "measured_rollouts": count(measured),
            "masked_rollouts": count(all_rows - measured),
            "measured_tasks": count(measured > 0),
            "fully_masked_tasks": count((measured == 0) & (all_rows > 0)),
        }
        rows = (dict(zip(columns, counts, strict=True)) for counts in zip(*columns.values(), strict=True))
        return {code: row for code, row in enumerate(rows) if row["masked_rollouts"]}

    def reward_by_task(self) -> m.Statistics | None:
        """The statistics of the reward by task; None if no rollout has one."""
        reward = self.columns.get("reward")
        return None if reward is None else m.describe(*reward.in_groups(self.measured.starts))

    def solved(self) -> dict[str, int]:
        """How many tasks are solved always (every reward >= 1), never (every reward <= 0), sometimes, or have none."""
        reward = self.reward_by_task()
        if reward is None:
            return {"always": 0, "sometimes": 0, "never": 0, "undefined": self.rollouts.n_tasks}
        with np.errstate(invalid="ignore"):
            always, never = int((reward.min >= 1).sum()), int((reward.max <= 0).sum())
        undefined = int((reward.count == 0).sum())
        return {
            "always": always,
            "sometimes": self.rollouts.n_tasks - always - never - undefined,
            "never": never,
            "undefined": undefined,
        }


def _fields(columns: Mapping[str, Column]) -> dict[str, Column]:
    """The columns that say something of a rollout: names that begin with `_` belong to whoever ran it."""
    return {name: column for name, column in columns.items() if not name.startswith("_")}


def _defined(described: ByStatistic, group: int) -> dict[str, dict[str, int | float]]:
    """The statistics of one group, without those that are undefined."""
    return {
        statistic: {
            name: value
            for name, values in columns.items()
            if (value := values[group : group + 1].tolist()[0]) is not None
            and (isinstance(value, int) or math.isfinite(value))
        }
        for statistic, columns in described.items()
    }


# --- groups of rows -------------------------------------------------------------------------------------------------


def is_whole(columns: Any) -> bool:
    """Whether every column is integer, with no gap: only then are NeMo Gym's max and min ints."""
    return all(
        np.count_nonzero((column.states == INTEGER) | (column.states == BOOLEAN)) == len(column) for column in columns
    )


def describe_columns(
    columns: Mapping[str, Column], starts: Ints, order: Ints | None = None, *, whole: bool
) -> ByStatistic:
    """The statistics of groups of rows.

    Args:
        columns: The numbers by field.
        starts: Group g is the rows from `starts[g]` up to `starts[g + 1]`; shape (groups + 1,).
        order: The order of the rows; None for that of the columns.
        whole: Whether max and min are ints, as `is_whole` says of all data.
    """
    described: ByStatistic = {statistic: {} for statistic in STATISTICS}
    counts = {}
    for name, column in columns.items():
        column = column if order is None else column.take(order)  # noqa: PLW2901
        statistics = m.describe(*column.in_groups(starts))
        counts[name] = statistics.count
        for statistic in STATISTICS:
            described[statistic][name] = getattr(statistics, statistic)
        if whole:
            described["max"][name], described["min"][name] = _whole_extremes(column, starts)
    described["std"] = _zero_filled(described["std"], counts, np.diff(starts))
    return described


def _whole_extremes(column: Column, starts: Ints) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """The maximum and minimum of groups of integers, as integers."""
    integers = column.take(slice(starts[0], starts[-1])).numbers()
    values = np.array(integers, dtype=object if column.exact is not None else np.int64)
    groups = np.flatnonzero(np.diff(starts))
    begins = (starts[:-1] - starts[0])[groups]
    high, low = (np.full(len(starts) - 1, None, dtype=object) for _ in range(2))
    if len(groups):
        high[groups] = np.maximum.reduceat(values, begins).astype(object)
        low[groups] = np.minimum.reduceat(values, begins).astype(object)
    return high, low


def _zero_filled(stds: Mapping[str, Floats], counts: Mapping[str, Ints], sizes: Ints) -> dict[str, NDArray[Any]]:
    """The stds as NeMo Gym shows them: 0 for a column without gaps, but only where no column of the group has a std."""
    if not stds:
        return {}
    none_defined = np.logical_and.reduce([np.isnan(std) for std in stds.values()]) & (sizes > 0)
    return {name: np.where(none_defined & (counts[name] == sizes), 0.0, std) for name, std in stds.items()}
