"""Rollouts as columns, which every number is computed from.

Rows as they were read are `Rows`; sorted by task, agent and rollout index they are `Rollouts`. A *task* is one task key
attempted by one agent; its rollouts are contiguous, so that `starts` describes all tasks at once.
"""

from .arrange import Duplicates, arrange
from .column import (
    ABSENT,
    BOOLEAN,
    FLOAT,
    INFINITE,
    INTEGER,
    MISSING_REASONS,
    NAN,
    NOT_A_NUMBER,
    NULL,
    Column,
)
from .labels import Labels
from .rows import DEFAULT_AGENT, Columns, Matching, Origin, Origins, Rollouts, Rows, by_appearance
from .runners import name_runners

__all__ = [
    "ABSENT",
    "BOOLEAN",
    "DEFAULT_AGENT",
    "FLOAT",
    "INFINITE",
    "INTEGER",
    "MISSING_REASONS",
    "NAN",
    "NOT_A_NUMBER",
    "NULL",
    "Column",
    "Columns",
    "Duplicates",
    "Labels",
    "Matching",
    "Origin",
    "Origins",
    "Rollouts",
    "Rows",
    "arrange",
    "by_appearance",
    "name_runners",
]
