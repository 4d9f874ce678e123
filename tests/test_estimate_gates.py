import math

import numpy as np
import pytest

from rewardcli.estimate import (
    BetaMean,
    Evidence,
    Judgement,
    Moments,
    Requirement,
    State,
    StudentMean,
    again_mean,
    estimates,
    exit_status,
    judge,
    paired,
    too_few_joined,
)

NAN = math.nan


def of_mean(values: list[float], confidence: float = 0.95) -> Evidence:
    bounded = max(values, default=0.0) <= 1
    return Evidence.of_mean(estimates(Moments.of(values), bounded=bounded, confidence=confidence), 0, confidence)


def one(requirement: Requirement, evidence: Evidence) -> Judgement:
    (judgement,) = judge([(requirement, evidence)])
    return judgement


SEVENTY = [1.0] * 70 + [0.0] * 30  # Jeffreys' interval: 0.6055 to 0.7831


@pytest.mark.parametrize(
    ("operator", "bound", "state"),
    [
        (">=", 0.60, "PASS"),
        (">=", 0.61, "INCONCLUSIVE"),
        (">=", 0.78, "INCONCLUSIVE"),
        (">=", 0.79, "FAIL"),
        ("<=", 0.79, "PASS"),
        ("<=", 0.78, "INCONCLUSIVE"),
        ("<=", 0.61, "INCONCLUSIVE"),
        ("<=", 0.60, "FAIL"),
    ],
)
def test_the_interval_decides(operator: str, bound: float, state: State) -> None:
    assert operator in {">=", "<="}
    requirement = Requirement(">=" if operator == ">=" else "<=", bound)
    judgement = one(requirement, of_mean(SEVENTY))
    assert judgement.state == state
    assert (judgement.reason == "inside") == (state == "INCONCLUSIVE")
    assert (judgement.p < 0.025) == (state == "FAIL")


def test_a_bound_that_the_interval_just_reaches_passes() -> None:
    evidence = of_mean(SEVENTY)
    assert one(Requirement(">=", evidence.lower), evidence).state == "PASS"
    assert one(Requirement("<=", evidence.upper), evidence).state == "PASS"
    assert one(Requirement(">=", np.nextafter(evidence.lower, 1)), evidence).state == "INCONCLUSIVE"


def test_unbounded_means_are_judged_likewise() -> None:
    tokens = of_mean([120, 95, 430, 210, 88, 1020, 150, 133, 610, 99])  # 133 to 1199
    states = [one(Requirement("<=", bound), tokens).state for bound in (130, 140, 1190, 1200)]
    assert states == ["FAIL", "INCONCLUSIVE", "INCONCLUSIVE", "PASS"]


def test_a_drop_is_a_difference_judged_from_below() -> None:
    drop = Evidence.of_difference(paired([-0.5] * 20 + [0.0] * 80))
    states = [one(Requirement(">=", -allowed), drop).state for allowed in (0.01, 0.10, 0.20)]
    assert states == ["FAIL", "INCONCLUSIVE", "PASS"]
    still = Evidence.of_difference(paired([0.0] * 400))
    assert one(Requirement(">=", -0.02), still).state == "PASS"


def test_the_same_tasks_run_again_may_be_judged() -> None:
    known = again_mean(0.7, 0.0005, [8] * 50)
    lower, upper = (float(bound) for bound in known.bounds(0.95))
    evidence = Evidence(0.7, lower, upper, (known, 0))
    assert one(Requirement(">=", 0.6), evidence).state == "PASS"
    assert one(Requirement(">=", 0.7), evidence).state == "INCONCLUSIVE"
    assert one(Requirement(">=", 0.8), evidence).state == "FAIL"


def test_the_value_alone_may_decide() -> None:
    evidence = of_mean(SEVENTY)
    assert one(Requirement(">=", 0.69, on="value"), evidence).state == "PASS"
    assert one(Requirement(">=", 0.71, on="value"), evidence).state == "FAIL"
    assert one(Requirement("<=", 0.69, on="value"), evidence).state == "FAIL"
    assert math.isnan(one(Requirement("<=", 0.69, on="value"), evidence).p)


def test_no_interval_decides_nothing() -> None:
    judgement = one(Requirement(">=", 0.5), of_mean([1.0]))
    assert (judgement.state, judgement.reason, judgement.tasks) == ("INCONCLUSIVE", "absent", None)
    assert judgement.explain() == "no standard error and no interval: only 1 task"


def test_what_cannot_be_compared_is_not_judged() -> None:
    for requirement in (Requirement(">=", 0.5), Requirement(">=", 0.5, on="value")):
        assert one(requirement, of_mean([])).state == "NOT COMPARABLE"
        assert one(requirement, of_mean([])).explain() == "no task has a value"
        apart = Evidence(0.9, 0.8, 1.0, (BetaMean(9, 8, 8), 0), not_comparable="other thresholds")
        assert one(requirement, apart).state == "NOT COMPARABLE"
        assert one(requirement, apart).explain() == "other thresholds"


def below_by(standard_errors: float) -> tuple[Requirement, Evidence]:
    known = StudentMean(-standard_errors, 1.0, 1e9)
    lower, upper = (float(bound) for bound in known.bounds(0.95))
    return Requirement(">=", 0.0), Evidence(-standard_errors, lower, upper, (known, 0), 100.0)


def test_failures_are_adjusted_for_each_other() -> None:
    alone = judge([below_by(2.1)])[0]
    assert alone.state == "FAIL"
    assert alone.p == pytest.approx(0.0178644, rel=1e-4)
    among_two = judge([below_by(2.1), below_by(-1.0)])
    assert [judgement.state for judgement in among_two] == ["INCONCLUSIVE", "INCONCLUSIVE"]
    assert [judgement.reason for judgement in among_two] == ["adjusted", "inside"]
    assert among_two[0].adjusted_p == pytest.approx(2 * alone.p, rel=1e-12)
    # Holm: once the smallest p is rejected, the next is adjusted for one fewer.
    both = judge([below_by(2.1), below_by(2.5)])
    assert [judgement.state for judgement in both] == ["FAIL", "FAIL"]


def test_passing_needs_no_adjustment_and_values_alone_do_not_count() -> None:
    cases = [below_by(-2.1)] * 20
    assert {judgement.state for judgement in judge(cases)} == {"PASS"}
    by_value = (Requirement(">=", 0.0, on="value"), below_by(2.1)[1])
    assert [judgement.state for judgement in judge([below_by(2.1), by_value])] == ["FAIL", "FAIL"]


def test_twenty_requirements_at_their_bound_rarely_fail() -> None:
    rng = np.random.default_rng(1)
    failures = sum(
        any(judgement.state == "FAIL" for judgement in judge([below_by(x) for x in rng.normal(size=20)]))
        for _ in range(150)
    )
    assert failures <= 12  # 4 of 150 are to be expected; 60 without the adjustment


def test_inconclusive_says_how_many_tasks_would_decide() -> None:
    judgement = one(Requirement(">=", 0.75), of_mean(SEVENTY))
    variance = 0.7 * 0.3 * 100 / 99
    assert judgement.tasks == math.ceil(2.8015852181129683**2 * variance / 0.05**2)
    assert judgement.explain(lambda value: f"{100 * value:.0f}") == (
        "75 lies inside; if the true value is 70, about 666 tasks decide four times in five"
    )
    at_the_bound = one(Requirement(">=", 0.7), of_mean(SEVENTY))
    assert at_the_bound.tasks is None
    assert at_the_bound.explain() == "0.7 lies inside"


def test_verdicts_in_words() -> None:
    evidence = of_mean(SEVENTY)
    assert one(Requirement(">=", 0.5), evidence).explain() == "≥ 0.5"
    assert one(Requirement("<=", 0.9), evidence).explain() == "≤ 0.9"
    assert one(Requirement(">=", 0.9), evidence).explain() == "is below 0.9"
    assert one(Requirement("<=", 0.5), evidence).explain() == "is above 0.5"
    adjusted = judge([below_by(2.1), below_by(-1.0)])[0].explain()
    assert adjusted.startswith(
        "0 lies outside, but not beyond doubt among so many requirements; if the true value is -2.1"
    )


@pytest.mark.parametrize(
    ("requirement", "reachable"),
    [
        (Requirement(">=", 1.0), False),
        (Requirement("<=", 0.0), False),
        (Requirement(">=", 0.99), True),
        (Requirement("<=", 1.0), True),
        (Requirement(">=", 1.0, on="value"), True),
    ],
)
def test_bounds_that_no_interval_reaches_are_refused(requirement: Requirement, reachable: bool) -> None:
    if reachable:
        requirement.check_reachable()
    else:
        with pytest.raises(ValueError, match="no interval can prove"):
            requirement.check_reachable()


def test_the_ends_of_the_scale_are_in_its_unit() -> None:
    Requirement(">=", 99.0).check_reachable(0.0, 100.0)
    with pytest.raises(ValueError, match=r"no interval can prove >= 100: the values end at 100"):
        Requirement(">=", 100.0).check_reachable(0.0, 100.0)


def test_enough_tasks_have_to_join() -> None:
    assert too_few_joined(95, 100, 90) == ""
    assert too_few_joined(94, 100, 98) == "94 of 100 tasks are in both runs (need 95 %)"
    assert too_few_joined(812, 1000, 900, 0.8) == ""
    assert too_few_joined(0, 0, 0) == "0 of 0 tasks are in both runs (need 95 %)"


@pytest.mark.parametrize(
    ("states", "plain", "lenient", "strict"),
    [
        (["PASS", "PASS"], 0, 0, 0),
        (["PASS", "INCONCLUSIVE"], 4, 0, 3),
        (["NOT COMPARABLE", "INCONCLUSIVE"], 5, 5, 3),
        (["NOT COMPARABLE", "FAIL", "INCONCLUSIVE"], 3, 3, 3),
        (["WAIVED"], 0, 0, 0),
        ([], 0, 0, 0),
    ],
)
def test_exit_statuses(states: list[str], plain: int, lenient: int, strict: int) -> None:
    assert exit_status(states) == plain
    assert exit_status(states, "pass") == lenient
    assert exit_status(states, "fail") == strict
