"""From scores to the records of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ..arrays import Codes, Floats, Ints
from ..metrics import DEFAULT_METRICS, NO_ANSWER, RUN_MEANS, Curve, Metric, Scored, curves
from ..results import Key, Record, Uncertainty
from .uncertainty import Intervals

__all__ = ["metric_records"]


def metric_records(
    scores: Mapping[str, Floats],
    answers: Codes | None,
    starts: Ints,
    metrics: Sequence[Metric] | None = None,
    subset: str = "",
    intervals: Intervals | None = None,
) -> list[Record]:
    """Every number of some metrics, in NeMo Gym's order.

    Args:
        scores: By name, the score of every rollout, NaN where it is missing.
        answers: By rollout, the code of its answer, -1 for none; None if answers do not count.
        starts: The rollouts of task t are `starts[t]` up to `starts[t + 1]`.
        metrics: Rows of the registry; None for the default ones.
        subset: What these tasks are called in keys.
        intervals: Which intervals; None for none.
    """
    metrics = DEFAULT_METRICS if metrics is None else metrics
    if answers is None:
        metrics = [metric for metric in metrics if not metric.needs_answers]
    else:
        scores = {**scores, NO_ANSWER: (answers < 0).astype(np.float64)}
    columns: dict[Metric, list[list[Record]]] = {metric: [] for metric in metrics}
    for name in sorted(scores):
        key = Key("", score=name, subset=subset)
        scored = Scored(scores[name], starts, answers)
        computed = curves(metrics, scored, no_answer=name == NO_ANSWER, uncertain=intervals is not None)
        uncertain = [None] * len(computed) if intervals is None else intervals.of(computed, bounded=scored.bounded)
        for curve, beside in zip(computed, uncertain, strict=True):
            columns[curve.metric].append(_records(curve, key, beside))
    return list(_in_order(columns))


def _records(curve: Curve, key: Key, uncertain: Sequence[Uncertainty] | None) -> list[Record]:
    """The records of a curve."""
    columns = (curve.ks, curve.values, curve.moments.count, curve.moments.rollouts)
    beside: Sequence[Uncertainty | None] = uncertain or [None] * len(curve.ks)
    rows = zip(*(column.tolist() for column in columns), beside, strict=True)
    name, stat = curve.metric.name, curve.metric.stat
    return [
        Record(Key(name, k, key.score, stat, key.subset), value, tasks, rollouts, uncertainty)
        for k, value, tasks, rollouts, uncertainty in rows
    ]


def _in_order(columns: Mapping[Metric, Sequence[Sequence[Record]]]) -> Iterator[Record]:
    """All values by k, then the means of runs, then what is computed from runs, then other spreads."""
    sections: tuple[Callable[[Metric], bool], ...] = (
        lambda metric: not metric.stat and metric.name != RUN_MEANS,
        lambda metric: metric.name == RUN_MEANS,
        lambda metric: metric.of_runs is not None,
        lambda metric: bool(metric.stat) and metric.of_runs is None,
    )
    for belongs in sections:
        rows = [metric for metric in columns if belongs(metric)]
        by_name = [columns[metric][name] for name in range(max(map(len, columns.values()))) for metric in rows]
        records = [record for column in by_name for record in column]
        yield from records if rows and rows[0].name == RUN_MEANS else sorted(records, key=lambda r: r.key.k or 0)
