"""Bytes: which files, which part of each, decompressed, as batches of whole lines."""

from __future__ import annotations

import bz2
import glob
import io
import lzma
import os
import queue
import shutil
import stat
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import DataError

__all__ = [
    "BATCH_BYTES",
    "STDIN",
    "Part",
    "ahead",
    "expand",
    "head_of",
    "is_remote",
    "is_table_file",
    "kept_for_again",
    "lines_before",
    "open_file",
    "output_stem",
    "parts_of",
    "read_batches",
    "read_once",
    "seekable",
    "sibling",
]

STDIN = "-"
# Lines come in batches that fit a core's own cache, where they are still when they are decoded.
BATCH_BYTES = 1 << 20
FIRST_BATCH_BYTES = 256 << 10  # the first batch may have to be parsed whole, to learn the fields
HEAD_BYTES = READ_BYTES = 1 << 20
SMALL_READ_BYTES = 64 << 10
# A part is large enough that its own costs vanish, and small enough that the last one keeps no core waiting.
SMALLEST_PART, LARGEST_PART = 8 << 20, 256 << 20

DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
# Written beside rollouts by NeMo Gym and by this tool: never shards of them.
NOT_ROLLOUTS = ("materialized_inputs", "_reward_profiling")


@dataclass(frozen=True, slots=True)
class Part:
    """What is read in one go: bytes of a file from `start` to `end`, both at line ends; or all of it (`end` None)."""

    path: str
    start: int = 0
    end: int | None = None
    compression: str | None = None
    table: bool = False  # a Parquet table of rollouts rather than rows of JSON

    @property
    def name(self) -> str:
        """The file as messages name it."""
        return "<stdin>" if self.path == STDIN else self.path

    @property
    def size(self) -> int:
        """How many bytes it has; 0 where only reading will tell."""
        return 0 if self.end is None else self.end - self.start


# --- names ----------------------------------------------------------------------------------------------------------


def is_table_file(path: str) -> bool:
    """Whether the path names a Parquet table rather than rows of JSON."""
    return path.endswith(".parquet")


def is_remote(path: str) -> bool:
    """Whether the path is a URL."""
    return "://" in path


def _stripped(name: str) -> str:
    while name.endswith(DATA_SUFFIXES + COMPRESSED_SUFFIXES):
        name = name[: name.rindex(".")]
    return name


def output_stem(path: str) -> str:
    """The file's name without the suffixes of data and compression.

    >>> output_stem("runs/run-1.5.jsonl.gz")
    'run-1.5'
    """
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return _stripped(name) or name


def _is_shard(name: str) -> bool:
    plain = name.removesuffix(next((s for s in COMPRESSED_SUFFIXES if name.endswith(s)), ""))
    return (
        plain.endswith((".jsonl", ".ndjson", ".parquet"))
        and not name.startswith((".", "_"))
        and not _stripped(name).endswith(NOT_ROLLOUTS)
    )


def expand(paths: list[str]) -> list[str]:
    """The files that the arguments name: paths, globs, directories of shards, URLs, and - for standard input.

    Raises:
        DataError: A path is missing, a glob matches nothing, or a directory holds no shard.
    """
    found: list[str] = []
    for path in paths:
        if path == STDIN:
            found.append(path)
        elif is_remote(path):
            found += _expand_remote(path)
        elif Path(path).is_dir():
            shards = [str(file) for file in sorted(Path(path).iterdir()) if file.is_file() and _is_shard(file.name)]
            found += shards or _missing(
                path, "a directory without rollout files", "name a file, or a directory of them"
            )
        elif Path(path).exists():
            found.append(path)
        elif glob.has_magic(path):
            matches = [name for name in sorted(glob.glob(path, recursive=True)) if Path(name).is_file()]  # noqa: PTH207
            found += matches or _missing(
                path, "no file matches", "check the pattern, and quote it if the shell expands it"
            )
        else:
            _missing(path, "no such file", "check the path; - reads standard input")
    if found.count(STDIN) > 1:
        raise DataError("standard input can be read only once", "name - once")
    return found


def _expand_remote(url: str) -> list[str]:
    """The files of a URL; a folder is told by the slash at its end, since asking costs, and may download a page."""
    folder = url.endswith("/")
    web = url.startswith(("http://", "https://"))  # where ? begins the query
    if not folder and not glob.has_magic(url.replace("?", "") if web else url):
        return [url]
    filesystem, inner = _remote(url)
    with _reaching(url):
        names = sorted(filesystem.glob(f"{inner.rstrip('/')}/*" if folder else inner))
        matches = [filesystem.unstrip_protocol(name) for name in names]
    if folder:
        matches = [match for match in matches if _is_shard(match.rsplit("/", 1)[-1])]
    return matches or _missing(url, "no file matches", "check the pattern")


def _missing(path: str, what: str, hint: str) -> list[str]:
    raise DataError(f"{path}: {what}", hint)


# --- opening --------------------------------------------------------------------------------------------------------


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Turns what the package that serves a URL raises, whatever that is, into an error with the URL."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{url}: no such file", "check the address") from error
    except Exception as error:  # of botocore, aiohttp, …: not every one is an OSError
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{url}: {reason}", "check the address, the credentials and the network") from error


def _remote(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise DataError(f"{url}: remote paths need fsspec", 'pip install "rewardcli[remote]"') from error
    try:
        filesystem, inner = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise DataError(f"{url}: {error}", "install the package that serves this protocol") from error
    except Exception as error:
        raise DataError(f"{url}: {error}", "check the address and the credentials") from error
    return filesystem, inner


class _RemoteFile(io.RawIOBase):
    """A remote file under Python's own buffer: the files of fsspec cannot read just some lines."""

    def __init__(self, url: str) -> None:
        self._url = url
        filesystem, inner = _remote(url)
        with _reaching(url):
            self._file = filesystem.open(inner, "rb")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return getattr(self._file, "size", 0) is not None  # a web server that sends no size sends no ranges either

    def readinto(self, buffer: Any) -> int:
        with _reaching(self._url):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _reaching(self._url):
            self._file.seek(offset, whence)
            return self.tell()

    def tell(self) -> int:
        return self._file.tell()  # type: ignore[no-any-return]

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def open_file(path: str) -> IO[bytes]:
    """The file's bytes as they are stored.

    Raises:
        DataError: The file cannot be opened.
    """
    try:
        if path == STDIN:
            return sys.stdin.buffer
        if is_remote(path):
            return io.BufferedReader(_RemoteFile(path), READ_BYTES)
        return Path(path).open("rb", buffering=READ_BYTES)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file", "check the path; - reads standard input") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}", "check the path and its permissions") from error


def _compression_of(head: bytes) -> str | None:
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


def _decompressor(compression: str) -> Any:
    """What decompresses one member or frame; all of them have `decompress`, `eof` and `unused_data`."""
    if compression == "gzip":
        from isal import isal_zlib

        return isal_zlib.decompressobj(wbits=31)
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj()
    return bz2.BZ2Decompressor() if compression == "bzip2" else lzma.LZMADecompressor()


def _corruptions() -> tuple[type[BaseException], ...]:
    """What the decompressors raise."""
    from isal import isal_zlib
    from zstandard import ZstdError

    return (EOFError, OSError, zlib.error, isal_zlib.error, lzma.LZMAError, ZstdError)  # type: ignore[return-value]


def _decompressed(blocks: Iterable[bytes], compression: str) -> Iterator[bytes]:
    """The decompressed blocks; members or frames that follow each other are one stream.

    Small blocks in: where the data is damaged, only what the block before it gave is known to be right.
    """
    member = None
    for block in blocks:
        data = block
        while data:
            if member is None:
                data = data.lstrip(b"\0")  # padding between members
                if not data:
                    break
                member = _decompressor(compression)
            if made := member.decompress(data):
                yield made
            data, member = (member.unused_data, None) if member.eof else (b"", member)
    if member is not None:
        raise EOFError("the stream is cut off")


def _blocks(stream: IO[bytes], head: bytes = b"", size: int = READ_BYTES) -> Iterator[bytes]:
    """The stream in blocks, beginning with what was already read of it."""
    for begin in range(0, len(head), size):
        yield head[begin : begin + size]
    while block := stream.read(size):
        yield block


def ahead(blocks: Iterator[bytes]) -> Generator[bytes]:
    """The same blocks, made in a thread of its own a few blocks ahead, while those before them are used."""
    made: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=4)
    stopped = threading.Event()

    def put(item: bytes | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                made.put(item, timeout=0.1)
                break
            except queue.Full:
                continue

    def work() -> None:
        try:
            for block in blocks:
                put(block)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the blocks are used
            put(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        worker.join()


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


# --- parts ----------------------------------------------------------------------------------------------------------

# Standard input and pipes: what can be read only once is kept open, with what was already read of it.
_begun: dict[str, tuple[IO[bytes], bytes]] = {}


def read_once(path: str) -> bool:
    """Whether what is read of the path is gone: standard input, pipes and devices."""
    if path == STDIN:
        return True
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _first_bytes(path: str, size: int) -> bytes:
    try:
        if not read_once(path):
            with open_file(path) as stream:
                return stream.read(size)
        stream, head = _begun.get(path) or (open_file(path), b"")
        if len(head) < size:
            head += stream.read(size - len(head))
        _begun[path] = stream, head
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}", "check the path") from error
    return head


def head_of(path: str, size: int = HEAD_BYTES) -> tuple[str | None, bytes]:
    """How the file is compressed, and its first bytes, decompressed; those of a pipe are kept for later."""
    raw = _first_bytes(path, size)
    compression = _compression_of(raw)
    if compression is None:
        return None, raw
    head = b""
    try:
        for block in _decompressed(_blocks(io.BytesIO(raw), size=SMALL_READ_BYTES), compression):
            head += block
            if len(head) >= size:
                break
    except _corruptions():
        pass  # the head ends in the middle of the compressed data; what came before counts
    return compression, head


def parts_of(paths: list[str], jobs: int) -> list[Part]:
    """What to read, in order: plain files cut at line ends into parts for the jobs, anything else whole."""
    plain: list[tuple[str, int]] = []
    parts: dict[str, list[Part]] = {}
    for path in paths:
        if is_table_file(path):
            parts[path] = [Part(path, table=True)]
            continue
        if read_once(path):
            parts[path] = [Part(path, compression=head_of(path, 16)[0])]
            continue
        with open_file(path) as stream:  # once: planning for many remote files takes as long as opening them
            compression = _compression_of(stream.read(16))
            if compression or not stream.seekable():
                parts[path] = [Part(path, compression=compression)]
            else:
                plain.append((path, stream.seek(0, os.SEEK_END)))
    total = sum(size for _, size in plain)
    # Each part learns its fields anew, so that one reader takes a file as a whole.
    step = min(max(total // (jobs * 4), SMALLEST_PART), LARGEST_PART) if jobs > 1 else total
    for path, size in plain:
        cuts = [0]
        if size > step:
            with open_file(path) as stream:
                while cuts[-1] + step < size:
                    stream.seek(cuts[-1] + step)
                    stream.readline()
                    cuts.append(min(stream.tell(), size))
        cuts += [size] if cuts[-1] < size or size == 0 else []
        parts[path] = [Part(path, start, end) for start, end in zip(cuts, cuts[1:], strict=False)]
    return [part for path in paths for part in parts[path]]


def read_batches(
    part: Part, skip_errors: bool = False, on_skip: Callable[[str], None] | None = None
) -> Iterator[list[bytes]]:
    """The part's lines in batches of a few megabytes, each line with its line end.

    Raises:
        DataError: The stream is corrupt (unless `skip_errors`), or the file shrank while it was read.
    """
    if part.end is not None:
        yield from _read_range(part, part.end)
        return
    position = 0
    try:
        with closing(_stream(part)) as blocks:
            for lines in _lines(blocks):
                position += sum(map(len, lines))
                yield lines
    except _corruptions() as error:
        damage = f"corrupt or cut off after {position} decompressed bytes ({error})"
        reason = f"{part.name}: the {part.compression} data is {damage}"
        if not skip_errors or part.compression is None:
            raise DataError(reason, "compress it anew, or keep what came before with --on-error skip") from error
        if on_skip:
            on_skip(reason)


def _stream(part: Part) -> Generator[bytes]:
    raw, head = _begun.pop(part.path) if part.path in _begun else (open_file(part.path), b"")
    with nullcontext() if part.path == STDIN else raw:
        if part.compression is None:
            yield from _blocks(raw, head)
        else:
            with closing(ahead(_decompressed(_blocks(raw, head, SMALL_READ_BYTES), part.compression))) as blocks:
                yield from blocks


def _read_range(part: Part, end: int) -> Iterator[list[bytes]]:
    with open_file(part.path) as stream:
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
    with open_file(part.path) as stream:
        while left and (block := stream.read(min(BATCH_BYTES, left))):
            count += block.count(b"\n")
            left -= len(block)
    return count


def seekable(path: str) -> IO[bytes]:
    """A local file of the decompressed bytes, to be read at any place; a temporary one of what is compressed or remote.

    Raises:
        DataError: It is a pipe.
    """
    if read_once(path):
        name = Part(path).name
        raise DataError(f"{name}: is read twice, which a pipe cannot be", "save it to a file, and name that")
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


@contextmanager
def kept_for_again(paths: list[str], wanted: bool) -> Iterator[list[str]]:
    """The paths; if they are to be read again, with a temporary file in place of standard input or a pipe."""
    with ExitStack() as stack:
        kept = list(paths)
        for place, path in enumerate(paths):
            if wanted and read_once(path):
                copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="rewardcli-"))
                shutil.copyfileobj(open_file(path), copy, READ_BYTES)
                copy.flush()
                kept[place] = copy.name
        yield kept


def sibling(path: str, suffix: str) -> str | None:
    """The file `<stem><suffix>` beside the path, compressed or not, if there is one."""
    if path == STDIN or is_remote(path):
        return None
    stem = Path(path).parent / output_stem(path)
    candidates = [Path(f"{stem}{suffix}{packed}") for packed in ("", *COMPRESSED_SUFFIXES)]
    return next((str(candidate) for candidate in candidates if candidate.is_file()), None)
