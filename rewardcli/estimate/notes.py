"""What has to be said beside a number, lest it be trusted too much: one function for each case, "" where it is none."""

from __future__ import annotations

import math

__all__ = ["cluster_note", "few_tasks_note", "noise_note", "run_effect_note", "single_draw_note"]

_FEW_TASKS = 10
_FEW_CLUSTERS = 10
_SURE = 0.001


def few_tasks_note(n: int) -> str:
    """For a mean of few tasks.

    >>> few_tasks_note(7)
    'only 7 tasks: the interval is wide because little is known'
    """
    return f"only {n} tasks: the interval is wide because little is known" if 2 <= n < _FEW_TASKS else ""


def single_draw_note(k: int, rollouts: int) -> str:
    """For a metric of draws of k, where a task has not two draws that share no rollout.

    Args:
        k: How many are drawn.
        rollouts: n of the tasks; the most common where it differs.
    """
    if 2 * k <= rollouts or k == 1:
        return ""
    return "k is more than half of the rollouts: each task gives one draw; value and interval rest on it"


def cluster_note(clusters: int, largest_share: float) -> str:
    """For tasks in few clusters, or largely in one.

    Args:
        clusters: How many there are.
        largest_share: The share of the tasks that the largest holds.

    >>> cluster_note(4, 0.5)
    'only 4 clusters, and the largest holds 50 % of the tasks: the interval may be too narrow'
    """
    causes = []
    if clusters < _FEW_CLUSTERS:
        causes.append(f"only {clusters} clusters")
    if largest_share > 1 / 3:
        causes.append(f"the largest {'' if causes else 'cluster '}holds {100 * largest_share:.0f} % of the tasks")
    return f"{', and '.join(causes)}: the interval may be too narrow" if causes else ""


def run_effect_note(p: float) -> str:
    """For runs that differ as wholes, by the p-value of `run_effect`."""
    if not p < _SURE:
        return ""
    return "whole runs differ (p < 0.001), so that tasks are not independent: the interval may be too narrow"


def noise_note(share: float) -> str:
    """What the share of run noise in the variance for new tasks means for the next evaluation.

    >>> noise_note(0.27)
    'run noise is 27 % of the variance: more tasks help more than more rollouts'
    """
    if math.isnan(share):
        return ""
    advice = "more tasks help more than more rollouts" if share < 0.5 else "more rollouts help as well as more tasks"
    return f"run noise is {100 * share:.0f} % of the variance: {advice}"
