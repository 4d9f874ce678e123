import math

import numpy as np
import pytest

from rewardcli.arrays import Floats, Ints
from rewardcli.metrics.bayes import bayes_at_n, category_counts

LEVELS = np.array([0.0, 0.5, 1.0])
OUTCOMES = np.array([[0, 1, 2, 2, 1], [1, 1, 0, 2, 2]])
PRIOR = np.array([[0, 2], [1, 2]])


def counted(outcomes: Ints, levels: Floats = LEVELS) -> Ints:
    return category_counts(levels[outcomes], levels)


def metric(mean: Floats, variance: Floats) -> tuple[float, float]:
    return float(mean.mean()), math.sqrt(variance.sum()) / len(mean)


def test_vectors() -> None:
    assert metric(*bayes_at_n(counted(OUTCOMES), LEVELS)) == pytest.approx((9 / 16, 0.0919975090), rel=1e-9)
    with_prior = bayes_at_n(counted(OUTCOMES), LEVELS, counted(PRIOR))
    assert metric(*with_prior) == pytest.approx((23 / 40, 0.0842749828), rel=1e-9)
    binary = np.array([[0, 1, 1, 0, 1], [1, 1, 0, 1, 1]])
    found = bayes_at_n(counted(binary, np.array([0.0, 1.0])), [0.0, 1.0])
    assert metric(*found) == pytest.approx((9 / 14, 0.1184508854), rel=1e-9)


def test_binary_scores_have_the_beta_posterior() -> None:
    mean, variance = bayes_at_n([[7, 3]], [0.0, 1.0])
    a, b = 4, 8
    assert mean[0] == pytest.approx(a / (a + b), rel=1e-15)
    assert variance[0] == pytest.approx(a * b / ((a + b) ** 2 * (a + b + 1)), rel=1e-14)


def test_one_success_in_one_rollout_is_shrunk_to_two_thirds() -> None:
    assert bayes_at_n([[0, 1]], [0.0, 1.0])[0][0] == pytest.approx(2 / 3, rel=1e-15)


def test_levels_far_from_zero_keep_the_digits_of_the_variance() -> None:
    near, far = bayes_at_n([[2, 3]], [0.0, 1.0]), bayes_at_n([[2, 3]], [1e8, 1e8 + 1])
    assert far[1][0] == pytest.approx(near[1][0], rel=1e-7)


def test_missing_scores_are_not_counted() -> None:
    scores = np.array([[0.0, math.nan, 1.0], [math.nan, math.nan, math.nan]])
    assert category_counts(scores, np.array([0.0, 1.0])).tolist() == [[1, 1], [0, 0]]


def test_scorio_agrees() -> None:
    scorio = pytest.importorskip("scorio.eval")
    rng = np.random.default_rng(1)
    outcomes, prior, levels = rng.integers(0, 4, (15, 8)), rng.integers(0, 4, (15, 3)), np.array([-1.0, 0.0, 0.5, 2.0])
    for earlier in (None, prior):
        counts = None if earlier is None else counted(earlier, levels)
        found = metric(*bayes_at_n(counted(outcomes, levels), levels, counts))
        assert found == pytest.approx(scorio.bayes(outcomes, levels, earlier), rel=1e-12)
