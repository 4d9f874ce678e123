import itertools
import math
import random
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli import hypergeometric
from rewardcli.arrays import Codes, Floats
from rewardcli.metrics.plurality import cons_at_k, win_probabilities

NAN = math.nan
few_examples = settings(max_examples=40, deadline=None)

Rollout = tuple[float, int]
rollouts = st.tuples(st.sampled_from([0.0, 1.0, 0.5, 2.25, -1.0]), st.integers(-1, 4))
tasks = st.lists(st.lists(rollouts, min_size=1, max_size=7), min_size=1, max_size=4)


def table(tasks: list[list[Rollout]]) -> tuple[Floats, Codes]:
    width = max(map(len, tasks))
    scores, answers = np.full((len(tasks), width), NAN), np.full((len(tasks), width), -1, dtype=np.int32)
    for row, task in enumerate(tasks):
        for column, (score, answer) in enumerate(task):
            scores[row, column], answers[row, column] = score, answer
    return scores, answers


def plurality_score(subset: tuple[Rollout, ...], means: dict[int, Fraction]) -> Fraction:
    """The score of the answers that most rollouts of a subset give, each worth its mean over all rollouts."""
    votes: dict[int, int] = defaultdict(int)
    for _, answer in subset:
        if answer >= 0:
            votes[answer] += 1
    winners = [answer for answer, count in votes.items() if count == max(votes.values())]
    return sum((means[answer] for answer in winners), Fraction(0)) / len(winners) if winners else Fraction(0)


def by_definition(task: list[Rollout], k: int) -> Fraction:
    scores: dict[int, list[Fraction]] = defaultdict(list)
    for score, answer in task:
        scores[answer].append(Fraction(score))
    means = {answer: sum(values, Fraction(0)) / len(values) for answer, values in scores.items()}
    subsets = list(itertools.combinations(task, k))
    return sum((plurality_score(subset, means) for subset in subsets), Fraction(0)) / len(subsets)


@few_examples
@given(tasks)
def test_cons_at_k_is_the_mean_over_subsets(tasks: list[list[Rollout]]) -> None:
    found = cons_at_k(*table(tasks))
    for row, task in zip(found, tasks, strict=True):
        for k in range(1, found.shape[1] + 1):
            if k > len(task):
                assert np.isnan(row[k - 1])
            else:
                assert row[k - 1] == pytest.approx(float(by_definition(task, k)), rel=1e-12, abs=1e-12)


@few_examples
@given(tasks, st.randoms())
def test_neither_order_nor_names_of_answers_matter(tasks: list[list[Rollout]], shuffler: random.Random) -> None:
    shuffled = [
        shuffler.sample([(score, answer if answer < 0 else 9 - answer) for score, answer in task], len(task))
        for task in tasks
    ]
    np.testing.assert_allclose(cons_at_k(*table(shuffled)), cons_at_k(*table(tasks)), rtol=1e-12, atol=1e-12)


def test_vectors() -> None:
    first = [(1.0, 0)] * 3 + [(0.0, 1)] * 2 + [(0.0, 2), (0.0, -1)]
    second = [(1.0, 0), (0.0, 0), (1.0, 1), (1.0, 1), (0.0, 2), (0.0, 2), (0.0, -1), (0.0, -1)]
    found = cons_at_k(*table([first, second]))
    np.testing.assert_allclose(found[0, :7], [3 / 7, 1 / 2, 39 / 70, 9 / 14, 5 / 7, 11 / 14, 1], rtol=1e-13)
    assert np.isnan(found[0, 7])
    np.testing.assert_allclose(found[1], [3 / 8, 27 / 56, *[1 / 2] * 6], rtol=1e-13)


@pytest.mark.parametrize(
    ("own", "others", "silent", "k", "expected"),
    [  # exact, by integers of any size
        (30, [20, 7, 5, 1, 1], 2, 20, 0.823044244165269),
        (400, [350, 200], 50, 33, 0.619367286462495),
        (100, [99, 98], 3, 64, 0.355894281010464),
    ],
)
def test_win_probability_vectors(own: int, others: list[int], silent: int, k: int, expected: float) -> None:
    assert win_probabilities(own, others, silent)[k - 1] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("counts", "silent"),
    [
        ([1], 0),
        ([3], 4),
        ([1] * 50, 10),
        ([2] * 40, 3),
        ([30, 20, 7, 5, 1, 1], 2),
        ([60] * 6, 0),
        ([600, 200, 100, 20, 20, 10], 50),
        ([700, 500, 300], 100),  # more than one binomial probability has to be used
    ],
)
def test_some_answer_wins_unless_all_are_silent(counts: list[int], silent: int) -> None:
    n = sum(counts) + silent
    total = sum(
        counts.count(own)
        * win_probabilities(own, [*counts[: counts.index(own)], *counts[counts.index(own) + 1 :]], silent)
        for own in set(counts)
    )
    all_silent = hypergeometric.tails([n], [silent], np.arange(1, n + 1))[0]
    np.testing.assert_allclose(total, 1 - all_silent, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("own", "other"), [(1, 1), (7, 5), (500, 500), (1_300, 1_100), (10, 2_000)])
def test_two_answers_are_a_hypergeometric_race(own: int, other: int) -> None:
    n = own + other
    k = np.arange(1, n + 1)
    more_than_half = hypergeometric.tails([n], [own], k // 2 + 1)[0]
    half = np.where(k % 2 == 0, hypergeometric.probability(k // 2, n, own, k), 0.0)
    np.testing.assert_allclose(win_probabilities(own, [other], 0), more_than_half + half / 2, rtol=1e-10, atol=1e-12)


def test_three_answers_against_whole_numbers() -> None:
    counts, silent, k = (9, 8, 4), 3, 11
    n = sum(counts) + silent
    exact = Fraction(0)
    for votes in itertools.product(*(range(count + 1) for count in counts)):
        if 0 <= k - sum(votes) <= silent and votes[0] == max(votes) > 0:
            ways = math.prod(math.comb(count, vote) for count, vote in zip(counts, votes, strict=True))
            exact += Fraction(ways * math.comb(silent, k - sum(votes)), votes.count(max(votes)))
    expected = float(exact / math.comb(n, k))
    assert win_probabilities(counts[0], list(counts[1:]), silent)[k - 1] == pytest.approx(expected, rel=1e-13)


def test_one_draw_is_the_mean_score_with_silence_as_zero() -> None:
    rng = np.random.default_rng(1)
    scores, answers = rng.random((20, 9)), rng.integers(-1, 4, (20, 9)).astype(np.int32)
    expected = np.where(answers >= 0, scores, 0.0).mean(axis=1)
    np.testing.assert_allclose(cons_at_k(scores, answers)[:, 0], expected, rtol=1e-12)


def test_rollouts_without_a_score_are_left_out_first() -> None:
    scores = np.array([[NAN, 1.0, NAN, 0.0, 1.0]])
    answers = np.array([[1, 0, 1, 1, 0]], dtype=np.int32)
    np.testing.assert_allclose(cons_at_k(scores, answers)[0], [2 / 3, 2 / 3, 1, NAN, NAN], rtol=1e-14)


def test_tasks_with_nothing_to_count() -> None:
    scores = np.array([[1.0, 1.0], [NAN, NAN], [0.0, 0.0]])
    answers = np.array([[-1, -1], [0, 1], [0, 1]], dtype=np.int32)
    np.testing.assert_array_equal(cons_at_k(scores, answers), [[0.0, 0.0], [NAN, NAN], [0.0, 0.0]])
    assert cons_at_k(np.empty((0, 3)), np.empty((0, 3), dtype=np.int32)).shape == (0, 3)
    assert cons_at_k(np.empty((2, 0)), np.empty((2, 0), dtype=np.int32)).shape == (2, 0)


def test_a_thousand_rollouts_with_forty_answers() -> None:
    rng = np.random.default_rng(2)
    answers = rng.choice(40, (2, 1_000), p=rng.dirichlet(np.full(40, 0.3))).astype(np.int32)
    scores = (answers == np.bincount(answers[0]).argmax()).astype(np.float64)
    found = cons_at_k(scores, answers)
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    assert found[0, -1] == pytest.approx(1.0, rel=1e-12)
    assert found[0, 0] == pytest.approx(scores[0].mean(), rel=1e-12)
