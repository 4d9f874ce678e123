"""Results: keys, the records under them, and how they are laid out as tables.

A key is a text to the outside (`easy/pass@8/accuracy`) and a record of its parts inside; this is the only room that
joins or splits one. Which metrics there are is read off the registry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import UsageError
from .listener import Note
from .metrics import REGISTRY, RUN_MEANS, STATISTICS

__all__ = [
    "SCHEMA",
    "Key",
    "Record",
    "Result",
    "Row",
    "Uncertainty",
    "View",
    "flat_metrics",
    "highest_k",
    "match_pattern",
    "metrics_json",
    "pattern_of",
    "pivot",
]

# The version of the JSON that commands print (docs/metrics.md has its history).
SCHEMA = 1

# Notes on what was written where, which say nothing of the numbers.
_ABOUT_FILES = {"inputs", "no-inputs", "wrote"}

# The place of the number in a metric's name.
_NUMBER = re.compile(r"(?<=[@^-])[kn]\b")
STATS = tuple(dict.fromkeys(row.stat for row in REGISTRY if row.stat))
PLAIN = (*STATISTICS, "coverage", RUN_MEANS)


def _pattern(name: str) -> str:
    """The regular expression of a metric in keys: its number, and its threshold if it has one."""
    before, after = _NUMBER.split(name)
    return f"{re.escape(before)}(0|[1-9][0-9]{{0,17}}){re.escape(after).replace('τ', '([^]/]+)')}"


_METRICS = {name: _pattern(name) for name in dict.fromkeys(row.name for row in REGISTRY) if _NUMBER.search(name)}
_KEY = re.compile(
    rf"(?:(?P<subset>.+?)/)?(?P<metric>{'|'.join(_METRICS.values()).replace('(', '(?:')})"
    rf"/(?P<score>.+?)(?:/(?P<stat>{'|'.join(STATS)}))?",
    re.DOTALL,
)
_STATISTIC = re.compile(rf"({'|'.join(PLAIN)})/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Key:
    """What a number is.

    Attributes:
        metric: `pass@k`, `g-pass@k[0.5]`, `mean`, …: the letter k (or n) stands for the number.
        k: The number; for `per_sample_aggregate` the run, from 1 on; None where there is none.
        score: The name of the score, or of the field.
        stat: Which spread of the metric it is; "" for the metric itself.
        subset: The subset it is restricted to; "" for all tasks.
        agent: The agent it is restricted to, which is not part of its text; "" for all.
    """

    metric: str
    k: int | None = None
    score: str = ""
    stat: str = ""
    subset: str = ""
    agent: str = ""

    @property
    def text(self) -> str:
        """The key under which NeMo Gym gives this number.

        >>> Key("pass@1[avg-of-k]", 4, "accuracy", "std_dev_across_runs", subset="easy").text
        'easy/pass@1[avg-of-4]/accuracy/std_dev_across_runs'
        """
        metric = self.metric if self.k is None else _NUMBER.sub(str(self.k), self.metric)
        return "/".join([part for part in (self.subset, metric, self.score, self.stat) if part])

    @staticmethod
    def parse(text: str, agent: str = "") -> Key:
        """Split a key into its parts; one that is not of the registry is a metric of its own.

        >>> Key.parse("easy/pass^8/accuracy").metric
        'pass^k'
        """
        if match := _KEY.fullmatch(text):
            name, numbers = _split_metric(match["metric"])
            name = name.replace("τ", numbers[-1])
            return Key(name, int(numbers[0]), match["score"], match["stat"] or "", match["subset"] or "", agent)
        if match := _STATISTIC.fullmatch(text):
            return Key(match[1], None, match[2], agent=agent)
        return Key(text, agent=agent)


def _split_metric(text: str) -> tuple[str, tuple[str, ...]]:
    """The metric of the registry that a text like `g-pass@8[0.5]` names, with its number and threshold."""
    return next((name, match.groups()) for name, pattern in _METRICS.items() if (match := re.fullmatch(pattern, text)))


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """How far a number can be trusted, in its own unit; None for what is absent.

    Attributes:
        se: Its standard error: how far it would move with other tasks of this kind.
        lower, upper: The bounds of its interval, of the same kind.
        confidence: Of the interval.
        method: How the interval was made: beta, exact, hall, t or woodruff; "" without one.
        se_again: Its standard error if the same tasks ran again.
        why: Why the standard error or the interval is absent; "" where both exist.
        why_not_again: Why `se_again` is absent; "" where it exists or cannot be told of such a number.
    """

    se: float | None = None
    lower: float | None = None
    upper: float | None = None
    confidence: float = 0.95
    method: str = ""
    se_again: float | None = None
    why: str = ""
    why_not_again: str = ""

    def as_json(self) -> dict[str, Any]:
        """What is there, under its names."""
        numbers = {name: getattr(self, name) for name in ("se", "lower", "upper", "se_again")}
        parts: dict[str, Any] = {name: number for name, number in numbers.items() if number is not None}
        if self.lower is not None:
            parts |= {"confidence": self.confidence, "kind": "new tasks", "method": self.method}
        return parts | {name: text for name in ("why", "why_not_again") if (text := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class Record:
    """One number.

    Attributes:
        key: What it is.
        value: The number, in percent unless the metric says otherwise.
        n_tasks, n_rollouts: What stands behind it; None where it is not counted.
        uncertainty: How far it can be trusted; None if that was not asked for.
    """

    key: Key
    value: Any
    n_tasks: int | None = None
    n_rollouts: int | None = None
    uncertainty: Uncertainty | None = None

    @property
    def counts(self) -> dict[str, int | None]:
        """What stands behind the value, as the JSON says it."""
        return {"n_tasks": self.n_tasks, "n_rollouts": self.n_rollouts}


# --- tables ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a view.

    Attributes:
        names: What names the row, one text per heading of names.
        cells: One record per column; None where there is none.
        n_tasks: How many tasks the row is about, where that is known: a value over as many needs no count of its own.
        bar: A share from 0 to 1 to be drawn; None for none.
    """

    names: tuple[str, ...]
    cells: tuple[Record | None, ...]
    n_tasks: int | None = None
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """Records laid out as a table.

    Attributes:
        title: What stands above it.
        names: The headings of what names a row.
        columns: The headings of the values.
        rows: The rows.
        intervals: Of how many columns, from the left, the intervals are shown.
        wide: Whether it is shown too how far values would move if the same tasks ran again.
    """

    title: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    intervals: int = 0
    wide: bool = False


def pivot(
    records: Iterable[Record],
    names: Mapping[str, str],
    columns: Mapping[str, tuple[str, str] | None],
    title: str,
    sizes: Mapping[str, int] | None = None,
) -> View:
    """Lay records out as a table.

    Args:
        records: What to show, in the order of the rows; records that belong in no column are left out.
        names: By heading, the part of a key that names its row: an attribute of `Key`, or `tasks` for the size of its
            subset.
        columns: By heading, the metric and stat that stand in the column; None for any.
        title: What stands above the table.
        sizes: By subset, how many tasks it has.
    """
    sizes = sizes or {}
    heading_of = {column: heading for heading, column in columns.items()}
    cells: dict[tuple[str, ...], dict[str, Record]] = {}
    subsets: dict[tuple[str, ...], str] = {}
    for record in records:
        key = record.key
        heading = heading_of.get((key.metric, key.stat)) or heading_of.get(None)
        if heading is not None:
            name = tuple(
                f"{sizes[key.subset]:,}" if part == "tasks" else str(getattr(key, part)) for part in names.values()
            )
            cells.setdefault(name, {})[heading] = record
            subsets.setdefault(name, key.subset)
    rows = [Row(name, tuple(map(row.get, columns)), sizes.get(subsets[name])) for name, row in cells.items()]
    return View(title, tuple(names), tuple(columns), rows)


# --- the result -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Result:
    """What an analysis found: everything that any output is made of.

    Attributes:
        name: The analysis, as files are named.
        records: Every number.
        views: The records laid out as tables; made when they are wanted.
        document: The JSON, without schema and notes; made when it is wanted. None for the flat object of keys.
        notes: What the user should know besides.
    """

    name: str
    records: Sequence[Record]
    views: Callable[[], Iterable[View]]
    document: Callable[[], Any] | None = None
    notes: Sequence[Note] = ()

    def json(self) -> Any:
        """The JSON of the result, with notes and schema; an array is another tool's file format, and has neither."""
        document = metrics_json(self.records) if self.document is None else self.document()
        if not isinstance(document, dict):
            return document
        notes = [note._asdict() for note in self.notes if note.code not in _ABOUT_FILES]
        return {**document, **({"notes": notes} if notes else {}), "schema": SCHEMA}


def _runs(records: Iterable[Record]) -> dict[str, list[Record]]:
    runs: dict[str, list[Record]] = {}
    for record in records:
        if record.key.metric == RUN_MEANS:
            runs.setdefault(record.key.score, []).append(record)
    return runs


def flat_metrics(records: Sequence[Record]) -> dict[str, Any]:
    """The flat object of NeMo Gym's keys; `per_sample_aggregate` stands where its first record does."""
    flat: dict[str, Any] = {}
    for record in records:
        if record.key.metric != RUN_MEANS:
            flat[record.key.text] = record.value
        elif RUN_MEANS not in flat:
            flat[RUN_MEANS] = {score: [run.value for run in runs] for score, runs in _runs(records).items()}
    return flat


def metrics_json(records: Sequence[Record]) -> dict[str, Any]:
    """The flat object, and under `coverage` by key how many tasks and rollouts stand behind the value."""
    counted = [record for record in records if record.n_tasks is not None]
    coverage: dict[str, Any] = {record.key.text: record.counts for record in counted if record.key.metric != RUN_MEANS}
    coverage |= {f"{RUN_MEANS}/{score}": [run.counts for run in runs] for score, runs in _runs(counted).items()}
    uncertainty = {
        record.key.text: {**record.uncertainty.as_json(), "n_tasks": record.n_tasks}
        for record in records
        if record.uncertainty is not None
    }
    beside = {"coverage": coverage, "uncertainty": uncertainty}
    return {**flat_metrics(records), **{name: content for name, content in beside.items() if content}}


# --- the highest k --------------------------------------------------------------------------------------------------


def pattern_of(metric: str) -> str:
    """The pattern of the keys of a metric.

    >>> pattern_of("pass@1[avg-of-k]")
    'pass@1[avg-of-{k}]'
    """
    return _NUMBER.sub("{k}", metric)


def match_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of keys `pattern/score`, in which `{k}` stands for a whole number.

    Raises:
        UsageError: There is no `{k}` in it, or more than one.
    """
    if pattern.count("{k}") != 1:
        raise UsageError(
            f"the pattern '{pattern}' must have {{k}} in it once, as in pass@1[avg-of-{{k}}]", "leave the number open"
        )
    before, after = pattern.split("{k}")
    return re.compile(f"{re.escape(before)}(0|[1-9][0-9]{{0,17}}){re.escape(after)}/(.+)", re.DOTALL)


def highest_k(
    keys: Iterable[str],
    pattern: str,
    score_names: Iterable[str] | None = None,
    exclude_names: Iterable[str] | None = None,
) -> Iterator[str]:
    """The keys of the pattern at its single highest k.

    Args:
        keys: NeMo Gym's keys.
        pattern: `pass@{k}`, say; a key is the pattern, a slash, and the name of a score.
        score_names: Scores to keep; None for all.
        exclude_names: Scores to drop.

    Returns:
        The keys in their order; none if none is left.

    >>> list(highest_k(["pass@1/a", "pass@2/a", "pass@2/b"], "pass@{k}", exclude_names=["b"]))
    ['pass@2/a']
    """
    wanted = match_pattern(pattern)
    keep, drop = None if score_names is None else set(score_names), set(exclude_names or ())
    matches = {key: match for key in keys if (match := wanted.fullmatch(key))}
    ks = {
        key: int(match[1])
        for key, match in matches.items()
        if not match[2].endswith(STATS) and (keep is None or match[2] in keep) and match[2] not in drop
    }
    highest = max(ks.values(), default=0)
    return (key for key, k in ks.items() if k == highest)
