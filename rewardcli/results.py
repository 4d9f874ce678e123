"""Result records, and the one place where a record becomes a NeMo Gym key and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from .errors import UsageError

__all__ = [
    "CSV_FIELDS",
    "PER_SAMPLE",
    "Record",
    "Stat",
    "csv_rows",
    "flat_metrics",
    "highest_k",
    "match_pattern",
    "metrics_json",
    "record_of_key",
]

Stat = Literal["", "std_dev_across_runs", "std_err_across_runs", "avg_sample_std_dev"]
STATS: tuple[Stat, ...] = ("std_dev_across_runs", "std_err_across_runs", "avg_sample_std_dev")
PER_SAMPLE = "per_sample_aggregate"
CSV_FIELDS = ("agent", "subset", "metric", "k", "score", "stat", "value", "n_tasks", "n_rollouts")

USUAL_PATTERNS = ("pass@{k}", "pass@1[avg-of-{k}]", "majority@{k}")


@dataclass(frozen=True, slots=True)
class Record:
    """One number.

    Attributes:
        metric: `pass@k`, `pass@1[avg-of-k]`, `majority@k`, `per_sample_aggregate`, or a plain name.
        k: How many rollouts count; the position from 1 on for `per_sample_aggregate`; None where there is none.
        score: The score's name.
        value: The number, in percent unless the metric says otherwise.
        stat: Which spread of the metric the value is; "" for the metric itself.
        subset, agent: What it is restricted to; "" for all.
        n_tasks, n_rollouts: What stands behind the value; None where it is not counted.
    """

    metric: str
    k: int | None
    score: str
    value: float
    stat: Stat = ""
    subset: str = ""
    agent: str = ""
    n_tasks: int | None = None
    n_rollouts: int | None = None

    @property
    def key(self) -> str:
        """The key under which NeMo Gym gives this number.

        >>> Record("pass@1[avg-of-k]", 4, "accuracy", 50.0, "std_dev_across_runs", subset="easy").key
        'easy/pass@1[avg-of-4]/accuracy/std_dev_across_runs'
        """
        parts = [self.subset] if self.subset else []
        parts.append(self.metric if self.k is None else _with_k(self.metric, self.k))
        parts += [part for part in (self.score, self.stat) if part]
        return "/".join(parts)


def _with_k(metric: str, k: int) -> str:
    """`pass@1[avg-of-k]` with its k: the k that is a word of its own."""
    return re.sub(r"\bk\b", str(k), metric)


_KEY = re.compile(
    r"(?:(?P<subset>.+?)/)?(?P<metric>pass@1\[avg-of-(?P<avg>\d+)\]|(?P<name>pass|majority)@(?P<k>\d+))"
    rf"/(?P<score>.+?)(?:/(?P<stat>{'|'.join(STATS)}))?",
    re.DOTALL,
)
_STATISTIC = re.compile(r"(mean|max|min|median|std|coverage)/(.+)", re.DOTALL)


def record_of_key(
    key: str, value: float, agent: str = "", n_tasks: int | None = None, n_rollouts: int | None = None
) -> Record:
    """The record of a number under its NeMo Gym key; a key of another kind is a metric of its own.

    >>> record_of_key("easy/pass@8/accuracy", 75.0).metric
    'pass@k'
    """
    if match := _KEY.fullmatch(key):
        metric = "pass@1[avg-of-k]" if match["avg"] else f"{match['name']}@k"
        k, stat = int(match["avg"] or match["k"]), match["stat"] or ""
        return Record(metric, k, match["score"], value, stat, match["subset"] or "", agent, n_tasks, n_rollouts)  # type: ignore[arg-type]
    if match := _STATISTIC.fullmatch(key):
        return Record(match[1], None, match[2], value, agent=agent)
    return Record(key, None, "", value, agent=agent)


def _runs(records: Iterable[Record]) -> dict[str, list[Record]]:
    runs: dict[str, list[Record]] = {}
    for record in records:
        if record.metric == PER_SAMPLE:
            runs.setdefault(record.score, []).append(record)
    return runs


def flat_metrics(records: Sequence[Record]) -> dict[str, Any]:
    """The flat object of NeMo Gym keys; `per_sample_aggregate` is where its first record stands."""
    flat: dict[str, Any] = {}
    for record in records:
        if record.metric != PER_SAMPLE:
            flat[record.key] = record.value
        elif PER_SAMPLE not in flat:
            flat[PER_SAMPLE] = {score: [run.value for run in runs] for score, runs in _runs(records).items()}
    return flat


def metrics_json(records: Sequence[Record]) -> dict[str, Any]:
    """The flat object, and under `coverage` by key how many tasks and rollouts stand behind the value."""

    def behind(record: Record) -> dict[str, int | None]:
        return {"n_tasks": record.n_tasks, "n_rollouts": record.n_rollouts}

    counted = [record for record in records if record.n_tasks is not None]
    coverage: dict[str, Any] = {record.key: behind(record) for record in counted if record.metric != PER_SAMPLE}
    coverage |= {f"{PER_SAMPLE}/{score}": [behind(run) for run in runs] for score, runs in _runs(counted).items()}
    return {**flat_metrics(records), "coverage": coverage}


def csv_rows(records: Iterable[Record]) -> Iterator[list[Any]]:
    """One row a number, in the order of `CSV_FIELDS`; "" where there is nothing to say."""
    for fields in map(attrgetter(*CSV_FIELDS), records):
        yield ["" if value is None else value for value in fields]


# --- the highest k --------------------------------------------------------------------------------------------------


def match_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern of keys `pattern/score`, in which `{k}` stands for a whole number.

    Raises:
        UsageError: There is no `{k}` in it, or more than one.
    """
    if pattern.count("{k}") != 1:
        raise UsageError(
            f"the pattern '{pattern}' must have {{k}} in it once, as in pass@1[avg-of-{{k}}]", "leave the number open"
        )
    before, after = pattern.split("{k}")
    return re.compile(f"{re.escape(before)}([0-9]+){re.escape(after)}/(.+)", re.DOTALL)


def highest_k(
    metrics: dict[str, Any],
    pattern: str,
    score_names: Iterable[str] | None = None,
    exclude_names: Iterable[str] | None = None,
) -> dict[str, Any]:
    """The entries of the pattern at its single highest k.

    Args:
        metrics: A flat object of NeMo Gym keys.
        pattern: `pass@{k}`, say; a key is the pattern, a slash, and a score's name.
        score_names: Scores to keep; None for all.
        exclude_names: Scores to drop.

    Returns:
        The entries, in the order of `metrics`; empty if none is left.

    >>> highest_k({"pass@1/a": 1, "pass@2/a": 2, "pass@2/b": 3}, "pass@{k}", exclude_names=["b"])
    {'pass@2/a': 2}
    """
    wanted = match_pattern(pattern)
    keep, drop = None if score_names is None else set(score_names), set(exclude_names or ())
    found: dict[str, int] = {}
    for key in metrics:
        if (match := wanted.fullmatch(key)) is None:
            continue
        score = match[2]
        if not score.endswith(STATS) and (keep is None or score in keep) and score not in drop:
            found[key] = int(match[1])
    highest = max(found.values(), default=0)
    return {key: metrics[key] for key, k in found.items() if k == highest}
