"""A column of keys: tasks, rollout indices, agents, answers, subset values."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Codes
from ..keys import sorting_orders

__all__ = ["Labels"]


@dataclass(slots=True)
class Labels:
    """A column of keys: a code by row (-1 where there is none) into the distinct values."""

    codes: Codes
    values: list[Hashable]
    present: bool = True  # whether any row has the field at all, be it null

    @staticmethod
    def none(length: int) -> Labels:
        """Labels of rows that have none."""
        return Labels(np.full(length, -1, np.int32), [], present=False)

    def take(self, rows: Any) -> Labels:
        """The same labels for some of the rows."""
        return Labels(self.codes[rows], self.values, self.present)

    @staticmethod
    def concat(parts: Sequence[Labels]) -> Labels:
        """Put labels below each other."""
        index: dict[Hashable, int] = {}
        codes = [np.empty(0, np.int32)]
        for part in parts:
            # The appended -1 is what code -1 picks.
            joint = np.array([*(index.setdefault(value, len(index)) for value in part.values), -1], dtype=np.int32)
            codes.append(joint[part.codes])
        return Labels(np.concatenate(codes), list(index), any(part.present for part in parts))

    def filled(self, value: Hashable) -> Labels:
        """The same labels, with a value where there was none."""
        if not (self.codes < 0).any():
            return self
        joint = Labels.concat([Labels(np.zeros(1, np.int32), [value]), self])
        return Labels(np.where(self.codes < 0, joint.codes[0], joint.codes[1:]), joint.values, self.present)

    def over(self, other: Labels) -> Labels:
        """These labels, and where there is none the other's."""
        joint = Labels.concat([self, other])
        first, second = np.split(joint.codes, 2)
        return Labels(np.where(first >= 0, first, second), joint.values, joint.present)

    @staticmethod
    def sorted(*columns: Labels) -> list[Labels]:
        """The same labels, with the values in sorting order, so that codes compare as their values do."""
        ordered = []
        for labels, order in zip(columns, sorting_orders([labels.values for labels in columns]), strict=True):
            ranks = np.full(len(order) + 1, -1, dtype=np.int32)
            ranks[order] = np.arange(len(order))
            ordered.append(Labels(ranks[labels.codes], [labels.values[i] for i in order], labels.present))
        return ordered
