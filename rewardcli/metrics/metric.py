"""What a metric is: a row of the registry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from ..arrays import Floats, Ints
from .moments import Moments
from .ragged import Block, TaskValues

__all__ = ["NO_ANSWER", "BlockFunction", "CountFunction", "Metric", "RunFunction"]

# The score that says whether a rollout has no answer.
NO_ANSWER = "no_answer"

CountFunction = Callable[[Ints, Ints, int], Floats]
ShareFunction = Callable[[Ints, Ints, int, Fraction], Floats]
BlockFunction = Callable[[Block], TaskValues]
RunFunction = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Metric:
    """What one number means, and how it is computed for a task.

    Attributes:
        name: The key without its score; the letter k (or n) stands for the number.
        about: What it says, one line.
        formula: The value of a task.
        source: Who defined it.
        stat: Which spread of the metric of this name it is; "" for the metric itself.
        heading: Its column in tables; "" for its name.
        of_counts: From n and c, for tasks whose scores are all 0 or 1; None if `of_block` does those too.
        of_share: As `of_counts`, given a share τ too; the name then has a τ, for which a number stands in keys.
        of_block: For tasks of any scores; None if only 0 and 1 will do.
        of_runs: From the means of runs, in place of a value per task.
        of_no_answer: In place of `of_block` for the score no_answer.
        reduce: From the moments of the values of tasks to the number; None for their mean.
        again_of_counts, again_of_block: The variance of a task's value if its rollouts were drawn again, NaN where that
            cannot be told; None if it never can.
        again_needs: How many rollouts per draw that takes: 2 for values of k rollouts each; 0 if k does not matter.
        interval: Whether the mean has an interval: as the score has it, as an unbounded number, or none.
        carried: Whether a task of fewer than k rollouts counts with all it has; else it is undefined.
        without_rollouts: What a task without any rollout is worth; NaN if it does not count.
        without_rollouts_no_answer: The same for the score no_answer.
        first_k: The least k.
        percent: Whether it is shown in percent; else in the units of the score.
        needs_answers: Whether it needs answers.
        default: Whether it is computed unless other metrics are asked for.
    """

    name: str
    about: str
    formula: str
    source: str
    stat: str = ""
    heading: str = ""
    of_counts: CountFunction | None = None
    of_share: ShareFunction | None = None
    of_block: BlockFunction | None = None
    of_runs: RunFunction | None = None
    of_no_answer: BlockFunction | None = None
    reduce: Callable[[Moments], Floats] | None = None
    again_of_counts: CountFunction | None = None
    again_of_block: BlockFunction | None = None
    again_needs: int = 2
    interval: Literal["score", "unbounded", "none"] = "score"
    carried: bool = False
    without_rollouts: float = math.nan
    without_rollouts_no_answer: float = math.nan
    first_k: int = 1
    percent: bool = True
    needs_answers: bool = False
    default: bool = True

    def at(self, share: str) -> Metric:
        """The metric with a number for τ, which stands in its name as it is written.

        Raises:
            ValueError: It is not a number from 0 to 1.
        """
        tau = Fraction(share)
        if self.of_share is None or not 0 <= tau <= 1:
            raise ValueError(f"'{share}' is not a number from 0 to 1")
        of_share = self.of_share

        def of_counts(n: Ints, c: Ints, width: int) -> Floats:
            return of_share(n, c, width, tau)

        return replace(self, name=self.name.replace("τ", share), of_counts=of_counts)

    @property
    def scale(self) -> float:
        """What a task's value is multiplied by to be shown."""
        return 100.0 if self.percent else 1.0
