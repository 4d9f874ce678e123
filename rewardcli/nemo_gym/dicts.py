"""From rollouts that are dicts, as NeMo Gym's callers hold them, to columns, and back to dicts by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..reader.arrange import Rows, arrange
from ..reader.columns import Fields
from ..reader.read import AGENT_KEY, ROLLOUT_KEY, TASK_KEY, rows_of_dicts
from ..rollouts import Labels, Rollouts
from .spelling import in_nemo_gym_words

__all__ = [
    "Tasks",
    "_group_by_task",
    "as_one_agent",
    "group_by_task",
    "grouped",
    "input_rows",
    "rollout_rows",
    "with_task",
]

Tasks = list[list[dict[str, Any]]]


def rollout_rows(rollouts: Sequence[dict[str, Any]], name: str = "rollouts") -> Rows:
    """Rollouts with all their numbers, as rows; the dicts are not changed.

    Args:
        rollouts: As a JSON parser gives them.
        name: What messages call them.
    """
    return rows_of_dicts(rollouts, Fields(TASK_KEY, ROLLOUT_KEY, AGENT_KEY, numbers=None), name)


def input_rows(inputs: Sequence[dict[str, Any]]) -> Rows:
    """Materialized inputs, as rows of their keys."""
    return rows_of_dicts(inputs, Fields(TASK_KEY, ROLLOUT_KEY, AGENT_KEY), "materialized inputs")


def as_one_agent(rows: Rows) -> Rows:
    """The rows as if they named no agent."""
    return replace(rows, agent=_nothing(len(rows)))


def _nothing(count: int) -> Labels:
    return Labels(np.full(count, -1, np.int32), [])


def with_task(responses: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The responses; a single one without a task index is task 0."""
    if len(responses) == 1 and responses[0].get(TASK_KEY) is None:
        return [{**responses[0], TASK_KEY: 0}]
    return responses


def grouped(table: Rollouts, rows: Sequence[dict[str, Any]] | Mapping[int, dict[str, Any]]) -> Tasks:
    """The rows of a table by task, without the tasks that have none.

    Args:
        table: The rollouts, sorted.
        rows: By position before they were sorted, the rows.
    """
    ordered = [rows[position] for position in table.positions.tolist()]
    starts = table.starts.tolist()
    return [ordered[begin:end] for begin, end in zip(starts, starts[1:], strict=False) if end > begin]


@in_nemo_gym_words()
def group_by_task(responses: Sequence[dict[str, Any]]) -> Tasks:
    """The responses by task, tasks in sorted order, rollouts by rollout index where all have one.

    Raises:
        ValueError: There are several responses, and one has no task index.
    """
    if not responses:
        return []
    keys = Fields(TASK_KEY, ROLLOUT_KEY, AGENT_KEY)
    rows = as_one_agent(rows_of_dicts(with_task(responses), keys, "verify_responses"))
    if (rows.rollout.codes < 0).any():
        rows = replace(rows, rollout=_nothing(len(rows)))
    return grouped(arrange(rows, "keep"), responses)


_group_by_task = group_by_task  # NeMo Gym's name
