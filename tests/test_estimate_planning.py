import math
from fractions import Fraction

import numpy as np
import pytest

from rewardcli.estimate import (
    best_rollouts,
    components,
    detectable_difference,
    difference_variance,
    enough_rollouts,
    pass_components,
    run_effect,
    subset_variances,
    tasks_for_width,
    tasks_to_decide,
    tasks_to_detect,
)

NAN = math.nan
PILOT = np.array([[1, 1, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1], [0, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]], dtype=float)
FIFTH = 0.012 + (0.14 + 0.13) / 4


def test_components_vector() -> None:
    found = components(PILOT)
    assert (found.within, found.between, found.icc) == pytest.approx((1 / 6, 13 / 120, 13 / 33), rel=1e-12)
    assert found.mean == 0.5
    # What the pilot itself has: s/√N.
    assert found.standard_error(6, 4) == pytest.approx(0.15811388300841897, rel=1e-12)
    assert found.standard_error(6, 4) == pytest.approx(PILOT.mean(axis=1).std(ddof=1) / math.sqrt(6), rel=1e-12)
    assert found.noise(2) == pytest.approx(1 / 12)


def test_components_with_gaps() -> None:
    found = components(np.array([[1.0, 0.0, NAN], [NAN, NAN, NAN], [1.0, NAN, NAN], [0.0, 0.0, 0.0]]))
    assert found.tasks == 3
    assert found.within == pytest.approx((1 / 2 + 0) / 2)
    # A task with a single rollout is taken to be as noisy as the others.
    noise = (1 / 2 / 2 + 1 / 4 / 1 + 0) / 3
    assert found.between == pytest.approx(max(0.0, np.var([0.5, 1.0, 0.0], ddof=1) - noise))


def test_a_pilot_that_cannot_tell() -> None:
    single = components(np.array([[1.0], [0.0]]))
    assert math.isnan(single.within)
    assert math.isnan(single.icc)
    with pytest.raises(ValueError, match=r"needs 2 tasks with a score \(there is 1\)"):
        components(np.array([[1.0, 0.0]]))
    assert components(np.array([[1.0, 0.0], [0.0, 1.0]])).between == 0.0


def exact_noise(failure_rates: list[Fraction], k: int, n: int) -> Fraction:
    """Mean over tasks of the variance of pass@k estimated from n rollouts, over all outcomes of these."""
    total = Fraction(0)
    for q in failure_rates:
        chances = [math.comb(n, f) * q**f * (1 - q) ** (n - f) for f in range(n + 1)]
        values = [Fraction(math.comb(f, k), math.comb(n, k)) for f in range(n + 1)]
        mean = sum(c * v for c, v in zip(chances, values, strict=True))
        total += sum(c * v * v for c, v in zip(chances, values, strict=True)) - mean**2
    return total / len(failure_rates)


@pytest.mark.parametrize(("k", "n"), [(1, 3), (2, 2), (2, 5), (3, 8)])
def test_the_noise_of_pass_at_k_is_exact_for_known_tasks(k: int, n: int) -> None:
    rates = [Fraction(1, 4), Fraction(1, 2), Fraction(9, 10)]
    pilot = pass_components(np.full(4, 40), np.array([30, 20, 10, 4]), k)
    known = type(pilot)(0.0, np.array([float(sum(q**a for q in rates) / 3) for a in range(2 * k + 1)]), k, 0.0, 3)
    assert known.noise(n) == pytest.approx(float(exact_noise(rates, k, n)), rel=1e-12)


def test_pass_components_at_the_pilots_rollouts_are_its_run_noise() -> None:
    n, c = np.full(5, 8), np.array([3, 0, 8, 6, 1])
    for k in (1, 2, 4):
        found = pass_components(n, c, k)
        assert found.noise(8) == pytest.approx(subset_variances(n, n - c, k)[:, k - 1].mean(), rel=1e-12)
        values = 1 - np.array([math.comb(8 - hits, k) for hits in c.tolist()]) / math.comb(8, k)
        assert found.standard_error(5, 8) == pytest.approx(values.std(ddof=1) / math.sqrt(5), rel=1e-12)
        assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert pass_components(n, c, 1).noise(3) == pytest.approx(components_of_counts(n, c) / 3, rel=1e-12)


def components_of_counts(n: np.ndarray, c: np.ndarray) -> float:
    return float((c * (n - c) / n / (n - 1)).mean())


def test_pass_components_need_2k_rollouts() -> None:
    with pytest.raises(ValueError, match="pass@3 can be planned from a pilot with 6 rollouts per task"):
        pass_components(np.array([5, 8]), np.array([1, 1]), 3)


def test_planning_vectors() -> None:
    assert tasks_to_detect(FIFTH, 0.03) == 703
    assert detectable_difference(FIFTH, 703) == pytest.approx(0.0299844867, rel=1e-8)
    assert detectable_difference(FIFTH, 500) == pytest.approx(0.0356457946, rel=1e-8)
    textbook = (2.8015852181129683 / 0.03) ** 2 * FIFTH
    assert textbook == pytest.approx(693.3177098675, rel=1e-10)
    assert tasks_to_decide(0.53, 0.5, FIFTH) == 694


@pytest.mark.parametrize("draws", [1, 8])
@pytest.mark.parametrize("bounded", [True, False])
def test_the_tasks_found_are_the_fewest(draws: int, bounded: bool) -> None:
    for difference in (0.3, 0.1, 0.05):
        tasks = tasks_to_detect(FIFTH, difference, draws=draws, bounded=bounded)
        assert tasks is not None
        assert detectable_difference(FIFTH, tasks, draws=draws, bounded=bounded) <= difference
        assert detectable_difference(FIFTH, tasks - 1, draws=draws, bounded=bounded) > difference


def test_what_no_number_of_tasks_shows() -> None:
    assert tasks_to_detect(0.1, 1e-7) is None
    assert tasks_to_decide(0.5, 0.5, 0.1) is None
    assert tasks_to_decide(0.5, 0.4, 0.0) is None
    assert tasks_to_decide(0.5, 0.4, NAN) is None
    assert tasks_to_decide(0.5, 0.5 + 1e-9, 0.1) is None


def test_the_example_of_fifty_on_two_hundred_tasks() -> None:
    variance = 0.0500893510**2 * 40
    assert tasks_to_decide(0.5627678571, 0.5, variance) == 200


def test_tasks_for_a_width() -> None:
    tasks = tasks_for_width(0.1, 0.05)
    assert 2 * 1.959963984540054 * math.sqrt(0.1 / tasks) <= 0.05 < 2 * 1.959963984540054 * math.sqrt(0.1 / (tasks - 1))


def test_the_variance_of_true_differences() -> None:
    assert difference_variance([0.1, -0.1, 0.3], [0.01, 0.02, 0.03]) == pytest.approx(0.04 - 0.02)
    assert difference_variance([0.1, -0.1, 0.3], [0.1, 0.1, 0.1]) == 0.0


def test_rollouts_or_tasks() -> None:
    assert best_rollouts(0.16, 0.04, 0.0, 1.0) == 1.0
    assert best_rollouts(0.16, 0.04, 4.0, 1.0) == pytest.approx(4.0)
    assert best_rollouts(0.16, 0.0, 4.0, 1.0) == math.inf
    # The cheapest way to a standard error: cost·variance = (C_t + n·C_r)·(between + within/n) is least at n*.
    costs = [(4.0 + n) * (0.04 + 0.16 / n) for n in (3.0, 4.0, 5.0)]
    assert min(costs) == costs[1]
    assert enough_rollouts(0.16, 0.04) == 16
    assert enough_rollouts(0.01, 0.2) == 1
    assert enough_rollouts(0.1, 0.0) is None
    assert math.sqrt((0.04 + 0.16 / 16) / 0.04) < 1.12


def test_run_effect_vector() -> None:
    assert run_effect(PILOT) == pytest.approx((0.625, 0.6098392448737571), rel=1e-12)


def test_run_effect_against_analysis_of_variance() -> None:
    stats = pytest.importorskip("scipy.stats")
    table = np.random.default_rng(1).random((12, 5)) + 0.3 * np.arange(5)
    f, p = run_effect(table)
    grand, by_task, by_run = table.mean(), table.mean(axis=1), table.mean(axis=0)
    residual = ((table - by_task[:, None] - by_run + grand) ** 2).sum() / (11 * 4)
    assert f == pytest.approx(12 * ((by_run - grand) ** 2).sum() / 4 / residual, rel=1e-12)
    assert p == pytest.approx(stats.f.sf(f, 4, 44), rel=1e-9)
    assert p < 0.001


def test_no_run_effect_without_a_full_table() -> None:
    for table in (PILOT[:1], PILOT[:, :1], np.where(PILOT == 1, NAN, PILOT), np.ones((4, 3))):
        assert all(math.isnan(number) for number in run_effect(table))
