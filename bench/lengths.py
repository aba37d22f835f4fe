"""How long the rounds of a case are, and how many there are.

The noise of a shared machine is slow, on the scale of seconds: many short rounds, in which the
contestants are measured close to each other, say more than few long ones of the same time. A
round is longer where requests are slow, so that each connection is answered several times in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.rows import Options, Row

ROUND_S = {"default": 0.5, "quick": 0.25, "full": 0.5}
TOTAL_S = {"default": 10.5, "quick": 1.5, "full": 15.5}
"""Each contestant of a case is loaded for about that, in rounds as short as may be."""
FEWEST = {"default": 7, "quick": 3, "full": 15}
EXTRA_TOTAL_S, EXTRA_FEWEST = 3.0, 3
"""Of the loads that only the full matrix has."""
TRIPS, LEAST_TRIPS = 12, 3
"""A connection is answered so often in a round, if a server cost nothing; at least so often,
however long that takes."""
LONGEST_S = {"default": 6.0, "quick": 0.75, "full": 6.0}
SLICE_S = 0.25
"""A slice is no shorter: it begins with connections that are new."""


@dataclass(frozen=True)
class Rounds:
    """`count` rounds, in each of which every contestant is loaded for `seconds` in all, in
    `slices` turns."""

    seconds: float
    count: int
    slices: int


def trip_s(row: Row, page_s: float, processors: int) -> float:
    """How long Python takes for one request of each connection, at `page_s` each: all that were
    asked for at once may be computed in turns, and then no answer comes before that."""
    if row.kind != "load" or row.cache != "cold":
        return 0.0
    return row.conns * page_s / (processors if row.share == "most" else 1)


def rounds(row: Row, options: Options, trip: float = 0.0) -> Rounds:
    """SECS= and ROUNDS= go before all that the case would want."""
    mode = options.mode
    wanted = min(max(row.least_s, TRIPS * trip), LONGEST_S[mode])
    seconds = options.secs or max(ROUND_S[mode], wanted, LEAST_TRIPS * trip)
    total, fewest = (TOTAL_S[mode], FEWEST[mode])
    if row.extra:
        total, fewest = EXTRA_TOTAL_S, EXTRA_FEWEST
    elif mode != "quick":
        total = max(total, row.total_s)
    if not options.secs:
        fewest = max(fewest, round(total / seconds))
    slices = max(1, min(row.slices, int(seconds / SLICE_S)))
    return Rounds(seconds, options.rounds or fewest, slices)
