"""One row of JSON parsed whole, and in our own words what is wrong with a line that is not a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

__all__ = ["UNDECODABLE", "UNSET", "RowError", "load_row", "look_up", "without_surrogates"]

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class RowError(ValueError):
    """A line is not a row.

    Attributes:
        column: The character at which that shows, counted from 1.
        what: What is wrong there.
    """

    def __init__(self, column: int, what: str) -> None:
        super().__init__(column, what)
        self.column = column
        self.what = what

    def __str__(self) -> str:
        return f"{self.column}: {self.what}"


def load_row(line: bytes) -> dict[str, Any]:
    """Parse a line whole, as Python's json module does: NaN, Infinity and numbers of any size are accepted.

    Raises:
        RowError: The line is not a JSON object.
    """
    try:
        row = msgspec.json.decode(line)
    except UNDECODABLE:
        row = _load_leniently(line)
    if not isinstance(row, dict):
        raise RowError(1, f"expected an object, found {_TYPE_NAMES.get(type(row), 'a number')}")
    return row


_TYPE_NAMES = {list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
_MOST_DIGITS = 4000  # Python converts longer ones only if told to


def _load_leniently(line: bytes) -> Any:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        cut_off = error.reason == "unexpected end of data"
        raise RowError(error.start + 1, "the line is cut off" if cut_off else "not UTF-8 text") from None
    try:
        return without_surrogates(json.loads(text, parse_int=_integer))
    except RecursionError:
        raise RowError(1, "nested too deeply") from None
    except json.JSONDecodeError:
        position, what = first_error(text) or (0, "expected a value")
        position = min(position, len(text.rstrip()))
        # More text might have been right: the error is in the last word, or in a text that does not end.
        at_end = what == _UNENDED or not re.search(r"[^\w.,+\\-]", text[position:].rstrip())
        if at_end and not line.endswith(b"\n") and text.lstrip().startswith("{"):
            raise RowError(len(text.rstrip()) + 1, "the line is cut off") from None
        raise RowError(position + 1, f"not JSON ({what})") from None


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < _MOST_DIGITS else int(Decimal(digits))


def without_surrogates(value: Any) -> Any:
    """The value with lone surrogates, which no output encoding can hold, spelled out as their escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return [without_surrogates(item) for item in value] if isinstance(value, list) else value


def look_up(row: Any, path: Sequence[str]) -> Any:
    """The value at a path of a dict, UNSET where there is none."""
    for key in path:
        row = row.get(key, UNSET) if isinstance(row, dict) else UNSET
    return row


# --- what is wrong --------------------------------------------------------------------------------------------------

_SPACE = re.compile(r"[ \t\n\r]*")
_TEXT = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*')
_WORD = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|-?Infinity|NaN|true|false|null")
_UNENDED = "a text without its closing quote"


def first_error(text: str) -> tuple[int, str] | None:
    """Find where a text stops being JSON, and what is wrong there; None if it is JSON.

    The words are ours, and the same with every Python: those of its json module change.

    >>> first_error('{"a": 1,}')
    (8, 'expected a name in double quotes')
    """
    closings: list[str] = []  # of the objects and lists that are open
    step: _Step | None = _value
    position = 0
    try:
        while step is not None:
            position, step = step(text, _after_space(text, position), closings)
    except _WrongError as wrong:
        return wrong.args[0], wrong.args[1]
    return None


class _WrongError(Exception):
    """The text stops being JSON there, for this reason."""


# A step over what begins at a position: where it ends, and what comes next, None for nothing.
_Step = Callable[[str, int, list[str]], tuple[int, Any]]


def _value(text: str, position: int, closings: list[str]) -> tuple[int, _Step]:
    char = text[position : position + 1]
    if char == '"':
        return _end_of_text(text, position), _end
    if char == "{":
        closings.append("}")
        return position + 1, _name_or_end
    if char == "[":
        closings.append("]")
        return position + 1, _value_or_end
    if (word := _WORD.match(text, position)) is None:
        raise _WrongError(position, "expected a value")
    return word.end(), _end


def _name(text: str, position: int, _: list[str]) -> tuple[int, _Step]:
    if text[position : position + 1] != '"':
        raise _WrongError(position, "expected a name in double quotes")
    position = _after_space(text, _end_of_text(text, position))
    if text[position : position + 1] != ":":
        raise _WrongError(position, "expected ':'")
    return position + 1, _value


def _name_or_end(text: str, position: int, closings: list[str]) -> tuple[int, _Step | None]:
    return (_end if text[position : position + 1] == "}" else _name)(text, position, closings)


def _value_or_end(text: str, position: int, closings: list[str]) -> tuple[int, _Step | None]:
    return (_end if text[position : position + 1] == "]" else _value)(text, position, closings)


def _end(text: str, position: int, closings: list[str]) -> tuple[int, _Step | None]:
    char = text[position : position + 1]
    if not closings:
        if char:
            raise _WrongError(position, "text after the end of the row")
        return position, None
    if char == closings[-1]:
        closings.pop()
        return position + 1, _end
    if char != ",":
        raise _WrongError(position, f"expected ',' or '{closings[-1]}'")
    return position + 1, _name if closings[-1] == "}" else _value


def _after_space(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr]


def _end_of_text(text: str, position: int) -> int:
    """Where the text in quotes ends that begins there."""
    end = _TEXT.match(text, position).end()  # type: ignore[union-attr]
    char = text[end : end + 1]
    if char == '"':
        return end + 1
    if char == "\\" and len(text) > end + 1:
        raise _WrongError(end, "an escape that JSON does not have")
    if char and char != "\\" and text[end:].strip():
        raise _WrongError(end, "a control character in a text")
    raise _WrongError(position, _UNENDED)
