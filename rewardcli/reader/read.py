"""Reads files of rollouts: cuts them into parts, shares these out to workers, collects what comes back."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..arrays import Ints
from ..errors import DataError, LineError, Location, UsageError, plural
from ..listener import Listener
from ..parallel import available_cores, can_fork, run
from ..rollouts import Rows
from .chunks import Chunk, ChunkBuilder, SkippedLine
from .fields import BOM, LINE_KEY, Fields
from .files import display_name, is_parquet, is_stream
from .jsonrow import RowError
from .options import ReadOptions
from .parts import Part, lines_before, parts_of, read_batches
from .remote import is_remote

__all__ = ["check_engine", "forkable_jobs", "join", "read_chunks", "read_part"]

# Below this many bytes, starting worker processes costs more than they gain (benchmarks/pool_threshold.py).
SMALLEST_SHARED = 64 << 20
# A cluster's size is known only after joining it; data is cut for one of this many cores unless jobs say more.
_CLUSTER_JOBS = 256

Advance = Callable[[int], None]


# --- one part -------------------------------------------------------------------------------------------------------


def read_part(part: Part, fields: Fields, skip_errors: bool, max_errors: int, advance: Advance | None = None) -> Chunk:
    """Read one part into columns; this is what a worker does.

    Raises:
        LineError: A line is not a row, and errors are not skipped.
    """
    if is_parquet(part.path):
        from .parquet import read_parquet

        return read_parquet(part.path, fields)
    builder = ChunkBuilder(fields)
    skipped: list[SkippedLine] = []
    damage: list[str] = []
    n_lines = n_rows = 0  # rows are the lines that are not blank, bad ones included
    position = part.start
    collecting = gc.isenabled()
    gc.disable()  # the rows of a batch hold no cycles, and there are many of them
    try:
        batches = read_batches(part, skip_errors, damage.append)
        for lines in batches:
            if position == 0 and lines[0].startswith(BOM):
                lines[0] = lines[0][len(BOM) :]
                position = len(BOM)
            bad, n_blank = _add_batch(builder, lines, n_lines, n_rows, position)
            skipped += bad
            if bad and not skip_errors:
                raise _line_error(part, bad[0], lines[bad[0].line - n_lines - 1])
            n_lines += len(lines)
            n_rows += len(lines) - n_blank
            size = sum(map(len, lines))
            position += size
            if advance:
                advance(size)
            if len(skipped) > max_errors:  # whoever knows of the other parts too will name the first
                _read_out(batches, part)
                break
    finally:
        if collecting:
            gc.enable()
    chunk = builder.chunk(part.name, n_lines, skipped)
    chunk.begins = part.start == 0
    if damage:
        _cut_damaged(chunk, damage[0])
    return chunk


def _add_batch(
    builder: ChunkBuilder, lines: list[bytes], n_lines: int, n_rows: int, position: int
) -> tuple[list[SkippedLine], int]:
    """Decode a batch and add its rows, after so many lines and rows of the part, and bytes of the file.

    Returns:
        The lines that are not rows, and how many are blank.
    """
    numbers = np.arange(n_lines + 1, n_lines + 1 + len(lines), dtype=np.uint32)
    ordinals = np.arange(n_rows, n_rows + len(lines))
    offsets = _offsets(lines, position) if builder.fields.offsets else None
    size = sum(map(len, lines))
    rows, bad = builder.layout.decode(lines)
    if bad:
        ordinals -= np.cumsum([i in bad and bad[i] is None for i in range(len(lines))])
        good = [i for i in range(len(lines)) if i not in bad]
        rows, _ = builder.layout.decode([lines[i] for i in good])
        numbers, ordinals = numbers[good], ordinals[good]
        offsets = None if offsets is None else offsets[good]
    builder.add(rows, numbers, ordinals, offsets, size)
    wrong = [(i, reason) for i, reason in sorted(bad.items()) if reason is not None]
    return [_skipped(n_lines + 1 + i, reason, lines[i]) for i, reason in wrong], len(bad) - len(wrong)


def _read_out(batches: Iterator[list[bytes]], part: Part) -> None:
    """Read what is left of compressed data, to learn whether it is damaged, and bad lines come of that."""
    for _ in batches if part.compression else ():
        continue


def _cut_damaged(chunk: Chunk, damage: str) -> None:
    """Note damage; what is damaged unpacks for a while, so that from the first bad line on nothing can be trusted."""
    chunk.damage = damage
    if chunk.skipped:
        first = chunk.skipped[0]
        chunk.damage += f", the first bad line of which is {first.line}:{first.column}: {first.what}"
        chunk.cut_before(first.line)


def _offsets(lines: list[bytes], first: int) -> Ints:
    """Where each line starts, when the first starts there."""
    sizes = np.fromiter(map(len, lines), np.int64, len(lines))
    return first + np.cumsum(sizes) - sizes


def _skipped(number: int, reason: RowError, line: bytes) -> SkippedLine:
    """A bad line, with an excerpt about the place where it is wrong."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    start = max(reason.column - 1 - 20, 0)
    excerpt = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[start : start + 48])
    what = f"{reason.what}: {'…' if start else ''}{excerpt}{'…' if len(text) > start + 48 else ''}"
    return SkippedLine(number, reason.column, what)


def _line_error(part: Part, bad: SkippedLine, line: bytes) -> LineError:
    number = bad.line + lines_before(part)
    if number == 1 and line.lstrip().startswith(b"["):
        hint = "if the file is one JSON array, jq -c '.[]' makes rows of it"
    else:
        hint = "fix or delete the line, or leave such lines out with {on_error=skip}"
    if part.compression:
        hint += f"; if the {part.compression} file is damaged, compress it again"
    return LineError(bad.what, hint, Location(part.name, number, bad.column))


# --- all parts ------------------------------------------------------------------------------------------------------


def check_engine(paths: Iterable[str], options: ReadOptions) -> None:
    """Make sure that the workers can read the files.

    Raises:
        UsageError: One of them is here only.
    """
    if options.engine == "ray" and any(map(is_stream, paths)):
        raise UsageError("a Ray cluster cannot read standard input, nor pipes", "name files that all of it can read")


def read_chunks(paths: Sequence[str], fields: Fields, options: ReadOptions, listener: Listener) -> list[Chunk]:
    """Read files of rows, or Parquet files.

    Args:
        paths: Files, as `expand` gives them.
        fields: What to read.
        options: How to read.
        listener: Hears of the total and of every bit of progress, in bytes.

    Raises:
        DataError: A file cannot be read, or there are no rollouts at all.
    """
    on_ray = options.engine == "ray"
    jobs = options.jobs or available_cores()
    parts = parts_of(list(paths), jobs if options.jobs or not on_ray else max(jobs, _CLUSTER_JOBS))
    alone = not on_ray and (jobs == 1 or not _worth_sharing(parts))
    work = partial(
        read_part, fields=fields, skip_errors=options.on_error == "skip", max_errors=options.max_errors,
        advance=listener.advance if alone else None,
    )  # fmt: skip
    if on_ray:
        work = partial(_read_elsewhere, read=work, folder=str(Path.cwd()))
    listener.begin(None if any(part.end is None for part in parts) else sum(part.size for part in parts))
    results: Iterator[Chunk] = map(work, parts)
    if not alone:
        results = run(
            work, parts, jobs=jobs, engine=options.engine, ray_address=options.ray_address,
            fork_safe=not any(map(is_remote, paths)),
        )  # fmt: skip
    chunks: list[Chunk] = []
    left = options.max_errors
    for part, chunk in zip(parts, results, strict=True):
        chunks.append(chunk)
        left -= len(chunk.skipped)
        if left < 0:
            break
        if not alone:
            listener.advance(part.size)
    if left < 0:
        location, what = next(skipped_lines(chunks))
        raise LineError(
            f"more than {plural(options.max_errors, 'bad line')}, the first {location}: {what}",
            "raise {max_errors}, or fix the file",
        )
    if not any(len(chunk.rows.masked) for chunk in chunks):
        shown = ", ".join(map(display_name, paths[:3]))
        raise DataError(f"{shown}: no rollouts", "check that this is the file that was meant")
    if fields.task == LINE_KEY:
        _number_rows(chunks)
    return chunks


def _worth_sharing(parts: Sequence[Part]) -> bool:
    """Whether worker processes gain more than they cost; standard input and pipes can be read only here."""
    if any(is_stream(part.path) for part in parts):
        return False
    whole = sum(part.end is None for part in parts)
    return whole > 1 or (len(parts) > 1 and sum(part.size for part in parts) >= SMALLEST_SHARED)


def _read_elsewhere(part: Part, read: Callable[[Part], Chunk], folder: str) -> Chunk:
    """Read a part in a worker that may have started in another folder, or on another machine."""
    if not is_remote(part.path) and not Path(part.path).is_absolute():
        try:
            os.chdir(folder)
        except OSError as error:
            raise DataError(
                f"{part.path}: a machine of the cluster has no folder {folder}",
                "give paths that are absolute, on storage that all machines share",
            ) from error
    return read(part)


def _number_rows(chunks: Iterable[Chunk]) -> None:
    """Make the row numbers, which each chunk counts from 0, go on from chunk to chunk."""
    before = 0
    for chunk in chunks:
        tasks = chunk.rows.tasks
        tasks.values = [value + before for value in tasks.values]  # type: ignore[operator]
        before += len(tasks.values) + len(chunk.skipped)


def forkable_jobs(options: ReadOptions, paths: Iterable[str | None]) -> int:
    """How many worker processes may start as copies of this one, after these paths have been read with these options.

    Ray and the packages of remote stores have threads, which a copy has not.
    """
    alone = options.engine == "ray" or not can_fork() or any(map(is_remote, filter(None, paths)))
    return 1 if alone else options.jobs or available_cores()


# --- what comes back ------------------------------------------------------------------------------------------------


def _with_lines_before(chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, int]]:
    """The chunks, and how many lines of its file come before each."""
    seen: dict[str, int] = {}
    for chunk in chunks:
        before = 0 if chunk.begins else seen[chunk.source]
        seen[chunk.source] = before + chunk.n_lines
        yield chunk, before


def skipped_lines(chunks: Iterable[Chunk]) -> Iterator[tuple[Location, str]]:
    """Where the skipped lines are, and what is wrong with each."""
    for chunk, before in _with_lines_before(chunks):
        for bad in chunk.skipped:
            yield Location(chunk.source, before + bad.line, bad.column), bad.what


def join(chunks: Sequence[Chunk]) -> Rows:
    """The rows of all chunks, in order."""
    origins = [chunk.origin(before) for chunk, before in _with_lines_before(chunks)]
    return Rows.concat([chunk.rows for chunk in chunks], origins)
