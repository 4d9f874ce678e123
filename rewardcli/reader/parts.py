"""Parts of files that can be read apart, as batches of whole lines."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from ..errors import DataError
from .files import display_name, is_parquet, is_stream
from .streams import Damage, WindowError, compression_of, head_of, open_file, open_sized, reading, stream_blocks

__all__ = ["BATCH_BYTES", "Part", "lines_before", "parts_of", "read_batches"]

# Lines come in batches that fit a core's own cache, where they are still when they are decoded.
BATCH_BYTES = 1 << 20
FIRST_BATCH_BYTES = 256 << 10  # the first batch may have to be parsed whole, to learn the fields
# A part is large enough that its own costs vanish, and small enough that the last one keeps no core waiting.
SMALLEST_PART, LARGEST_PART = 8 << 20, 256 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """What is read in one go: bytes of a file from `start` to `end`, both at line ends; or all of it (`end` None)."""

    path: str
    start: int = 0
    end: int | None = None
    compression: str | None = None

    @property
    def name(self) -> str:
        """The file as messages name it."""
        return display_name(self.path)

    @property
    def size(self) -> int:
        """How many bytes it has; 0 where only reading will tell."""
        return 0 if self.end is None else self.end - self.start


def parts_of(paths: list[str], jobs: int) -> list[Part]:
    """What to read, in order: plain files cut at line ends into parts for the jobs, anything else whole."""
    plain: list[tuple[str, int]] = []
    parts: dict[str, list[Part]] = {}
    for path in paths:
        if is_parquet(path):
            parts[path] = [Part(path)]
            continue
        if is_stream(path):
            parts[path] = [Part(path, compression=head_of(path, 16)[0])]
            continue
        stream, seekable = open_sized(path)  # once: planning for many remote files takes as long as opening them
        with stream, reading(path):
            compression = compression_of(stream.read(16))
            if compression or not seekable:
                parts[path] = [Part(path, compression=compression)]
            else:
                plain.append((path, stream.seek(0, os.SEEK_END)))
    total = sum(size for _, size in plain)
    # Each part learns its fields for itself, so that one reader takes a file as a whole.
    step = min(max(total // (jobs * 4), SMALLEST_PART), LARGEST_PART) if jobs > 1 else total
    for path, size in plain:
        cuts = [0]
        if size > step:
            with open_file(path) as stream, reading(path):
                while cuts[-1] + step < size:
                    stream.seek(cuts[-1] + step)
                    stream.readline()
                    cuts.append(min(stream.tell(), size))
        cuts += [size] if cuts[-1] < size or size == 0 else []
        parts[path] = [Part(path, start, end) for start, end in zip(cuts, cuts[1:], strict=False)]
    return [part for path in paths for part in parts[path]]


def read_batches(
    part: Part, skip_errors: bool = False, on_damage: Callable[[str], None] | None = None
) -> Iterator[list[bytes]]:
    """The part's lines in batches of a few megabytes, each line with its line end.

    Args:
        part: What to read.
        skip_errors: Whether damage only ends the reading.
        on_damage: Called then with what is wrong.

    Raises:
        DataError: The compressed data is damaged (unless `skip_errors`), or the file shrank while it was read.
    """
    if part.end is not None:
        yield from _read_range(part, part.end)
        return
    position = 0
    try:
        with closing(stream_blocks(part.path, part.compression)) as blocks:
            for lines in _lines(blocks):
                position += sum(map(len, lines))
                yield lines
    except Damage as error:
        damage = f"corrupt or cut off after {position} decompressed bytes ({error})"
        reason = f"{part.name}: the {part.compression} data is {damage}"
        if not skip_errors:
            hint = "compress it again, or keep what came before with {on_error=skip}"
            raise DataError(reason, hint) from error
        if on_damage:
            on_damage(reason)
    except WindowError as error:
        what = f"{part.name}: the {part.compression} data needs {error}"
        raise DataError(what, "compress it again with a smaller window") from error


def _lines(blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The blocks as lists of whole lines; where the blocks end in an error, what came before it comes first."""
    held: list[bytes] = []
    size, enough = 0, FIRST_BATCH_BYTES
    damage: Exception | None = None
    try:
        for block in blocks:
            held.append(block)
            size += len(block)
            if size >= enough:
                data = b"".join(held)
                cut = data.rfind(b"\n") + 1
                if cut:
                    yield io.BytesIO(data[:cut]).readlines()
                held, size = [data[cut:]], len(data) - cut
                enough = max(BATCH_BYTES, 2 * size)
    except Exception as error:  # noqa: BLE001 - raised below
        damage = error
    data = b"".join(held)
    whole = data if damage is None else data[: data.rfind(b"\n") + 1]
    if whole:
        yield io.BytesIO(whole).readlines()
    if damage is not None:
        raise damage


def _read_range(part: Part, end: int) -> Iterator[list[bytes]]:
    with open_file(part.path) as stream, reading(part.path):
        stream.seek(part.start)
        position, size = part.start, FIRST_BATCH_BYTES
        while position < end:
            lines = stream.readlines(min(size, end - position))
            size = BATCH_BYTES
            if not lines:
                raise DataError(
                    f"{part.name}: the file became shorter while it was read", "run again when nothing writes to it"
                )
            position += sum(map(len, lines))
            if position > end:  # a line of the next part, or rows appended after the end was taken
                last = lines.pop()
                lines += [kept] if (kept := last[: len(last) - (position - end)]) else []
            yield lines


def lines_before(part: Part) -> int:
    """How many lines the file has before the part."""
    if part.start == 0:
        return 0
    count, left = 0, part.start
    with open_file(part.path) as stream, reading(part.path):
        while left and (block := stream.read(min(BATCH_BYTES, left))):
            count += block.count(b"\n")
            left -= len(block)
    return count
