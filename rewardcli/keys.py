"""JSON values as keys: task and rollout indices, agents, answers, subset values."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Ints
from .errors import DataError

__all__ = [
    "JsonText",
    "canonical_answer",
    "canonical_json",
    "canonical_key",
    "key_name",
    "names_of",
    "sorting_orders",
]


@dataclass(frozen=True, slots=True)
class JsonText:
    """A key that is neither number nor text, by its canonical JSON; never equal to the text that looks like it."""

    text: str

    def __str__(self) -> str:
        return self.text


def _integral(value: Any) -> Any:
    """The value with every float that is a whole number as an int, so that 1 and 1.0 have one text."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {str(key): _integral(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_integral(item) for item in value]
    return value


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, 1.0 as 1.

    >>> canonical_json({"b": [1.0, True], "a": None})
    '{"a":null,"b":[1,true]}'
    """
    try:
        return json.dumps(_integral(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    except RecursionError as error:
        raise DataError("a value used as a key is nested too deeply", "name another field as the key") from error


def canonical_key(value: Any) -> Hashable | None:
    """A JSON value as a key: 1 equals 1.0, while "1", 1 and true differ; None where there is no key."""
    if isinstance(value, bool) or (value is not None and not isinstance(value, (str, int, float))):
        return JsonText(canonical_json(value))
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() else value
    return value


def canonical_answer(value: Any) -> Hashable | None:
    """A JSON value as an answer, equal as in Python: 1, 1.0 and true are one; None where there is no answer."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Hashable) and not isinstance(value, (str, int, float, tuple, type(None))):
        return value
    return canonical_key(value)


def key_name(value: Hashable) -> str:
    """How a key is printed: a text as it is, any other value as its JSON text."""
    if isinstance(value, (str, JsonText)):
        return str(value)
    return canonical_json(value)


def names_of(values: Sequence[Hashable]) -> list[str]:
    """The names of distinct keys: as `key_name`, `(empty)` for "", and a text quoted only where it would collide.

    >>> names_of([1, "1", "a", ""])
    ['1', '"1"', 'a', '(empty)']
    """
    texts = {value for value in values if isinstance(value, str) and value}
    taken = {"(empty)" if value == "" else key_name(value) for value in values if value not in texts}

    def name(value: Hashable) -> str:
        if value not in texts:
            return "(empty)" if value == "" else key_name(value)
        quoted = str(value)
        while quoted in taken or (quoted != value and quoted in texts):
            quoted = json.dumps(quoted, ensure_ascii=False)
        return quoted

    return [name(value) for value in values]


def sorting_orders(columns: Iterable[Sequence[Hashable]]) -> list[Ints]:
    """By column, the positions of its keys in order: numbers, then text by code point, then the rest by its JSON."""
    return [_sorting_order(values) for values in columns]


def _sorting_order(values: Sequence[Hashable]) -> Ints:
    if all(type(value) is int and -(2**63) <= value < 2**63 for value in values):
        return np.argsort(np.array(values, dtype=np.int64), kind="stable")

    def rank(position: int) -> tuple[int, Any]:
        value = values[position]
        return (1, value) if isinstance(value, str) else (2, str(value)) if isinstance(value, JsonText) else (0, value)

    return np.array(sorted(range(len(values)), key=rank), dtype=np.int64)
