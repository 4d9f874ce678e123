"""Ragged arrays in blocks of tasks.

`values` has one score per rollout, NaN where it is missing; the rollouts of task `t` are those from `starts[t]` up to
`starts[t + 1]`, in the order in which "the first k" counts. In docstrings n is how many rollouts of a task have the
score, c how many of these are correct, k how many are drawn, K the length of the longest task, T how many tasks a block
has, and W the length of its longest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..arrays import Codes, Floats, Ints, Mask

__all__ = ["Block", "IndexBlock", "Scored", "TaskValues", "index_blocks"]

Number = TypeVar("Number", bound=np.number)

# Tasks are worked on in blocks: memory does not grow with the data. A block of so many cells fits a core's own cache;
# blocks of long tasks are larger, up to so many cells, since some metrics take a step per k and block.
CELLS, MOST_CELLS = 1 << 17, 1 << 20
_FEW_TASKS = 1 << 10


# --- blocks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IndexBlock:
    """Some groups of a ragged array as rows of a matrix, padded at the right.

    Attributes:
        groups: Which groups; shape (T,).
        starts: Where each begins; shape (T,).
        lengths: How long each is, ascending; shape (T,).
    """

    groups: Ints
    starts: Ints
    lengths: Ints

    @property
    def columns(self) -> Ints:
        """The numbers of the columns; shape (W,)."""
        return np.arange(int(self.lengths[-1]))

    @property
    def padded(self) -> bool:
        """Whether any group is shorter than the longest."""
        return bool(self.lengths[0] != self.lengths[-1])

    @property
    def inside(self) -> Mask:
        """Whether a cell holds a value rather than padding; shape (T, W)."""
        return self.columns < self.lengths[:, None]

    def of(self, values: NDArray[Number], padding: float = np.nan) -> NDArray[Number]:
        """The values of these groups; without padding they are a view, not to be changed."""
        width, first = int(self.lengths[-1]), int(self.starts[0])
        if not self.padded and self.starts[-1] - first == width * (len(self.groups) - 1):
            return values[first : first + width * len(self.groups)].reshape(-1, width)
        inside = self.inside
        rows = np.where(inside, self.starts[:, None] + self.columns, first)
        return np.where(inside, values[rows], padding).astype(values.dtype, copy=False)


def index_blocks(starts: Ints) -> Iterator[IndexBlock]:
    """All groups that have values, in blocks of groups of similar length, the shortest first.

    Padding at most doubles the cells.

    Args:
        starts: Where groups begin, and where the last ends; shape (groups + 1,).
    """
    lengths = np.diff(starts)
    groups = (
        np.argsort(lengths, kind="stable")
        if len(lengths) and (lengths != lengths[0]).any()
        else np.arange(len(lengths))
    )
    groups = groups[np.searchsorted(lengths[groups], 1) :]
    ordered = lengths[groups]
    begin = 0
    while begin < len(groups):
        end = int(np.searchsorted(ordered, 2 * ordered[begin], side="right"))
        width = int(ordered[end - 1])
        end = begin + max(1, min(end - begin, max(CELLS // width, min(_FEW_TASKS, MOST_CELLS // width))))
        yield IndexBlock(groups[begin:end], starts[groups[begin:end]], ordered[begin:end])
        begin = end


class Block:
    """Some tasks with one score and perhaps their answers, as rows of matrices.

    Attributes:
        tasks: Which tasks; shape (T,).
        inside: Whether a cell is a rollout rather than padding; shape (T, W).
        scores: NaN where a score is missing, and in padding; shape (T, W).
        answers: Codes of answers, -1 where there is none, and in padding; shape (T, W); None if answers do not count.
        whole: The score of all tasks; None if the block is all there is.
    """

    def __init__(
        self, tasks: Ints, inside: Mask, scores: Floats, answers: Codes | None = None, whole: Scored | None = None
    ) -> None:
        self.tasks = tasks
        self.inside = inside
        self.scores = scores
        self.answers = answers
        self.whole = whole

    def take(self, tasks: Mask) -> Block:
        """The block of some of the tasks."""
        answers = None if self.answers is None else self.answers[tasks]
        return Block(self.tasks[tasks], self.inside[tasks], self.scores[tasks], answers, self.whole)

    @cached_property
    def present(self) -> Mask:
        """Whether a rollout has the score; shape (T, W)."""
        return ~np.isnan(self.scores)

    @cached_property
    def seen(self) -> Ints:
        """How many of the first k rollouts have the score; shape (T, W)."""
        return np.cumsum(self.present, axis=1)

    @cached_property
    def n(self) -> Ints:
        """How many rollouts have the score; shape (T,)."""
        return self.seen[:, -1]

    @cached_property
    def filled(self) -> Floats:
        """The scores with 0 for those that are missing; shape (T, W)."""
        return self.scores if self.present.all() else np.where(self.present, self.scores, 0.0)

    @cached_property
    def binary(self) -> Mask:
        """Whether all scores of a task are 0 or 1; shape (T,)."""
        binary: Mask = ((self.filled == 0) | (self.filled == 1)).all(axis=1)
        return binary


@dataclass(frozen=True)
class Scored:
    """One score of all rollouts, by task.

    Attributes:
        values: Finite scores, NaN where one is missing; shape (rollouts,).
        starts: Where tasks begin; shape (tasks + 1,).
        answers: Codes of answers, -1 where there is none; shape (rollouts,); None if answers do not count.
    """

    values: Floats
    starts: Ints
    answers: Codes | None = None

    @property
    def n_tasks(self) -> int:
        """How many tasks there are, those without rollouts included."""
        return len(self.starts) - 1

    @property
    def longest(self) -> int:
        """The length K of the longest task."""
        return int(np.diff(self.starts).max(initial=0))

    @cached_property
    def counts(self) -> Ints:
        """How many rollouts of each task have the score; shape (tasks,)."""
        return np.diff(np.concatenate([[0], np.cumsum(~np.isnan(self.values))])[self.starts])

    @cached_property
    def levels(self) -> Floats:
        """The distinct scores, ascending; shape (levels,)."""
        return np.unique(self.values[~np.isnan(self.values)])

    @cached_property
    def bounded(self) -> bool:
        """Whether every score lies between 0 and 1."""
        return not (np.fmin.reduce(self.values, initial=0.0) < 0 or np.fmax.reduce(self.values, initial=1.0) > 1)

    def blocks(self) -> Iterator[Block]:
        """All tasks that have rollouts."""
        for block in index_blocks(self.starts):
            answers = None if self.answers is None else block.of(self.answers, -1)
            yield Block(block.groups, block.inside, block.of(self.values), answers, self)


# --- what a metric says of them --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskValues:
    """What a metric says of each task of a block for k = 1 … W.

    Attributes:
        values: NaN where the metric is undefined; shape (T, W).
        rollouts: How many rollouts stand behind each value; shape (T, W), or (T, 1) if that does not depend on k.
    """

    values: Floats
    rollouts: NDArray[np.integer] | Mask
