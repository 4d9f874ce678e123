"""Tasks that come in families: what a mean is worth where the tasks of a cluster resemble each other."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats, Ints, Mask
from ..metrics.moments import Moments
from .distributions import normal_quantile, t_quantile

__all__ = ["Clusters", "cluster_codes"]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Sums by cluster of the task values of K statistics; those of disjoint sets of tasks add up with `+`.

    Attributes:
        count: How many tasks of each cluster have a value; shape (clusters, K).
        total: Σx by cluster; shape (clusters, K).
    """

    count: Ints
    total: Floats

    @classmethod
    def of(cls, values: ArrayLike, codes: ArrayLike, n_clusters: int | None = None) -> Clusters:
        """The sums of task values.

        Args:
            values: One row per task, NaN where a task has no value; shape (tasks, K) or (tasks,).
            codes: The cluster of each task, 0 or more; shape (tasks,).
            n_clusters: How many clusters there are in all, so that sums of several sets of tasks can be added.
        """
        table = np.asarray(values, dtype=np.float64)
        table = table[:, None] if table.ndim == 1 else table
        rows = np.asarray(codes, dtype=np.int64)
        present = ~np.isnan(table)
        shape = (int(rows.max(initial=-1)) + 1 if n_clusters is None else n_clusters, table.shape[1])
        count, total = np.zeros(shape, np.int64), np.zeros(shape)
        np.add.at(count, rows, present)
        np.add.at(total, rows, np.where(present, table, 0.0))
        return cls(count, total)

    def __add__(self, other: Clusters) -> Clusters:
        if self.count.shape != other.count.shape:
            raise ValueError(f"clusters of shape {self.count.shape} and {other.count.shape} do not add up")
        return Clusters(self.count + other.count, self.total + other.total)

    @property
    def number(self) -> Ints:
        """G, the clusters with a task that has a value; shape (K,)."""
        return np.asarray((self.count > 0).sum(axis=0), dtype=np.int64)

    @property
    def singletons(self) -> Mask:
        """Whether each cluster has a single task, so that there is nothing to correct for; shape (K,)."""
        return np.asarray(self.count.max(axis=0, initial=0) <= 1, dtype=np.bool_)

    @property
    def largest_share(self) -> Floats:
        """The share of the tasks that the largest cluster holds; NaN without tasks; shape (K,)."""
        tasks = self.count.sum(axis=0)
        return np.where(tasks > 0, self.count.max(axis=0, initial=0) / np.maximum(tasks, 1), np.nan)

    @property
    def variance(self) -> Floats:
        """Variance of the mean by the jackknife over clusters, CV3.

        V = (G − 1)/G · Σ_g (y_g / (N − N_g))² with y_g = Σ_{i in g} (x_i − mean). With one task per cluster it is s²/N.

        Returns:
            In squared units of the values; NaN where G < 2; shape (K,).

        Source:
            MacKinnon, Nielsen & Webb 2023, Fast and reliable jackknife methods for cluster-robust inference.
        """
        tasks, number = self.count.sum(axis=0), self.number
        mean = self.total.sum(axis=0) / np.maximum(tasks, 1)
        apart = self.total - self.count * mean
        left = np.where(number > 1, tasks - self.count, 1)
        spread = ((apart / left) ** 2).sum(axis=0) * (number - 1) / np.maximum(number, 1)
        return np.where(number > 1, spread, np.nan)

    @property
    def standard_error(self) -> Floats:
        """√V; NaN where G < 2 or where all clusters have one mean; shape (K,)."""
        means = Moments.of(np.where(self.count > 0, self.total / np.maximum(self.count, 1), np.nan))
        return np.where(means.same, np.nan, np.sqrt(self.variance))

    def effective_share(self, variance: Floats, tasks: Ints, confidence: float) -> Floats:
        """By how much the clusters shrink the number of tasks, and the sums over them, that an interval may count on.

        f = (z / t_{G−1})² / max(1, V / V₀), where V₀ = s²/N is the variance without clusters. Where all tasks have one
        value, f = (z / t_{G−1})² · G/N. Where each cluster has one task, f = 1.

        Args:
            variance: s², the sample variance of the task values; shape (K,).
            tasks: N; shape (K,).
            confidence: Between 0 and 1.

        Returns:
            f, at most 1; NaN where G < 2; shape (K,).
        """
        number = self.number
        z = normal_quantile((1.0 + confidence) / 2.0)
        ratio = (z / t_quantile(number - 1.0, (1.0 + confidence) / 2.0)) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            effect = np.where(variance > 0, self.variance * tasks / variance, tasks / np.maximum(number, 1))
        return np.where(self.singletons, 1.0, ratio / np.maximum(effect, 1.0))


def cluster_codes(labels: Iterable[Hashable]) -> Ints:
    """Numbers 0, 1, … for labels in the order in which they first appear.

    >>> cluster_codes(["algebra", "geometry", "algebra"]).tolist()
    [0, 1, 0]
    """
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(label, len(codes)) for label in labels], dtype=np.int64)
