"""JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from ..results import Record

__all__ = ["CSV_FIELDS", "csv_text", "json_text"]

CSV_FIELDS = ("agent", "subset", "metric", "k", "score", "stat", "value", "n_tasks", "n_rollouts")


def json_text(value: Any) -> str:
    """Indented JSON, with a line end."""
    import orjson

    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n"
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(records: Iterable[Record]) -> str:
    """One row per number, in the order of `CSV_FIELDS`; empty where there is nothing to say."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for record in records:
        key = record.key
        fields = (key.agent, key.subset, key.metric, key.k, key.score, key.stat, record.value)
        row = (*fields, record.n_tasks, record.n_rollouts)
        writer.writerow("" if value is None else value for value in row)
    return buffer.getvalue()
