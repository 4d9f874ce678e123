"""From files of rollouts to a profile, and from a profile to its files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..analyses.profile import Profile
from ..arrays import Ints
from ..completion import Matching, completion_of, match_inputs, require_complete
from ..errors import DataError
from ..output.files import written
from ..parallel import make_engine
from ..reader.arrange import Duplicates, arrange
from ..reader.columns import Fields
from ..reader.layout import load_row
from ..reader.read import Progress, ReadOptions, find_fields, forked_jobs, read_inputs, read_rows
from ..reader.sources import ahead, expand, output_stem, seekable
from .rows import TaskRows, agent_rows, as_structs, first_inputs
from .spelling import in_nemo_gym_words
from .strict_json import encode

if TYPE_CHECKING:
    from .models import RewardProfileConfig

__all__ = ["SampleRows", "profile_files", "reward_profile", "write_profile", "write_rows"]

# Rows are written in blocks of so many tasks; below so many rollouts, worker processes cost more than they gain.
TASKS_AT_ONCE = 256
SMALLEST_SHARED = 50_000


# --- reading --------------------------------------------------------------------------------------------------------


def profile_files(
    paths: list[str],
    inputs_path: str | None,
    options: ReadOptions,
    allow_partial: bool,
    duplicates: Duplicates = "error",
    agent: str | None = None,
    progress: Progress | None = None,
) -> tuple[Profile, SampleRows | None]:
    """Read rollouts, and their inputs if there are any, into a profile.

    Args:
        paths: The rollouts.
        inputs_path: The materialized inputs; None if there are none.
        options: How to read.
        allow_partial: Whether inputs without a rollout are let pass.
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
    require_complete(matching, allow_partial, (", ".join(paths), inputs_path))
    if inputs.places is None:
        raise DataError(f"{inputs_path}: the inputs have no places", "name a file of JSON rows with {inputs}")
    completion = completion_of(table, matching, agent)
    return Profile(table, completion, rows.skipped), SampleRows(inputs_path, fields, inputs.places, matching)


class SampleRows:
    """Reads inputs again, by their offset in the file, without their index fields."""

    def __init__(self, path: str, fields: Fields, offsets: Ints, matching: Matching) -> None:
        self.matching = matching
        self._path = path
        self._file = seekable(path)
        self._hidden = {fields.task, fields.rollout}
        self._offsets = [*offsets.tolist(), os.fstat(self._file.fileno()).st_size]

    def read(self, position: int) -> msgspec.Raw:
        """The input at a position, as JSON; worker processes share the file, so its own position is left alone."""
        offset, following = self._offsets[position : position + 2]
        line = os.pread(self._file.fileno(), following - offset, offset).partition(b"\n")[0]
        try:
            row: dict[str, Any] = msgspec.json.decode(msgspec.json.format(line, indent=-1), type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                row = load_row(line)
            except ValueError as error:
                where = f"{self._path}: the input at byte {self._offsets[position]}"
                raise DataError(f"{where}: {error}", "fix the line") from error
        return msgspec.Raw(encode({key: value for key, value in row.items() if key not in self._hidden}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


# --- writing --------------------------------------------------------------------------------------------------------


def write_rows(
    folder: Path, stem: str, task_lines: Iterable[bytes], agents: Sequence[dict[str, Any]]
) -> tuple[Path, Path]:
    """Write `<stem>_reward_profiling.jsonl` and `<stem>_agent_metrics.json`, both or neither.

    Args:
        folder: Where to.
        stem: How the files' names begin.
        task_lines: The rows by task, as lines of JSON, one or more at a time.
        agents: The rows by agent.

    Returns:
        The paths of the two files.
    """
    paths = folder / f"{stem}_reward_profiling.jsonl", folder / f"{stem}_agent_metrics.json"
    with written(*paths) as (task_file, agent_file):
        task_file.writelines(task_lines)
        agent_file.write(encode(agents))
    return paths


def _blocks_of_lines(profile: Profile, samples: SampleRows | None, workers: int) -> Iterator[bytes]:
    """The rows by task, a block of lines at a time."""
    if samples is None:
        rows = TaskRows(profile)
    else:
        positions = first_inputs(profile.table, samples.matching)
        rows = TaskRows(profile, lambda task: samples.read(positions[task]))
    encode_lines = msgspec.json.Encoder().encode_lines

    def lines(tasks: slice) -> bytes:
        return encode_lines(as_structs(rows.columns(as_structs, tasks), tasks.stop - tasks.start))

    count = profile.table.n_tasks
    blocks = [slice(begin, min(begin + TASKS_AT_ONCE, count)) for begin in range(0, count, TASKS_AT_ONCE)]
    blocks_of_lines = make_engine("local", workers).run(lines, blocks)
    return blocks_of_lines if workers > 1 else ahead(blocks_of_lines)


def write_profile(
    profile: Profile, folder: Path, stem: str, samples: SampleRows | None, jobs: int = 1
) -> tuple[Path, Path]:
    """Write the files of a profile.

    Args:
        profile: What to write.
        folder: Where to.
        stem: How the files' names begin.
        samples: Gives the inputs; None without inputs.
        jobs: How many worker processes, copies of this one, may help.

    Returns:
        The paths of the files.
    """
    workers = jobs if profile.table.n_rollouts >= SMALLEST_SHARED else 1
    return write_rows(folder, stem, _blocks_of_lines(profile, samples, workers), agent_rows(profile))


# --- the whole job --------------------------------------------------------------------------------------------------


@in_nemo_gym_words()
def reward_profile(config: RewardProfileConfig) -> tuple[Path, Path]:
    """Profile a file of rollouts and write the files beside it.

    Args:
        config: A `RewardProfileConfig`, or anything with its fields.

    Returns:
        The paths of the rows by task and of the rows by agent.

    Raises:
        ValueError: The data are not as they should be.

    Source:
        `nemo_gym.reward_profile.reward_profile`.
    """
    inputs_path, rollouts_path = config.materialized_inputs_jsonl_fpath, config.rollouts_jsonl_fpath
    options = ReadOptions()
    profile, samples = profile_files([rollouts_path], inputs_path, options, config.allow_partial_rollouts)
    try:
        folder, jobs = Path(rollouts_path).parent, forked_jobs(options, [rollouts_path, inputs_path])
        return write_profile(profile, folder, output_stem(rollouts_path), samples, jobs)
    finally:
        if samples is not None:
            samples.close()
