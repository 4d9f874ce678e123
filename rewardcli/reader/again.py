"""Rows read a second time: the rollouts for hooks, the inputs for a profile."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import IO, Any, Self

import msgspec
import numpy as np

from ..arrays import Ints
from ..errors import DataError, LineError
from ..rollouts import Matching, Rollouts
from .fields import BOM
from .files import STDIN, display_name, expand, is_parquet, is_stream
from .jsonrow import UNDECODABLE, RowError, load_row
from .parts import Part, parts_of, read_batches
from .remote import is_remote
from .streams import READ_BYTES, head_of, open_file

__all__ = ["InputRows", "read_again", "rereadable", "seekable"]


@contextmanager
def rereadable(paths: Sequence[str]) -> Iterator[list[str]]:
    """The files that paths name, with a temporary file in place of standard input or a pipe."""
    with ExitStack() as stack:
        files = expand(list(paths))
        for place, path in enumerate(files):
            if is_stream(path):
                copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="rewardcli-"))
                stored = open_file(path)
                with nullcontext() if path == STDIN else stored:
                    shutil.copyfileobj(stored, copy, READ_BYTES)
                copy.flush()
                files[place] = copy.name
        yield files


# --- rollouts -------------------------------------------------------------------------------------------------------


def read_again(rollouts: Rollouts, rows: Ints | None = None) -> list[dict[str, Any]]:
    """Read rollouts as dicts, each by its file and its offset there; every file is gone through once.

    Args:
        rollouts: Rollouts that were read to be read again.
        rows: Which of them; None for all.

    Returns:
        The dicts, in the order of the rows.

    Raises:
        DataError: A row cannot be had again as it was read.
    """
    positions = rollouts.positions if rows is None else rollouts.positions[rows]
    origins = rollouts.origins
    places: dict[str, dict[int, int]] = {}  # by source and offset, the place in the list
    for place, position in enumerate(positions.tolist()):
        offset = origins.offset(position)
        source = origins.of(position).source
        if offset is None:
            what = "a Parquet file of numbers" if is_parquet(source) else "rows that were not kept"
            raise DataError(f"{source}: the rollouts themselves are needed, not {what}", "name files of JSON rows")
        places.setdefault(source, {})[offset] = place
    dicts: list[Any] = [None] * len(positions)
    for source, wanted in places.items():
        for offset, line in _lines_at(source, wanted):
            place = wanted.pop(offset)
            try:
                dicts[place] = load_row(line)
            except RowError as error:
                location = origins.location(int(positions[place]))
                what = f"the row cannot be read whole: {error.what}"
                raise LineError(what, "fix the line, or leave it out", location) from error
        if wanted:
            location = origins.location(int(positions[min(wanted.values())]))
            raise DataError("the row is gone", "run again when nothing writes to the file", location)
    return dicts


def _lines_at(source: str, offsets: dict[int, Any]) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that start at these bytes."""
    ordered = np.array(sorted(offsets))
    for part in parts_of([source], 1):
        position = part.start
        for lines in read_batches(part, skip_errors=True):
            if position == 0 and lines[0].startswith(BOM):
                lines[0] = lines[0][len(BOM) :]
                position = len(BOM)
            ends = position + np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)))
            starts = np.concatenate([[position], ends[:-1]])
            position = int(ends[-1])
            for i in np.flatnonzero(np.isin(starts, ordered)).tolist():
                yield int(starts[i]), lines[i]


# --- inputs ---------------------------------------------------------------------------------------------------------


class InputRows:
    """Materialized inputs read again, by their byte offsets; to be closed.

    Args:
        matching: Which input each rollout answers.
    """

    def __init__(self, matching: Matching) -> None:
        offsets = matching.inputs.origins.all_offsets()
        if offsets is None:
            raise DataError(f"{matching.source}: not a file of JSON rows", "name one with {inputs}")
        self._origins = matching.inputs.origins
        self._hidden = set(matching.key_fields)
        self._file = seekable(matching.source)
        self._offsets = [*offsets.tolist(), os.fstat(self._file.fileno()).st_size]

    def raw(self, position: int) -> msgspec.Raw:
        """The input at a position as JSON, without its index fields.

        Worker processes share the file, so its own position is left alone.
        """
        offset, following = self._offsets[position : position + 2]
        line = os.pread(self._file.fileno(), following - offset, offset).partition(b"\n")[0]
        try:
            row: dict[str, Any] = msgspec.json.decode(msgspec.json.format(line, indent=-1), type=dict[str, msgspec.Raw])
        except UNDECODABLE:
            try:
                row = load_row(line)
            except RowError as error:
                location = self._origins.location(position)
                raise LineError(f"the input cannot be read whole: {error.what}", "fix the line", location) from error
        return msgspec.Raw(msgspec.json.encode({key: value for key, value in row.items() if key not in self._hidden}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def seekable(path: str) -> IO[bytes]:
    """A local file of the decompressed bytes, to be read from any byte on; of what is compressed or remote, a copy.

    Raises:
        DataError: It is a pipe.
    """
    if is_stream(path):
        what = f"{display_name(path)}: is read twice, which a pipe cannot be"
        raise DataError(what, "save it to a file, and name that")
    compression, _ = head_of(path, 16)
    if compression is None and not is_remote(path):
        return open_file(path)
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        for lines in read_batches(Part(path, compression=compression)):
            unpacked.writelines(lines)
        unpacked.flush()  # who reads by descriptor does not see what waits here
    except BaseException:
        unpacked.close()
        raise
    return unpacked
