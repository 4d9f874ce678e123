"""What goes to the console besides the result: notes and progress, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import spell_settings
from ..listener import Listener, Note

__all__ = ["Console", "printable"]


def printable(text: str) -> str:
    r"""The text without characters that would steer a terminal, or that no encoding can hold.

    >>> printable("a\x1b[2Jb")
    'a\ufffd[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


@dataclass
class Console(Listener):
    """Prints notes as they arise, and a progress bar on a terminal for work that takes over a second.

    Attributes:
        spell: How a note names a setting.
        quiet: Whether nothing is printed.
        bar: The progress bar, once there is one.
    """

    spell: Callable[[str, str | None], str] = field(kw_only=True)
    quiet: bool = False
    bar: Any = None
    _start: float = 0.0
    _done: int = 0
    _total: int | None = None

    def note(self, code: str, text: str) -> None:
        """See `Listener.note`."""
        note = Note(code, printable(spell_settings(text, self.spell)))
        if note not in self.notes:
            self.notes.append(note)
            if not self.quiet:
                print(f"note: {note.text}", file=sys.stderr)

    def begin(self, total: int | None) -> None:
        """See `Listener.begin`."""
        self._total, self._done, self._start = total, 0, time.monotonic()

    def advance(self, count: int) -> None:
        """See `Listener.advance`."""
        self._done += count
        if self.quiet:
            return
        if self.bar is None and sys.stderr.isatty() and time.monotonic() - self._start > 1.0:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self.bar = Progress(*columns, console=RichConsole(stderr=True), transient=True)
            self.bar.start()
            self.bar.add_task("reading", total=self._total)
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self._done)

    def end(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
