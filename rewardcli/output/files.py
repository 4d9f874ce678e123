"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import RewardcliError
from ..results import Result
from . import FORMATS

__all__ = ["Destination", "atomic_files", "ensure_writable", "write_result"]

_HINT = "nothing was changed; free space or name another place for the output"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the files of a run go: `<folder>/<stem>_…`."""

    folder: Path
    stem: str

    def path(self, ending: str) -> Path:
        """The file whose name ends so."""
        return self.folder / f"{self.stem}{ending}"


def ensure_writable(folder: Path) -> None:
    """Try whether files can be written into a folder, or it can be made, before the work is done for nothing.

    Raises:
        RewardcliError: They cannot.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise RewardcliError(f"{folder}: cannot be written into: {error.strerror or error}", _HINT) from error


@contextmanager
def atomic_files(*paths: Path) -> Iterator[list[IO[bytes]]]:
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
        for complete, path in zip(temporary, paths, strict=True):
            complete.chmod(0o666 & ~_umask())
            complete.replace(path)
    except OSError as error:
        raise RewardcliError(f"{paths[0]}: cannot be written: {error.strerror or error}", _HINT) from error
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_result(result: Result, formats: Sequence[str], destination: Destination) -> list[Path]:
    """Write a result in some formats, all files or none.

    Returns:
        The files, `<stem>_<analysis><suffix>`.
    """
    names = list(dict.fromkeys(formats))
    paths = [destination.path(f"_{result.name}{FORMATS[name].suffix}") for name in names]
    with atomic_files(*paths) as files:
        for name, file in zip(names, files, strict=True):
            file.write(FORMATS[name].text(result).encode())
    return paths
