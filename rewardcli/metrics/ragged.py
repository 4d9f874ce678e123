"""Ragged arrays in blocks: the one loop over tasks, and the sums that are left of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats, Ints, Mask

__all__ = ["CELLS", "Block", "Curve", "add", "blocks", "longest"]

Number = TypeVar("Number", bound=np.number)

# Tasks are worked on in blocks of at most this many cells, so that memory does not grow with the data.
CELLS = 1 << 20


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric for k = 1 … K, as sums over tasks, which add up across tables.

    Attributes:
        total: Sum of the tasks' values; shape (K,).
        n_tasks: How many tasks count; shape (K,).
        n_rollouts: How many rollouts stand behind the value; shape (K,).
    """

    total: Floats
    n_tasks: Ints
    n_rollouts: Ints

    @property
    def mean(self) -> Floats:
        """Mean over the tasks that count; NaN where none does."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total / self.n_tasks

    @property
    def percent(self) -> Floats:
        """The mean in percent."""
        with np.errstate(over="ignore"):
            return 100.0 * self.mean


@dataclass(frozen=True, slots=True)
class Block:
    """Some tasks as rows of a matrix, padded at the right."""

    units: Ints
    starts: Ints
    lengths: Ints

    @property
    def columns(self) -> Ints:
        """The numbers of the columns."""
        return np.arange(int(self.lengths[-1]))

    @property
    def padded(self) -> bool:
        """Whether any task is shorter than the longest."""
        return bool(self.lengths[0] != self.lengths[-1])

    @property
    def inside(self) -> Mask:
        """By cell, whether it is a rollout rather than padding."""
        return self.columns < self.lengths[:, None]

    def of(self, values: NDArray[Number], padding: float = np.nan) -> NDArray[Number]:
        """The values of these tasks: not to be changed, since without padding they are the values themselves."""
        width, first = int(self.lengths[-1]), int(self.starts[0])
        if not self.padded and self.starts[-1] - first == width * (len(self.units) - 1):
            return values[first : first + width * len(self.units)].reshape(-1, width)
        inside = self.inside
        rows = np.where(inside, self.starts[:, None] + self.columns, first)
        return np.where(inside, values[rows], padding).astype(values.dtype, copy=False)


def blocks(starts: Ints) -> Iterator[Block]:
    """All tasks that have rollouts, in blocks of tasks of similar length, the shortest first.

    Padding at most doubles the cells.
    """
    lengths = np.diff(starts)
    units = (
        np.argsort(lengths, kind="stable")
        if len(lengths) and (lengths != lengths[0]).any()
        else np.arange(len(lengths))
    )
    units = units[np.searchsorted(lengths[units], 1) :]
    ordered = lengths[units]
    begin = 0
    while begin < len(units):
        end = int(np.searchsorted(ordered, 2 * ordered[begin], side="right"))
        end = begin + max(1, min(end - begin, CELLS // int(ordered[end - 1])))
        yield Block(units[begin:end], starts[units[begin:end]], ordered[begin:end])
        begin = end


def longest(starts: Ints) -> int:
    """The length K of the longest task."""
    return int(np.diff(starts).max(initial=0))


def add(total: NDArray[np.generic], by_k: NDArray[np.generic]) -> None:
    """Adds a block's sums for k = 1 … its width; a task that is shorter than k counts with all it has."""
    width = len(by_k)
    total[:width] += by_k  # type: ignore[misc]
    total[width:] += by_k[-1]  # type: ignore[misc]
