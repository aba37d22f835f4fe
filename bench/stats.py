"""Medians with honest intervals, for few rounds and no assumption about their distribution."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95
TOLERANCE = 0.03
"""A goal counts as held when the interval's worse end misses it by no more than this share."""


@dataclass(frozen=True)
class Interval:
    """A median, and two of the values that enclose the true one with probability `level`."""

    median: float
    low: float
    high: float
    level: float
    n: int

    @property
    def spread(self) -> float:
        """Half the interval's width as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def coverage(n: int, rank: int) -> float:
    """The probability that the true median lies between the rank-th value from below and from
    above, of n independent ones (the sign test; rank counts from 1)."""
    outside = sum(math.comb(n, k) for k in range(rank)) / 2**n
    return max(0.0, 1 - 2 * outside)


def interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The narrowest pair of order statistics with at least `level`; with fewer than six values
    the extremes, at the level they have."""
    ordered = sorted(values)
    n = len(ordered)
    if n == 0:
        raise ValueError("no values")
    rank = 1
    while rank + 1 <= n // 2 and coverage(n, rank + 1) >= level:
        rank += 1
    return Interval(
        statistics.median(ordered), ordered[rank - 1], ordered[n - rank], coverage(n, rank), n
    )


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(over, under, strict=True) if b]


def held(ratio: Interval, goal: float, at_least: bool) -> bool:
    """Whether the interval's worse end is within TOLERANCE of the goal."""
    if at_least:
        return ratio.low >= goal * (1 - TOLERANCE)
    return ratio.high <= goal * (1 + TOLERANCE)


def noise(values: Sequence[float]) -> float:
    """The relative uncertainty of a median: 1.4826 MAD × 1.2533 / √n, as a share of it."""
    if len(values) < 2:
        return 0.0
    middle = statistics.median(values)
    if not middle:
        return 0.0
    mad = statistics.median(abs(v - middle) for v in values)
    return 1.4826 * mad * 1.2533 / math.sqrt(len(values)) / middle


def rotated(items: Sequence, turn: int) -> list:
    """The order of round `turn`: every other one is the one before backwards, and then it begins
    one further, so that in twice as many rounds each is twice at every place."""
    n = len(items)
    order = [items[(i + turn // 2) % n] for i in range(n)]
    return order[::-1] if turn % 2 else order
