"""Results to text. `FORMATS` says which formats there are: one function and one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..results import Result

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        text: Makes the text of a result.
        about: What it is for.
        suffix: The suffix of files of this format; "" if it is not written to files.
    """

    text: Callable[[Result], str]
    about: str
    suffix: str = ""


# What a format needs is loaded when it is used.


def _table(result: Result) -> str:
    from .table import table_text

    return table_text(result)


def _json(result: Result) -> str:
    from .text import json_text

    return json_text(result.json())


def _csv(result: Result) -> str:
    from .text import csv_text

    return csv_text(result.records)


def _markdown(result: Result) -> str:
    from .table import markdown_text

    return markdown_text(result)


FORMATS = {
    "table": Format(_table, "for the eye"),
    "json": Format(_json, "every number under its key", ".json"),
    "csv": Format(_csv, "one row per number", ".csv"),
    "md": Format(_markdown, "the table as Markdown", ".md"),
}
