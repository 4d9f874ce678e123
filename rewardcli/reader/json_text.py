"""The parser of JSON as Python writes it: NaN, Infinity, numbers of any size, half surrogate pairs."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["JsonError", "parse_json", "without_surrogates"]


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


def _any_int(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts: beyond every float too
        return float(digits)


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
    except json.JSONDecodeError as error:
        raise JsonError(error.msg, error.pos, error.lineno, error.colno) from error
    except RecursionError as error:
        raise JsonError("nested too deeply") from error
    except ValueError:
        value = json.loads(text, object_hook=_same, parse_int=_any_int)
    return without_surrogates(value) if "\\ud" in text or "\\uD" in text else value


def without_surrogates(value: Any) -> Any:
    """The value with lone surrogates spelled out as their escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return [without_surrogates(item) for item in value] if isinstance(value, list) else value
