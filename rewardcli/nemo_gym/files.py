"""From files of rollouts to a profile, and from a profile to its two files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from ..analyses.profile import Profile, listed
from ..completion import completion_of
from ..listener import Listener
from ..output.files import written
from ..parallel import prefetch, run
from ..reader import (
    NEMO_GYM,
    UNNAMEABLE,
    InputRows,
    ReadOptions,
    Wanted,
    forkable_jobs,
    output_stem,
    read_rollouts,
)

if TYPE_CHECKING:
    from .models import RewardProfileConfig

__all__ = ["profile_files", "reward_profile", "write_profile"]

# Rows are written in blocks of so many tasks; below so many rollouts, worker processes cost more than they gain.
TASKS_AT_ONCE = 256
SMALLEST_SHARED = 50_000


# --- reading --------------------------------------------------------------------------------------------------------


def profile_files(
    paths: list[str],
    inputs_path: str | None,
    options: ReadOptions,
    allow_partial: bool,
    listener: Listener | None = None,
) -> tuple[Profile, InputRows | None]:
    """Reads rollouts, and their inputs if there are any, into a profile.

    Args:
        paths: The rollouts.
        inputs_path: The materialized inputs; None if there are none.
        options: How to read.
        allow_partial: Whether inputs without a rollout are let pass.
        listener: Hears notes and progress.

    Returns:
        The profile, and what reads its inputs again.
    """
    wanted = Wanted(numbers=None, inputs=inputs_path, allow_partial=allow_partial)
    table = read_rollouts(paths, wanted, options, listener)
    samples = InputRows(table.matching) if table.matching is not None else None
    return Profile(table, completion_of(table, options.agent)), samples


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
            NEMO_GYM.task,
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
    return run(lines, blocks, jobs=workers)


def write_profile(
    profile: Profile, folder: Path, stem: str, samples: InputRows | None, jobs: int = 1
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
        positions = profile.first_inputs()

        def sample(unit: int) -> Any:
            return samples.raw(positions[unit])

    tasks, agents = folder / f"{stem}_reward_profiling.jsonl", folder / f"{stem}_agent_metrics.json"
    with written(tasks, agents) as (task_file, agent_file):
        lines = _task_lines(profile, sample, workers)
        for block in lines if workers > 1 else prefetch(lines):
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
    profile, samples = profile_files([rollouts_path], inputs_path, options, config.allow_partial_rollouts)
    try:
        folder, jobs = Path(rollouts_path).parent, forkable_jobs(options, [rollouts_path, inputs_path])
        return write_profile(profile, folder, output_stem(rollouts_path), samples, jobs)
    finally:
        if samples is not None:
            samples.close()
