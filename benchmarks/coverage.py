"""Measure how often intervals hold the truth: the Beta interval beside Student's t and a percentile bootstrap.

Tasks are drawn from laws of difficulty whose pass@k is known, and rollouts from the tasks. An interval of 95 % should
hold the truth in 95 of 100 such samples, at every number of tasks, however easy or hard they are, and at every k.

    python benchmarks/coverage.py --quick    # about a minute on two cores
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rewardcli.estimate import Moments, estimates

from harness import describe_machine, markdown_table

Floats = NDArray[np.float64]

METHODS = {
    "Student's t": "t",
    "percentile bootstrap": "bootstrap",
    "**Beta interval** (default)": "beta",
    "`--interval exact`": "exact",
}
TASKS = (10, 30, 100, 300, 1000)
ROLLOUTS = (1, 4, 16, 64)


@dataclass(frozen=True)
class Law:
    """How difficult tasks are: a mixture of Beta distributions of the chance of success.

    Attributes:
        name: For the table.
        parts: Share, a and b of each.
    """

    name: str
    parts: tuple[tuple[float, float, float], ...]

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
        """Chances of success of tasks."""
        shares = np.array([share for share, _, _ in self.parts])
        part = rng.choice(len(self.parts), size=shape, p=shares)
        a, b = (np.array([each[i] for each in self.parts])[part] for i in (1, 2))
        return rng.beta(a, b)

    def pass_at(self, k: int) -> float:
        """The truth: 1 - E (1 - p)^k."""
        failing = sum(share * math.prod((b + i) / (a + b + i) for i in range(k)) for share, a, b in self.parts)
        return 1.0 - failing


LAWS = (
    Law("Beta(½, ½): easy and hard", ((1.0, 0.5, 0.5),)),
    Law("Beta(5, 1): mostly easy", ((1.0, 5.0, 1.0),)),
    Law("Beta(9.8, 0.2): mean 0.98", ((1.0, 9.8, 0.2),)),
    Law("Beta(1.96, 0.04): 0.98, some hopeless", ((1.0, 1.96, 0.04),)),
    Law("Beta(0.2, 9.8): mean 0.02", ((1.0, 0.2, 9.8),)),
    Law("half hopeless, half near 0.8", ((0.5, 0.01, 100.0), (0.5, 80.0, 20.0))),
    Law("all tasks near 0.7", ((1.0, 700.0, 300.0),)),
)


@dataclass(frozen=True)
class Cell:
    """Coverage of one method in one setting, in percent, and the mean width in points."""

    law: str
    tasks: int
    rollouts: int
    k: int
    truth: float
    method: str
    coverage: float
    width: float


def pass_table(n: int, k: int) -> Floats:
    """pass@k of a task with c = 0 … n of n rollouts right."""
    return np.array([1.0 - math.comb(n - c, k) / math.comb(n, k) for c in range(n + 1)])


def bootstrap(
    values: Floats, counts: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Percentile bootstrap over tasks, which is a multinomial draw of how many tasks have each c."""
    bounds = []
    for sample in counts:
        tasks = int(sample.sum())
        means = rng.multinomial(tasks, sample / tasks, size=resamples) @ values / tasks
        bounds.append(np.quantile(means, [0.025, 0.975]))
    lower, upper = np.array(bounds).T
    return lower, upper


def measure(law: Law, tasks: int, rollouts: int, size: argparse.Namespace) -> list[Cell]:
    """All methods at one law, number of tasks and of rollouts."""
    rng = np.random.default_rng([LAWS.index(law), tasks, rollouts])
    correct = rng.binomial(rollouts, law.draw(rng, (tasks, size.samples)))
    few = correct[:, : size.bootstrapped]
    counts = np.stack([(few == c).sum(axis=0) for c in range(rollouts + 1)], axis=1)
    cells = []
    for k in sorted({1, max(1, rollouts // 2), rollouts}):
        values, truth = pass_table(rollouts, k), law.pass_at(k)
        moments = Moments.of(values[correct])
        found = {
            "t": estimates(moments, bounded=True, method="t"),
            "beta": estimates(moments, bounded=True),
            "exact": estimates(moments, bounded=True, method="exact"),
        }
        bounds = {name: (each.lower, each.upper) for name, each in found.items()}
        # Where all tasks have one value Student's t has no width, and is right only if the truth is that value.
        bounds["t"] = tuple(np.where(np.isnan(bound), moments.mean, bound) for bound in bounds["t"])
        bounds["bootstrap"] = bootstrap(values, counts, size.resamples, rng)
        for name, (lower, upper) in bounds.items():
            held = float(((lower <= truth) & (truth <= upper)).mean())
            cells.append(
                Cell(law.name, tasks, rollouts, k, truth, name, 100 * held, 100 * float((upper - lower).mean()))
            )
    return cells


def by_tasks(cells: list[Cell]) -> str:
    """Mean and lowest coverage, and mean width, by the number of tasks."""
    groups = defaultdict(list)
    for cell in cells:
        groups[cell.method, cell.tasks].append(cell)
    rows = []
    for label, method in METHODS.items():
        row = [label]
        for tasks in TASKS:
            group = groups[method, tasks]
            coverage, width = np.mean([cell.coverage for cell in group]), np.mean([cell.width for cell in group])
            row.append(f"{coverage:.0f} / {min(cell.coverage for cell in group):.0f} ({width:.1f})")
        rows.append(row)
    return markdown_table(["method", *(f"N = {tasks:,}" for tasks in TASKS)], rows)


def by_law(cells: list[Cell]) -> str:
    """Mean coverage of the default, Student's t and the bootstrap, by law and number of tasks."""
    groups = defaultdict(list)
    for cell in cells:
        groups[cell.law, cell.tasks, cell.method].append(cell.coverage)
    rows = [
        [law.name]
        + [
            " / ".join(f"{np.mean(groups[law.name, tasks, method]):.0f}" for method in ("beta", "t", "bootstrap"))
            for tasks in TASKS
        ]
        for law in LAWS
    ]
    return markdown_table(["law of difficulty", *(f"N = {tasks:,}" for tasks in TASKS)], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer samples: about a minute")
    quick = parser.parse_args().quick
    size = argparse.Namespace(
        samples=1000 if quick else 4000, bootstrapped=100 if quick else 400, resamples=300 if quick else 1000
    )
    began = time.perf_counter()
    cells = [
        cell for law in LAWS for tasks in TASKS for rollouts in ROLLOUTS for cell in measure(law, tasks, rollouts, size)
    ]
    told = [cell for cell in cells if 0.01 <= cell.truth <= 0.99]
    settings, every = len(told) // len(METHODS), len(cells) // len(METHODS)
    print(
        "Coverage of 95 % intervals for pass@1, pass@n/2 and pass@n of n = 1 to 64 rollouts, in percent:\n"
        f"mean / lowest (mean width in points), over the {settings} settings of {every} whose truth is 1 to 99 %.\n"
    )
    print(by_tasks(told))
    print("\nMean coverage, Beta / t / bootstrap, by law, all settings:\n")
    print(by_law(cells))
    low = [cell for cell in told if cell.method == "beta" and cell.coverage < 90]
    print(f"\nSettings in which the Beta interval covers less than 90 %: {len(low) or 'none'}")
    for cell in sorted(low, key=lambda cell: cell.coverage):
        setting = f"{cell.law}, N = {cell.tasks}, pass@{cell.k} of {cell.rollouts}, truth {cell.truth:.3f}"
        print(f"- {cell.coverage:.1f} %: {setting}")
    print(
        f"\n{size.samples:,} samples per setting; {size.bootstrapped} × {size.resamples:,} resamples of the bootstrap;"
    )
    print(f"{time.perf_counter() - began:.0f} s on {describe_machine()}")


if __name__ == "__main__":
    main()
