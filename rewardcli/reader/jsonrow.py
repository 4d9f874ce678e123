"""One row of JSON parsed whole, and in our own words what is wrong with a line that is not a row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from .json_text import UNENDED, JsonError, parse_json

__all__ = ["UNDECODABLE", "UNSET", "RowError", "load_row", "look_up"]

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


def _load_leniently(line: bytes) -> Any:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        cut_off = error.reason == "unexpected end of data"
        raise RowError(error.start + 1, "the line is cut off" if cut_off else "not UTF-8 text") from None
    try:
        return parse_json(text)
    except JsonError as error:
        if not error.line:
            raise RowError(1, error.what) from None
        position = min(error.position, len(text.rstrip()))
        # More text might have been right: the error is in the last word, or in a text that does not end.
        at_end = error.what == UNENDED or not re.search(r"[^\w.,+\\-]", text[position:].rstrip())
        if at_end and not line.endswith(b"\n") and text.lstrip().startswith("{"):
            raise RowError(len(text.rstrip()) + 1, "the line is cut off") from None
        raise RowError(position + 1, f"not JSON ({error.what})") from None


def look_up(row: Any, path: Sequence[str]) -> Any:
    """The value at a path of a dict, UNSET where there is none."""
    for key in path:
        row = row.get(key, UNSET) if isinstance(row, dict) else UNSET
    return row
