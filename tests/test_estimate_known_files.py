"""Figures of real files, worked out by other programs."""

import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from rewardcli.arrays import Floats, Ints
from rewardcli.estimate import (
    Estimates,
    Moments,
    RunNoise,
    estimates,
    mean_variances,
    pooled_task_values,
    subset_variances,
)
from rewardcli.metrics.passing import all_of_k, any_of_k

EXAMPLE = Path(__file__).parent.parent / "examples" / "math_rollouts.jsonl"

# GPT-4o on the airline tasks of τ-bench: 50 tasks with four trials each, by how many of them succeeded.
TAU_N = np.full(50, 4)
TAU_C = np.repeat(np.arange(5), [14, 12, 10, 4, 10])


def of_counts(values: Floats, n: Ints) -> Estimates:
    return estimates(Moments.of(values, rollouts=n), bounded=True)


def test_tau_bench_passes() -> None:
    found = of_counts(any_of_k(TAU_N, TAU_C, 4), TAU_N)
    np.testing.assert_allclose(found.value[[0, 1, 3]], [0.42, 0.5666666667, 0.72], rtol=1e-9)
    assert found.se[0] == pytest.approx(0.0522161911, rel=1e-8)
    np.testing.assert_allclose(found.lower[[0, 1, 3]], [0.3231876748, 0.4554898782, 0.5857873202], rtol=1e-8)
    np.testing.assert_allclose(found.upper[[0, 1, 3]], [0.5231727509, 0.6720939613, 0.8295717146], rtol=1e-8)
    again = RunNoise.of(mean_variances(TAU_C * (4 - TAU_C) / 12, TAU_N)[:, None], TAU_N, [2])
    assert again.standard_error[0] == pytest.approx(0.0270801280, rel=1e-8)


def test_tau_bench_passes_every_time() -> None:
    found = of_counts(all_of_k(TAU_N, TAU_C, 4), TAU_N)
    np.testing.assert_allclose(found.value, [0.42, 0.2733333333, 0.22, 0.20], rtol=1e-9)  # its published table
    np.testing.assert_allclose(found.lower[[1, 3]], [0.1779692230, 0.1077340308], rtol=1e-8)
    np.testing.assert_allclose(found.upper[[1, 3]], [0.3901769356, 0.3258268961], rtol=1e-8)


def by_task(field: str) -> list[list[float]]:
    tasks: dict[int, list[float]] = defaultdict(list)
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        value = row.get(field, row.get("response", {}).get("usage", {}).get(field))
        if value is not None:
            tasks[row["_ng_task_index"]].append(value)
    return list(tasks.values())


def test_the_example_file_passes() -> None:
    rewards = by_task("reward")
    n, c = np.array([len(task) for task in rewards]), np.array([int(sum(task)) for task in rewards])
    found = of_counts(any_of_k(n, c, 8), n)
    assert found.n[[0, 7]].tolist() == [40, 37]
    np.testing.assert_allclose(found.value[[0, 7]], [0.5627678571, 0.9189189189], rtol=1e-9)
    assert found.se[0] == pytest.approx(0.0500893510, rel=1e-8)
    np.testing.assert_allclose(found.lower[[0, 7]], [0.4638719298, 0.7991686059], rtol=1e-8)
    np.testing.assert_allclose(found.upper[[0, 7]], [0.6562979659, 0.9766325104], rtol=1e-8)
    # The unbiased variance needs no more than 2k rollouts.
    again = RunNoise.of(subset_variances(n, n - c, 8), n, 2 * np.arange(1, 9))
    assert again.why(3) == ""
    assert again.why(7) == "run-again error needs 16 rollouts a task for k = 8 (these have 8)"


def test_the_example_file_has_a_pooled_mean_of_tokens() -> None:
    tokens = by_task("output_tokens")
    values = pooled_task_values([math.fsum(task) for task in tokens], [len(task) for task in tokens])
    found = estimates(Moments.of(values), bounded=False).at(0)
    assert (found.value, found.se) == pytest.approx((718.8135048232, 68.7636021243), rel=1e-9)
    assert (found.lower, found.upper) == pytest.approx((587.4783589351, 867.2393591271), rel=1e-9)
    assert found.method == "hall"
