"""Statistics over daily closes: plain lists of floats, oldest first, no dependencies.

Prices are in dollars, returns and volatilities are fractions (0.01 is one per cent).
A figure that a series is too short for is None, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import sqrt
from statistics import fmean, stdev

YEAR = 252
"""Trading days in a year."""
RISK_FREE = 0.03
"""Yearly return of money that takes no risk, for the Sharpe ratio."""


@dataclass(frozen=True)
class Summary:
    """One company's figures over its history; fractions unless said otherwise."""

    week: float | None
    month: float | None
    quarter: float | None
    year: float | None
    whole: float | None
    """Returns over 5, 21, 63 and 252 trading days, and since the first day."""
    volatility: float | None
    """Yearly standard deviation of daily returns, over the last year."""
    drawdown: float
    """Deepest fall from a peak: 0 or negative."""
    sharpe: float | None
    beta: float | None
    """How far the share moves when the market moves by one."""
    rsi: float | None
    """Relative strength over 14 days, 0 to 100."""
    best_day: float | None
    worst_day: float | None
    up_days: float | None
    """Share of days that closed higher."""


def summarise(closes: Sequence[float], market: Sequence[float]) -> Summary:
    """Every figure of the summary page; `market` has a level for each close."""
    daily = returns(closes)
    year = daily[-YEAR:]
    volatility = stdev(year) * sqrt(YEAR) if len(year) > 1 else None
    excess = fmean(year) * YEAR - RISK_FREE if year else None
    return Summary(
        week=change_over(closes, 5),
        month=change_over(closes, 21),
        quarter=change_over(closes, 63),
        year=change_over(closes, YEAR),
        whole=change_over(closes, len(closes) - 1),
        volatility=volatility,
        drawdown=max_drawdown(closes),
        sharpe=excess / volatility if volatility and excess is not None else None,
        beta=beta(year, returns(market)[-YEAR:]),
        rsi=relative_strength(closes),
        best_day=max(daily, default=None),
        worst_day=min(daily, default=None),
        up_days=sum(r > 0 for r in daily) / len(daily) if daily else None,
    )


def returns(closes: Sequence[float]) -> list[float]:
    """Day-to-day changes, one fewer than closes."""
    return [after / before - 1 for before, after in pairwise(closes)]


def change_over(closes: Sequence[float], days: int) -> float | None:
    """The return over the last `days` trading days."""
    if days < 1 or len(closes) <= days:
        return None
    return closes[-1] / closes[-1 - days] - 1


def moving_average(closes: Sequence[float], days: int) -> list[float | None]:
    """The mean of the last `days` closes, for each day that has so many."""
    sums = [0.0, *accumulate(closes)]
    means = [(sums[end] - sums[end - days]) / days for end in range(days, len(sums))]
    return [None] * min(days - 1, len(closes)) + means


def max_drawdown(closes: Sequence[float]) -> float:
    """The deepest fall from an earlier peak, as a negative fraction; 0 if it only rose."""
    peaks = accumulate(closes, max)
    return min((close / peak - 1 for close, peak in zip(closes, peaks, strict=True)), default=0.0)


def beta(own: Sequence[float], market: Sequence[float]) -> float | None:
    """The slope of own daily returns on the market's, over the days both have."""
    if len(own) < 2 or len(own) != len(market):
        return None
    mean_own, mean_market = fmean(own), fmean(market)
    spread = sum((m - mean_market) ** 2 for m in market)
    shared = sum((o - mean_own) * (m - mean_market) for o, m in zip(own, market, strict=True))
    return shared / spread if spread else None


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Pearson's, from -1 to 1, of two return series of the same length."""
    slope, back = beta(one, other), beta(other, one)
    if slope is None or back is None:
        return None
    return (1 if slope >= 0 else -1) * sqrt(max(0.0, slope * back))


def relative_strength(closes: Sequence[float], days: int = 14) -> float | None:
    """Wilder's index: near 100 when the last days only rose, near 0 when they only fell."""
    if len(closes) <= days:
        return None
    moves = [after - before for before, after in pairwise(closes)]
    rise = fmean(max(move, 0.0) for move in moves[:days])
    fall = fmean(max(-move, 0.0) for move in moves[:days])
    for move in moves[days:]:
        rise = (rise * (days - 1) + max(move, 0.0)) / days
        fall = (fall * (days - 1) + max(-move, 0.0)) / days
    return 100.0 * rise / (rise + fall) if rise + fall else 50.0


def histogram(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many values lie below, between and above the rising `edges`: len(edges) + 1 counts."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[sum(value >= edge for edge in edges)] += 1
    return counts


def monthly_returns(dates: Sequence[str], closes: Sequence[float]) -> dict[int, list[float | None]]:
    """Year -> twelve returns, from the close before the month to its last ("2026-06-30" days)."""
    last_close: dict[str, float] = {day[:7]: c for day, c in zip(dates, closes, strict=True)}
    table: dict[int, list[float | None]] = {}
    for (_, before), (month, after) in pairwise(last_close.items()):
        row = table.setdefault(int(month[:4]), [None] * 12)
        row[int(month[5:]) - 1] = after / before - 1
    return table
