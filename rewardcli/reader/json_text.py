"""The parser of JSON as Python writes it: NaN, Infinity, numbers of any size, half surrogate pairs."""

from __future__ import annotations

import json
from typing import Any

from .jsonrow import first_error, without_surrogates

__all__ = ["JsonError", "parse_json"]


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
    except json.JSONDecodeError:
        position, what = first_error(text) or (0, "expected a value")
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        raise JsonError(what, position, line, column) from None
    except RecursionError as error:
        raise JsonError("nested too deeply") from error
    except ValueError:
        value = json.loads(text, object_hook=_same, parse_int=_any_int)
    return without_surrogates(value) if "\\ud" in text or "\\uD" in text else value
