"""The door: files or dicts in, `Rollouts` out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..completion import match_inputs, require_complete
from ..errors import DataError, plural
from ..listener import Listener
from ..rollouts import Duplicates, Labels, Matching, Rollouts, Rows, arrange, name_runners
from .chunks import Chunk, ChunkBuilder
from .dialects import NEMO_GYM, Dialect
from .fields import Fields, check_fields, find_fields
from .files import expand
from .options import ReadOptions, Wanted
from .read import check_engine, join, read_chunks, skipped_lines

__all__ = ["read_rollouts", "rollouts_of_dicts"]

# The subset that stands for the agent, wherever the rows keep it; a field of that name comes first.
_AGENTS = "agent"


def read_rollouts(
    paths: Sequence[str], wanted: Wanted, options: ReadOptions | None = None, listener: Listener | None = None
) -> Rollouts:
    """Read rollouts from files.

    Args:
        paths: Files of rows or Parquet files, globs, directories, URLs; - for standard input.
        wanted: What is needed of them.
        options: How to read.
        listener: Hears notes and progress.

    Raises:
        DataError: The data cannot be read.
        FieldError: A field that is wanted is in no rollout.
    """
    options, listener = options or ReadOptions(), listener or Listener()
    files = expand(list(paths))
    check_engine(files, options)
    fields, head = find_fields(files, wanted, options, listener)
    chunks = read_chunks(files, fields, options, listener)
    numbers = {name for chunk in chunks for name in (*chunk.rows.numbers, *chunk.rows.usage)}
    labels = {name for chunk in chunks for name, column in chunk.rows.labels.items() if column.present}
    check_fields(numbers, {*labels, _AGENTS}, wanted, head)
    _note_damage(chunks, listener)
    skipped = list(skipped_lines(chunks))
    rows, matching = join(chunks), None
    del chunks
    if wanted.inputs is not None:
        keys = replace(fields, numbers=(), answers=(), subsets=(), nested=(), reasons=False, offsets=True)
        input_chunks = read_chunks([wanted.inputs], keys, options, listener)
        _note_damage(input_chunks, listener)
        skipped += skipped_lines(input_chunks)
        rows, matching = _matched(rows, join(input_chunks), wanted.inputs, fields)
    elif rows.servers.present:
        name_runners(rows)
    rollouts = arrange(rows, options.duplicates, matching)
    if options.agent is not None:
        rollouts = rollouts.of_agent(options.agent)
    if matching is not None:
        require_complete(rows, matching, (", ".join(files), matching.source), wanted.allow_partial)
        if matching.inputs.origins.all_offsets() is None:
            raise DataError(f"{matching.source}: not a file of JSON rows", "name one with {inputs}")
    _note_what_is_left_out(rollouts, wanted, options, skipped, listener)
    if _AGENTS in wanted.subsets and _AGENTS not in labels:
        rollouts.labels[_AGENTS] = rollouts.by_row(rollouts.agents)
    return rollouts


def _matched(rows: Rows, inputs: Rows, source: str, fields: Fields) -> tuple[Rows, Matching]:
    """The rows with the agents of their inputs, and which input each of them answers."""
    if rows.servers.present or inputs.servers.present:
        name_runners(rows, inputs)
    rows, inputs = rows.numbered(), inputs.numbered()
    matching = match_inputs(inputs, rows, source, (fields.task, fields.index))
    rows.agents = matching.agents_of_inputs().over(rows.agents)
    return rows, matching


def _note_damage(chunks: Sequence[Chunk], listener: Listener) -> None:
    for damage in (chunk.damage for chunk in chunks if chunk.damage):
        text = f"{damage}: what comes after is left out, and values shortly before may be wrong"
        listener.note("damaged", text)


def _note_what_is_left_out(
    rollouts: Rollouts,
    wanted: Wanted,
    options: ReadOptions,
    skipped: Sequence[tuple[Any, str]],
    listener: Listener,
) -> None:
    if rollouts.left_out:
        count = plural(rollouts.left_out, "duplicate row")
        listener.note(
            "duplicates-left-out",
            f"{count} left out; of each key the {options.duplicates} row in the files counts",
        )
    if skipped:
        location, what = skipped[0]
        listener.note("lines-skipped", f"{plural(len(skipped), 'line')} skipped, the first {location}: {what}")
    masked = int(np.count_nonzero(rollouts.masked))
    if masked and not wanted.reasons:  # a copy that keeps them keeps masked ones too
        verb = "is" if masked == 1 else "are"
        listener.note("masked", f"{plural(masked, 'masked rollout')} {verb} left out of the numbers")


# --- dicts ----------------------------------------------------------------------------------------------------------


def rollouts_of_dicts(
    dicts: Sequence[dict[str, Any]],
    *,
    inputs: Sequence[dict[str, Any]] | None = None,
    allow_partial: bool = True,
    allow_extra: bool = False,
    numbers: tuple[str, ...] | None = None,
    duplicates: Duplicates = "error",
    pooled: bool = False,
    loose: bool = False,
    names: tuple[str, str] = ("rollouts", "materialized inputs"),
    dialect: Dialect = NEMO_GYM,
) -> Rollouts:
    """Take rollouts that are dicts already; the dicts are not changed.

    Args:
        dicts: As a JSON parser gives them; the `positions` of the rollouts point into them.
        inputs: Materialized inputs; `matching.input_of` points into them.
        allow_partial: Whether inputs may lack a rollout.
        allow_extra: Whether rollouts may lack an input.
        numbers: The numeric fields; None for all of them, those of the usage included.
        duplicates: What to do with rows of the same task, agent and rollout index.
        pooled: Whether all rollouts count as one agent's.
        loose: Whether rollout indices count only where all rollouts have one.
        names: What messages call rollouts and inputs.
        dialect: The names of the fields.

    Raises:
        DataError: A key is missing or occurs twice, or a rollout has no input.
    """
    fields = Fields(dialect.task, dialect.index, dialect.agent, dialect, numbers)
    rows, matching = _rows_of_dicts(dicts, fields, names[0]), None
    if pooled:
        rows.agents = rows.servers = Labels.none(len(rows))
    if loose and (rows.indices.codes < 0).any():
        rows.indices = Labels.none(len(rows))
    if inputs is not None:
        keys = replace(fields, numbers=())
        rows, matching = _matched(rows, _rows_of_dicts(inputs, keys, names[1]), names[1], fields)
    elif rows.servers.present:
        name_runners(rows)
    rollouts = arrange(rows, duplicates, matching)
    if matching is not None:
        require_complete(rows, matching, names, allow_partial, allow_extra)
    return rollouts


def _rows_of_dicts(dicts: Sequence[dict[str, Any]], fields: Fields, name: str) -> Rows:
    builder = ChunkBuilder(fields)
    if builder.learns:
        builder.layout.learn(dicts)
    count = len(dicts)
    builder.add(list(dicts), range(1, count + 1), range(count))
    return join([builder.chunk(name, count)])
