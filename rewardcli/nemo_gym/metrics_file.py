"""Read metrics back from JSON files: what `passk` or `subsets` wrote, aggregate metrics, anyone's flat object."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import DataError, Location
from ..reader.json_text import JsonError, parse_json
from ..results import Key, Record, Uncertainty

__all__ = ["read_metrics"]

_HINT = "name a JSON object of metrics, or rollouts in a .jsonl file"


def read_metrics(path: str) -> list[Record]:
    """The metrics of a file, with how many tasks and rollouts are behind them, where the file says so.

    An array of agents gives one agent's metrics flat, and those of several as `AGENT/key`.

    Raises:
        DataError: The file cannot be read, or holds no metrics.
    """
    try:
        content = parse_json(Path(path).read_bytes())
    except OSError as error:
        raise DataError(error.strerror or str(error), "check the path", Location(path)) from error
    except JsonError as error:
        what = f"not JSON ({error.what})" if error.line else error.what
        raise DataError(what, _HINT, Location(path, error.line, error.column)) from error
    if isinstance(content, dict):
        counts = _counts_of(content.pop("coverage", {}))
        known = _uncertainty_of(content.pop("uncertainty", {}))
        records = []
        for key, value in content.items():
            n_tasks, n_rollouts = counts.get(key, (None, None))
            records.append(Record(Key.parse(key), value, n_tasks, n_rollouts, known.get(key)))
        return records
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise DataError("neither an object of metrics nor an array of agents", _HINT, Location(path))
    return [
        Record(Key.parse(key if len(content) == 1 else f"{_agent_of(entry)}/{key}"), value)
        for entry in content
        for key, value in _metrics_of(entry).items()
    ]


def _counts_of(coverage: Any) -> dict[str, tuple[int, int]]:
    """What is under `coverage` as this tool writes it; another tool's is not understood."""
    entries = coverage.items() if isinstance(coverage, dict) else ()
    return {
        key: (entry["n_tasks"], entry["n_rollouts"])
        for key, entry in entries
        if isinstance(entry, dict) and {"n_tasks", "n_rollouts"} <= entry.keys()
    }


def _uncertainty_of(entries: Any) -> dict[str, Uncertainty]:
    """What is under `uncertainty` as this tool writes it; another tool's is not understood."""
    known = {field.name: field.type for field in fields(Uncertainty)}
    return {
        key: Uncertainty(**{name: value for name, value in entry.items() if name in known})
        for key, entry in (entries.items() if isinstance(entries, dict) else ())
        if isinstance(entry, dict)
        and all(
            isinstance(entry[name], (str if "str" in str(known[name]) else (int, float)))
            for name in known.keys() & entry.keys()
        )
    }


def _metrics_of(entry: dict[str, Any]) -> dict[str, Any]:
    metrics = entry.get("agent_metrics", entry)
    return metrics if isinstance(metrics, dict) else entry


def _agent_of(entry: dict[str, Any]) -> str:
    reference = entry.get("agent_ref")
    return str(reference["name"]) if isinstance(reference, dict) and "name" in reference else "agent"
