"""Verdicts on requirements: PASS or FAIL where the interval proves it, INCONCLUSIVE where it proves neither."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .comparison import Comparison, holm
from .intervals import MeanKnowledge
from .means import Estimates
from .planning import tasks_to_decide

__all__ = ["Evidence", "Judgement", "Requirement", "State", "exit_status", "judge", "too_few_joined"]

State = Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT COMPARABLE"]

# The first that occurs among several verdicts decides; waived and passed requirements do not.
_EXIT_STATUSES: tuple[tuple[State, int], ...] = (("FAIL", 3), ("NOT COMPARABLE", 5), ("INCONCLUSIVE", 4))


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a number must be, in its unit. A drop of at most M against a baseline is a difference that is >= −M.

    Attributes:
        operator: ">=" or "<=".
        bound: The least or greatest value allowed.
        on: "interval": the whole interval must meet the bound to pass, or miss it to fail. "value": the value alone
            decides, and repeats of the same evaluation may decide differently.
    """

    operator: Literal[">=", "<="]
    bound: float
    on: Literal["interval", "value"] = "interval"

    def met_by(self, value: float) -> bool:
        """Whether a value meets it."""
        return value >= self.bound if self.operator == ">=" else value <= self.bound

    def check_reachable(self, low: float = 0.0, high: float = 1.0) -> None:
        """Raise where no interval of values between low and high can meet it.

        Raises:
            ValueError: With what to do instead.
        """
        if self.on == "interval" and (
            (self.operator == ">=" and self.bound >= high) or (self.operator == "<=" and self.bound <= low)
        ):
            raise ValueError(
                f"no interval can prove {self.operator} {self.bound:g}: the values end at "
                f"{high if self.operator == '>=' else low:g}; judge the value alone, or choose another bound"
            )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a number that is judged.

    Attributes:
        value: The number; NaN if there is none.
        lower, upper: Its interval; NaN if there is none.
        known: What the interval was read from, and the place of this number in it.
        variance: s² of the task values behind it.
        confidence: Of the interval.
        why: Why there is no interval.
        not_comparable: Why the number may not be judged at all; empty if it may.
    """

    value: float
    lower: float = math.nan
    upper: float = math.nan
    known: tuple[MeanKnowledge, int] | None = None
    variance: float = math.nan
    confidence: float = 0.95
    why: str = ""
    not_comparable: str = ""

    @classmethod
    def of_mean(cls, found: Estimates, i: int, confidence: float) -> Evidence:
        """Of one of several means."""
        return cls(
            float(found.value[i]),
            float(found.lower[i]),
            float(found.upper[i]),
            (found.known, i),
            float(found.variance[i]),
            confidence,
            found.why(i),
        )

    @classmethod
    def of_difference(cls, found: Comparison) -> Evidence:
        """Of a difference between two runs."""
        return cls(
            found.difference,
            found.lower,
            found.upper,
            (found.known, 0),
            found.variance,
            found.confidence,
            found.why,
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one requirement.

    Attributes:
        state: The verdict.
        p: One-sided p-value of the requirement being met; NaN where no interval is judged.
        adjusted_p: The same, adjusted (Holm) for the other requirements.
        tasks: How many tasks would decide four times in five, if the true value is the value seen; None if no number
            would, or if nothing needs deciding.
        reason: Why INCONCLUSIVE: the bound lies "inside" the interval; the interval misses it, but not after it was
            "adjusted" for the other requirements; or there is no interval ("absent").
        requirement: What was required.
        evidence: What it was judged by.
    """

    state: State
    p: float
    adjusted_p: float
    tasks: int | None
    reason: Literal["", "inside", "adjusted", "absent"]
    requirement: Requirement
    evidence: Evidence

    def explain(self, show: Callable[[float], str] = "{:.4g}".format) -> str:
        """The verdict in words, to stand behind the value and its interval.

        Args:
            show: Writes a number in the unit in which it is printed.
        """
        at_least, bound = self.requirement.operator == ">=", show(self.requirement.bound)
        if self.state == "NOT COMPARABLE":
            return self.evidence.not_comparable or "no task has a value"
        if self.state == "PASS":
            return f"{'≥' if at_least else '≤'} {bound}"
        if self.state == "FAIL":
            return f"is {'below' if at_least else 'above'} {bound}"
        if self.reason == "absent":
            return self.evidence.why or "no interval"
        text = f"{bound} lies inside"
        if self.reason == "adjusted":
            text = f"{bound} lies outside, but not beyond doubt among so many requirements"
        if self.tasks is None:
            return text
        seen = show(self.evidence.value)
        return f"{text}; if the true value is {seen}, about {self.tasks:,} tasks decide four times in five"


def judge(cases: Sequence[tuple[Requirement, Evidence]]) -> list[Judgement]:
    """Judge requirements together.

    With [lower, upper] the interval at confidence 1 − α, `>= bound` is a PASS where lower ≥ bound, a FAIL where
    upper < bound and Holm's p-value over all requirements is at most α/2, and otherwise INCONCLUSIVE; likewise
    `<= bound`. They pass together only if each does, which needs no adjustment (Berger 1982); that any of them fails by
    chance needs one.

    Args:
        cases: Each requirement with its evidence. For several looks at growing data take the intervals at
            `per_look(confidence, looks)`.

    Returns:
        One judgement for each, in the same order.

    >>> from rewardcli.estimate import Moments, estimates
    >>> found = estimates(Moments.of([1.0] * 74 + [0.0] * 26), bounded=True)
    >>> [judge([(Requirement(">=", bound), Evidence.of_mean(found, 0, 0.95))])[0].state for bound in (0.6, 0.7, 0.9)]
    ['PASS', 'INCONCLUSIVE', 'FAIL']
    """
    p = np.array([_p_value(requirement, evidence) for requirement, evidence in cases])
    adjusted = holm(p)
    return [_judge(*case, float(p[i]), float(adjusted[i])) for i, case in enumerate(cases)]


def _p_value(requirement: Requirement, evidence: Evidence) -> float:
    """One-sided p-value of the requirement being met; NaN where the interval is not judged."""
    if requirement.on == "value" or evidence.not_comparable or evidence.known is None or math.isnan(evidence.lower):
        return math.nan
    known, i = evidence.known
    met = known.p_at_least if requirement.operator == ">=" else known.p_at_most
    return float(np.ravel(met(requirement.bound))[i])


def _judge(requirement: Requirement, evidence: Evidence, p: float, adjusted: float) -> Judgement:
    def verdict(
        state: State, reason: Literal["", "inside", "adjusted", "absent"] = "", tasks: int | None = None
    ) -> Judgement:
        return Judgement(state, p, adjusted, tasks, reason, requirement, evidence)

    if evidence.not_comparable or math.isnan(evidence.value):
        return verdict("NOT COMPARABLE")
    if requirement.on == "value":
        return verdict("PASS" if requirement.met_by(evidence.value) else "FAIL")
    if math.isnan(evidence.lower):
        return verdict("INCONCLUSIVE", "absent")
    worst, best = evidence.lower, evidence.upper
    if requirement.operator == "<=":
        worst, best = best, worst
    if requirement.met_by(worst):
        return verdict("PASS")
    missed = not requirement.met_by(best)
    if missed and adjusted <= (1.0 - evidence.confidence) / 2.0:
        return verdict("FAIL")
    tasks = tasks_to_decide(evidence.value, requirement.bound, evidence.variance, confidence=evidence.confidence)
    return verdict("INCONCLUSIVE", "adjusted" if missed else "inside", tasks)


def too_few_joined(joined: int, baseline: int, candidate: int, least: float = 0.95) -> str:
    """Why two runs may not be compared: too few of their tasks are in both; empty if enough are.

    Args:
        joined: Tasks in both runs.
        baseline: Tasks of the baseline.
        candidate: Tasks of the candidate.
        least: The share of the larger run's tasks that must be in both.

    >>> too_few_joined(812, 1000, 950)
    '812 of 1,000 tasks are in both runs (need 95 %)'
    """
    larger = max(baseline, candidate)
    if joined and joined >= least * larger:
        return ""
    return f"{joined:,} of {larger:,} tasks are in both runs (need {100 * least:g} %)"


def exit_status(states: Iterable[str], inconclusive: Literal["pass", "fail"] | None = None) -> int:
    """The exit status of a check: FAIL 3, else NOT COMPARABLE 5, else INCONCLUSIVE 4, else 0.

    Args:
        states: The verdicts; others than these three, such as waived ones, count as passed.
        inconclusive: Count INCONCLUSIVE as PASS (alarm only on proof), or as FAIL (ship only on proof).

    >>> exit_status(["PASS", "INCONCLUSIVE"]), exit_status(["INCONCLUSIVE", "NOT COMPARABLE"]), exit_status(["PASS"])
    (4, 5, 0)
    """
    counted_as = {"INCONCLUSIVE": {"pass": "PASS", "fail": "FAIL", None: "INCONCLUSIVE"}[inconclusive]}
    seen = {counted_as.get(state, state) for state in states}
    return next((status for state, status in _EXIT_STATUSES if state in seen), 0)
