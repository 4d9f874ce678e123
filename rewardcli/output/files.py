"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from ..errors import RewardcliError

__all__ = ["make_sure_of_folder", "written"]

_HINT = "nothing was changed; free space or name another place for the output"


def make_sure_of_folder(folder: Path) -> None:
    """Tries whether files can be written into a folder, or it can be made, before the work is done for nothing.

    Raises:
        RewardcliError: They cannot.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise RewardcliError(f"{folder}: cannot be written into: {error.strerror or error}", _HINT) from error


@contextmanager
def written(*paths: Path) -> Iterator[list[IO[bytes]]]:
    """Files to write: they get their names only when all are complete; on an error nothing is left behind.

    Raises:
        RewardcliError: A file cannot be written; what stood there before is still whole.
    """
    temporary: list[Path] = []
    try:
        with ExitStack() as stack:
            files: list[IO[bytes]] = []
            for path in paths:
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
                temporary.append(Path(name))
                files.append(stack.enter_context(os.fdopen(descriptor, "wb", buffering=1 << 20)))
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for made, path in zip(temporary, paths, strict=True):
            made.chmod(0o666 & ~_umask())
            made.replace(path)
    except OSError as error:
        raise RewardcliError(f"{paths[0]}: cannot be written: {error.strerror or error}", _HINT) from error
    finally:
        for made in temporary:
            made.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
