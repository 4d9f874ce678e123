import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.arrays import Floats, Ints
from rewardcli.estimate import quantile_interval, woodruff
from rewardcli.estimate.distributions import beta_quantile, normal_quantile, t_quantile

NAN = math.nan
few_examples = settings(max_examples=40, deadline=None)
tasks_of_numbers = st.lists(st.lists(st.integers(-50, 50).map(float), max_size=5), min_size=2, max_size=8)


def ragged(tasks: list[list[float]]) -> tuple[Floats, Ints]:
    return np.array([value for task in tasks for value in task], dtype=np.float64), np.cumsum([0, *map(len, tasks)])


TASKS: list[list[float]] = [[1, 2, 3], [2, 2, 9, 10], [5], [7, 1, NAN], []]


def test_an_interval_by_hand() -> None:
    values, starts = ragged(TASKS)
    held = [1.0, 1, 2, 2, 2, 3, 5, 7, 9, 10]
    below, counts = [2, 2, 0, 1], [3, 4, 1, 2]  # the median is 2.5
    pooled, linear = sum(below) / 10, [0.5 + 4 / 10 * (b - n * 0.5) for b, n in zip(below, counts, strict=True)]
    assert statistics.mean(linear) == pytest.approx(pooled)
    size = min(0.25 / (statistics.variance(linear) / 4), 10) * (1.959963984540054 / 3.18244630528371) ** 2
    low, high = beta_quantile(size / 2 + 0.5, size / 2 + 0.5, [0.025, 0.975])
    found = quantile_interval(values, starts)
    assert (found.value, found.n, found.method) == (2.5, 4, "woodruff")
    assert (found.lower, found.upper) == (held[math.ceil(low * 10) - 1], held[math.floor(high * 10)])
    assert math.isnan(found.se)
    assert found.why == "a quantile has an interval, but no standard error"


@pytest.mark.parametrize("q", [0.25, 0.5, 0.9])
def test_single_rollouts_have_the_binomial_interval_of_order_statistics(q: float) -> None:
    values = np.random.default_rng(1).permutation(np.arange(1.0, 201.0))
    found = quantile_interval(values, np.arange(201), q)
    share = np.mean(values <= np.quantile(values, q))
    size = min(q * (1 - q) / (share * (1 - share) / 199), 200)
    size *= (normal_quantile(0.975) / float(t_quantile(199, 0.975))) ** 2
    low, high = beta_quantile(q * size + 0.5, (1 - q) * size + 0.5, [0.025, 0.975])
    assert (found.lower, found.upper) == (math.ceil(low * 200), math.floor(high * 200) + 1)


@few_examples
@given(tasks_of_numbers, st.sampled_from([0.25, 0.5, 0.75]))
def test_the_interval_holds_the_quantile_and_is_mirrored(tasks: list[list[float]], q: float) -> None:
    values, starts = ragged(tasks)
    found = quantile_interval(values, starts, q)
    if found.method:
        assert found.lower <= found.value <= found.upper
        assert {found.lower, found.upper} <= set(values.tolist())
        shifted = quantile_interval(2 * values + 3, starts, q)
        assert (shifted.lower, shifted.upper) == (2 * found.lower + 3, 2 * found.upper + 3)
    else:
        assert sum(bool(task) for task in tasks) < 2


def test_tasks_that_agree_within_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    level = rng.normal(size=40)
    starts = np.arange(0, 401, 10)
    alike = np.repeat(level, 10) + 0.01 * rng.normal(size=400)
    mixed = rng.permutation(alike)
    clustered, independent = quantile_interval(alike, starts), quantile_interval(mixed, starts)
    assert clustered.upper - clustered.lower > 2 * (independent.upper - independent.lower)


def test_p_values_agree_with_the_bounds() -> None:
    values = np.random.default_rng(3).normal(size=120)
    known = woodruff(values, np.arange(0, 121, 4))
    assert known is not None
    lower, upper = (float(bound[0]) for bound in known.bounds(0.95))
    assert known.p_at_most(np.nextafter(lower, -9)) < 0.025 <= known.p_at_most(lower)
    assert known.p_at_least(np.nextafter(upper, 9)) < 0.025 <= known.p_at_least(upper)


def test_clusters_of_single_tasks_change_nothing() -> None:
    values, starts = ragged(TASKS)
    plain = quantile_interval(values, starts)
    np.testing.assert_equal(quantile_interval(values, starts, clusters=range(5)).__reduce__(), plain.__reduce__())
    wide = np.random.default_rng(4).normal(size=200) + np.repeat(np.arange(5.0), 40)
    by_task = quantile_interval(wide, np.arange(0, 201, 4))
    by_family = quantile_interval(wide, np.arange(0, 201, 4), clusters=[i // 10 for i in range(50)])
    assert by_family.upper - by_family.lower > by_task.upper - by_task.lower


def test_absence_has_a_reason() -> None:
    assert quantile_interval(np.array([NAN]), np.array([0, 1])).why == "no task has a value"
    assert quantile_interval(np.array([1.0, 2.0]), np.array([0, 2])).why == "no interval: only 1 task"
    alone = quantile_interval(np.array([1.0, 2.0]), np.array([0, 1, 2]), clusters=["a", "a"])
    assert alone.why == "no interval: all tasks are in one cluster"
    assert alone.value == 1.5
