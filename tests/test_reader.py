import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rewardcli.errors import DataError, FieldError, LineError
from rewardcli.keys import JsonText, key_name
from rewardcli.listener import Listener
from rewardcli.reader import ReadOptions, Wanted, parts, read_rollouts, streams
from rewardcli.reader import read as reading
from rewardcli.rollouts import Duplicates, Rollouts

Row = dict[str, Any] | str


def row(task: Any, rollout: Any, **fields: Any) -> dict[str, Any]:
    return {"_ng_task_index": task, "_ng_rollout_index": rollout, **fields}


def text(rows: Sequence[Row]) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


class Reader:
    """Writes rows to files in a folder of their own and reads them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.notes: list[str] = []

    def write(self, rows: Sequence[Row] | bytes, name: str = "run.jsonl") -> str:
        (self._folder / name).write_bytes(rows if isinstance(rows, bytes) else text(rows).encode())
        return name

    def __call__(self, *files: Sequence[Any] | bytes, **settings: Any) -> Rollouts:
        wanted: dict[str, Any] = {"numbers": None} | {
            k: settings.pop(k) for k in ("numbers", "answers", "subsets") if k in settings
        }
        names = ["run.jsonl"] if len(files) == 1 else [f"run-{number}.jsonl" for number in range(len(files))]
        paths = [self.write(rows, name) for rows, name in zip(files, names, strict=True)]
        listener = Listener()
        rollouts = read_rollouts(paths, Wanted(**wanted), ReadOptions(**settings), listener)
        self.notes = [note.text for note in listener.notes]
        return rollouts


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.chdir(tmp_path)
    return Reader(tmp_path)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes small files go to worker processes, in several parts; all have some of everything."""
    monkeypatch.setattr(reading, "SMALLEST_SHARED", 0)
    monkeypatch.setattr(parts, "SMALLEST_PART", 800)


def tasks_of(table: Rollouts) -> list[Any]:
    """By task, its key."""
    return [table.tasks.values[code] for code in table.tasks.codes]


def indices_of(table: Rollouts) -> list[Any]:
    """By row, the rollout index."""
    return [table.indices.values[code] for code in table.indices.codes]


def labels_of(table: Rollouts, field: str) -> list[Any]:
    labels = table.labels[field]
    return [labels.values[code] if code >= 0 else None for code in labels.codes]


def numbers_of(table: Rollouts, field: str) -> list[Any]:
    return table.numbers[field].as_read()


def content(table: Rollouts) -> dict[str, Any]:
    """All that a table says, whatever codes it uses."""
    return {
        "starts": table.starts.tolist(),
        "tasks": tasks_of(table),
        "agents": [table.agents.values[code] for code in table.agents.codes],
        "indices": indices_of(table),
        "positions": table.positions.tolist(),
        "masked": table.masked.tolist(),
        "numbers": [(name, column.as_read("unset")) for name, column in table.numbers.items()],
        "usage": [(name, column.as_read("unset")) for name, column in table.usage.items()],
        "states": [column.dense().states.tolist() for column in (*table.numbers.values(), *table.usage.values())],
        "labels": {name: labels_of(table, name) for name in table.labels},
    }


# --- the key fields -------------------------------------------------------------------------------------------------

NUMBERED = "no rollout index: rollouts count in order of appearance within their task ({rollout_key} names a field)"


def guessed(kind: str, usual: str, field: str) -> str:
    return f"no {usual}: the {kind} is taken from '{field}' ({{{kind}_key}} names another field)"


@pytest.mark.parametrize("field", ["task_index", "task_id", "problem_id", "question_id", "example_id"])
def test_the_task_is_guessed_and_the_guess_is_noted(read: Reader, field: str) -> None:
    table = read([{field: "b", "_ng_rollout_index": 0}, {field: "a", "_ng_rollout_index": 0}])
    assert tasks_of(table) == ["a", "b"]
    assert read.notes == [guessed("task", "_ng_task_index", field)]


@pytest.mark.parametrize("field", ["rollout_index", "trial", "sample", "sample_index", "attempt"])
def test_the_rollout_is_guessed_and_the_guess_is_noted(read: Reader, field: str) -> None:
    table = read([{"_ng_task_index": 0, field: 7}, {"_ng_task_index": 0, field: 3}])
    assert indices_of(table) == [3, 7]
    assert read.notes == [guessed("rollout", "_ng_rollout_index", field)]


def test_guesses_are_tried_in_order(read: Reader) -> None:
    fields = {"example_id": 1, "question_id": 2, "problem_id": 3, "task_id": 4, "task_index": 5}
    table = read([{**fields, "attempt": 1, "sample_index": 2, "sample": 3, "trial": 4, "rollout_index": 5}])
    assert (tasks_of(table), indices_of(table)) == ([5], [5])


def test_a_guess_needs_a_value(read: Reader) -> None:
    table = read([{"task_id": None, "problem_id": 8, "trial": None, "attempt": 9}])
    assert (tasks_of(table), indices_of(table)) == ([8], [9])


def test_nothing_is_guessed_where_the_usual_fields_are(read: Reader) -> None:
    table = read([row(1, 2, task_id=3, trial=4)])
    assert (tasks_of(table), indices_of(table), read.notes) == ([1], [2], [])


def test_a_named_field_counts_without_a_note(read: Reader) -> None:
    table = read([row(1, 2, key=3, index=4)], task_key="key", rollout_key="index")
    assert (tasks_of(table), indices_of(table), read.notes) == ([3], [4], [])


def test_without_a_rollout_index_rollouts_are_numbered_as_they_appear(read: Reader) -> None:
    table = read([{"task_id": task, "x": x} for x, task in enumerate("abbab")])
    assert indices_of(table) == [0, 1, 0, 1, 2]
    assert numbers_of(table, "x") == [0, 3, 1, 2, 4]
    assert read.notes == [guessed("task", "_ng_task_index", "task_id"), NUMBERED]


def test_without_a_task_index_the_line_is_named(read: Reader) -> None:
    with pytest.raises(DataError) as error:
        read([row(0, 0), "", {"_ng_rollout_index": 1}])
    assert str(error.value) == "run.jsonl:3: no task index\nname its field with task_key"


def test_a_rollout_index_in_some_rows_only_is_an_error(read: Reader) -> None:
    with pytest.raises(DataError) as error:
        read([row(0, 0), row(0, 1), row(1, None)])
    assert str(error.value) == (
        "run.jsonl:3: no rollout index, while other rows have one\n"
        "complete the file, or name another field with rollout_key"
    )


def test_a_dotted_name_is_a_path_unless_a_field_has_that_very_name(read: Reader) -> None:
    literal, inner = {"a.b": "literal"}, {"a": {"b": "inner"}}
    rows: list[dict[str, Any]] = [inner | literal, inner, literal, {"a": "text"}]
    keyed = [row(0, number, **fields) for number, fields in enumerate(rows)]
    table = read(keyed, numbers=(), subsets=("a.b",))
    assert labels_of(table, "a.b") == ["literal", "inner", "literal", None]
    table = read(keyed[:3], task_key="a.b")
    assert tasks_of(table) == ["inner", "literal"]


def test_a_path_may_be_long_and_its_parts_anything(read: Reader) -> None:
    rows = [{"m": {"task": {"id": 5}}}, {"m": {"task": {"id": 6}}}]
    assert tasks_of(read(rows, task_key="m.task.id")) == [5, 6]


def test_a_dotted_number_is_found_too(read: Reader) -> None:
    rows = [row(0, 0, a={"x": 1}), row(0, 1, a={"x": 2}, **{"a.x": 3}), row(0, 2, a=[])]
    assert numbers_of(read(rows, numbers=("a.x",)), "a.x") == [1, 3, None]


def test_the_agent_is_the_inner_name_and_may_be_missing(read: Reader) -> None:
    rows = [
        row(0, 0, agent_ref={"name": "b"}),
        row(0, 0, agent_ref={"name": "a"}),
        row(0, 0, agent_ref=None),
        row(1, 0),
    ]
    table = read(rows)
    assert content(table)["agents"] == ["a", "agent", "b", "agent"]
    assert tasks_of(table) == [0, 0, 0, 1]
    assert content(read([row(0, 0, who="me")], agent_key="who"))["agents"] == ["me"]


# --- @line ----------------------------------------------------------------------------------------------------------


def test_every_line_may_be_a_task_across_files(read: Reader) -> None:
    table = read([{"x": 5}, "", {"x": 6}], b"\n" + text([{"x": 7}]).encode(), [{"x": 8}], task_key="@line")
    assert tasks_of(table) == [0, 1, 2, 3]
    assert numbers_of(table, "x") == [5, 6, 7, 8]
    assert read.notes == []


def test_a_bad_line_keeps_its_number(read: Reader) -> None:
    files = [{"x": 5}, "", "bad", {"x": 6}], ["bad", {"x": 7}, "bad"], [{"x": 8}]
    table = read(*files, task_key="@line", on_error="skip")
    assert tasks_of(table) == [0, 2, 4, 6]


def test_with_every_line_a_task_its_own_index_is_no_number(read: Reader) -> None:
    assert list(read([row(9, 9, x=1), row(9, 9, x=2)], task_key="@line").numbers) == ["x"]


# --- keys and values ------------------------------------------------------------------------------------------------


def test_keys_of_any_kind_are_sorted_numbers_first_then_text_then_the_rest(read: Reader) -> None:
    keys = ["b", True, {"b": 1.0, "a": 2}, 2, "1", [2], 0.5, "a", 1, [1, "x"]]
    table = read([row(key, 0) for key in keys])
    assert tasks_of(table) == [
        0.5, 1, 2, "1", "a", "b", JsonText('[1,"x"]'), JsonText("[2]"), JsonText("true"), JsonText('{"a":2,"b":1}'),
    ]  # fmt: skip


def test_objects_that_say_the_same_are_one_key(read: Reader) -> None:
    prompts = ['{"input": "q", "n": 1}', '{"n": 1.0, "input": "q"}', '{"n":1,"input":"\\u0071"}']
    rows: list[Row] = [f'{{"prompt": {prompt}, "_ng_rollout_index": {i}}}' for i, prompt in enumerate(prompts)]
    assert tasks_of(read(rows, task_key="prompt")) == [JsonText('{"input":"q","n":1}')]


def test_one_is_one_but_neither_its_text_nor_true(read: Reader) -> None:
    table = read([row(key, i) for i, key in enumerate([1, 1.0, "1", True, 1])])
    assert list(map(key_name, tasks_of(table))) == ["1", "1", "true"]
    assert np.diff(table.starts).tolist() == [3, 1, 1]


def test_answers_are_equal_as_in_python(read: Reader) -> None:
    answers = [1, 1.0, True, "1", [1.0], [1], None, "", False]
    table = read([row(0, i, answer=answer) for i, answer in enumerate(answers)], answers=("answer",))
    assert labels_of(table, "answer") == [1, 1, 1, "1", JsonText("[1]"), JsonText("[1]"), None, "", 0]


@pytest.mark.parametrize("key", [2**53 + 1, 2**63, 2**64 + 1, -(2**70), 10**30])
def test_keys_and_numbers_are_exact_however_large(read: Reader, key: int) -> None:
    table = read([row(key, 0, x=key), row(key + 1, 0, x=key + 1)])
    assert tasks_of(table) == [key, key + 1]
    assert numbers_of(table, "x") == [key, key + 1]


# --- numbers --------------------------------------------------------------------------------------------------------


def test_every_number_is_a_column_in_first_seen_order(read: Reader) -> None:
    first = row(0, 0, z=1, text="t", response={"usage": {"tokens": 3, "note": "n"}, "id": 4}, a=0.5, flag=True)
    table = read([first, row(0, 1, new=1, z=2, response={"usage": {"more": 4}})])
    assert list(table.numbers) == ["z", "a", "flag", "new"]
    assert list(table.usage) == ["tokens", "more"]
    assert numbers_of(table, "flag") == [True, None]
    assert [type(value) for value in numbers_of(table, "z")] == [int, int]


def test_a_usage_number_and_a_top_level_number_of_one_name_are_kept_apart(read: Reader) -> None:
    table = read([row(0, 0, n=1, response={"usage": {"n": 2}})])
    assert (table.numbers["n"].as_read(), table.usage["n"].as_read()) == ([1], [2])


@pytest.mark.parametrize(
    "response",
    [None, "text", [], [{"usage": {"n": 1}}], 5, {}, {"usage": None}, {"usage": []}, {"usage": "n"}],
    ids=str,
)
def test_a_response_without_usage_is_fine_wherever_it_stands(read: Reader, response: Any) -> None:
    usual = {"usage": {"n": 2}, "output": ["x"]}
    for order in ([response, usual], [usual, response], [response, response]):
        table = read([row(0, i, x=i, response=value) for i, value in enumerate(order)])
        found = table.usage["n"].as_read() if "n" in table.usage else [None, None]
        assert found == [2 if value is usual else None for value in order]
        assert numbers_of(table, "x") == [0, 1]


STRANGE = {
    "absent": (None, "absent"),
    "null": ("null", "null"),
    "text": ('"1"', "not a number"),
    "list": ("[1]", "not a number"),
    "object": ('{"a":1}', "not a number"),
    "NaN": ("NaN", "NaN"),
    "Infinity": ("Infinity", "infinite"),
    "-Infinity": ("-Infinity", "infinite"),
    "1e400": ("1e400", "infinite"),
    "a huge integer": ("1" + "0" * 400, "infinite"),
}


@pytest.mark.parametrize("numbers", [None, ("x",)], ids=["all fields", "one field"])
@pytest.mark.parametrize("strange_first", [False, True], ids=["after a number", "before a number"])
@pytest.mark.parametrize(("literal", "reason"), STRANGE.values(), ids=STRANGE)
def test_what_is_not_a_number_is_missing_with_its_reason(
    read: Reader, literal: str | None, reason: str, strange_first: bool, numbers: Any
) -> None:
    strange = '{"_ng_task_index":0,"_ng_rollout_index":0' + (f',"x":{literal}' if literal else "") + "}"
    rows: list[Row] = [strange, row(0, 1, x=0.5), row(0, 2, x=2)]
    column = read(rows if strange_first else rows[::-1], numbers=numbers).numbers["x"]
    assert column.missing_reasons() == {reason: 1}
    assert column.values[1:].tolist() == [0.5, 2]
    assert math.isnan(column.values[0])


def test_reasons_are_counted(read: Reader) -> None:
    rows: list[Row] = [row(0, 0, x=1), row(0, 1, x=None), row(0, 2), row(0, 3), row(0, 4, x="a"), row(0, 5, x=math.nan)]
    assert read(rows).numbers["x"].missing_reasons() == {"absent": 2, "null": 1, "not a number": 1, "NaN": 1}


def test_a_field_of_all_kinds_keeps_its_numbers(read: Reader) -> None:
    values = [{"a": 1}, 2**65, [1], 5, "t", None, 1.5, True, {"b": [1]}, []]
    table = read([row(0, i, x=value) for i, value in enumerate(values)])
    assert numbers_of(table, "x") == [None, 2**65, None, 5, None, None, 1.5, True, None, None]


def test_a_reward_that_is_no_number_is_shown_as_read(read: Reader) -> None:
    table = read([row(0, 0, reward=[1]), row(0, 1, reward="t"), row(0, 2, reward={"a": 1}), row(0, 3, reward=1)])
    assert numbers_of(table, "reward") == [[1], "t", {"a": 1}, 1]


def test_lone_surrogates_are_spelled_out(read: Reader) -> None:
    rows: list[Row] = ['{"_ng_task_index":"\\ud83d","_ng_rollout_index":0,"x":1}', row("\U0001f600", 0, x=2)]
    assert tasks_of(read(rows)) == ["\\ud83d", "\U0001f600"]


def test_masked_rows_are_marked_and_the_mask_is_no_number(read: Reader) -> None:
    marks: list[Any] = [True, False, 1, None, "true"]
    table = read([row(0, i, x=i, mask_sample=mark) for i, mark in enumerate(marks)])
    assert table.masked.tolist() == [True, False, False, False, False]
    assert list(table.numbers) == ["x"]


def changing_rows(count: int) -> list[Row]:
    return [row(i // 3, i % 3, **{f"f{i}": i, "x": i, "answer": str(i % 2)}) for i in range(count)]


def test_rows_whose_keys_change_on_every_line_give_the_same_table(read: Reader) -> None:
    rows = changing_rows(60)
    every: dict[str, Any] = {key: None for row in rows if isinstance(row, dict) for key in row}
    same_keys: list[Row] = [{**every, **row} for row in rows if isinstance(row, dict)]
    found, expected = (read(rows, answers=("answer",)) for rows in (rows, same_keys))
    assert numbers_of(found, "x") == list(range(60))
    assert {name: found.numbers[name].as_read() for name in found.numbers} == {
        name: expected.numbers[name].as_read() for name in expected.numbers
    }
    assert [name for name in found.numbers if name != "x"] == [f"f{i}" for i in range(60)]
    assert labels_of(found, "answer") == labels_of(expected, "answer")


def test_keys_that_change_from_batch_to_batch_give_the_same_table(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = content(read(changing_rows(60)))
    monkeypatch.setattr(parts, "FIRST_BATCH_BYTES", 100)
    monkeypatch.setattr(parts, "BATCH_BYTES", 100)
    assert content(read(changing_rows(60))) == expected


# --- bytes ----------------------------------------------------------------------------------------------------------

PLAIN = text([row(0, 0, x=1), row(0, 1, x=2), row(1, 0, x=3)]).encode()
SAME = {
    "BOM": b"\xef\xbb\xbf" + PLAIN,
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "BOM and CRLF": b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n"),
    "no newline at the end": PLAIN[:-1],
    "blank lines": b"\n" + PLAIN.replace(b"\n", b"\n \t\r\n\n"),
    "spaces": PLAIN.replace(b"{", b"  {").replace(b"}", b"}  "),
}


@pytest.mark.parametrize("data", SAME.values(), ids=SAME)
def test_how_lines_end_does_not_matter(read: Reader, data: bytes) -> None:
    assert content(read(data)) == content(read(PLAIN))


def test_a_row_may_be_longer_than_the_head_that_is_looked_at(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEAD_BYTES", 1000)
    rows: list[Row] = [{"text": "x" * 5000, "task_id": i, "trial": 0, "x": i} for i in range(2)]
    assert tasks_of(read(rows)) == [0, 1]


# --- lines that are no rollouts -------------------------------------------------------------------------------------

HINT = "fix or delete the line, or leave such lines out with on_error='skip'"


@pytest.mark.parametrize("numbers", [None, ("x",)], ids=["all fields", "one field"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "1: not JSON (expected a value): nonsense"),
        ('{"a": 1,}', '9: not JSON (expected a name in double quotes): {"a": 1,}'),
        ('{"a": 1} {"b": 2}', '10: not JSON (text after the end of the row): {"a": 1} {"b": 2}'),
        ("[1, 2]", "1: expected an object, found a list: [1, 2]"),
        ('"text"', '1: expected an object, found a text: "text"'),
        ("12", "1: expected an object, found a number: 12"),
        ("true", "1: expected an object, found a boolean: true"),
        ("null", "1: expected an object, found null: null"),
        ('{"a": 01}', "8: not JSON (expected ',' or '}'): {\"a\": 01}"),
    ],
)
def test_a_bad_line_is_named_with_its_place_and_an_excerpt(read: Reader, line: str, message: str, numbers: Any) -> None:
    with pytest.raises(LineError) as error:
        read([row(0, 0, x=1), "", line, row(0, 1, x=1)], numbers=numbers)
    assert str(error.value) == f"run.jsonl:3:{message}\n{HINT}"


def test_a_line_that_is_no_text_is_named(read: Reader) -> None:
    with pytest.raises(LineError) as error:
        read(PLAIN + b'{"x": "\xff\x00\x01"}\n')
    assert str(error.value).splitlines()[0] == 'run.jsonl:4:8: not UTF-8 text: {"x": "\ufffd\ufffd\ufffd"}'


def test_the_excerpt_is_about_the_place(read: Reader) -> None:
    with pytest.raises(LineError) as error:
        read(['{"long": "' + "x" * 100 + '", nonsense' + "y" * 100 + "}"])
    assert str(error.value).splitlines()[0] == (
        "run.jsonl:1:114: not JSON (expected a name in double quotes): "
        '…xxxxxxxxxxxxxxxxx", nonsenseyyyyyyyyyyyyyyyyyyyy…'
    )


def test_a_cut_off_last_line_is_called_that(read: Reader) -> None:
    with pytest.raises(LineError) as error:
        read(PLAIN + b'{"_ng_task_index": 1, "_ng_rollout')
    assert str(error.value).startswith("run.jsonl:4:35: the line is cut off: ")


def test_deep_nesting_is_a_bad_line_or_skipped_but_no_crash(read: Reader) -> None:
    deep = '{"_ng_task_index":1,"_ng_rollout_index":0,"x":1,"deep":' + "[" * 100_000 + "]" * 100_000 + "}"
    with pytest.raises(LineError, match=r"run\.jsonl:2:1: nested too deeply"):
        read([row(0, 0, x=1), deep])


def test_bad_lines_are_left_out_if_wanted_up_to_a_limit(read: Reader) -> None:
    rows: list[Row] = [row(0, 0, x=1), "bad", "", "[]", row(0, 1, x=2)]
    assert numbers_of(read(rows, on_error="skip", max_errors=2), "x") == [1, 2]
    with pytest.raises(LineError) as error:
        read(rows, on_error="skip", max_errors=1)
    assert str(error.value) == (
        "more than 1 bad line, the first run.jsonl:2:1: not JSON (expected a value): bad\n"
        "raise max_errors, or fix the file"
    )


def test_the_limit_is_over_all_files(read: Reader) -> None:
    files = [[row(file, 0, x=1), "bad"] for file in range(3)]
    assert numbers_of(read(*files, on_error="skip", max_errors=3), "x") == [1, 1, 1]
    with pytest.raises(LineError, match=r"more than 2 bad lines, the first run-0\.jsonl:2:1: "):
        read(*files, on_error="skip", max_errors=2)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"], ids=["empty", "blank", "BOM"])
def test_a_file_without_rollouts_is_an_error(read: Reader, data: bytes) -> None:
    with pytest.raises(DataError) as error:
        read(data)
    assert str(error.value) == "run.jsonl: no rollouts\ncheck that this is the file that was meant"


def test_an_empty_file_among_others_is_fine(read: Reader) -> None:
    assert tasks_of(read(b"", PLAIN, b"\n")) == [0, 1]


# --- fields that are not there --------------------------------------------------------------------------------------

FIELDS = ["_ng_task_index", "_ng_rollout_index", "reward", "meta", "meta.score", "response", "response.usage", "tokens"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("rewrd", "did you mean reward?"),
        ("score", "did you mean meta.score?"),
        ("token", "did you mean tokens?"),
        ("zzz", "the fields are " + ", ".join(FIELDS)),
    ],
)
def test_an_unknown_field_comes_with_near_names(read: Reader, name: str, hint: str) -> None:
    path = read.write([row(0, 0, reward=1, meta={"score": 1}, response={"usage": {"tokens": 1}})])
    for wanted in (Wanted(numbers=(name,)), Wanted(answers=(name,)), Wanted(subsets=(name,))):
        with pytest.raises(FieldError) as error:
            read_rollouts([path], wanted)
        assert str(error.value) == f"run.jsonl: no rollout has the field '{name}'\n{hint}"


def test_a_field_that_is_null_everywhere_is_there(read: Reader) -> None:
    path = read.write([row(0, 0, x=None)])
    read_rollouts([path], Wanted(numbers=("x",), answers=("x",)))


# --- duplicates -----------------------------------------------------------------------------------------------------

TWICE: list[Row] = [row(1, 0, x=1), row(0, 0, x=2), row(0, 0, x=3), row(1, 0, x=4), row(1, 0, x=5), row(1, 1, x=6)]


def test_duplicates_are_an_error_that_names_both_lines(read: Reader) -> None:
    with pytest.raises(DataError) as error:
        read(TWICE)
    assert str(error.value) == (
        "run.jsonl:3: duplicate of run.jsonl:2 (task 0, rollout 0)\n"
        "keep one of them with duplicates='first' or last, or both with duplicates='keep'"
    )


def test_duplicates_in_two_files_are_named_with_their_files(read: Reader) -> None:
    with pytest.raises(DataError, match=r"run-1\.jsonl:2: duplicate of run-0\.jsonl:1 \(task a, rollout 0\)"):
        read([row("a", 0)], [row("b", 0), row("a", 0)])


@pytest.mark.parametrize(
    ("duplicates", "x", "left_out"),
    [("first", [2, 1, 6], 3), ("last", [3, 5, 6], 3), ("keep", [2, 3, 1, 4, 5, 6], 0)],
)
def test_duplicates_may_be_kept(read: Reader, duplicates: Duplicates, x: list[int], left_out: int) -> None:
    table = read(TWICE, duplicates=duplicates)
    assert numbers_of(table, "x") == x
    note = f"{left_out} duplicate rows left out; of each key the {duplicates} row in the files counts"
    assert read.notes == ([note] if left_out else [])


def test_two_agents_are_no_duplicates(read: Reader) -> None:
    table = read([row(0, 0, agent_ref={"name": name}, x=x) for x, name in enumerate("ab")])
    assert (table.n_tasks, numbers_of(table, "x")) == (2, [0, 1])


# --- worker processes -----------------------------------------------------------------------------------------------

every_job_count = pytest.mark.parametrize("jobs", [1, 2, 3])


def varied_rows(count: int) -> list[Row]:
    """Rows with something of everything, out of order."""
    rows: list[Row] = []
    for i in range(count):
        made = row(f"t{i * 7 % 5}" if i % 2 else i * 7 % 5, i, reward=i % 2, answer=[None, "a", 1, [1]][i % 4])
        if i % 3 == 0:
            made["response"] = {"usage": {"tokens": i}} if i % 2 else None
        if i % 10 == 9:
            made |= {f"late{i}": 2**60 + i, "mask_sample": True}
        if i > count // 2:
            made["agent_ref"] = {"name": f"agent{i % 2}"}
        rows += [made, ""] if i % 7 == 0 else [made]
    return rows


@pytest.mark.usefixtures("small_parts")
@every_job_count
def test_the_table_is_the_same_for_any_number_of_jobs(read: Reader, jobs: int) -> None:
    found = read(varied_rows(60), jobs=jobs, answers=("answer",))
    with pytest.MonkeyPatch.context() as whole:
        whole.setattr(parts, "SMALLEST_PART", 1 << 20)
        expected = read(varied_rows(60), jobs=1, answers=("answer",))
    assert content(found) == content(expected)
    assert list(found.numbers) == ["reward", "answer", *(f"late{i}" for i in range(9, 60, 10))]


@pytest.mark.usefixtures("small_parts")
@every_job_count
def test_every_line_is_a_task_for_any_number_of_jobs(read: Reader, jobs: int) -> None:
    rows: list[Row] = [{"x": i} if i % 5 else "bad" for i in range(60)]
    rows.insert(30, "")
    table = read(rows, rows, jobs=jobs, task_key="@line", on_error="skip")
    assert tasks_of(table) == [task for task in range(120) if task % 5]


@pytest.mark.usefixtures("small_parts")
@every_job_count
@pytest.mark.parametrize("line", [2, 37, 60])
def test_the_line_of_an_error_is_exact_for_any_number_of_jobs(read: Reader, jobs: int, line: int) -> None:
    rows: list[Row] = [row(i, 0, x=i) for i in range(60)]
    rows[10] = ""
    rows[line - 1] = "bad"
    with pytest.raises(LineError, match=rf"^run\.jsonl:{line}:1: not JSON"):
        read(rows, jobs=jobs)


@pytest.mark.usefixtures("small_parts")
@every_job_count
def test_the_first_of_several_errors_is_noted_for_any_number_of_jobs(read: Reader, jobs: int) -> None:
    rows: list[Row] = [row(i, 0, x=i) for i in range(60)]
    for line in (20, 31, 32, 33, 60):
        rows[line - 1] = "bad"
    with pytest.raises(LineError, match=r"^run\.jsonl:20:1: "):
        read(rows, jobs=jobs)
    with pytest.raises(LineError, match=r"^more than 2 bad lines, the first run\.jsonl:20:1: "):
        read(rows, jobs=jobs, on_error="skip", max_errors=2)


@pytest.mark.usefixtures("small_parts")
@every_job_count
def test_the_lines_of_duplicates_are_exact_for_any_number_of_jobs(read: Reader, jobs: int) -> None:
    rows: list[Row] = [row(i, 0, x=i) for i in range(60)]
    rows[5] = ""
    rows[49] = row(30, 0)
    with pytest.raises(DataError, match=r"^run\.jsonl:50: duplicate of run\.jsonl:31 \(task 30, rollout 0\)"):
        read(rows, jobs=jobs)


def test_small_files_use_no_worker_processes(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewardcli.parallel.WorkerProcesses", None)
    monkeypatch.setattr(parts, "SMALLEST_PART", 10)
    assert read(varied_rows(30), jobs=2).n_rollouts == 30


def test_an_integer_stays_one_in_a_field_that_was_always_a_float(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "FIRST_BATCH_BYTES", 100)
    monkeypatch.setattr(parts, "BATCH_BYTES", 100)
    rows = [row(0, i, seed=0.5 if i < 5 else 2**53 + 1) for i in range(7)]
    assert numbers_of(read(rows), "seed") == [*[0.5] * 5, 2**53 + 1, 2**53 + 1]


@pytest.mark.usefixtures("small_parts")
def test_the_order_of_the_fields_does_not_depend_on_jobs(read: Reader) -> None:
    rows: list[Row] = [row(i, 0, a=1, b=2, c=3) for i in range(60, 90)]
    rows += [row(i, 0, c=3, **({"rare": 1} if i % 20 == 9 else {}), b=2, a=1) for i in range(60)]
    tables = [read(rows, jobs=jobs) for jobs in (1, 2, 4)]
    for table in tables:
        assert table.field_order == tables[0].field_order
        assert list(table.numbers) == ["a", "b", "c", "rare"]
