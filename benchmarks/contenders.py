"""The jobs that rewardcli is compared with, each run by itself: `python contenders.py JOB FILE [OUTPUT]`.

A job that computes metrics prints them as a JSON object with rewardcli's keys, so that `run.py` can check that all
contenders get the same numbers. Each job imports the libraries that it needs.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fields import ANSWER_FIELD, NUMBERS, NUMERIC_FIELDS, USAGE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TASK, ROLLOUT = "_ng_task_index", "_ng_rollout_index"
STATISTICS = ("mean", "max", "min", "median", "std")


def read(path: Path) -> None:
    """Read the bytes, a megabyte at a time, and do nothing with them."""
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def parse(path: Path) -> None:
    """Call `orjson.loads` on each line, and extract nothing."""
    from orjson import loads

    with path.open("rb") as file:
        for line in file:
            loads(line)


def loop(path: Path) -> None:
    """Call `orjson.loads` on each line and extract every numeric field, usage over top level, and the answer."""
    from orjson import loads

    with path.open("rb") as file:
        for line in file:
            row = loads(line)
            numbers = {name: value for name, value in row.items() if isinstance(value, (int, float))}
            usage = row["response"]["usage"]
            numbers.update({name: value for name, value in usage.items() if isinstance(value, (int, float))})
            row.get(ANSWER_FIELD)


def loop_columns(path: Path) -> None:
    """Run the same loop, but keep what it extracts: compact arrays of rows and values for each field."""
    from array import array
    from collections import defaultdict

    from orjson import loads

    columns: defaultdict[str, tuple[array[int], array[float]]] = defaultdict(lambda: (array("q"), array("d")))
    answers = []
    with path.open("rb") as file:
        for number, line in enumerate(file):
            row = loads(line)
            for name, value in (*row.items(), *row["response"]["usage"].items()):
                if isinstance(value, (int, float)):
                    rows, values = columns[name]
                    rows.append(number)
                    values.append(value)
            answers.append(row.get(ANSWER_FIELD))


def print_metrics(tasks: Iterable[tuple[int, int]], majority: float) -> None:
    """Print pass@k for every k, from (rollouts, correct rollouts) of each task, and majority at the largest k."""
    counts = Counter((int(n), int(c)) for n, c in tasks)
    largest = max(n for n, _ in counts)
    metrics = {}
    for k in range(1, largest + 1):
        counted = {key: tasks for key, tasks in counts.items() if key[0] >= k}
        total = sum((1 - comb(n - c, k) / comb(n, k)) * tasks for (n, c), tasks in counted.items())
        metrics[f"pass@{k}/accuracy"] = 100 * total / sum(counted.values())
    metrics[f"majority@{largest}/accuracy"] = 100 * majority
    print(json.dumps(metrics))


def pandas_metrics(frame: Any) -> None:
    """Compute pass@k and majority from a pandas frame of task, reward and answer."""
    rewards = frame.groupby(TASK)["reward"].agg(["count", "sum"])
    votes = frame.groupby([TASK, ANSWER_FIELD, "reward"]).size().rename("votes").reset_index()
    winners = votes[votes["votes"] == votes.groupby(TASK)["votes"].transform("max")]
    majority = winners.groupby(TASK)["reward"].mean().sum() / len(rewards)
    print_metrics(zip(rewards["count"], rewards["sum"], strict=True), float(majority))


def pandas_whole(path: Path) -> None:
    """Read the whole file with `pandas.read_json(lines=True)`, then compute the metrics by groupby."""
    import pandas as pd

    pandas_metrics(pd.read_json(path, lines=True, dtype=False, convert_dates=False))


def pandas_chunks(path: Path) -> None:
    """Do the same in chunks of about 16 MB, keeping the numeric columns, usage and the answer."""
    import pandas as pd

    with path.open("rb") as file:
        rows = max(20, (16 << 20) // len(file.readline()))
    kept = []
    for chunk in pd.read_json(path, lines=True, dtype=False, convert_dates=False, chunksize=rows):
        usage = pd.DataFrame([response["usage"] for response in chunk["response"]], index=chunk.index)
        kept.append(chunk.select_dtypes(["number", "bool"]).join(usage).assign(extracted_answer=chunk[ANSWER_FIELD]))
    pandas_metrics(pd.concat(kept))


def polars_frame(path: Path, *, every_column: bool) -> Any:
    """Make a lazy frame of the file, given its schema, with all numeric columns or only those that pass@k needs."""
    import polars as pl

    kinds = {"bool": pl.Boolean, "int": pl.Int64, "float": pl.Float64}
    schema: dict[str, Any] = {TASK: pl.Int64, ROLLOUT: pl.Int64, "reward": pl.Float64, ANSWER_FIELD: pl.String}
    if every_column:
        schema |= {name: kinds[kind] for name, _, kind in NUMBERS}
        schema["response"] = pl.Struct({"usage": pl.Struct(dict.fromkeys(USAGE_FIELDS, pl.Int64))})
    frame = pl.scan_ndjson(path, schema=schema)
    if not every_column:
        return frame
    usage = pl.col("response").struct.field("usage")
    return frame.with_columns(usage.struct.field(name) for name in USAGE_FIELDS).drop("response")


def polars_passk(path: Path) -> None:
    """Use polars' `scan_ndjson` with the four columns that pass@k and majority need, given their types."""
    import polars as pl

    frame = polars_frame(path, every_column=False).collect(engine="streaming")
    tasks = frame.group_by(TASK).agg(pl.len().alias("n"), pl.col("reward").sum().alias("c"))
    votes = frame.drop_nulls(ANSWER_FIELD).group_by(TASK, ANSWER_FIELD, "reward").len("votes")
    winners = votes.filter(pl.col("votes") == pl.col("votes").max().over(TASK))
    majority = winners.group_by(TASK).agg(pl.col("reward").mean())["reward"].sum() / len(tasks)
    print_metrics(tasks.select("n", "c").iter_rows(), majority)


def polars_profile(path: Path, output: Path) -> None:
    """Use polars to write five statistics of every numeric column, by task as JSON lines, and over all rows."""
    import polars as pl

    frame = polars_frame(path, every_column=True).collect(engine="streaming")
    names = [name for name in (*NUMERIC_FIELDS, *USAGE_FIELDS) if name not in (TASK, ROLLOUT)]
    frame = frame.with_columns(pl.col(pl.Boolean).cast(pl.Int64))
    statistics = [getattr(pl.col(name), how)().alias(f"{how}/{name}") for how in STATISTICS for name in names]
    frame.group_by(TASK).agg(statistics).sort(TASK).write_ndjson(output)
    frame.select(statistics).write_ndjson(output.with_suffix(".agent.json"))


def duckdb_table(path: Path, threads: int, *, every_column: bool) -> Any:
    """Load the file's columns, given their types, into the table `rollouts` of a new DuckDB connection."""
    import duckdb

    types = {"bool": "BOOLEAN", "int": "BIGINT", "float": "DOUBLE"}
    columns = {TASK: "BIGINT", ROLLOUT: "BIGINT", "reward": "DOUBLE", ANSWER_FIELD: "VARCHAR"}
    wanted = [f'"{name}"' for name in columns]
    if every_column:
        columns |= {name: types[kind] for name, _, kind in NUMBERS}
        columns["response"] = f"STRUCT(usage STRUCT({', '.join(f'{name} BIGINT' for name in USAGE_FIELDS)}))"
        wanted += [f'"{name}"::{"BIGINT" if kind == "bool" else types[kind]} AS "{name}"' for name, _, kind in NUMBERS]
        wanted += [f"response.usage.{name} AS {name}" for name in USAGE_FIELDS]
    connection = duckdb.connect(config={"threads": threads})
    connection.execute(
        f"CREATE TABLE rollouts AS SELECT {', '.join(wanted)} "
        f"FROM read_json($path, format = 'newline_delimited', columns = {columns!r})",
        {"path": str(path)},
    )
    return connection


def duckdb_passk(path: Path, threads: int) -> None:
    """Use DuckDB's `read_json` with the four columns that pass@k and majority need, given their types."""
    connection = duckdb_table(path, threads, every_column=False)
    tasks = connection.execute(f"SELECT count(*), sum(reward) FROM rollouts GROUP BY {TASK}").fetchall()
    votes = f"""
        WITH votes AS (
            SELECT {TASK} AS task, reward, count(*) AS votes FROM rollouts
            WHERE {ANSWER_FIELD} IS NOT NULL GROUP BY {TASK}, {ANSWER_FIELD}, reward
        ), winners AS (
            SELECT task, reward FROM votes QUALIFY votes = max(votes) OVER (PARTITION BY task)
        )
        SELECT sum(score) FROM (SELECT avg(reward) AS score FROM winners GROUP BY task)"""
    (majority,) = connection.execute(votes).fetchone()
    print_metrics(tasks, majority / len(tasks))


def duckdb_profile(path: Path, output: Path, threads: int) -> None:
    """Use DuckDB to write five statistics of every numeric column, by task as JSON lines, and over all rows."""
    connection = duckdb_table(path, threads, every_column=True)
    names = [name for name in (*NUMERIC_FIELDS, *USAGE_FIELDS) if name not in (TASK, ROLLOUT)]
    functions = {how: "stddev_samp" if how == "std" else how for how in STATISTICS}
    statistics = ", ".join(f'{functions[how]}("{name}") AS "{how}/{name}"' for how in STATISTICS for name in names)
    by_task = f"SELECT {TASK}, {statistics} FROM rollouts GROUP BY {TASK} ORDER BY {TASK}"
    connection.execute(f"COPY ({by_task}) TO '{output}' (FORMAT json)")
    connection.execute(f"COPY (SELECT {statistics} FROM rollouts) TO '{output}.agent' (FORMAT json)")


JOBS: dict[str, Callable[..., None]] = {
    "read": read,
    "parse": parse,
    "loop": loop,
    "loop-columns": loop_columns,
    "pandas": pandas_whole,
    "pandas-chunks": pandas_chunks,
    "polars-passk": polars_passk,
    "polars-profile": polars_profile,
    "duckdb-passk": duckdb_passk,
    "duckdb-profile": duckdb_profile,
}


def main(job: str, path: str, *rest: str) -> None:
    """Run one job: `JOB FILE`, followed by an output file for profiles and a thread count for DuckDB."""
    arguments: list[Any] = [int(value) if value.isdigit() else Path(value) for value in rest]
    JOBS[job](Path(path), *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
