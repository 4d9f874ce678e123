"""What `ng_perf`, NeMo Gym's record of what a rollout cost, says of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import Floats
from ..reader import column_of
from ..rollouts import NAN, Column, Rollouts

__all__ = ["PERF", "Summary", "perf_of_dicts", "perf_of_rollouts"]

PERF = "ng_perf"
_TOKENS = ("prompt_tokens", "cached_prompt_tokens", "completion_tokens", "reasoning_tokens")
_TURNS, _LATENCY, _COVERAGE = "num_turns", "total_latency_ms", "token_observability_coverage"

Summary = dict[str, int | float]


def perf_of_dicts(responses: Sequence[dict[str, Any]]) -> Summary | None:
    """Summarize the `ng_perf` of responses; None if none has one."""
    records = [record for response in responses if isinstance(record := response.get(PERF), dict)]
    names = (*_TOKENS, _TURNS, _LATENCY, _COVERAGE)
    columns = {name: column_of([record.get(name) for record in records]) for name in names}
    return _summary(columns, len(records), len(responses))


def perf_of_rollouts(rollouts: Rollouts) -> Summary | None:
    """Summarize the `ng_perf` of rollouts that were read with it; None if none has a number there."""
    prefix = f"{PERF}."
    columns = {name.removeprefix(prefix): column for name, column in rollouts.nested.items() if name.startswith(prefix)}
    has_record = np.zeros(len(rollouts), np.bool_)
    for column in columns.values():
        has_record |= column.dense().states >= NAN
    return _summary(columns, int(has_record.sum()), len(rollouts))


def _summary(columns: Mapping[str, Column | None], n_records: int, n_responses: int) -> Summary | None:
    """Summarize records of which each has a row in the columns; one that has no number in a field does not count."""
    if not n_records:
        return None
    values = {name: column.dense().values for name, column in columns.items() if column is not None}
    values = {name: numbers for name, numbers in values.items() if np.isfinite(numbers).any()}
    covered = np.count_nonzero(values[_COVERAGE] > 0) if _COVERAGE in values else 0
    summary: Summary = {
        "overall_observability_coverage": n_records / n_responses,
        _COVERAGE: int(covered) / n_responses,
    }
    for name in _TOKENS:
        if name in values:
            tokens = _finite(values[name])
            summary |= _center(name, tokens) | {f"total_{name}": _plain(tokens.sum())}
    if _TURNS in values:
        turns = _finite(values[_TURNS])
        summary |= _center(_TURNS, turns)
        summary |= {
            f"std_{_TURNS}": float(turns.std()),
            f"min_{_TURNS}": _plain(turns.min()),
            f"p90_{_TURNS}": float(np.quantile(turns, 0.9)),
            f"max_{_TURNS}": _plain(turns.max()),
        }
    if _TURNS in values and "completion_tokens" in values:
        turns, tokens = values[_TURNS], values["completion_tokens"]
        ratios = _finite(tokens[turns > 0] / turns[turns > 0])
        summary |= _center("tokens_per_turn", ratios) if len(ratios) else {}
    if _LATENCY in values:
        latency = _finite(values[_LATENCY])
        for percent in (50, 90, 99):
            summary[f"total_latency_p{percent}_ms"] = float(np.quantile(latency, percent / 100))
        summary["total_latency_mean_ms"] = float(latency.mean())
    return summary


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _center(name: str, values: Floats) -> Summary:
    return {f"mean_{name}": float(values.mean()), f"median_{name}": float(np.median(values))}


def _plain(number: float) -> int | float:
    """The number, whole numbers as ints."""
    return int(number) if float(number).is_integer() else float(number)
