"""From files of rollouts to a profile, and from a profile to its two files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from ..analyses.profile import Profile, listed
from ..completion import Matching, completion_of, match_inputs, require_complete
from ..errors import DataError
from ..output.files import written
from ..parallel import make_engine
from ..reader.arrange import Duplicates, arrange
from ..reader.columns import Fields
from ..reader.layout import UNNAMEABLE, load_row
from ..reader.read import TASK_KEY, Progress, ReadOptions, find_fields, forked_jobs, read_inputs, read_rows
from ..reader.sources import ahead, expand, output_stem, seekable

if TYPE_CHECKING:
    from .models import RewardProfileConfig

__all__ = ["PYTHON_PARTIAL", "SampleRows", "profile_files", "reward_profile", "write_profile"]

PYTHON_PARTIAL = "++allow_partial_rollouts=True"
# Rows are written in blocks of so many tasks; below so many rollouts, worker processes cost more than they gain.
TASKS_AT_ONCE = 256
SMALLEST_SHARED = 50_000

Ints = NDArray[np.int64]


# --- reading --------------------------------------------------------------------------------------------------------


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
    rows.skipped += inputs.skipped
    rows.notes += inputs.notes
    matching = match_inputs(inputs, rows)
    table = arrange(matching.rollouts, duplicates).of_agent(agent)
    require_complete(matching, allow_partial, partial_option, (", ".join(paths), inputs_path))
    if inputs.places is None:
        raise DataError(f"{inputs_path}: the inputs have no places", "name a file of JSON rows with --inputs")
    completion = completion_of(table, matching, agent)
    return Profile(table, completion, rows.skipped), SampleRows(inputs_path, fields, inputs.places, matching)


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


# --- writing --------------------------------------------------------------------------------------------------------


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
        slice(begin, min(begin + TASKS_AT_ONCE, table.n_tasks)) for begin in range(0, table.n_tasks, TASKS_AT_ONCE)
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
