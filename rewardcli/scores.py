"""Named scores: what of a rollout counts as success."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Floats
from .errors import FieldError, Location, UsageError
from .listener import Listener
from .rollouts import Column, Rollouts

__all__ = ["ScoreSpec", "score_values"]

_COMPARISONS: dict[str, Callable[[Floats, float], Any]] = {
    ">=": np.greater_equal,
    "<=": np.less_equal,
    "==": np.equal,
    ">": np.greater,
    "<": np.less,
}
_COMPARISON = re.compile(r"(?P<field>.+?)\s*(?P<operator>>=|<=|==|>|<)\s*(?P<threshold>[^<>=]+)")


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """A named score: a numeric field, or whether it passes a threshold."""

    name: str
    field: str
    operator: str = ""
    threshold: float = math.nan

    @staticmethod
    def parse(text: str) -> ScoreSpec:
        """Read `NAME`, `NAME=FIELD` or `NAME=FIELD>=VALUE` (also `>`, `<`, `<=`, `==`).

        Raises:
            UsageError: The text is none of these.

        >>> ScoreSpec.parse("solved=reward>=0.5")
        ScoreSpec(name='solved', field='reward', operator='>=', threshold=0.5)
        """
        syntax = "write NAME, NAME=FIELD or NAME=FIELD>=VALUE"
        equals = re.search(r"(?<![<>=])=(?!=)", text)
        if equals is None:
            if re.search(r"[<>=]", text):
                raise UsageError(f"the score '{text}' has no name", f"give it one, for example {{score=solved={text}}}")
            name, source = text, text
        else:
            name, source = text[: equals.start()].strip(), text[equals.end() :].strip()
        if not name or not source:
            raise UsageError(f"the score '{text}' is incomplete", syntax)
        comparison = _COMPARISON.fullmatch(source)
        if comparison is None or re.search(r"[<>=]", comparison["field"]):
            if equals is not None and re.search(r"[<>=]", source):
                raise UsageError(f"the score '{text}' cannot be read", syntax)
            return ScoreSpec(name, source)
        try:
            threshold = {"true": 1.0, "false": 0.0}.get(comparison["threshold"].strip()) or float(
                comparison["threshold"]
            )
        except ValueError:
            threshold = 0.0 if comparison["threshold"].strip() == "false" else math.nan
        if math.isnan(threshold):
            raise UsageError(
                f"the score '{text}' compares with '{comparison['threshold']}', which is not a number", syntax
            )
        return ScoreSpec(name, comparison["field"], comparison["operator"], threshold)

    def values(self, column: Column) -> Floats:
        """The score of every rollout, given the field; NaN where it is missing."""
        if not self.operator:
            return column.values
        with np.errstate(invalid="ignore"):
            passed = _COMPARISONS[self.operator](column.values, self.threshold)
        return np.where(np.isnan(column.values), np.nan, passed.astype(np.float64))


def score_values(measured: Rollouts, specs: Sequence[ScoreSpec], listener: Listener) -> dict[str, Floats]:
    """By name, the score of every rollout, NaN where it is missing.

    Args:
        measured: The rollouts that count.
        specs: The scores.
        listener: Told how many values are missing, and why.

    Raises:
        FieldError: No rollout has a number in a field.
    """
    scores = {}
    for spec in specs:
        column = measured.number(spec.field)
        scores[spec.name] = spec.values(column)
        if np.isnan(column.values).any():
            _note_missing(spec, column, measured, listener)
    return scores


def _note_missing(spec: ScoreSpec, column: Column, measured: Rollouts, listener: Listener) -> None:
    missing = column.missing_reasons()
    reasons = ", ".join(f"{count} {reason}" for reason, count in missing.items())
    count = sum(missing.values())
    if count == len(column):
        raise FieldError(
            f"no rollout has a number in the field '{spec.field}' ({reasons})",
            "name a field of numbers or booleans with {score=NAME=FIELD}",
            Location(measured.origins.sources[0]),
        )
    listener.note("score-missing", f"{spec.name}: {count} of {len(column)} rollouts have no value ({reasons})")
