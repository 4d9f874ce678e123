"""What is a row of JSON, and in which words it is said why a line is not one."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.reader.json_text import first_error, without_surrogates
from rewardcli.reader.jsonrow import RowError, load_row

TEXT = '{"a": [1, -2.5e3, true, null, NaN, -Infinity], "b": {"c": "x\\u00e9\\n", "d": {}}, "e": []}'


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(TEXT)), st.integers(0, 3), st.text('{}[]",:\\0123eE.+- \t\n\x01uNaIntrfls', max_size=2)
        ),
        max_size=3,
    )
)
@settings(max_examples=500, deadline=None)
def test_an_error_is_seen_where_python_sees_one(changes: list[tuple[int, int, str]]) -> None:
    text = TEXT
    for position, removed, added in changes:
        text = text[:position] + added + text[position + removed :]
    try:
        json.loads(text)
    except json.JSONDecodeError:
        assert first_error(text) is not None
    else:
        assert first_error(text) is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", (0, "expected a value")),
        ("nonsense", (0, "expected a value")),
        ('{"a": 01}', (7, "expected ',' or '}'")),
        ("[1 2]", (3, "expected ',' or ']'")),
        ("[1,]", (3, "expected a value")),
        ('{"a": 1,}', (8, "expected a name in double quotes")),
        ("{'a': 1}", (1, "expected a name in double quotes")),
        ('{"a" 1}', (5, "expected ':'")),
        ('{"a": 1} {', (9, "text after the end of the row")),
        ('{"a": "b}', (6, "a text without its closing quote")),
        ('{"a": "\t"}', (7, "a control character in a text")),
        (r'{"a": "\x"}', (7, "an escape that JSON does not have")),
        ('{"a": 1', (7, "expected ',' or '}'")),
    ],
)
def test_the_words_are_our_own(text: str, error: tuple[int, str]) -> None:
    assert first_error(text) == error


@pytest.mark.parametrize("digits", [4_299, 4_301, 30_000])
def test_integers_of_any_length_are_read(digits: int) -> None:
    assert load_row(b'{"a": -1' + b"0" * digits + b"}") == {"a": -(10**digits)}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": 1', "8: the line is cut off"),
        (b'{"a": 1\n', "8: not JSON (expected ',' or '}')"),
        (b'{"a": tr', "9: the line is cut off"),
        (b'{"a": "x y', "11: the line is cut off"),
        (b'{"a": "\xc3', "8: the line is cut off"),
        (b'{"a": "\xff"}', "8: not UTF-8 text"),
        (b"[" * 100_000, "1: nested too deeply"),
        (b"[1]", "1: expected an object, found a list"),
        (b"1.5", "1: expected an object, found a number"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
def test_a_line_that_is_not_a_row_is_described(line: bytes, message: str) -> None:
    with pytest.raises(RowError) as error:
        load_row(line)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("value", "expected"),
    [("\ud83d", "\\ud83d"), ({"\ud800": ["\ud800", 1]}, {"\\ud800": ["\\ud800", 1]}), ("\U0001f600", "\U0001f600")],
)
def test_lone_surrogates_are_spelled_out(value: Any, expected: Any) -> None:
    assert without_surrogates(value) == expected
