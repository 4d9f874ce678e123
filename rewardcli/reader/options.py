"""What is asked of the reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..parallel import EngineName
from ..rollouts import Duplicates

__all__ = ["ReadOptions", "Wanted"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How rollouts are read, whatever is computed from them.

    Attributes:
        task_key, rollout_key, agent_key: The fields of the keys; None for the dialect's, or a documented guess.
        agent: Keep the rollouts of this agent only; None keeps all.
        duplicates: What to do with rows of the same task, agent and rollout index.
        on_error: What to do with a line that is not a rollout.
        max_errors: How many such lines may be skipped.
        jobs: How many processes read; None for one a core.
        engine: Where they run.
        ray_address: The Ray cluster to join.
    """

    task_key: str | None = None
    rollout_key: str | None = None
    agent_key: str | None = None
    agent: str | None = None
    duplicates: Duplicates = "error"
    on_error: Literal["error", "skip"] = "error"
    max_errors: int = 100
    jobs: int | None = None
    engine: EngineName = "local"
    ray_address: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the rollouts is needed.

    Attributes:
        numbers: The numeric fields; None for all of them, those of the usage included.
        answers: Fields whose values are compared as answers.
        subsets: Fields whose values are compared as keys.
        nested: Objects whose numeric fields are kept apart, as `OBJECT.FIELD`, where rows have them.
        reasons: Whether it is kept why a number is missing, even where a field holds none far and wide.
        inputs: The file of the materialized inputs.
        allow_partial: Whether inputs may lack a rollout.
        again: Whether rows will be read again, with `read_again`.
    """

    numbers: tuple[str, ...] | None = ()
    answers: tuple[str, ...] = ()
    subsets: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    reasons: bool = False
    inputs: str | None = None
    allow_partial: bool = False
    again: bool = False
