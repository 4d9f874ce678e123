"""Which files the arguments name, and what names say about files."""

from __future__ import annotations

import glob
import stat
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from .remote import is_remote, reaching, remote_file_system

__all__ = ["STDIN", "beside", "display_name", "expand", "is_parquet", "is_stream", "output_stem", "sibling"]

STDIN = "-"

DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
# Written beside rollouts by NeMo Gym and by this tool: never shards of them.
NOT_ROLLOUTS = ("materialized_inputs", "_reward_profiling")


def display_name(path: str) -> str:
    """The file as messages name it."""
    return "<stdin>" if path == STDIN else path


def is_parquet(path: str) -> bool:
    """Whether the path names a Parquet file rather than rows of JSON."""
    return path.endswith(".parquet")


def is_stream(path: str) -> bool:
    """Whether what is read of the path is gone: standard input, pipes and devices."""
    if path == STDIN:
        return True
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


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


def beside(sources: Sequence[str]) -> tuple[Path, str]:
    """Where what is written of sources belongs, and how its name begins.

    It belongs beside a file that is read alone; for anything else the name is that of rollouts, in the working
    directory.
    """
    alone = sources[0] if len(sources) == 1 else STDIN
    if is_stream(alone) or Path(alone).is_dir():
        return Path(), "rollouts"
    return Path() if is_remote(alone) else Path(alone).parent, output_stem(alone)


def sibling(path: str, suffix: str) -> str | None:
    """The file `<stem><suffix>` beside the path, compressed or not, if there is one."""
    if path == STDIN or is_remote(path):
        return None
    stem = Path(path).parent / output_stem(path)
    candidates = [Path(f"{stem}{suffix}{compressed}") for compressed in ("", *COMPRESSED_SUFFIXES)]
    return next((str(candidate) for candidate in candidates if candidate.is_file()), None)


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
    files: list[str] = []
    for path in paths:
        if path == STDIN:
            files.append(path)
        elif is_remote(path):
            files += _expand_remote(path)
        elif Path(path).is_dir():
            shards = [str(file) for file in sorted(Path(path).iterdir()) if file.is_file() and _is_shard(file.name)]
            files += shards or _missing(
                path, "a directory without rollout files", "name a file, or a directory of them"
            )
        elif Path(path).exists():
            files.append(path)
        elif glob.has_magic(path):
            matches = [name for name in sorted(glob.glob(path, recursive=True)) if Path(name).is_file()]  # noqa: PTH207
            files += matches or _missing(
                path, "no file matches", "check the pattern, and quote it if the shell expands it"
            )
        else:
            _missing(path, "no such file", "check the path; - reads standard input")
    if files.count(STDIN) > 1:
        raise DataError("standard input can be read only once", "name - once")
    return files


def _expand_remote(url: str) -> list[str]:
    """The files of a URL; a folder is known by the slash at its end, since asking costs, and may download a page."""
    folder = url.endswith("/")
    web = url.startswith(("http://", "https://"))  # where ? begins the query
    if not folder and not glob.has_magic(url.replace("?", "") if web else url):
        return [url]
    file_system, inner = remote_file_system(url)
    with reaching(url):
        names = sorted(file_system.glob(f"{inner.rstrip('/')}/*" if folder else inner))
        matches = [file_system.unstrip_protocol(name) for name in names]
    if folder:
        matches = [match for match in matches if _is_shard(match.rsplit("/", 1)[-1])]
    return matches or _missing(url, "no file matches", "check the pattern")


def _missing(path: str, what: str, hint: str) -> list[str]:
    raise DataError(f"{path}: {what}", hint)
