import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.metrics.moments import Moments, pooled_task_values

NAN = math.nan
few_examples = settings(max_examples=40, deadline=None)
numbers = st.integers(-(10**9), 10**9).map(lambda i: i / 1000) | st.sampled_from([0.0, 1.0, 0.1, 1e9])


def test_moments_by_hand() -> None:
    moments = Moments.of([[1.0, 2.0], [2.0, NAN], [6.0, 2.0]], rollouts=[4, 5, 6])
    assert moments.count.tolist() == [3, 2]
    assert moments.total.tolist() == [9.0, 4.0]
    assert moments.mean.tolist() == [3.0, 2.0]
    assert moments.m2.tolist() == [4.0 + 1.0 + 9.0, 0.0]
    assert moments.m3.tolist() == [-8.0 - 1.0 + 27.0, 0.0]
    assert moments.squares.tolist() == [41.0, 8.0]
    assert moments.rollouts.tolist() == [15, 10]
    assert moments.variance.tolist() == [7.0, 0.0]
    assert moments.standard_error[0] == pytest.approx(math.sqrt(7 / 3), rel=1e-15)
    assert np.isnan(moments.standard_error[1])
    assert moments.same.tolist() == [False, True]


def test_rows_may_stand_for_several_tasks() -> None:
    rng = np.random.default_rng(1)
    values, weights = rng.random((20, 3)), rng.integers(1, 9, 20)
    values[values < 0.1] = NAN
    folded = Moments.of(values, rollouts=np.full(20, 4), weights=weights)
    spelled_out = Moments.of(np.repeat(values, weights, axis=0), rollouts=np.full(weights.sum(), 4))
    for name in Moments.__slots__:
        np.testing.assert_allclose(getattr(folded, name), getattr(spelled_out, name), rtol=1e-12, atol=1e-13)


def test_rollouts_may_differ_by_column() -> None:
    moments = Moments.of([[1.0, 2.0], [2.0, NAN]], rollouts=[[1, 2], [1, 2]])
    assert moments.rollouts.tolist() == [2, 2]


@few_examples
@given(st.lists(st.lists(numbers, max_size=12), min_size=1, max_size=5))
def test_moments_of_parts_add_up(parts: list[list[float]]) -> None:
    whole = Moments.of([value for part in parts for value in part])
    merged = Moments.empty(1)
    for part in parts:
        merged += Moments.of(part)
    scale = max([abs(value) for part in parts for value in part], default=1.0)
    assert merged.count == whole.count
    assert merged.rollouts == whole.rollouts
    np.testing.assert_allclose(merged.total, whole.total, rtol=1e-12, atol=1e-12 * scale)
    np.testing.assert_allclose(merged.m2, whole.m2, rtol=1e-9, atol=1e-12 * scale**2)
    np.testing.assert_allclose(merged.m3, whole.m3, rtol=1e-9, atol=1e-11 * scale**3)


@few_examples
@given(st.lists(numbers, min_size=2, max_size=20))
def test_moments_against_fractions(values: list[float]) -> None:
    moments = Moments.of(values)
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    scale = max(abs(value) for value in values)
    assert float(moments.m2[0]) == pytest.approx(
        float(sum((x - mean) ** 2 for x in exact)), rel=1e-9, abs=1e-24 * scale**2
    )
    third = float(sum((x - mean) ** 3 for x in exact))
    assert float(moments.m3[0]) == pytest.approx(third, rel=1e-8, abs=1e-14 * scale**3)
    if not moments.same[0]:
        assert float(moments.variance[0]) == pytest.approx(statistics.variance(values), rel=1e-9)


@pytest.mark.parametrize("parts", [1, 7])
def test_a_small_spread_beside_a_large_mean_keeps_its_digits(parts: int) -> None:
    spread = np.random.default_rng(2).integers(0, 1024, 5000) / 1024  # added to 1e9 without rounding
    merged = Moments.empty(1)
    for part in np.array_split(1e9 + spread, parts):
        merged += Moments.of(part)
    assert merged.variance[0] == pytest.approx(spread.var(ddof=1), rel=1e-7)
    assert merged.m3[0] == pytest.approx(((spread - spread.mean()) ** 3).sum(), rel=1e-5)


def test_equal_values_have_no_standard_error_however_they_were_rounded() -> None:
    equal = Moments.of([0.1, 0.3 / 3, 0.1 + 1e-16] * 1000)
    assert equal.same[0]
    assert equal.variance[0] == 0.0
    assert np.isnan(equal.standard_error[0])
    differing = Moments.of([0.1, 0.1 + 1e-12])
    assert not differing.same[0]
    assert differing.standard_error[0] == pytest.approx(5e-13, rel=1e-3)


def test_one_task_and_none() -> None:
    one, none = Moments.of([3.0]), Moments.of(np.empty((0, 2)))
    assert one.mean[0] == 3.0
    assert np.isnan(one.standard_error[0])
    assert none.count.tolist() == [0, 0]
    assert np.isnan(none.mean).all()
    assert not none.same.any()
    assert (one + Moments.empty(1)).mean[0] == 3.0


def test_values_too_large_to_square_have_a_mean_alone() -> None:
    huge = Moments.of([1e200, 3e200])
    assert huge.mean[0] == 2e200
    assert np.isnan(huge.variance[0])
    assert np.isnan(huge.standard_error[0])


def test_only_moments_of_as_many_statistics_add_up() -> None:
    with pytest.raises(ValueError, match="moments of 1 and of 2 statistics do not add up"):
        Moments.empty(1) + Moments.empty(2)


def test_pooled_task_values_have_the_pooled_mean_and_the_ratio_estimators_error() -> None:
    tasks = [[1.0, 0.0, 1.0], [4.0], [2.0, 2.0], []]
    values = pooled_task_values([sum(task) for task in tasks], [len(task) for task in tasks])
    moments = Moments.of(values)
    assert moments.count.tolist() == [3]
    assert moments.mean[0] == pytest.approx(10 / 6, rel=1e-15)
    # Linearised: N / (N - 1) times the sum of the squared task residuals, over M².
    residuals = [sum(task) - len(task) * 10 / 6 for task in tasks if task]
    assert moments.standard_error[0] ** 2 == pytest.approx(3 / 2 * sum(r * r for r in residuals) / 6**2, rel=1e-12)
    assert np.isnan(pooled_task_values([0.0], [0])).all()


def test_pooled_task_values_of_equal_counts_are_the_task_means() -> None:
    np.testing.assert_allclose(pooled_task_values([3.0, 1.0, 2.5], [4, 4, 4]), [0.75, 0.25, 0.625], rtol=1e-15)
