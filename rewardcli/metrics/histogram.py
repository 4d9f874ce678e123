"""Histograms, which are computed only if somebody looks at them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Histogram"]


class Histogram:
    """The distribution of values in equal bins, computed when it is asked for.

    Args:
        values: Numbers; those that are not finite are left out.
        bins: How many bins.
    """

    def __init__(self, values: Any, bins: int = 64) -> None:
        numbers = np.asarray(values, dtype=np.float64)
        self._values = numbers[np.isfinite(numbers)]
        self._bins = bins

    def __repr__(self) -> str:
        return f"Histogram({len(self._values)} values, {self._bins} bins)"

    @cached_property
    def _binned(self) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        if not len(self._values):
            return np.zeros(self._bins, np.int64), np.linspace(0.0, 1.0, self._bins + 1)
        low, high = float(self._values.min()), float(self._values.max())
        # Bins narrower than floats can tell apart are widened until they can.
        least = 4 * self._bins * float(np.spacing(max(abs(low), abs(high), 1e-300)))
        if high / 2 - low / 2 < least / 2:
            center = low / 2 + high / 2
            width = max(least, 1.0 if low == high and abs(center) < 2**40 else least)
            low, high = max(center - width / 2, -1.7e308), min(center + width / 2, 1.7e308)
        # Of halves, since the whole range may be more than a float holds.
        edges = 2 * (low / 2 + (high / 2 - low / 2) / self._bins * np.arange(self._bins + 1))
        edges[-1] = high
        place = np.clip(np.searchsorted(edges, self._values, side="right") - 1, 0, self._bins - 1)
        return np.bincount(place, minlength=self._bins), edges

    @property
    def counts(self) -> NDArray[np.integer]:
        """How many values fall in each bin; shape (bins,)."""
        return self._binned[0]

    @property
    def edges(self) -> NDArray[np.floating]:
        """The edges of the bins, finite and not decreasing; shape (bins + 1,)."""
        return self._binned[1]

    def to_wandb(self) -> Any:
        """The same as a `wandb.Histogram`; needs `rewardcli[wandb]`."""
        import wandb

        return wandb.Histogram(np_histogram=(self.counts.tolist(), self.edges.tolist()))
