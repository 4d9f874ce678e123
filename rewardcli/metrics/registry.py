"""Which metrics there are. Each has a row beside the function that computes it, and stands nowhere else.

Keys, the names that the command line offers, headings, docs/metrics.md and the tests go through these rows.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import bayes, draws, passing, plurality, runs, voting
from .metric import Metric

__all__ = ["DEFAULT_METRICS", "REGISTRY", "metrics_named"]


def _order(metric: Metric) -> tuple[int, bool]:
    """Where a metric stands among keys and columns: values, the means of runs, what comes of these, other spreads."""
    section = 2 + (metric.of_runs is None) if metric.stat else int(metric.name == runs.RUN_MEANS)
    return section, not metric.default


_FAMILIES = (passing, voting, draws, plurality, bayes, runs)
REGISTRY: tuple[Metric, ...] = tuple(sorted((row for family in _FAMILIES for row in family.METRICS), key=_order))

# Those computed unless others are asked for: NeMo Gym's.
DEFAULT_METRICS = tuple(row for row in REGISTRY if row.default)


def metrics_named(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names with their spreads, in the order of the registry; "all" stands for every one.

    Where the name in the registry has a τ, a number stands for it (`g-pass@k[0.5]`), or else it is one half.

    Raises:
        KeyError: There is no metric of a name; its argument is the name.
    """
    chosen: dict[str, Metric] = {}
    for name in names:
        matching = [metric for row in REGISTRY if (metric := _matching(row, name)) is not None]
        if not matching:
            raise KeyError(name)
        chosen |= {f"{metric.name}/{metric.stat}": metric for metric in matching}
    return sorted(chosen.values(), key=_order)


def _matching(row: Metric, name: str) -> Metric | None:
    """The row if a name means it, with the number that the name has for τ; None if it does not."""
    before, tau, after = row.name.partition("τ")
    if name in {"all", row.name}:
        return row.at("0.5") if tau else row
    share = name.removeprefix(before).removesuffix(after)
    if not tau or f"{before}{share}{after}" != name:
        return None
    try:
        return row.at(share)
    except (ValueError, ZeroDivisionError):
        return None
