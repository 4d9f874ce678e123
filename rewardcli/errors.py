"""The errors a user can cause: what is wrong, where, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "DataError",
    "FieldError",
    "LineError",
    "Location",
    "RewardcliError",
    "UsageError",
    "plural",
    "spell_settings",
]

_SETTING = re.compile(r"\{([a-z_]{2,})(?:=([^{}]*))?\}")


@dataclass(frozen=True, slots=True)
class Location:
    """Where in the data something is: a file, and its line and column counted from 1 (0 where there is none)."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.source, *(str(number) for number in (self.line, self.column) if number)])


def spell_settings(text: str, spell: Callable[[str, str | None], str]) -> str:
    """Replace the settings that a text names by what the reader of the text calls them.

    A setting stands in a text as `{task_key}`, or with a value as `{duplicates=first}`.

    Args:
        text: A message, a hint or a note.
        spell: Given a setting's name and its value (None where none is named), returns how it is written.

    >>> spell_settings("use {duplicates=first}", lambda name, value: f"{name}: {value}")
    'use duplicates: first'
    """
    return _SETTING.sub(lambda match: spell(match[1], match[2]), text)


def _spell_for_python(name: str, value: str | None) -> str:
    return name if value is None else f"{name}={value!r}"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """A count with its noun.

    >>> plural(1, "line"), plural(2000, "line"), plural(2, "entry", "entries")
    ('1 line', '2,000 lines', '2 entries')
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


class RewardcliError(Exception):
    """Something the user can put right.

    Args:
        what: What is wrong.
        hint: What to do next, one sentence; it may name settings, as `spell_settings` describes.
        location: Where in the data it is wrong.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str = "", location: Location | None = None) -> None:
        super().__init__(what, hint, location)
        self.what = what
        self.location = location
        self._hint = hint

    @property
    def message(self) -> str:
        """What is wrong, after where."""
        return f"{self.location}: {self.what}" if self.location else self.what

    @property
    def hint(self) -> str:
        """What to do next, with settings named as in Python."""
        return self.hint_for(_spell_for_python)

    def hint_for(self, spell: Callable[[str, str | None], str]) -> str:
        """What to do next, with settings as `spell` writes them."""
        return spell_settings(self._hint, spell)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self._hint else self.message


class UsageError(RewardcliError, ValueError):
    """The arguments alone show that the call is wrong."""

    exit_code = 2


class DataError(RewardcliError, ValueError):
    """The data cannot be read, or cannot carry the number that was asked for."""


class LineError(DataError):
    """A line of a rollouts file is not a rollout."""


class FieldError(DataError):
    """A field that was asked for is in no rollout."""
