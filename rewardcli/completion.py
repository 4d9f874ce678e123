"""Materialized inputs: which rollout answers which input, and what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .keys import key_name
from .reader.arrange import Rows, by_appearance, with_agents
from .rollouts import DEFAULT_AGENT, Labels, Rollouts

__all__ = ["Completion", "Matching", "completion_of", "match_inputs"]

_SHOWN_KEYS = 10


@dataclass(frozen=True, slots=True)
class Matching:
    """Which input each rollout answers.

    Attributes:
        input_of: By rollout row, the position of its input, -1 for none.
        inputs: The inputs, with an agent on each that has or can be given one.
        rollouts: The rollouts, with the agents of their inputs.
    """

    input_of: NDArray[np.int64]
    inputs: Rows
    rollouts: Rows

    def extra(self) -> NDArray[np.intp]:
        """The rollouts without an input."""
        return np.flatnonzero(self.input_of < 0)

    def missing(self) -> NDArray[np.intp]:
        """The inputs without a rollout."""
        return np.flatnonzero(np.bincount(self.input_of[self.input_of >= 0], minlength=len(self.inputs)) == 0)


def match_inputs(inputs: Rows, rollouts: Rows) -> Matching:
    """Finds the input of every rollout by task and rollout index.

    If the inputs name several agents for one task and rollout, the agent is part of the key.

    Raises:
        DataError: An input has no task index, or two inputs have the same key.
    """
    if (inputs.task.codes < 0).any():
        row = int(np.argmax(inputs.task.codes < 0))
        raise DataError(f"{inputs.where(row)}: no task index in this input", "name its field with {task_key}")
    inputs, rollouts = _numbered(inputs), _numbered(rollouts)
    sides = (inputs, rollouts)
    count = len(inputs)
    task = Labels.merge([side.task for side in sides])
    rollout = Labels.merge([side.rollout for side in sides])
    agent = Labels.merge([side.agent for side in sides])
    key = task.codes.astype(np.int64) * (len(rollout.values) + 1) + rollout.codes
    with_agent = key * (len(agent.values) + 1) + agent.codes
    if len(np.unique(key[:count])) < count and len(np.unique(with_agent[:count])) == count:
        key = with_agent
    order = np.argsort(key[:count], kind="stable")
    ordered = key[:count][order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise DataError(
            f"{inputs.where(second)}: duplicate materialized input of {inputs.where(first)}"
            f" ({inputs.key_text(second)})",
            "keep one row for each task and rollout in the inputs",
        )
    place = np.minimum(np.searchsorted(ordered, key[count:]), max(count - 1, 0))
    found = ordered[place] == key[count:] if count else np.zeros(len(rollouts), np.bool_)
    found &= rollouts.task.codes >= 0
    input_of = np.where(found, order[place] if count else -1, -1)
    given = Labels(
        np.where(found, inputs.agent.codes[input_of] if count else -1, -1).astype(np.int32), inputs.agent.values
    )
    return Matching(input_of, inputs, with_agents(rollouts, given))


def _numbered(rows: Rows) -> Rows:
    """The rows, numbered within their task where none has a rollout index."""
    if not len(rows) or (rows.rollout.codes >= 0).any():
        return rows
    order = np.argsort(rows.task.codes, kind="stable")
    return replace(rows, rollout=by_appearance(rows.task.codes[order].astype(np.int64), order))


def keys_text(rows: Rows, positions: NDArray[np.intp]) -> str:
    """The first keys of rows, as (task, rollout)."""
    shown = [
        f"({key_name(rows.task.values[rows.task.codes[p]])}, {key_name(rows.rollout.values[rows.rollout.codes[p]])})"
        for p in positions[:_SHOWN_KEYS]
    ]
    return ", ".join(shown) + (", …" if len(positions) > _SHOWN_KEYS else "")


# --- completion -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Completion:
    """How many of the expected rollouts there are.

    Attributes:
        expected_by_unit: By unit of the table, how many rollouts were expected.
        summary: NeMo Gym's counts.
    """

    expected_by_unit: NDArray[np.int64]
    summary: dict[str, int | float]


def completion_of(table: Rollouts, matching: Matching | None, agent: str | None = None) -> Completion:
    """Compares the rollouts of a table with what was expected; without inputs, they are what was expected.

    Args:
        table: The rollouts of `matching`, sorted; those of the agent if one is given.
        matching: Which input each rollout answers.
        agent: Count the inputs of this agent only.
    """
    present = np.diff(table.starts)
    if matching is None:
        return Completion(present, _summary(present, present, extra=0))
    width, input_keys, unit_keys = _unit_keys(table, matching)
    matched = matching.input_of[table.positions] >= 0
    if agent is not None:
        input_keys = input_keys[np.isin(input_keys % width, unit_keys % width)]
    keys, expected = np.unique(input_keys, return_counts=True)
    place = np.minimum(np.searchsorted(keys, unit_keys), max(len(keys) - 1, 0))
    known = keys[place] == unit_keys if len(keys) else np.zeros(len(unit_keys), np.bool_)
    completed = np.zeros(len(keys), np.int64)
    completed[place[known]] = np.diff(np.concatenate([[0], np.cumsum(matched)])[table.starts])[known]
    by_unit = np.where(known, expected[place], 0) if len(keys) else np.zeros(len(unit_keys), np.int64)
    return Completion(by_unit, _summary(expected, completed, extra=len(matching.extra())))


def _unit_keys(table: Rollouts, matching: Matching) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """One number for each (task, agent): how many agents there are, the number of every input and of every unit."""
    inputs = matching.inputs
    present = np.diff(table.starts)
    agents = Labels.merge([inputs.agent, table.agents, Labels(np.zeros(1, np.int32), [DEFAULT_AGENT])])
    of_input, of_unit, default = np.split(agents.codes, [len(inputs), len(inputs) + table.n_tasks])
    tasks = Labels.merge([inputs.task, table.tasks])
    input_task, unit_task = np.split(tasks.codes.astype(np.int64), [len(inputs)])
    # An input that names no agent has that of its rollout, else that of the task's first unit.
    answered, by_task = (np.full(size, -1, np.int32) for size in (len(inputs), len(tasks.values)))
    matched = matching.input_of[table.positions]
    answered[matched[matched >= 0]] = np.repeat(of_unit, present)[matched >= 0]
    by_task[unit_task[::-1]] = of_unit[::-1]
    for choice in (answered, by_task[input_task], default):
        of_input = np.where(of_input < 0, choice, of_input)
    width = len(agents.values)
    return width, input_task * width + of_input, unit_task * width + of_unit


def _summary(expected: NDArray[np.int64], completed: NDArray[np.int64], extra: int) -> dict[str, int | float]:
    """NeMo Gym's counts, from those of every unit."""
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


def require_complete(matching: Matching, allow_partial: bool, names: Sequence[str] = ("rollouts", "inputs")) -> None:
    """Makes sure that every rollout has an input, and (unless partial profiling is allowed) every input a rollout.

    Args:
        matching: Which input each rollout answers.
        allow_partial: Whether inputs without a rollout are let pass.
        names: What messages call the two sides.

    Raises:
        DataError: One has none; the message gives the count and the first keys.
    """
    extra, missing = matching.extra(), matching.missing()
    if len(extra):
        raise DataError(
            f"{names[0]}: {len(extra)} rollouts have no matching materialized input:"
            f" {keys_text(matching.rollouts, extra)}",
            "check that the inputs belong to these rollouts",
        )
    if len(missing) and not allow_partial:
        raise DataError(
            f"{names[1]}: {len(missing)} of {len(matching.inputs)} inputs have no rollout:"
            f" {keys_text(matching.inputs, missing)}",
            "wait for the run to end, or profile what there is with {allow_partial}",
        )
