"""Results to text: tables, JSON, CSV, Markdown, on standard output and in files. The only user of rich."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

from ..reader.read import Progress
from ..results import CSV_FIELDS, PER_SAMPLE, Record, csv_rows, record_of_key
from .files import written

if TYPE_CHECKING:
    from ..analyses.profile import Profile

__all__ = [
    "Format",
    "ProgressBar",
    "Report",
    "Table",
    "aggregate_records",
    "aggregate_tables",
    "highest_k_table",
    "note",
    "passk_table",
    "profile_records",
    "profile_tables",
    "show",
    "write_report",
]

Format = Literal["table", "json", "csv", "md"]
_FEWEST_BARS, _BAR_WIDTH = 1, 32
_UNCUT_WIDTH = 100_000


@dataclass(slots=True)
class Table:
    """A table to be shown: text, numbers right-aligned."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    left: int = 1  # how many columns from the left are text


@dataclass(frozen=True, slots=True)
class Report:
    """A result in every form; each is made only when it is wanted."""

    tables: Callable[[], Iterable[Table]]
    json: Callable[[], Any]
    records: Callable[[], Iterable[Record]]


# --- forms ----------------------------------------------------------------------------------------------------------


def _json_text(value: Any) -> str:
    import orjson

    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n"
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv_text(records: Iterable[Record]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    writer.writerows(csv_rows(records))
    return buffer.getvalue()


def _markdown_text(tables: Iterable[Table]) -> str:
    lines = []
    for table in tables:
        lines += [f"**{_escaped(table.title)}**", ""] if table.title else []
        lines.append("| " + " | ".join(map(_escaped, table.columns)) + " |")
        lines.append("|" + "|".join(" --- " if i < table.left else " ---: " for i in range(len(table.columns))) + "|")
        lines += ["| " + " | ".join(map(_escaped, row)) + " |" for row in table.rows]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _show_tables(tables: Iterable[Table]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    cut = sys.stdout.isatty()  # through a pipe nothing is cut, however long
    console = Console(highlight=False, emoji=False, markup=False, width=None if cut else _UNCUT_WIDTH)
    for number, table in enumerate(tables):
        shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
        for index, column in enumerate(table.columns):
            shown.add_column(Text(column), justify="left" if index < table.left else "right", no_wrap=not cut)
        for row in table.rows:
            shown.add_row(*map(Text, row))
        with console.capture() as capture:
            if number:
                console.print()
            if table.title:
                console.print(Text(table.title, style="bold"), soft_wrap=True)
            console.print(shown)
        sys.stdout.write("\n".join(line.rstrip() for line in capture.get().split("\n")))


def show(report: Report, form: Format) -> None:
    """Writes the report to standard output."""
    match form:
        case "table":
            _show_tables(report.tables())
        case "json":
            sys.stdout.write(_json_text(report.json()))
        case "csv":
            sys.stdout.write(_csv_text(report.records()))
        case "md":
            sys.stdout.write(_markdown_text(report.tables()))
        case _:
            assert_never(form)


def write_report(report: Report, forms: Sequence[str], folder: Path, name: str) -> list[Path]:
    """Writes the report to `<name>.json` or `<name>.csv` in a folder."""
    paths = [folder / f"{name}.{form}" for form in dict.fromkeys(forms)]
    with written(*paths) as files:
        for path, file in zip(paths, files, strict=True):
            text = _json_text(report.json()) if path.suffix == ".json" else _csv_text(report.records())
            file.write(text.encode())
    return paths


def note(text: str) -> None:
    """Tells the user something that is not the result."""
    print(f"note: {text}", file=sys.stderr)


class ProgressBar(Progress):
    """A progress bar on standard error, on a terminal, for work that takes over a second."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._done = 0
        self._total: int | None = None
        self._bar: Any = None

    def begin(self, total: int | None) -> None:
        """See `Progress.begin`."""
        self._total, self._done, self._began = total, 0, time.monotonic()

    def advance(self, count: int) -> None:
        """See `Progress.advance`."""
        self._done += count
        if self._bar is None and sys.stderr.isatty() and time.monotonic() - self._began > 1.0:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
            from rich.progress import Progress as RichProgress

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._bar = RichProgress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._bar.add_task("reading", total=self._total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)

    def end(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


# --- tables ---------------------------------------------------------------------------------------------------------


def number_text(value: Any) -> str:
    """A number for the eye.

    >>> [number_text(x) for x in (72.0, 0.1234567, 1234567.0, 3, None)]
    ['72.00', '0.1235', '1,234,567', '3', '–']
    """
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        return f"{value:.4g}"
    return f"{value:,.0f}" if size >= 1e5 else f"{value:,.2f}" if size >= 1 or value == 0 else f"{value:.4f}"


def _shown_ks(ks: Iterable[int], chosen: Sequence[int] | None) -> set[int]:
    """The chosen k, else the powers of two and the highest."""
    ks = set(ks)
    return ks & set(chosen) if chosen else {k for k in ks if k & (k - 1) == 0 or k == max(ks)}


_SPREADS = {"std_dev_across_runs": "std across runs", "avg_sample_std_dev": "std within tasks"}


def passk_table(records: Sequence[Record], title: str, chosen: Sequence[int] | None) -> Table:
    """One row for each subset, score and k, one column for each metric."""
    metrics = [
        metric for metric in ("pass@k", "pass@1[avg-of-k]", "majority@k") if any(r.metric == metric for r in records)
    ]
    spreads = [stat for stat in _SPREADS if any(r.stat == stat for r in records)]
    cells: dict[tuple[str, str, int], dict[str, Record]] = {}
    for record in records:
        if record.metric in metrics and record.k is not None:
            cells.setdefault((record.subset, record.score, record.k), {})[record.stat or record.metric] = record
    highest: dict[str, list[int]] = {}
    for subset, _, k in cells:
        highest.setdefault(subset, []).append(k)
    shown = {subset: _shown_ks(ks, chosen) for subset, ks in highest.items()}
    subsets = list(dict.fromkeys(subset for subset, _, _ in cells))
    scores = list(dict.fromkeys(score for _, score, _ in cells))
    heads = (["subset"] if any(subsets) else []) + ["score", "k"]
    table = Table(title, [*heads, *metrics, *(_SPREADS[stat] for stat in spreads), "tasks"], left=len(heads) - 1)
    for subset in subsets:
        for score in scores:
            for k in sorted(shown[subset]):
                row = cells.get((subset, score, k))
                if row:
                    values = [number_text(row[name].value) if name in row else "–" for name in (*metrics, *spreads)]
                    # pass@k has the fewest tasks: those with k rollouts at least.
                    tasks = row["pass@k"].n_tasks if "pass@k" in row else 0
                    table.rows.append(
                        [*([subset] if len(heads) > 2 else []), score, str(k), *values, number_text(tasks)]
                    )
    return table


def highest_k_table(metrics: dict[str, Any], coverage: dict[str, Any], title: str) -> Table:
    """One row a metric."""
    table = Table(title, ["metric", "value", "tasks"])
    for key, value in metrics.items():
        shown = number_text(value) if isinstance(value, (int, float)) else str(value)
        table.rows.append([key, shown, number_text(coverage.get(key, {}).get("n_tasks"))])
    return table


def profile_tables(profile: Profile) -> list[Table]:
    """Completion, the agents' statistics, how the tasks' mean rewards are distributed, how many are solved."""
    summary, solved = profile.completion.summary, profile.solved()
    completion = Table("Completion", ["", "rollouts", "tasks"])
    for name, rollouts, tasks in (
        ("expected", summary["expected_rollout_rows"], summary["total_input_rows"]),
        ("completed", summary["completed_rollout_rows"], summary["complete_input_rows"]),
        ("partial", None, summary["partial_input_rows"]),
        ("missing", summary["missing_rollout_rows"], summary["missing_input_rows"]),
    ):
        completion.rows.append([name, number_text(rollouts), number_text(tasks)])
    tables = [completion]
    for agent in profile.agents:
        table = Table(f"Agent {agent.name}", ["field", "mean", "std", "min", "median", "max"])
        for name in agent.statistics["mean"]:
            values = [agent.statistics[statistic].get(name) for statistic in ("mean", "std", "min", "median", "max")]
            table.rows.append([name, *map(number_text, values)])
        for name, count in agent.coverage.items():
            table.rows.append([f"coverage/{name}", number_text(count), *["–"] * 4])
        tables.append(table)
    tables += _distribution(profile)
    counts = Table("Tasks solved", ["", "tasks"])
    counts.rows = [[name, number_text(count)] for name, count in solved.items()]
    return [*tables, counts]


def _distribution(profile: Profile) -> list[Table]:
    """The tasks' mean rewards in ten bins, as bars."""
    import numpy as np

    reward = profile.reward_by_task()
    if reward is None or not reward.count.any():
        return []
    means = reward.mean[np.isfinite(reward.mean)]
    if not len(means):
        return []
    low, high = float(means.min()), float(means.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    if low == high:
        low, high = low - 0.5, high + 0.5
    share = np.linspace(0.0, 1.0, 11)
    edges = low * (1.0 - share) + high * share
    place = np.clip(np.searchsorted(edges, means, side="right") - 1, 0, 9)
    counts = np.bincount(place, minlength=10).tolist()
    table = Table("Mean reward by task", ["reward", "", "tasks"], left=2)
    for index, count in enumerate(counts):
        ends = "]" if index == len(counts) - 1 else ")"
        bar = "█" * (max(_FEWEST_BARS, round(_BAR_WIDTH * count / max(counts))) if count else 0)
        table.rows.append([f"[{edges[index]:.4g}, {edges[index + 1]:.4g}{ends}", bar, number_text(count)])
    return [table]


def profile_records(profile: Profile) -> list[Record]:
    """A profile as records: what its JSON says, one number each."""
    records = [Record("completion", None, name, value) for name, value in profile.completion.summary.items()]
    for agent in profile.agents:
        statistics: dict[str, dict[str, Any]] = {**agent.statistics, "coverage": {**agent.coverage}}
        records += [
            Record(statistic, None, name, value, agent=agent.name)
            for statistic, values in statistics.items()
            for name, value in values.items()
        ]
    return records + [Record("solved", None, name, value) for name, value in profile.solved().items()]


def aggregate_records(agents: Iterable[tuple[str, dict[str, Any]]]) -> list[Record]:
    """The numbers of aggregate metrics, by agent."""
    records = []
    for name, metrics in agents:
        for key, value in metrics.items():
            if key == PER_SAMPLE and isinstance(value, dict):
                for score, runs in value.items():
                    records += [
                        Record(PER_SAMPLE, run, score, number, agent=name) for run, number in enumerate(runs, 1)
                    ]
            elif isinstance(value, (int, float)):
                records.append(record_of_key(key, value, agent=name))
    return records


def aggregate_tables(agents: Iterable[tuple[str, dict[str, Any]]]) -> list[Table]:
    """The headline of every agent."""
    tables = []
    for name, key_metrics in agents:
        table = Table(f"Agent {name}: key metrics", ["metric", "value"])
        for key, value in key_metrics.items():
            table.rows.append([key, number_text(value) if isinstance(value, (int, float)) else str(value)])
        tables.append(table)
    return tables
