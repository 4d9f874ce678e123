"""Reward profiles: statistics of every numeric field, by task and by agent; NeMo Gym's `RewardProfiler`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from . import metrics as m
from .errors import DataError
from .files import written
from .reader.arrange import Duplicates, arrange
from .reader.columns import Fields
from .reader.engine import make_engine
from .reader.inputs import Completion, Matching, completion_of, match_inputs, require_complete
from .reader.layout import UNNAMEABLE, load_row
from .reader.read import (
    AGENT_KEY,
    ROLLOUT_KEY,
    TASK_KEY,
    Progress,
    ReadOptions,
    find_fields,
    forked_jobs,
    read_inputs,
    read_rows,
    rows_of_dicts,
)
from .reader.sources import ahead, expand, output_stem, seekable
from .table import BOOLEAN, INTEGER, Column, JsonText, RolloutTable, key_name

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from pandas.core.groupby.generic import DataFrameGroupBy

    from .models import RewardProfileConfig

__all__ = ["Histogram", "Profile", "RewardProfiler", "SampleRows", "profile_json", "reward_profile", "write_profile"]

STATISTICS = ("mean", "max", "min", "median", "std")
PYTHON_FIELDS = Fields(TASK_KEY, ROLLOUT_KEY, AGENT_KEY, numbers=None)
PYTHON_PARTIAL = "++allow_partial_rollouts=True"
# Rows are written in blocks of so many tasks; below so many rollouts, worker processes cost more than they gain.
TASKS_AT_ONCE = 256
SMALLEST_SHARED = 50_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = dict[str, list[Any]]


# --- statistics -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Profile:
    """The statistics of a table's rollouts, and how complete these are.

    Attributes:
        table: All rollouts, masked ones included.
        completion: What was expected.
        skipped: The lines left out, as messages.
    """

    table: RolloutTable
    completion: Completion
    skipped: Sequence[str] = ()

    @cached_property
    def measured(self) -> RolloutTable:
        """The rollouts that count: those that are not masked."""
        return self.table.measured()

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The numeric fields of the measured rollouts, in first-seen order; usage wins where it has a number."""
        table = self.measured
        merged = {
            name: table.usage[name].over(column) if name in table.usage else column
            for name, column in table.numbers.items()
        }
        merged |= {name: column for name, column in table.usage.items() if name not in merged}
        first = {name: row for name, column in merged.items() if (row := column.first_number()) is not None}
        merged = {name: merged[name] for name in first}
        order = {name: place for place, name in enumerate(merged)}
        if table.layouts is not None:
            seen = {
                row: {n: i for i, n in enumerate(table.layout_names[table.layouts[row]])} for row in set(first.values())
            }
            order = {name: seen[first[name]].get(name, order[name]) for name in merged}
        return {name: merged[name] for name in sorted(merged, key=lambda name: (first[name], order[name]))}

    def dense_values(self) -> dict[str, Floats]:
        """By numeric field, the value of every measured rollout; NaN where it has none."""
        return {name: column.dense().values for name, column in self.columns.items()}

    @cached_property
    def _whole(self) -> bool:
        """Whether every column is integer, with no gap: only then NeMo Gym's max and min are ints."""
        return all(
            column.rows is None and ((column.kinds == INTEGER) | (column.kinds == BOOLEAN)).all()
            for column in self.columns.values()
        )

    def statistics(self, starts: Ints, order: Ints | None = None) -> dict[str, NDArray[Any]]:
        """The statistics of groups of measured rollouts.

        Args:
            starts: Group g is the rows from `starts[g]` up to `starts[g + 1]`.
            order: The order of the rows; None for that of the table.

        Returns:
            By key (`mean/reward`, …) the value of every group; NaN or None where it is undefined.
        """
        sizes = np.diff(starts)
        by_statistic: dict[str, dict[str, NDArray[Any]]] = {statistic: {} for statistic in STATISTICS}
        counts = {}
        for name, column in self.columns.items():
            column = column if order is None else column.take(order)  # noqa: PLW2901
            found = m.describe(*column.in_groups(starts))
            counts[name] = found.count
            for statistic in STATISTICS:
                by_statistic[statistic][name] = getattr(found, statistic)
            if self._whole:
                integers = column.take(slice(starts[0], starts[-1])).numbers()
                whole = np.array(integers, dtype=object if column.exact is not None else np.int64)
                filled = np.flatnonzero(sizes)
                for statistic, extreme in (("max", np.maximum), ("min", np.minimum)):
                    by_statistic[statistic][name] = np.full(len(sizes), None, dtype=object)
                    by_statistic[statistic][name][filled] = extreme.reduceat(
                        whole, (starts[:-1] - starts[0])[filled]
                    ).astype(object)
        # NeMo Gym shows the std of a single rollout as 0, but only where no column of the group has a std.
        stds = by_statistic["std"]
        none_defined = (
            np.logical_and.reduce([np.isnan(std) for std in stds.values()]) if stds else np.empty(0, np.bool_)
        )
        for name, std in stds.items():
            stds[name] = np.where(none_defined & (counts[name] == sizes) & (sizes > 0), 0.0, std)
        return {
            f"{statistic}/{name}": values
            for statistic, columns in by_statistic.items()
            for name, values in columns.items()
        }

    # --- rows by task

    def task_statistics(self, units: slice = slice(None)) -> dict[str, NDArray[Any]]:
        """The statistics of units, in the order of the table."""
        chosen = range(self.table.n_units)[units]
        return self.statistics(self.measured.starts[chosen.start : chosen.stop + 1])

    def task_counts(self, units: slice = slice(None)) -> Columns:
        """How many rollouts units have, and how many were expected."""
        present = np.diff(self.table.starts)[units]
        expected = self.completion.expected_by_unit[units]
        return {
            "num_rollouts": present.tolist(),
            "expected_num_rollouts": expected.tolist(),
            "missing_num_rollouts": (expected - present).tolist(),
            "reward_profile_completion_pct": (100.0 * present / np.maximum(expected, 1)).tolist(),
        }

    @cached_property
    def _info_columns(self) -> dict[str, Column]:
        """What `rollout_infos` tells besides the reward, in order: the usage, then the other numbers."""
        numbers, usage = self.table.numbers, self.table.usage
        columns = {name: numbers[name].over(column) if name in numbers else column for name, column in usage.items()}
        columns |= {name: column for name, column in numbers.items() if name not in usage}
        columns.pop("reward", None)
        return columns

    @cached_property
    def _key_texts(self) -> tuple[list[str], list[str]]:
        return list(map(key_name, self.table.tasks.values)), list(map(key_name, self.table.rollouts.values))

    @cached_property
    def _shown_keys(self) -> tuple[list[Any], list[Any]]:
        return list(map(_shown, self.table.tasks.values)), list(map(_shown, self.table.rollouts.values))

    def rollout_infos(self, units: slice = slice(None)) -> Columns:
        """By rollout of some units, what a row tells of it: its id and keys, its reward, its usage, its other numbers.

        Args:
            units: The units, in the order of the table.
        """
        table = self.table
        chosen = range(table.n_units)[units]
        rows = slice(int(table.starts[chosen.start]), int(table.starts[chosen.stop]))
        lengths = np.diff(table.starts[chosen.start : chosen.stop + 1])
        tasks = np.repeat(table.tasks.codes[units], lengths).tolist()
        rollouts = table.rollouts.codes[rows].tolist()
        task_texts, rollout_texts = self._key_texts
        shown_tasks, shown_rollouts = self._shown_keys
        columns: Columns = {
            "rollout_id": [f"{task_texts[t]}:{rollout_texts[r]}" for t, r in zip(tasks, rollouts, strict=True)],
            TASK_KEY: list(map(shown_tasks.__getitem__, tasks)),
            ROLLOUT_KEY: list(map(shown_rollouts.__getitem__, rollouts)),
        }
        columns |= self._rewards(rows)
        return columns | {name: column.take(rows).numbers(UNSET) for name, column in self._info_columns.items()}

    def _rewards(self, rows: slice) -> Columns:
        """The rewards as they stood in the rows; a number in the usage wins."""
        top, usage = (columns.get("reward") for columns in (self.table.numbers, self.table.usage))
        found = [UNSET] * (rows.stop - rows.start) if top is None else top.take(rows).as_found(UNSET)
        if usage is not None:
            inner = usage.take(rows).numbers(UNSET)
            found = [first if second is UNSET else second for first, second in zip(found, inner, strict=True)]
        return {"reward": found} if top is not None or usage is not None else {}

    def unit_tasks(self) -> list[Any]:
        """By unit, its task."""
        return list(map(self._shown_keys[0].__getitem__, self.table.tasks.codes.tolist()))

    def unit_agents(self) -> list[Any]:
        """By unit, its agent where its task has several; UNSET elsewhere."""
        table = self.table
        shared = np.bincount(table.tasks.codes)[table.tasks.codes] > 1
        names = table.agent_names()
        return [
            {"name": names[code]} if several else UNSET
            for code, several in zip(table.agents.codes.tolist(), shared.tolist(), strict=True)
        ]

    def first_inputs(self, matching: Matching) -> list[int]:
        """By unit, the position of the input of its lowest rollout."""
        return matching.input_of[self.table.positions[self.table.starts[:-1]]].tolist()  # type: ignore[no-any-return]

    # --- rows by agent

    def agent_rows(self) -> list[dict[str, Any]]:
        """The statistics over all rollouts of each agent, sorted by its name."""
        return [dict(row) for row in self._agent_rows]

    @cached_property
    def _agent_rows(self) -> list[dict[str, Any]]:
        table = self.measured
        names = table.agent_names()
        by_row = table.row_agents()
        order = None if (by_row[1:] >= by_row[:-1]).all() else np.argsort(by_row, kind="stable")
        starts = np.searchsorted(by_row if order is None else by_row[order], np.arange(len(names) + 1))
        statistics = self.statistics(starts, order)
        rows = _dicts({key: listed(values) for key, values in statistics.items()}, len(names))
        present = set(self.table.agents.codes.tolist())
        keys = replace(self.table, numbers={}, usage={}, labels={})
        for code, row in enumerate(rows):
            row.update(keys.keep_units(keys.agents.codes == code).coverage())
            row["agent_ref"] = {"name": names[code]}
        return sorted(
            (row for code, row in enumerate(rows) if code in present), key=lambda row: str(row["agent_ref"]["name"])
        )

    def solved(self) -> dict[str, int]:
        """How many units are solved always (every reward >= 1), never (every reward <= 0), sometimes, or have none."""
        found = self.reward_statistics()
        if found is None:
            return {"always": 0, "sometimes": 0, "never": 0, "undefined": self.table.n_units}
        with np.errstate(invalid="ignore"):
            always, never = int((found.min >= 1).sum()), int((found.max <= 0).sum())
        undefined = int((found.count == 0).sum())
        return {
            "always": always,
            "sometimes": self.table.n_units - always - never - undefined,
            "never": never,
            "undefined": undefined,
        }

    def reward_statistics(self) -> m.Statistics | None:
        """The statistics of the reward by unit; None if no rollout has one."""
        reward = self.columns.get("reward")
        return None if reward is None else m.describe(*reward.in_groups(self.measured.starts))


def _shown(value: Any) -> Any:
    return str(value) if isinstance(value, JsonText) else value


def listed(values: NDArray[Any]) -> list[Any]:
    """Statistics as Python numbers, with UNSET for what is undefined."""
    if values.dtype == object:
        return [UNSET if value is None else value for value in values]
    defined = np.isfinite(values)
    if defined.all():
        return values.tolist()  # type: ignore[no-any-return]
    found = values.astype(object)
    found[~defined] = UNSET
    return found.tolist()  # type: ignore[no-any-return]


def _dicts(columns: Columns, count: int) -> list[dict[str, Any]]:
    """Columns as one dict a row, without what is unset."""
    if not columns:
        return [{} for _ in range(count)]
    names = list(columns)
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not UNSET}
        for row in zip(*columns.values(), strict=True)
    ]


# --- files ----------------------------------------------------------------------------------------------------------


class SampleRows:
    """Reads inputs again, by their place in the file, without their index fields."""

    def __init__(self, path: str, fields: Fields, places: Ints, matching: Matching) -> None:
        self.matching = matching
        self._path = path
        self._file = seekable(path)
        self._hidden = {fields.task, fields.rollout}
        self._places = [*places.tolist(), os.fstat(self._file.fileno()).st_size]

    def read(self, position: int) -> msgspec.Raw:
        """The input at a position, as JSON; worker processes share the file, so its own position is left alone."""
        place, following = self._places[position : position + 2]
        line = os.pread(self._file.fileno(), following - place, place).partition(b"\n")[0]
        try:
            row: dict[str, Any] = msgspec.json.decode(msgspec.json.format(line, indent=-1), type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                row = load_row(line)
            except ValueError as error:
                where = f"{self._path}: the input at byte {self._places[position]}"
                raise DataError(f"{where}: {error}", "mend the line") from error
        return msgspec.Raw(msgspec.json.encode({key: value for key, value in row.items() if key not in self._hidden}))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _encoder(names: Sequence[str]) -> Any:
    """Makes what is written as an object with these keys, in order, less those that are unset."""
    if any(UNNAMEABLE.search(name) for name in names):  # msgspec takes these for no field
        return lambda *row: {name: value for name, value in zip(names, row, strict=True) if value is not UNSET}
    fields = [(f"f{i}", Any, UNSET) for i in range(len(names))]
    return msgspec.defstruct("Row", fields, rename={f"f{i}": name for i, name in enumerate(names)}, gc=False)


def _task_lines(profile: Profile, sample: Callable[[int], Any], workers: int) -> Iterator[bytes]:
    """The rows by task, a block of lines at a time."""
    table = profile.table
    tasks, agents = profile.unit_tasks(), profile.unit_agents()
    row_type = _encoder(
        [
            TASK_KEY,
            *profile.task_statistics(slice(0, 0)),
            "sample",
            *profile.task_counts(slice(0, 0)),
            "rollout_infos",
            "agent_ref",
        ]
    )
    info_type = _encoder(list(profile.rollout_infos(slice(0, 0))))
    encode_lines = msgspec.json.Encoder().encode_lines

    def lines(units: slice) -> bytes:
        infos = list(map(info_type, *profile.rollout_infos(units).values()))
        ends = (table.starts[units.start : units.stop + 1] - table.starts[units.start]).tolist()
        columns = [
            tasks[units],
            *map(listed, profile.task_statistics(units).values()),
            map(sample, range(units.start, units.stop)),
            *profile.task_counts(units).values(),
            [infos[first:last] for first, last in zip(ends, ends[1:], strict=False)],
            agents[units],
        ]
        return encode_lines(list(map(row_type, *columns)))

    blocks = [
        slice(begin, min(begin + TASKS_AT_ONCE, table.n_units)) for begin in range(0, table.n_units, TASKS_AT_ONCE)
    ]
    return make_engine("local", workers).run(lines, blocks)


def write_profile(
    profile: Profile, folder: Path, stem: str, samples: SampleRows | None, jobs: int = 1
) -> tuple[Path, Path]:
    """Writes `<stem>_reward_profiling.jsonl` and `<stem>_agent_metrics.json`, both or neither.

    Args:
        profile: What to write.
        folder: Where to.
        stem: How the files' names begin.
        samples: Gives the inputs; None without inputs.
        jobs: How many worker processes, copies of this one, may help.
    """
    workers = jobs if profile.table.n_rollouts >= SMALLEST_SHARED else 1
    if samples is None:
        names = profile.table.agent_names()
        codes = profile.table.agents.codes.tolist()

        def sample(unit: int) -> Any:
            return {"agent_ref": {"name": names[codes[unit]]}}
    else:
        positions = profile.first_inputs(samples.matching)

        def sample(unit: int) -> Any:
            return samples.read(positions[unit])

    tasks, agents = folder / f"{stem}_reward_profiling.jsonl", folder / f"{stem}_agent_metrics.json"
    with written(tasks, agents) as (task_file, agent_file):
        lines = _task_lines(profile, sample, workers)
        for block in lines if workers > 1 else ahead(lines):
            task_file.write(block)
        agent_file.write(msgspec.json.encode(profile.agent_rows()))
    return tasks, agents


def profile_json(profile: Profile) -> dict[str, Any]:
    """What `rewardcli profile` prints as JSON."""
    return {"completion": profile.completion.summary, "agents": profile.agent_rows(), "solved": profile.solved()}


# --- histograms -----------------------------------------------------------------------------------------------------


class Histogram:
    """The distribution of values in equal bins, computed when it is asked for.

    Args:
        values: Numbers; those that are not finite are left out.
        bins: How many bins.
    """

    def __init__(self, values: Any, bins: int = 64) -> None:
        numbers = np.asarray(values, dtype=np.float64)
        self._values = numbers[np.isfinite(numbers)]
        self._bins = bins

    def __repr__(self) -> str:
        return f"Histogram({len(self._values)} values, {self._bins} bins)"

    @cached_property
    def _binned(self) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        if not len(self._values):
            return np.zeros(self._bins, np.int64), np.linspace(0.0, 1.0, self._bins + 1)
        low, high = float(self._values.min()), float(self._values.max())
        # Bins narrower than floats can tell apart are widened until they can.
        least = 4 * self._bins * float(np.spacing(max(abs(low), abs(high), 1e-300)))
        if high / 2 - low / 2 < least / 2:
            center = low / 2 + high / 2
            width = max(least, 1.0 if low == high and abs(center) < 2**40 else least)
            low, high = max(center - width / 2, -1.7e308), min(center + width / 2, 1.7e308)
        # Of halves, since the whole range may be more than a float holds.
        edges = 2 * (low / 2 + (high / 2 - low / 2) / self._bins * np.arange(self._bins + 1))
        edges[-1] = high
        place = np.clip(np.searchsorted(edges, self._values, side="right") - 1, 0, self._bins - 1)
        return np.bincount(place, minlength=self._bins), edges

    @property
    def counts(self) -> NDArray[np.integer]:
        """How many values fall in each bin; shape (bins,)."""
        return self._binned[0]

    @property
    def edges(self) -> NDArray[np.floating]:
        """The edges of the bins, finite and not decreasing; shape (bins + 1,)."""
        return self._binned[1]

    def to_wandb(self) -> Any:
        """The same as a `wandb.Histogram`; needs `rewardcli[wandb]`."""
        import wandb

        return wandb.Histogram(np_histogram=(self.counts.tolist(), self.edges.tolist()))


# --- NeMo Gym's class -----------------------------------------------------------------------------------------------


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
        matching, profile = self._profile(rows, results, allow_partial_rollouts)
        positions = profile.table.positions
        return [(rows[i], results[j]) for i, j in zip(matching.input_of[positions], positions, strict=True)]

    def profile_completion_summary(self, rows: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
        """How many of the expected rollouts there are.

        Args:
            rows: Materialized inputs.
            results: Rollouts.
        """
        matching = self._matching(rows, results)
        return dict(completion_of(arrange(matching.rollouts), matching).summary)

    def rollout_info_from_result(self, result: dict[str, Any]) -> dict[str, Any]:
        """What a profile tells of one rollout: its keys, its reward and its numbers."""
        table = arrange(rows_of_dicts([result], PYTHON_FIELDS, "results"))
        profile = Profile(table, completion_of(table, None))
        return _dicts(profile.rollout_infos(), 1)[0]

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
        matching, profile = self._profile(rows, results, allow_partial_rollouts)
        hidden = {TASK_KEY, ROLLOUT_KEY}
        samples = [
            {key: value for key, value in rows[p].items() if key not in hidden} for p in profile.first_inputs(matching)
        ]
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

    def _matching(self, rows: list[dict[str, Any]], results: list[dict[str, Any]]) -> Matching:
        inputs = rows_of_dicts(rows, Fields(TASK_KEY, ROLLOUT_KEY, AGENT_KEY), "materialized inputs")
        return match_inputs(inputs, rows_of_dicts(results, PYTHON_FIELDS, "rollouts"))

    def _profile(
        self, rows: list[dict[str, Any]], results: list[dict[str, Any]], allow_partial: bool
    ) -> tuple[Matching, Profile]:
        matching = self._matching(rows, results)
        table = arrange(matching.rollouts)
        require_complete(matching, allow_partial, PYTHON_PARTIAL, ("rollouts", "materialized inputs"))
        return matching, Profile(table, completion_of(table, matching))


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
    infos = _dicts(profile.rollout_infos(), table.n_rollouts)
    starts = table.starts.tolist()
    columns["rollout_infos"] = [infos[begin:end] for begin, end in zip(starts, starts[1:], strict=False)]
    columns["agent_ref"] = profile.unit_agents()
    return _dicts(columns, table.n_units)


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


# --- the whole job --------------------------------------------------------------------------------------------------


def reward_profile(config: RewardProfileConfig) -> tuple[Path, Path]:
    """Profiles a file of rollouts and writes both files beside it.

    Args:
        config: A `RewardProfileConfig`.

    Returns:
        The paths of the rows by task and of the rows by agent.

    Raises:
        ValueError: The data are not as they should be.
    """
    inputs_path, rollouts_path = config.materialized_inputs_jsonl_fpath, config.rollouts_jsonl_fpath
    options = ReadOptions()
    profile, samples = profile_files(
        [rollouts_path], inputs_path, options, config.allow_partial_rollouts, PYTHON_PARTIAL
    )
    try:
        folder, jobs = Path(rollouts_path).parent, forked_jobs(options, [rollouts_path, inputs_path])
        return write_profile(profile, folder, output_stem(rollouts_path), samples, jobs)
    finally:
        if samples is not None:
            samples.close()


def profile_files(
    paths: list[str],
    inputs_path: str | None,
    options: ReadOptions,
    allow_partial: bool,
    partial_option: str,
    duplicates: Duplicates = "error",
    agent: str | None = None,
    progress: Progress | None = None,
) -> tuple[Profile, SampleRows | None]:
    """Reads rollouts, and their inputs if there are any, into a profile.

    Args:
        paths: The rollouts.
        inputs_path: The materialized inputs; None if there are none.
        options: How to read.
        allow_partial: Whether inputs without a rollout are let pass.
        partial_option: How the caller allows that.
        duplicates: What to do with rows of the same key.
        agent: Profile the rollouts of this agent only.
        progress: Told how far the reading is.

    Returns:
        The profile, and what reads its inputs again.
    """
    paths = expand(paths)
    fields, _, notes = find_fields(paths, options, numbers=None)
    rows = read_rows(paths, fields, options, progress)
    rows.notes += notes
    if inputs_path is None:
        table = arrange(rows, duplicates).of_agent(agent)
        return Profile(table, completion_of(table, None), rows.skipped), None
    inputs = read_inputs(inputs_path, fields, options)
    matching = match_inputs(inputs, rows)
    table = arrange(matching.rollouts, duplicates).of_agent(agent)
    require_complete(matching, allow_partial, partial_option, (", ".join(paths), inputs_path))
    if inputs.places is None:
        raise DataError(f"{inputs_path}: the inputs have no places", "name a file of JSON rows with --inputs")
    completion = completion_of(table, matching, agent)
    return Profile(table, completion, rows.skipped), SampleRows(inputs_path, fields, inputs.places, matching)
