"""Latencies as bench/rate counts them, added up before a percentile is taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

POINTS = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99)


@dataclass
class Histogram:
    """How many requests took no longer than so many microseconds, in steps of 0.8 %."""

    sum_us: float = 0.0
    max_us: int = 0
    counts: Counter[int] = field(default_factory=Counter)

    @classmethod
    def read(cls, data: dict) -> Histogram:
        """Of rate's JSON."""
        return cls(data["sum_us"], data["max_us"], Counter(dict(data["buckets"])))

    @classmethod
    def pooled(cls, parts: Iterable[Histogram]) -> Histogram:
        """All of their requests in one."""
        whole = cls()
        for part in parts:
            whole.sum_us += part.sum_us
            whole.max_us = max(whole.max_us, part.max_us)
            whole.counts += part.counts
        return whole

    @property
    def requests(self) -> int:
        return self.counts.total()

    def percentile(self, p: float) -> int:
        """The latency that `p` % of the requests do not exceed; 0 when there are none."""
        wanted, seen = max(1, round(self.requests * p / 100)), 0
        for us in sorted(self.counts):
            seen += self.counts[us]
            if seen >= wanted:
                return min(us, self.max_us)
        return self.max_us

    def summary(self) -> dict[str, float]:
        """By percentile ("50", "99.9"), and mean and max."""
        found = {f"{p:g}": float(self.percentile(p)) for p in POINTS}
        mean = self.sum_us / self.requests if self.requests else 0.0
        return found | {"mean": mean, "max": float(self.max_us)}
