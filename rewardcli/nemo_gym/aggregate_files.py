"""Aggregate metrics of files of rollouts, by agent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import DataError
from ..reader.layout import load_row
from ..reader.sources import Part, read_batches
from ..rollouts import DEFAULT_AGENT, Labels, Rollouts
from .aggregate import AggregateMetricsMixin, aggregate_table
from .dicts import Tasks, grouped
from .rows import agent_ref

__all__ = ["AgentAggregate", "aggregate_agents"]

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
        names = ("agent_metrics", "key_metrics", "group_level_metrics")
        return {"agent_ref": agent_ref(self.name), **{name: self.fields[name] for name in names}}


def _sent(row: dict[str, Any]) -> dict[str, Any]:
    """A rollout as NeMo Gym's client sends it: without prompt and trajectory, of the response only the usage."""
    kept = {key: value for key, value in row.items() if key not in _NOT_SENT}
    if "response" in kept:
        response = kept["response"]
        kept["response"] = {"usage": response.get("usage")} if isinstance(response, dict) else {"usage": None}
    return kept


def _rows_again(parts: Sequence[Part], wanted: set[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows at some positions, read again, with their positions."""
    position = 0
    for part in parts:
        for lines in read_batches(part, skip_errors=True):
            for line in lines:
                try:
                    row = load_row(line.removeprefix(b"\xef\xbb\xbf")) if line.strip() else None
                except ValueError:
                    row = None
                if row is not None:
                    if position in wanted:
                        yield position, row
                    position += 1


def aggregate_agents(
    table: Rollouts, parts: Sequence[Part] | None, mixin: AggregateMetricsMixin | None
) -> list[AgentAggregate]:
    """The aggregate metrics of every agent, sorted by its name.

    Args:
        table: The rollouts.
        parts: Where to read them again, for the hooks; None if they cannot be read again.
        mixin: The hooks; None for none. Only for these are rollouts held as dicts, those of one agent at a time.
    """
    names = table.agent_names()
    agents = []
    for code in np.unique(table.agents.codes).tolist():
        of_agent = table.keep_tasks(table.agents.codes == code)
        alone = replace(of_agent, agents=Labels(np.zeros(of_agent.n_tasks, np.int32), [DEFAULT_AGENT]))

        def tasks(table: Rollouts = alone) -> Tasks:
            if parts is None:
                raise DataError("the hooks need the rollouts themselves", "name files of JSON rows, not tables")
            measured = table.measured()
            wanted = set(measured.positions.tolist())
            return grouped(measured, {position: _sent(row) for position, row in _rows_again(parts, wanted)})

        hooks = (mixin.compute_metrics, mixin.get_key_metrics) if mixin else (None, None)
        agents.append(AgentAggregate(names[code], aggregate_table(alone, tasks, *hooks)))
    return sorted(agents, key=lambda agent: agent.name)
