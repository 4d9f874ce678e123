"""Materialized inputs: which rollout answers which input, and what was expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrays import Ints
from .errors import DataError, plural
from .keys import key_name
from .rollouts import DEFAULT_AGENT, Labels, Matching, Rollouts, Rows

__all__ = ["Completion", "completion_of", "match_inputs", "require_complete"]

_SHOWN_KEYS = 10


# --- matching -------------------------------------------------------------------------------------------------------


def match_inputs(inputs: Rows, rows: Rows, source: str = "", key_fields: tuple[str, ...] = ()) -> Matching:
    """Find the input of every rollout by task and rollout index.

    If the inputs name several agents for one task and rollout index, the agent is part of the key.

    Args:
        inputs: The inputs, numbered.
        rows: The rollouts, numbered.
        source: What messages call the inputs.
        key_fields: The fields of task and rollout index.

    Raises:
        DataError: An input has no task, or two inputs have the same key.
    """
    if (inputs.tasks.codes < 0).any():
        location = inputs.origins.location(int(np.argmax(inputs.tasks.codes < 0)))
        raise DataError("no task index in this input", "name its field with {task_key}", location)
    count = len(inputs)
    task, index, agent = (
        Labels.concat([getattr(side, name) for side in (inputs, rows)]) for name in ("tasks", "indices", "agents")
    )
    key = task.codes.astype(np.int64) * (len(index.values) + 1) + index.codes
    with_agent = key * (len(agent.values) + 1) + agent.codes
    if len(np.unique(key[:count])) < count and len(np.unique(with_agent[:count])) == count:
        key = with_agent
    order = np.argsort(key[:count], kind="stable")
    ordered = key[:count][order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise DataError(
            f"duplicate materialized input of {inputs.origins.location(first)} ({inputs.key_text(second)})",
            "keep one row for each task and rollout in the inputs",
            inputs.origins.location(second),
        )
    place = np.minimum(np.searchsorted(ordered, key[count:]), max(count - 1, 0))
    matched = ordered[place] == key[count:] if count else np.zeros(len(rows), np.bool_)
    matched &= rows.tasks.codes >= 0
    return Matching(np.where(matched, order[place] if count else -1, -1), inputs, source, key_fields)


def require_complete(
    rows: Rows, matching: Matching, names: tuple[str, str], allow_partial: bool, allow_extra: bool = False
) -> None:
    """Make sure that every rollout has an input, and (unless some may be missing) every input a rollout.

    Args:
        rows: The rollouts, as they were read.
        matching: Which input each of them answers.
        names: What messages call rollouts and inputs.
        allow_partial: Whether inputs may lack a rollout.
        allow_extra: Whether rollouts may lack an input.

    Raises:
        DataError: One has none; the message gives the count and the first keys.
    """
    extra, missing = matching.extra(), matching.missing()
    if len(extra) and not allow_extra:
        raise DataError(
            f"{names[0]}: {plural(len(extra), 'rollout has', 'rollouts have')} no matching materialized input:"
            f" {_keys_text(rows, extra)}",
            "check that the inputs belong to these rollouts",
        )
    if len(missing) and not allow_partial:
        raise DataError(
            f"{names[1]}: {len(missing)} of {plural(len(matching.inputs), 'input')} have no rollout:"
            f" {_keys_text(matching.inputs, missing)}",
            "wait for the run to end, or profile what there is with {allow_partial}",
        )


def _keys_text(rows: Rows, positions: NDArray[np.intp]) -> str:
    """The first keys of rows, as (task, rollout index)."""
    tasks, indices = rows.tasks, rows.indices
    shown = [
        f"({key_name(tasks.values[tasks.codes[p]])}, {key_name(indices.values[indices.codes[p]])})"
        for p in positions[:_SHOWN_KEYS]
    ]
    return ", ".join(shown) + (", …" if len(positions) > _SHOWN_KEYS else "")


# --- completion -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Completion:
    """How many of the expected rollouts there are.

    Attributes:
        expected_by_task: By task, how many rollouts were expected.
        summary: NeMo Gym's counts.
    """

    expected_by_task: Ints
    summary: dict[str, int | float]


def completion_of(rollouts: Rollouts, agent: str | None = None) -> Completion:
    """Compare rollouts with what was expected; without inputs, they are what was expected.

    Args:
        rollouts: The rollouts; those of the agent if one is given.
        agent: Count the inputs of this agent only.
    """
    present = np.diff(rollouts.starts)
    matching = rollouts.matching
    if matching is None:
        return Completion(present, _summary(present, present, extra=0))
    width, input_keys, task_keys = _task_keys(rollouts, matching)
    matched = rollouts.inputs() >= 0
    if agent is not None:
        input_keys = input_keys[np.isin(input_keys % width, task_keys % width)]
    keys, expected = np.unique(input_keys, return_counts=True)
    place = np.minimum(np.searchsorted(keys, task_keys), max(len(keys) - 1, 0))
    known = keys[place] == task_keys if len(keys) else np.zeros(len(task_keys), np.bool_)
    completed = np.zeros(len(keys), np.int64)
    completed[place[known]] = np.diff(np.concatenate([[0], np.cumsum(matched)])[rollouts.starts])[known]
    by_task = np.where(known, expected[place], 0) if len(keys) else np.zeros(len(task_keys), np.int64)
    return Completion(by_task, _summary(expected, completed, extra=len(matching.extra())))


def _task_keys(rollouts: Rollouts, matching: Matching) -> tuple[int, Ints, Ints]:
    """One number for each (task key, agent): how many agents there are, the number of every input and of every task."""
    inputs = matching.inputs
    present = np.diff(rollouts.starts)
    agents = Labels.concat([inputs.agents, rollouts.agents, Labels(np.zeros(1, np.int32), [DEFAULT_AGENT])])
    of_input, of_task, default = np.split(agents.codes, [len(inputs), len(inputs) + rollouts.n_tasks])
    keys = Labels.concat([inputs.tasks, rollouts.tasks])
    input_key, task_key = np.split(keys.codes.astype(np.int64), [len(inputs)])
    # An input that names no agent has that of its rollout, else that of the first task with its key.
    answered, by_key = (np.full(size, -1, np.int32) for size in (len(inputs), len(keys.values)))
    input_of = rollouts.inputs()
    answered[input_of[input_of >= 0]] = np.repeat(of_task, present)[input_of >= 0]
    by_key[task_key[::-1]] = of_task[::-1]
    for choice in (answered, by_key[input_key], default):
        of_input = np.where(of_input < 0, choice, of_input)
    width = len(agents.values)
    return width, input_key * width + of_input, task_key * width + of_task


def _summary(expected: Ints, completed: Ints, extra: int) -> dict[str, int | float]:
    """NeMo Gym's counts, from those of every task."""
    expected_rows, completed_rows = int(expected.sum()), int(completed.sum())
    full, none = int((completed >= expected).sum()), int((completed == 0).sum())
    return {
        "expected_rollout_rows": expected_rows,
        "completed_rollout_rows": completed_rows,
        "missing_rollout_rows": expected_rows - completed_rows,
        "extra_rollout_rows": extra,
        "reward_profile_completion_pct": 100.0 * completed_rows / expected_rows if expected_rows else 100.0,
        "total_input_rows": len(expected),
        "complete_input_rows": full,
        "partial_input_rows": len(expected) - full - none,
        "missing_input_rows": none,
    }
