"""Views as tables for the eye, on a terminal and in Markdown. The only user of rich tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..results import Record, Result, Row, Uncertainty, View
from .console import printable

__all__ = ["Table", "markdown_text", "number_text", "table_text", "tabulate"]

_BAR_WIDTH = 32
_UNCUT_WIDTH = 100_000
_FEWEST_COLUMNS, _NARROW_NAME = 2, 8
_MARKDOWN = re.compile(r"[\\|<>&`]")
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
        add(heading, names, bool(place) and all(map(_NUMBER.fullmatch, names)))
    if any(row.bar is not None for row in view.rows):
        add("", map(_bar, view.rows), False)
    for place, heading in enumerate(view.columns):
        cells = [row.cells[place] for row in view.rows]
        add(heading, [number_text(cell.value if cell else None) for cell in cells], True)
        if place < view.intervals:
            _add_intervals(add, cells, wide=view.wide)
        counts = [_count(cell, row) for cell, row in zip(cells, view.rows, strict=True)]
        if any(counts):
            add("tasks", counts, True)
    return table


def _add_intervals(
    add: Callable[[str, Iterable[str], bool], None], cells: Sequence[Record | None], *, wide: bool
) -> None:
    """The intervals of values, and perhaps how far these would move if the same tasks ran again, if there are any."""
    uncertain = [cell.uncertainty if cell else None for cell in cells]
    known = [each for each in uncertain if each is not None and each.lower is not None]
    if known:
        texts = ["" if each is None or each.lower is None else _interval_text(each) for each in uncertain]
        add(f"{known[0].confidence * 100:g} % interval", texts, True)
    if wide and any(each is not None and each.se_again is not None for each in uncertain):
        texts = ["" if each is None or each.se_again is None else number_text(each.se_again) for each in uncertain]
        add("± run again", texts, True)


def _interval_text(known: Uncertainty) -> str:
    return f"[{number_text(known.lower)}, {number_text(known.upper)}]"


def _count(cell: Record | None, row: Row) -> str:
    """How many tasks a value is over, where the row does not say so."""
    return "" if cell is None or cell.n_tasks in (None, row.n_tasks) else number_text(cell.n_tasks)


def _bar(row: Row) -> str:
    return "█" * max(1, round(_BAR_WIDTH * row.bar)) if row.bar else ""


def table_text(result: Result) -> str:
    """Tables for a terminal, as wide as it is; through a pipe as wide as they are."""
    import shutil

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return "\n".join(_drawn(table, width) for table in map(tabulate, result.views()))


def _drawn(table: Table, width: int | None) -> str:
    """A table as text, no wider than that if that can be: columns go, from the right, before a number is cut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = len(table.headings)
    while width is not None and shown > _FEWEST_COLUMNS and _least_width(table, shown) > width:
        shown -= 1
    fits = width is not None and _least_width(table, shown) <= width
    console = Console(highlight=False, emoji=False, markup=False, width=width if fits else _UNCUT_WIDTH)
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for heading, right in list(zip(table.headings, table.right, strict=True))[:shown]:
        grid.add_column(
            Text(printable(heading)), justify="right" if right else "left", no_wrap=right or not fits, overflow="fold"
        )
    for row in table.rows:
        grid.add_row(*(Text(printable(text)) for text in row[:shown]))
    with console.capture() as capture:
        if table.title:
            console.print(Text(printable(table.title), style="bold"), soft_wrap=True)
        console.print(grid)
        if shown < len(table.headings):
            left_out = ", ".join(heading for heading in table.headings[shown:] if heading)
            console.print(Text(f"(too narrow for: {printable(left_out)})"), soft_wrap=True)
    return "\n".join(line.rstrip() for line in capture.get().split("\n"))


def _least_width(table: Table, shown: int) -> int:
    """How wide the first columns are where only names may be wrapped."""
    widths = [
        max(map(len, [heading, *(row[place] for row in table.rows)])) if right else min(len(heading), _NARROW_NAME)
        for place, (heading, right) in enumerate(zip(table.headings[:shown], table.right, strict=False))
    ]
    return sum(widths) + 3 * (len(widths) - 1)


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
    """The text without what Markdown would take for more than text."""
    return printable(_MARKDOWN.sub(r"\\\g<0>", re.sub(r"\s", " ", text)))
