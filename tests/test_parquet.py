"""A table made by `rewardcli extract` stands for the rollouts it was made from, in every command."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from rewardcli.cli import app
from rewardcli.reader import chunks
from rewardcli.reader.parquet import SCHEMA_VERSION

KEPT = ("answer", "subset", "grade.points", "grade.passed")

COMMANDS: dict[str, list[str]] = {
    "profile": ["profile"],
    "passk": ["passk", "--answer-key", "answer", "--score", "accuracy=reward", "--score", "output_tokens"],
    "passk nested": ["passk", "--score", "points=grade.points", "--score", "passed=grade.passed>=1"],
    "passk by line": ["passk", "--task-key", "@line"],
    "subsets": ["subsets", "--by", "subset", "--answer-key", "answer"],
    "subsets of objects": ["subsets", "--by", "answer"],
    "highest-k": ["highest-k", "--answer-key", "answer"],
    "aggregate": ["aggregate"],
    "one agent": ["passk", "--agent", "b"],
}


def row(task: Any, rollout: Any, **fields: Any) -> dict[str, Any]:
    return {"_ng_task_index": task, "_ng_rollout_index": rollout, **fields}


def usage(**numbers: Any) -> dict[str, Any]:
    return {"response": {"usage": numbers}}


PLAIN = [
    row(0, 0, reward=1, answer="4", subset="easy", **usage(output_tokens=10, input_tokens=3)),
    row(0, 1, reward=0, answer="5", subset="easy", **usage(output_tokens=12, input_tokens=3)),
    row(1, 0, reward=1, answer="4", subset="hard", **usage(output_tokens=9, input_tokens=4)),
    row(1, 1, reward=1, answer=None, subset="hard", **usage(output_tokens=8, input_tokens=4)),
]
ODD = [
    # Keys of every kind; 7 and "7" are two tasks.
    row(7, 0, reward=0.5, answer=1, subset=1, agent_ref={"name": "b"}, big=2**53 + 1, **usage(output_tokens=1)),
    row("7", 0, reward=True, answer=True, subset="1", agent_ref={"name": "b"}, big=2**70, **usage(output_tokens=2)),
    row({"a": [1.0]}, 0, reward=False, answer=[1, 2.0], subset=True, agent_ref={"name": "a"}, big=-(2**60) - 1),
    row({"a": [1]}, "x", reward=1, answer={"b": 1}, subset=None, agent_ref={"name": "a"}, mask_sample=True),
    row('zoë "q"', 2**80, reward=1, answer="", subset="", agent_ref={"name": "b"}, big=1.5),
    # Numbers that are missing for every reason.
    row(8, 0, reward=None, other=float("nan"), zeta=1, answer="NaN"),
    row(8, 1, reward="bad", other=float("inf"), alpha=2, zeta=1, answer=float("nan")),
    row(8, 2, reward=[1], other=-float("inf"), zeta=1, alpha=True),
    row(8, 3, reward={"value": 1}, other="text", **usage(output_tokens=float("nan"))),
    row(8, 4, other=None, grade={"points": 3, "passed": True}),
    row(8, 5, reward=1e100, other=1e-300, grade={"points": 2.5, "passed": False}),
    row(8, 6, reward=10**400, other=-0.0, grade={"points": None}),
    # A number at the top and in the usage.
    row(8, 7, output_tokens=99, reward=0, **usage(output_tokens=5, reward=0.25)),
]  # fmt: skip
UNNUMBERED = [{key: value for key, value in row.items() if key != "_ng_rollout_index"} for row in (*PLAIN, *PLAIN)]

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout or result.stderr

    return run


def write(name: str, rows: Sequence[dict[str, Any]]) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def extract(run: Run, path: str, *options: str) -> str:
    table = path.replace(".jsonl", ".parquet")
    text = Path(path).read_text()
    keep = [f"--keep={name}" for name in KEPT if f'"{name.split(".")[0]}"' in text]
    assert run("extract", path, "-o", table, "-q", *keep, *options) == (0, "")
    return table


def outcome(run: Run, command: str, paths: Sequence[str], *options: str) -> list[Any]:
    """What a command prints, and the files it writes."""
    arguments = [*COMMANDS[command], *paths, "--output-dir", "made", "-q", "-f", "json", *options]
    code, text = run(*arguments)
    if text.startswith("{"):  # what was guessed of the fields is not said of a table
        told = json.loads(text)
        told.pop("notes", None)
        text = json.dumps(told, indent=2)
    made = {}
    for path in sorted(Path("made").glob("*")):
        kind = path.name.removeprefix("rollouts").removeprefix(path.name.split("_")[0])
        made[kind] = path.read_text()
        path.unlink()
    return [code, text, made]


def compare(run: Run, command: str, rollouts: Sequence[str], tables: Sequence[str], *options: str) -> None:
    expected = outcome(run, command, rollouts, *options)
    assert expected[0] == 0, expected[1]
    assert outcome(run, command, tables, *options) == expected


plain_commands = [name for name in COMMANDS if name not in {"one agent", "passk nested"}]


@pytest.mark.parametrize("command", plain_commands)
def test_plain_rollouts(command: str, run: Run) -> None:
    rollouts = write("rollouts.jsonl", PLAIN)
    compare(run, command, [rollouts], [extract(run, rollouts)])


@pytest.mark.parametrize("command", COMMANDS)
def test_odd_rollouts(command: str, run: Run) -> None:
    rollouts = write("rollouts.jsonl", ODD)
    compare(run, command, [rollouts], [extract(run, rollouts)])


@pytest.mark.parametrize("command", COMMANDS)
def test_shards_as_tables_as_rows_and_mixed(command: str, run: Run) -> None:
    shards = [write(f"shard-{n}.jsonl", rows) for n, rows in enumerate((PLAIN, ODD[:6], ODD[6:]))]
    tables = [extract(run, shard) for shard in shards]
    compare(run, command, shards, tables)
    compare(run, command, shards, [tables[0], shards[1], tables[2]])
    compare(run, command, shards, [shards[0], tables[1], shards[2]])


@pytest.mark.parametrize("command", plain_commands)
def test_tables_joined_into_one(command: str, run: Run) -> None:
    shards = [write("a.jsonl", PLAIN), write("b.jsonl", ODD)]
    tables = [extract(run, shard) for shard in shards]
    assert run("extract", *tables, "-o", "all.parquet", "-q") == (0, "")
    compare(run, command, shards, ["all.parquet"])


@pytest.mark.parametrize("command", plain_commands)
def test_rollouts_without_an_index(command: str, run: Run) -> None:
    shards = [write("a.jsonl", UNNUMBERED[:3]), write("b.jsonl", UNNUMBERED[3:])]
    tables = [extract(run, shard) for shard in shards]
    compare(run, command, shards, tables)


def test_fields_named_by_options(run: Run) -> None:
    rows = [{"problem": f"p{n % 3}", "try": n // 3, "model": "m", "reward": n % 2} for n in range(9)]
    names = ("--task-key", "problem", "--rollout-key", "try", "--agent-key", "model")
    rollouts = write("rollouts.jsonl", rows)
    table = extract(run, rollouts, *names)
    assert outcome(run, "profile", [table]) == outcome(run, "profile", [rollouts], *names)
    # A table needs no such names, and is not disturbed by them.
    compare(run, "profile", [rollouts], [table], *names)


@pytest.mark.parametrize("choice", ["first", "last", "keep"])
def test_duplicates_across_tables(choice: str, run: Run) -> None:
    again = [{**row, "reward": 1 - row["reward"]} for row in PLAIN]
    shards = [write("a.jsonl", PLAIN), write("b.jsonl", again)]
    tables = [extract(run, shard) for shard in shards]
    compare(run, "profile", shards, tables, "--duplicates", choice)
    code, text = run("passk", *tables)
    assert (code, text.splitlines()[0]) == (
        1,
        "Error: b.parquet:1: duplicate of a.parquet:1 (task 0, rollout 0)",
    )


@pytest.mark.parametrize("choice", ["first", "last", "keep"])
def test_duplicates_within_what_is_extracted(choice: str, run: Run) -> None:
    rollouts = write("rollouts.jsonl", [*PLAIN, {**PLAIN[0], "reward": 0.5}])
    code, text = run("extract", rollouts, "-o", "x.parquet")
    assert (code, text.splitlines()[0]) == (
        1,
        "Error: rollouts.jsonl:5: duplicate of rollouts.jsonl:1 (task 0, rollout 0)",
    )
    assert not Path("x.parquet").exists()
    table = extract(run, rollouts, "--duplicates", choice)
    expected = outcome(run, "profile", [rollouts], "--duplicates", choice)
    assert outcome(run, "profile", [table], "--duplicates", choice) == expected


def test_one_agent_of_many(run: Run) -> None:
    rollouts = write("rollouts.jsonl", ODD)
    table = extract(run, rollouts, "--agent", "a")
    assert parquet.read_metadata(table).num_rows == 2
    assert outcome(run, "profile", [table]) == outcome(run, "profile", [rollouts], "--agent", "a")


def test_many_row_groups(run: Run) -> None:
    rollouts = write("rollouts.jsonl", ODD)
    table = extract(run, rollouts)
    parquet.write_table(parquet.read_table(table), "groups.parquet", row_group_size=2)
    compare(run, "profile", [rollouts], ["groups.parquet"])
    compare(run, "subsets", [rollouts], ["groups.parquet"])


def test_the_documented_columns(run: Run) -> None:
    table = parquet.read_table(extract(run, write("rollouts.jsonl", ODD)))
    assert table.schema.metadata[b"rewardcli.schema"] == b"2"
    assert table.column_names[:4] == ["task", "rollout", "agent", "masked"]
    first, missing = table.slice(0, 1).to_pylist()[0], table.slice(7, 1).to_pylist()[0]
    assert (first["task"], first["number.big"], first["exact.number.big"]) == ("7", 2.0**53, "9007199254740993")
    assert (first["label.answer"], first["label.subset"], first["agent"]) == ("1", "1", '"b"')
    assert (missing["number.other"], missing["kind.number.other"], missing["exact.number.reward"]) == (None, 4, "[1]")
    orders = json.loads(table.schema.metadata[b"rewardcli.orders"])
    assert orders[0] == ["reward", "answer", "subset", "big", "output_tokens"]
    plain = parquet.read_table(extract(run, write("plain.jsonl", PLAIN)))
    assert plain.schema.field("task").type == pa.int64()


# --- errors ---------------------------------------------------------------------------------------------------------


def test_hooks_need_the_rollouts(run: Run) -> None:
    Path("hooked.py").write_text(
        "import rewardcli\n"
        "class Hooks(rewardcli.AggregateMetricsMixin):\n"
        "    def compute_metrics(self, tasks):\n"
        "        return {}\n"
    )
    table = extract(run, write("rollouts.jsonl", PLAIN))
    code, text = run("aggregate", table, "--hooks", "hooked:Hooks")
    assert code == 1
    assert text.splitlines() == [
        "Error: rollouts.parquet: the rollouts themselves are needed, not a Parquet file of numbers",
        "Hint: name files of JSON rows",
    ]


def test_a_foreign_parquet_file(run: Run) -> None:
    parquet.write_table(pa.table({"reward": [1.0]}), "foreign.parquet")
    code, text = run("passk", "foreign.parquet")
    assert code == 1
    assert text.splitlines() == [
        "Error: foreign.parquet: not a table of rollouts, expected one of rewardcli schema 2",
        "Hint: make it again with this version's 'rewardcli extract'",
    ]


def test_a_table_of_another_version(run: Run) -> None:
    table = parquet.read_table(extract(run, write("rollouts.jsonl", PLAIN)))
    parquet.write_table(table.replace_schema_metadata({"rewardcli.schema": "3"}), "next.parquet")
    code, text = run("passk", "next.parquet")
    message = f"Error: next.parquet: a table of schema 3, expected one of rewardcli schema {SCHEMA_VERSION}"
    assert (code, text.splitlines()[0]) == (1, message)


@pytest.mark.parametrize("size", [0, 3, 400])
def test_a_file_that_is_cut_off(size: int, run: Run) -> None:
    table = Path(extract(run, write("rollouts.jsonl", PLAIN)))
    table.write_bytes(table.read_bytes()[:size])
    code, text = run("passk", str(table))
    assert code == 1
    assert text.startswith("Error: rollouts.parquet: not a whole Parquet file (")


def test_a_field_that_was_not_kept(run: Run) -> None:
    rollouts = write("rollouts.jsonl", PLAIN)
    assert run("extract", rollouts, "-o", "x.parquet", "-q", "--keep", "answer") == (0, "")
    code, text = run("subsets", "x.parquet", "--by", "subset")
    assert (code, text.splitlines()[0]) == (1, "Error: x.parquet: no rollout has the field 'subset'")
    code, text = run("extract", rollouts, "-o", "y.parquet", "--keep", "answers")
    assert (code, text) == (
        1,
        "Error: rollouts.jsonl: no rollout has the field 'answers'\nHint: did you mean answer?\n",
    )


def test_names_that_cannot_be_written(run: Run) -> None:
    rollouts = write("rollouts.jsonl", PLAIN)
    for name in ("x.csv", "s3://bucket/x.parquet"):
        code, text = run("extract", rollouts, "-o", name)
        assert (code, text.splitlines()[0]) == (2, f"Error: the table '{name}' must be a local file .parquet")


def test_without_pyarrow(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rollouts = write("rollouts.jsonl", PLAIN)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = 'x.parquet: Parquet files need pyarrow\nHint: pip install "rewardcli[parquet]"\n'
    assert run("extract", rollouts, "-o", "x.parquet") == (1, f"Error: {message}")
    Path("x.parquet").touch()
    assert run("passk", "x.parquet") == (1, f"Error: {message}")


def test_what_is_not_a_number_hides_the_usage_in_a_table_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_ROWS_AT_ONCE", 4)
    data = [row(i, 0, reward=1, x=1 if i == 19 else "none", y="never", **usage(x=1, y=1)) for i in range(20)]
    rollouts = write("rollouts.jsonl", data)
    table = extract(run, rollouts)
    for paths in ([rollouts], [table]):
        status, text = run("passk", *paths, "--score", "x", "-f", "json", "-q")
        assert (status, json.loads(text)["coverage"]["pass@1/x"]["n_tasks"]) == (0, 1), text
        assert run("passk", *paths, "--score", "y", "-q")[0] == 1
    compare(run, "profile", [rollouts], [table])


def test_a_rare_field_that_all_rollouts_kept_have_has_no_gap(run: Run) -> None:
    data = [row(i, 0, reward=1, mask_sample=True) for i in range(20)] + [row(20, 0, reward=1, seed=2**53 + 1)]
    _, text = run("profile", write("rollouts.jsonl", data), "-f", "json", "-q", "--output-dir", "made")
    found = json.loads(text)["agents"][0]
    assert (found["max/seed"], type(found["max/reward"])) == (2**53 + 1, int)
