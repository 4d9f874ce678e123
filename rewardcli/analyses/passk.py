"""pass@k, majority@k and the other metrics over k, of all tasks and by subset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Floats, Ints
from ..errors import DataError, plural
from ..keys import key_name, names_of
from ..listener import Listener
from ..metrics import DEFAULT_METRICS, REGISTRY, RUN_MEANS, Metric
from ..reader import Wanted
from ..results import Key, Record, Result, View, pivot
from ..rollouts import Labels, Rollouts
from ..scores import ScoreSpec, score_values
from .notes import note_agents, note_differing_rollouts, note_fewer_tasks, note_other_scores
from .records import metric_records
from .uncertainty import Intervals

__all__ = ["Question", "all_records", "passk", "sized", "subsets"]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of rollouts.

    Attributes:
        scores: What counts as success, by name.
        answer: The field of the answer; None if answers do not count.
        metrics: Rows of the registry; None for the default ones.
        ks: The k that are shown; None for all.
        intervals: Which intervals; None for none.
        wide: Whether the table has spreads and every interval, not only that of its first value.
    """

    scores: Sequence[ScoreSpec]
    answer: str | None = None
    metrics: Sequence[Metric] | None = None
    ks: Sequence[int] | None = None
    intervals: Intervals | None = None
    wide: bool = False

    def wanted(self, by: Sequence[str] = ()) -> Wanted:
        """What must be read of the rollouts to answer it.

        Args:
            by: The fields whose values name subsets.
        """
        numbers = dict.fromkeys(name for spec in self.scores for name in spec.numbers)
        labels = dict.fromkeys([*by, *(name for spec in self.scores for name in spec.texts)])
        return Wanted(tuple(numbers), (self.answer,) if self.answer else (), tuple(labels))


# --- analyses -------------------------------------------------------------------------------------------------------


def passk(rollouts: Rollouts, question: Question, title: str, listener: Listener) -> Result:
    """Compute metrics over k of all tasks.

    Args:
        rollouts: All rollouts, masked ones included.
        question: What is asked of them.
        title: What stands above the table.
        listener: Told what the user should know.

    Raises:
        DataError: There is no number to compute, or no task has so many rollouts.
    """
    measured = rollouts.measured()
    records = all_records(measured, question, listener)
    return _result("passk", records, {"": len(rollouts.starts) - 1}, rollouts, measured, question, title, listener)


def all_records(measured: Rollouts, question: Question, listener: Listener) -> list[Record]:
    """Every number that is asked for, at every k.

    Args:
        measured: The rollouts that count.
        question: What is asked of them.
        listener: Told how many scores are missing.

    Raises:
        DataError: There is no number to compute.
    """
    values = _scores(measured, question, listener)
    note_agents(measured, listener)
    answers = None if question.answer is None else measured.labels[question.answer].codes
    return metric_records(values, answers, measured.starts, question.metrics, intervals=question.intervals)


def _scores(measured: Rollouts, question: Question, listener: Listener) -> dict[str, Floats]:
    values = score_values(measured, question.scores, listener)
    if question.metrics is None or any(metric.of_counts for metric in question.metrics):
        note_other_scores(question.scores, values, measured, listener)
    return values


def subsets(rollouts: Rollouts, question: Question, by: Sequence[str], title: str, listener: Listener) -> Result:
    """Compute metrics over k of the subsets of the tasks, without `per_sample_aggregate`.

    Args:
        rollouts: All rollouts, masked ones included.
        question: What is asked of them.
        by: The fields whose values name subsets; a task belongs to the value of its first rollout. With several, the
            subsets are called `field=value`.
        title: What stands above the table.
        listener: Told what the user should know.

    Raises:
        DataError: There is no number to compute, or no task has so many rollouts.
    """
    measured = rollouts.measured()
    values = _scores(measured, question, listener)
    answers = None if question.answer is None else measured.labels[question.answer].codes
    metrics = DEFAULT_METRICS if question.metrics is None else question.metrics
    rows = replace(question, metrics=[metric for metric in metrics if metric.name != RUN_MEANS])
    records: list[Record] = []
    sizes: dict[str, int] = {}
    for field in by:
        labels = measured.by_first_rollout(field)
        note_differing_rollouts(field, measured.labels[field], measured, listener)
        without = int(((labels.codes < 0) & (np.diff(measured.starts) > 0)).sum())
        if without:
            have, them = ("has", "it") if without == 1 else ("have", "them")
            text = f"{plural(without, 'task')} {have} no '{field}': no subset counts {them}"
            listener.note("tasks-in-no-subset", text)
        for name, tasks in _tasks_by_subset(labels):
            subset = f"{field}={name}" if len(by) > 1 else name
            sizes[subset] = len(tasks)
            taken, starts = _rows_of(tasks, measured.starts)
            scores = {score: column[taken] for score, column in values.items()}
            codes = None if answers is None else answers[taken]
            records += metric_records(scores, codes, starts, rows.metrics, subset, question.intervals)
    return _result("subsets", records, sizes, rollouts, measured, question, title, listener)


def _tasks_by_subset(labels: Labels) -> Iterator[tuple[str, Ints]]:
    """By subset, in the order in which they first occur: its name, and its tasks."""
    names = names_of(labels.values)
    order = np.argsort(labels.codes, kind="stable")
    bounds = np.searchsorted(labels.codes[order], np.arange(len(names) + 1))
    for code in dict.fromkeys(labels.codes[labels.codes >= 0].tolist()):
        yield names[code], order[bounds[code] : bounds[code + 1]]


def _rows_of(tasks: Ints, starts: Ints) -> tuple[Ints, Ints]:
    """The rollouts of some tasks, and where each of these tasks then begins."""
    lengths = np.diff(starts)[tasks]
    begins = np.concatenate([[0], np.cumsum(lengths)])
    return np.arange(begins[-1]) + np.repeat(starts[tasks] - begins[:-1], lengths), begins


def _result(
    name: str,
    records: list[Record],
    sizes: Mapping[str, int],
    rollouts: Rollouts,
    measured: Rollouts,
    question: Question,
    title: str,
    listener: Listener,
) -> Result:
    shown = _at_ks(records, question.ks, measured)
    note_fewer_tasks(shown, listener)
    coverage = [Record(Key("coverage", score=part), count) for part, count in rollouts.coverage().items()]
    return Result(
        name,
        [*shown, *coverage],
        lambda: [_table(shown, sizes, question, sized(title, rollouts))],
        notes=listener.notes,
    )


def sized(title: str, rollouts: Rollouts) -> str:
    """A title that says how many tasks and rollouts there are."""
    counts = ((len(rollouts.starts) - 1, "task"), (len(rollouts.masked), "rollout"))
    return " · ".join([title, *(f"{count:,} {noun}{'s' if count != 1 else ''}" for count, noun in counts)])


def _at_ks(records: list[Record], ks: Sequence[int] | None, measured: Rollouts) -> list[Record]:
    """The records at the chosen k, `per_sample_aggregate` whole."""
    if ks is None:
        return records
    lengths = np.diff(measured.starts)
    longest = int(lengths.max(initial=0))
    if max(ks) > longest:
        task = key_name(measured.tasks.values[measured.tasks.codes[int(lengths.argmax())]]) if len(lengths) else "none"
        raise DataError(
            f"k = {max(ks)} is beyond the longest task: task {task} has {longest} rollouts", "choose a smaller k"
        )
    return [record for record in records if record.key.metric == RUN_MEANS or record.key.k in ks]


def _table(records: Sequence[Record], sizes: Mapping[str, int], question: Question, title: str) -> View:
    """One row for each subset, score and k, one column for each metric."""
    columns = {
        metric.heading or metric.name: (metric.name, metric.stat)
        for metric in REGISTRY
        if (metric.heading and question.wide) or not metric.stat or (metric.interval == "none" and metric.reduce)
    }
    present = {(record.key.metric, record.key.stat) for record in records if record.key.metric != RUN_MEANS}
    # A metric with a threshold has a name of its own.
    columns |= {name: (name, stat) for name, stat in sorted(present) if not stat and name not in columns}
    shown = _shown_ks(records, question.ks)
    scores = {score: place for place, score in enumerate(dict.fromkeys(record.key.score for record in records))}
    subsets = {subset: place for place, subset in enumerate(sizes)}
    rows = sorted(
        (record for record in records if record.key.k in shown[record.key.subset]),
        key=lambda r: (subsets[r.key.subset], scores[r.key.score], r.key.k or 0),
    )
    names = ("subset", "tasks", "score", "k") if any(sizes) else ("score", "k")
    headings = {heading: column for heading, column in columns.items() if column in present}
    view = pivot(rows, dict(zip(names, names, strict=True)), headings, title, sizes)
    return replace(view, intervals=len(headings) if question.wide else 1, wide=question.wide)


def _shown_ks(records: Iterable[Record], chosen: Sequence[int] | None) -> dict[str, set[int | None]]:
    """By subset the chosen k, else the powers of two and the highest."""
    ks: dict[str, set[int | None]] = {}
    for record in records:
        if record.key.k is not None and record.key.metric != RUN_MEANS:
            ks.setdefault(record.key.subset, set()).add(record.key.k)
    if chosen:
        return {subset: present & set(chosen) for subset, present in ks.items()}
    return {
        subset: {k for k in present if k is not None and (k & (k - 1) == 0 or k == max(present, key=int))}  # type: ignore[arg-type]
        for subset, present in ks.items()
    }
