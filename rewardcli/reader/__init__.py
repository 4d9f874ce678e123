"""Temporary door over the old functions, until the rebuilt reader is merged."""

from dataclasses import dataclass, replace

from .read import ReadOptions as _OldOptions
from .read import check_fields, find_fields, read_rows
from .arrange import arrange
from .sources import expand, is_remote, output_stem, read_once as is_stream, sibling, is_table_file as is_parquet


@dataclass(frozen=True, slots=True)
class ReadOptions:
    task_key: str | None = None
    rollout_key: str | None = None
    agent_key: str | None = None
    agent: str | None = None
    duplicates: str = "error"
    on_error: str = "error"
    max_errors: int = 100
    jobs: int | None = None
    engine: str = "local"
    ray_address: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    numbers: tuple[str, ...] | None = ()
    answers: tuple[str, ...] = ()
    subsets: tuple[str, ...] = ()
    reasons: bool = False
    inputs: str | None = None
    allow_partial: bool = False
    again: bool = False


def read_rollouts(paths, wanted, options=ReadOptions(), listener=None):
    o = _OldOptions(
        options.task_key,
        options.rollout_key,
        options.agent_key,
        options.on_error,
        options.max_errors,
        options.jobs,
        options.engine,
        options.ray_address,
    )
    paths = expand(list(paths))
    fields, head, notes = find_fields(paths, o, numbers=wanted.numbers, answers=wanted.answers, subsets=wanted.subsets)
    rows = read_rows(paths, fields, o, listener)
    check_fields(rows, head, wanted.numbers or (), [*wanted.answers, *wanted.subsets])
    table = arrange(rows, options.duplicates).of_agent(options.agent)
    for text in notes + table.notes:
        listener.note("x", text)
    if rows.skipped:
        listener.note("lines-skipped", f"{len(rows.skipped)} lines skipped, the first {rows.skipped[0]}")
    if coverage := table.coverage():
        listener.note("masked", f"{coverage['coverage/masked_rollouts']} masked rollouts are left out of the numbers")
    return table
