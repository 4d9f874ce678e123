"""Rows as they were read, sorted into rollouts."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..arrays import Codes, Ints, Mask
from ..errors import DataError
from .labels import Labels
from .rows import DEFAULT_AGENT, Matching, Rollouts, Rows, by_appearance

__all__ = ["Duplicates", "arrange"]

Duplicates = Literal["error", "first", "last", "keep"]
NO_TASK_HINT = "name its field with {task_key}"


def arrange(
    rows: Rows, duplicates: Duplicates = "error", matching: Matching | None = None, task_hint: str = NO_TASK_HINT
) -> Rollouts:
    """Sort rows into rollouts.

    Args:
        rows: The rows; their numbers are moved out of them, one column after the other.
        duplicates: What to do with rows of the same task, agent and rollout index.
        matching: Which inputs the rows answer, to be kept with the rollouts.
        task_hint: What to do about a row without a task.

    Raises:
        DataError: A row has no task, only some rows have a rollout index, or two rows have the same key.
    """
    if (rows.tasks.codes < 0).any():
        row = int(np.argmax(rows.tasks.codes < 0))
        raise DataError("no task index", task_hint, rows.origins.location(row))
    indexed = rows.indices.codes >= 0
    if indexed.any() and not indexed.all():
        raise DataError(
            "no rollout index, while other rows have one",
            "complete the file, or name another field with {rollout_key}",
            rows.origins.location(int(np.argmax(~indexed))),
        )
    agents, tasks, indices = Labels.sorted(rows.agents.filled(DEFAULT_AGENT), rows.tasks, rows.indices)
    task = tasks.codes.astype(np.int64) * len(agents.values) + agents.codes
    order = _order(task, indices.codes)
    task = task[order]
    left_out = 0
    if len(rows) and not indexed.any():
        indices = by_appearance(task, order)
    elif duplicates != "keep":
        kept = _without_duplicates(rows, order, task, indices.codes[order], duplicates)
        left_out = len(kept) - int(np.count_nonzero(kept))
        order, task = order[kept], task[kept]
    first = np.flatnonzero(np.concatenate([[True], task[1:] != task[:-1]])) if len(task) else np.empty(0, np.int64)
    rows.indices = indices
    return Rollouts(
        **rows.taken(order),
        starts=np.append(first, len(task)).astype(np.int64),
        tasks=tasks.take(order[first]),
        agents=agents.take(order[first]),
        positions=order,
        orders=rows.orders,
        origins=rows.origins,
        matching=matching,
        left_out=left_out,
    )


def _order(task: Ints, index: Codes) -> NDArray[np.intp]:
    """The rows sorted by task, then by rollout index."""
    step = np.diff(task)
    if ((step > 0) | ((step == 0) & (np.diff(index) >= 0))).all():
        return np.arange(len(task))
    return np.lexsort((index, task))


def _without_duplicates(rows: Rows, order: NDArray[np.intp], task: Ints, index: Codes, duplicates: Duplicates) -> Mask:
    """Which of the sorted rows to keep."""
    again: Mask = np.concatenate([[False], (task[1:] == task[:-1]) & (index[1:] == index[:-1])])[: len(task)]
    if not again.any():
        return ~again
    if duplicates == "error":
        pairs = np.flatnonzero(again)
        second = pairs[np.argmin(order[pairs])]  # the first in the order of the files
        first, second = order[second - 1], order[second]
        raise DataError(
            f"duplicate of {rows.origins.location(first)} ({rows.key_text(second)})",
            "keep one of them with {duplicates=first} or last, or both with {duplicates=keep}",
            rows.origins.location(second),
        )
    return ~again if duplicates == "first" else ~np.append(again[1:], False)
