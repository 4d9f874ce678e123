"""Standard errors and intervals of what was computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..arrays import Floats
from ..metrics import Curve, Scored
from ..results import Uncertainty

if TYPE_CHECKING:
    from ..estimate import Estimates

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

    def of(self, curve: Curve, scored: Scored) -> list[Uncertainty] | None:
        """How far the numbers of a curve can be trusted; None for a metric of which that is not told."""
        if curve.metric.interval == "none":
            return None
        # scipy is loaded only for this.
        from ..estimate import estimates

        bounded = curve.metric.interval == "score" and scored.bounded
        found = estimates(curve.moments, bounded=bounded, confidence=self.confidence, method=self.method)
        scale = curve.metric.scale
        return [self._at(found, curve, place, scale) for place in range(len(curve.ks))]

    def _at(self, found: Estimates, curve: Curve, place: int, scale: float) -> Uncertainty:
        noise = curve.noise
        again = math.nan if noise is None else float(noise.standard_error[place])
        lower = _number(found.lower, place, scale)
        return Uncertainty(
            _number(found.se, place, scale),
            lower,
            _number(found.upper, place, scale),
            self.confidence,
            found.method if lower is not None else "",
            scale * again if math.isfinite(again) else None,
            found.why(place),
            "" if noise is None or math.isfinite(again) else noise.why(place),
        )


def _number(values: Floats, place: int, scale: float) -> float | None:
    value = float(values[place])
    return scale * value if math.isfinite(value) else None
