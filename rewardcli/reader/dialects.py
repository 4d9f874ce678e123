"""Dialects: what rows of different kinds call the things that every rollout has.

A new one is a row in `DIALECTS`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DIALECTS", "NEMO_GYM", "REWARD", "Dialect"]

# The reward is called so in `Rollouts`, whatever its field is.
REWARD = "reward"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The names of fields in rows of one kind; dotted names are paths.

    Attributes:
        name: What the dialect is called.
        task: The field of the task.
        index: The field of the rollout index.
        agent: The field of the agent's name.
        mask: The field that is true where a rollout is left out of every statistic.
        usage: The object whose numbers count where the top level has no field of their name.
        reward: The field of the reward.
        server: The field of the server that ran the agent; "" if rows have none.
        signs: The fields that only this dialect has; all of them in the first row tell it from the others.
        task_guesses: Fields that may be that of the task where it is missing, tried in order.
        index_guesses: The same for the rollout index.
    """

    name: str
    task: str
    index: str
    agent: str
    mask: str
    usage: str
    reward: str = REWARD
    server: str = ""
    signs: tuple[str, ...] = ()
    task_guesses: tuple[str, ...] = ()
    index_guesses: tuple[str, ...] = ()


NEMO_GYM = Dialect(
    name="nemo-gym",
    task="_ng_task_index",
    index="_ng_rollout_index",
    agent="agent_ref.name",
    mask="mask_sample",
    usage="response.usage",
    server="_ng_environment_server",
    task_guesses=("task_index", "task_id", "problem_id", "question_id", "example_id"),
    index_guesses=("rollout_index", "trial", "sample", "sample_index", "attempt"),
)

# The first one is that of rows that bear the signs of none.
DIALECTS: tuple[Dialect, ...] = (NEMO_GYM,)
