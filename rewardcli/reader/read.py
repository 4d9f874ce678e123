"""Reads files of rollouts: finds the fields, shares the parts out to an engine, joins what comes back."""

from __future__ import annotations

import difflib
import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, FieldError, LineError, UsageError
from ..parallel import EngineName, InProcess, available_cores, can_fork, make_engine
from ..rollouts import Labels
from .arrange import Rows, merge_chunks
from .columns import LINE_KEY, USAGE, Chunk, ChunkBuilder, Fields, label_paths
from .layout import UNSET, load_row, look_up
from .parquet import read_table_file, table_fields
from .sources import (
    HEAD_BYTES,
    STDIN,
    Part,
    head_of,
    is_remote,
    is_table_file,
    lines_before,
    parts_of,
    read_batches,
    read_once,
)

__all__ = [
    "Head",
    "Progress",
    "ReadOptions",
    "check_fields",
    "find_fields",
    "forked_jobs",
    "near",
    "read_inputs",
    "read_rows",
    "rows_of_dicts",
]

TASK_KEY, ROLLOUT_KEY, AGENT_KEY = "_ng_task_index", "_ng_rollout_index", "agent_ref.name"
TASK_GUESSES = ("task_index", "task_id", "problem_id", "question_id", "example_id")
ROLLOUT_GUESSES = ("rollout_index", "trial", "sample", "sample_index", "attempt")

# Below this many bytes, starting worker processes costs more than they gain (benchmarks/pool_threshold.py).
SMALLEST_SHARED = 64 << 20
# A cluster's size is known only after joining it; data is cut for one of this many cores unless --jobs says more.
_CLUSTER_JOBS = 256

Advance = Callable[[int], None]
_LARGEST_HEAD = 256 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How rollouts are read, whatever is computed from them.

    Attributes:
        task_key, rollout_key, agent_key: The fields of the keys; None for NeMo Gym's, or a documented guess.
        on_error: What to do with a line that is no rollout.
        max_errors: How many such lines may be skipped.
        jobs: How many processes read; None for one a core.
        engine: Where they run.
        ray_address: The Ray cluster to join.
    """

    task_key: str | None = None
    rollout_key: str | None = None
    agent_key: str | None = None
    on_error: Literal["error", "skip"] = "error"
    max_errors: int = 100
    jobs: int | None = None
    engine: EngineName = "local"
    ray_address: str | None = None


# --- finding the fields ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Head:
    """The first rows of the data: what fields there are."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    known: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the fields, those one and two levels down dotted."""
        names: dict[str, None] = dict.fromkeys(self.known)
        for row in self.rows:
            for key, value in row.items():
                names[key] = None
                for inner in value if isinstance(value, dict) else ():
                    names[f"{key}.{inner}"] = None
            usage = look_up(row, USAGE)
            names |= dict.fromkeys(usage if isinstance(usage, dict) else ())
        return list(names)

    def has(self, name: str) -> bool:
        """Whether the first row has the field."""
        return bool(self.rows) and any(look_up(self.rows[0], path) not in (UNSET, None) for path in label_paths(name))


def _read_head(path: str, most: int = 64) -> Head:
    head = Head("<stdin>" if path == STDIN else path)
    size = HEAD_BYTES
    _, start = head_of(path, size)
    while b"\n" not in start.strip() and size <= len(start) < _LARGEST_HEAD:  # a row longer than the head
        size *= 8
        _, start = head_of(path, size)
    for line in islice(start.removeprefix(_BOM).splitlines(), most):
        try:
            head.rows.append(load_row(line))
        except ValueError:  # the reader itself will say what is wrong, with its line
            continue
    return head


def near(name: str, names: Iterable[str]) -> str:
    """What to do about a field that is not there: the names that look like it, or the first few."""
    names = list(names)
    close = difflib.get_close_matches(name, names, 4, 0.5) or [n for n in names if n.rsplit(".", 1)[-1] == name][:4]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return (
        f"the fields are {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"
        if names
        else "the rows have no fields"
    )


def find_fields(
    paths: Sequence[str],
    options: ReadOptions,
    *,
    numbers: tuple[str, ...] | None = (),
    answers: tuple[str, ...] = (),
    subsets: tuple[str, ...] = (),
    reasons: bool = False,
) -> tuple[Fields, Head, list[str]]:
    """Decides which fields are the keys, looking at the first rows.

    Returns:
        The fields to read, the first rows, and notes on what was guessed.
    """
    text_paths = [path for path in paths if not is_table_file(path)]
    head = _read_head(text_paths[0]) if text_paths else Head(paths[0], known=table_fields(paths[0]))
    notes: list[str] = []

    def guess(kind: str, given: str | None, usual: str, guesses: tuple[str, ...], option: str) -> str | None:
        if given is not None or head.has(usual) or not head.rows:
            return given or usual
        found = next((name for name in guesses if head.has(name)), None)
        if found:
            notes.append(f"no {usual}: the {kind} is taken from '{found}' ({option} names another field)")
        return found

    task = guess("task", options.task_key, TASK_KEY, TASK_GUESSES, "--task-key")
    rollout = guess("rollout", options.rollout_key, ROLLOUT_KEY, ROLLOUT_GUESSES, "--rollout-key")
    if rollout is None and task != LINE_KEY and head.rows:
        notes.append(
            "no rollout index: rollouts count in order of appearance within their task (--rollout-key names a field)"
        )
    fields = Fields(
        task=task or TASK_KEY,
        rollout=rollout or ROLLOUT_KEY,
        agent=options.agent_key or AGENT_KEY,
        numbers=numbers,
        answers=answers,
        subsets=subsets,
        reasons=reasons,
    )
    return fields, head, notes


class Progress:
    """Told how far the reading is; does nothing by itself."""

    def begin(self, total: int | None) -> None:
        """Reading begins; `total` bytes, if known."""

    def advance(self, count: int) -> None:
        """So many more bytes are read."""


# --- reading --------------------------------------------------------------------------------------------------------


def read_part(part: Part, fields: Fields, skip_errors: bool, max_errors: int, advance: Advance | None = None) -> Chunk:
    """Reads one part into columns; this is what a worker does.

    Raises:
        LineError: A line is no rollout, and errors are not skipped.
    """
    if part.table:
        return read_table_file(part.path, fields)
    builder = ChunkBuilder(fields)
    skipped: list[tuple[int, str]] = []
    damage: list[str] = []
    n_lines = n_rows = 0  # rows are the lines that are not blank, bad ones included
    place = part.start
    collecting = gc.isenabled()
    gc.disable()  # the rows of a batch hold no cycles, and there are many of them
    try:
        batches = read_batches(part, skip_errors, damage.append)
        for lines in batches:
            if place == 0 and lines[0].startswith(_BOM):
                lines[0] = lines[0][len(_BOM) :]
                place = len(_BOM)
            size = sum(map(len, lines))
            numbers = np.arange(n_lines + 1, n_lines + 1 + len(lines), dtype=np.uint32)
            ordinals = np.arange(n_rows, n_rows + len(lines))
            places = _places(lines, place) if fields.places else None
            rows, bad = builder.layout.decode(lines)
            if bad:
                wrong = [i for i in sorted(bad) if bad[i]]
                skipped += [(int(numbers[i]), _describe(bad[i], lines[i])) for i in wrong]
                if wrong and not skip_errors:
                    raise _line_error(part, *skipped[0], lines[wrong[0]])
                ordinals -= np.cumsum([bad.get(i) == "" for i in range(len(lines))])
                good = [i for i in range(len(lines)) if i not in bad]
                rows, _ = builder.layout.decode([lines[i] for i in good])
                numbers, ordinals = numbers[good], ordinals[good]
                places = None if places is None else places[good]
            builder.add(rows, numbers, ordinals, places, size)
            n_lines += len(lines)
            n_rows += len(lines) - sum(1 for reason in bad.values() if not reason)
            place += size
            if advance:
                advance(size)
            if len(skipped) > max_errors:  # the caller, who knows of other parts too, will tell the first
                _read_out(batches, part)
                break
    finally:
        if collecting:
            gc.enable()
    chunk = builder.chunk(part.name, n_lines, skipped)
    chunk.begins = part.start == 0
    _cut_damaged(chunk, damage)
    return chunk


def _read_out(batches: Iterator[list[bytes]], part: Part) -> None:
    """Reads what is left of compressed data, to learn whether it is damaged, and bad lines come of that."""
    for _ in batches if part.compression else ():
        continue


def _cut_damaged(chunk: Chunk, damage: list[str]) -> None:
    """Notes damage; what is damaged unpacks for a while, so that from the first bad line on nothing can be trusted."""
    chunk.damage = damage
    if damage and chunk.skipped:
        line, reason = chunk.skipped[0]
        damage[0] += f", the first bad line of which is {line}:{reason}"
        chunk.cut_before(line)


def _places(lines: list[bytes], first: int) -> NDArray[np.int64]:
    """Where each line starts, when the first starts there."""
    sizes = np.fromiter(map(len, lines), np.int64, len(lines))
    return first + np.cumsum(sizes) - sizes


def _describe(reason: str, line: bytes) -> str:
    """The reason with an excerpt of the line about the place that it names."""
    column, _, what = reason.partition(": ")
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    start = max(int(column) - 1 - 20, 0)
    excerpt = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[start : start + 48])
    return f"{column}: {what}: {'…' if start else ''}{excerpt}{'…' if len(text) > start + 48 else ''}"


def _line_error(part: Part, number: int, reason: str, line: bytes) -> LineError:
    number += lines_before(part)
    if number == 1 and line.lstrip().startswith(b"["):
        hint = "if the file is one JSON array, jq -c '.[]' makes rows of it"
    else:
        hint = "mend or delete the line, or leave such lines out with --on-error skip"
    if part.compression:
        hint += f"; if the {part.compression} file is damaged, compress it anew"
    return LineError(f"{part.name}:{number}:{reason}", hint)


def read_rows(paths: Sequence[str], fields: Fields, options: ReadOptions, progress: Progress | None = None) -> Rows:
    """Reads rollouts from files of rows or tables, as they stand there.

    Args:
        paths: Files, as `expand` gives them.
        fields: What to read.
        options: How to read.
        progress: Told of the total and of every bit of progress, in bytes.

    Raises:
        DataError: A file cannot be read, or there are no rollouts at all.
    """
    on_ray = options.engine == "ray"
    if on_ray and any(map(read_once, paths)):
        raise UsageError("a Ray cluster cannot read standard input, nor pipes", "name files that all of it can read")
    jobs = options.jobs or available_cores()
    parts = parts_of(list(paths), jobs if options.jobs or not on_ray else max(jobs, _CLUSTER_JOBS))
    alone = options.engine == "local" and not _worth_sharing(parts)
    fork_safe = not any(map(is_remote, paths))
    engine = make_engine(options.engine, 1 if alone else jobs, options.ray_address, fork_safe)
    here = progress.advance if progress and isinstance(engine, InProcess) else None
    work = partial(
        read_part,
        fields=fields,
        skip_errors=options.on_error == "skip",
        max_errors=options.max_errors,
        advance=here,
    )
    if on_ray:
        work = partial(_read_elsewhere, read=work, folder=str(Path.cwd()))
    if progress:
        progress.begin(None if any(part.end is None for part in parts) else sum(part.size for part in parts))
    chunks: list[Chunk] = []
    left = options.max_errors
    for part, chunk in zip(parts, engine.run(work, parts), strict=True):
        chunks.append(chunk)
        left -= len(chunk.skipped)
        if left < 0:
            break
        if progress and not here:
            progress.advance(part.size)
    if fields.task == LINE_KEY:
        _number_rows(chunks)
    rows = merge_chunks(chunks)
    if left < 0:
        raise LineError(
            f"more than {options.max_errors} lines are no rollouts, the first at {rows.skipped[0]}",
            "raise --max-errors, or mend the file",
        )
    if not len(rows):
        shown = ", ".join("<stdin>" if path == STDIN else path for path in paths[:3])
        raise DataError(f"{shown}: no rollouts", "check that this is the file that was meant")
    return rows


def forked_jobs(options: ReadOptions, paths: Iterable[str | None]) -> int:
    """How many worker processes may start as copies of this one, after these paths have been read with these options.

    Ray and the packages of remote stores have threads, which a copy has not.
    """
    alone = options.engine == "ray" or not can_fork() or any(map(is_remote, filter(None, paths)))
    return 1 if alone else options.jobs or available_cores()


def _read_elsewhere(part: Part, read: Callable[[Part], Chunk], folder: str) -> Chunk:
    """Reads a part in a worker that may have started in another folder, or on another machine."""
    if not is_remote(part.path) and not Path(part.path).is_absolute():
        try:
            os.chdir(folder)
        except OSError as error:
            raise DataError(
                f"{part.path}: a machine of the cluster has no folder {folder}",
                "give paths that are absolute, on storage that all machines share",
            ) from error
    return read(part)


def _worth_sharing(parts: Sequence[Part]) -> bool:
    """Whether worker processes gain more than they cost; standard input and pipes can be read only here."""
    if any(read_once(part.path) for part in parts):
        return False
    streams = sum(part.end is None for part in parts)
    return streams > 1 or (len(parts) > 1 and sum(part.size for part in parts) >= SMALLEST_SHARED)


def _number_rows(chunks: Iterable[Chunk]) -> None:
    """Makes the row numbers, which each chunk counts from 0, go on from chunk to chunk."""
    before = 0
    for chunk in chunks:
        chunk.task.values = [value + before for value in chunk.task.values]  # type: ignore[operator]
        before += len(chunk.task.values) + len(chunk.skipped)


def read_inputs(path: str, fields: Fields, options: ReadOptions) -> Rows:
    """Reads the keys of materialized inputs, and where each stands in its file; the prompts are not kept."""
    keys = Fields(fields.task, fields.rollout, fields.agent, places=True)
    return read_rows([path], keys, options)


def check_fields(rows: Rows, head: Head, numbers: Sequence[str] = (), labels: Sequence[str] = ()) -> None:
    """Makes sure that every field asked for is in some rollout.

    Raises:
        FieldError: One is in none.
    """
    for name in numbers:
        if name not in rows.numbers and name not in rows.usage:
            raise FieldError(f"{head.name}: no rollout has the field '{name}'", near(name, head.names))
    for name in labels:
        if not rows.labels.get(name, Labels(np.empty(0, np.int32), [], False)).present:
            raise FieldError(f"{head.name}: no rollout has the field '{name}'", near(name, head.names))


def rows_of_dicts(dicts: Sequence[dict[str, Any]], fields: Fields, name: str) -> Rows:
    """Rollouts, or inputs, that are dicts already, as rows; the dicts are not changed.

    Args:
        dicts: As a JSON parser gives them.
        fields: What to take from them.
        name: What messages call them.
    """
    builder = ChunkBuilder(fields)
    if builder.learns:
        builder.layout.learn(dicts)
    count = len(dicts)
    builder.add(list(dicts), range(1, count + 1), range(count))
    return merge_chunks([builder.chunk(name, count)])
