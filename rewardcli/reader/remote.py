"""Files behind URLs, through fsspec."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from ..errors import DataError

__all__ = ["is_remote", "open_remote", "reaching", "remote_file_system"]


def is_remote(path: str) -> bool:
    """Whether the path is a URL."""
    return "://" in path


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turn what the package that serves a URL raises, whatever that is, into an error with the URL."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{url}: no such file", "check the address") from error
    except Exception as error:  # of botocore, aiohttp, …: not every one is an OSError
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{url}: {reason}", "check the address, the credentials and the network") from error


def remote_file_system(url: str) -> tuple[Any, str]:
    """The file system that serves a URL, and what the file is called there.

    Raises:
        DataError: There is none.
    """
    try:
        import fsspec
    except ImportError as error:
        raise DataError(f"{url}: remote paths need fsspec", 'pip install "rewardcli[remote]"') from error
    try:
        file_system, inner = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise DataError(f"{url}: {error}", "install the package that serves this protocol") from error
    except Exception as error:
        raise DataError(f"{url}: {error}", "check the address and the credentials") from error
    return file_system, inner


def open_remote(url: str, buffer_size: int) -> tuple[IO[bytes], bool]:
    """Open a remote file; says too whether its size is known, so that it can be read from any byte on.

    A web server that sends no size sends no ranges either.

    Raises:
        DataError: It cannot be opened.
    """
    file_system, inner = remote_file_system(url)
    with reaching(url):
        file = file_system.open(inner, "rb")
    return io.BufferedReader(file, buffer_size), getattr(file, "size", 0) is not None
