"""A profile as a result: its records, and the tables they are laid out in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..listener import Note
from ..results import Key, Record, Result, Row, View, pivot
from .profile import Profile

__all__ = ["profile_result"]

_BINS = 10
# The columns of an agent's table, in the order of the eye.
_SHOWN = ("mean", "std", "min", "median", "max")


def profile_result(profile: Profile, document: Callable[[], Any], notes: Sequence[Note]) -> Result:
    """Lay a profile out.

    Args:
        profile: The profile.
        document: Makes the JSON.
        notes: What the user should know besides.
    """
    records = list(_records(profile))
    return Result("profile", records, lambda: _views(profile, records), document, notes)


def _records(profile: Profile) -> Iterator[Record]:
    """What the JSON of a profile says, one number each."""
    for name, count in profile.completion.summary.items():
        yield Record(Key("completion", score=name), count)
    for agent in profile.agents:
        for statistic, by_field in agent.statistics.items():
            for name, value in by_field.items():
                yield Record(Key(statistic, score=name, agent=agent.name), value)
        for name, count in agent.coverage.items():
            yield Record(Key("coverage", score=name, agent=agent.name), count)
    for name, count in profile.solved().items():
        yield Record(Key("solved", score=name), count)


def _views(profile: Profile, records: Sequence[Record]) -> Iterator[View]:
    """Completion, the agents' statistics, how the tasks' mean rewards are distributed, how many are solved."""
    yield _completion(records)
    for agent in profile.agents:
        rows = [record for record in records if record.key.agent == agent.name]
        title = f"Agent {agent.name}"
        yield pivot(rows, {"field": "score"}, {statistic: (statistic, "") for statistic in _SHOWN}, title)
        if agent.coverage:
            yield pivot(rows, {"coverage": "score"}, {"count": ("coverage", "")}, f"{title}: masked rollouts")
    yield from _distribution(profile)
    yield pivot(records, {"": "score"}, {"tasks": ("solved", "")}, "Tasks solved")


def _completion(records: Sequence[Record]) -> View:
    by_name = {record.key.score: record for record in records if record.key.metric == "completion"}
    rows = [
        Row((name,), (by_name.get(rollouts), by_name[tasks]))
        for name, rollouts, tasks in (
            ("expected", "expected_rollout_rows", "total_input_rows"),
            ("completed", "completed_rollout_rows", "complete_input_rows"),
            ("partial", "", "partial_input_rows"),
            ("missing", "missing_rollout_rows", "missing_input_rows"),
        )
    ]
    return View("Completion", ("",), ("rollouts", "tasks"), rows)


def _distribution(profile: Profile) -> Iterator[View]:
    """The tasks' mean rewards in ten bins."""
    rewards = profile.reward_by_task()
    means = np.empty(0) if rewards is None else rewards.mean[np.isfinite(rewards.mean)]
    if not len(means):
        return
    low, high = float(means.min()), float(means.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    if low == high:
        low, high = low - 0.5, high + 0.5
    share = np.linspace(0.0, 1.0, _BINS + 1)
    edges = low * (1.0 - share) + high * share
    place = np.clip(np.searchsorted(edges, means, side="right") - 1, 0, _BINS - 1)
    counts = np.bincount(place, minlength=_BINS).tolist()
    rows = []
    for index, count in enumerate(counts):
        end = "]" if index == _BINS - 1 else ")"
        name = f"[{edges[index]:.4g}, {edges[index + 1]:.4g}{end}"
        rows.append(Row((name,), (Record(Key("mean reward", score=name), count),), bar=count / max(counts)))
    yield View("Mean reward by task", ("reward",), ("tasks",), rows)
