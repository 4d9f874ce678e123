"""The numbers: arrays in, arrays out.

Rollouts come as ragged arrays. `values` has one score per rollout, NaN where it is missing; the rollouts of unit (task)
`u` are `values[starts[u]:starts[u + 1]]`, in the order in which "the first k" counts. In docstrings n is how many
rollouts of a task have the score, c how many of these are correct, and k how many are drawn, from 1 up to the length K
of the longest task.
"""

from .describe import Statistics, describe
from .passing import mean_of_first_k, pass_at_k, prefix_std
from .ragged import Curve
from .runs import mean_by_position, std_across_runs
from .voting import answered_at_k, majority_at_k

__all__ = [
    "Curve",
    "Statistics",
    "answered_at_k",
    "describe",
    "majority_at_k",
    "mean_by_position",
    "mean_of_first_k",
    "pass_at_k",
    "prefix_std",
    "std_across_runs",
]
