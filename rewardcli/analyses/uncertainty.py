"""Standard errors and intervals of what was computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..metrics import Curve
from ..results import Uncertainty

if TYPE_CHECKING:
    from ..estimate.means import Interval

__all__ = ["Intervals"]


@dataclass(frozen=True, slots=True)
class Intervals:
    """Which intervals are wanted.

    Attributes:
        confidence: From 0.5 to 1.
        method: "auto", or "exact" for bounded values.
    """

    confidence: float = 0.95
    method: Literal["auto", "exact"] = "auto"

    def of(self, curves: Sequence[Curve], *, bounded: bool) -> list[list[Uncertainty] | None]:
        """How far the numbers of curves can be trusted; None for those of which that is not told.

        Args:
            curves: Of one score.
            bounded: Whether that lies between 0 and 1.
        """
        # scipy is loaded only for this.
        from ..estimate.means import described

        told = [curve for curve in curves if curve.metric.interval != "none"]
        summaries = [
            (curve.summary, bounded and curve.metric.interval == "score") for curve in told if curve.summary is not None
        ]
        found = iter(described(summaries, confidence=self.confidence, method=self.method))
        return [self._of_curve(curve, next(found)) if curve.metric.interval != "none" else None for curve in curves]

    def _of_curve(self, curve: Curve, intervals: Sequence[Interval]) -> list[Uncertainty]:
        scale = 100.0 if curve.metric.percent else 1.0
        nothing = [math.nan] * len(intervals), [""] * len(intervals)
        return [
            Uncertainty(
                _number(known.se, scale),
                _number(known.lower, scale),
                _number(known.upper, scale),
                self.confidence,
                known.method,
                _number(again, scale),
                known.why,
                why_not_again,
            )
            for known, again, why_not_again in zip(intervals, *(curve.again or nothing), strict=True)
        ]


def _number(value: float, scale: float) -> float | None:
    return scale * value if math.isfinite(value) else None
