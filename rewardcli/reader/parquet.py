"""Tables of numbers as Parquet files: rollouts without their text, to be stored, sent and joined.

Columns of a file (schema version 1, in the file's metadata as `rewardcli.schema`):
`task`, `rollout`, `agent` and `label.FIELD` hold keys: int64 if all of them are integers, else the JSON text of each,
null where there is none; `masked`; `number.FIELD` and `usage.FIELD` hold numbers, null where one is missing; beside
each `kind.…` says what stood there (0 absent, 1 null, 2 not a number, 3 NaN, 4 infinite, 5 integer, 6 float,
7 boolean), and `exact.…`, where needed, has the JSON text of what a float cannot hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import DataError
from ..table import Column, JsonText, Labels, answer_key, canonical_key, key_name
from .arrange import Rows
from .columns import LINE_KEY, Chunk, Fields

__all__ = ["SCHEMA_VERSION", "read_table_file", "table_fields", "write_table_file"]

SCHEMA_VERSION = 1
_SCHEMA_KEY = b"rewardcli.schema"
_INT64 = range(-(2**63), 2**63)


def _pyarrow(path: str) -> tuple[Any, Any]:
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


def write_table_file(rows: Rows, target: IO[bytes], path: Path) -> None:
    """Writes the numbers of rollouts.

    Args:
        rows: The rollouts, as they stood in their files.
        target: Where to write.
        path: The name that messages give.
    """
    pa, parquet = _pyarrow(str(path))
    columns: dict[str, Any] = {
        "task": _key_array(pa, rows.task),
        "rollout": _key_array(pa, rows.rollout),
        "agent": _key_array(pa, rows.agent),
        "masked": pa.array(rows.masked),
    }
    for name, labels in rows.labels.items():
        if labels.present:
            columns[f"label.{name}"] = _key_array(pa, labels)
    for kind, numbers in (("number", rows.numbers), ("usage", rows.usage)):
        for name, column in numbers.items():
            columns[f"{kind}.{name}"] = pa.array(column.values, from_pandas=True)
            columns[f"kind.{kind}.{name}"] = pa.array(column.kinds)
            if column.exact is not None:
                texts = [None if value is None else json.dumps(value) for value in column.exact]
                columns[f"exact.{kind}.{name}"] = pa.array(texts, pa.string())
    table = pa.table(columns).replace_schema_metadata({_SCHEMA_KEY: str(SCHEMA_VERSION).encode()})
    parquet.write_table(table, target, compression="zstd")


# --- reading --------------------------------------------------------------------------------------------------------


def _open(path: str) -> Any:
    pa, parquet = _pyarrow(path)
    try:
        if "://" in path:
            import fsspec

            filesystem, inner = fsspec.core.url_to_fs(path)
            file = parquet.ParquetFile(filesystem.open(inner, "rb"))
        else:
            file = parquet.ParquetFile(path, memory_map=True)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file", "check the path") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file ({error})", "make it anew with 'rewardcli extract'") from error
    version = (file.schema_arrow.metadata or {}).get(_SCHEMA_KEY)
    if version != str(SCHEMA_VERSION).encode():
        found = f"schema {version.decode()}" if version else "no table of rollouts"
        raise DataError(
            f"{path}: {found}, expected rewardcli schema {SCHEMA_VERSION}", "make it with 'rewardcli extract'"
        )
    return file


def table_fields(path: str) -> list[str]:
    """The names of the fields that a table file holds."""
    prefixes = ("number.", "usage.", "label.")
    return list(dict.fromkeys(n.split(".", 1)[1] for n in _open(path).schema_arrow.names if n.startswith(prefixes)))


def _key_of(text: str) -> Hashable | None:
    value = json.loads(text)
    return value if isinstance(value, str) else canonical_key(value)


def _labels(table: Any, name: str, canonical: Callable[[Any], Hashable | None] | None = None) -> Labels:
    if name not in table.column_names:
        return Labels(np.full(table.num_rows, -1, np.int32), [], present=False)
    array = table.column(name).combine_chunks()
    encoded = array if hasattr(array, "dictionary") else array.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    values = [_key_of(value) if isinstance(value, str) else value for value in encoded.dictionary.to_pylist()]
    if canonical is not None:
        values = [canonical(json.loads(value.text) if isinstance(value, JsonText) else value) for value in values]
    return Labels.merge([Labels(codes, values)])


def _column(table: Any, name: str) -> Column | None:
    if name not in table.column_names:
        return None
    values = table.column(name).to_numpy().astype(np.float64)
    column = Column(values, table.column(f"kind.{name}").to_numpy())
    if f"exact.{name}" in table.column_names:
        texts = table.column(f"exact.{name}").to_pylist()
        column.exact = np.full(len(values), None, dtype=object)
        for row, text in enumerate(texts):
            column.exact[row] = None if text is None else json.loads(text)
    return column


def read_table_file(path: str, fields: Fields) -> Chunk:
    """Reads a table file; of its numbers and labels only those that are asked for.

    Raises:
        DataError: The file is none of ours.
    """
    file = _open(path)
    names = file.schema_arrow.names
    numbers = (
        [n.split(".", 1)[1] for n in names if n.startswith("number.")] if fields.numbers is None else fields.numbers
    )
    usage = [n.split(".", 1)[1] for n in names if n.startswith("usage.")] if fields.numbers is None else fields.numbers
    wanted = {"task", "rollout", "agent", "masked", *(f"label.{name}" for name in (*fields.answers, *fields.subsets))}
    for name in [*(f"number.{name}" for name in numbers), *(f"usage.{name}" for name in usage)]:
        wanted |= {name, f"kind.{name}", f"exact.{name}"}
    table = file.read([name for name in names if name in wanted])
    labels = {name: _labels(table, f"label.{name}", canonical_key) for name in fields.subsets}
    labels |= {name: _labels(table, f"label.{name}", answer_key) for name in fields.answers}
    count = table.num_rows
    line_keys = Labels(np.arange(count, dtype=np.int32), list(range(count)))
    found = {
        kind: {n: c for n in group if (c := _column(table, f"{kind}.{n}")) is not None}
        for kind, group in (("number", numbers), ("usage", usage))
    }
    return Chunk(
        source=path,
        n_lines=count,
        lines=np.arange(1, count + 1, dtype=np.uint32),
        task=line_keys if fields.task == LINE_KEY else _labels(table, "task"),
        rollout=_labels(table, "rollout"),
        agent=_labels(table, "agent"),
        masked=table.column("masked").to_numpy(),
        numbers=found["number"],
        usage=found["usage"],
        labels=labels,
    )
