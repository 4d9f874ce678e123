"""Which metrics there are. Each has a row beside the function that computes it, and stands nowhere else.

Keys, the names that the command line offers, headings, docs/metrics.md and the tests go through these rows.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import passing, runs, voting
from .metric import Metric

__all__ = ["DEFAULT_METRICS", "REGISTRY", "metrics_named"]


def _order(metric: Metric) -> tuple[int, bool]:
    """Where a metric stands among keys and columns: values, the means of runs, what comes of these, other spreads."""
    section = 2 + (metric.of_runs is None) if metric.stat else int(metric.name == runs.RUN_MEANS)
    return section, not metric.default


REGISTRY: tuple[Metric, ...] = tuple(sorted((*passing.METRICS, *voting.METRICS, *runs.METRICS), key=_order))

# Those computed unless others are asked for: NeMo Gym's.
DEFAULT_METRICS = tuple(row for row in REGISTRY if row.default)


def metrics_named(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names with their spreads, in the order of the registry; "all" stands for every one.

    Raises:
        KeyError: There is no metric of a name; its argument is the name.
    """
    names = list(names)
    if unknown := next((name for name in names if name != "all" and all(row.name != name for row in REGISTRY)), None):
        raise KeyError(unknown)
    return [row for row in REGISTRY if "all" in names or row.name in names]
