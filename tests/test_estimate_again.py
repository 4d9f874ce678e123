import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest

from rewardcli.arrays import Floats, Ints
from rewardcli.estimate import (
    RunNoise,
    again_interval,
    beta_interval,
    credit_variances,
    disjoint_draws,
    draw_variances,
    max_variances,
    mean_variances,
    noise_share,
    pooled_task_values,
    subset_variances,
)
from rewardcli.metrics.plurality import cons_at_k

NAN = math.nan
Kernel = Callable[[Sequence[Fraction]], Fraction]

COUNTS = np.array([3, 0, 8, 6, 1])  # of eight rollouts each
EIGHT = np.full(5, 8)


def by_definition(values: Sequence[Fraction], k: int, kernel: Kernel) -> Fraction:
    """u² less the mean of h(A)·h(B) over all disjoint k-subsets A and B."""
    rollouts = range(len(values))
    subsets = list(itertools.combinations(rollouts, k))
    h = {subset: kernel([values[i] for i in subset]) for subset in subsets}
    products = [h[a] * h[b] for a in subsets for b in itertools.combinations([i for i in rollouts if i not in a], k)]
    return (sum(h.values(), Fraction(0)) / len(h)) ** 2 - sum(products, Fraction(0)) / len(products)


def any_succeeds(values: Sequence[Fraction]) -> Fraction:
    return Fraction(any(values))


def all_succeed(values: Sequence[Fraction]) -> Fraction:
    return Fraction(all(values))


def mean_of(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def outcomes(n: int, c: int) -> list[Fraction]:
    return [Fraction(1)] * c + [Fraction(0)] * (n - c)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_subset_variances_are_the_definition(k: int) -> None:
    pairs = [(n, c) for n in (2 * k, 2 * k + 1, 7) for c in range(n + 1)]
    n, c = (np.array(column) for column in zip(*pairs, strict=True))
    passing, every = subset_variances(n, n - c, 4)[:, k - 1], subset_variances(n, c, 4)[:, k - 1]
    for row, (rollouts, correct) in enumerate(pairs):
        values = outcomes(rollouts, correct)
        assert passing[row] == pytest.approx(float(by_definition(values, k, any_succeeds)), abs=1e-15)
        assert every[row] == pytest.approx(float(by_definition(values, k, all_succeed)), abs=1e-15)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_credit_variances_are_the_definition(k: int) -> None:
    pairs = [(n, c) for n in (2 * k, 2 * k + 1, 7) for c in range(n + 1)] + [(2 * k - 1, 0)]
    n, c = (np.array(column) for column in zip(*pairs, strict=True))
    for credit in ([Fraction(j >= 2) for j in range(k + 1)], [Fraction(j * j, 3) for j in range(k + 1)]):
        found = credit_variances(n, c, k, [float(worth) for worth in credit])

        def kernel(values: Sequence[Fraction], credit: list[Fraction] = credit) -> Fraction:
            return credit[int(sum(values))]

        for row, (size, correct) in enumerate(pairs[:-1]):
            assert found[row] == pytest.approx(float(by_definition(outcomes(size, correct), k, kernel)), abs=1e-14)
        assert np.isnan(found[-1])


def test_credit_variances_of_pass_at_k_are_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    n, c = np.repeat(40, 41), np.arange(41)
    for k in (1, 5, 20):
        expected = subset_variances(n, n - c, 20)[:, k - 1]
        np.testing.assert_allclose(credit_variances(n, c, k, np.arange(k + 1) >= 1), expected, atol=1e-11)
    monkeypatch.setattr("rewardcli.metrics.again._CELLS", 50)
    np.testing.assert_allclose(credit_variances(n, c, 20, np.arange(21) >= 1), expected, atol=1e-11)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_max_variances_are_the_definition(k: int) -> None:
    tasks = [[0.5, 0.0, 2.0, 1.0, 0.25, 0.25, -3.0], [1.0, 1.0, 0.0, 1.0, 0.0, 0.0], [4.0] * 7, [1.0], []]
    table = np.full((5, 7), NAN)
    for i, task in enumerate(tasks):
        table[i, : len(task)] = task
    found = max_variances(table, [1, k])[:, 1]
    for row, task in enumerate(tasks):
        if len(task) >= 2 * k:
            expected = by_definition([Fraction(score) for score in task], k, max)
            assert found[row] == pytest.approx(float(expected), rel=1e-12, abs=1e-13)
        else:
            assert np.isnan(found[row])


def test_a_certain_credit_has_no_variance() -> None:
    assert credit_variances(np.array([20]), np.array([20]), 7, np.arange(8) >= 3)[0] == 0.0
    assert credit_variances(np.array([20]), np.array([18]), 7, np.arange(8) >= 5)[0] == 0.0


def test_max_variances_keep_their_digits_far_from_zero() -> None:
    scores = np.random.default_rng(1).integers(0, 9, (3, 12)).astype(np.float64)
    np.testing.assert_allclose(max_variances(scores + 1e9, [3]), max_variances(scores, [3]), rtol=1e-6)


def test_mean_variances_are_the_definition() -> None:
    scores = np.array([[0.5, 2.0, 1.0, NAN], [1.0, 0.0, 0.0, 1.0], [3.0, NAN, NAN, NAN]])
    n = np.array([3, 4, 1])
    found = mean_variances(draw_variances(scores), n)
    for row in (0, 1):
        values = [Fraction(score) for score in scores[row, : n[row]]]
        # The mean score is the average of h(A) = the score over all single rollouts.
        assert found[row] == pytest.approx(float(by_definition(values, 1, mean_of)), rel=1e-14)
    assert np.isnan(found[2])


def test_pooled_mean_variances_weigh_tasks_by_their_rollouts() -> None:
    # The pooled mean is Σt/M, so its variance is Σ n·s²/M².
    within, n = np.array([0.2, 0.3, 0.25]), np.array([2, 6, 4])
    found = mean_variances(within, n, pooled=True)
    assert found.sum() / 3**2 == pytest.approx((n * within).sum() / n.sum() ** 2, rel=1e-14)
    assert np.isfinite(pooled_task_values(n * 0.5, n)).all()


@pytest.mark.parametrize("success", [0.1, 0.5, 0.85])
def test_variances_are_unbiased(success: float) -> None:
    n, k = 7, 3
    c = np.arange(n + 1)
    chance = np.array([math.comb(n, hits) * success**hits * (1 - success) ** (n - hits) for hits in range(n + 1)])
    values = np.array([1 - math.comb(n - hits, k) / math.comb(n, k) for hits in range(n + 1)])
    truth = chance @ values**2 - (chance @ values) ** 2
    estimate = chance @ subset_variances(np.full(n + 1, n), n - c, k)[:, k - 1]
    assert estimate == pytest.approx(truth, rel=1e-12)


def run_again(variances: Floats, n: Ints) -> RunNoise:
    return RunNoise.of(variances, n, 2 * np.arange(1, variances.shape[1] + 1))


def test_vectors_of_five_tasks() -> None:
    passing = run_again(subset_variances(EIGHT, EIGHT - COUNTS, 8), EIGHT)
    expected = [17 / 5600, 47 / 9800, 541 / 78400, 1 / 98]
    np.testing.assert_allclose(passing.variance, [*expected, *[NAN] * 4], rtol=1e-12)
    np.testing.assert_allclose(passing.standard_error[:4], np.sqrt(expected), rtol=1e-12)
    every = run_again(subset_variances(EIGHT, COUNTS, 4), EIGHT)
    np.testing.assert_allclose(every.variance, [17 / 5600, 33 / 9800, 289 / 78400, 9 / 4900], rtol=1e-12)
    best = run_again(max_variances(np.array([[0.5, 0, 2, 1, 0.25], [3, 1, 1, 0, 2]]), [1, 2]), np.array([5, 5]))
    np.testing.assert_allclose(best.variance, [77 / 800, 3331 / 19200], rtol=1e-12)


def test_tau_bench_airline() -> None:
    c = np.repeat(np.arange(5), [14, 12, 10, 4, 10])
    n = np.full(50, 4)
    passing, every = (run_again(subset_variances(n, hits, 4), n) for hits in (n - c, c))
    np.testing.assert_allclose(passing.standard_error, [0.0270801280, 0.0362092683, NAN, NAN], rtol=1e-8)
    assert every.standard_error[1] == pytest.approx(0.0226077666, rel=1e-8)
    assert passing.why(3) == "run-again error needs 8 rollouts a task for k = 4 (these have 4)"


def test_pass_at_2k_gives_the_variance_of_pass_at_k() -> None:
    passing = run_again(subset_variances(EIGHT, EIGHT - COUNTS, 8), EIGHT)
    failing = [[math.comb(8 - c, k) / math.comb(8, k) for k in (2, 4)] for c in COUNTS.tolist()]
    expected = np.mean([u2**2 - u4 for u2, u4 in failing]) / 5
    assert passing.variance[1] == pytest.approx(expected, rel=1e-13)


def test_a_tenth_of_the_tasks_may_have_too_few_rollouts() -> None:
    n = np.array([4] * 9 + [2])
    variances = subset_variances(n, np.full(10, 2), 2)
    noise = run_again(variances, n)
    assert noise.eligible.tolist() == [10, 9]
    assert noise.variance[1] == pytest.approx(variances[:9, 1].mean() / 10, rel=1e-14)
    n = np.array([4] * 8 + [2, 3])
    noise = run_again(subset_variances(n, np.full(10, 2), 2), n)
    assert np.isnan(noise.variance[1])
    assert noise.why(1) == "run-again error needs 4 rollouts a task for k = 2 (these have 2 to 4)"


def test_tasks_without_a_value_are_not_counted() -> None:
    n = np.array([4, 4, 1])
    noise = run_again(subset_variances(n, np.array([2, 1, 1]), 2), n)
    assert noise.tasks.tolist() == [3, 2]
    assert noise.variance[1] > 0
    counted = RunNoise.of(np.ones((3, 1)), n, [2], counted=[[True], [False], [True]])
    assert counted.variance[0] == pytest.approx(0.5)


def test_absence_has_a_reason() -> None:
    once = run_again(np.full((3, 1), NAN), np.ones(3, dtype=np.int64))
    assert once.why(0) == "run-again error needs 2 rollouts a task (these have 1)"
    still = run_again(subset_variances(EIGHT, np.array([0, 8, 8, 0, 8]), 1), EIGHT)
    assert np.isnan(still.standard_error[0])
    assert still.why(0) == "no run-again error: in no task do the rollouts differ"
    below = RunNoise.of([[-0.2], [0.1]], [4, 4], [4])
    assert np.isnan(below.standard_error[0])
    assert below.why(0) == "no run-again error: its estimate falls below 0, as it may with few rollouts"
    assert RunNoise.of(np.empty((0, 1)), [], [2]).why(0) == "no task has a value"
    assert run_again(np.ones((2, 1)), np.array([2, 2])).why(0) == ""


def test_parts_and_weights_add_up() -> None:
    rng = np.random.default_rng(2)
    n = rng.integers(3, 9, 30)
    c = rng.integers(0, n + 1)
    whole = run_again(subset_variances(n, c, 4), n)
    parts = run_again(subset_variances(n[:9], c[:9], 4), n[:9]) + run_again(subset_variances(n[9:], c[9:], 4), n[9:])
    pairs, weights = np.unique(np.stack([n, c], axis=1), axis=0, return_counts=True)
    folded = RunNoise.of(subset_variances(pairs[:, 0], pairs[:, 1], 4), pairs[:, 0], [2, 4, 6, 8], weights=weights)
    for other in (parts, folded):
        for name in ("tasks", "eligible", "fewest", "most"):
            np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
        np.testing.assert_allclose(other.total, whole.total, rtol=1e-12)
    with pytest.raises(ValueError, match="do not add up"):
        parts + run_again(subset_variances(n, c, 3), n)


def test_disjoint_draws_of_a_metric_of_the_first_k() -> None:
    scores = np.array([[1.0, 0, 0, 1, 1, 0, 1], [0, 1, 1, 1, NAN, NAN, NAN]])
    answers = np.array([[0, 1, 1, 0, 0, 1, 0], [1, 0, 0, 0, -1, -1, -1]], dtype=np.int32)
    draws = disjoint_draws(cons_at_k, 3, np.array([7, 4]), scores, answers)
    np.testing.assert_allclose(draws, [[0.0, 1.0], [1.0, NAN]], rtol=1e-14)
    np.testing.assert_allclose(draw_variances(draws), [0.5, NAN], rtol=1e-14)


def test_the_share_of_run_noise() -> None:
    share = noise_share([0.27, 2.0, NAN, 0.1], [1.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(share, [0.27, 1.0, NAN, NAN])


def test_the_interval_for_the_same_tasks() -> None:
    n = np.full(50, 4)
    lower, upper = again_interval(0.42, 0.0270801280**2, n)
    size = 0.42 * 0.58 / 0.0270801280**2  # more than the 200 rollouts, as the tasks differ
    assert size > 200
    np.testing.assert_allclose([lower, upper], beta_interval(size, 0.42 * size, 0.42 * size), rtol=1e-12)
    np.testing.assert_allclose(again_interval(0.42, NAN, n), beta_interval(200, 84, 84), rtol=1e-12)
    uneven = again_interval(0.5, NAN, [1, 4, 4])  # 9 / (1 + ¼ + ¼) = 6
    np.testing.assert_allclose(uneven, beta_interval(6, 3, 3), rtol=1e-12)
