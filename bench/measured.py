"""What was seen of a contestant while it was loaded, and the record that results keep of it."""

from __future__ import annotations

from dataclasses import dataclass

from bench import generator, process

SATURATED = 0.95


@dataclass
class Measured:
    """A round, or a slice of one."""

    load: generator.Load
    used: process.Used
    busy_s: float
    """Of the contestant's processors, whoever used them."""
    stolen_s: float
    """Of all processors, the generator's too: what the host took."""
    called: int
    waited_s: float
    quiet: bool

    @classmethod
    def pooled(cls, parts: list[Measured]) -> Measured:
        """All slices of a round in one."""
        return cls(
            generator.pooled([part.load for part in parts]),
            process.Used.sum(part.used for part in parts),
            sum(part.busy_s for part in parts),
            sum(part.stolen_s for part in parts),
            sum(part.called for part in parts),
            sum(part.waited_s for part in parts),
            all(part.quiet for part in parts),
        )

    def record(self, processors: int) -> dict:
        """`processors`: how many the contestant may use."""
        load, used = self.load, self.used
        server_busy = used.cpu_s / load.seconds / processors
        return {
            "requests": load.requests,
            "seconds": load.seconds,
            "rps": load.rps,
            "bytes": load.bytes,
            "latency_us": load.latency_us,
            "classes": {
                name: {"requests": h.requests, "latency_us": h.summary()}
                for name, h in load.classes.items()
            },
            "cpu_us": used.cpu_s / load.requests * 1e6,
            "user_us": used.user_s / load.requests * 1e6,
            "system_us": used.system_s / load.requests * 1e6,
            "switches": used.switches / load.requests,
            "calls": self.called,
            "server_busy": server_busy,
            "thread_busy": used.busiest_thread_s / load.seconds,
            "generator_busy": load.busy,
            "generator_late_us": load.late.percentile(99),
            "unanswered": load.unanswered,
            # Of several processors a contestant need not fill all; then the generator decides alone.
            "saturated": load.busy < SATURATED and (processors > 1 or server_busy >= SATURATED),
            # The processors' clocks tick in 10 ms: of a short round this may be less than nothing.
            "foreign": (self.busy_s - used.cpu_s) / load.seconds / processors,
            "stolen_s": self.stolen_s,
            "waited_s": self.waited_s,
            "quiet": self.quiet,
        }
