"""Aggregate metrics of files of rollouts, by agent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..listener import Listener
from ..metrics import RUN_MEANS
from ..output.files import Destination, atomic_files
from ..output.text import json_text
from ..reader import ReadOptions, Wanted, read_again, read_rollouts, rereadable
from ..results import Key, Record, Result, View, pivot
from ..rollouts import DEFAULT_AGENT, Labels, Rollouts
from .aggregate import AggregateMetricsMixin, Hooks, aggregate_rollouts, hooks_of
from .hooks import prints_aside
from .perf import PERF, perf_of_rollouts
from .rows import agent_ref

__all__ = ["AgentAggregate", "aggregate_agents", "aggregate_and_write"]

# What NeMo Gym's client does not send; of the response it sends the usage.
_NOT_SENT = {"responses_create_params", "ng_agent_observations", "ng_model_call_capture", "ng_trajectory"}


@dataclass(frozen=True, slots=True)
class AgentAggregate:
    """The aggregate metrics of one agent.

    Attributes:
        name: The agent's name.
        fields: By their names, the fields of `AggregateMetrics`, as strict JSON can hold them.
    """

    name: str
    fields: dict[str, Any]

    def entry(self) -> dict[str, Any]:
        """The agent's entry in `<stem>_aggregate_metrics.json`."""
        names = ("agent_metrics", "key_metrics", "group_level_metrics", "repeat_level_metrics", "perf_summary")
        return {"agent_ref": agent_ref(self.name), **{name: self.fields[name] for name in names if name in self.fields}}


def _sent(row: dict[str, Any]) -> dict[str, Any]:
    """A rollout as NeMo Gym's client sends it: without prompt and trajectory, and with little of the response."""
    kept = {key: value for key, value in row.items() if key not in _NOT_SENT}
    if "response" in kept:
        response = kept["response"] if isinstance(kept["response"], dict) else {}
        why = "incomplete_details"
        kept["response"] = {"usage": response.get("usage"), **({why: response[why]} if why in response else {})}
    return kept


def aggregate_agents(rollouts: Rollouts, hooks: Hooks) -> list[AgentAggregate]:
    """The aggregate metrics of every agent, sorted by its name.

    Args:
        rollouts: All rollouts; if hooks need rows, read so that these can be read again.
        hooks: What to compute beyond the profile. Only for these are rollouts held as dicts, one agent's at a time.
    """
    names = rollouts.agent_names()
    agents = []
    for code in np.unique(rollouts.agents.codes).tolist():
        of_agent = rollouts.take_tasks(rollouts.agents.codes == code)
        alone = replace(of_agent, agents=Labels(np.zeros(of_agent.n_tasks, np.int32), [DEFAULT_AGENT]))

        def rows(rollouts: Rollouts = alone) -> list[dict[str, Any]]:
            return [_sent(row) for row in read_again(rollouts.measured())]

        agents.append(AgentAggregate(names[code], aggregate_rollouts(alone, rows, hooks, perf_of_rollouts(alone))))
    return sorted(agents, key=lambda agent: agent.name)


def aggregate_and_write(
    paths: Sequence[str],
    mixin: AggregateMetricsMixin | None,
    options: ReadOptions,
    destination: Destination,
    listener: Listener,
) -> Result:
    """Compute the aggregate metrics of rollouts, and write `<stem>_aggregate_metrics.json`.

    Args:
        paths: The rollouts.
        mixin: The hooks; None for none.
        options: How to read.
        destination: Where the file goes.
        listener: Told what the user should know.

    Raises:
        DataError: The data are not as they should be.
    """
    hooks = hooks_of(mixin)
    with rereadable(paths) if hooks.need_rows else nullcontext(paths) as sources:
        wanted = Wanted(numbers=None, nested=(PERF,), again=hooks.need_rows)
        rollouts = read_rollouts(sources, wanted, options, listener)
        with prints_aside():
            agents = aggregate_agents(rollouts, hooks)
    entries = [agent.entry() for agent in agents]
    path = destination.path("_aggregate_metrics.json")
    with atomic_files(path) as (file,):
        file.write(json_text(entries).encode())
    listener.note("wrote", f"wrote {path}")
    records = [record for agent in agents for record in _records(agent.name, agent.fields["agent_metrics"])]
    views = [_headline(agent) for agent in agents]
    return Result("aggregate", records, lambda: views, lambda: entries, listener.notes)


def _records(name: str, metrics: dict[str, Any]) -> Iterator[Record]:
    """The numbers among the metrics of an agent."""
    for key, value in metrics.items():
        if key == RUN_MEANS and isinstance(value, dict):
            for score, means in value.items():
                yield from (Record(Key(RUN_MEANS, run, score, agent=name), mean) for run, mean in enumerate(means, 1))
        elif isinstance(value, (int, float)):
            yield Record(Key.parse(key, name), value)


def _headline(agent: AgentAggregate) -> View:
    """The key metrics of an agent."""
    records = [Record(Key(key), value) for key, value in agent.fields["key_metrics"].items()]
    return pivot(records, {"metric": "text"}, {"value": None}, f"Agent {agent.name}: key metrics")
