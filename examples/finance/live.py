"""Prices "now": the last close, swayed a little by the clock.

A pure function of ticker and tick, so that every worker and every reconnecting browser
sees the same price at the same moment, and nothing has to be kept or shared.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sin
from typing import Any
from zlib import crc32

from db import Row


def price(ticker: str, close: float, tick: int) -> float:
    """Dollars at `tick` (any counter that grows), within 1.2 % of `close`."""
    seed = crc32(ticker.encode())
    sway = (
        0.006 * sin(tick / 97 + seed % 628 / 100)
        + 0.004 * sin(tick / 23 + seed // 628 % 628 / 100)
        + 0.002 * sin(tick * 1.7 + seed // 394_384 % 628 / 100)
    )
    return round(close * (1 + sway), 2)


def quotes(rows: Iterable[Row], tick: int) -> list[dict[str, Any]]:
    """What one event of the stream holds: ticker, price and change since the last close."""
    found = []
    for row in rows:
        now = price(row["ticker"], row["close"], tick)
        change = round(now / row["close"] - 1, 5)
        found.append({"ticker": row["ticker"], "price": now, "change": change})
    return found
