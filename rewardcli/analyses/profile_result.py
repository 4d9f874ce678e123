"""A profile as a result: its records, and the tables they are laid out in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..keys import key_name
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
    yield from _repeat_records(profile)
    for name, count in profile.solved().items():
        yield Record(Key("solved", score=name), count)


def _views(profile: Profile, records: Sequence[Record]) -> Iterator[View]:
    """Completion, the agents' statistics, how the tasks' mean rewards are distributed, how many are solved."""
    yield _completion(records)
    for agent in profile.agents:
        rows = [record for record in records if record.key.agent == agent.name and not record.key.subset]
        title = f"Agent {agent.name}"
        yield pivot(rows, {"field": "score"}, {statistic: (statistic, "") for statistic in _SHOWN}, title)
        if agent.coverage:
            yield pivot(rows, {"coverage": "score"}, {"count": ("coverage", "")}, f"{title}: masked rollouts")
    yield from _repeats(profile)
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


# --- repeats --------------------------------------------------------------------------------------------------------


def _repeat_records(profile: Profile) -> Iterator[Record]:
    """The statistics of every repeat, then those across the repeats of each agent."""
    repeats = profile.repeats
    for row, place in enumerate(repeats.agent_of.tolist()):
        agent, subset = repeats.agents[place], f"repeat {_index_name(profile, row)}"
        n_tasks, n_missing = int(repeats.n_tasks[row]), int(repeats.n_missing[row])
        yield Record(Key("sample_count", subset=subset, agent=agent), n_tasks)
        yield Record(Key("missing_count", subset=subset, agent=agent), n_missing)
        for field, name in enumerate(repeats.fields):
            for statistic, values in repeats.statistics.items():
                if np.isfinite(values[field, row]):
                    key = Key(statistic, score=name, subset=subset, agent=agent)
                    yield Record(key, float(values[field, row]), n_tasks)
    spread = repeats.across()
    for statistic, values in spread.statistics.items():
        for row, place in np.argwhere(np.isfinite(values)).tolist():
            key = Key(f"{statistic}_across_repeats", score=f"mean/{spread.names[row]}", agent=repeats.agents[place])
            yield Record(key, float(values[row, place]))


def _index_name(profile: Profile, repeat: int) -> str:
    return key_name(profile.measured.indices.values[profile.repeats.indices[repeat]])


def _repeats(profile: Profile) -> Iterator[View]:
    """The mean reward of every repeat, and below those of each agent how far they spread."""
    repeats = profile.repeats
    if "reward" not in repeats.fields:
        return
    reward = repeats.fields.index("reward")
    across = repeats.across().statistics
    rows = []
    for place, agent in enumerate(repeats.agents):
        for row in range(*repeats.starts[place : place + 2].tolist()):
            counts = (f"{repeats.n_tasks[row]:,}", f"{repeats.n_missing[row]:,}")
            values = [repeats.statistics[name][reward, row] for name in ("mean", "std")]
            rows.append(Row((agent, _index_name(profile, row), *counts), _cells(values)))
        values = [across[name][reward, place] for name in ("mean", "std")]
        rows.append(Row((agent, "across repeats", "", ""), _cells(values)))
    if rows:
        yield View("Repeats", ("agent", "repeat", "tasks", "missing"), ("mean reward", "std"), rows)


def _cells(values: Sequence[float]) -> tuple[Record, ...]:
    return tuple(Record(Key(name), float(value)) for name, value in zip(("mean", "std"), values, strict=True))
