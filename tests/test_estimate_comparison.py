import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.estimate import (
    Clusters,
    Comparison,
    Moments,
    benjamini_hochberg,
    beta_interval,
    holm,
    paired,
    paired_mean,
    pseudo_difference,
    sign_flip_p,
    unpaired,
)

NAN = math.nan
many_examples = settings(max_examples=60, deadline=None)
differences = st.lists(st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.25, -0.5]) | st.floats(-1, 1), min_size=2, max_size=30)

BINARY = [1.0] * 12 + [-1.0] * 4 + [0.0] * 84
EIGHTHS = [0.125, -0.25, 0, 0.375, 0.5, 0, 0.25, -0.125, 0.25, 0, 0.125, 0.375]


def numbers(found: Comparison) -> tuple[float, ...]:
    return found.difference, found.se, found.lower, found.upper, found.p


def test_paired_vectors() -> None:
    binary = paired(BINARY)
    expected = (0.08, 0.03985795083511139, 0.00012109908955317381, 0.15829474249460523, 0.049656950105632015)
    assert numbers(binary) == pytest.approx(expected, rel=1e-9)
    few_draws = paired(EIGHTHS)
    expected = (0.13541666666666666, 0.09265616458263765, -0.07893484323739405, 0.328934843237394, 0.204428135526072)
    assert numbers(few_draws) == pytest.approx(expected, rel=1e-10)
    many_draws = paired(EIGHTHS, draws=8)
    expected = (
        0.13541666666666666,
        0.0668153104781061,
        -0.022059506829226968,
        0.27205950682922697,
        0.08819067991977765,
    )
    assert numbers(many_draws) == pytest.approx(expected, rel=1e-10)
    assert numbers(paired(EIGHTHS, draws=8, method="exact")) == numbers(few_draws)
    still = paired([0.0] * 20)
    assert numbers(still) == pytest.approx(
        (0, 0.046524210519923545, -0.0973762917305561, 0.0973762917305561, 1), rel=1e-10
    )
    assert still.verdict() == "same"


def test_unbounded_differences_have_students_paired_t() -> None:
    stats = pytest.importorskip("scipy.stats")
    found = paired(EIGHTHS, bounded=False)
    assert found.p == pytest.approx(0.05894741312559855, rel=1e-10)
    assert (found.lower, found.upper) == pytest.approx((-0.006083369297869234, 0.27691670263120255), rel=1e-9)
    other = stats.ttest_1samp(EIGHTHS, 0.0)
    assert found.p == pytest.approx(other.pvalue, rel=1e-10)
    assert found.method == "t"


def test_the_exact_test_is_mcnemars_at_one_rollout() -> None:
    found = paired(BINARY, test="exact")
    assert found.p == 0.076812744140625
    assert found.test == "sign-flip"
    assert (found.lower, found.upper) == (paired(BINARY).lower, paired(BINARY).upper)
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    assert found.p == pytest.approx(contingency.mcnemar([[50, 12], [4, 34]], exact=True).pvalue, rel=1e-12)


def test_the_exact_test_is_refused_for_unequal_rollouts() -> None:
    with pytest.raises(ValueError, match="not exchangeable"):
        paired(BINARY, test="exact", equal_rollouts=False)
    assert paired(BINARY, equal_rollouts=False).test == ""


def by_all_patterns(values: list[float]) -> float:
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    return sum(total >= abs(sum(values)) - 1e-9 for total in sums) / len(sums)


@pytest.mark.parametrize(
    "values",
    [
        EIGHTHS,
        [1 / 3, 2 / 3, -1 / 3, 1.0, 0.0, 2 / 3],
        [math.pi / 4, -0.1, 0.123456789, 0.7071067811865476, 0.5, 0.9, 0.001],
        [0.1, 0.2, 0.3, -0.6],  # ties that rounding could break
    ],
)
def test_the_sign_flip_test_counts_all_patterns(values: list[float]) -> None:
    p, every = sign_flip_p(values)
    assert every
    assert p == pytest.approx(by_all_patterns(values), rel=1e-12)


def test_eighths_have_the_sign_flip_vector() -> None:
    assert sign_flip_p(EIGHTHS)[0] == 352 / 4096


def test_where_there_are_too_many_patterns_some_are_drawn() -> None:
    values = np.random.default_rng(1).normal(0.25, 1.0, 60)
    p, every = sign_flip_p(values)
    assert not every
    assert (p, every) == sign_flip_p(values)
    # The sum of many signs is nearly normal.
    z = abs(values.sum()) / math.sqrt((values**2).sum())
    assert p == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.005)
    assert paired(values, bounded=False, test="exact").test == "random sign-flip"


def test_no_difference_is_certain_under_the_sign_flip_test() -> None:
    assert sign_flip_p([0.0, 0.0]) == (1.0, True)


def test_the_pseudo_difference() -> None:
    assert pseudo_difference(30, 7, 0.1) == 1.0
    assert pseudo_difference(30, 8, 0.1) == 0.5
    assert pseudo_difference(30, 8, 0.8) == 0.8
    assert pseudo_difference(85, 8, 0.8) == 0.85
    assert pseudo_difference(500, 8, 0.1) == 1.0


@many_examples
@given(differences, st.sampled_from([0.8, 0.95, 0.99]), st.booleans(), st.sampled_from([1, 8]))
def test_p_is_small_exactly_when_the_interval_leaves_out_0(
    values: list[float], confidence: float, bounded: bool, draws: int
) -> None:
    found = paired(values, confidence=confidence, bounded=bounded, draws=draws)
    if not math.isnan(found.p):
        assert (found.p < 1 - confidence) == (not found.lower <= 0 <= found.upper)
        assert found.lower <= found.difference <= found.upper


@many_examples
@given(differences, st.booleans())
def test_swapping_the_sides_negates(values: list[float], bounded: bool) -> None:
    found, swapped = paired(values, bounded=bounded), paired([-value for value in values], bounded=bounded)
    np.testing.assert_allclose(
        [swapped.difference, swapped.se, swapped.lower, swapped.upper, swapped.p, swapped.visible],
        [-found.difference, found.se, -found.upper, -found.lower, found.p, found.visible],
        rtol=1e-9,
        atol=1e-12,
    )


@many_examples
@given(differences, st.booleans())
def test_a_cluster_per_task_is_no_clusters(values: list[float], bounded: bool) -> None:
    plain = paired(values, bounded=bounded)
    single = paired(values, bounded=bounded, clusters=range(len(values)))
    np.testing.assert_equal(dataclasses.asdict(single), dataclasses.asdict(plain))


def test_clusters_widen_by_the_jackknife() -> None:
    families = [i // 3 for i in range(12)]
    unbounded = paired(EIGHTHS, bounded=False, clusters=families)
    means = [np.delete(EIGHTHS, range(3 * g, 3 * g + 3)).mean() for g in range(4)]
    variance = 3 / 4 * sum((mean - np.mean(EIGHTHS)) ** 2 for mean in means)
    assert unbounded.se == pytest.approx(math.sqrt(variance), rel=1e-12)
    # t with 3 degrees of freedom: 3.18244630528371
    assert unbounded.upper == pytest.approx(np.mean(EIGHTHS) + 3.18244630528371 * unbounded.se, rel=1e-11)
    alike = [0.5] * 6 + [-0.5] * 6
    apart, together = paired(alike), paired(alike, clusters=[0] * 3 + [1] * 3 + [2] * 3 + [3] * 3)
    naive = 0.25 * 12 / 11 / 12
    jackknife = 3 / 4 * 4 * (1.5 / 9) ** 2
    assert together.se == pytest.approx(apart.se * math.sqrt(jackknife / naive), rel=1e-12)
    assert paired(alike, clusters=[0] * 12).why == "no interval: all tasks are in one cluster"


def test_differences_of_zero_in_clusters_count_once_a_cluster() -> None:
    apart, together = paired([0.0] * 20), paired([0.0] * 20, clusters=[i // 5 for i in range(20)])
    assert together.se == pytest.approx(apart.se * math.sqrt(20 / 4), rel=1e-12)


def test_the_exact_test_flips_whole_clusters() -> None:
    values, families = [1.0, 1.0, 1.0, 1.0], ["a", "a", "b", "b"]
    assert paired(values, test="exact").p == 2 / 16
    assert paired(values, test="exact", clusters=families).p == 2 / 4


def test_tasks_without_a_value_on_one_side_are_left_out() -> None:
    found = paired([NAN, *EIGHTHS, NAN], clusters=range(14))
    assert found.n == 12
    assert numbers(found) == numbers(paired(EIGHTHS))


@pytest.mark.parametrize(
    ("values", "bounded", "why"),
    [
        ([], True, "no task has a value on both sides"),
        ([0.5], True, "no interval: only 1 task is on both sides"),
        ([3.0] * 5, False, "no interval: all 5 tasks differ by the same amount"),
        ([0.0, 1.0], True, ""),
    ],
)
def test_an_absent_interval_has_a_reason(values: list[float], bounded: bool, why: str) -> None:
    found = paired(values, bounded=bounded)
    assert found.why == why
    assert (found.method == "") == math.isnan(found.lower) == bool(why)


def test_not_one_cluster_per_task_is_refused() -> None:
    with pytest.raises(ValueError, match="1 clusters for 2 tasks"):
        paired([0.0, 1.0], clusters=["a"])


def test_the_smallest_visible_difference() -> None:
    found = paired(BINARY)
    # t·se + z.8·s/√N, with t of 99 degrees of freedom 1.98421695
    expected = 1.98421695 * found.se + 0.8416212336 * np.std(BINARY, ddof=1) / 10
    assert found.visible == pytest.approx(expected, rel=1e-8)
    assert found.variance == pytest.approx(np.var(BINARY, ddof=1), rel=1e-12)


def test_many_differences_at_once_are_each_alone() -> None:
    rng = np.random.default_rng(1)
    table = rng.integers(-4, 5, (40, 3)) / 4
    table[:, 1] = 0.0
    table[5:, 2] = NAN
    families = [i // 8 for i in range(40)]
    for clusters in (None, families):
        sums = None if clusters is None else Clusters.of(table, clusters)
        largest = np.nanmax(np.abs(table), axis=0)
        together = paired_mean(Moments.of(table), draws=[1, 8, 8], largest=largest, clusters=sums)
        lower, upper = together.bounds(0.95)
        for k, draws in enumerate([1, 8, 8]):
            alone = paired(table[:, k], draws=draws, clusters=clusters)
            np.testing.assert_allclose([lower[k], upper[k]], [alone.lower, alone.upper], rtol=1e-12)


# --- verdicts -------------------------------------------------------------------------------------------------------


def test_verdicts() -> None:
    gain, noise = paired([0.5, 0.25, 0.5, 0.75] * 10), paired(EIGHTHS)
    assert gain.verdict() == "better"
    assert gain.verdict(higher_is_better=False) == "worse"
    assert gain.verdict(higher_is_better=None) == "higher"
    assert paired([-0.5, -0.25] * 20).verdict(higher_is_better=None) == "lower"
    assert paired([-0.5, -0.25] * 20).verdict() == "worse"
    assert gain.verdict(adjusted_p=0.06) == "unclear"
    assert noise.verdict() == "unclear"
    assert paired([0.0] * 9, bounded=False).verdict() == "same"
    assert paired([3.0] * 9, bounded=False).verdict() == "unclear"


def test_within_is_two_one_sided_tests() -> None:
    small = paired([0.0] * 200 + [1.0, -1.0])
    lower, upper = small.bounds(0.9)
    reach = max(-lower, upper)
    assert reach < small.upper
    assert small.verdict(within=reach * 1.001) == "within"
    assert small.verdict(within=reach * 0.999) == "unclear"
    assert paired([0.02] * 400 + [0.03] * 400, draws=8).verdict(within=0.1) == "within"


# --- unpaired -------------------------------------------------------------------------------------------------------


def test_unpaired_vector() -> None:
    found = unpaired([1] * 14 + [0] * 6, [1] * 27 + [0] * 3)
    expected = (0.2, -0.017765728817660906, 0.42854291598833033)
    assert (found.difference, found.lower, found.upper) == pytest.approx(expected, rel=1e-10)
    assert found.method == "mover"
    assert found.se == pytest.approx(math.sqrt(0.7 * 0.3 / 19 + 0.9 * 0.1 / 29), rel=1e-12)
    a, b = beta_interval(20, 14, 14), beta_interval(30, 27, 27)
    assert found.upper == pytest.approx(0.2 + math.hypot(b[1] - 0.9, 0.7 - a[0]), rel=1e-12)


def test_unpaired_p_agrees_with_the_interval() -> None:
    a, b = [1] * 14 + [0] * 6, [1] * 27 + [0] * 3
    p = unpaired(a, b).p
    assert 0.05 < p < 0.1
    touching = unpaired(a, b, confidence=1 - p)
    assert touching.lower == pytest.approx(0.0, abs=1e-9)
    assert unpaired(b, a).p == pytest.approx(p, rel=1e-6)
    assert unpaired(a, a).p == pytest.approx(1.0, abs=1e-9)
    assert unpaired([0] * 50, [1] * 50).verdict() == "better"


def test_unpaired_takes_moments() -> None:
    a, b = [0.5, 0.25, 1.0, 0.0], [1.0, 0.75, 0.5]
    assert numbers(unpaired(Moments.of(a), Moments.of(b), bounded=True)) == numbers(unpaired(a, b))
    with pytest.raises(TypeError, match="say whether they are"):
        unpaired(Moments.of(a), b)


def test_unbounded_unpaired_is_welch() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = [120.0, 95, 430, 210, 88], [99.0, 300, 512, 1000, 40, 70, 65]
    found, welch = unpaired(a, b), stats.ttest_ind(b, a, equal_var=False)
    assert found.method == "welch"
    assert found.p == pytest.approx(welch.pvalue, rel=1e-9)
    interval = welch.confidence_interval()
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_unpaired_without_an_interval_says_so() -> None:
    for found in (unpaired([0.5], [0.0, 1.0]), unpaired([7.0, 7.0], [7.0, 7.0, 7.0])):
        assert math.isnan(found.lower)
        assert math.isnan(found.p)
        assert found.why
        assert found.verdict() == "unclear"


# --- several comparisons --------------------------------------------------------------------------------------------


def test_multiplicity_vectors() -> None:
    p = [0.2, 0.001, 0.013, NAN, 0.012, 0.9, 0.04]
    np.testing.assert_allclose(holm(p), [0.4, 0.006, 0.06, NAN, 0.06, 0.9, 0.12], rtol=1e-12)
    np.testing.assert_allclose(benjamini_hochberg(p), [0.24, 0.006, 0.026, NAN, 0.026, 0.9, 0.06], rtol=1e-12)
    assert holm([]).shape == (0,)
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]


def test_statsmodels_agrees_on_multiplicity() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(1).random(25) ** 3
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1], rtol=1e-12)
    np.testing.assert_allclose(benjamini_hochberg(p), multitest.multipletests(p, method="fdr_bh")[1], rtol=1e-12)
