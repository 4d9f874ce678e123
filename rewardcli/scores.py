"""Named scores: what of a rollout counts as success."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Floats
from .errors import UsageError
from .rollouts import ABSENT, Column, Rollouts

__all__ = ["ScoreSpec"]

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
        """Reads `NAME`, `NAME=FIELD` or `NAME=FIELD>=VALUE` (also `>`, `<`, `<=`, `==`).

        Raises:
            UsageError: The text is none of these.

        >>> ScoreSpec.parse("solved=reward>=0.5")
        ScoreSpec(name='solved', field='reward', operator='>=', threshold=0.5)
        """
        form = "write NAME, NAME=FIELD or NAME=FIELD>=VALUE"
        equals = re.search(r"(?<![<>=])=(?!=)", text)
        if equals is None:
            if re.search(r"[<>=]", text):
                raise UsageError(
                    f"the score '{text}' has no name", f"write --score 'NAME={text}', for example 'solved={text}'"
                )
            name, source = text, text
        else:
            name, source = text[: equals.start()].strip(), text[equals.end() :].strip()
        if not name or not source:
            raise UsageError(f"the score '{text}' is incomplete", form)
        comparison = _COMPARISON.fullmatch(source)
        if comparison is None or re.search(r"[<>=]", comparison["field"]):
            if equals is not None and re.search(r"[<>=]", source):
                raise UsageError(f"the score '{text}' cannot be read", form)
            return ScoreSpec(name, source)
        try:
            threshold = {"true": 1.0, "false": 0.0}.get(comparison["threshold"].strip()) or float(
                comparison["threshold"]
            )
        except ValueError:
            threshold = 0.0 if comparison["threshold"].strip() == "false" else math.nan
        if math.isnan(threshold):
            raise UsageError(f"the score '{text}' compares with '{comparison['threshold']}', which is no number", form)
        return ScoreSpec(name, comparison["field"], comparison["operator"], threshold)

    def column(self, table: Rollouts) -> Column:
        """The field: at the top level, and in `response.usage` only where it is absent there."""
        nothing = Column.absent(table.n_rollouts)
        top, usage = (columns.get(self.field, nothing).dense() for columns in (table.numbers, table.usage))
        return top.choose(top.states != ABSENT, usage)

    def values(self, table: Rollouts) -> Floats:
        """The score by row; NaN where it is missing."""
        values = self.column(table).values
        if not self.operator:
            return values
        with np.errstate(invalid="ignore"):
            passed = _COMPARISONS[self.operator](values, self.threshold)
        return np.where(np.isnan(values), np.nan, passed.astype(np.float64))
