"""Values of JSON as columns, whatever is mixed and whatever is missing."""

import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.reader.columns import column_of
from rewardcli.reader.jsonrow import UNSET
from rewardcli.reader.layout import NO_NUMBER
from rewardcli.rollouts import ABSENT, BOOLEAN, FLOAT, INFINITE, INTEGER, NAN, NOT_A_NUMBER, NULL

ANYTHING: st.SearchStrategy[Any] = st.sampled_from(
    [1, -3, 2**53, 2**60 + 1, 10**400, 0.5, 1e300, math.nan, math.inf, True, False, None, "7", [1], {}, UNSET]
)
# Mostly of one type with gaps, as columns are; a late gap or text must not be overlooked.
USUAL: list[list[Any]] = [[NO_NUMBER], [1], [0.5], [True], ["text"], [NO_NUMBER, 1], [*[NO_NUMBER] * 9, 0.5]]
COLUMNS = st.sampled_from(USUAL).flatmap(
    lambda usual: (
        st.lists(st.sampled_from(usual) | ANYTHING, max_size=40) | st.lists(st.sampled_from(usual), max_size=40)
    )
)


def state_of(value: Any) -> int:
    if value is UNSET or value is NO_NUMBER:
        return ABSENT
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INTEGER if abs(value) < 10**309 else INFINITE
    if isinstance(value, float):
        return NAN if math.isnan(value) else INFINITE if math.isinf(value) else FLOAT
    return NULL if value is None else NOT_A_NUMBER


@given(COLUMNS)
@settings(max_examples=500, deadline=None)
def test_a_column_tells_of_every_value_what_it_is(values: list[Any]) -> None:
    states = [state_of(value) for value in values]
    column = column_of(values)
    if not any(states):
        assert column is None
        return
    assert column is not None
    assert len(column) == len(values)
    assert column.dense().states.tolist() == states
    expected = [value if state >= INTEGER else "none" for value, state in zip(values, states, strict=True)]
    found = [value if state >= INTEGER else "none" for value, state in zip(column.numbers(), states, strict=True)]
    assert found == expected
    wanted = any(state >= NAN for state in states)
    assert (column_of(values, only_numbers=True) is not None) == wanted


def test_what_is_not_a_number_is_kept_where_it_is_shown_as_it_was_read() -> None:
    column = column_of([1, "a", [2], None], keep_texts=True)
    assert column is not None
    assert column.as_read() == [1, "a", [2], None]
    assert np.isnan(column.values[1:]).all()
