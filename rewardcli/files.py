"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from .errors import RewardcliError

__all__ = ["written"]


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
        where = error.filename if error.filename and not str(error.filename).startswith("/dev") else paths[0]
        raise RewardcliError(
            f"{where}: cannot be written: {error.strerror or error}",
            "nothing was changed; free space or name another folder with --output-dir",
        ) from error
    finally:
        for made in temporary:
            made.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
