"""NeMo Gym's `RewardProfiler`: profiles of rollouts that are dicts already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import UNSET

from .. import metrics as m
from ..analyses.profile import STATISTICS, Columns, Profile, as_dicts, listed
from ..completion import completion_of
from ..metrics.histogram import Histogram
from ..output.files import written
from ..reader import NEMO_GYM, output_stem, rollouts_of_dicts
from ..rollouts import Rollouts

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from pandas.core.groupby.generic import DataFrameGroupBy

__all__ = ["RewardProfiler", "task_dicts"]

TASK_KEY, ROLLOUT_KEY = NEMO_GYM.task, NEMO_GYM.index


class RewardProfiler:
    """Profiles rollouts, given as dicts, by task and by agent.

    Source:
        `nemo_gym.reward_profile.RewardProfiler`.
    """

    def histogram(self, data: Series) -> Histogram | None:
        """The histogram of a series; None if it has no values."""
        values = np.asarray(data.dropna(), dtype=np.float64)
        return Histogram(values) if len(values) else None

    def describe_dataframe(self, df: DataFrame) -> Series:
        """Mean, max, min, median, std and histogram of every column.

        Args:
            df: One group's rows, numbers only.

        Returns:
            A series indexed by (statistic, column).
        """
        import pandas as pd

        numbers = {str(name): np.asarray(df[name], dtype=np.float64) for name in df.columns}
        found = {name: m.describe(values, np.array([0, len(values)])) for name, values in numbers.items()}
        whole = all(pd.api.types.is_integer_dtype(kind) or pd.api.types.is_bool_dtype(kind) for kind in df.dtypes)
        described: dict[tuple[str, str], Any] = {}
        for statistic in STATISTICS:
            for name in numbers:
                value = float(getattr(found[name], statistic)[0])
                described[statistic, name] = int(value) if whole and statistic in ("max", "min") and len(df) else value
        if all(np.isnan(described["std", name]) for name in numbers):
            for name in numbers:
                if len(df) and found[name].count[0] == len(df):
                    described["std", name] = 0.0
        described |= {("histogram", name): self.histogram(df[name]) for name in df.columns}
        return pd.Series(described, dtype=object)

    def calculate_metrics_single_df(self, grouped_df: DataFrameGroupBy[Any, Any]) -> list[dict[str, Any]]:
        """The statistics of every group, as `statistic/column`, after the group's own keys.

        Args:
            grouped_df: Rows of numbers, grouped.
        """
        names: Any = grouped_df.keys
        keys: list[str] = [names] if isinstance(names, str) else list(names)
        rows = []
        for group, df in grouped_df:
            row: dict[str, Any] = dict(zip(keys, group if isinstance(group, tuple) else (group,), strict=True))
            described = self.describe_dataframe(df.drop(columns=[key for key in keys if key in df.columns]))
            flat: dict[Any, Any] = described.to_dict()
            for key, value in flat.items():
                if value is not None and (isinstance(value, Histogram) or np.isfinite(value)):
                    row["/".join(key)] = value
            rows.append(row)
        return rows

    def align_rows_and_results(
        self, rows: list[dict[str, Any]], results: list[dict[str, Any]], allow_partial_rollouts: bool = False
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Pairs inputs and rollouts by task and rollout index.

        Args:
            rows: Materialized inputs.
            results: Rollouts.
            allow_partial_rollouts: Whether inputs without a rollout are let pass.

        Returns:
            The pairs of input and rollout, in the order of their keys.

        Raises:
            ValueError: A key is there twice, a rollout has no input, or an input no rollout.
        """
        table = self._table(rows, results, allow_partial_rollouts)
        inputs = table.inputs()
        return [(rows[i], results[j]) for i, j in zip(inputs, table.positions, strict=True)]

    def profile_completion_summary(self, rows: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
        """How many of the expected rollouts there are.

        Args:
            rows: Materialized inputs.
            results: Rollouts.
        """
        return dict(completion_of(self._table(rows, results, allow_partial=True, allow_extra=True)).summary)

    def rollout_info_from_result(self, result: dict[str, Any]) -> dict[str, Any]:
        """What a profile tells of one rollout: its keys, its reward and its numbers."""
        table = rollouts_of_dicts([result], names=("results", "inputs"))
        profile = Profile(table, completion_of(table))
        return as_dicts(profile.rollout_infos(), 1)[0]

    def profile_from_data(
        self, rows: list[dict[str, Any]], results: list[dict[str, Any]], allow_partial_rollouts: bool = False
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Profiles rollouts.

        Args:
            rows: Materialized inputs.
            results: Rollouts.
            allow_partial_rollouts: Whether inputs without a rollout are let pass; tasks without any are left out.

        Returns:
            One row a task and one row an agent, histograms included.

        Raises:
            ValueError: A key is there twice, a rollout has no input, or an input no rollout.
        """
        table = self._table(rows, results, allow_partial_rollouts)
        profile = Profile(table, completion_of(table))
        hidden = {TASK_KEY, ROLLOUT_KEY}
        samples = [{key: value for key, value in rows[p].items() if key not in hidden} for p in profile.first_inputs()]
        return task_dicts(profile, samples), _with_histograms(profile, profile.agent_rows())

    def prepare_for_serialization(self, metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows without their histograms; the rows given are not changed."""
        return [{key: value for key, value in row.items() if not key.startswith("histogram/")} for row in metrics]

    def write_to_disk(
        self,
        group_level_metrics: list[dict[str, Any]],
        agent_level_metrics: list[dict[str, Any]],
        base_output_fpath: Path,
    ) -> tuple[Path, Path]:
        """Writes `<stem>_reward_profiling.jsonl` and `<stem>_agent_metrics.json` beside a path.

        Args:
            group_level_metrics: The rows by task, as `profile_from_data` returns them.
            agent_level_metrics: The rows by agent.
            base_output_fpath: The path of the rollouts.
        """
        base = Path(base_output_fpath)
        stem = output_stem(base.name)
        tasks, agents = base.with_name(f"{stem}_reward_profiling.jsonl"), base.with_name(f"{stem}_agent_metrics.json")
        with written(tasks, agents) as (task_file, agent_file):
            for row in self.prepare_for_serialization(group_level_metrics):
                task_file.write(msgspec.json.encode(row) + b"\n")
            agent_file.write(msgspec.json.encode(self.prepare_for_serialization(agent_level_metrics)))
        return tasks, agents

    def _table(
        self, rows: list[dict[str, Any]], results: list[dict[str, Any]], allow_partial: bool, allow_extra: bool = False
    ) -> Rollouts:
        return rollouts_of_dicts(results, inputs=rows, allow_partial=allow_partial, allow_extra=allow_extra)


def task_dicts(profile: Profile, samples: Sequence[dict[str, Any]], histograms: bool = True) -> list[dict[str, Any]]:
    """The rows by task as dicts.

    Args:
        profile: The profile.
        samples: By unit, its `sample`.
        histograms: Whether the rows have histograms.
    """
    table = profile.table
    columns: Columns = {TASK_KEY: profile.unit_tasks()}
    columns |= {key: listed(values) for key, values in profile.task_statistics().items()}
    columns |= _unit_histograms(profile) if histograms else {}
    columns |= {"sample": list(samples), **profile.task_counts()}
    infos = as_dicts(profile.rollout_infos(), table.n_rollouts)
    starts = table.starts.tolist()
    columns["rollout_infos"] = [infos[begin:end] for begin, end in zip(starts, starts[1:], strict=False)]
    columns["agent_ref"] = profile.unit_agents()
    return as_dicts(columns, table.n_tasks)


def _unit_histograms(profile: Profile) -> Columns:
    starts = profile.measured.starts.tolist()
    return {
        f"histogram/{name}": [
            Histogram(values[begin:end]) if np.isfinite(values[begin:end]).any() else UNSET
            for begin, end in zip(starts, starts[1:], strict=False)
        ]
        for name, values in profile.dense_values().items()
    }


def _with_histograms(profile: Profile, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows by agent, with histograms after the statistics."""
    table = profile.measured
    names = table.agent_names()
    by_row = table.row_agents()
    full = []
    for row in rows:
        mine = by_row == names.index(row["agent_ref"]["name"])
        histograms = {
            f"histogram/{name}": Histogram(values[mine])
            for name, values in profile.dense_values().items()
            if np.isfinite(values[mine]).any()
        }
        statistics = {key: value for key, value in row.items() if key.partition("/")[0] in STATISTICS}
        full.append({**statistics, **histograms, **row})
    return full
