"""From files of rollouts to a profile, and from a profile to its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ..analyses.profile import Profile
from ..analyses.profile_result import profile_result
from ..analyses.repeats import Repeats
from ..completion import completion_of
from ..errors import plural
from ..listener import Listener
from ..output.files import Destination, atomic_files
from ..parallel import prefetch, run
from ..reader import InputRows, ReadOptions, Wanted, forkable_jobs, output_stem, read_rollouts
from ..results import Result
from .rows import TaskRows, agent_rows, as_structs, first_inputs, profile_json, repeat_columns
from .spelling import in_nemo_gym_words
from .strict_json import encode

if TYPE_CHECKING:
    from .models import RewardProfileConfig

__all__ = ["profile_and_write", "reward_profile", "write_rows"]

# Rows are written in blocks of so many tasks; below so many rollouts, worker processes cost more than they gain.
TASKS_AT_ONCE = 256
SMALLEST_SHARED = 50_000


# --- writing --------------------------------------------------------------------------------------------------------


def write_rows(
    destination: Destination,
    task_lines: Iterable[bytes],
    agents: Sequence[dict[str, Any]],
    repeats: Sequence[Any] | None = None,
) -> tuple[Path, ...]:
    """Write the files of a profile, all or none.

    Args:
        destination: Where to.
        task_lines: The rows of `<stem>_reward_profiling.jsonl`, as lines of JSON, one or more at a time.
        agents: The rows of `<stem>_agent_metrics.json`.
        repeats: The rows of `<stem>_repeat_level_metrics.json`; None for no such file.

    Returns:
        The paths of the files.
    """
    arrays = {"_agent_metrics.json": agents}
    if repeats is not None:
        arrays["_repeat_level_metrics.json"] = repeats
    paths = tuple(map(destination.path, ("_reward_profiling.jsonl", *arrays)))
    with atomic_files(*paths) as (task_file, *array_files):
        task_file.writelines(task_lines)
        for file, rows in zip(array_files, arrays.values(), strict=True):
            file.write(encode(rows))
    return paths


def _blocks_of_lines(profile: Profile, inputs: InputRows | None, workers: int) -> Iterator[bytes]:
    """The rows by task, a block of lines at a time."""
    if inputs is None:
        rows = TaskRows(profile)
    else:
        positions = first_inputs(profile.rollouts)
        rows = TaskRows(profile, lambda task: inputs.raw(positions[task]))
    encode_lines = msgspec.json.Encoder().encode_lines

    def lines(tasks: slice) -> bytes:
        return encode_lines(as_structs(rows.columns(as_structs, tasks), tasks.stop - tasks.start))

    count = profile.rollouts.n_tasks
    blocks = [slice(begin, min(begin + TASKS_AT_ONCE, count)) for begin in range(0, count, TASKS_AT_ONCE)]
    blocks_of_lines = run(lines, blocks, jobs=workers)
    return blocks_of_lines if workers > 1 else prefetch(blocks_of_lines)


def _note_incomplete_repeats(repeats: Repeats, listener: Listener) -> None:
    """Say where repeats lack tasks: their means are then of different tasks."""
    incomplete = np.unique(repeats.agent_of[repeats.n_missing > 0]).tolist()
    if not incomplete:
        return
    first = slice(*repeats.starts[incomplete[0] : incomplete[0] + 2].tolist())
    counts, total = repeats.n_tasks[first], int((repeats.n_tasks + repeats.n_missing)[first][0])
    among = "" if len(incomplete) == 1 else f" (the first of {plural(len(incomplete), 'agent')})"
    listener.note(
        "repeats-incomplete",
        f"the repeats of {repeats.agents[incomplete[0]]}{among} have {counts.min():,} to {counts.max():,} of"
        f" {plural(total, 'task')}: their means are of different tasks",
    )


# --- the whole job --------------------------------------------------------------------------------------------------


def profile_and_write(
    paths: Sequence[str],
    inputs: str | None,
    allow_partial: bool,
    options: ReadOptions,
    destination: Destination,
    listener: Listener,
) -> tuple[Result, tuple[Path, ...]]:
    """Profile rollouts, and write the files of the profile.

    Args:
        paths: The rollouts.
        inputs: The materialized inputs; None if there are none.
        allow_partial: Whether inputs without a rollout are let pass.
        options: How to read.
        destination: Where the files go.
        listener: Told what the user should know.

    Returns:
        The profile as a result, and the files.

    Raises:
        DataError: The data are not as they should be.
    """
    rollouts = read_rollouts(paths, Wanted(numbers=None, inputs=inputs, allow_partial=allow_partial), options, listener)
    profile = Profile(rollouts, completion_of(rollouts, options.agent))
    jobs = forkable_jobs(options, [*paths, inputs]) if rollouts.n_rollouts >= SMALLEST_SHARED else 1
    with nullcontext() if rollouts.matching is None else InputRows(rollouts.matching) as rows:
        lines = _blocks_of_lines(profile, rows, jobs)
        repeats = as_structs(repeat_columns(profile), len(profile.repeats))
        written = write_rows(destination, lines, agent_rows(profile), repeats)
    _note_incomplete_repeats(profile.repeats, listener)
    for path in written:
        listener.note("wrote", f"wrote {path}")
    return profile_result(profile, lambda: profile_json(profile), listener.notes), written


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
    inputs, rollouts = config.materialized_inputs_jsonl_fpath, config.rollouts_jsonl_fpath
    destination = Destination(Path(rollouts).parent, output_stem(rollouts))
    _, (tasks, agents, _) = profile_and_write(
        [rollouts], inputs, config.allow_partial_rollouts, ReadOptions(), destination, Listener()
    )
    return tasks, agents
