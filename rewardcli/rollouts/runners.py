"""Who ran a rollout: the agent that it names, or the server that ran that agent."""

from __future__ import annotations

import numpy as np

from .labels import Labels
from .rows import Rows

__all__ = ["name_runners"]


def name_runners(*sides: Rows) -> None:
    """Let the agent of a row be who ran it, in place.

    A row that names a server was run by that server. It is called by the agent's name where that belongs to one server
    only, else by the server's.

    Args:
        sides: Rows that name their agents alike, such as rollouts and their inputs.
    """
    servers = Labels.concat([side.servers for side in sides])
    named = servers.codes >= 0
    if not named.any():
        return
    agents = Labels.concat([side.agents for side in sides])
    width = len(servers.values)
    pairs = np.unique(agents.codes[named].astype(np.int64) * width + servers.codes[named])
    pairs = pairs[pairs >= 0]
    servers_of = np.bincount(pairs // width, minlength=len(agents.values) + 1)  # the last is that of no name
    by_server = named & ((agents.codes < 0) | (servers_of[agents.codes] > 1))
    runners = Labels(np.where(by_server, servers.codes, -1).astype(np.int32), servers.values).over(agents)
    begin = 0
    for side in sides:
        end = begin + len(side)
        side.agents = Labels(runners.codes[begin:end], runners.values, runners.present)
        begin = end
