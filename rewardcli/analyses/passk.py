"""pass@k, majority@k and their spread, over all tasks and by subset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .. import metrics as m
from ..arrays import Codes, Floats, Ints
from ..keys import names_of
from ..results import PER_SAMPLE, Record, Stat
from ..rollouts import Labels, Rollouts
from ..scores import ScoreSpec

__all__ = ["NO_ANSWER", "pass_majority_records", "subset_records", "table_records"]

NO_ANSWER = "no_answer"


def _over_k(
    metric: str, score: str, curve: m.Curve, values: Floats, stat: Stat = "", first: int = 1
) -> dict[int, Record]:
    """By k, the record of a curve; none where no task counts."""
    return {
        k: Record(metric, k, score, value, stat, n_tasks=tasks, n_rollouts=rollouts)
        for k, (value, tasks, rollouts) in enumerate(
            zip(values.tolist(), curve.n_tasks.tolist(), curve.n_rollouts.tolist(), strict=True), 1
        )
        if k >= first and tasks and math.isfinite(value)
    }


@np.errstate(over="ignore", invalid="ignore")  # what overflows is undefined, and has no record
def pass_majority_records(scores: Mapping[str, Floats], answers: Codes | None, starts: Ints) -> list[Record]:
    """Every number of `compute_pass_majority_metrics`, in its order, then `avg_sample_std_dev`.

    Args:
        scores: By name, the score of every rollout, NaN where it is missing.
        answers: By rollout, the code of its answer, -1 for none; None if answers do not count.
        starts: The rollouts of task t are `starts[t]` up to `starts[t + 1]`.
    """
    scores = dict(scores)
    if answers is not None:
        scores[NO_ANSWER] = (answers < 0).astype(np.float64)
    names = sorted(scores)
    longest = int(np.diff(starts).max(initial=0))
    plain: list[dict[int, Record]] = []
    runs: list[Record] = []
    across: list[dict[int, Record]] = []
    within: list[dict[int, Record]] = []
    for name in names:
        values = scores[name]
        first_k = m.mean_of_first_k(values, starts)
        at_k = m.pass_at_k(values, starts)
        plain.append(_over_k("pass@k", name, at_k, at_k.percent))
        plain.append(_over_k("pass@1[avg-of-k]", name, first_k, first_k.percent))
        if answers is not None:
            plain.append(_majority(name, values, answers, starts))
        by_run = m.mean_by_position(values, starts)
        filled = np.flatnonzero(np.isfinite(by_run.percent))
        means = by_run.percent[filled]
        runs += [
            Record(
                PER_SAMPLE,
                int(position) + 1,
                name,
                value,
                n_tasks=int(by_run.n_tasks[position]),
                n_rollouts=int(by_run.n_rollouts[position]),
            )
            for position, value in zip(filled, means.tolist(), strict=True)
        ]
        if len(means) > 1:
            # Past the last run the first k are all runs; where positions have no score, k runs reach beyond k rollouts.
            reached = np.minimum(np.arange(longest), len(means) - 1)
            behind = m.Curve(first_k.total, first_k.n_tasks[filled[reached]], first_k.n_rollouts[filled[reached]])
            for stat, spread in zip(
                ("std_dev_across_runs", "std_err_across_runs"), m.std_across_runs(means), strict=True
            ):
                across.append(_over_k("pass@1[avg-of-k]", name, behind, spread[reached], stat, first=2))  # type: ignore[arg-type]
        prefix = m.prefix_std(values, starts)
        within.append(_over_k("pass@1[avg-of-k]", name, prefix, prefix.mean, "avg_sample_std_dev", first=2))

    def by_k(columns: list[dict[int, Record]]) -> list[Record]:
        return [column[k] for k in range(1, longest + 1) for column in columns if k in column]

    return [*by_k(plain), *runs, *by_k(across), *by_k(within)]


def _majority(name: str, values: Floats, answers: Codes, starts: Ints) -> dict[int, Record]:
    if name == NO_ANSWER:
        curve = m.answered_at_k(answers, starts)
        return _over_k("majority@k", name, curve, 100.0 - curve.percent)
    curve = m.majority_at_k(values, answers, starts)
    return _over_k("majority@k", name, curve, curve.percent)


def table_records(table: Rollouts, scores: Sequence[ScoreSpec], answer: str | None) -> list[Record]:
    """The records of a table of measured rollouts.

    Args:
        table: Rollouts without masked ones.
        scores: The scores.
        answer: The field of the answer, if answers count.
    """
    answers = table.labels[answer].codes if answer is not None else None
    return pass_majority_records({spec.name: spec.values(table) for spec in scores}, answers, table.starts)


def subset_records(table: Rollouts, scores: Sequence[ScoreSpec], answer: str | None, by: Labels) -> list[Record]:
    """The records of every subset, without `per_sample_aggregate`.

    Args:
        table: Rollouts without masked ones.
        scores: The scores.
        answer: The field of the answer, if answers count.
        by: By unit, the subset it belongs to.
    """
    names = names_of(by.values)
    # The units of each subset, one subset after the other, and their rows: a subset is then a slice of every array.
    units = np.argsort(by.codes, kind="stable")
    lengths = np.diff(table.starts)[units]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(starts[-1]) + np.repeat(table.starts[units] - starts[:-1], lengths)
    bounds = np.searchsorted(by.codes[units], np.arange(len(names) + 1))
    values = {spec.name: spec.values(table)[rows] for spec in scores}
    answers = table.labels[answer].codes[rows] if answer is not None else None
    records = []
    for code in dict.fromkeys(by.codes[by.codes >= 0].tolist()):
        own = starts[bounds[code] : bounds[code + 1] + 1]
        part = slice(own[0], own[-1])
        found = pass_majority_records(
            {name: score[part] for name, score in values.items()},
            None if answers is None else answers[part],
            own - own[0],
        )
        records += [_in_subset(record, names[code]) for record in found if record.metric != PER_SAMPLE]
    return records


def _in_subset(record: Record, subset: str) -> Record:
    return Record(
        record.metric,
        record.k,
        record.score,
        record.value,
        record.stat,
        subset,
        record.agent,
        record.n_tasks,
        record.n_rollouts,
    )
