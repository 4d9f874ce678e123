"""Views as tables for the eye, on a terminal and in Markdown. The only user of rich tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..results import Record, Result, Row, View

__all__ = ["Table", "markdown_text", "number_text", "table_text", "tabulate"]

_BAR_WIDTH = 32
_UNCUT_WIDTH = 100_000
_NUMBER = re.compile(r"[-–]?[0-9,]*")


@dataclass(slots=True)
class Table:
    """A table of texts."""

    title: str
    headings: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)  # by column, whether it is aligned to the right


def number_text(value: Any) -> str:
    """A number for the eye.

    >>> [number_text(x) for x in (72.0, 0.1234567, 1234567.0, 3, None)]
    ['72.00', '0.1235', '1,234,567', '3', '–']
    """
    if value is None:
        return "–"
    if not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        return f"{value:.4g}"
    return f"{value:,.0f}" if size >= 1e5 else f"{value:,.2f}" if size >= 1 or value == 0 else f"{value:.4f}"


def tabulate(view: View) -> Table:
    """A view as texts.

    Beside a value that is not over as many tasks as its row says stands how many it is over, in a column that is there
    only if it says anything.
    """
    table = Table(view.title)

    def add(heading: str, texts: Iterable[str], right: bool) -> None:
        table.headings.append(heading)
        table.right.append(right)
        for row, text in zip(table.rows, texts, strict=True):
            row.append(text)

    table.rows = [[] for _ in view.rows]
    for place, heading in enumerate(view.names):
        names = [row.names[place] for row in view.rows]
        add(heading, names, right=bool(place) and all(map(_NUMBER.fullmatch, names)))
    if any(row.bar is not None for row in view.rows):
        add("", map(_bar, view.rows), right=False)
    for place, heading in enumerate(view.columns):
        cells = [row.cells[place] for row in view.rows]
        add(heading, [number_text(cell.value if cell else None) for cell in cells], right=True)
        counts = [_count(cell, row) for cell, row in zip(cells, view.rows, strict=True)]
        if any(counts):
            add("tasks", counts, right=True)
    return table


def _count(cell: Record | None, row: Row) -> str:
    """How many tasks a value is over, where the row does not say so."""
    return "" if cell is None or cell.n_tasks in (None, row.n_tasks) else number_text(cell.n_tasks)


def _bar(row: Row) -> str:
    return "█" * max(1, round(_BAR_WIDTH * row.bar)) if row.bar else ""


def table_text(result: Result) -> str:
    """Tables for a terminal; through a pipe nothing is cut, however long."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    cut = sys.stdout.isatty()
    console = Console(highlight=False, emoji=False, markup=False, width=None if cut else _UNCUT_WIDTH)
    with console.capture() as capture:
        for number, table in enumerate(map(tabulate, result.views())):
            shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
            for heading, right in zip(table.headings, table.right, strict=True):
                shown.add_column(Text(heading), justify="right" if right else "left", no_wrap=not cut)
            for row in table.rows:
                shown.add_row(*map(Text, row))
            if number:
                console.print()
            if table.title:
                console.print(Text(table.title, style="bold"), soft_wrap=True)
            console.print(shown)
    return "\n".join(line.rstrip() for line in capture.get().split("\n"))


def markdown_text(result: Result) -> str:
    """Tables in Markdown."""
    lines = []
    for table in map(tabulate, result.views()):
        lines += [f"**{_escaped(table.title)}**", ""] if table.title else []
        lines.append("| " + " | ".join(map(_escaped, table.headings)) + " |")
        lines.append("|" + "|".join(" ---: " if right else " --- " for right in table.right) + "|")
        lines += ["| " + " | ".join(map(_escaped, row)) + " |" for row in table.rows]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
