"""What goes to the console besides the result: notes and progress, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from ..errors import spell_settings
from ..listener import Listener

__all__ = ["Console"]


class Console(Listener):
    """Prints notes as they arise, and a progress bar on a terminal for work that takes over a second.

    Args:
        spell: How a note names a setting.
        quiet: Whether nothing is printed.
    """

    def __init__(self, spell: Callable[[str, str | None], str], *, quiet: bool = False) -> None:
        super().__init__()
        self._spell = spell
        self._quiet = quiet
        self._start = time.monotonic()
        self._done = 0
        self._total: int | None = None
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def note(self, code: str, text: str) -> None:
        """See `Listener.note`."""
        super().note(code, spell_settings(text, self._spell))
        if not self._quiet:
            print(f"note: {self.notes[-1].text}", file=sys.stderr)

    def begin(self, total: int | None) -> None:
        """See `Listener.begin`."""
        self._total, self._done, self._start = total, 0, time.monotonic()

    def advance(self, count: int) -> None:
        """See `Listener.advance`."""
        self._done += count
        if self._quiet:
            return
        if self._bar is None and sys.stderr.isatty() and time.monotonic() - self._start > 1.0:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=RichConsole(stderr=True), transient=True)
            self._bar.start()
            self._bar.add_task("reading", total=self._total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
