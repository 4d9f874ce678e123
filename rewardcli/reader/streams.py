"""The bytes of one file: opened, decompressed, in blocks."""

from __future__ import annotations

import io
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from ..errors import DataError
from ..parallel import prefetch
from .files import STDIN, display_name, is_stream
from .remote import is_remote, open_remote, reaching

__all__ = [
    "HEAD_BYTES",
    "Damage",
    "WindowError",
    "compression_of",
    "head_of",
    "open_file",
    "open_sized",
    "reading",
    "stream_blocks",
]

HEAD_BYTES = READ_BYTES = 1 << 20
SMALL_READ_BYTES = 64 << 10

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}


class Damage(Exception):  # noqa: N818 - whoever reads decides whether it is an error
    """Compressed data is corrupt or cut off."""


class WindowError(Exception):
    """Compressed data can only be unpacked with more memory than is good."""


# --- opening --------------------------------------------------------------------------------------------------------


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what goes wrong where bytes are read into an error with the path."""
    if is_remote(path):
        with reaching(path):
            yield
        return
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file", "check the path; - reads standard input") from error
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{display_name(path)}: {reason}", "check the path and its permissions") from error


def open_file(path: str) -> IO[bytes]:
    """The file's bytes as they are stored.

    Raises:
        DataError: The file cannot be opened.
    """
    if path == STDIN:
        return sys.stdin.buffer
    if is_remote(path):
        return open_remote(path, READ_BYTES)[0]
    with reading(path):
        return Path(path).open("rb", buffering=READ_BYTES)


def open_sized(path: str) -> tuple[IO[bytes], bool]:
    """The same, and whether it can be read from any byte on."""
    return open_remote(path, READ_BYTES) if is_remote(path) else (open_file(path), True)


def _blocks(path: str, stream: IO[bytes], head: bytes, size: int) -> Iterator[bytes]:
    """The stored bytes in blocks, beginning with what was already read of them."""
    for begin in range(0, len(head), size):
        yield head[begin : begin + size]
    while True:
        with reading(path):
            block = stream.read(size)
        if not block:
            return
        yield block


# Standard input and pipes: what can be read only once is kept open, with what was already read of it.
_begun: dict[str, tuple[IO[bytes], bytes]] = {}


def _first_bytes(path: str, size: int) -> bytes:
    with reading(path):
        if not is_stream(path):
            with open_file(path) as stream:
                return stream.read(size)
        stream, head = _begun.get(path) or (open_file(path), b"")
        if len(head) < size:
            head += stream.read(size - len(head))
        _begun[path] = stream, head
    return head


def head_of(path: str, size: int = HEAD_BYTES) -> tuple[str | None, bytes]:
    """How the file is compressed, and its first bytes, decompressed; those of a pipe are kept for later."""
    stored = _first_bytes(path, size)
    compression = compression_of(stored)
    if compression is None:
        return None, stored
    head = b""
    try:
        for block in decompressed(_blocks(path, io.BytesIO(stored), b"", SMALL_READ_BYTES), compression):
            head += block
            if len(head) >= size:
                break
    except (Damage, WindowError):
        pass  # the head ends in the middle of the compressed data; what came before counts
    return compression, head


def stream_blocks(path: str, compression: str | None) -> Generator[bytes]:
    """The decompressed bytes of a whole file, in blocks; what is compressed is unpacked in a thread of its own.

    Raises:
        Damage: The compressed data is damaged.
        DataError: The file cannot be read.
    """
    stored, head = _begun.pop(path) if path in _begun else (open_file(path), b"")
    with nullcontext() if path == STDIN else stored:
        if compression is None:
            yield from _blocks(path, stored, head, READ_BYTES)
        else:
            small = _blocks(path, stored, head, SMALL_READ_BYTES)
            with closing(prefetch(decompressed(small, compression))) as blocks:
                yield from blocks


# --- decompressing --------------------------------------------------------------------------------------------------

# So much is unpacked at a time, however small it was packed.
_STEP_BYTES = 1 << 20
_ZSTD_BLOCKS = 8  # of 128 KB at most
_ZSTD_WINDOW = 128 << 20


def compression_of(head: bytes) -> str | None:
    """How data is compressed that begins with these bytes; None if it is not."""
    if head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:  # a frame of zstd to be skipped
        return "zstd"
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def decompressed(blocks: Iterable[bytes], compression: str) -> Iterator[bytes]:
    """The decompressed data, in bounded steps; members or frames that follow each other are one stream.

    Small blocks in: where the data is damaged, only what the block before it gave is known to be right.

    Raises:
        Damage: The data is corrupt or cut off.
    """
    try:
        yield from _zstd_frames(_Feed(blocks)) if compression == "zstd" else _members(blocks, compression)
    except _corruptions() as error:
        raise Damage(str(error)) from error


def _corruptions() -> tuple[type[BaseException], ...]:
    """What the decompressors raise."""
    import lzma

    from isal.igzip_lib import IsalError
    from zstandard import ZstdError

    return (EOFError, OSError, IsalError, lzma.LZMAError, ZstdError)  # type: ignore[return-value]


def _decompressor(compression: str) -> Any:
    """What decompresses one member; all of them have `decompress`, `needs_input`, `eof` and `unused_data`."""
    if compression == "gzip":
        from isal import igzip_lib

        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    if compression == "bzip2":
        import bz2

        return bz2.BZ2Decompressor()
    import lzma

    return lzma.LZMADecompressor()


def _members(blocks: Iterable[bytes], compression: str) -> Iterator[bytes]:
    """Members of gzip, bzip2 or xz.

    The file objects of these libraries would do, but they take what follows a member and is none for padding, so that
    rows behind a damaged header would be lost without a word.
    """
    member = None
    for block in blocks:
        data = block
        while data or (member is not None and not member.needs_input):
            if member is None:
                data = data.lstrip(b"\0")  # padding between members
                if not data:
                    break
                member = _decompressor(compression)
            if output := member.decompress(data, _STEP_BYTES):
                yield output
            data, member = (member.unused_data, None) if member.eof else (b"", member)
    if member is not None:
        raise EOFError("the stream is cut off")


class _Feed:
    """Bytes of blocks, so many as are asked for."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._held = b""
        self._position = 0

    def take(self, count: int) -> bytes:
        end = self._position + count
        while end > len(self._held):
            block = next(self._blocks, None)
            if block is None:
                raise EOFError("the stream is cut off")
            self._held = self._held[self._position :] + block
            end, self._position = end - self._position, 0
        data = self._held[self._position : end]
        self._position = end
        return data

    def is_at_end(self) -> bool:
        """Whether nothing follows, but padding."""
        while True:
            self._held, self._position = self._held[self._position :].lstrip(b"\0"), 0
            if self._held:
                return False
            block = next(self._blocks, None)
            if block is None:
                return True
            self._held = block


def _zstd_frames(feed: _Feed) -> Iterator[bytes]:
    """Frames of zstd, some blocks at a time.

    The library's file object takes a frame that is cut off for one that has ended; so blocks are counted here.
    """
    import zstandard

    while not feed.is_at_end():
        start = feed.take(5)
        if compression_of(start) == "zstd" and start[:4] not in _MAGIC:
            left = int.from_bytes(start[4:] + feed.take(3), "little")
            while left:
                left -= len(feed.take(min(left, SMALL_READ_BYTES)))
            continue
        data = start + feed.take(zstandard.frame_header_size(start) - len(start))
        header = zstandard.get_frame_parameters(data)
        if header.window_size > _ZSTD_WINDOW:
            raise WindowError(f"a window of {header.window_size >> 20:,} MB, more than {_ZSTD_WINDOW >> 20}")
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        last = 0
        while not last:
            try:
                for _ in range(_ZSTD_BLOCKS):
                    block = feed.take(3)
                    last, is_run, size = block[0] & 1, block[0] >> 1 & 3 == 1, int.from_bytes(block, "little") >> 3
                    data += block + feed.take(1 if is_run else size)
                    if last or len(data) >= SMALL_READ_BYTES:
                        break
                if last and header.has_checksum:
                    data += feed.take(4)
            except EOFError:
                yield frame.decompress(data)
                raise
            yield frame.decompress(data)
            data = b""
