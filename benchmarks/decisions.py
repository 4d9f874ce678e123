"""Measure how often comparisons and gates are wrong: false alarms, power and coverage of `paired`, verdicts of `judge`.

Two runs of the same tasks are drawn from laws of difficulty: of the same system, of two systems that are equally good
at different tasks, and of a better one. A comparison at 95 % should call no more than 5 of 100 pairs different where
there is no difference, whatever the numbers of tasks and rollouts and k.

    python benchmarks/decisions.py --quick    # about a minute on two cores
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from rewardcli.estimate import Comparison, Evidence, Moments, Requirement, judge, paired, paired_mean

from harness import describe_machine, markdown_table

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]

TASKS = (10, 30, 100, 500)
# Rollouts of the baseline, of the candidate, and k.
DESIGNS = ((1, 1, 1), (4, 4, 1), (4, 4, 4), (16, 16, 1), (16, 16, 8), (16, 16, 16), (64, 64, 8), (4, 16, 1), (4, 16, 4))
LAWS: dict[str, Draw] = {
    "Beta(½, ½)": lambda rng, shape: rng.beta(0.5, 0.5, shape),
    "Beta(5, 1)": lambda rng, shape: rng.beta(5.0, 1.0, shape),
    "Beta(9.8, 0.2)": lambda rng, shape: rng.beta(9.8, 0.2, shape),
    "Beta(0.2, 9.8)": lambda rng, shape: rng.beta(0.2, 9.8, shape),
}
GATES = ((50, 1), (100, 4), (500, 4))
MAX_DROP = 0.02


def passing(correct: NDArray[np.int64], n: int, k: int) -> Floats:
    """pass@k of tasks with so many of n rollouts right."""
    table = np.array([1.0 - math.comb(n - c, k) / math.comb(n, k) for c in range(n + 1)])
    return table[correct]


def same(p: Floats, rng: np.random.Generator, draw: Draw) -> Floats:  # noqa: ARG001 (one signature for all changes)
    """The candidate is the baseline."""
    return p


def elsewhere(p: Floats, rng: np.random.Generator, draw: Draw) -> Floats:
    """One task in three has another difficulty by the same law: as good overall, at other tasks."""
    return np.where(rng.random(p.shape) < 1 / 3, draw(rng, p.shape), p)


def better(p: Floats, rng: np.random.Generator, draw: Draw) -> Floats:  # noqa: ARG001 (same)
    """A gain of up to ten points on every task."""
    return np.minimum(p + 0.1, 1.0)


def differences(
    draw: Draw, change: Callable[..., Floats], tasks: int, design: tuple[int, int, int], samples: int
) -> tuple[Floats, float]:
    """Differences of pass@k for every task and sample, and the true mean difference."""
    n_a, n_b, k = design
    rng = np.random.default_rng([tasks, *design])
    p_a = draw(rng, (tasks, samples))
    p_b = change(p_a, rng, draw)
    wide = draw(rng, (1, 400_000))
    truth = 0.0 if change is not better else float(((1 - wide) ** k - (1 - better(wide, rng, draw)) ** k).mean())
    return passing(rng.binomial(n_b, p_b), n_b, k) - passing(rng.binomial(n_a, p_a), n_a, k), truth


def sign_flips(d: Floats, rng: np.random.Generator, flips: int = 400) -> Floats:
    """P-values of the sign-flip test by random flips, shared by all samples."""
    signs = 2.0 * rng.integers(0, 2, (flips, len(d))) - 1.0
    observed = np.abs(d.sum(axis=0)) - 1e-9
    return (1.0 + (np.abs(signs @ d) >= observed).sum(axis=0)) / (flips + 1.0)


def compare(samples: int) -> None:
    """False alarms, power and coverage, by the number of tasks."""
    alarms, found, held = defaultdict(list), defaultdict(list), defaultdict(list)
    for draw in LAWS.values():
        for change in (same, elsewhere, better):
            for tasks in TASKS:
                for design in DESIGNS:
                    d, truth = differences(draw, change, tasks, design, samples)
                    moments, draws = Moments.of(d), min(design[0], design[1]) // design[2]
                    largest = np.abs(d).max(axis=0)
                    rule = paired_mean(moments, draws=draws, largest=largest)
                    plain = paired_mean(moments, bounded=False)
                    for method, mean in (("rule", rule), ("t", plain)):
                        lower, upper = mean.bounds(0.95)
                        rejected = float(((lower > 0) | (upper < 0)).mean())
                        (found if change is better else alarms)[method, tasks].append(rejected)
                        # Where Student's t has no interval, it is taken to be the difference itself.
                        lower, upper = (np.where(np.isnan(bound), moments.mean, bound) for bound in (lower, upper))
                        held[method, tasks].append(float(((lower <= truth) & (truth <= upper)).mean()))
                    if change is same:
                        equal = "equal" if design[0] == design[1] else "4 vs 16"
                        p = sign_flips(d, np.random.default_rng(tasks))
                        alarms[equal, tasks].append(float((p < 0.05).mean()))
    rows = [
        [
            f"{tasks}",
            *(mean_and(max, alarms[method, tasks]) for method in ("rule", "t", "equal", "4 vs 16")),
            *(mean_and(min, held[method, tasks]) for method in ("rule", "t")),
            f"{np.mean(found['rule', tasks]):.2f} / {np.mean(found['t', tasks]):.2f}",
        ]
        for tasks in TASKS
    ]
    header = ["N", "false alarms: rule", "t", "sign-flip, equal n", "sign-flip, 4 vs 16", "coverage: rule", "t"]
    print(markdown_table([*header, "power: rule / t"], rows))


def mean_and(extreme: Callable[[Iterable[float]], float], shares: list[float]) -> str:
    """The mean share and the worst, in percent."""
    return f"{100 * np.mean(shares):.1f} / {100 * extreme(shares):.1f}"


def gate(samples: int) -> None:
    """Verdicts on a drop of at most two points, by value and by interval, where there is none and one of ten."""
    rows = []
    for drop in (0.0, 0.1):
        for tasks, n in GATES:
            rng = np.random.default_rng([tasks, n])
            p = rng.beta(2.0, 1.0, (tasks, samples))
            baseline = rng.binomial(n, p) / n
            retries = [(rng.binomial(n, np.maximum(p - drop, 0.0)) / n - baseline).T for _ in range(2)]
            value, interval = ([verdicts(retry, n, on) for retry in retries] for on in ("value", "interval"))
            counts = Counter(interval[0])
            contrary = sum({a, b} == {"PASS", "FAIL"} for a, b in zip(*interval, strict=True))
            flips = sum(a != b for a, b in zip(*value, strict=True))
            rows.append(
                [
                    f"{100 * drop:.0f} points, {tasks} × {n}",
                    f"{100 * value[0].count('FAIL') / samples:.1f}",
                    f"{100 * flips / samples:.0f}",
                    " / ".join(f"{100 * counts[state] / samples:.1f}" for state in ("PASS", "FAIL", "INCONCLUSIVE")),
                    f"{100 * contrary / samples:.1f}",
                ]
            )
    header = ["true drop, tasks × rollouts", "value: FAIL", "value: flips", "interval: PASS / FAIL / INCONCLUSIVE"]
    print(markdown_table([*header, "interval: PASS↔FAIL"], rows))


def verdicts(retry: Floats, n: int, on: str) -> list[str]:
    """The verdict on each of several comparisons."""
    requirement = Requirement(">=", -MAX_DROP, "value" if on == "value" else "interval")
    compared: list[Comparison] = [paired(d, draws=n) for d in retry]
    return [judge([(requirement, Evidence.of_difference(each))])[0].state for each in compared]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer samples: about a minute")
    quick = parser.parse_args().quick
    began = time.perf_counter()
    designs = f"{len(LAWS)} laws, {len(DESIGNS)} designs (n = 1 to 64, 4 vs 16; k = 1 to 16)"
    print(f"Paired comparisons, {designs}, in percent: mean / worst.")
    print("False alarms: the same system, or one as good at other tasks. Power: a gain of up to ten points.\n")
    compare(1000 if quick else 4000)
    print(f"\nGates on a drop of at most {100 * MAX_DROP:.0f} points of pass@1, tasks of Beta(2, 1), in percent.")
    print("Flips and PASS↔FAIL: another run of the same candidate against the same baseline.\n")
    gate(300 if quick else 2000)
    print(f"\n{time.perf_counter() - began:.0f} s on {describe_machine()}")


if __name__ == "__main__":
    main()
