import itertools
import math
import random
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardcli.arrays import Floats, Ints
from rewardcli.metrics import (
    NO_ANSWER,
    REGISTRY,
    Curve,
    Metric,
    Moments,
    Scored,
    by_task,
    curves,
    describe,
    metrics_named,
)
from rewardcli.metrics import ragged as ragged_arrays
from rewardcli.metrics.runs import std_across_runs, std_error_across_runs

few_examples = settings(max_examples=25, deadline=None)


# Hypothesis rejects function-scoped fixtures: they would not be set up again for every example.
@pytest.fixture(scope="class", params=[None, 6], ids=["one-block", "many-blocks"])
def _block_size(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setattr(ragged_arrays, "CELLS", request.param)
            patch.setattr(ragged_arrays, "MOST_CELLS", request.param)
        yield


class Rollout(NamedTuple):
    score: float | None
    answer: int | None = None


Task = list[Rollout]


def scored(tasks: Sequence[Task]) -> Scored:
    rollouts = [rollout for task in tasks for rollout in task]
    return Scored(
        np.array([math.nan if score is None else score for score, _ in rollouts], dtype=np.float64),
        np.cumsum([0, *map(len, tasks)]),
        np.array([-1 if answer is None else answer for _, answer in rollouts], dtype=np.int32),
    )


def ragged(*tasks: Sequence[float | None]) -> tuple[Floats, Ints]:
    data = scored([[Rollout(score) for score in task] for task in tasks])
    return data.values, data.starts


def row(name: str, stat: str = "") -> Metric:
    return next(metric for metric in REGISTRY if (metric.name, metric.stat) == (name, stat))


def curve_of(name: str, *tasks: Sequence[float | None], stat: str = "") -> Curve:
    return curves([row(name, stat)], Scored(*ragged(*tasks)))[0]


def values_of(name: str, *tasks: Sequence[float | None], stat: str = "") -> list[float]:
    """Return a metric of some tasks for each k, on the scale of the score."""
    metric = row(name, stat)
    return (curves([metric], Scored(*ragged(*tasks)))[0].values / metric.scale).tolist()  # type: ignore[no-any-return]


# --- the definitions, for one task: its value and the rollouts behind it, or None if the task is left out -----------

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


def unanswered_of_task(task: Task, k: int) -> Contribution:
    return float(all(answer is None for _, answer in task[:k])), len(task[:k])


def all_of_task(task: Task, k: int) -> Contribution:
    scores = scores_of(task)
    n = len(scores)
    if n < k or not all(score in {0, 1} for score in scores):
        return None
    return math.comb(scores.count(1), k) / math.comb(n, k), n


def score_at_position(task: Task, k: int) -> Contribution:
    scores = scores_of(task[k - 1 : k])
    return (scores[0], 1) if scores else None


def over_draws(task: Task, k: int, worth: Callable[[tuple[Rollout, ...]], float]) -> Contribution:
    """The mean over all draws of k rollouts that have the score."""
    present = [rollout for rollout in task if rollout.score is not None]
    draws = list(itertools.combinations(present, k))
    return (statistics.fmean(map(worth, draws)), len(present)) if draws else None


def binary_over_draws(task: Task, k: int, worth: Callable[[int], float]) -> Contribution:
    if not all(score in {0, 1} for score in scores_of(task)):
        return None
    return over_draws(task, k, lambda draw: worth(sum(rollout.score == 1 for rollout in draw)))


def at_least(tau: Fraction) -> Callable[[Task, int], Contribution]:
    return lambda task, k: binary_over_draws(task, k, lambda j: float(j >= max(math.ceil(tau * k), 1)))


def best_of_draws(task: Task, k: int) -> Contribution:
    return over_draws(task, k, lambda draw: max(score for score, _ in draw if score is not None))


def plurality_of_draws(task: Task, k: int) -> Contribution:
    means = {
        answer: statistics.fmean([score for score, other in task if other == answer and score is not None])
        for answer in {answer for score, answer in task if answer is not None and score is not None}
    }

    def worth(draw: tuple[Rollout, ...]) -> float:
        votes = Counter(answer for _, answer in draw if answer is not None)
        return statistics.fmean([means[a] for a, n in votes.items() if n == max(votes.values())]) if votes else 0.0

    return over_draws(task, k, worth)


class Definition(NamedTuple):
    """A row of the registry, and its value for one task by a plain count."""

    metric: Metric
    of_task: Callable[[Task, int], Contribution]
    no_answer: bool = False
    is_slow: bool = False  # goes through every draw


BY_NAME = {
    ("pass@k", ""): pass_of_task,
    ("pass@1[avg-of-k]", ""): mean_of_task,
    ("pass@1[avg-of-k]", "avg_sample_std_dev"): std_of_task,
    ("majority@k", ""): majority_of_task,
    ("pass^k", ""): all_of_task,
    ("per_sample_aggregate", ""): score_at_position,
    ("mg-pass@k", ""): lambda task, k: binary_over_draws(task, k, lambda j: 2 / k * max(j - math.ceil(k / 2), 0)),
    ("max@k", ""): best_of_draws,
    ("cons@k", ""): plurality_of_draws,
}
OVER_DRAWS = {"mg-pass@k", "max@k", "cons@k"}
DEFINITIONS = {
    f"{name} {stat}".strip(): Definition(row(name, stat), of_task, is_slow=name in OVER_DRAWS)
    for (name, stat), of_task in BY_NAME.items()
}
DEFINITIONS |= {
    f"g-pass@k[{share}]": Definition(row("g-pass@k[τ]").at(share), at_least(Fraction(share)), is_slow=True)
    for share in ("0", "0.3", "0.5", "1")
}
DEFINITIONS[f"majority@k of {NO_ANSWER}"] = Definition(row("majority@k"), unanswered_of_task, no_answer=True)

with_any_block_size = pytest.mark.usefixtures("_block_size")
every_metric = pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)


def close(expected: object) -> object:
    return pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def assert_follows_definition(definition: Definition, tasks: list[Task]) -> None:
    metric, of_task, no_answer, _ = definition
    data = scored(tasks)
    curve = curves([metric], data, no_answer=no_answer)[0]
    assert curve.metric is metric
    ks = range(metric.first_k, data.longest + 1)
    counted = {k: [result for task in tasks if (result := of_task(task, k)) is not None] for k in ks}
    counted = {k: results for k, results in counted.items() if results}
    values = [[value for value, _ in results] for results in counted.values()]
    assert curve.ks.tolist() == list(counted)
    assert curve.values.tolist() == close([metric.scale * statistics.fmean(x) for x in values])
    assert curve.moments.count.tolist() == [len(x) for x in values]
    assert curve.moments.rollouts.tolist() == [sum(n for _, n in results) for results in counted.values()]
    assert curve.moments.variance.tolist() == close(
        [statistics.variance(x) if len(x) > 1 else math.nan for x in values]
    )
    cubes = [sum((value - statistics.fmean(x)) ** 3 for value in x) for x in values]
    assert curve.moments.m3.tolist() == pytest.approx(cubes, rel=1e-6, abs=1e-6)
    if ks:
        matrix = by_task(metric, data, ks, no_answer=no_answer)
        expected = [math.nan if (r := of_task(task, k)) is None else r[0] for task in tasks for k in ks]
        assert matrix.ravel().tolist() == close(expected)


def test_every_metric_has_a_definition() -> None:
    """Make sure that a new row of the registry has a definition here."""
    elsewhere = {("g-pass@k[τ]", ""), ("bayes@n", ""), ("bayes@n", "posterior_sd")}
    here = {(metric.name, metric.stat) for metric in REGISTRY if not metric.of_runs}
    assert here == BY_NAME.keys() | elsewhere


def test_bayes_at_n_of_equally_many_rollouts() -> None:
    # R = [[0,1,1,0,1],[1,1,0,1,1]] (arXiv:2510.04265): 9/14 and 0.1184508854.
    tasks = ([0, 1, 1, 0, 1], [1, 1, 0, 1, 1])
    assert curve_of("bayes@n", *tasks).ks.tolist() == [5]
    assert values_of("bayes@n", *tasks) == close([9 / 14])
    assert values_of("bayes@n", *tasks, stat="posterior_sd") == pytest.approx([0.1184508854])
    assert values_of("bayes@n", [0, 1], [1]) == []
    assert values_of("bayes@n", [i / 20 for i in range(20)]) == []


@pytest.mark.parametrize("name", ["g-pass@k[2]", "g-pass@k[x]", "g-pass@k", "pass@8", "g-pass@k[1/0]"])
def test_a_metric_that_is_not_there_has_no_row(name: str) -> None:
    with pytest.raises(KeyError, match=re.escape(name)):
        metrics_named([name])


# --- made-up data ---------------------------------------------------------------------------------------------------

binary = st.sampled_from([0.0, 1.0])
partial = st.sampled_from([0.0, 0.25, 0.5, 1.0])
real = st.floats(-100, 100, allow_subnormal=False)
answers = st.none() | st.integers(0, 3)


@st.composite
def tables(draw: st.DrawFn, kinds: tuple[st.SearchStrategy[float], ...] = (binary, partial, real)) -> list[Task]:
    """Draw tasks of different lengths, some of them empty; each task has scores of one type, with gaps."""
    tasks = [st.lists(st.tuples(st.none() | kind, answers).map(Rollout._make), max_size=5) for kind in kinds]
    return draw(st.lists(st.one_of(tasks), max_size=5))


# --- all metrics ----------------------------------------------------------------------------------------------------


@with_any_block_size
@every_metric
@given(tasks=tables())
@few_examples
def test_equals_its_definition(definition: Definition, tasks: list[Task]) -> None:
    assert_follows_definition(definition, tasks)


@with_any_block_size
@every_metric
@pytest.mark.parametrize("binary_scores", [True, False])
def test_one_huge_task_beside_many_small_ones(definition: Definition, binary_scores: bool) -> None:
    rng = random.Random(7)  # noqa: S311 - made-up data
    longest = 9 if definition.is_slow else 200

    def rollout() -> Rollout:
        score = rng.choice([0.0, 1.0]) if binary_scores else rng.uniform(-1, 2)
        return Rollout(rng.choice([None, score]), rng.choice([None, 0, 1, 2]))

    lengths = [*(rng.randrange(4) for _ in range(60)), longest, *(rng.randrange(4) for _ in range(60))]
    assert_follows_definition(definition, [[rollout() for _ in range(length)] for length in lengths])


@every_metric
@pytest.mark.parametrize("tasks", [[], [[]], [[], []]], ids=["no task", "an empty task", "empty tasks"])
def test_without_rollouts_there_is_no_k(definition: Definition, tasks: list[Task]) -> None:
    curve = curves([definition.metric], scored(tasks), no_answer=definition.no_answer)[0]
    assert len(curve.ks) == len(curve.values) == len(curve.moments.count) == 0


ROWS = metrics_named(["all"])


@given(data=tables(), asked=st.permutations(ROWS), count=st.integers(0, len(ROWS)))
@few_examples
def test_metrics_do_not_depend_on_what_else_is_asked_for(data: list[Task], asked: list[Metric], count: int) -> None:
    several = curves(asked[:count], scored(data))
    for metric, curve in zip(asked, several, strict=False):
        alone = curves([metric], scored(data))[0]
        assert curve.metric is metric
        assert curve.ks.tolist() == alone.ks.tolist()
        assert curve.values.tolist() == close(alone.values.tolist())
        assert curve.moments.count.tolist() == alone.moments.count.tolist()


# --- moments --------------------------------------------------------------------------------------------------------


def moments(values: Sequence[float | None], weights: Sequence[int] | None = None) -> Moments:
    return Moments.of(np.array([math.nan if value is None else value for value in values]), weights=weights)


@given(first=st.lists(st.none() | real), second=st.lists(st.none() | real))
@few_examples
def test_moments_of_two_parts_add_up_to_those_of_both(first: list[float | None], second: list[float | None]) -> None:
    total, whole = moments(first) + moments(second), moments([*first, *second])
    for name in ("count", "total", "m2", "m3", "rollouts"):
        assert getattr(total, name).tolist() == pytest.approx(getattr(whole, name).tolist(), rel=1e-9, abs=1e-4)


@given(values=st.lists(real, min_size=1, max_size=5), data=st.data())
@few_examples
def test_weights_stand_for_repeated_tasks(values: list[float], data: st.DataObject) -> None:
    weights = [data.draw(st.integers(1, 4)) for _ in values]
    repeated = [value for value, weight in zip(values, weights, strict=True) for _ in range(weight)]
    weighted, plain = moments(values, weights), moments(repeated)
    for name in ("count", "total", "m2", "m3", "rollouts"):
        assert getattr(weighted, name).tolist() == pytest.approx(getattr(plain, name).tolist(), rel=1e-9, abs=1e-4)


def test_moments_of_large_values_of_small_spread_lose_no_digits() -> None:
    total = moments([1e9 + 1, 1e9 + 2]) + moments([1e9 + 3])
    assert total.variance.tolist() == [1.0]
    assert total.standard_error.tolist() == close([math.sqrt(1 / 3)])


def test_without_tasks_there_is_no_mean_and_with_one_no_variance() -> None:
    assert moments([None]).mean.tolist() == close([math.nan])
    assert moments([2.0]).mean.tolist() == [2.0]
    assert moments([2.0]).variance.tolist() == close([math.nan])


# --- pass@k ---------------------------------------------------------------------------------------------------------


def test_pass_at_k_by_hand() -> None:
    # k = 2: two of three pairs in the first task contain its success; every pair in the second contains one.
    assert values_of("pass@k", [1, 0, 0], [1, 1, 0]) == close([1 / 2, (2 / 3 + 1) / 2, 1])


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_success(n: int) -> None:
    for correct in range(n + 1):
        scores = [1.0] * correct + [0.0] * (n - correct)
        draws = [list(itertools.combinations(scores, k)) for k in range(1, n + 1)]
        expected = [sum(1 in draw for draw in of_k) / len(of_k) for of_k in draws]
        assert values_of("pass@k", scores) == close(expected)


def test_pass_at_k_takes_the_best_of_the_first_k_of_partial_scores() -> None:
    assert values_of("pass@k", [0.2, 0.9, 0.5]) == [0.2, 0.9, 0.9]
    assert values_of("pass@k", [-3, -5, -2]) == [-3, -3, -2]


def test_pass_at_k_passes_over_gaps_and_leaves_out_tasks_with_too_few_scores() -> None:
    curve = curve_of("pass@k", [0.2, None, 0.5], [None, 1, 0, 1], [])
    assert curve.values.tolist() == close([100 * (0.2 + 2 / 3) / 2, 100 * (0.5 + 1) / 2, 100])
    assert curve.moments.count.tolist() == [2, 2, 1]
    assert curve.moments.rollouts.tolist() == [5, 5, 3]


def test_pass_at_k_is_accurate_for_many_rollouts() -> None:
    n = 3000
    assert values_of("pass@k", [1.0] + [0.0] * (n - 1)) == pytest.approx([k / n for k in range(1, n + 1)], rel=1e-9)


@given(tasks=tables((binary,)))
@few_examples
def test_pass_at_1_of_binary_scores_is_the_share_of_successes(tasks: list[Task]) -> None:
    shares = [statistics.fmean(scores) for task in tasks if (scores := scores_of(task))]
    assert values_of("pass@k", *map(scores_of, tasks))[:1] == close([statistics.fmean(shares)] if shares else [])


@given(n=st.integers(1, 40), successes=st.lists(st.integers(0, 40), min_size=1))
@few_examples
def test_pass_at_k_does_not_fall_with_k_at_equal_n(n: int, successes: list[int]) -> None:
    tasks = [[1.0] * min(c, n) + [0.0] * (n - min(c, n)) for c in successes]
    assert (np.diff(values_of("pass@k", *tasks)) >= -1e-12).all()


@given(tasks=tables((binary,)), data=st.data())
@few_examples
def test_pass_at_k_of_binary_scores_is_free_of_order(tasks: list[Task], data: st.DataObject) -> None:
    shuffled = [data.draw(st.permutations(task)) for task in tasks]
    one, other = (curves([row("pass@k")], scored(order))[0].values.tolist() for order in (tasks, shuffled))
    assert other == close(one)


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_hat_k_is_the_share_of_draws_that_are_all_successes(n: int) -> None:
    for correct in range(n + 1):
        scores = [1.0] * correct + [0.0] * (n - correct)
        draws = [list(itertools.combinations(scores, k)) for k in range(1, n + 1)]
        expected = [sum(0 not in draw for draw in of_k) / len(of_k) for of_k in draws]
        assert values_of("pass^k", scores) == close(expected)


def test_pass_hat_k_is_undefined_for_partial_scores() -> None:
    assert values_of("pass^k", [0.5, 1.0]) == []


STD = "avg_sample_std_dev"


@given(tasks=tables((binary,)))
@few_examples
def test_g_pass_at_0_is_pass_at_k_at_1_pass_hat_k_and_max_at_k_is_pass_at_k(tasks: list[Task]) -> None:
    family = row("g-pass@k[τ]")
    lowest, any_of, highest, all_of, best = curves(
        [family.at("0"), row("pass@k"), family.at("1"), row("pass^k"), row("max@k")], scored(tasks)
    )
    assert lowest.values.tolist() == close(any_of.values.tolist())
    assert highest.values.tolist() == close(all_of.values.tolist())
    assert best.values.tolist() == close(any_of.values.tolist())


# --- means and stds over the first k --------------------------------------------------------------------------------


def test_mean_of_first_k_by_hand() -> None:
    curve = curve_of("pass@1[avg-of-k]", [1, 0], [None, 0.5, 1, None])
    assert curve.values.tolist() == [100, 50, 62.5, 62.5]
    assert curve.moments.count.tolist() == [1, 2, 2, 2]
    assert curve.moments.rollouts.tolist() == [1, 3, 4, 4]


def test_std_of_first_k_by_hand() -> None:
    curve = curve_of("pass@1[avg-of-k]", [1, 2, 4], [0, None, 1], [5], stat=STD)
    assert curve.ks.tolist() == [2, 3]
    assert curve.values.tolist() == close([math.sqrt(0.5), (math.sqrt(7 / 3) + math.sqrt(0.5)) / 2])
    assert curve.moments.count.tolist() == [1, 2]
    assert curve.moments.rollouts.tolist() == [2, 5]


def test_std_of_first_k_does_not_cancel_far_from_zero() -> None:
    assert values_of("pass@1[avg-of-k]", [1e9 + 1, 1e9 + 2, 1e9 + 3], stat=STD) == close([math.sqrt(0.5), 1])


def test_std_of_first_k_of_equal_scores_is_zero() -> None:
    assert values_of("pass@1[avg-of-k]", [0.1] * 5, stat=STD) == [0] * 4


# --- votes ----------------------------------------------------------------------------------------------------------


def majority(*rollouts: tuple[float | None, int | None]) -> list[float]:
    data = scored([[Rollout(*rollout) for rollout in rollouts]])
    return (curves([row("majority@k")], data)[0].values / 100).tolist()  # type: ignore[no-any-return]


def test_majority_follows_the_vote_as_it_turns() -> None:
    assert majority((1, 7), (0, 4), (0, 4), (1, 7), (1, 7)) == [1, 0.5, 0, 0.5, 1]


def test_majority_counts_pairs_of_answer_and_score() -> None:
    # The answer 7 has three votes, but no (answer, score) pair with it has more than two.
    assert majority((1, 7), (1, 7), (0, 7), (0.5, 2), (0.5, 2)) == close([1, 1, 1, 1, 0.75])


def test_majority_passes_over_rollouts_without_answer_or_score() -> None:
    assert majority((1, None), (None, 3), (0.25, 3), (1, None)) == [0, 0, 0.25, 0.25]


def test_majority_tells_large_codes_apart() -> None:
    # With four scores, 32-bit numbers for the pairs of these answers would collide.
    votes = majority((0.1, 0), (0.1, 2**30), (0.2, 5), (0.2, 5), (0.3, 6), (0.4, 2**31 - 1))
    assert votes == close([0.1, 0.1, 0.4 / 3, 0.2, 0.2, 0.2])


def test_a_task_without_votes_counts_as_zero() -> None:
    curve = curves([row("majority@k")], scored([[Rollout(1, 0)], [Rollout(1, None)], []]))[0]
    assert curve.values.tolist() == close([100 / 3])
    assert (curve.moments.count.tolist(), curve.moments.rollouts.tolist()) == ([3], [1])


def test_unanswered_by_hand() -> None:
    data = scored([[Rollout(1, None), Rollout(None, 0)], [Rollout(1, None)], []])
    curve = curves([row("majority@k")], data, no_answer=True)[0]
    assert curve.values.tolist() == close([100, 200 / 3])
    assert (curve.moments.count.tolist(), curve.moments.rollouts.tolist()) == ([3, 3], [2, 3])


# --- runs -----------------------------------------------------------------------------------------------------------


def test_scores_of_runs_by_hand() -> None:
    curve = curve_of("per_sample_aggregate", [1, 0, None], [0, None], [1, 1])
    assert curve.values.tolist() == close([200 / 3, 50])
    assert curve.moments.count.tolist() == [3, 2]


def test_spread_across_runs_passes_over_positions_without_scores() -> None:
    tasks = ([1, None, 0, 1], [0, None, 1, 1])
    curve = curve_of("pass@1[avg-of-k]", *tasks, stat="std_dev_across_runs")
    # Runs 1, 3 and 4 have the means 50, 50 and 100; beyond these, the first k are all runs.
    assert curve.ks.tolist() == [2, 3, 4]
    assert curve.values.tolist() == close([0, statistics.stdev([50, 50, 100]), statistics.stdev([50, 50, 100])])
    assert curve.moments.rollouts.tolist() == [4, 6, 6]


@given(runs=st.lists(real, min_size=1, max_size=12))
@few_examples
def test_std_across_runs_is_that_of_the_first_k(runs: list[float]) -> None:
    expected = [math.nan if k < 2 else statistics.stdev(runs[:k]) for k in range(1, len(runs) + 1)]
    stds, errors = std_across_runs(np.array(runs)), std_error_across_runs(np.array(runs))
    assert stds.tolist() == close(expected)
    assert errors.tolist() == close([std / math.sqrt(k) for k, std in enumerate(expected, 1)])


# --- statistics of groups -------------------------------------------------------------------------------------------


def test_describe_by_hand() -> None:
    found = describe(*ragged([4, None, 1, 2], [3], [None], []))
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
    data = scored(tasks)
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
    one, other = (describe(*ragged(order)) for order in (scores, data.draw(st.permutations(scores))))
    for name in ("count", "mean", "max", "min", "median", "std"):
        assert getattr(other, name).tolist() == close(getattr(one, name).tolist())


def test_describe_leaves_out_infinite_values() -> None:
    found = describe(*ragged([math.inf, 1, -math.inf, 3]))
    assert (found.count[0], found.mean[0], found.max[0], found.min[0], found.median[0]) == (2, 2, 3, 1, 2)


def test_describe_keeps_max_min_and_median_of_the_largest_floats() -> None:
    found = describe(*ragged([1.5e308, 1.7e308]))
    assert (found.max[0], found.min[0], found.median[0]) == (1.7e308, 1.5e308, pytest.approx(1.6e308))


def test_describe_does_not_cancel_far_from_zero() -> None:
    assert describe(*ragged([1e9 + 1, 1e9 + 2, 1e9 + 3])).std.tolist() == close([1])
