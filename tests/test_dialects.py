"""A dialect is one row of a table: a made-up one is read through every door."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rewardcli.cli import app
from rewardcli.listener import Listener
from rewardcli.reader import (
    NEMO_GYM,
    Dialect,
    InputRows,
    ReadOptions,
    Wanted,
    dialects,
    read_again,
    read_rollouts,
    rollouts_of_dicts,
    write_parquet,
)
from rewardcli.rollouts import Rollouts

QUIZ = Dialect(
    name="quiz",
    task="case.id",
    index="try",
    agent="bot",
    mask="void",
    usage="meter.counts",
    reward="points",
    signs=("case.id", "points"),
)


def row(case: Any, trial: int, points: float, **fields: Any) -> dict[str, Any]:
    return {
        "case": {"id": case},
        "try": trial,
        "bot": "b1",
        "points": points,
        "meter": {"counts": {"words": 10 * trial}},
        **fields,
    }


ROWS = [row("y", 1, 0.5, bot="b2"), row("x", 1, 1, extra=7), row("x", 0, 0), row("x", 2, 1, void=True)]


@pytest.fixture
def rows_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dialects, "DIALECTS", (*dialects.DIALECTS, QUIZ))
    Path("run.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return "run.jsonl"


def content(rollouts: Rollouts) -> dict[str, Any]:
    return {
        "tasks": [rollouts.tasks.values[code] for code in rollouts.tasks.codes],
        "agents": [rollouts.agents.values[code] for code in rollouts.agents.codes],
        "indices": [rollouts.indices.values[code] for code in rollouts.indices.codes],
        "masked": rollouts.masked.tolist(),
        "numbers": {name: column.as_read() for name, column in rollouts.numbers.items()},
        "usage": {name: column.as_read() for name, column in rollouts.usage.items()},
    }


EXPECTED = {
    "tasks": ["x", "y"],
    "agents": ["b1", "b2"],
    "indices": [0, 1, 2, 1],
    "masked": [False, False, True, False],
    "numbers": {"reward": [0, 1, 1, 0.5], "extra": [None, 7, None, None]},
    "usage": {"words": [0, 10, 20, 10]},
}


def test_every_number_is_read_from_files(rows_file: str) -> None:
    listener = Listener()
    assert content(read_rollouts([rows_file], Wanted(numbers=None), listener=listener)) == EXPECTED
    assert [note.code for note in listener.notes] == ["masked"]


def test_named_numbers_are_read_from_files(rows_file: str) -> None:
    numbers = ("reward", "points", "words")
    rollouts = read_rollouts([rows_file], Wanted(numbers=numbers))
    assert rollouts.numbers["reward"].as_read() == rollouts.numbers["points"].as_read() == [0, 1, 1, 0.5]
    assert rollouts.usage["words"].as_read() == [0, 10, 20, 10]


def test_a_named_field_overrules_the_dialect(rows_file: str) -> None:
    rollouts = read_rollouts([rows_file], Wanted(), ReadOptions(task_key="bot"))
    assert content(rollouts)["tasks"] == ["b1", "b2"]


def test_dicts_are_taken() -> None:
    assert content(rollouts_of_dicts(ROWS, dialect=QUIZ)) == EXPECTED


def test_a_nested_reward_is_a_number_too() -> None:
    nested = Dialect("nested", "case", "try", "bot", "void", "usage", reward="grade.points")
    rows = [{"case": 0, "try": 0, "reward": 5, "grade": {"points": 1}}, {"case": 0, "try": 1, "grade": {"points": 0}}]
    assert content(rollouts_of_dicts(rows, dialect=nested))["numbers"] == {"reward": [1, 0]}


@pytest.mark.usefixtures("rows_file")
def test_inputs_are_matched_and_read_again_without_their_keys() -> None:
    Path("inputs.jsonl").write_text(
        "".join(
            json.dumps({"case": case, "try": trial, "question": f"{case}{trial}"}) + "\n"
            for case, trial in (("x", 0), ("x", 1), ("x", 2), ("y", 1))
        )
    )
    Path("run.jsonl").write_text("".join(json.dumps({**row, "case": row["case"]["id"]}) + "\n" for row in ROWS))
    rollouts = read_rollouts(
        ["run.jsonl"], Wanted(inputs="inputs.jsonl"), ReadOptions(task_key="case", rollout_key="try")
    )
    assert rollouts.inputs().tolist() == [0, 1, 2, 3]
    assert rollouts.matching is not None
    with InputRows(rollouts.matching) as inputs:
        assert json.loads(bytes(inputs.raw(2))) == {"question": "x2"}


def test_rows_are_read_again(rows_file: str) -> None:
    rollouts = read_rollouts([rows_file], Wanted(numbers=(), again=True))
    assert read_again(rollouts) == [ROWS[2], ROWS[1], ROWS[3], ROWS[0]]


def test_a_parquet_file_stands_for_the_rows(rows_file: str) -> None:
    with Path("run.parquet").open("wb") as file:
        write_parquet(read_rollouts([rows_file], Wanted(numbers=None, reasons=True)), file, Path("run.parquet"))
    assert content(read_rollouts(["run.parquet"], Wanted(numbers=None))) == EXPECTED


def test_a_command_needs_no_option(rows_file: str) -> None:
    done = CliRunner().invoke(app, ["passk", rows_file, "--format", "json", "--quiet"])
    assert json.loads(done.stdout)["pass@1/accuracy"] == 50.0, done.stderr


@pytest.mark.usefixtures("rows_file")
def test_rows_of_no_dialect_are_read_as_nemo_gyms() -> None:
    Path("run.jsonl").write_text('{"_ng_task_index": 1, "_ng_rollout_index": 0, "points": 2, "reward": 1}\n')
    rollouts = read_rollouts(["run.jsonl"], Wanted(numbers=None))
    assert rollouts.numbers["reward"].as_read() == [1]
    assert content(rollouts)["numbers"] == {"points": [2], "reward": [1]}
    assert dialects.DIALECTS[0] is NEMO_GYM
