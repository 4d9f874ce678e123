"""Runs: run i is the i-th rollout of every task. How far do their means spread?"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Ints
from .metric import Metric
from .passing import std_of_first_k
from .ragged import Block, TaskValues

__all__ = ["METRICS", "RUN_MEANS", "std_across_runs", "std_error_across_runs"]

# The metric whose values are the means of runs, which `of_runs` takes.
RUN_MEANS = "per_sample_aggregate"


def score_of_run(block: Block) -> TaskValues:
    """The score that run i gave each task; NaN where it gave none."""
    return TaskValues(block.scores, block.present)


def std_across_runs(means: Floats) -> Floats:
    """Sample standard deviation (n - 1) of the means of the first k runs, NaN for one.

    Args:
        means: One mean per run, in any unit; shape (runs,).

    Returns:
        In the same unit; shape (runs,).

    >>> std_across_runs(np.array([40.0, 50.0, 60.0])).round(4).tolist()
    [nan, 7.0711, 10.0]
    """
    alone: Ints = np.zeros(1, np.int64)
    stds: Floats = std_of_first_k(Block(alone, np.ones((1, len(means)), np.bool_), means[None, :])).values[0]
    return stds


def std_error_across_runs(means: Floats) -> Floats:
    """That standard deviation divided by the square root of how many runs there are; shape (runs,)."""
    return std_across_runs(means) / np.sqrt(np.arange(1, len(means) + 1))


METRICS = (
    Metric(
        RUN_MEANS,
        "the mean over tasks of rollout 1, 2, …: what single runs would have given",
        "the score of rollout k",
        "NVIDIA NeMo Gym",
        of_block=score_of_run,
        interval="none",
    ),
    Metric(
        "pass@1[avg-of-k]",
        "the std of the means of the first k runs",
        "sample std of the first k entries of per_sample_aggregate",
        "NVIDIA NeMo Gym",
        stat="std_dev_across_runs",
        heading="std across runs",
        of_runs=std_across_runs,
        interval="none",
        first_k=2,
    ),
    Metric(
        "pass@1[avg-of-k]",
        "that std, divided by the square root of how many runs there are",
        "std_dev_across_runs / √runs",
        "NVIDIA NeMo Gym",
        stat="std_err_across_runs",
        of_runs=std_error_across_runs,
        interval="none",
        first_k=2,
    ),
)
