"""The interval of a rate."""

from __future__ import annotations

import math

Z = 1.959964
"""The quantile of the normal distribution for an interval of 95 %."""


def interval(successes: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    if not of:
        return 0.0, 1.0
    rate, scale = successes / of, 1 + Z * Z / of
    middle = (rate + Z * Z / (2 * of)) / scale
    half = Z * math.sqrt(rate * (1 - rate) / of + Z * Z / (4 * of * of)) / scale
    return middle - half, middle + half
