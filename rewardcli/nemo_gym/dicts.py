"""From rollouts that are dicts, as NeMo Gym's callers hold them, to columns, and back to dicts by task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..reader import NEMO_GYM, rollouts_of_dicts
from ..rollouts import Rollouts
from .spelling import in_nemo_gym_words

__all__ = ["ROLLOUT_KEY", "TASK_KEY", "Tasks", "_group_by_task", "group_by_task", "grouped", "with_task"]

TASK_KEY, ROLLOUT_KEY = NEMO_GYM.task, NEMO_GYM.index

Tasks = list[list[dict[str, Any]]]


def with_task(responses: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The responses; a single one without a task index is task 0."""
    if len(responses) == 1 and responses[0].get(TASK_KEY) is None:
        return [{**responses[0], TASK_KEY: 0}]
    return responses


def grouped(rollouts: Rollouts, rows: Sequence[dict[str, Any]]) -> Tasks:
    """Rows by task, without the tasks that have none.

    Args:
        rollouts: The rollouts, sorted.
        rows: The row of each of them, in the same order.
    """
    starts = rollouts.starts.tolist()
    return [list(rows[begin:end]) for begin, end in zip(starts, starts[1:], strict=False) if end > begin]


@in_nemo_gym_words()
def group_by_task(responses: Sequence[dict[str, Any]]) -> Tasks:
    """The responses by task, tasks in sorted order, rollouts by rollout index where all have one.

    Raises:
        ValueError: There are several responses, and one has no task index.
    """
    if not responses:
        return []
    names = ("verify_responses", "materialized inputs")
    keyed = with_task(responses)
    rollouts = rollouts_of_dicts(keyed, numbers=(), duplicates="keep", pooled=True, loose=True, names=names)
    return grouped(rollouts, [responses[position] for position in rollouts.positions.tolist()])


_group_by_task = group_by_task  # NeMo Gym's name
