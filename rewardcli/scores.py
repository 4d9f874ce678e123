"""Named scores: which number of a rollout, or which conditions on its fields, count as success."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Floats
from .errors import FieldError, Location, UsageError
from .keys import JsonText
from .listener import Listener
from .rollouts import Column, Rollouts

__all__ = ["Condition", "ScoreSpec", "score_values"]

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(
    r"""(?P<field>[^<>=!]+?)\s*(?P<operator>>=|<=|==|!=|>|<)\s*(?P<value>'[^']*'|"[^"]*"|[^<>=!'"\s][^<>=!]*)"""
)
# An "and" that is followed by an even number of quotes stands outside of them.
_AND = re.compile(r"""\s+and\s+(?=(?:[^'"]|'[^']*'|"[^"]*")*$)""")
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}
_SYNTAX = "write NAME, NAME=FIELD, NAME=FIELD>=VALUE, or several comparisons joined by 'and'"


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a field with a number, a text, or a word for true or false.

    Attributes:
        field: The field.
        operator: `>=`, `<=`, `==`, `!=`, `>` or `<`; only `==` and `!=` for what is not a number.
        value: What it is compared with.
    """

    field: str
    operator: str
    value: float | str | bool

    @staticmethod
    def parse(text: str, whole: str) -> Condition:
        """Read `FIELD>=VALUE` and the like.

        Args:
            text: The condition.
            whole: The score that it is part of, for messages.

        Raises:
            UsageError: The text is not a comparison, or compares the order of what is not a number.
        """
        match = _CONDITION.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"the score '{whole}' cannot be read", _SYNTAX)
        word, comparison = match["value"].strip(), match["operator"]
        value: float | str | bool = _TRUTH.get(word.lower(), word)
        if word[0] in "'\"":
            value = word[1:-1]
        elif isinstance(value, str):
            with suppress(ValueError):
                value = float(word)
        if comparison not in {"==", "!="} and (not isinstance(value, float) or math.isnan(value)):
            raise UsageError(f"the score '{whole}' compares with '{word}', which is not a number", _SYNTAX)
        return Condition(match["field"], comparison, value)

    @property
    def reads_text(self) -> bool:
        """Whether the field is read as text rather than as a number."""
        return not isinstance(self.value, float)

    def holds(self, rollouts: Rollouts) -> Floats:
        """By rollout 1 where it holds, 0 where it does not, NaN where the field is missing."""
        compare = _COMPARISONS[self.operator]
        if not self.reads_text:
            values = rollouts.number(self.field).values
            return np.where(np.isnan(values), np.nan, compare(values, self.value))
        labels = rollouts.labels[self.field]
        by_value = [float(compare(self._as_compared(value), self.value)) for value in labels.values]
        return np.array([*by_value, np.nan])[labels.codes]  # code -1, where there is nothing, takes the last

    def _as_compared(self, value: Hashable) -> Hashable:
        text = str(value) if isinstance(value, (str, JsonText)) else value
        return _TRUTH.get(str(text).strip().lower(), text) if isinstance(self.value, bool) else text


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """A named score: a numeric field, or whether conditions hold.

    Attributes:
        name: What it is called in keys.
        numbers: The fields that are read as numbers; without conditions the one that is the score.
        texts: The fields that are read as text.
        conditions: All of them must hold; where the field of one is missing, so is the score.
    """

    name: str
    numbers: tuple[str, ...]
    texts: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @staticmethod
    def parse(text: str) -> ScoreSpec:
        """Read `NAME`, `NAME=FIELD`, or `NAME=FIELD>=VALUE and …` (also `>`, `<`, `<=`, `==`, `!=`).

        A value is a number, a text (in quotes, or a word), or one of true, false, yes and no.

        Raises:
            UsageError: The text is none of these.

        >>> ScoreSpec.parse("solved=reward>=0.5").conditions
        (Condition(field='reward', operator='>=', value=0.5),)
        """
        equals = re.search(r"(?<![<>=!])=(?!=)", text)
        if equals is None:
            if re.search(r"[<>=]", text):
                raise UsageError(f"the score '{text}' has no name", f"give it one, for example {{score=solved={text}}}")
            return ScoreSpec(text, (text,))
        name, source = text[: equals.start()].strip(), text[equals.end() :].strip()
        if not name or not source:
            raise UsageError(f"the score '{text}' is incomplete", _SYNTAX)
        parts = _AND.split(source)
        if len(parts) == 1 and not re.search(r"[<>=]", source):
            return ScoreSpec(name, (source,))
        conditions = tuple(Condition.parse(part, text) for part in parts)
        numbers = tuple(condition.field for condition in conditions if not condition.reads_text)
        texts = tuple(condition.field for condition in conditions if condition.reads_text)
        return ScoreSpec(name, numbers, texts, conditions)

    def values(self, rollouts: Rollouts) -> Floats:
        """The score of every rollout, NaN where it is missing."""
        if not self.conditions:
            return rollouts.number(self.numbers[0]).values
        # A missing field makes the product NaN, whatever the other conditions say.
        holds = [condition.holds(rollouts) for condition in self.conditions]
        return np.prod(holds, axis=0)  # type: ignore[no-any-return]


def score_values(measured: Rollouts, specs: Sequence[ScoreSpec], listener: Listener) -> dict[str, Floats]:
    """By name, the score of every rollout, NaN where it is missing.

    Args:
        measured: The rollouts that count.
        specs: The scores.
        listener: Told how many values are missing, and why.

    Raises:
        FieldError: No rollout has the score.
    """
    scores = {spec.name: spec.values(measured) for spec in specs}
    for spec in specs:
        missing = int(np.isnan(scores[spec.name]).sum())
        if missing:
            _note_missing(spec, missing, measured, listener)
    return scores


def _note_missing(spec: ScoreSpec, missing: int, measured: Rollouts, listener: Listener) -> None:
    columns: list[Column] = [measured.number(name) for name in spec.numbers]
    reasons = [
        ", ".join(f"{count} {reason}" for reason, count in column.missing_reasons().items()) for column in columns
    ]
    why = f" ({reasons[0]})" if len(spec.numbers) == 1 and not spec.texts else ""
    if missing == len(measured.masked):
        fields = " and ".join(f"'{name}'" for name in [*spec.numbers, *spec.texts])
        raise FieldError(
            f"no rollout has a number in the field {fields}{why}" if why else f"no rollout has all of {fields}",
            "name a field of numbers or booleans with {score=NAME=FIELD}",
            Location(measured.origins.sources[0]),
        )
    listener.note("score-missing", f"{spec.name}: {missing} of {len(measured.masked)} rollouts have no value{why}")
