"""Aggregate metrics of a run: its profile as one agent, and what an environment's hooks add."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from ..analyses.profile import Profile
from ..completion import completion_of
from ..keys import canonical_key
from ..metrics.histogram import Histogram
from ..reader import NEMO_GYM, read_again, rollouts_of_dicts
from ..rollouts import DEFAULT_AGENT, Labels, Rollouts
from .models import AggregateMetrics, AggregateMetricsRequest
from .profiler import task_dicts

__all__ = [
    "AggregateMetricsMixin",
    "aggregate_agents",
    "aggregate_table",
    "compute_aggregate_metrics",
    "group_by_task",
    "strict",
]

TASK_KEY = NEMO_GYM.task
PER_TASK = "per_task_metrics"
# What NeMo Gym's client does not send; of the response it sends the usage.
_NOT_SENT = {"responses_create_params", "ng_agent_observations", "ng_model_call_capture", "ng_trajectory"}

_NAMES = ("verify_responses", "inputs")

Tasks = list[list[dict[str, Any]]]
ComputeMetrics = Callable[[Tasks], dict[str, Any]]
KeyMetrics = Callable[[dict[str, Any]], dict[str, Any]]


def _means(agent_metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in agent_metrics.items() if key.startswith("mean/")}


def strict(value: Any) -> Any:
    """The value as strict JSON can hold it: NaN and infinite numbers as null, numpy's numbers and arrays as Python's.

    >>> strict({"a": float("nan"), 1: (np.float64(2.0), np.array([3]))})
    {'a': None, '1': [2.0, [3]]}
    """
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items() if not isinstance(item, Histogram)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [strict(item) for item in value]
    return value


# --- one run --------------------------------------------------------------------------------------------------------


def _with_task(responses: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The responses; a single one without a task index is task 0."""
    if len(responses) == 1 and responses[0].get(TASK_KEY) is None:
        return [{**responses[0], TASK_KEY: 0}]
    return responses


def group_by_task(responses: Sequence[dict[str, Any]]) -> Tasks:
    """The responses by task, tasks in sorted order, rollouts by rollout index where all have one.

    Raises:
        ValueError: There are several responses, and one has no task index.
    """
    if not responses:
        return []
    table = rollouts_of_dicts(
        _with_task(responses), numbers=(), duplicates="keep", pooled=True, loose=True, names=_NAMES
    )
    starts = table.starts.tolist()
    ordered = [responses[position] for position in table.positions]
    return [ordered[begin:end] for begin, end in zip(starts, starts[1:], strict=False)]


def aggregate_table(
    table: Rollouts,
    tasks: Callable[[], Tasks],
    compute_metrics_fn: ComputeMetrics | None = None,
    get_key_metrics_fn: KeyMetrics | None = None,
) -> dict[str, Any]:
    """The aggregate metrics of a table that has one agent.

    Args:
        table: The rollouts.
        tasks: Gives the measured rollouts as dicts, by task; called only for `compute_metrics_fn`.
        compute_metrics_fn: As for `compute_aggregate_metrics`.
        get_key_metrics_fn: As for `compute_aggregate_metrics`.

    Returns:
        The fields of `AggregateMetrics`, as strict JSON can hold them.
    """
    profile = Profile(table, completion_of(table))
    sample = {"agent_ref": {"name": DEFAULT_AGENT}}
    groups = task_dicts(profile, [dict(sample) for _ in range(table.n_tasks)], histograms=False)
    agent_metrics = profile.agent_rows()[0]
    del agent_metrics["agent_ref"]
    if compute_metrics_fn is not None:
        custom = dict(compute_metrics_fn(tasks()) or {})
        by_task = {canonical_key(row[TASK_KEY]): row for row in custom.pop(PER_TASK, None) or []}
        for code, group in zip(table.tasks.codes.tolist(), groups, strict=True):
            row = by_task.get(table.tasks.values[code], {})
            group |= {key: value for key, value in row.items() if key != TASK_KEY}
        agent_metrics |= custom
    key_metrics = (get_key_metrics_fn or _means)(agent_metrics)
    return {
        "group_level_metrics": strict(groups),
        "agent_metrics": strict(agent_metrics),
        "key_metrics": strict(key_metrics),
    }


def compute_aggregate_metrics(
    verify_responses: list[dict[str, Any]],
    compute_metrics_fn: ComputeMetrics | None = None,
    get_key_metrics_fn: KeyMetrics | None = None,
) -> AggregateMetrics:
    """Profiles verify responses as one agent, and adds what an environment computes.

    Args:
        verify_responses: One dict a rollout; they are not changed.
        compute_metrics_fn: Gets the responses that are not masked as dicts by task; what it returns is merged over the
            agent's metrics, except `per_task_metrics`, whose rows are merged into the rows by task.
        get_key_metrics_fn: Chooses the headline from the agent's metrics; the default is every `mean/*`.

    Raises:
        ValueError: Two responses have the same key, or one of several has no task index.

    Source:
        `nemo_gym.reward_profile.compute_aggregate_metrics`.

    >>> compute_aggregate_metrics([{"reward": 1.0}]).key_metrics
    {'mean/reward': 1.0}
    """
    if not verify_responses:
        return AggregateMetrics()
    responses = _with_task(verify_responses)
    table = rollouts_of_dicts(responses, pooled=True, names=_NAMES)

    def measured() -> Tasks:
        return group_by_task([response for response in responses if response.get("mask_sample") is not True])

    # The fields are what the model says; to have pydantic look would copy every row.
    return AggregateMetrics.model_construct(**aggregate_table(table, measured, compute_metrics_fn, get_key_metrics_fn))


# Held from one hook to the other: what the first leaves on `self` the second must find, also when two requests are
# answered at one time. Nothing is lost by it, since Python runs one thread at a time.
_HOOKS = threading.Lock()


class AggregateMetricsMixin:
    """The hooks of an environment, and the endpoint that runs them.

    Source:
        `nemo_gym`'s mixin of the same name.
    """

    def compute_metrics(self, tasks: Tasks) -> dict[str, Any]:  # noqa: ARG002 - for those who override it
        """Metrics beyond the profile: to be overridden.

        Args:
            tasks: By task, its rollouts that are not masked, as dicts.
        """
        return {}

    def get_key_metrics(self, agent_metrics: dict[str, Any]) -> dict[str, Any]:
        """The headline: to be overridden; every `mean/*` unless it is."""
        return _means(agent_metrics)

    @staticmethod
    def _group_by_task(verify_responses: list[dict[str, Any]]) -> Tasks:
        return group_by_task(verify_responses)

    async def aggregate_metrics(self, body: AggregateMetricsRequest) -> AggregateMetrics:
        """Answers `POST /aggregate_metrics`, in a thread: the event loop is free meanwhile."""
        import asyncio

        return await asyncio.to_thread(self._aggregate, body.verify_responses)

    def _aggregate(self, responses: list[dict[str, Any]]) -> AggregateMetrics:
        with ExitStack() as held:

            def compute_metrics(tasks: Tasks) -> dict[str, Any]:
                held.enter_context(_HOOKS)
                return self.compute_metrics(tasks)

            # Unless the hook is overridden, no dicts need be gathered for it.
            own = getattr(self.compute_metrics, "__func__", None) is AggregateMetricsMixin.compute_metrics
            try:
                return compute_aggregate_metrics(responses, None if own else compute_metrics, self.get_key_metrics)
            except StopIteration as error:  # no future can carry it: whoever awaits would wait for ever
                raise RuntimeError("a hook raised StopIteration") from error


# --- files of rollouts ----------------------------------------------------------------------------------------------


def sent(row: dict[str, Any]) -> dict[str, Any]:
    """A rollout as NeMo Gym's client sends it: without prompt and trajectory, of the response only the usage."""
    kept = {key: value for key, value in row.items() if key not in _NOT_SENT}
    if "response" in kept:
        response = kept["response"]
        kept["response"] = {"usage": response.get("usage")} if isinstance(response, dict) else {"usage": None}
    return kept


def aggregate_agents(table: Rollouts, mixin: AggregateMetricsMixin | None) -> list[dict[str, Any]]:
    """The aggregate metrics of every agent, sorted by its name.

    Args:
        table: The rollouts; with hooks, such as can be read again.
        mixin: The hooks; None for none. Only for these are rollouts held as dicts, those of one agent at a time.
    """
    names = table.agent_names()
    entries = []
    for code in np.unique(table.agents.codes).tolist():
        mine = table.take_tasks(table.agents.codes == code)
        alone = replace(mine, agents=Labels(np.zeros(mine.n_tasks, np.int32), [DEFAULT_AGENT]))

        def tasks(table: Rollouts = alone) -> Tasks:
            measured = table.measured()
            ordered = [sent(row) for row in read_again(measured)]
            starts = measured.starts.tolist()
            groups = [ordered[begin:end] for begin, end in zip(starts, starts[1:], strict=False)]
            return [group for group in groups if group]

        hooks = (mixin.compute_metrics, mixin.get_key_metrics) if mixin else (None, None)
        fields = aggregate_table(alone, tasks, *hooks)
        entries.append(
            {
                "agent_ref": {"name": names[code]},
                "agent_metrics": fields["agent_metrics"],
                "key_metrics": fields["key_metrics"],
                "group_level_metrics": fields["group_level_metrics"],
            }
        )
    return sorted(entries, key=lambda entry: str(entry["agent_ref"]["name"]))
