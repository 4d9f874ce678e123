"""From scores to the moments of metrics over k, block by block; or to the value of every task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Floats, Ints
from . import ragged
from .again import RunNoise
from .metric import BlockFunction, Metric, RunFunction
from .moments import Moments, Summary
from .ragged import Block, Scored
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
        summary: What follows from the moments; None if uncertainty was not asked for.
        again: The standard error of each value if the same tasks ran again, NaN where it is absent, and why; None if
            that was not asked for, or can never be told of the metric.
    """

    metric: Metric
    ks: Ints
    values: Floats
    moments: Moments
    summary: Summary | None = None
    again: tuple[list[float], list[str]] | None = None


@np.errstate(over="ignore", invalid="ignore")  # what overflows is undefined, and has no value
def curves(
    metrics: Sequence[Metric], scored: Scored, *, no_answer: bool = False, uncertain: bool = False
) -> list[Curve]:
    """Metrics for k = 1 … K.

    Args:
        metrics: Rows of the registry.
        scored: The score.
        no_answer: Whether it is the score no_answer.
        uncertain: Whether it is computed too what their uncertainty takes.

    Returns:
        One per metric; without the k for which no task counts.
    """
    # What is computed from runs needs their means, and the metric whose spread it is.
    names = {metric.name for metric in metrics if metric.of_runs}
    needed = [row for row in REGISTRY if not row.stat and names and row.name in {RUN_MEANS, *names}]
    rows = [row for row in dict.fromkeys([*metrics, *needed]) if not row.of_runs]
    sums = dict(zip(rows, _sums(rows, scored, no_answer, uncertain), strict=True))
    plain = {row.name: moments for row, (moments, _) in sums.items() if not row.stat}
    result = [
        _across_runs(metric, metric.of_runs, plain[RUN_MEANS], plain[metric.name])
        if metric.of_runs
        else _of_tasks(metric, *sums[metric])
        for metric in metrics
    ]
    return [replace(curve, summary=curve.moments.summary()) for curve in result] if uncertain else result


def _of_tasks(metric: Metric, moments: Moments, noise: RunNoise | None) -> Curve:
    values = moments.mean if metric.reduce is None else metric.reduce(moments)
    return _defined(metric, metric.scale * values, moments, noise)


def _defined(metric: Metric, values: Floats, moments: Moments, noise: RunNoise | None = None) -> Curve:
    """The curve without the k for which there is no value."""
    ks = np.arange(1, len(values) + 1)
    kept = np.flatnonzero((ks >= metric.first_k) & (moments.count > 0) & np.isfinite(values))
    again = None if noise is None else noise.take(kept).described()
    return Curve(metric, ks[kept], values[kept], moments.take(kept), None, again)


def _across_runs(metric: Metric, of_runs: RunFunction, runs: Moments, behind: Moments) -> Curve:
    """What is computed from the means of runs."""
    means = metric.scale * runs.mean
    filled = np.flatnonzero(np.isfinite(means))
    if len(filled) < 2:
        return _defined(metric, np.full(len(means), np.nan), behind)
    # Past the last run the first k are all runs; where positions have no score, k runs reach beyond k rollouts.
    reached = np.minimum(np.arange(len(means)), len(filled) - 1)
    return _defined(metric, of_runs(means[filled])[reached], behind.take(filled[reached]))


def _sums(
    metrics: Sequence[Metric], scored: Scored, no_answer: bool, with_noise: bool
) -> list[tuple[Moments, RunNoise | None]]:
    """What is left of the values of tasks for k = 1 … K, and of their variances over runs, by metric."""
    width = scored.longest
    sums = [_Sums(metric, width, with_noise and not no_answer) for metric in metrics]
    by_counts = [each for each in sums if each.metric.of_counts]
    pairs: list[Ints] = []
    for block in scored.blocks():
        if by_counts:
            pairs.append(_pairs(block, width))
        for each in sums:
            each.add_block(block, no_answer)
    for n, c, weights in _distinct(pairs, width):
        for each in by_counts:
            each.add_counts(n, c, weights)
    return [(each.moments + _of_empty(each.metric, scored, no_answer), each.noise) for each in sums]


class _Sums:
    """The sums over tasks of one metric."""

    def __init__(self, metric: Metric, width: int, with_noise: bool) -> None:
        self.metric = metric
        self.moments = Moments.empty(width)
        self._width = width
        has_noise = with_noise and (metric.again_of_counts or metric.again_of_block)
        # For values of k rollouts it takes twice as many; where k does not matter, two.
        needed = metric.again_needs * np.arange(1, width + 1) if metric.again_needs else np.full(width, 2)
        self.noise = RunNoise.none(needed) if has_noise else None

    def add_block(self, block: Block, no_answer: bool) -> None:
        """Add the tasks of a block whose value is not known by their counts."""
        block_of_others = _without_counted(self.metric, block)
        if block_of_others is None:
            return
        function: BlockFunction | None = (self.metric.of_no_answer if no_answer else None) or self.metric.of_block
        if function is None:
            return
        result = function(block_of_others)
        moments = Moments.of(result.values, result.rollouts)
        self.moments += moments.widened(self._width, carried=self.metric.carried)
        if self.noise is not None:
            counted = ~np.isnan(result.values)
            variances = np.full(counted.shape, np.nan)  # of other scores than 0 and 1, pass@k has none
            if self.metric.again_of_block:
                variances = self.metric.again_of_block(block_of_others).values
            noise = RunNoise.of(variances, block_of_others.n, self.noise.needed[: counted.shape[1]], counted=counted)
            self.noise += noise.widened(self.noise.needed, carried=self.metric.carried)

    def add_counts(self, n: Ints, c: Ints, weights: Ints) -> None:
        """Add tasks whose scores are all 0 or 1, by how many there are of each."""
        if self.metric.of_counts is None:
            return
        self.moments += Moments.of(self.metric.of_counts(n, c, self._width), n, weights)
        if self.noise is not None and self.metric.again_of_counts:
            variances = self.metric.again_of_counts(n, c, self._width)
            self.noise += RunNoise.of(variances, n, self.noise.needed, weights=weights)


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
        function = (metric.of_no_answer if no_answer else None) or metric.of_block
        others = _without_counted(metric, block)
        if function is not None and others is not None:
            tasks, result = others.tasks, function(others)
            values[tasks] = result.values[:, np.minimum(columns, width - 1)]
            if not metric.carried:
                values[np.ix_(tasks, columns >= width)] = np.nan
        if metric.of_counts:
            highest = max(ks)
            tasks, n, c = block.tasks[block.binary], block.n[block.binary], block.filled[block.binary].sum(axis=1)
            values[tasks] = metric.of_counts(n, c.astype(np.int64), highest)[:, columns]
    return values


def _without_counted(metric: Metric, block: Block) -> Block | None:
    """The tasks that a metric does not know by their counts; None if there are none."""
    if metric.of_counts is None:
        return block
    return None if block.binary.all() else block.take(~block.binary)


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
