"""Rollouts as Parquet files: their numbers without their text, to be stored, sent and joined.

docs/extract.md describes the columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import DataError
from ..keys import JsonText, canonical_answer, canonical_key, key_name
from ..rollouts import Column, Labels, Rollouts, Rows
from .chunks import Chunk
from .columns import column_of
from .dialects import REWARD
from .fields import LINE_KEY, Fields
from .files import is_parquet
from .jsonrow import UNSET
from .streams import open_file

__all__ = ["SCHEMA_VERSION", "load_pyarrow", "parquet_fields", "parquet_labels", "read_parquet", "write_parquet"]

SCHEMA_VERSION = 2
_SCHEMA_KEY, _ORDERS_KEY = b"rewardcli.schema", b"rewardcli.orders"
_INT64 = range(-(2**63), 2**63)


def load_pyarrow(path: str) -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Args:
        path: The file they are needed for.

    Raises:
        DataError: They are not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(f"{path}: Parquet files need pyarrow", 'pip install "rewardcli[parquet]"') from error
    return pa, parquet


# --- writing --------------------------------------------------------------------------------------------------------


def _key_json(value: Hashable) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else key_name(value)


def _key_array(pa: Any, labels: Labels) -> Any:
    if labels.values and all(type(value) is int and value in _INT64 for value in labels.values):
        values = np.array([*labels.values, 0], dtype=np.int64)
        return pa.array(values[labels.codes], mask=labels.codes < 0)
    texts = pa.array([_key_json(value) for value in labels.values], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(labels.codes, mask=labels.codes < 0), texts)


def write_parquet(rollouts: Rollouts, target: IO[bytes], path: Path) -> None:
    """Write the numbers of rollouts, in the order in which they were read.

    Args:
        rollouts: The rollouts.
        target: Where to write.
        path: The name that messages give.
    """
    pa, parquet = load_pyarrow(str(path))
    order = rollouts.positions.argsort()

    def keys(labels: Labels) -> Any:
        return _key_array(pa, labels.take(order) if labels.present else Labels.none(len(order)))

    columns: dict[str, Any] = {
        "task": keys(rollouts.by_row(rollouts.tasks)),
        "rollout": keys(rollouts.indices),
        "agent": keys(rollouts.by_row(rollouts.agents)),
        "masked": pa.array(rollouts.masked[order]),
    }
    for name, labels in rollouts.labels.items():
        if labels.present:
            columns[f"label.{name}"] = keys(labels)
    for role, numbers in (("number", rollouts.numbers), ("usage", rollouts.usage)):
        for name, rare in numbers.items():
            column = rare.dense().take(order)
            if column.first_number() is None and name not in (REWARD, *rollouts.usage):
                continue  # what never holds a number is not a score, unless it hides one in the usage
            columns[f"{role}.{name}"] = pa.array(column.values, from_pandas=True)
            columns[f"kind.{role}.{name}"] = pa.array(column.states)
            if column.exact is not None:
                texts = [None if value is None else json.dumps(value) for value in column.exact]
                columns[f"exact.{role}.{name}"] = pa.array(texts, pa.string())
    known = {name.partition(".")[2] for name in columns if name.startswith(("number.", "usage."))}
    orders = json.dumps([[name for name in names if name in known] for names in rollouts.orders], ensure_ascii=False)
    metadata = {_SCHEMA_KEY: str(SCHEMA_VERSION).encode(), _ORDERS_KEY: orders.encode()}
    table = pa.table(columns).replace_schema_metadata(metadata)
    parquet.write_table(table, target, compression="zstd")


# --- reading --------------------------------------------------------------------------------------------------------


def _read(path: str, wanted: Callable[[list[str]], Iterable[str]]) -> Any:
    """The columns of a Parquet file that are wanted, given the names of those there are."""
    pa, parquet = load_pyarrow(path)
    try:
        with open_file(path) as stream, parquet.ParquetFile(stream) as file:
            version = (file.schema_arrow.metadata or {}).get(_SCHEMA_KEY)
            if version != str(SCHEMA_VERSION).encode():
                kind = f"a table of schema {version.decode()}" if version else "not a table of rollouts"
                raise DataError(
                    f"{path}: {kind}, expected one of rewardcli schema {SCHEMA_VERSION}",
                    "make it again with this version's 'rewardcli extract'",
                )
            return file.read(list(wanted(file.schema_arrow.names)))
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})", "make it again with 'rewardcli extract'"
        ) from error


def _names_of(names: Iterable[str], role: str) -> list[str]:
    return [name.removeprefix(role) for name in names if name.startswith(role)]


def parquet_fields(path: str, roles: Iterable[str] = ("number.", "usage.", "label.")) -> list[str]:
    """The names of the fields that a Parquet file holds.

    Args:
        path: The file.
        roles: Which of them.
    """
    fields: dict[str, None] = {}

    def look(names: list[str]) -> list[str]:
        fields.update((field, None) for role in roles for field in _names_of(names, role))
        return []

    _read(path, look)
    return list(fields)


def parquet_labels(paths: Iterable[str]) -> list[str]:
    """The fields that the Parquet files among some files keep as labels."""
    return list(dict.fromkeys(name for path in paths if is_parquet(path) for name in parquet_fields(path, ["label."])))


def _key_of(text: str) -> Hashable | None:
    value = json.loads(text)
    return value if isinstance(value, str) else canonical_key(value)


def _json_of(key: Hashable) -> Any:
    return json.loads(key.text) if isinstance(key, JsonText) else key


def _encoded(table: Any, name: str) -> tuple[Any, list[Any]]:
    """A column as codes, -1 for null, and distinct values."""
    array = table.column(name).combine_chunks()
    encoded = array if hasattr(array, "dictionary") else array.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, encoded.dictionary.to_pylist()


def _labels(table: Any, name: str, canonical: Callable[[Any], Hashable | None] | None = None) -> Labels:
    if name not in table.column_names:
        return Labels.none(table.num_rows)
    codes, distinct = _encoded(table, name)
    values = [_key_of(value) if isinstance(value, str) else value for value in distinct]
    if canonical is not None:
        values = [canonical(_json_of(value)) for value in values]
    return Labels.concat([Labels(codes, values)])  # what was distinct need not be so as an answer


def _column(table: Any, name: str) -> Column:
    values = table.column(name).to_numpy().astype(np.float64)
    column = Column(values, table.column(f"kind.{name}").to_numpy())
    if f"exact.{name}" in table.column_names:
        column.exact = np.full(len(values), None, dtype=object)
        for row, text in enumerate(table.column(f"exact.{name}").to_pylist()):
            column.exact[row] = None if text is None else json.loads(text)
    return column


def _column_of_labels(table: Any, name: str) -> Column | None:
    """The numbers among the kept values of a field, which may lie below the top level."""
    labels = _labels(table, f"label.{name}")
    values = [*map(_json_of, labels.values), UNSET]
    column = column_of(values)
    return None if column is None else column.take(labels.codes)


def read_parquet(path: str, fields: Fields) -> Chunk:
    """Read a Parquet file; of its numbers and labels only those that are asked for.

    Raises:
        DataError: The file is not one of ours.
    """
    labels = (*fields.answers, *fields.subsets)

    def wanted(names: list[str]) -> list[str]:
        numbers = fields.numbers if fields.numbers is not None else _names_of(names, "number.")
        usage = fields.numbers if fields.numbers is not None else _names_of(names, "usage.")
        columns = [*(f"number.{name}" for name in numbers), *(f"usage.{name}" for name in usage)]
        chosen = {"task", "rollout", "agent", "masked", *columns, *(f"label.{name}" for name in labels)}
        chosen |= {f"{prefix}.{name}" for name in columns for prefix in ("kind", "exact")}
        chosen |= {f"label.{name}" for name in numbers} if fields.numbers else set()
        return [name for name in names if name in chosen]

    table = _read(path, wanted)
    columns: dict[str, dict[str, Column]] = {"number.": {}, "usage.": {}}
    for role, named in columns.items():
        for name in _names_of(table.column_names, role):
            named[name] = _column(table, f"{role}{name}")
    for name in fields.numbers or ():
        if name not in columns["number."] and name not in columns["usage."]:
            column = _column_of_labels(table, name)
            columns["number."] |= {} if column is None else {name: column}
    count = table.num_rows
    line_keys = Labels(np.arange(count, dtype=np.int32), list(range(count)))
    rows = Rows(
        indices=_labels(table, "rollout"),
        masked=table.column("masked").to_numpy(),
        numbers=columns["number."],
        usage=columns["usage."],
        labels={name: _labels(table, f"label.{name}", canonical_key) for name in fields.subsets}
        | {name: _labels(table, f"label.{name}", canonical_answer) for name in fields.answers},
        tasks=line_keys if fields.task == LINE_KEY else _labels(table, "task"),
        agents=_labels(table, "agent"),
        servers=Labels.none(count),
        orders=[tuple(names) for names in json.loads(table.schema.metadata.get(_ORDERS_KEY, b"[]"))],
    )
    return Chunk(path, rows, count)
