"""Long arrays are emptied, and nothing else changes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.reader import layout, shorten
from rewardcli.reader.chunks import ChunkBuilder
from rewardcli.reader.fields import Fields
from rewardcli.reader.shorten import shortened

NASTY = st.text(alphabet='a"\\[]{},: \u00e9\n', max_size=12)
LONG = st.integers(300, 900).map(lambda n: [n] * n)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NASTY | LONG,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=12,
)


def without_long_arrays(value: Any) -> Any:
    """The value with every array emptied of which the whole content may be left out."""
    if isinstance(value, dict):
        return {key: without_long_arrays(item) for key, item in value.items()}
    if isinstance(value, list):
        long = len(value) > 250 and all(type(item) is int for item in value)
        return [] if long else [without_long_arrays(item) for item in value]
    return value


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NASTY, VALUES, max_size=6))
def test_only_long_arrays_of_numbers_are_emptied(row: dict[str, Any]) -> None:
    for separators in ((", ", ": "), (",", ":")):
        found = json.loads(shortened(json.dumps(row, separators=separators, ensure_ascii=False).encode()))
        assert without_long_arrays(found) == without_long_arrays(row)


def test_a_row_of_tokens_becomes_short() -> None:
    row = {"response": {"output": [{"ids": list(range(9000)), "text": 'a "quoted\\" [text]'}]}, "reward": 1.0}
    short = shortened(json.dumps(row).encode())
    assert len(short) < 120
    assert json.loads(short) == {"response": {"output": [{**row["response"]["output"][0], "ids": []}]}, "reward": 1.0}  # type: ignore[index]


@pytest.mark.parametrize("line", [b"", b"[", b"]" * 2000, b'{"a": "never ends', b'"\\', b'{"a": ' + b"[1," * 900])
def test_broken_rows_come_back(line: bytes) -> None:
    assert isinstance(shortened(line), bytes)


@pytest.mark.parametrize("field", ["answer", "prompt.ids"])
def test_an_array_that_counts_is_kept_whole(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LONG_ROW", 1000)
    monkeypatch.setattr(shorten, "_LONG_GAP", 100)
    ids = [list(range(k, 400 + k)) for k in (0, 0, 1)]
    rows = [json.dumps({"t": 1, "answer": i, "prompt": {"ids": i}, "pad": list(range(500))}).encode() for i in ids]
    builder = ChunkBuilder(Fields("t", "i", "agent", answers=(field,)))
    decoded, _ = builder.layout.decode(rows)
    builder.add(decoded, range(1, 4))
    assert builder.chunk("x", 3).rows.labels[field].codes.tolist() == [0, 0, 1]
