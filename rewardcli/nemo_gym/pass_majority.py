"""NeMo Gym's functions over lists of dicts: pass@k, majority@k, subsets, the highest k."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..analyses.records import metric_records
from ..arrays import Codes, Floats, Ints
from ..keys import canonical_answer, canonical_key, names_of
from ..metrics import DEFAULT_METRICS, NO_ANSWER, RUN_MEANS
from ..results import flat_metrics, highest_k
from .strict_json import finite_number

__all__ = [
    "add_avg_sample_std_dev",
    "compute_pass_majority_metrics",
    "compute_subset_metrics",
    "highest_k_metrics",
]

ScoreDicts = list[list[dict[str, float]]]
ScoreFn = Callable[[dict[str, Any]], Mapping[str, Any]]

# The spread that `add_avg_sample_std_dev` adds.
_ADDED = "avg_sample_std_dev"


def _accuracy(rollout: Mapping[str, Any]) -> dict[str, Any]:
    return {"accuracy": rollout["reward"]} if "reward" in rollout else {}


def _ragged(tasks: Sequence[Sequence[Any]]) -> Ints:
    return np.concatenate([[0], np.cumsum([len(rollouts) for rollouts in tasks])]).astype(np.int64)


def _score_arrays(all_score_dicts: ScoreDicts, names: Iterable[str]) -> dict[str, Floats]:
    flat = [scores for task in all_score_dicts for scores in task]
    return {name: np.array([scores.get(name, math.nan) for scores in flat], dtype=np.float64) for name in names}


def _answer_codes(tasks: Sequence[Sequence[Mapping[str, Any]]], field: str) -> Codes:
    index: dict[Hashable | None, int] = {None: -1}
    answers = [canonical_answer(rollout.get(field)) for rollouts in tasks for rollout in rollouts]
    return np.array([index.setdefault(answer, len(index) - 1) for answer in answers], dtype=np.int32)


def compute_pass_majority_metrics(
    tasks: Sequence[Sequence[dict[str, Any]]], score_fn: ScoreFn | None = None, answer_key: str | None = None
) -> tuple[dict[str, Any], ScoreDicts, list[str], int]:
    """pass@k, pass@1[avg-of-k], majority@k and their spread across runs, in percent.

    Args:
        tasks: By task, its rollouts, in the order in which "the first k" counts.
        score_fn: Gives the scores of a rollout by name, numbers or booleans; the default is its reward as `accuracy`.
            A score that is null or not a finite number is missing for that rollout.
        answer_key: The field of the answer; adds majority@k and the score `no_answer`.

    Returns:
        The metrics by key; by task and rollout, its scores; the sorted names of the scores; the length of
        the longest task.

    Source:
        `nemo_gym.reward_profile`.

    >>> compute_pass_majority_metrics([[{"reward": 1}, {"reward": 0}]])[0]["pass@1/accuracy"]
    50.0
    """
    if not tasks:
        return {}, [], [], 0
    score = score_fn or _accuracy
    all_score_dicts: ScoreDicts = []
    for rollouts in tasks:
        all_score_dicts.append([])
        for rollout in rollouts:
            scores = {
                name: number for name, value in score(rollout).items() if (number := finite_number(value)) is not None
            }
            if answer_key is not None:
                scores[NO_ANSWER] = int(canonical_answer(rollout.get(answer_key)) is None)
            all_score_dicts[-1].append(scores)
    score_names = sorted({name for task in all_score_dicts for scores in task for name in scores})
    answers = _answer_codes(tasks, answer_key) if answer_key is not None else None
    starts = _ragged(tasks)
    given = [name for name in score_names if answers is None or name != NO_ANSWER]
    rows = [metric for metric in DEFAULT_METRICS if metric.stat != _ADDED]
    arrays = _score_arrays(all_score_dicts, given)
    metrics = flat_metrics(metric_records(arrays, answers, starts, rows) if score_names else [])
    metrics.setdefault(RUN_MEANS, {})
    return metrics, all_score_dicts, score_names, int(np.diff(starts).max())


def add_avg_sample_std_dev(
    metrics: dict[str, Any], all_score_dicts: ScoreDicts, score_names: Sequence[str], max_k: int
) -> None:
    """Add, in place, the mean over tasks of the sample std of the first k scores, for k = 2 … max_k; not in percent.

    Args:
        metrics: The metrics to add to.
        all_score_dicts: As `compute_pass_majority_metrics` returns them.
        score_names: The scores' names.
        max_k: The highest k.
    """
    rows = [metric for metric in DEFAULT_METRICS if metric.stat == _ADDED]
    scores = _score_arrays(all_score_dicts, score_names)
    records = metric_records(scores, None, _ragged(all_score_dicts), rows)
    for k in range(2, max_k + 1):
        for name in score_names:
            # Beyond the longest task the first k are all there are.
            of_name = [record for record in records if record.key.score == name and record.key.k <= k]  # type: ignore[operator]
            if of_name:
                metrics[replace(of_name[-1].key, k=k).text] = of_name[-1].value


def compute_subset_metrics(
    tasks: Sequence[Sequence[dict[str, Any]]],
    subset_key: str,
    score_fn: ScoreFn | None = None,
    answer_key: str | None = None,
) -> dict[str, Any]:
    """The metrics of every subset of the tasks, under `value/metric-key`, without `per_sample_aggregate`.

    Args:
        tasks: By task, its rollouts.
        subset_key: The field that names the subset: a task belongs to the value of its first rollout that has one.
        score_fn: As for `compute_pass_majority_metrics`.
        answer_key: As for `compute_pass_majority_metrics`.
    """
    subsets: dict[Hashable, list[Sequence[dict[str, Any]]]] = {}
    for rollouts in tasks:
        values = (canonical_key(rollout.get(subset_key)) for rollout in rollouts)
        if (value := next((value for value in values if value is not None), None)) is not None:
            subsets.setdefault(value, []).append(rollouts)
    metrics: dict[str, Any] = {}
    for name, members in zip(names_of(list(subsets)), subsets.values(), strict=True):
        of_subset, _, _, _ = compute_pass_majority_metrics(members, score_fn, answer_key)
        metrics |= {f"{name}/{key}": value for key, value in of_subset.items() if key != RUN_MEANS}
    return metrics


def highest_k_metrics(
    agent_metrics: dict[str, Any],
    pattern: str,
    score_names: list[str] | None = None,
    exclude_names: list[str] | None = None,
) -> dict[str, Any]:
    """The entries whose key is the pattern, a slash and a score's name, at the single highest k.

    Args:
        agent_metrics: Metrics by key.
        pattern: A key with `{k}` for the number, such as `pass@1[avg-of-{k}]`.
        score_names: Scores to keep; None for all.
        exclude_names: Scores to drop.

    Raises:
        ValueError: The pattern has no `{k}`.
    """
    keys = highest_k(agent_metrics, pattern, score_names, exclude_names)
    return {key: agent_metrics[key] for key in keys}
