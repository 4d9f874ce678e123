"""JSON and CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from ..results import Record

__all__ = ["CSV_FIELDS", "csv_text", "json_text"]

CSV_FIELDS = ("agent", "subset", "metric", "k", "score", "stat", "value", "n_tasks", "n_rollouts")
UNCERTAINTY_FIELDS = ("se", "lower", "upper", "se_again")


def json_text(value: Any) -> str:
    """Indented JSON, with a line end."""
    import orjson

    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n"
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(records: Iterable[Record]) -> str:
    """One row per number, in the order of `CSV_FIELDS` and `UNCERTAINTY_FIELDS`; empty where there is nothing to say.

    Every value is read back as it is, save a text that a spreadsheet would run, before which an apostrophe stands.
    """
    lines = [",".join((*CSV_FIELDS, *UNCERTAINTY_FIELDS))]
    for record in records:
        key = record.key
        fields = (key.agent, key.subset, key.metric, key.k, key.score, key.stat, record.value)
        known = record.uncertainty
        beside = ("",) * 4 if known is None else (known.se, known.lower, known.upper, known.se_again)
        lines.append(",".join(map(_cell, (*fields, record.n_tasks, record.n_rollouts, *beside))))
    return "\n".join([*lines, ""])


def _cell(value: Any) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = f"'{value}" if value.startswith(_RUN_BY_SPREADSHEETS) else value
    return f'"{text.replace(QUOTE, QUOTE * 2)}"' if _SPECIAL.search(text) else text


QUOTE = '"'
_SPECIAL = re.compile(r'[",\r\n]')
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")
