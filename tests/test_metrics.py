import itertools
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.arrays import Codes, Floats, Ints
from rewardcli.metrics import (
    Curve,
    answered_at_k,
    describe,
    majority_at_k,
    mean_by_position,
    mean_of_first_k,
    pass_at_k,
    passing,
    prefix_std,
    std_across_runs,
)
from rewardcli.metrics import ragged as ragged_arrays

few_examples = settings(max_examples=25, deadline=None)


# Hypothesis wants no fixture of function scope: it would not be made anew for every example.
@pytest.fixture(scope="class", params=[None, 6], ids=["one-block", "many-blocks"])
def _block_size(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setattr(ragged_arrays, "CELLS", request.param)
            patch.setattr(passing, "CELLS", request.param)
        yield


class Rollout(NamedTuple):
    score: float | None
    answer: int | None = None


Task = list[Rollout]


class Ragged(NamedTuple):
    values: Floats
    answers: Codes
    starts: Ints


def ragged(tasks: list[Task]) -> Ragged:
    rollouts = [rollout for task in tasks for rollout in task]
    return Ragged(
        np.array([math.nan if score is None else score for score, _ in rollouts], dtype=np.float64),
        np.array([-1 if answer is None else answer for _, answer in rollouts], dtype=np.int32),
        np.cumsum([0, *map(len, tasks)]),
    )


def scored(*tasks: Sequence[float | None]) -> tuple[Floats, Ints]:
    data = ragged([[Rollout(score) for score in task] for task in tasks])
    return data.values, data.starts


# --- the definitions, for one task: its value and the rollouts behind it, or None if the task does not count --------

Contribution = tuple[float, int] | None


def scores_of(task: Task) -> list[float]:
    return [score for score, _ in task if score is not None]


def pass_of_task(task: Task, k: int) -> Contribution:
    scores = scores_of(task)
    n = len(scores)
    if n < k:
        return None
    if all(score in {0, 1} for score in scores):
        return 1 - math.comb(n - scores.count(1), k) / math.comb(n, k), n
    return max(scores[:k]), n


def mean_of_task(task: Task, k: int) -> Contribution:
    scores = scores_of(task[:k])
    return (statistics.fmean(scores), len(scores)) if scores else None


def std_of_task(task: Task, k: int) -> Contribution:
    scores = scores_of(task[:k])
    return (statistics.stdev(scores), len(scores)) if len(scores) > 1 else None


def majority_of_task(task: Task, k: int) -> Contribution:
    votes = Counter((answer, score) for score, answer in task[:k] if answer is not None and score is not None)
    if not votes:
        return 0.0, 0
    tied = [score for (_, score), count in votes.items() if count == max(votes.values())]
    return statistics.fmean(tied), votes.total()


def answered_of_task(task: Task, k: int) -> Contribution:
    return float(any(answer is not None for _, answer in task[:k])), len(task[:k])


def score_at_position(task: Task, k: int) -> Contribution:
    scores = scores_of(task[k - 1 : k])
    return (scores[0], 1) if scores else None


class Metric(NamedTuple):
    compute: Callable[[Ragged], Curve]
    of_task: Callable[[Task, int], Contribution]


METRICS = {
    "pass_at_k": Metric(lambda data: pass_at_k(data.values, data.starts), pass_of_task),
    "mean_of_first_k": Metric(lambda data: mean_of_first_k(data.values, data.starts), mean_of_task),
    "prefix_std": Metric(lambda data: prefix_std(data.values, data.starts), std_of_task),
    "majority_at_k": Metric(lambda data: majority_at_k(data.values, data.answers, data.starts), majority_of_task),
    "answered_at_k": Metric(lambda data: answered_at_k(data.answers, data.starts), answered_of_task),
    "mean_by_position": Metric(lambda data: mean_by_position(data.values, data.starts), score_at_position),
}

with_any_block_size = pytest.mark.usefixtures("_block_size")
every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def close(expected: list[float]) -> object:
    return pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def assert_follows_definition(metric: Metric, tasks: list[Task]) -> None:
    curve = metric.compute(ragged(tasks))
    longest = max(map(len, tasks), default=0)
    counted = [
        [found for task in tasks if (found := metric.of_task(task, k)) is not None] for k in range(1, longest + 1)
    ]
    assert curve.total.tolist() == close([math.fsum(value for value, _ in found) for found in counted])
    assert curve.n_tasks.tolist() == [len(found) for found in counted]
    assert curve.n_rollouts.tolist() == [sum(count for _, count in found) for found in counted]


# --- made-up data ---------------------------------------------------------------------------------------------------

binary = st.sampled_from([0.0, 1.0])
partial = st.sampled_from([0.0, 0.25, 0.5, 1.0])
real = st.floats(-100, 100, allow_subnormal=False)
answers = st.none() | st.integers(0, 3)


@st.composite
def tables(draw: st.DrawFn, kinds: tuple[st.SearchStrategy[float], ...] = (binary, partial, real)) -> list[Task]:
    """Tasks of different lengths, some of them empty; every task has scores of one kind, with gaps."""
    tasks = [st.lists(st.tuples(st.none() | kind, answers).map(Rollout._make), max_size=5) for kind in kinds]
    return draw(st.lists(st.one_of(tasks), max_size=5))


# --- all metrics ----------------------------------------------------------------------------------------------------


@with_any_block_size
@every_metric
@given(tasks=tables())
@few_examples
def test_equals_its_definition(metric: Metric, tasks: list[Task]) -> None:
    assert_follows_definition(metric, tasks)


@with_any_block_size
@every_metric
@pytest.mark.parametrize("binary_scores", [True, False])
def test_one_huge_task_beside_many_small_ones(metric: Metric, binary_scores: bool) -> None:
    rng = random.Random(7)  # noqa: S311 - made-up data

    def rollout() -> Rollout:
        score = rng.choice([0.0, 1.0]) if binary_scores else rng.uniform(-1, 2)
        return Rollout(rng.choice([None, score]), rng.choice([None, 0, 1, 2]))

    lengths = [*(rng.randrange(4) for _ in range(60)), 200, *(rng.randrange(4) for _ in range(60))]
    assert_follows_definition(metric, [[rollout() for _ in range(length)] for length in lengths])


@every_metric
@pytest.mark.parametrize("tasks", [[], [[]], [[], []]], ids=["no task", "an empty task", "empty tasks"])
def test_without_rollouts_there_is_no_k(metric: Metric, tasks: list[Task]) -> None:
    curve = metric.compute(ragged(tasks))
    assert len(curve.total) == len(curve.n_tasks) == len(curve.n_rollouts) == len(curve.mean) == 0


@every_metric
def test_scores_that_are_all_missing_add_nothing(metric: Metric) -> None:
    curve = metric.compute(ragged([[Rollout(None)] * 2, [Rollout(None)]]))
    assert curve.total.tolist() == [0, 0]
    assert curve.total.dtype == np.float64


@every_metric
@given(first=tables(), second=tables())
@few_examples
def test_curves_of_two_tables_add_up_to_that_of_both(metric: Metric, first: list[Task], second: list[Task]) -> None:
    longest = max(map(len, first + second), default=0)
    # One task without scores gives both tables the same K.
    first, second = ([*tasks, [Rollout(None)] * longest] for tasks in (first, second))
    one, other, both = (metric.compute(ragged(tasks)) for tasks in (first, second, first + second))
    assert (one.total + other.total).tolist() == close(both.total.tolist())
    assert (one.n_tasks + other.n_tasks).tolist() == both.n_tasks.tolist()
    assert (one.n_rollouts + other.n_rollouts).tolist() == both.n_rollouts.tolist()


def test_mean_is_nan_where_no_task_counts() -> None:
    curve = Curve(np.array([3.0, 0.0]), np.array([4, 0]), np.array([8, 0]))
    assert curve.mean.tolist() == close([0.75, math.nan])


# --- pass@k ---------------------------------------------------------------------------------------------------------


def test_pass_at_k_by_hand() -> None:
    curve = pass_at_k(*scored([1, 0, 0], [1, 1, 0]))
    # k = 2: two of three pairs of the first task hold its success, all pairs of the second hold one.
    assert curve.mean.tolist() == close([1 / 2, (2 / 3 + 1) / 2, 1])


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_success(n: int) -> None:
    for correct in range(n + 1):
        scores = [1.0] * correct + [0.0] * (n - correct)
        draws = [list(itertools.combinations(scores, k)) for k in range(1, n + 1)]
        expected = [sum(1 in draw for draw in of_k) / len(of_k) for of_k in draws]
        assert pass_at_k(*scored(scores)).total.tolist() == close(expected)


def test_pass_at_k_takes_the_best_of_the_first_k_of_partial_scores() -> None:
    assert pass_at_k(*scored([0.2, 0.9, 0.5])).mean.tolist() == [0.2, 0.9, 0.9]
    assert pass_at_k(*scored([-3, -5, -2])).mean.tolist() == [-3, -3, -2]


def test_pass_at_k_passes_over_gaps_and_leaves_out_tasks_with_too_few_scores() -> None:
    curve = pass_at_k(*scored([0.2, None, 0.5], [None, 1, 0, 1], []))
    assert curve.mean.tolist() == close([(0.2 + 2 / 3) / 2, (0.5 + 1) / 2, 1, math.nan])
    assert curve.n_tasks.tolist() == [2, 2, 1, 0]
    assert curve.n_rollouts.tolist() == [5, 5, 3, 0]


def test_pass_at_k_is_accurate_for_many_rollouts() -> None:
    n = 3000
    curve = pass_at_k(*scored([1.0] + [0.0] * (n - 1)))
    assert curve.total.tolist() == pytest.approx([k / n for k in range(1, n + 1)], rel=1e-9)


@given(tasks=tables((binary,)))
@few_examples
def test_pass_at_1_of_binary_scores_is_the_share_of_successes(tasks: list[Task]) -> None:
    shares = [statistics.fmean(scores) for task in tasks if (scores := scores_of(task))]
    curve = pass_at_k(*scored(*map(scores_of, tasks)))
    assert curve.total[:1].tolist() == close([math.fsum(shares)] if shares else [])


@given(n=st.integers(1, 40), successes=st.lists(st.integers(0, 40), min_size=1))
@few_examples
def test_pass_at_k_does_not_fall_with_k_at_equal_n(n: int, successes: list[int]) -> None:
    tasks = [[1.0] * min(c, n) + [0.0] * (n - min(c, n)) for c in successes]
    assert (np.diff(pass_at_k(*scored(*tasks)).mean) >= -1e-12).all()


@given(tasks=tables((binary,)), data=st.data())
@few_examples
def test_pass_at_k_of_binary_scores_is_free_of_order(tasks: list[Task], data: st.DataObject) -> None:
    shuffled = [data.draw(st.permutations(task)) for task in tasks]
    expected = METRICS["pass_at_k"].compute(ragged(tasks))
    assert METRICS["pass_at_k"].compute(ragged(shuffled)).total.tolist() == close(expected.total.tolist())


# --- means and stds over the first k --------------------------------------------------------------------------------


def test_mean_of_first_k_by_hand() -> None:
    curve = mean_of_first_k(*scored([1, 0], [None, 0.5, 1, None]))
    assert curve.mean.tolist() == [1, (0.5 + 0.5) / 2, (0.5 + 0.75) / 2, (0.5 + 0.75) / 2]
    assert curve.n_tasks.tolist() == [1, 2, 2, 2]
    assert curve.n_rollouts.tolist() == [1, 3, 4, 4]


def test_prefix_std_by_hand() -> None:
    curve = prefix_std(*scored([1, 2, 4], [0, None, 1], [5]))
    assert curve.mean.tolist() == close([math.nan, math.sqrt(0.5), (math.sqrt(7 / 3) + math.sqrt(0.5)) / 2])
    assert curve.n_tasks.tolist() == [0, 1, 2]
    assert curve.n_rollouts.tolist() == [0, 2, 5]


def test_prefix_std_does_not_cancel_far_from_zero() -> None:
    assert prefix_std(*scored([1e9 + 1, 1e9 + 2, 1e9 + 3])).total.tolist() == close([0, math.sqrt(0.5), 1])


def test_prefix_std_of_equal_scores_is_zero() -> None:
    assert prefix_std(*scored([0.1] * 5)).total.tolist() == [0] * 5


# --- votes ----------------------------------------------------------------------------------------------------------


def majority(*rollouts: tuple[float | None, int | None]) -> list[float]:
    data = ragged([[Rollout(*rollout) for rollout in rollouts]])
    return majority_at_k(data.values, data.answers, data.starts).total.tolist()  # type: ignore[no-any-return]


def test_majority_follows_the_vote_as_it_turns() -> None:
    assert majority((1, 7), (0, 4), (0, 4), (1, 7), (1, 7)) == [1, 0.5, 0, 0.5, 1]


def test_majority_counts_pairs_of_answer_and_score() -> None:
    # The answer 7 has three votes, but no pair of it has more than two.
    assert majority((1, 7), (1, 7), (0, 7), (0.5, 2), (0.5, 2)) == close([1, 1, 1, 1, 0.75])


def test_majority_passes_over_rollouts_without_answer_or_score() -> None:
    assert majority((1, None), (None, 3), (0.25, 3), (1, None)) == [0, 0, 0.25, 0.25]


def test_majority_tells_large_codes_apart() -> None:
    # With four scores, pairs of these answers that were numbered in 32 bits would be the same.
    votes = majority((0.1, 0), (0.1, 2**30), (0.2, 5), (0.2, 5), (0.3, 6), (0.4, 2**31 - 1))
    assert votes == close([0.1, 0.1, 0.4 / 3, 0.2, 0.2, 0.2])


def test_a_task_without_votes_counts_as_zero() -> None:
    data = ragged([[Rollout(1, 0)], [Rollout(1, None)], []])
    curve = majority_at_k(data.values, data.answers, data.starts)
    assert (curve.total.tolist(), curve.n_tasks.tolist(), curve.n_rollouts.tolist()) == ([1], [3], [1])


def test_answered_by_hand() -> None:
    data = ragged([[Rollout(1, None), Rollout(None, 0)], [Rollout(1, None)], []])
    curve = answered_at_k(data.answers, data.starts)
    assert (curve.total.tolist(), curve.n_tasks.tolist(), curve.n_rollouts.tolist()) == ([0, 1], [3, 3], [2, 3])


# --- runs -----------------------------------------------------------------------------------------------------------


def test_mean_by_position_by_hand() -> None:
    curve = mean_by_position(*scored([1, 0, None], [0, None], [1, 1]))
    assert curve.mean.tolist() == close([2 / 3, 1 / 2, math.nan])
    assert curve.n_tasks.tolist() == [3, 2, 0]


@given(runs=st.lists(real, max_size=12))
@few_examples
def test_std_across_runs_is_that_of_the_first_k(runs: list[float]) -> None:
    expected = [math.nan if k < 2 else statistics.stdev(runs[:k]) for k in range(1, len(runs) + 1)]
    stds, errors = std_across_runs(np.array(runs))
    assert stds.tolist() == close(expected)
    assert errors.tolist() == close([std / math.sqrt(k) for k, std in enumerate(expected, 1)])


# --- statistics of groups -------------------------------------------------------------------------------------------


def test_describe_by_hand() -> None:
    found = describe(*scored([4, None, 1, 2], [3], [None], []))
    assert found.count.tolist() == [3, 1, 0, 0]
    assert found.mean.tolist() == close([7 / 3, 3, math.nan, math.nan])
    assert found.max.tolist() == close([4, 3, math.nan, math.nan])
    assert found.min.tolist() == close([1, 3, math.nan, math.nan])
    assert found.median.tolist() == close([2, 3, math.nan, math.nan])
    assert found.std.tolist() == close([math.sqrt(7 / 3), math.nan, math.nan, math.nan])


@with_any_block_size
@given(tasks=tables())
@few_examples
def test_describe_equals_the_definitions(tasks: list[Task]) -> None:
    data = ragged(tasks)
    found = describe(data.values, data.starts)
    groups = [scores_of(task) for task in tasks]

    def expected(statistic: Callable[[list[float]], float], at_least: int = 1) -> object:
        return close([statistic(group) if len(group) >= at_least else math.nan for group in groups])

    assert found.count.tolist() == list(map(len, groups))
    assert found.mean.tolist() == expected(statistics.fmean)
    assert found.max.tolist() == expected(max)
    assert found.min.tolist() == expected(min)
    assert found.median.tolist() == expected(statistics.median)
    assert found.std.tolist() == expected(statistics.stdev, at_least=2)


@given(scores=st.lists(st.none() | real), data=st.data())
@few_examples
def test_describe_is_free_of_order(scores: list[float | None], data: st.DataObject) -> None:
    one, other = (describe(*scored(order)) for order in (scores, data.draw(st.permutations(scores))))
    for name in ("count", "mean", "max", "min", "median", "std"):
        assert getattr(other, name).tolist() == close(getattr(one, name).tolist())


def test_describe_leaves_out_infinite_values() -> None:
    found = describe(*scored([math.inf, 1, -math.inf, 3]))
    assert (found.count[0], found.mean[0], found.max[0], found.min[0], found.median[0]) == (2, 2, 3, 1, 2)


def test_describe_keeps_max_min_and_median_of_the_largest_floats() -> None:
    found = describe(*scored([1.5e308, 1.7e308]))
    assert (found.max[0], found.min[0], found.median[0]) == (1.7e308, 1.5e308, pytest.approx(1.6e308))


def test_describe_does_not_cancel_far_from_zero() -> None:
    assert describe(*scored([1e9 + 1, 1e9 + 2, 1e9 + 3])).std.tolist() == close([1])
