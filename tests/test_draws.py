import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli import hypergeometric
from rewardcli.arrays import Floats, Ints
from rewardcli.metrics import draws
from rewardcli.metrics.draws import g_pass_at_k, max_at_k, mg_pass_at_k
from rewardcli.metrics.passing import all_of_k, any_of_k

NAN = math.nan
few_examples = settings(max_examples=40, deadline=None)
TAUS = [Fraction(text) for text in ("0", "0.1", "0.25", "0.3", "0.5", "0.6", "0.7", "0.75", "0.9", "1")]


def credit_mean(n: int, c: int, k: int, credit: Callable[[int], Fraction]) -> Fraction:
    """The mean of a credit for the number of successes over all k-subsets of n rollouts of which c succeed."""
    subsets = list(itertools.combinations([1] * c + [0] * (n - c), k))
    return sum((credit(sum(subset)) for subset in subsets), Fraction(0)) / len(subsets)


def at_least(least: int) -> Callable[[int], Fraction]:
    return lambda j: Fraction(j >= least)


def above_half(k: int) -> Callable[[int], Fraction]:
    """The definition: the mean of g-pass@k over the thresholds from just above one half to all."""
    thresholds = range(-(-k // 2) + 1, k + 1)
    return lambda j: Fraction(2, k) * sum(j >= threshold for threshold in thresholds)


PAIRS = [(n, c) for n in range(8) for c in range(n + 1)]
N, C = (np.array(column) for column in zip(*PAIRS, strict=True))
LONGEST = 8


def by_hand(definition: Callable[[int, int, int], Fraction]) -> Floats:
    return np.array([[float(definition(n, c, k)) if k <= n else NAN for k in range(1, LONGEST + 1)] for n, c in PAIRS])


def test_all_of_k_counts_subsets() -> None:
    expected = by_hand(lambda n, c, k: credit_mean(n, c, k, at_least(k)))
    np.testing.assert_allclose(all_of_k(N, C, LONGEST), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("tau", TAUS, ids=str)
def test_g_pass_at_k_counts_subsets(tau: Fraction) -> None:
    expected = by_hand(lambda n, c, k: credit_mean(n, c, k, at_least(max(math.ceil(tau * k), 1))))
    np.testing.assert_allclose(g_pass_at_k(N, C, LONGEST, tau), expected, rtol=0, atol=1e-14)


def test_mg_pass_at_k_counts_subsets() -> None:
    expected = by_hand(lambda n, c, k: credit_mean(n, c, k, above_half(k)))
    expected[:, 0] = NAN
    np.testing.assert_allclose(mg_pass_at_k(N, C, LONGEST), expected, rtol=0, atol=1e-14)


def test_vectors_of_ten_rollouts_with_four_right() -> None:
    n, c = np.array([10]), np.array([4])
    np.testing.assert_allclose(all_of_k(n, c, 10)[0], [2 / 5, 2 / 15, 1 / 30, 1 / 210, *[0] * 6], rtol=1e-14)
    assert g_pass_at_k(n, c, 10, Fraction("0.5"))[0, 4] == pytest.approx(11 / 42, rel=1e-13)
    assert g_pass_at_k(n, c, 10, Fraction("0.6"))[0, 4] == pytest.approx(11 / 42, rel=1e-13)
    assert g_pass_at_k(n, c, 10, Fraction("0.7"))[0, 4] == pytest.approx(1 / 42, rel=1e-13)
    assert g_pass_at_k(n, c, 10, Fraction("0.3"))[0, 9] == 1
    assert mg_pass_at_k(n, c, 10)[0, 3:5] == pytest.approx([13 / 210, 1 / 105], rel=1e-12)


def test_a_threshold_is_taken_as_its_exact_decimal() -> None:
    # 0.1 · 30 as floats is 3.0000000000000004, and would ask for 4 of 30.
    value = g_pass_at_k(np.array([30]), np.array([3]), 30, Fraction("0.1"))[0, 29]
    assert value == 1


@pytest.mark.parametrize("tau", [Fraction("-0.1"), Fraction("1.1")])
def test_a_threshold_beyond_0_and_1_is_refused(tau: Fraction) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        g_pass_at_k(N, C, 3, tau)


counts = st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@few_examples
@given(counts)
def test_g_pass_at_0_is_pass_at_k_and_at_1_all_of_k(pair: tuple[int, int]) -> None:
    n, c = pair
    none, every = (g_pass_at_k(np.array([n]), np.array([c]), n, Fraction(tau))[0] for tau in (0, 1))
    np.testing.assert_allclose(none, any_of_k(np.array([n]), np.array([c]), n)[0], atol=1e-13)
    np.testing.assert_allclose(every, all_of_k(np.array([n]), np.array([c]), n)[0], atol=1e-13)


@pytest.mark.parametrize("n", [1_000, 10_000])
def test_thousands_of_rollouts_keep_their_digits(n: int) -> None:
    c = np.array([0, 1, n // 7, n // 2, n - 1, n])
    rows = np.full(6, n)
    half, mean, every = g_pass_at_k(rows, c, n, Fraction("0.5")), mg_pass_at_k(rows, c, n), all_of_k(rows, c, n)
    for k in (2, 17, n // 5):
        for row, successes in enumerate(c.tolist()):
            exact = [
                Fraction(math.comb(successes, j) * math.comb(n - successes, k - j), math.comb(n, k))
                for j in (range(k + 1) if k <= 17 else range(0))
            ]
            if exact:
                assert half[row, k - 1] == pytest.approx(float(sum(exact[-(-k // 2) :])), abs=1e-13)
                expected = sum(Fraction(2, k) * (j - -(-k // 2)) * exact[j] for j in range(-(-k // 2), k + 1))
                assert mean[row, k - 1] == pytest.approx(float(expected), abs=1e-13)
            together = Fraction(math.comb(successes, k), math.comb(n, k))
            assert every[row, k - 1] == pytest.approx(float(together), rel=1e-11, abs=1e-300)
    for table in (half, mean, every):
        assert ((table >= 0) & (table <= 1))[:, 1:].all()
    assert (half[-1] == 1).all()
    assert (half[0] == 0).all()


@few_examples
@given(st.integers(0, 60), st.data())
def test_hypergeometric_probability_is_exact(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    j = np.arange(-1, n + 2)
    exact = [math.comb(c, i) * math.comb(n - c, k - i) / math.comb(n, k) if 0 <= i <= k else 0.0 for i in j.tolist()]
    np.testing.assert_allclose(hypergeometric.probability(j, n, c, k), exact, rtol=1e-12, atol=0)


def test_scipy_agrees_on_the_hypergeometric_distribution() -> None:
    stats = pytest.importorskip("scipy.stats")
    j = np.arange(3_000, 3_600)
    expected = stats.hypergeom(10_000, 6_600, 5_000).pmf(j)
    np.testing.assert_allclose(hypergeometric.probability(j, 10_000, 6_600, 5_000), expected, rtol=2e-10, atol=1e-300)


# --- max@k ----------------------------------------------------------------------------------------------------------

scores = st.lists(st.sampled_from([0.0, 1.0, 0.5]) | st.floats(-9, 9), min_size=1, max_size=7)


def padded(tasks: list[list[float]]) -> Floats:
    table = np.full((len(tasks), max(map(len, tasks))), NAN)
    for row, task in zip(table, tasks, strict=True):
        row[: len(task)] = task
    return table


@few_examples
@given(st.lists(scores, min_size=1, max_size=4))
def test_max_at_k_is_the_mean_over_subsets(tasks: list[list[float]]) -> None:
    found = max_at_k(padded(tasks))
    for row, task in zip(found, tasks, strict=True):
        for k in range(1, found.shape[1] + 1):
            if k > len(task):
                assert np.isnan(row[k - 1])
            else:
                best = [Fraction(max(subset)) for subset in itertools.combinations(task, k)]
                assert row[k - 1] == pytest.approx(float(sum(best) / len(best)), rel=1e-13, abs=1e-13)


def test_max_at_k_vector() -> None:
    found = max_at_k(np.array([[0.5, 0.0, 2.0, 1.0, 0.25], [0.25, 1.0, 2.0, 0.0, 0.5]]))
    np.testing.assert_allclose(found, [[3 / 4, 49 / 40, 31 / 20, 9 / 5, 2]] * 2, rtol=1e-15)


def test_missing_scores_are_left_out_wherever_they_stand() -> None:
    found = max_at_k(np.array([[NAN, 3.0, NAN, 1.0], [1.0, 3.0, NAN, NAN], [NAN, NAN, NAN, NAN]]))
    np.testing.assert_array_equal(found, [[2.0, 3.0, NAN, NAN], [2.0, 3.0, NAN, NAN], [NAN] * 4])


@few_examples
@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=30), min_size=1, max_size=4))
def test_max_at_k_of_binary_scores_is_pass_at_k(tasks: list[list[float]]) -> None:
    for row, task in zip(max_at_k(padded(tasks)), tasks, strict=True):
        expected = any_of_k(np.array([len(task)]), np.array([int(sum(task))]), len(task))[0]
        np.testing.assert_allclose(row[: len(task)], expected, rtol=1e-13, atol=1e-15)


def test_equal_scores_are_their_own_maximum_to_the_last_digit() -> None:
    assert (max_at_k(np.full((2, 50), 0.1)) == 0.1).all()


def test_max_at_k_of_many_rollouts_does_not_depend_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).normal(size=(3, 40))
    whole = max_at_k(table)
    monkeypatch.setattr(draws, "_CELLS", 90)
    np.testing.assert_allclose(max_at_k(table), whole, rtol=1e-12)
    many = max_at_k(np.arange(1.0, 3_001.0)[None])
    k = np.arange(1, 3_001)
    np.testing.assert_allclose(many[0], k * 3_001 / (k + 1), rtol=1e-11)  # the mean of an order statistic of 1 … n


# --- another implementation -----------------------------------------------------------------------------------------


def test_scorio_agrees() -> None:
    scorio = pytest.importorskip("scorio.eval")
    rng = np.random.default_rng(3)
    outcomes = rng.random((12, 10)) < rng.random((12, 1))
    n, c = np.full(12, 10), outcomes.sum(axis=1)
    for k in range(1, 11):
        assert mean_at(all_of_k(n, c, 10), k) == pytest.approx(scorio.pass_hat_k(outcomes.astype(int), k), rel=1e-12)
        for tau in ("0.25", "0.5", "1"):
            expected = scorio.g_pass_at_k_tau(outcomes.astype(int), k, float(tau))
            assert mean_at(g_pass_at_k(n, c, 10, Fraction(tau)), k) == pytest.approx(expected, rel=1e-12)
        if k >= 2:
            expected = scorio.mg_pass_at_k(outcomes.astype(int), k)
            assert mean_at(mg_pass_at_k(n, c, 10), k) == pytest.approx(expected, rel=1e-12)


def test_scorio_agrees_on_max_at_k() -> None:
    scorio = pytest.importorskip("scorio.eval")
    levels = np.array([0.0, 0.25, 1.0, 3.0])
    categories = np.random.default_rng(4).integers(0, 4, (12, 9))
    table = max_at_k(levels[categories])
    for k in range(1, 10):
        assert mean_at(table, k) == pytest.approx(scorio.max_at_k(categories, k, levels), rel=1e-12)


def mean_at(table: Floats, k: int) -> float:
    return float(table[:, k - 1].mean())


def test_shapes_are_kept_where_there_is_nothing() -> None:
    nothing: Ints = np.array([], dtype=np.int64)
    for table in (
        all_of_k(nothing, nothing, 3),
        g_pass_at_k(nothing, nothing, 3, Fraction(1, 2)),
        mg_pass_at_k(nothing, nothing, 3),
        max_at_k(np.empty((0, 3))),
    ):
        assert table.shape == (0, 3)
    assert max_at_k(np.empty((2, 0))).shape == (2, 0)
    assert np.isnan(all_of_k(np.array([0]), np.array([0]), 2)).all()
