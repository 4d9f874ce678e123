"""Whoever is told of notes and of progress while work is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Listener", "Note"]


class Note(NamedTuple):
    """Something the user should know that is not the result.

    Attributes:
        code: A stable name of the kind of note (docs/notes.md).
        text: One sentence; it may name settings, as `errors.spell_settings` describes.
    """

    code: str
    text: str


@dataclass
class Listener:
    """Keeps the notes it is told, and does nothing about progress.

    Attributes:
        notes: What was told, in order, each once.
    """

    notes: list[Note] = field(default_factory=list)

    def note(self, code: str, text: str) -> None:
        """Take note of something the user should know."""
        if (note := Note(code, text)) not in self.notes:
            self.notes.append(note)

    def begin(self, total: int | None) -> None:
        """Reading begins; `total` bytes, if known."""

    def advance(self, count: int) -> None:
        """So many more bytes are read."""
