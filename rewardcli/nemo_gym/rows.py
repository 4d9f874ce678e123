"""A profile in NeMo Gym's words: rows by task and by agent, with keys such as `mean/reward`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from ..analyses.profile import AgentStatistics, ByStatistic, Profile
from ..analyses.repeats import ACROSS, OF_REPEAT, Repeats, spread_of
from ..arrays import Floats, Ints
from ..keys import JsonText, key_name
from ..metrics.histogram import Histogram
from ..reader import UNNAMEABLE
from ..rollouts import Rollouts
from .dicts import ROLLOUT_KEY, TASK_KEY

__all__ = [
    "Columns",
    "TaskRows",
    "agent_ref",
    "agent_rows",
    "as_dicts",
    "as_structs",
    "coverage_keys",
    "first_inputs",
    "mean_estimates",
    "profile_json",
    "repeat_columns",
    "spread_rows",
    "statistic_keys",
]

# By key, a value for every row; UNSET where the row does not have the key.
Columns = dict[str, list[Any]]
# Makes rows of columns, of which there are so many.
MakeRows = Callable[[Columns, int], list[Any]]


# --- columns to rows ------------------------------------------------------------------------------------------------


def as_dicts(columns: Columns, count: int) -> list[dict[str, Any]]:
    """Columns as one dict per row, without what is unset."""
    if not columns:
        return [{} for _ in range(count)]
    names = list(columns)
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not UNSET}
        for row in zip(*columns.values(), strict=True)
    ]


def as_structs(columns: Columns, count: int) -> list[Any]:
    """Columns as rows that can only be written, as the JSON of the dicts; twice as fast to make and to write."""
    if not columns or any(UNNAMEABLE.search(name) for name in columns):  # msgspec cannot name these
        return as_dicts(columns, count)
    return list(map(_struct(tuple(columns)), *columns.values()))


@lru_cache(maxsize=16)
def _struct(names: tuple[str, ...]) -> Any:
    fields = [(f"f{i}", Any, UNSET) for i in range(len(names))]
    return msgspec.defstruct("Row", fields, rename={f"f{i}": name for i, name in enumerate(names)}, gc=False)


def _listed(values: NDArray[Any]) -> list[Any]:
    """Statistics as Python numbers, with UNSET for what is undefined."""
    if values.dtype == object:
        return [UNSET if value is None else value for value in values]
    defined = np.isfinite(values)
    if defined.all():
        return values.tolist()  # type: ignore[no-any-return]
    numbers = values.astype(object)
    numbers[~defined] = UNSET
    return numbers.tolist()  # type: ignore[no-any-return]


def _keyed(described: ByStatistic) -> Columns:
    return {
        f"{statistic}/{name}": _listed(values)
        for statistic, columns in described.items()
        for name, values in columns.items()
    }


# --- rows by task ---------------------------------------------------------------------------------------------------


def agent_ref(name: str) -> dict[str, str]:
    """How a row names its agent."""
    return {"name": name}


def _shown(key: Hashable) -> Any:
    """A key as it stands in JSON."""
    return str(key) if isinstance(key, JsonText) else key


class TaskRows:
    """The rows by task of a profile, as columns.

    Args:
        profile: The profile.
        sample: Given a task's position, returns the `sample` of its row; None for one that names only the agent.
        histograms: Whether rows have histograms.
    """

    def __init__(
        self, profile: Profile, sample: Callable[[int], Any] | None = None, *, histograms: bool = False
    ) -> None:
        self._profile = profile
        self._table = table = profile.rollouts
        self._histograms = histograms
        self._tasks, self._rollouts = (list(map(_shown, keys.values)) for keys in (table.tasks, table.indices))
        self._ids = [list(map(key_name, keys.values)) for keys in (table.tasks, table.indices)]
        names = table.agent_names()
        self._agent = [names[code] for code in table.agents.codes.tolist()]
        self._is_shared = np.bincount(table.tasks.codes)[table.tasks.codes] > 1
        self._sample = sample or (lambda task: {"agent_ref": agent_ref(self._agent[task])})

    def columns(self, make_rows: MakeRows, tasks: slice = slice(None)) -> Columns:
        """The rows of some tasks, in the order of the table.

        Args:
            make_rows: Makes the rows within a row.
            tasks: Which.
        """
        table, completion = self._table, self._profile.completion
        chosen = range(table.n_tasks)[tasks]
        tasks = slice(chosen.start, chosen.stop)
        present, expected = np.diff(table.starts)[tasks], completion.expected_by_task[tasks]
        columns: Columns = {TASK_KEY: list(map(self._tasks.__getitem__, table.tasks.codes[tasks].tolist()))}
        columns |= _keyed(self._profile.by_task(tasks))
        columns |= self._histogram_columns(tasks) if self._histograms else {}
        columns |= {
            "sample": list(map(self._sample, chosen)),
            "num_rollouts": present.tolist(),
            "expected_num_rollouts": expected.tolist(),
            "missing_num_rollouts": (expected - present).tolist(),
            "reward_profile_completion_pct": (100.0 * present / np.maximum(expected, 1)).tolist(),
        }
        bounds = table.starts[chosen.start : chosen.stop + 1]
        infos = make_rows(self._info_columns(tasks), int(bounds[-1] - bounds[0]))
        ends = (bounds - bounds[0]).tolist()
        columns["rollout_infos"] = [infos[first:last] for first, last in zip(ends, ends[1:], strict=False)]
        columns["agent_ref"] = [
            agent_ref(name) if shared else UNSET
            for name, shared in zip(self._agent[tasks], self._is_shared[tasks].tolist(), strict=True)
        ]
        return columns

    def _histogram_columns(self, tasks: slice) -> Columns:
        starts = self._profile.measured.starts[tasks.start : tasks.stop + 1].tolist()
        columns = {}
        for name, column in self._profile.columns.items():
            values = column.dense().values
            columns[f"histogram/{name}"] = [
                Histogram(values[begin:end]) if np.isfinite(values[begin:end]).any() else UNSET
                for begin, end in zip(starts, starts[1:], strict=False)
            ]
        return columns

    def _info_columns(self, tasks: slice) -> Columns:
        """What rows say of each rollout: its id and keys, its reward, its usage, its other numbers."""
        table = self._table
        rows = slice(int(table.starts[tasks.start]), int(table.starts[tasks.stop]))
        lengths = np.diff(table.starts[tasks.start : tasks.stop + 1])
        task_codes = np.repeat(table.tasks.codes[tasks], lengths).tolist()
        codes = table.indices.codes[rows].tolist()
        task_ids, rollout_ids = self._ids
        columns: Columns = {
            "rollout_id": [f"{task_ids[t]}:{rollout_ids[r]}" for t, r in zip(task_codes, codes, strict=True)],
            TASK_KEY: list(map(self._tasks.__getitem__, task_codes)),
            ROLLOUT_KEY: list(map(self._rollouts.__getitem__, codes)),
            **_rewards(table, rows),
        }
        numbers = ((name, column) for name, column in self._profile.numbers.items() if name not in columns)
        return columns | {name: column.take(rows).numbers(UNSET) for name, column in numbers}


def _rewards(table: Rollouts, rows: slice) -> Columns:
    """The rewards as they stand in the rollouts; a number in the usage wins."""
    top, usage = (columns.get("reward") for columns in (table.numbers, table.usage))
    if top is None and usage is None:
        return {}
    rewards = [UNSET] * (rows.stop - rows.start) if top is None else top.take(rows).as_read(UNSET)
    if usage is not None:
        inner = usage.take(rows).numbers(UNSET)
        rewards = [first if second is UNSET else second for first, second in zip(rewards, inner, strict=True)]
    return {"reward": rewards}


def first_inputs(rollouts: Rollouts) -> list[int]:
    """By task, the position of the input of its lowest rollout."""
    if rollouts.matching is None:
        return []
    return rollouts.matching.input_of[rollouts.positions[rollouts.starts[:-1]]].tolist()  # type: ignore[no-any-return]


# --- rows by agent --------------------------------------------------------------------------------------------------


def agent_rows(profile: Profile, *, histograms: bool = False) -> list[dict[str, Any]]:
    """One row per agent: the statistics over all its rollouts, sorted by the agent's name."""
    by_agent = _agent_histograms(profile) if histograms else {}
    spreads = dict(
        zip(profile.repeats.agents, spread_rows(mean_estimates(profile.repeats), profile.repeats.starts), strict=True)
    )
    return [
        {
            **statistic_keys(agent),
            **by_agent.get(agent.name, {}),
            **spreads.get(agent.name, {}),
            **coverage_keys(agent),
            "agent_ref": agent_ref(agent.name),
        }
        for agent in profile.agents
    ]


def statistic_keys(agent: AgentStatistics) -> dict[str, int | float]:
    """The statistics of an agent by their keys."""
    return {
        f"{statistic}/{name}": value for statistic, values in agent.statistics.items() for name, value in values.items()
    }


def coverage_keys(agent: AgentStatistics) -> dict[str, int]:
    """How much of an agent's rollouts is measured and masked, by key; empty if none is masked."""
    return {f"coverage/{name}": count for name, count in agent.coverage.items()}


def _agent_histograms(profile: Profile) -> dict[str, dict[str, Histogram]]:
    table = profile.measured
    by_row = table.row_agents()
    values = {name: column.dense().values for name, column in profile.columns.items()}
    return {
        name: {
            f"histogram/{field}": Histogram(numbers[by_row == code])
            for field, numbers in values.items()
            if np.isfinite(numbers[by_row == code]).any()
        }
        for code, name in enumerate(table.agent_names())
    }


# --- rows by repeat -------------------------------------------------------------------------------------------------


def repeat_columns(profile: Profile) -> Columns:
    """The rows by repeat, as columns: agent and rollout index, how many tasks, then every field's statistics."""
    repeats, indices = profile.repeats, profile.rollouts.indices.values
    columns: Columns = {
        "agent_ref": [agent_ref(repeats.agents[place]) for place in repeats.agent_of.tolist()],
        ROLLOUT_KEY: [_shown(indices[code]) for code in repeats.indices.tolist()],
        "sample_count": repeats.n_tasks.tolist(),
        "missing_count": repeats.n_missing.tolist(),
    }
    for place, name in enumerate(repeats.fields):
        for statistic in OF_REPEAT:
            columns[f"{statistic}/{name}"] = _listed(repeats.statistics[statistic][place])
    return columns


def mean_estimates(repeats: Repeats) -> dict[str, Floats]:
    """By key, what is estimated in every repeat."""
    return {f"mean/{name}": repeats.statistics["mean"][place] for place, name in enumerate(repeats.fields)}


def spread_rows(estimates: Mapping[str, Floats], starts: Ints) -> list[dict[str, Any]]:
    """By agent, the keys across its repeats.

    Args:
        estimates: By key, one estimate per repeat, NaN where it is undefined.
        starts: Where the repeats of every agent start, as in `Repeats`.
    """
    spread = spread_of(estimates, starts)
    columns: Columns = {}
    for place, name in enumerate(spread.names):
        for statistic in ACROSS:
            columns[f"{statistic}_across_repeats/{name}"] = _listed(spread.statistics[statistic][place])
    return as_dicts(columns, len(starts) - 1)


def profile_json(profile: Profile) -> dict[str, Any]:
    """A profile as one JSON object."""
    return {
        "completion": profile.completion.summary,
        "agents": agent_rows(profile),
        "repeats": as_dicts(repeat_columns(profile), len(profile.repeats)),
        "solved": profile.solved(),
    }
