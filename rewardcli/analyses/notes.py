"""What may mislead a reader of the numbers: said once, with a count and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..arrays import Floats, Ints
from ..errors import plural
from ..keys import key_name
from ..listener import Listener
from ..results import Record
from ..rollouts import Labels, Rollouts
from ..scores import ScoreSpec

__all__ = ["note_agents", "note_differing_rollouts", "note_fewer_tasks", "note_other_scores"]

# A score so near to 0 or 1 is one of them, rounded.
_ROUNDING = 1e-6


def note_other_scores(
    specs: Sequence[ScoreSpec], scores: Mapping[str, Floats], measured: Rollouts, listener: Listener
) -> None:
    """Note scores other than 0 and 1, of which pass@k is the best of the first k and not a rate of success."""
    for spec in specs:
        values = scores[spec.name]
        other = np.flatnonzero(~np.isnan(values) & (values != 0) & (values != 1))
        if not len(other) or spec.conditions:
            continue
        present = values[~np.isnan(values)]
        low, high = float(present.min()), float(present.max())
        is_rounded = bool((np.minimum(np.abs(values[other]), np.abs(values[other] - 1)) < _ROUNDING).all())
        tasks = len(np.unique(np.searchsorted(measured.starts, other, "right")))
        threshold = ">=0.5" if is_rounded else ">0" if low < 0 else f">={max(high, 1.0):g}"
        near = ", a rounding away from one of them" if is_rounded else f" ({low:.6g} to {high:.6g})"
        listener.note(
            "score-not-binary",
            f"{spec.name}: {len(other)} of {plural(len(present), 'rollout')} ({plural(tasks, 'task')})"
            f" {'is' if len(other) == 1 else 'are'} neither 0 nor 1{near}: pass@k of such a task is the best of its"
            f" first k; {{score={spec.name}={spec.numbers[0]}{threshold}}} makes a pass rate of it",
        )


def note_agents(measured: Rollouts, listener: Listener) -> None:
    """Note that rollouts of several agents are counted together."""
    agents = len(np.unique(measured.agents.codes[np.diff(measured.starts) > 0]))
    if agents > 1:
        listener.note(
            "agents-pooled", f"{agents} agents are pooled: {{agent}} keeps one, subsets with {{by=agent}} shows each"
        )


def note_differing_rollouts(field: str, by_row: Labels, measured: Rollouts, listener: Listener) -> None:
    """Note tasks whose rollouts belong to several subsets, of which only the first counts."""
    differs = _tasks_that_differ(by_row, measured.starts)
    if not len(differs):
        return
    begin, end = measured.starts[differs[0] : differs[0] + 2]
    values = dict.fromkeys(by_row.codes[begin:end].tolist())
    example = ", ".join(key_name(by_row.values[code]) for code in values if code >= 0)
    task = key_name(measured.tasks.values[measured.tasks.codes[differs[0]]])
    listener.note(
        "rollouts-differ",
        f"{len(differs)} of {len(measured.starts) - 1} tasks have rollouts that differ in '{field}' (task {task}:"
        f" {example}): each counts where its first rollout does; {{agent_key={field}}} keeps them apart",
    )


def _tasks_that_differ(by_row: Labels, starts: Ints) -> Ints:
    codes = by_row.codes
    changes = np.concatenate([[0], np.cumsum(codes[1:] != codes[:-1])]) if len(codes) else np.zeros(0, np.int64)
    filled = np.flatnonzero(np.diff(starts))
    differs: Ints = filled[changes[starts[filled]] != changes[starts[filled + 1] - 1]]
    return differs


def note_fewer_tasks(records: Iterable[Record], listener: Listener) -> None:
    """Note where pass@k is over fewer tasks as k grows: values at different k are then of different tasks."""
    counts: dict[tuple[str, str], dict[int | None, int | None]] = {}
    for record in records:
        if record.key.metric == "pass@k":
            counts.setdefault((record.key.subset, record.key.score), {})[record.key.k] = record.n_tasks
    for (subset, score), by_k in counts.items():
        (first, most), (last, least) = next(iter(by_k.items())), list(by_k.items())[-1]
        if most != least:
            where = f"{subset}/" if subset else ""
            listener.note(
                "fewer-tasks-as-k-grows",
                f"{where}pass@k/{score} is over fewer tasks as k grows ({most} at k={first}, {least} at k={last}):"
                " a task with fewer than k rollouts does not count",
            )
