"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import RewardcliError
from ..results import Result
from . import FORMATS

__all__ = ["Destination", "atomic_files", "ensure_writable", "write_result"]

# A temporary name is a few characters longer than the name itself, which may be as long as may be.
_LONGEST_NAME = 100
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
    """Files to write: they get their names only when all are complete, all or none.

    Links are followed. On an error nothing is left behind, not even a folder that was made.

    Raises:
        RewardcliError: A file cannot be written; what stood there before is still whole.
    """
    targets = [path.resolve() if path.is_symlink() else path for path in paths]
    folders = [folder for target in targets for folder in _missing_folders(target.parent)]
    temporary: list[Path] = []
    replaced: list[tuple[Path, Path | None]] = []
    complete = False
    current = paths[0]
    try:
        with ExitStack() as stack:
            files: list[IO[bytes]] = []
            for current, target in zip(paths, targets, strict=True):  # noqa: B007 - the error names it
                _refuse_unwritable(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:_LONGEST_NAME]}.", dir=target.parent)
                temporary.append(Path(name))
                files.append(stack.enter_context(os.fdopen(descriptor, "wb", buffering=1 << 20)))
            yield files
            for current, file in zip(paths, files, strict=True):  # noqa: B007 - same
                file.flush()
                os.fsync(file.fileno())
        for current, new, target in zip(paths, list(temporary), targets, strict=True):  # noqa: B007 - same
            new.chmod(0o666 & ~_umask())
            before = _kept(target, new.with_name(f"{new.name}.before"))
            temporary += [before] if before else []
            new.replace(target)
            replaced.append((target, before))
        complete = True
    except OSError as error:
        raise RewardcliError(f"{current}: cannot be written: {error.strerror or error}", _HINT) from error
    finally:
        if not complete:
            _undo(replaced)
        for path in temporary:
            path.unlink(missing_ok=True)
        for folder in () if complete else folders:
            with suppress(OSError):
                folder.rmdir()


def _missing_folders(folder: Path) -> Iterator[Path]:
    """The folders that would have to be made, the innermost first."""
    while not folder.exists():
        yield folder
        folder = folder.parent


def _refuse_unwritable(target: Path) -> None:
    if target.is_dir():
        raise IsADirectoryError(None, "Is a directory")
    if target.exists() and not target.stat().st_mode & 0o222:
        raise PermissionError(None, "The file is read-only")


def _kept(target: Path, name: Path) -> Path | None:
    """A second name for a file that is about to be replaced; None if there is no such file."""
    if not target.exists():
        return None
    os.link(target, name)
    return name


def _undo(replaced: Iterable[tuple[Path, Path | None]]) -> None:
    for target, before in replaced:
        with suppress(OSError):
            if before is None:
                target.unlink()
            else:
                before.replace(target)


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
