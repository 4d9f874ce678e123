import itertools
import math
from collections.abc import Hashable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.keys import JsonText, canonical_answer, canonical_json, canonical_key, key_name, names_of, sorting_orders
from rewardcli.rollouts import (
    ABSENT,
    BOOLEAN,
    FLOAT,
    INFINITE,
    INTEGER,
    NAN,
    NOT_A_NUMBER,
    NULL,
    Column,
    Labels,
    Rollouts,
)

few_examples = settings(max_examples=40, deadline=None)


# --- keys -----------------------------------------------------------------------------------------------------------

json_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=2)
)
json_values = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=4,
)


def test_canonical_json_sorts_keys_and_writes_whole_floats_as_integers() -> None:
    assert canonical_json({"b": [2.0, 0.5, True, None], "a": {"d": -0.0, "c": "é"}}) == (
        '{"a":{"c":"é","d":0},"b":[2,0.5,true,null]}'
    )


@given(value=st.dictionaries(st.text(max_size=1), json_values, max_size=3))
@few_examples
def test_canonical_json_is_free_of_the_order_of_keys(value: dict[str, Any]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (1, 1),
        (1.0, 1),
        (0.5, 0.5),
        (1e22, 10**22),
        ("1", "1"),
        ("", ""),
        (True, JsonText("true")),
        ([1.0, "a"], JsonText('[1,"a"]')),
        ({"b": 1, "a": 2}, JsonText('{"a":2,"b":1}')),
        (None, None),
        (math.nan, None),
    ],
    ids=repr,
)
def test_canonical_key(value: object, key: Hashable) -> None:
    assert canonical_key(value) == key
    assert type(canonical_key(value)) is type(key)


def test_keys_of_different_kinds_differ_even_if_they_look_alike() -> None:
    values: list[object] = [1, "1", True, "true", [1], "[1]", {}, "{}", 0, False, ""]
    keys = list(map(canonical_key, values))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (True, 1),
        (False, 0),
        (1.0, 1),
        ("4", "4"),
        (" 4", " 4"),
        ("", ""),
        ([1, 2.0], JsonText("[1,2]")),
        ({"x": None}, JsonText('{"x":null}')),
        (None, None),
        (math.nan, None),
    ],
    ids=repr,
)
def test_answer_key(value: object, key: Hashable) -> None:
    assert canonical_answer(value) == key


@given(one=json_scalars, other=st.sampled_from([0, 1, 0.0, 1.0, False, True, "", "0", None]) | json_scalars)
@few_examples
def test_scalar_answers_are_equal_as_in_python(one: object, other: object) -> None:
    assert (canonical_answer(one) == canonical_answer(other)) == (one == other)


@pytest.mark.parametrize(
    ("key", "name"),
    [("a b", "a b"), ("1", "1"), (1, "1"), (0.5, "0.5"), (JsonText("[true]"), "[true]"), ("é", "é")],
    ids=repr,
)
def test_key_name(key: Hashable, name: str) -> None:
    assert key_name(key) == name


def test_a_text_is_quoted_only_where_its_name_would_collide() -> None:
    assert names_of([1, "1", "2", JsonText("true"), "true", "false"]) == ["1", '"1"', "2", "true", '"true"', "false"]


def test_the_empty_text_has_a_name_of_its_own() -> None:
    assert names_of(["", "a"]) == ["(empty)", "a"]
    assert names_of(["", "(empty)"]) == ["(empty)", '"(empty)"']


def test_distinct_keys_have_distinct_names_even_if_one_is_spelled_with_quotes() -> None:
    assert len(set(names_of([1, "1", '"1"']))) == 3


def test_keys_sort_as_numbers_then_text_by_code_point_then_the_rest_by_its_json() -> None:
    expected = [-1, 0.5, 2, 10, 10**30, "", "10", "9", "Z", "a", "é", "\U0001f600", JsonText("[2]"), JsonText("true")]
    for keys in (expected[::-1], expected[1::2] + expected[::2]):
        assert [keys[i] for i in sorting_orders([keys])[0]] == expected


@given(keys=st.lists(st.integers()))
@few_examples
def test_whole_numbers_of_any_size_sort_by_value(keys: list[int]) -> None:
    assert [keys[i] for i in sorting_orders([keys])[0]] == sorted(keys)


# --- labels ---------------------------------------------------------------------------------------------------------


def labels(*rows: Hashable | None, values: list[Hashable] | None = None) -> Labels:
    """Labels whose values stand in the order given, else in that of the rows."""
    found = list(dict.fromkeys(row for row in rows if row is not None)) if values is None else values
    codes = [-1 if row is None else found.index(row) for row in rows]
    return Labels(np.array(codes, dtype=np.int32), found)


def rows_of(column: Labels) -> list[Hashable | None]:
    return [None if code < 0 else column.values[code] for code in column.codes]


label_rows = st.lists(st.none() | st.integers(0, 5) | st.sampled_from("abc"), max_size=6)


@given(parts=st.lists(label_rows, max_size=4))
@few_examples
def test_merged_labels_are_the_rows_of_all_parts_with_each_value_once(parts: list[list[Hashable | None]]) -> None:
    merged = Labels.concat([labels(*part) for part in parts])
    assert rows_of(merged) == [row for part in parts for row in part]
    assert len(set(merged.values)) == len(merged.values)


def test_merged_labels_are_present_if_any_part_is() -> None:
    nowhere = Labels(np.array([-1], dtype=np.int32), [], present=False)
    assert Labels.concat([nowhere, labels(None)]).present
    assert not Labels.concat([nowhere, nowhere]).present
    assert not Labels.concat([]).present


@given(rows=label_rows)
@few_examples
def test_sorted_labels_are_the_same_rows_with_codes_in_the_order_of_the_values(rows: list[Hashable | None]) -> None:
    (found,) = Labels.sorted(labels(*rows))
    assert rows_of(found) == rows
    assert sorting_orders([found.values])[0].tolist() == list(range(len(found.values)))


def test_taken_labels_are_the_rows_asked_for() -> None:
    assert rows_of(labels("a", None, 3).take([2, 1, 2])) == [3, None, 3]


# --- columns of numbers ---------------------------------------------------------------------------------------------

NOTHING = math.nan


def column(*rows: tuple[float, int], exact: dict[int, object] | None = None) -> Column:
    found = Column(
        np.array([value for value, _ in rows], dtype=np.float64), np.array([state for _, state in rows], np.uint8)
    )
    if exact is not None:
        found.exact = np.full(len(rows), None, dtype=object)
        for row, value in exact.items():
            found.exact[row] = value
    return found


def test_numbers_are_integers_where_json_had_integers_or_booleans() -> None:
    numbers = column((1, INTEGER), (2, FLOAT), (1, BOOLEAN), (-3, INTEGER)).numbers()
    assert numbers == [1, 2.0, 1, -3]
    assert [type(number) for number in numbers] == [int, float, int, int]
    assert [type(number) for number in column((1, INTEGER), (0, BOOLEAN)).numbers()] == [int, int]


GAPS = [(NOTHING, state) for state in (ABSENT, NULL, NOT_A_NUMBER, NAN, INFINITE)]


def test_numbers_that_json_cannot_hold_are_none_and_what_is_not_a_number_is_absent() -> None:
    assert column((4, INTEGER), *GAPS).numbers("absent") == [4, "absent", "absent", "absent", None, None]


def test_numbers_are_exact_where_a_float_is_not() -> None:
    big = column((2.0**60, INTEGER), (1e300, INTEGER), (0.5, FLOAT), exact={0: 2**60 + 1, 1: 10**300 + 1})
    assert big.numbers() == [2**60 + 1, 10**300 + 1, 0.5]


def test_a_column_as_read_tells_null_from_absent_and_true_from_1() -> None:
    found = column((1, BOOLEAN), (1, INTEGER), *GAPS).as_read("absent")
    assert found == [True, 1, "absent", None, "absent", None, None]
    assert [type(value) for value in found[:2]] == [bool, int]


def test_a_column_as_read_has_what_is_not_a_number_where_it_was_kept() -> None:
    kept = column((NOTHING, NOT_A_NUMBER), (NOTHING, NOT_A_NUMBER), (2.0**60, INTEGER), exact={0: "a", 1: [1, 2], 2: 3})
    assert kept.as_read() == ["a", [1, 2], 3]
    assert kept.numbers("no number") == ["no number", "no number", 3]


def test_taken_rows_keep_state_and_exact_value() -> None:
    taken = column((1, INTEGER), (2.0**60, INTEGER), (NOTHING, NULL), exact={1: 2**60 + 1}).take([2, 1])
    assert taken.numbers("gap") == ["gap", 2**60 + 1]


def test_merged_columns_stand_at_their_rows_and_are_absent_between() -> None:
    merged = Column.concat([(1, column((7, INTEGER))), (3, column((0.5, FLOAT), (NOTHING, NULL)))], 6)
    assert merged.as_read("absent") == ["absent", 7, "absent", 0.5, None, "absent"]


def test_merged_columns_keep_the_exact_values_of_a_part() -> None:
    big = column((2.0**60, INTEGER), exact={0: 2**60 + 1})
    for parts in ([(0, big), (1, column((1, INTEGER)))], [(1, column((1, INTEGER))), (0, big)]):
        assert Column.concat(parts, 2).numbers() == [2**60 + 1, 1]


# What a row may hold: its value, state and exact value.
CELLS = st.sampled_from(
    [
        *[(NOTHING, ABSENT, None)] * 12,
        *[(7.0, INTEGER, None), (0.5, FLOAT, None), (1.0, BOOLEAN, None)],
        *[(2.0**60, INTEGER, 2**60 + 1), (NOTHING, NULL, None), (NOTHING, NAN, None)],
    ]
)


@given(st.lists(CELLS, min_size=1, max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_a_rare_column_says_what_a_column_of_all_rows_says(cells: list[tuple[float, int, Any]], random: Random) -> None:
    exact = {row: cell[2] for row, cell in enumerate(cells) if cell[2] is not None}
    full = column(*(cell[:2] for cell in cells), exact=exact or None)
    count, cut = len(cells), random.randrange(len(cells) + 1)
    halves = [(0, full.take(slice(cut))), (cut, full.take(slice(cut, count)))]
    merged = Column.concat([(start, Column.concat([(0, half)], len(half))) for start, half in halves], count)
    assert (merged.rows is not None) == (np.count_nonzero(full.states) <= count // 8)
    begin = random.randrange(count)
    mask = np.array([random.random() < 0.7 for _ in cells])
    mixed = np.array(random.sample(range(count), random.randrange(count + 1)), dtype=np.int64)
    for rows in (slice(begin, random.randrange(begin, count + 1)), mask, mixed):
        taken = merged.take(rows)
        assert len(taken) == len(full.take(rows))
        assert_same_column(taken, full.take(rows))
    destinations = np.full(count, -1)
    destinations[mixed] = np.arange(len(mixed))
    assert_same_column(Column.concat([(0, merged)], len(mixed), destinations), full.take(mixed))
    starts = np.sort([0, *(random.randrange(count + 1) for _ in range(3))])
    for found in (full, merged):
        values, begins = found.in_groups(starts)
        groups = [values[a:b] for a, b in zip(begins, begins[1:], strict=False)]
        expected = [full.values[a:b] for a, b in zip(starts, starts[1:], strict=False)]
        for group, wanted in zip(groups, expected, strict=True):
            np.testing.assert_array_equal(group[~np.isnan(group)], wanted[~np.isnan(wanted)])


def assert_same_column(found: Column, expected: Column) -> None:
    dense = found.dense()
    np.testing.assert_array_equal(dense.values, expected.values)
    np.testing.assert_array_equal(dense.states, expected.states)
    for absent in (None, "absent"):
        assert found.numbers(absent) == expected.numbers(absent)
        assert found.as_read(absent) == expected.as_read(absent)
    assert found.missing_reasons() == expected.missing_reasons()
    numbers = np.flatnonzero(expected.states >= NAN)
    assert found.first_number() == (numbers[0] if len(numbers) else None)


def test_chosen_rows_come_from_this_column_and_the_others_from_the_other() -> None:
    one = column((1, INTEGER), (2.0**60, INTEGER), (3, INTEGER), exact={1: 2**60 + 1})
    other = column((0.1, FLOAT), (0.2, FLOAT), (NOTHING, NULL))
    assert one.choose(np.array([False, True, False]), other).as_read("absent") == [0.1, 2**60 + 1, None]
    assert other.choose(np.array([True, False, False]), one).numbers() == [0.1, 2**60 + 1, 3]


def test_a_column_over_another_fills_its_gaps() -> None:
    one = column((1, INTEGER), (NOTHING, NULL), (NOTHING, ABSENT))
    assert one.over(column((9, INTEGER), (8, INTEGER), (NOTHING, NULL))).as_read("absent") == [1, 8, None]
    assert one.over(None) is one


def test_missing_values_are_counted_by_reason() -> None:
    gaps = column((NOTHING, NULL), (NOTHING, NULL), (NOTHING, INFINITE), (1, INTEGER))
    assert gaps.missing_reasons() == {"null": 2, "infinite": 1}
    assert column((1, FLOAT)).missing_reasons() == {}


# --- the table ------------------------------------------------------------------------------------------------------

Tasks = dict[tuple[str, str], list[tuple[str, bool]]]


def table(tasks: Tasks) -> Rollouts:
    """A table in which every column of a row says which row it is."""
    rows = [row for task in tasks.values() for row in task]
    names = [name for name, _ in rows]
    numbers = column(*((float(name), INTEGER) for name in names))
    return Rollouts(
        starts=np.cumsum([0, *map(len, tasks.values())]),
        tasks=labels(*(task for task, _ in tasks)),
        agents=labels(*(agent for _, agent in tasks)),
        indices=labels(*names),
        positions=np.array([int(name) for name in names], np.int64),
        masked=np.array([masked for _, masked in rows], dtype=np.bool_),
        numbers={"reward": numbers},
        usage={"tokens": numbers},
        labels={"answer": labels(*names)},
    )


def tasks_of(found: Rollouts) -> Tasks:
    """The tasks back from the table, after a look at whether all columns were treated alike."""
    names = rows_of(found.indices)
    whole = [int(str(name)) for name in names]
    assert found.numbers["reward"].numbers() == found.usage["tokens"].numbers() == whole
    assert found.positions.tolist() == whole
    assert rows_of(found.labels["answer"]) == names
    assert found.n_rollouts == len(names) == found.starts[-1]
    rows = [(str(name), bool(masked)) for name, masked in zip(names, found.masked, strict=True)]
    tasks = list(zip(map(str, rows_of(found.tasks)), map(str, rows_of(found.agents)), strict=True))
    assert found.n_tasks == len(tasks)
    return {task: rows[found.starts[u] : found.starts[u + 1]] for u, task in enumerate(tasks)}


EXAMPLE: Tasks = {
    ("t1", "x"): [("0", False), ("1", True)],
    ("t1", "y"): [("2", True)],
    ("t2", "x"): [],
    ("t3", "x"): [("3", False), ("4", False), ("5", True)],
}


def test_take_rows_keeps_all_tasks() -> None:
    kept = table(EXAMPLE).take_rows(np.array([False, True, False, True, False, True]))
    assert tasks_of(kept) == {
        ("t1", "x"): [("1", True)],
        ("t1", "y"): [],
        ("t2", "x"): [],
        ("t3", "x"): [("3", False), ("5", True)],
    }


@pytest.mark.parametrize("keep", list(itertools.product([False, True], repeat=len(EXAMPLE))))
def test_take_tasks_keeps_their_rows_and_no_others(keep: tuple[bool, ...]) -> None:
    kept = table(EXAMPLE).take_tasks(np.array(keep))
    assert tasks_of(kept) == dict(itertools.compress(EXAMPLE.items(), keep))


def test_keeping_leaves_the_table_itself_alone() -> None:
    whole = table(EXAMPLE)
    whole.take_rows(np.zeros(6, np.bool_))
    whole.take_tasks(np.zeros(4, np.bool_))
    assert tasks_of(whole) == EXAMPLE


def test_measured_leaves_out_masked_rollouts_and_no_task() -> None:
    measured = table(EXAMPLE).measured()
    assert tasks_of(measured) == {task: [row for row in rows if not row[1]] for task, rows in EXAMPLE.items()}


def test_coverage_counts_what_is_masked() -> None:
    tasks = {task: rows for task, rows in EXAMPLE.items() if rows}
    assert table(tasks).coverage() == {
        "measured_rollouts": 3,
        "masked_rollouts": 3,
        "measured_tasks": 2,
        "fully_masked_tasks": 1,
    }


def test_coverage_is_empty_where_nothing_is_masked() -> None:
    assert table(EXAMPLE).measured().coverage() == {}


def test_agents_have_names() -> None:
    assert table({("t", "x"): [], ("t", ""): []}).agent_names() == ["x", "(empty)"]
