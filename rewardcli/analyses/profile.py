"""The statistics of every numeric field, by task and by agent, and what a profile tells of each rollout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from .. import metrics as m
from ..completion import Completion
from ..keys import JsonText, key_name
from ..reader import NEMO_GYM
from ..rollouts import BOOLEAN, INTEGER, Column, Rollouts

__all__ = ["STATISTICS", "Columns", "Profile", "as_dicts", "listed", "profile_json"]

TASK_KEY, ROLLOUT_KEY = NEMO_GYM.task, NEMO_GYM.index
STATISTICS = ("mean", "max", "min", "median", "std")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Profile:
    """The statistics of a table's rollouts, and how complete these are.

    Attributes:
        table: All rollouts, masked ones included.
        completion: What was expected.
    """

    table: Rollouts
    completion: Completion

    @cached_property
    def measured(self) -> Rollouts:
        """The rollouts that count: those that are not masked."""
        return self.table.measured()

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The numeric fields of the measured rollouts, in first-seen order; usage wins where it has a number."""
        table = self.measured
        merged = {
            name: table.usage[name].over(column) if name in table.usage else column
            for name, column in table.numbers.items()
        }
        merged |= {name: column for name, column in table.usage.items() if name not in merged}
        first = {name: row for name, column in merged.items() if (row := column.first_number()) is not None}
        merged = {name: merged[name] for name in first}
        place = {name: place for place, name in enumerate(table.field_order)}
        return {name: merged[name] for name in sorted(merged, key=lambda name: (first[name], place.get(name, 0)))}

    def dense_values(self) -> dict[str, Floats]:
        """By numeric field, the value of every measured rollout; NaN where it has none."""
        return {name: column.dense().values for name, column in self.columns.items()}

    @cached_property
    def _whole(self) -> bool:
        """Whether every column is integer, with no gap: only then NeMo Gym's max and min are ints."""
        return all(
            np.count_nonzero((column.states == INTEGER) | (column.states == BOOLEAN)) == len(column)
            for column in self.columns.values()
        )

    def statistics(self, starts: Ints, order: Ints | None = None) -> dict[str, NDArray[Any]]:
        """The statistics of groups of measured rollouts.

        Args:
            starts: Group g is the rows from `starts[g]` up to `starts[g + 1]`.
            order: The order of the rows; None for that of the table.

        Returns:
            By key (`mean/reward`, …) the value of every group; NaN or None where it is undefined.
        """
        sizes = np.diff(starts)
        by_statistic: dict[str, dict[str, NDArray[Any]]] = {statistic: {} for statistic in STATISTICS}
        counts = {}
        for name, column in self.columns.items():
            column = column if order is None else column.take(order)  # noqa: PLW2901
            found = m.describe(*column.in_groups(starts))
            counts[name] = found.count
            for statistic in STATISTICS:
                by_statistic[statistic][name] = getattr(found, statistic)
            if self._whole:
                integers = column.take(slice(starts[0], starts[-1])).numbers()
                whole = np.array(integers, dtype=object if column.exact is not None else np.int64)
                filled = np.flatnonzero(sizes)
                for statistic, extreme in (("max", np.maximum), ("min", np.minimum)):
                    by_statistic[statistic][name] = np.full(len(sizes), None, dtype=object)
                    by_statistic[statistic][name][filled] = extreme.reduceat(
                        whole, (starts[:-1] - starts[0])[filled]
                    ).astype(object)
        # NeMo Gym shows the std of a single rollout as 0, but only where no column of the group has a std.
        stds = by_statistic["std"]
        none_defined = (
            np.logical_and.reduce([np.isnan(std) for std in stds.values()]) if stds else np.empty(0, np.bool_)
        )
        for name, std in stds.items():
            stds[name] = np.where(none_defined & (counts[name] == sizes) & (sizes > 0), 0.0, std)
        return {
            f"{statistic}/{name}": values
            for statistic, columns in by_statistic.items()
            for name, values in columns.items()
        }

    # --- rows by task

    def task_statistics(self, units: slice = slice(None)) -> dict[str, NDArray[Any]]:
        """The statistics of units, in the order of the table."""
        chosen = range(self.table.n_tasks)[units]
        return self.statistics(self.measured.starts[chosen.start : chosen.stop + 1])

    def task_counts(self, units: slice = slice(None)) -> Columns:
        """How many rollouts units have, and how many were expected."""
        present = np.diff(self.table.starts)[units]
        expected = self.completion.expected_by_task[units]
        return {
            "num_rollouts": present.tolist(),
            "expected_num_rollouts": expected.tolist(),
            "missing_num_rollouts": (expected - present).tolist(),
            "reward_profile_completion_pct": (100.0 * present / np.maximum(expected, 1)).tolist(),
        }

    @cached_property
    def _info_columns(self) -> dict[str, Column]:
        """What `rollout_infos` tells besides the reward, in order: the usage, then the other numbers."""
        numbers, usage = self.table.numbers, self.table.usage
        columns = {name: numbers[name].over(column) if name in numbers else column for name, column in usage.items()}
        columns |= {name: column for name, column in numbers.items() if name not in usage}
        columns.pop("reward", None)
        return columns

    @cached_property
    def _key_texts(self) -> tuple[list[str], list[str]]:
        return list(map(key_name, self.table.tasks.values)), list(map(key_name, self.table.indices.values))

    @cached_property
    def _shown_keys(self) -> tuple[list[Any], list[Any]]:
        return list(map(_shown, self.table.tasks.values)), list(map(_shown, self.table.indices.values))

    def rollout_infos(self, units: slice = slice(None)) -> Columns:
        """By rollout of some units, what a row tells of it: its id and keys, its reward, its usage, its other numbers.

        Args:
            units: The units, in the order of the table.
        """
        table = self.table
        chosen = range(table.n_tasks)[units]
        rows = slice(int(table.starts[chosen.start]), int(table.starts[chosen.stop]))
        lengths = np.diff(table.starts[chosen.start : chosen.stop + 1])
        tasks = np.repeat(table.tasks.codes[units], lengths).tolist()
        rollouts = table.indices.codes[rows].tolist()
        task_texts, rollout_texts = self._key_texts
        shown_tasks, shown_rollouts = self._shown_keys
        columns: Columns = {
            "rollout_id": [f"{task_texts[t]}:{rollout_texts[r]}" for t, r in zip(tasks, rollouts, strict=True)],
            TASK_KEY: list(map(shown_tasks.__getitem__, tasks)),
            ROLLOUT_KEY: list(map(shown_rollouts.__getitem__, rollouts)),
        }
        columns |= self._rewards(rows)
        return columns | {name: column.take(rows).numbers(UNSET) for name, column in self._info_columns.items()}

    def _rewards(self, rows: slice) -> Columns:
        """The rewards as they stood in the rows; a number in the usage wins."""
        top, usage = (columns.get("reward") for columns in (self.table.numbers, self.table.usage))
        found = [UNSET] * (rows.stop - rows.start) if top is None else top.take(rows).as_read(UNSET)
        if usage is not None:
            inner = usage.take(rows).numbers(UNSET)
            found = [first if second is UNSET else second for first, second in zip(found, inner, strict=True)]
        return {"reward": found} if top is not None or usage is not None else {}

    def unit_tasks(self) -> list[Any]:
        """By unit, its task."""
        return list(map(self._shown_keys[0].__getitem__, self.table.tasks.codes.tolist()))

    def unit_agents(self) -> list[Any]:
        """By unit, its agent where its task has several; UNSET elsewhere."""
        table = self.table
        shared = np.bincount(table.tasks.codes)[table.tasks.codes] > 1
        names = table.agent_names()
        return [
            {"name": names[code]} if several else UNSET
            for code, several in zip(table.agents.codes.tolist(), shared.tolist(), strict=True)
        ]

    def first_inputs(self) -> list[int]:
        """By unit, the position of the input of its lowest rollout."""
        return self.table.inputs()[self.table.starts[:-1]].tolist()  # type: ignore[no-any-return]

    # --- rows by agent

    def agent_rows(self) -> list[dict[str, Any]]:
        """The statistics over all rollouts of each agent, sorted by its name."""
        return [dict(row) for row in self._agent_rows]

    @cached_property
    def _agent_rows(self) -> list[dict[str, Any]]:
        table = self.measured
        names = table.agent_names()
        by_row = table.row_agents()
        order = None if (by_row[1:] >= by_row[:-1]).all() else np.argsort(by_row, kind="stable")
        starts = np.searchsorted(by_row if order is None else by_row[order], np.arange(len(names) + 1))
        statistics = self.statistics(starts, order)
        rows = as_dicts({key: listed(values) for key, values in statistics.items()}, len(names))
        present = set(self.table.agents.codes.tolist())
        keys = replace(self.table, numbers={}, usage={}, labels={})
        for code, row in enumerate(rows):
            row.update({f"coverage/{k}": n for k, n in keys.take_tasks(keys.agents.codes == code).coverage().items()})
            row["agent_ref"] = {"name": names[code]}
        return sorted(
            (row for code, row in enumerate(rows) if code in present), key=lambda row: str(row["agent_ref"]["name"])
        )

    def solved(self) -> dict[str, int]:
        """How many units are solved always (every reward >= 1), never (every reward <= 0), sometimes, or have none."""
        found = self.reward_statistics()
        if found is None:
            return {"always": 0, "sometimes": 0, "never": 0, "undefined": self.table.n_tasks}
        with np.errstate(invalid="ignore"):
            always, never = int((found.min >= 1).sum()), int((found.max <= 0).sum())
        undefined = int((found.count == 0).sum())
        return {
            "always": always,
            "sometimes": self.table.n_tasks - always - never - undefined,
            "never": never,
            "undefined": undefined,
        }

    def reward_statistics(self) -> m.Statistics | None:
        """The statistics of the reward by unit; None if no rollout has one."""
        reward = self.columns.get("reward")
        return None if reward is None else m.describe(*reward.in_groups(self.measured.starts))


def _shown(value: Any) -> Any:
    return str(value) if isinstance(value, JsonText) else value


def listed(values: NDArray[Any]) -> list[Any]:
    """Statistics as Python numbers, with UNSET for what is undefined."""
    if values.dtype == object:
        return [UNSET if value is None else value for value in values]
    defined = np.isfinite(values)
    if defined.all():
        return values.tolist()  # type: ignore[no-any-return]
    found = values.astype(object)
    found[~defined] = UNSET
    return found.tolist()  # type: ignore[no-any-return]


def as_dicts(columns: Columns, count: int) -> list[dict[str, Any]]:
    """Columns as one dict a row, without what is unset."""
    if not columns:
        return [{} for _ in range(count)]
    names = list(columns)
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not UNSET}
        for row in zip(*columns.values(), strict=True)
    ]


def profile_json(profile: Profile) -> dict[str, Any]:
    """What `rewardcli profile` prints as JSON."""
    return {"completion": profile.completion.summary, "agents": profile.agent_rows(), "solved": profile.solved()}
