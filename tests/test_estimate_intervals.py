import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.arrays import Floats
from rewardcli.estimate import (
    BetaMean,
    Clusters,
    HallMean,
    MeanKnowledge,
    Moments,
    StudentMean,
    beta_interval,
    cluster_codes,
    estimates,
    hall_interval,
    interval,
    per_look,
    t_interval,
)
from rewardcli.estimate.means import Method

NAN = math.nan
METHODS: list[Method] = ["auto", "exact", "t"]
many_examples = settings(max_examples=60, deadline=None)
shares = st.sampled_from([0.0, 1.0, 0.5, 0.25, 63 / 64]) | st.floats(0, 1)
samples = st.lists(shares, min_size=2, max_size=30) | st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=30)

# values, 95 % bounds, 90 % bounds; computed with mpmath, and those of 7/10 and 10/10 by statsmodels
BETA = {
    "7 of 10": ((10, 7, 7), (0.39418168185133, 0.90730540606185), (0.44187323351537, 0.88267062331979)),
    "9 of 10": ((10, 9, 9), (0.61868522893338, 0.99747142145554), (0.66943719673987, 0.99488380310818)),
    "10 of 10": ((10, 10, 10), (0.78280373249079, 1), (0.82922689175515, 1)),
    "0 of 30": ((30, 0, 0), (0, 0.07967817381726), (0, 0.061516724557301)),
    "1 of 30": ((30, 1, 1), (0.00084357092663048, 0.14541777735402), (0.0017083156444657, 0.12309776840805)),
    "eight fractions": ((8, 5, 4.125), (0.36934911769035, 0.82646205089356), (0.40777027110474, 0.79809290923178)),
    "near full": ((10, 9.984375, 9.968994140625), (0.78276862446272, 1), (0.82820310788294, 1)),
    "eight halves": ((8, 4, 2), (0.39695118688026, 0.60304881311974), (0.41324223104538, 0.58675776895462)),
    "1.2 of 20": ((20, 1.2, 1.04), (0.0037604056525945, 0.21736228073046), (0.0062986529439974, 0.18781305674996)),
}  # fmt: skip
SKEWED = [120, 95, 430, 210, 88, 1020, 150, 133, 610, 99]
FAMILIES = ([0, 0.25, 0.5, 1, 1, 0.75, 0.5, 1, 0, 0.25], [0, 0, 0, 1, 1, 2, 2, 2, 2, 3])


def sums(values: list[float]) -> tuple[int, float, float]:
    return len(values), sum(values), sum(value * value for value in values)


@pytest.mark.parametrize("name", BETA)
def test_beta_interval_vectors(name: str) -> None:
    n_s1_s2, at_95, at_90 = BETA[name]
    np.testing.assert_allclose(beta_interval(*n_s1_s2), at_95, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(beta_interval(*n_s1_s2, 0.9), at_90, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_beta_interval_of_binary_values_is_jeffreys_and_exact_is_clopper_and_pearson(n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    for correct in range(n + 1):
        lower, upper = beta_interval(n, correct, correct)
        if 2 <= correct <= n - 2:
            assert lower == pytest.approx(stats.beta(correct + 0.5, n - correct + 0.5).ppf(0.025), rel=1e-11)
            assert upper == pytest.approx(stats.beta(correct + 0.5, n - correct + 0.5).ppf(0.975), rel=1e-11)
        exact = stats.binomtest(correct, n).proportion_ci(method="exact")
        np.testing.assert_allclose(beta_interval(n, correct, correct, exact=True), exact, rtol=1e-10, atol=1e-15)


def test_statsmodels_agrees_on_binary_values() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for correct, n in [(2, 9), (7, 10), (28, 30)]:
        jeffreys = proportion.proportion_confint(correct, n, method="jeffreys")
        np.testing.assert_allclose(beta_interval(n, correct, correct), jeffreys, rtol=1e-11)


@many_examples
@given(samples, st.sampled_from([0.5, 0.8, 0.95, 0.999]), st.booleans())
def test_beta_interval_holds_the_mean_and_is_mirrored(values: list[float], confidence: float, exact: bool) -> None:
    lower, upper = beta_interval(*sums(values), confidence, exact)
    mean = sum(values) / len(values)
    assert 0 <= lower <= mean + 1e-12
    assert mean - 1e-12 <= upper <= 1
    assert upper - lower > 1e-6
    mirrored = beta_interval(*sums([1 - value for value in values]), confidence, exact)
    np.testing.assert_allclose([1 - mirrored[1], 1 - mirrored[0]], [lower, upper], atol=1e-9)


@many_examples
@given(samples, st.booleans())
def test_beta_intervals_are_nested_in_the_confidence(values: list[float], exact: bool) -> None:
    bounds = [beta_interval(*sums(values), confidence, exact) for confidence in (0.5, 0.8, 0.9, 0.95, 0.99)]
    for (lower, upper), (wider_lower, wider_upper) in itertools.pairwise(bounds):
        assert wider_lower <= lower
        assert upper <= wider_upper


@many_examples
@given(samples)
def test_the_exact_interval_is_the_wider_one(values: list[float]) -> None:
    lower, upper = beta_interval(*sums(values))
    exact_lower, exact_upper = beta_interval(*sums(values), exact=True)
    assert exact_lower <= lower + 1e-12
    assert upper - 1e-12 <= exact_upper


def test_sums_just_below_a_threshold_are_rounded_not_smaller() -> None:
    for threshold in (0.5, 1.5):
        at, below = beta_interval(30, threshold, 0.4), beta_interval(30, threshold - 1e-13, 0.4)
        np.testing.assert_allclose(at, below, rtol=1e-9)


def test_a_pooled_mean_may_have_task_values_outside_0_and_1() -> None:
    lower, upper = beta_interval(3, 1.2, 40.0)
    assert 0 <= lower < 0.4 < upper <= 1


def test_intervals_work_on_arrays() -> None:
    lower, upper = beta_interval(np.array([10, 30]), np.array([7.0, 0.0]), np.array([7.0, 0.0]))
    np.testing.assert_allclose(lower, [0.3941816818513287, 0.0], rtol=1e-11)
    np.testing.assert_allclose(upper, [0.9073054060618468, 0.07967817381726], rtol=1e-11)


@pytest.mark.parametrize("n", [0, 1])
def test_no_beta_interval_below_two_tasks(n: int) -> None:
    assert np.isnan(beta_interval(n, 0.0, 0.0)).all()


def test_hall_interval_vectors() -> None:
    moments = Moments.of(SKEWED)
    bounds = hall_interval(moments.count, moments.mean, moments.m2, moments.m3)
    np.testing.assert_allclose(np.ravel(bounds), [133.15913999113235, 1198.536462210429], rtol=1e-11)
    moments = Moments.of([-3, 0, 1, 1, 2, 2.5, 3, 3])
    bounds = hall_interval(moments.count, moments.mean, moments.m2, moments.m3, 0.9)
    np.testing.assert_allclose(np.ravel(bounds), [-1.1172824461690578, 2.237847386728643], rtol=1e-11)


def test_t_interval_vector_and_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    moments = Moments.of(SKEWED)
    assert moments.standard_error[0] == pytest.approx(97.15145678555497, rel=1e-12)
    bounds = np.ravel(t_interval(moments.count, moments.mean, moments.standard_error))
    np.testing.assert_allclose(bounds, [75.72813615627655, 515.2718638437234], rtol=1e-11)
    np.testing.assert_allclose(bounds, stats.t.interval(0.95, 9, np.mean(SKEWED), stats.sem(SKEWED)), rtol=1e-11)


@pytest.mark.parametrize("skewness", [0.0, 1e-14, 1e-9, 1e-6])
def test_hall_without_skewness_is_student(skewness: float) -> None:
    n, m2 = 12, 7.5
    m3 = skewness * n * (m2 / n) ** 1.5
    student = t_interval(n, 3.0, math.sqrt(m2 / (n - 1) / n))
    np.testing.assert_allclose(hall_interval(n, 3.0, m2, m3), student, rtol=1e-12 + skewness)


def test_hall_needs_three_tasks_that_differ() -> None:
    assert np.isnan(hall_interval(2, 1.0, 0.5, 0.0)).all()
    assert np.isnan(hall_interval(9, 1.0, 0.0, 0.0)).all()


@pytest.mark.parametrize("confidence", [0.6, 0.9, 0.95, 0.999])
def test_p_values_agree_with_the_bounds(confidence: float) -> None:
    skewed = Moments.of(SKEWED)
    known: list[MeanKnowledge] = [
        *(BetaMean(10, c, c, exact) for c in (1, 2, 5, 8, 9) for exact in (False, True)),
        BetaMean(8, 5, 4.125),
        HallMean(skewed.count, skewed.mean, skewed.m2, skewed.m3),
        HallMean(skewed.count, -skewed.mean, skewed.m2, -skewed.m3),
        StudentMean(0.08, 0.04, 99, 1.0),
    ]
    for mean in known:
        lower, upper = mean.bounds(confidence)
        np.testing.assert_allclose(mean.p_at_most(lower), (1 - confidence) / 2, rtol=1e-8)
        np.testing.assert_allclose(mean.p_at_least(upper), (1 - confidence) / 2, rtol=1e-8)
        gap = 0.01 * (upper - lower)
        assert (mean.p_at_most(lower + gap) > mean.p_at_most(lower)).all()
        assert (mean.p_at_least(upper - gap) > mean.p_at_least(upper)).all()


def test_no_p_value_condemns_beyond_an_edge_that_the_interval_reaches() -> None:
    assert BetaMean(10, 10, 10).p_at_least(0.9999) == 1.0
    assert BetaMean(10, 0, 0).p_at_most(0.0001) == 1.0
    assert BetaMean(10, 9, 9).p_at_least(1.5) == 0.0
    assert BetaMean(10, 9, 9).p_at_most(-0.5) == 0.0


# --- estimates ------------------------------------------------------------------------------------------------------


def test_the_method_follows_the_values() -> None:
    assert interval([0.0, 0.5, 1.0]).method == "beta"
    assert interval([0.0, 0.5, 1.0], method="exact").method == "exact"
    assert interval([0.0, 0.5, 1.0], method="t").method == "t"
    assert interval([0.0, 0.5, 1.0], bounded=False).method == "hall"
    assert interval([0.0, 0.5, 1.1]).method == "hall"
    assert interval([0.0, 0.5, 1.1], method="exact").method == "hall"


def test_an_interval_by_hand() -> None:
    found = interval([1.0, 0.0, NAN, 0.5, 1.0, 0.75, 0.25, 0.5, 1.0])
    assert (found.value, found.n, found.why) == (0.625, 8, "")
    assert (found.lower, found.upper) == pytest.approx(BETA["eight fractions"][1], rel=1e-11)
    assert found.se == pytest.approx(
        np.std([1.0, 0.0, 0.5, 1.0, 0.75, 0.25, 0.5, 1.0], ddof=1) / math.sqrt(8), rel=1e-12
    )


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([], "no task has a value"),
        ([0.5], "no standard error and no interval: only 1 task"),
        ([1.0] * 40, "no standard error: all 40 tasks have the same value"),
        ([7.0] * 4, "no standard error and no interval: all 4 tasks have the same value"),
        ([3.0, 4.0], "no interval: the mean of values outside 0 to 1 needs 3 tasks (there are 2)"),
        ([1e200, -1e200, 4.0], "no standard error and no interval: the values are too large to square"),
        ([0.0, 1.0], ""),
    ],
)
def test_what_is_absent_has_a_reason(values: list[float], why: str) -> None:
    found = interval(values)
    assert found.why == why
    assert math.isnan(found.se) == ("no standard error" in why or not values)
    assert math.isnan(found.lower) == math.isnan(found.upper) == (found.method == "")


def test_equal_values_have_a_beta_interval_all_the_same() -> None:
    perfect = interval([1.0] * 10)
    assert (perfect.lower, perfect.upper) == pytest.approx((0.7828037324907894, 1.0), rel=1e-11)
    assert math.isnan(perfect.se)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="confidence is 95; it must lie between"):
        interval([0.0, 1.0], confidence=95)
    with pytest.raises(ValueError, match="has 2 dimensions"):
        interval([[0.0, 1.0]])
    with pytest.raises(ValueError, match="1 clusters for 2 tasks"):
        interval([0.0, 1.0], clusters=["a"])


def test_shards_give_the_interval_of_the_whole() -> None:
    values = np.random.default_rng(3).random((60, 4))
    values[values[:, 3] < 0.2, 3] = NAN
    whole = estimates(Moments.of(values), bounded=True)
    merged = Moments.empty(4)
    for shard in np.array_split(values, 7):
        merged += Moments.of(shard)
    for name in ("value", "se", "lower", "upper", "n"):
        np.testing.assert_allclose(getattr(estimates(merged, bounded=True), name), getattr(whole, name), rtol=1e-12)
    assert whole.at(3).n < whole.at(0).n == 60
    assert len(whole) == 4


def test_looks_share_the_error() -> None:
    assert per_look(0.95, 1) == pytest.approx(0.95)
    assert per_look(0.9, 4) == pytest.approx(0.975)


# --- clusters -------------------------------------------------------------------------------------------------------


def test_clusters_vector() -> None:
    values, families = FAMILIES
    found = interval(values, clusters=families)
    assert found.se == pytest.approx(0.1488720354812086, rel=1e-12)
    assert (found.lower, found.upper) == pytest.approx((0.0772267560, 0.9385729352), rel=1e-9)
    unbounded = interval([10 * value for value in values], clusters=families)
    assert unbounded.method == "t"
    # t with 3 degrees of freedom: 3.18244630528371
    reach = 3.18244630528371 * 1.488720354812086
    assert (unbounded.lower, unbounded.upper) == pytest.approx((5.25 - reach, 5.25 + reach), rel=1e-11)


def leave_one_out_variance(values: Floats, codes: list[int]) -> float:
    labels = sorted(set(codes))
    means = [values[np.array(codes) != label].mean() for label in labels]
    return float((len(labels) - 1) / len(labels) * sum((mean - values.mean()) ** 2 for mean in means))


@pytest.mark.parametrize("seed", range(5))
def test_cluster_variance_is_the_jackknife(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = [*range(5), *rng.integers(0, 5, 20).tolist()]
    values = rng.random(25)
    clusters = Clusters.of(values, codes)
    assert clusters.variance[0] == pytest.approx(leave_one_out_variance(values, codes), rel=1e-10)
    assert clusters.standard_error[0] == pytest.approx(math.sqrt(clusters.variance[0]), rel=1e-15)


def test_cluster_variance_for_equal_clusters_is_that_of_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(5)
    codes = np.repeat(np.arange(6), 4)
    values = rng.random(24) + 0.3 * rng.random(6)[codes]
    fit = api.OLS(values, np.ones(24)).fit(cov_type="cluster", cov_kwds={"groups": codes})
    # CR1 has a factor of (n - 1)/(n - K) that is 1 here; for clusters of one size it equals CV3.
    assert Clusters.of(values, codes).standard_error[0] == pytest.approx(float(fit.bse[0]), rel=1e-10)


@many_examples
@given(samples, st.sampled_from(METHODS), st.booleans())
def test_a_cluster_per_task_is_no_clusters(values: list[float], method: Method, bounded: bool) -> None:
    plain = interval(values, method=method, bounded=bounded)
    single = interval(values, method=method, bounded=bounded, clusters=range(len(values)))
    np.testing.assert_equal(single.__reduce__(), plain.__reduce__())


def test_a_cluster_per_task_has_the_plain_variance() -> None:
    values = np.random.default_rng(6).random(17)
    assert Clusters.of(values, range(17)).variance[0] == pytest.approx(values.var(ddof=1) / 17, rel=1e-12)


def test_clusters_that_vary_less_than_their_tasks_do_not_narrow_the_beta_interval() -> None:
    balanced = [0.0, 1.0] * 12
    families = [i // 2 for i in range(24)]
    families[0] = 1  # otherwise all families have one mean
    clustered, plain = interval(balanced, clusters=families), interval(balanced)
    assert clustered.se < plain.se
    assert clustered.upper - clustered.lower > plain.upper - plain.lower


def test_equal_values_in_clusters_count_as_one_task_a_cluster() -> None:
    found = interval([1.0] * 40, clusters=[i // 10 for i in range(40)])
    assert found.why == "no standard error: all 40 tasks have the same value"
    # f·N = 4·(z/t₃)² tasks
    tasks = 4 * (1.959963984540054 / 3.18244630528371) ** 2
    lower, upper = BetaMean(tasks, tasks, tasks).bounds(0.95)
    assert (found.lower, found.upper) == pytest.approx((float(lower), float(upper)), rel=1e-9)


def test_clusters_that_cannot_tell_have_a_reason() -> None:
    alone = interval([0.0, 1.0, 0.5], clusters=["a", "a", "a"])
    assert alone.why == "no standard error and no interval: all tasks are in one cluster"
    alike = interval([0.0, 1.0, 1.0, 0.0], clusters=["a", "a", "b", "b"])
    assert alike.why == "no standard error: all clusters have the same mean"


def test_clusters_of_parts_add_up() -> None:
    rng = np.random.default_rng(7)
    values, codes = rng.random((30, 2)), rng.integers(0, 6, 30)
    values[3, 1] = NAN
    whole = Clusters.of(values, codes, 6)
    parts = Clusters.of(values[:11], codes[:11], 6) + Clusters.of(values[11:], codes[11:], 6)
    np.testing.assert_array_equal(parts.count, whole.count)
    np.testing.assert_allclose(parts.standard_error, whole.standard_error, rtol=1e-12)
    assert whole.number.tolist() == [6, 6]
    assert whole.largest_share[0] == np.bincount(codes).max() / 30
    with pytest.raises(ValueError, match="do not add up"):
        Clusters.of(values, codes, 6) + Clusters.of(values, codes, 7)


def test_cluster_codes_take_any_labels() -> None:
    assert cluster_codes(["b", None, 3, "b", (1, 2), 3.0]).tolist() == [0, 1, 2, 0, 3, 2]
