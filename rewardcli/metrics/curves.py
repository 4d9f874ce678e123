"""From scores to the moments of metrics over k, block by block; or to the value of every task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Floats, Ints
from . import ragged
from .metric import BlockFunction, Metric, RunFunction
from .moments import Moments
from .ragged import Block, Scored, TaskValues
from .registry import REGISTRY
from .runs import RUN_MEANS

__all__ = ["Curve", "by_task", "curves"]


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric over k.

    Attributes:
        metric: The row of the registry.
        ks: The k that have a value, ascending; shape (ks,).
        values: As they are shown, in percent if the metric is; shape (ks,).
        moments: The values of tasks behind them, on the scale of the score; K = ks.
    """

    metric: Metric
    ks: Ints
    values: Floats
    moments: Moments


@np.errstate(over="ignore", invalid="ignore")  # what overflows is undefined, and has no number
def curves(metrics: Sequence[Metric], scored: Scored, *, no_answer: bool = False) -> list[Curve]:
    """Metrics for k = 1 … K.

    Args:
        metrics: Rows of the registry.
        scored: The score.
        no_answer: Whether it is the score no_answer.

    Returns:
        One per metric; without the k for which no task counts.
    """
    # What is computed from runs needs their means, and the metric whose spread it is.
    needed = {RUN_MEANS, *(metric.name for metric in metrics if metric.of_runs)} if _any_of_runs(metrics) else set()
    rows = [row for row in REGISTRY if not row.of_runs and (row in metrics or (row.name in needed and not row.stat))]
    moments = dict(zip(rows, _moments(rows, scored, no_answer), strict=True))
    plain = {row.name: sums for row, sums in moments.items() if not row.stat}
    return [
        _across_runs(metric, metric.of_runs, plain[RUN_MEANS], plain[metric.name])
        if metric.of_runs
        else _defined(metric, metric.scale * moments[metric].mean, moments[metric])
        for metric in metrics
    ]


def _any_of_runs(metrics: Sequence[Metric]) -> bool:
    return any(metric.of_runs for metric in metrics)


def _defined(metric: Metric, values: Floats, moments: Moments) -> Curve:
    """The curve without the k for which there is no value."""
    ks = np.arange(1, len(values) + 1)
    kept = np.flatnonzero((ks >= metric.first_k) & (moments.count > 0) & np.isfinite(values))
    return Curve(metric, ks[kept], values[kept], moments.take(kept))


def _across_runs(metric: Metric, of_runs: RunFunction, runs: Moments, behind: Moments) -> Curve:
    """What is computed from the means of runs."""
    means = metric.scale * runs.mean
    filled = np.flatnonzero(np.isfinite(means))
    if len(filled) < 2:
        return _defined(metric, np.full(len(means), np.nan), behind)
    # Past the last run the first k are all runs; where positions have no score, k runs reach beyond k rollouts.
    reached = np.minimum(np.arange(len(means)), len(filled) - 1)
    return _defined(metric, of_runs(means[filled])[reached], behind.take(filled[reached]))


def _moments(metrics: Sequence[Metric], scored: Scored, no_answer: bool) -> list[Moments]:
    """The moments of metrics that have a value per task, for k = 1 … K."""
    width = scored.longest
    sums = [Moments.empty(width) for _ in metrics]
    pairs: list[Ints] = []
    for block in scored.blocks():
        if any(metric.of_counts for metric in metrics):
            pairs.append(_pairs(block, width))
        for index, metric in enumerate(metrics):
            values = _of_block(metric, block, no_answer)
            if values is not None:
                sums[index] += Moments.of(values.values, values.rollouts).widened(width, carried=metric.carried)
    for n, c, weights in _distinct(pairs, width):
        for index, metric in enumerate(metrics):
            if metric.of_counts:
                sums[index] += Moments.of(metric.of_counts(n, c, width), n, weights)
    return [total + _of_empty(metric, scored, no_answer) for metric, total in zip(metrics, sums, strict=True)]


def by_task(metric: Metric, scored: Scored, ks: Sequence[int], *, no_answer: bool = False) -> Floats:
    """The value of every task for some k.

    Args:
        metric: A row of the registry that has a value per task.
        scored: The score.
        ks: From 1 to K.
        no_answer: Whether it is the score no_answer.

    Returns:
        On the scale of the score, NaN where undefined; shape (tasks, ks).
    """
    values = np.full((scored.n_tasks, len(ks)), _worth_of_empty(metric, no_answer))
    columns = np.array(ks, dtype=np.int64) - 1
    for block in scored.blocks():
        values[block.tasks] = np.nan
        width = block.scores.shape[1]
        if (result := _of_block(metric, block, no_answer)) is not None:
            tasks = block.tasks[~block.binary] if metric.of_counts else block.tasks
            values[tasks] = result.values[:, np.minimum(columns, width - 1)]
            if not metric.carried:
                values[np.ix_(tasks, columns >= width)] = np.nan
        if metric.of_counts:
            highest = max(ks)
            tasks, n, c = block.tasks[block.binary], block.n[block.binary], block.filled[block.binary].sum(axis=1)
            values[tasks] = metric.of_counts(n, c.astype(np.int64), highest)[:, columns]
    return values


def _of_block(metric: Metric, block: Block, no_answer: bool) -> TaskValues | None:
    """What a metric says of the tasks of a block that it does not know by their counts; None where there are none."""
    function: BlockFunction | None = (metric.of_no_answer if no_answer else None) or metric.of_block
    if metric.of_counts is None:
        return None if function is None else function(block)
    if function is None or block.binary.all():
        return None
    return function(block.take(~block.binary))


def _pairs(block: Block, width: int) -> Ints:
    """N and c of the tasks whose scores are all 0 or 1, in one integer each."""
    n, c = block.n[block.binary], block.filled[block.binary].sum(axis=1)
    pairs: Ints = n * (width + 1) + c.astype(np.int64)
    return pairs


def _distinct(pairs: Sequence[Ints], width: int) -> Iterator[tuple[Ints, Ints, Ints]]:
    """The distinct n and c, with how many tasks have them, a bounded number at a time."""
    if not pairs:
        return
    distinct, weights = np.unique(np.concatenate(pairs), return_counts=True)
    step = max(1, ragged.CELLS // max(width, 1))
    for begin in range(0, len(distinct), step):
        n, c = np.divmod(distinct[begin : begin + step], width + 1)
        yield n, c, weights[begin : begin + step]


def _worth_of_empty(metric: Metric, no_answer: bool) -> float:
    return metric.without_rollouts_no_answer if no_answer and metric.of_no_answer else metric.without_rollouts


def _of_empty(metric: Metric, scored: Scored, no_answer: bool) -> Moments:
    """The moments of the tasks without any rollout."""
    empty = np.count_nonzero(np.diff(scored.starts) == 0)
    value = np.full((1, scored.longest), _worth_of_empty(metric, no_answer))
    return Moments.of(value, np.zeros(1), [empty]) if empty else Moments.empty(scored.longest)
