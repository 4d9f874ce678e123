"""pass@k, majority@k and their spread: from a table, and from NeMo Gym's lists of dicts."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import metrics as m
from .errors import UsageError
from .results import PER_SAMPLE, Record, Stat, flat_metrics, highest_k
from .table import ABSENT, Column, Labels, RolloutTable, canonical_key, names_of
from .table import answer_key as canonical_answer

__all__ = [
    "NO_ANSWER",
    "ScoreSpec",
    "add_avg_sample_std_dev",
    "compute_pass_majority_metrics",
    "compute_subset_metrics",
    "highest_k_metrics",
    "pass_majority_records",
    "subset_records",
    "table_records",
]

NO_ANSWER = "no_answer"
Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Ints = NDArray[np.int64]

ScoreDicts = list[list[dict[str, float]]]
ScoreFn = Callable[[dict[str, Any]], Mapping[str, Any]]


# --- scores ---------------------------------------------------------------------------------------------------------

_COMPARISONS: dict[str, Callable[[Floats, float], Any]] = {
    ">=": np.greater_equal,
    "<=": np.less_equal,
    "==": np.equal,
    ">": np.greater,
    "<": np.less,
}
_COMPARISON = re.compile(r"(?P<field>.+?)\s*(?P<operator>>=|<=|==|>|<)\s*(?P<threshold>[^<>=]+)")


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """A named score: a numeric field, or whether it passes a threshold."""

    name: str
    field: str
    operator: str = ""
    threshold: float = math.nan

    @staticmethod
    def parse(text: str) -> ScoreSpec:
        """Reads `NAME`, `NAME=FIELD` or `NAME=FIELD>=VALUE` (also `>`, `<`, `<=`, `==`).

        Raises:
            UsageError: The text is none of these.

        >>> ScoreSpec.parse("solved=reward>=0.5")
        ScoreSpec(name='solved', field='reward', operator='>=', threshold=0.5)
        """
        form = "write NAME, NAME=FIELD or NAME=FIELD>=VALUE"
        equals = re.search(r"(?<![<>=])=(?!=)", text)
        if equals is None:
            if re.search(r"[<>=]", text):
                raise UsageError(
                    f"the score '{text}' has no name", f"write --score 'NAME={text}', for example 'solved={text}'"
                )
            name, source = text, text
        else:
            name, source = text[: equals.start()].strip(), text[equals.end() :].strip()
        if not name or not source:
            raise UsageError(f"the score '{text}' is incomplete", form)
        comparison = _COMPARISON.fullmatch(source)
        if comparison is None or re.search(r"[<>=]", comparison["field"]):
            if equals is not None and re.search(r"[<>=]", source):
                raise UsageError(f"the score '{text}' cannot be read", form)
            return ScoreSpec(name, source)
        try:
            threshold = {"true": 1.0, "false": 0.0}.get(comparison["threshold"].strip()) or float(
                comparison["threshold"]
            )
        except ValueError:
            threshold = 0.0 if comparison["threshold"].strip() == "false" else math.nan
        if math.isnan(threshold):
            raise UsageError(f"the score '{text}' compares with '{comparison['threshold']}', which is no number", form)
        return ScoreSpec(name, comparison["field"], comparison["operator"], threshold)

    def column(self, table: RolloutTable) -> Column:
        """The field: at the top level, and in `response.usage` only where it is absent there."""
        nothing = Column.absent(table.n_rollouts)
        top, usage = (columns.get(self.field, nothing).dense() for columns in (table.numbers, table.usage))
        return top.choose(top.kinds != ABSENT, usage)

    def values(self, table: RolloutTable) -> Floats:
        """The score by row; NaN where it is missing."""
        values = self.column(table).values
        if not self.operator:
            return values
        with np.errstate(invalid="ignore"):
            passed = _COMPARISONS[self.operator](values, self.threshold)
        return np.where(np.isnan(values), np.nan, passed.astype(np.float64))


# --- records --------------------------------------------------------------------------------------------------------


def _over_k(
    metric: str, score: str, curve: m.Curve, values: Floats, stat: Stat = "", first: int = 1
) -> dict[int, Record]:
    """By k, the record of a curve; none where no task counts."""
    return {
        k: Record(metric, k, score, value, stat, n_tasks=tasks, n_rollouts=rollouts)
        for k, (value, tasks, rollouts) in enumerate(
            zip(values.tolist(), curve.n_tasks.tolist(), curve.n_rollouts.tolist(), strict=True), 1
        )
        if k >= first and tasks and math.isfinite(value)
    }


@np.errstate(over="ignore", invalid="ignore")  # what overflows is undefined, and has no record
def pass_majority_records(scores: Mapping[str, Floats], answers: Codes | None, starts: Ints) -> list[Record]:
    """Every number of `compute_pass_majority_metrics`, in its order, then `avg_sample_std_dev`.

    Args:
        scores: By name, the score of every rollout, NaN where it is missing.
        answers: By rollout, the code of its answer, -1 for none; None if answers do not count.
        starts: The rollouts of task t are `starts[t]` up to `starts[t + 1]`.
    """
    scores = dict(scores)
    if answers is not None:
        scores[NO_ANSWER] = (answers < 0).astype(np.float64)
    names = sorted(scores)
    longest = int(np.diff(starts).max(initial=0))
    plain: list[dict[int, Record]] = []
    runs: list[Record] = []
    across: list[dict[int, Record]] = []
    within: list[dict[int, Record]] = []
    for name in names:
        values = scores[name]
        first_k = m.mean_of_first_k(values, starts)
        at_k = m.pass_at_k(values, starts)
        plain.append(_over_k("pass@k", name, at_k, at_k.percent))
        plain.append(_over_k("pass@1[avg-of-k]", name, first_k, first_k.percent))
        if answers is not None:
            plain.append(_majority(name, values, answers, starts))
        by_run = m.mean_by_position(values, starts)
        filled = np.flatnonzero(np.isfinite(by_run.percent))
        means = by_run.percent[filled]
        runs += [
            Record(
                PER_SAMPLE,
                int(position) + 1,
                name,
                value,
                n_tasks=int(by_run.n_tasks[position]),
                n_rollouts=int(by_run.n_rollouts[position]),
            )
            for position, value in zip(filled, means.tolist(), strict=True)
        ]
        if len(means) > 1:
            # Past the last run the first k are all runs; where positions have no score, k runs reach beyond k rollouts.
            reached = np.minimum(np.arange(longest), len(means) - 1)
            behind = m.Curve(first_k.total, first_k.n_tasks[filled[reached]], first_k.n_rollouts[filled[reached]])
            for stat, spread in zip(
                ("std_dev_across_runs", "std_err_across_runs"), m.std_across_runs(means), strict=True
            ):
                across.append(_over_k("pass@1[avg-of-k]", name, behind, spread[reached], stat, first=2))  # type: ignore[arg-type]
        prefix = m.prefix_std(values, starts)
        within.append(_over_k("pass@1[avg-of-k]", name, prefix, prefix.mean, "avg_sample_std_dev", first=2))

    def by_k(columns: list[dict[int, Record]]) -> list[Record]:
        return [column[k] for k in range(1, longest + 1) for column in columns if k in column]

    return [*by_k(plain), *runs, *by_k(across), *by_k(within)]


def _majority(name: str, values: Floats, answers: Codes, starts: Ints) -> dict[int, Record]:
    if name == NO_ANSWER:
        curve = m.answered_at_k(answers, starts)
        return _over_k("majority@k", name, curve, 100.0 - curve.percent)
    curve = m.majority_at_k(values, answers, starts)
    return _over_k("majority@k", name, curve, curve.percent)


def table_records(table: RolloutTable, scores: Sequence[ScoreSpec], answer: str | None) -> list[Record]:
    """The records of a table of measured rollouts.

    Args:
        table: Rollouts without masked ones.
        scores: The scores.
        answer: The field of the answer, if answers count.
    """
    answers = table.labels[answer].codes if answer is not None else None
    return pass_majority_records({spec.name: spec.values(table) for spec in scores}, answers, table.starts)


def subset_records(table: RolloutTable, scores: Sequence[ScoreSpec], answer: str | None, by: Labels) -> list[Record]:
    """The records of every subset, without `per_sample_aggregate`.

    Args:
        table: Rollouts without masked ones.
        scores: The scores.
        answer: The field of the answer, if answers count.
        by: By unit, the subset it belongs to.
    """
    names = names_of(by.values)
    # The units of each subset, one subset after the other, and their rows: a subset is then a slice of every array.
    units = np.argsort(by.codes, kind="stable")
    lengths = np.diff(table.starts)[units]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(starts[-1]) + np.repeat(table.starts[units] - starts[:-1], lengths)
    bounds = np.searchsorted(by.codes[units], np.arange(len(names) + 1))
    values = {spec.name: spec.values(table)[rows] for spec in scores}
    answers = table.labels[answer].codes[rows] if answer is not None else None
    records = []
    for code in dict.fromkeys(by.codes[by.codes >= 0].tolist()):
        own = starts[bounds[code] : bounds[code + 1] + 1]
        part = slice(own[0], own[-1])
        found = pass_majority_records(
            {name: score[part] for name, score in values.items()},
            None if answers is None else answers[part],
            own - own[0],
        )
        records += [_in_subset(record, names[code]) for record in found if record.metric != PER_SAMPLE]
    return records


def _in_subset(record: Record, subset: str) -> Record:
    return Record(
        record.metric,
        record.k,
        record.score,
        record.value,
        record.stat,
        subset,
        record.agent,
        record.n_tasks,
        record.n_rollouts,
    )


# --- NeMo Gym's functions -------------------------------------------------------------------------------------------


def _accuracy(rollout: Mapping[str, Any]) -> dict[str, Any]:
    return {"accuracy": rollout["reward"]} if "reward" in rollout else {}


def _score_of(value: Any) -> float | None:
    """A score as a number, None where it is missing."""
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        return None
    return value  # type: ignore[return-value]


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
            found = {name: number for name, value in score(rollout).items() if (number := _score_of(value)) is not None}
            if answer_key is not None:
                found[NO_ANSWER] = int(canonical_answer(rollout.get(answer_key)) is None)
            all_score_dicts[-1].append(found)
    score_names = sorted({name for task in all_score_dicts for scores in task for name in scores})
    answers = _answer_codes(tasks, answer_key) if answer_key is not None else None
    starts = _ragged(tasks)
    given = [name for name in score_names if answers is None or name != NO_ANSWER]
    records = pass_majority_records(_score_arrays(all_score_dicts, given), answers, starts) if score_names else []
    metrics = flat_metrics([record for record in records if record.stat != "avg_sample_std_dev"])
    metrics.setdefault(PER_SAMPLE, {})
    return metrics, all_score_dicts, score_names, int(np.diff(starts).max())


def add_avg_sample_std_dev(
    metrics: dict[str, Any], all_score_dicts: ScoreDicts, score_names: Sequence[str], max_k: int
) -> None:
    """Adds, in place, the mean over tasks of the sample std of the first k scores, for k = 2 … max_k; not in percent.

    Args:
        metrics: The metrics to add to.
        all_score_dicts: As `compute_pass_majority_metrics` returns them.
        score_names: The scores' names.
        max_k: The highest k.
    """
    starts = _ragged(all_score_dicts)
    curves = {
        name: m.prefix_std(values, starts) for name, values in _score_arrays(all_score_dicts, score_names).items()
    }
    for k in range(2, max_k + 1):
        for name, curve in curves.items():
            at = min(k, len(curve.total)) - 1
            if at >= 0 and curve.n_tasks[at]:
                metrics[Record("pass@1[avg-of-k]", k, name, 0.0, "avg_sample_std_dev").key] = float(curve.mean[at])


def compute_subset_metrics(
    tasks: Sequence[Sequence[dict[str, Any]]],
    subset_key: str,
    score_fn: ScoreFn | None = None,
    answer_key: str | None = None,
) -> dict[str, Any]:
    """The metrics of every subset of the tasks, under `value/metric-key`, without `per_sample_aggregate`.

    Args:
        tasks: By task, its rollouts.
        subset_key: The field that names the subset: a task belongs to the value its first rollout has.
        score_fn: As for `compute_pass_majority_metrics`.
        answer_key: As for `compute_pass_majority_metrics`.
    """
    subsets: dict[Hashable, list[Sequence[dict[str, Any]]]] = {}
    for rollouts in tasks:
        value = canonical_key(rollouts[0].get(subset_key)) if rollouts else None
        if value is not None:
            subsets.setdefault(value, []).append(rollouts)
    metrics: dict[str, Any] = {}
    for name, members in zip(names_of(list(subsets)), subsets.values(), strict=True):
        found, _, _, _ = compute_pass_majority_metrics(members, score_fn, answer_key)
        metrics |= {f"{name}/{key}": value for key, value in found.items() if key != PER_SAMPLE}
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
    return highest_k(agent_metrics, pattern, score_names, exclude_names)
