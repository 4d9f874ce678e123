"""JSON as Python writes it, NaN, Infinity, numbers of any size and half surrogate pairs included; and what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

__all__ = ["UNENDED", "JsonError", "first_error", "parse_json", "without_surrogates"]

_MOST_DIGITS = 4000  # Python converts longer ones only if told to


class JsonError(ValueError):
    """A text is not JSON.

    Attributes:
        what: What is wrong.
        position: The character at which it is wrong; the byte, where the text is not UTF-8.
        line, column: The same place, counted from 1; 0 where there is none.
    """

    def __init__(self, what: str, position: int = 0, line: int = 0, column: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.position = position
        self.line = line
        self.column = column


def _same(value: dict[str, Any]) -> dict[str, Any]:
    return value


def _integer(digits: str) -> int:
    if len(digits) < _MOST_DIGITS:
        return int(digits)
    from decimal import Decimal

    return int(Decimal(digits))


def without_surrogates(value: Any) -> Any:
    """The value with lone surrogates, which no output encoding can hold, spelled out as their escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return [without_surrogates(item) for item in value] if isinstance(value, list) else value


def parse_json(data: bytes | bytearray | str) -> Any:
    """Parse a text, as Python's json module does.

    Lone surrogates, which no output encoding can hold, are spelled out as their escapes. Other threads get their turn
    at each object.

    Raises:
        JsonError: It is not JSON.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError("not UTF-8 text", error.start) from error
    try:
        # The parser by itself gives the interpreter away only at the end of the text; in Python code, as this hook is,
        # others may run.
        value = json.loads(text, object_hook=_same)
    except json.JSONDecodeError:
        position, what = first_error(text) or (0, "expected a value")
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        raise JsonError(what, position, line, column) from None
    except RecursionError as error:
        raise JsonError("nested too deeply") from error
    except ValueError:  # an integer of more digits than Python converts
        value = json.loads(text, object_hook=_same, parse_int=_integer)
    return without_surrogates(value) if "\\ud" in text or "\\uD" in text else value


# --- what is wrong --------------------------------------------------------------------------------------------------

_SPACE = re.compile(r"[ \t\n\r]*")
_TEXT = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*')
_WORD = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|-?Infinity|NaN|true|false|null")
UNENDED = "a text without its closing quote"


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
    raise _WrongError(position, UNENDED)
