"""Aggregate metrics of a run: its profile as one agent, and what an environment's hooks add."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..analyses.profile import Profile
from ..arrays import Codes
from ..completion import completion_of
from ..keys import canonical_key
from ..reader import rollouts_of_dicts
from ..rollouts import Rollouts
from .dicts import TASK_KEY, Tasks, group_by_task, grouped, with_task
from .models import AggregateMetrics, AggregateMetricsRequest
from .perf import Summary, perf_of_dicts
from .rows import TaskRows, as_dicts, coverage_keys, mean_estimates, repeat_columns, spread_rows, statistic_keys
from .spelling import in_nemo_gym_words
from .strict_json import finite_number, strict

__all__ = [
    "AggregateMetricsMixin",
    "HookExitError",
    "Hooks",
    "aggregate_rollouts",
    "compute_aggregate_metrics",
    "hooks_of",
]

PER_TASK = "per_task_metrics"

Metrics = dict[str, Any]
ComputeMetrics = Callable[[Tasks], Metrics]
KeyMetrics = Callable[[Metrics], Metrics]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hooks:
    """What an environment computes beyond the profile; None for what it does not.

    Attributes:
        compute_metrics: Given the measured rollouts by task, more metrics.
        get_key_metrics: Given all metrics, the headline.
        compute_repeat_metrics: Given the measured rollouts of one repeat by task, metrics of that repeat.
    """

    compute_metrics: ComputeMetrics | None = None
    get_key_metrics: KeyMetrics | None = None
    compute_repeat_metrics: ComputeMetrics | None = None

    @property
    def need_rows(self) -> bool:
        """Whether any of them is given rollouts."""
        return self.compute_metrics is not None or self.compute_repeat_metrics is not None


def _means(agent_metrics: Metrics) -> Metrics:
    return {key: value for key, value in agent_metrics.items() if key.startswith("mean/")}


# --- one agent ------------------------------------------------------------------------------------------------------


def aggregate_rollouts(
    rollouts: Rollouts,
    rows: Callable[[], Sequence[dict[str, Any]]],
    hooks: Hooks,
    perf_summary: Summary | None = None,
) -> dict[str, Any]:
    """The aggregate metrics of rollouts of one agent.

    Args:
        rollouts: The rollouts.
        rows: Gives the measured ones as dicts, in the order of the rollouts; called only for hooks.
        hooks: What to compute beyond the profile.
        perf_summary: What the run cost.

    Returns:
        The fields of `AggregateMetrics`, as strict JSON can hold them.
    """
    profile = Profile(rollouts, completion_of(rollouts))
    measured, (agent,) = profile.measured, profile.agents
    dicts = rows() if hooks.need_rows else []
    groups = as_dicts(TaskRows(profile).columns(as_dicts), rollouts.n_tasks)
    custom = dict(hooks.compute_metrics(grouped(measured, dicts)) or {}) if hooks.compute_metrics else {}
    _merge_into_groups(groups, rollouts, custom.pop(PER_TASK, None) or [])
    repeat_rows, across = _repeats(profile, dicts, hooks.compute_repeat_metrics, custom)
    coverage = coverage_keys(agent)
    n_repeats = len(np.unique(measured.indices.codes))
    counted = {"num_repeats": n_repeats} if n_repeats else {}
    agent_metrics = {**statistic_keys(agent), **across, **counted, **coverage, **custom}
    key_metrics = (hooks.get_key_metrics or _means)(agent_metrics) if n_repeats else {}
    fields = {
        "group_level_metrics": groups,
        "agent_metrics": agent_metrics,
        "key_metrics": {**(key_metrics or {}), **coverage},
        "repeat_level_metrics": repeat_rows,
    }
    return strict(fields | ({"perf_summary": perf_summary} if perf_summary else {}))  # type: ignore[no-any-return]


def _merge_into_groups(groups: list[Metrics], rollouts: Rollouts, per_task: Sequence[Metrics]) -> None:
    """Add to the rows by task what a hook says of their tasks."""
    by_task = {canonical_key(row[TASK_KEY]): row for row in per_task}
    for code, group in zip(rollouts.tasks.codes.tolist(), groups, strict=True):
        row = by_task.get(rollouts.tasks.values[code], {})
        group |= {key: value for key, value in row.items() if key != TASK_KEY}


# --- repeats --------------------------------------------------------------------------------------------------------


def _repeats(
    profile: Profile, dicts: Sequence[dict[str, Any]], hook: ComputeMetrics | None, custom: Metrics
) -> tuple[list[Metrics], Metrics]:
    """The rows by repeat of the one agent, and the keys across them; nothing where it has a single repeat.

    Args:
        profile: The profile.
        dicts: The measured rollouts.
        hook: Computes metrics of one repeat, which replace the generic ones of their names.
        custom: What the hook for all rollouts computed.
    """
    repeats = profile.repeats
    if not len(repeats):
        return [], {}
    columns = repeat_columns(profile)
    del columns["agent_ref"]
    rows, estimates = as_dicts(columns, len(repeats)), mean_estimates(repeats)
    if hook is not None:
        tasks_of = _tasks_by_repeat(profile.measured, repeats.indices, dicts)
        computed = [{key: finite_number(value) for key, value in (hook(tasks) or {}).items()} for tasks in tasks_of]
        for name in computed[0]:
            values = [row.get(name) for row in computed]
            if None in values or (name in custom and finite_number(custom[name]) is None):
                continue
            estimates[name] = np.array(values, dtype=np.float64)
            for row, value in zip(rows, values, strict=True):
                row[name] = value
    return rows, spread_rows(estimates, repeats.starts)[0]


def _tasks_by_repeat(measured: Rollouts, repeats: Codes, dicts: Sequence[dict[str, Any]]) -> Iterator[Tasks]:
    """The rollouts of each repeat by task."""
    task_of = np.repeat(np.arange(measured.n_tasks), np.diff(measured.starts))
    order = np.argsort(measured.indices.codes, kind="stable")
    ordered = measured.indices.codes[order]
    for begin, end in zip(np.searchsorted(ordered, repeats), np.searchsorted(ordered, repeats, "right"), strict=True):
        rows = order[begin:end]
        by_task = np.split(rows, np.flatnonzero(np.diff(task_of[rows])) + 1)
        yield [[dicts[row] for row in task] for task in by_task]


# --- NeMo Gym's names -----------------------------------------------------------------------------------------------


@in_nemo_gym_words()
def compute_aggregate_metrics(
    verify_responses: list[dict[str, Any]],
    compute_metrics_fn: ComputeMetrics | None = None,
    get_key_metrics_fn: KeyMetrics | None = None,
    compute_repeat_metrics_fn: ComputeMetrics | None = None,
) -> AggregateMetrics:
    """Profile verify responses as one agent, and add what an environment computes.

    Args:
        verify_responses: One dict per rollout; they are not changed.
        compute_metrics_fn: Gets the responses that are not masked as dicts by task; what it returns is merged over the
            agent's metrics, except `per_task_metrics`, whose rows are merged into the rows by task.
        get_key_metrics_fn: Chooses the headline from the agent's metrics; the default is every `mean/*`. What is
            measured and masked is added where anything is masked; where everything is, it is not asked.
        compute_repeat_metrics_fn: Gets those responses of one repeat, once per repeat where there are several; a number
            that it returns for every one of them replaces the generic one of its name.

    Raises:
        ValueError: Two responses have the same key, or one of several has no task index.

    Source:
        `nemo_gym.reward_profile.compute_aggregate_metrics`.

    >>> compute_aggregate_metrics([{"reward": 1.0}]).key_metrics
    {'mean/reward': 1.0}
    """
    if not verify_responses:
        return AggregateMetrics()
    responses = with_task(verify_responses)
    names = ("verify_responses", "materialized inputs")
    rollouts = rollouts_of_dicts(responses, pooled=True, names=names)

    def rows() -> list[dict[str, Any]]:
        return [responses[position] for position in rollouts.measured().positions.tolist()]

    hooks = Hooks(compute_metrics_fn, get_key_metrics_fn, compute_repeat_metrics_fn)
    # The fields are what the model says; to have pydantic look would copy every row.
    return AggregateMetrics.model_construct(
        **aggregate_rollouts(rollouts, rows, hooks, perf_of_dicts(verify_responses))
    )


class HookExitError(RuntimeError):
    """A hook raised what is meant to end a program, a task or a loop, and must end none here.

    Attributes:
        error: What it raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"a hook raised {type(error).__name__}")
        self.error = error


# Held from the first hook to the last: what one leaves on `self` the next must find, even when two requests are
# answered at one time. Nothing is lost by it, since Python runs one thread at a time.
_TURN = threading.RLock()


class AggregateMetricsMixin:
    """The hooks of an environment, and the endpoint that runs them.

    Source:
        `nemo_gym`'s mixin of the same name.
    """

    def compute_metrics(self, tasks: Tasks) -> dict[str, Any]:  # noqa: ARG002 - for those who override it
        """Metrics beyond the profile; none unless overridden.

        Args:
            tasks: By task, its rollouts that are not masked, as dicts.
        """
        return {}

    def compute_repeat_metrics(self, tasks: Tasks) -> dict[str, Any]:  # noqa: ARG002 - for those who override it
        """Metrics of one repeat, in place of the generic ones of their names; none unless overridden.

        Args:
            tasks: By task, its rollouts of the repeat that are not masked, as dicts.
        """
        return {}

    def get_key_metrics(self, agent_metrics: dict[str, Any]) -> dict[str, Any]:
        """The headline; every `mean/*` unless overridden."""
        return _means(agent_metrics)

    @staticmethod
    def _group_by_task(verify_responses: list[dict[str, Any]]) -> Tasks:
        return group_by_task(verify_responses)

    async def aggregate_metrics(self, body: AggregateMetricsRequest) -> AggregateMetrics:
        """Answer `POST /aggregate_metrics`, in a thread: the event loop is free meanwhile."""
        import asyncio

        return await asyncio.to_thread(self._aggregate, body.verify_responses)

    def _aggregate(self, responses: list[dict[str, Any]]) -> AggregateMetrics:
        with ExitStack() as turn:

            def in_turn(hook: Callable[[T], Metrics] | None) -> Callable[[T], Metrics] | None:
                if hook is None:
                    return None

                def call(given: T) -> Metrics:
                    turn.enter_context(_TURN)
                    return hook(given)

                return call

            hooks = hooks_of(self)
            try:
                return compute_aggregate_metrics(
                    responses,
                    in_turn(hooks.compute_metrics),
                    in_turn(hooks.get_key_metrics),
                    in_turn(hooks.compute_repeat_metrics),
                )
            except StopIteration as error:  # no future can carry it: whoever awaits would wait for ever
                raise RuntimeError("a hook raised StopIteration") from error
            except BaseException as error:
                from concurrent.futures import CancelledError

                if isinstance(error, Exception) and not isinstance(error, CancelledError):
                    raise
                raise HookExitError(error) from error


def hooks_of(mixin: AggregateMetricsMixin | None) -> Hooks:
    """The hooks of a mixin; those that are not overridden are left out, so that no dicts are gathered for them."""
    if mixin is None:
        return Hooks()

    def overridden(name: str) -> Any:
        hook = getattr(mixin, name)
        return None if getattr(hook, "__func__", None) is getattr(AggregateMetricsMixin, name) else hook

    return Hooks(*map(overridden, ("compute_metrics", "get_key_metrics", "compute_repeat_metrics")))
