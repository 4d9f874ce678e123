"""NeMo Gym's `RewardProfiler`: profiles of rollouts that are dicts already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analyses.profile import Profile, describe_columns, is_whole
from ..completion import completion_of
from ..metrics.histogram import Histogram
from ..output.files import Destination
from ..reader import column_of, output_stem, rollouts_of_dicts
from ..rollouts import Column, Rollouts
from .dicts import ROLLOUT_KEY, TASK_KEY
from .files import write_rows
from .rows import TaskRows, agent_rows, as_dicts, first_inputs, repeat_columns
from .spelling import in_nemo_gym_words
from .strict_json import encode

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from pandas.core.groupby.generic import DataFrameGroupBy

__all__ = ["RewardProfiler"]


class RewardProfiler:
    """Profiles rollouts, given as dicts, by task and by agent.

    Source:
        `nemo_gym.reward_profile.RewardProfiler`.
    """

    # --- frames

    def histogram(self, data: Series) -> Histogram | None:
        """The histogram of a series; None if it has no values."""
        values = np.asarray(data.dropna(), dtype=np.float64)
        return Histogram(values) if len(values) else None

    def describe_dataframe(self, df: DataFrame) -> Series:
        """Mean, max, min, median, std and histogram of every column.

        Args:
            df: One group's rows, numbers only.

        Returns:
            A series indexed by (statistic, column); NaN where a statistic is undefined.
        """
        import pandas as pd

        columns = {str(name): column_of(df[name].tolist()) or Column.absent(len(df)) for name in df.columns}
        described = describe_columns(columns, np.array([0, len(df)]), whole=is_whole(columns.values()))
        numbers: dict[tuple[str, str], Any] = {
            (statistic, name): np.nan if (value := values.tolist()[0]) is None else value
            for statistic, by_name in described.items()
            for name, values in by_name.items()
        }
        numbers |= {("histogram", str(name)): self.histogram(df[name]) for name in df.columns}
        return pd.Series(numbers, dtype=object)

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
            row |= {"/".join(key): value for key, value in flat.items() if value is not None and value == value}  # noqa: PLR0124 - NaN
            rows.append(row)
        return rows

    # --- dicts

    @in_nemo_gym_words()
    def align_rows_and_results(
        self, rows: list[dict[str, Any]], results: list[dict[str, Any]], allow_partial_rollouts: bool = False
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Pair inputs and rollouts by task and rollout index.

        Args:
            rows: Materialized inputs.
            results: Rollouts.
            allow_partial_rollouts: Whether inputs without a rollout are let pass.

        Returns:
            The pairs of input and rollout, in the order of their keys.

        Raises:
            ValueError: A key is there twice, a rollout has no input, or an input no rollout.
        """
        rollouts = _read(rows, results, allow_partial_rollouts)
        if rollouts.matching is None:
            return []
        positions = rollouts.positions
        return [(rows[i], results[j]) for i, j in zip(rollouts.matching.input_of[positions], positions, strict=True)]

    @in_nemo_gym_words()
    def profile_completion_summary(self, rows: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
        """How many of the expected rollouts there are.

        Args:
            rows: Materialized inputs.
            results: Rollouts.
        """
        rollouts = rollouts_of_dicts(results, inputs=rows, allow_extra=True)
        return dict(completion_of(rollouts).summary)

    @in_nemo_gym_words()
    def rollout_info_from_result(self, result: dict[str, Any]) -> dict[str, Any]:
        """What a profile says of one rollout: its keys, its reward and its numbers."""
        rollouts = rollouts_of_dicts([result], names=("results", "materialized inputs"))
        columns = TaskRows(Profile(rollouts, completion_of(rollouts))).columns(as_dicts)
        info: dict[str, Any] = columns["rollout_infos"][0][0]
        return info

    @in_nemo_gym_words()
    def profile_from_data(
        self, rows: list[dict[str, Any]], results: list[dict[str, Any]], allow_partial_rollouts: bool = False
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Profile rollouts.

        Args:
            rows: Materialized inputs.
            results: Rollouts.
            allow_partial_rollouts: Whether inputs without a rollout are let pass; tasks without any are left out.

        Returns:
            One row per task and one row per agent, histograms included.

        Raises:
            ValueError: A key is there twice, a rollout has no input, or an input no rollout.
        """
        rollouts = _read(rows, results, allow_partial_rollouts)
        profile = Profile(rollouts, completion_of(rollouts))
        hidden = {TASK_KEY, ROLLOUT_KEY}
        inputs = [rows[position] for position in first_inputs(rollouts)]
        samples = [{key: value for key, value in row.items() if key not in hidden} for row in inputs]
        columns = TaskRows(profile, samples.__getitem__, histograms=True).columns(as_dicts)
        return as_dicts(columns, rollouts.n_tasks), agent_rows(profile, histograms=True)

    @in_nemo_gym_words()
    def repeat_level_metrics(
        self, rows: list[dict[str, Any]], results: list[dict[str, Any]], allow_partial_rollouts: bool = False
    ) -> list[dict[str, Any]]:
        """Profile the repeats of every agent that has several: a repeat is all its rollouts with one rollout index.

        Args:
            rows: Materialized inputs.
            results: Rollouts.
            allow_partial_rollouts: Whether inputs without a rollout are let pass.

        Returns:
            One row per repeat, sorted by agent, then rollout index.

        Raises:
            ValueError: A key is there twice, a rollout has no input, or an input no rollout.

        Source:
            NeMo Gym 0.7.
        """
        rollouts = _read(rows, results, allow_partial_rollouts)
        profile = Profile(rollouts, completion_of(rollouts))
        return as_dicts(repeat_columns(profile), len(profile.repeats))

    # --- files

    def prepare_for_serialization(self, metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows without their histograms; the rows given are not changed."""
        return [{key: value for key, value in row.items() if not key.startswith("histogram/")} for row in metrics]

    def write_to_disk(
        self,
        group_level_metrics: list[dict[str, Any]],
        agent_level_metrics: list[dict[str, Any]],
        base_output_fpath: Path,
    ) -> tuple[Path, Path]:
        """Write `<stem>_reward_profiling.jsonl` and `<stem>_agent_metrics.json` beside a path.

        Args:
            group_level_metrics: The rows by task, as `profile_from_data` returns them.
            agent_level_metrics: The rows by agent.
            base_output_fpath: The path of the rollouts.
        """
        base = Path(base_output_fpath)
        lines = (encode(row) + b"\n" for row in self.prepare_for_serialization(group_level_metrics))
        destination = Destination(base.parent, output_stem(base.name))
        tasks, agents = write_rows(destination, lines, self.prepare_for_serialization(agent_level_metrics))
        return tasks, agents


def _read(rows: list[dict[str, Any]], results: list[dict[str, Any]], allow_partial: bool) -> Rollouts:
    return rollouts_of_dicts(results, inputs=rows, allow_partial=allow_partial)
