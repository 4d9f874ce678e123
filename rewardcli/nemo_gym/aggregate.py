"""Aggregate metrics of a run: its profile as one agent, and what an environment's hooks add."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from ..analyses.profile import Profile
from ..completion import completion_of
from ..keys import canonical_key
from ..reader import rollouts_of_dicts
from ..rollouts import Rollouts
from .dicts import TASK_KEY, Tasks, group_by_task, grouped, with_task
from .models import AggregateMetrics, AggregateMetricsRequest
from .rows import TaskRows, agent_rows, as_dicts
from .spelling import in_nemo_gym_words
from .strict_json import strict

__all__ = ["AggregateMetricsMixin", "aggregate_rollouts", "compute_aggregate_metrics"]

PER_TASK = "per_task_metrics"

ComputeMetrics = Callable[[Tasks], dict[str, Any]]
KeyMetrics = Callable[[dict[str, Any]], dict[str, Any]]


def _means(agent_metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in agent_metrics.items() if key.startswith("mean/")}


def aggregate_rollouts(
    rollouts: Rollouts,
    tasks: Callable[[], Tasks],
    compute_metrics_fn: ComputeMetrics | None = None,
    get_key_metrics_fn: KeyMetrics | None = None,
) -> dict[str, Any]:
    """The aggregate metrics of rollouts of one agent.

    Args:
        rollouts: The rollouts.
        tasks: Gives the measured rollouts as dicts, by task; called only for `compute_metrics_fn`.
        compute_metrics_fn: As for `compute_aggregate_metrics`.
        get_key_metrics_fn: As for `compute_aggregate_metrics`.

    Returns:
        The fields of `AggregateMetrics`, as strict JSON can hold them.
    """
    profile = Profile(rollouts, completion_of(rollouts))
    groups = as_dicts(TaskRows(profile).columns(as_dicts), rollouts.n_tasks)
    agent_metrics = agent_rows(profile)[0]
    del agent_metrics["agent_ref"]
    if compute_metrics_fn is not None:
        custom = dict(compute_metrics_fn(tasks()) or {})
        by_task = {canonical_key(row[TASK_KEY]): row for row in custom.pop(PER_TASK, None) or []}
        for code, group in zip(rollouts.tasks.codes.tolist(), groups, strict=True):
            row = by_task.get(rollouts.tasks.values[code], {})
            group |= {key: value for key, value in row.items() if key != TASK_KEY}
        agent_metrics |= custom
    key_metrics = (get_key_metrics_fn or _means)(agent_metrics)
    return {
        "group_level_metrics": strict(groups),
        "agent_metrics": strict(agent_metrics),
        "key_metrics": strict(key_metrics),
    }


@in_nemo_gym_words()
def compute_aggregate_metrics(
    verify_responses: list[dict[str, Any]],
    compute_metrics_fn: ComputeMetrics | None = None,
    get_key_metrics_fn: KeyMetrics | None = None,
) -> AggregateMetrics:
    """Profile verify responses as one agent, and add what an environment computes.

    Args:
        verify_responses: One dict per rollout; they are not changed.
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
    responses = with_task(verify_responses)
    names = ("verify_responses", "materialized inputs")
    rollouts = rollouts_of_dicts(responses, pooled=True, names=names)

    def measured() -> Tasks:
        counted = rollouts.measured()
        return grouped(counted, [responses[position] for position in counted.positions.tolist()])

    # The fields are what the model says; to have pydantic look would copy every row.
    fields = aggregate_rollouts(rollouts, measured, compute_metrics_fn, get_key_metrics_fn)
    return AggregateMetrics.model_construct(**fields)


# Held from one hook to the other: what the first leaves on `self` the second must find, even when two requests are
# answered at one time. Nothing is lost by it, since Python runs one thread at a time.
_HOOKS = threading.Lock()


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
        with ExitStack() as held:

            def compute_metrics(tasks: Tasks) -> dict[str, Any]:
                held.enter_context(_HOOKS)
                return self.compute_metrics(tasks)

            # Unless the hook is overridden, no dicts need be gathered for it.
            is_default = getattr(self.compute_metrics, "__func__", None) is AggregateMetricsMixin.compute_metrics
            try:
                return compute_aggregate_metrics(
                    responses, None if is_default else compute_metrics, self.get_key_metrics
                )
            except StopIteration as error:  # no future can carry it: whoever awaits would wait for ever
                raise RuntimeError("a hook raised StopIteration") from error
