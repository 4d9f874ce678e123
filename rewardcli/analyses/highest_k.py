"""The numbers at the highest k: the headline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..listener import Listener
from ..metrics import Metric
from ..results import Record, Result, View, highest_k, match_pattern, pattern_of, pivot
from ..rollouts import Rollouts
from .passk import Question, all_records, sized

__all__ = ["Choice", "from_records", "from_rollouts"]

USUAL_PATTERNS = ("pass@{k}", "pass@1[avg-of-{k}]", "majority@{k}")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which keys are looked at.

    Attributes:
        patterns: Keys without their score, with `{k}` for the number; None for those of the metrics.
        score_names: Scores to keep; None for all.
        exclude_names: Scores to drop.
        metrics: Rows of the registry, whose patterns are taken if none are given; None for the usual ones.
    """

    patterns: Sequence[str] | None = None
    score_names: Sequence[str] | None = None
    exclude_names: Sequence[str] | None = None
    metrics: Sequence[Metric] | None = None

    def __post_init__(self) -> None:
        for pattern in self.patterns or ():
            match_pattern(pattern)

    def all_patterns(self) -> list[str]:
        """The patterns given, else those of the metrics, else the usual ones."""
        if self.patterns:
            return list(self.patterns)
        if self.metrics is None:
            return list(USUAL_PATTERNS)
        return list(dict.fromkeys(pattern_of(metric.name) for metric in self.metrics))


def from_rollouts(rollouts: Rollouts, question: Question, choice: Choice, title: str, listener: Listener) -> Result:
    """Pick the numbers at the highest k from what rollouts give.

    Args:
        rollouts: All rollouts, masked ones included.
        question: What is asked of them.
        choice: Which keys are looked at.
        title: What stands above the table.
        listener: Told what the user should know.

    Raises:
        DataError: There is no number to compute.
    """
    records = all_records(rollouts.measured(), question, listener)
    return from_records(records, choice, sized(title, rollouts), listener)


def from_records(records: Sequence[Record], choice: Choice, title: str, listener: Listener) -> Result:
    """Pick the numbers at the highest k from records.

    Args:
        records: Numbers under NeMo Gym's keys.
        choice: Which keys are looked at.
        title: What stands above the table.
        listener: Told if no key is of the kind.
    """
    by_key = {record.key.text: record for record in records}
    patterns = choice.all_patterns()
    keys = [key for pattern in patterns for key in highest_k(by_key, pattern, choice.score_names, choice.exclude_names)]
    if not keys:
        listener.note("no-key-matches", f"no key matches {' or '.join(patterns)}")
        anywhere = [re.compile("(.+?)/" + match_pattern(pattern).pattern, re.DOTALL) for pattern in patterns]
        matches = (prefixed.fullmatch(key) for key in by_key for prefixed in anywhere)
        if prefix := next((match[1] for match in matches if match), None):
            listener.note(
                "keys-have-a-prefix",
                f"keys begin with a subset or an agent here: try the pattern '{prefix}/{patterns[0]}'",
            )
    chosen = [by_key[key] for key in dict.fromkeys(keys)]
    return Result("highest_k", chosen, lambda: [_table(chosen, title)], notes=listener.notes)


def _table(records: Sequence[Record], title: str) -> View:
    """One row per number."""
    return pivot(records, {"metric": "text"}, {"value": None}, title)
