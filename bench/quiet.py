"""Waiting until the machine is quiet: a contestant may still compute what its clients gave up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WINDOW_S = 0.01
SAMPLES = 10
SHARE = 0.05
"""Quiet: no more than this share of the processors' time is used, over a window."""
DEADLINE_S = 30.0
OWN_WINDOW_S = 0.1
"""For the contestants alone, whose CPU seconds the scheduler brings up to date at its ticks."""
LOADAVG = Path("/proc/loadavg")


def runnable() -> int:
    """Threads of the whole machine that run or could, but this one."""
    return int(LOADAVG.read_text().split()[3].partition("/")[0]) - 1


def used_share() -> float:
    """Of the processors' time in a window, by how many threads wanted it (so it may exceed 1).
    The processors' own clocks tick in 10 ms, which is as long as the window."""
    found = 0
    for _ in range(SAMPLES):
        time.sleep(WINDOW_S / SAMPLES)
        found += runnable()
    return found / SAMPLES / (os.cpu_count() or 1)


@dataclass
class Patience:
    """The waits of one case. One that was in vain because of others halves what the next may take:
    a machine that they use costs a case no more than twice the deadline. The contestants' own work
    is waited for each time."""

    own_s: Callable[[], float]
    """CPU seconds that the contestants have used so far."""
    deadline_s: float

    def wait(self) -> tuple[float, bool]:
        """Until it is quiet, or the time is over; how many seconds that took, and which it was."""
        began = time.monotonic()
        while used_share() > SHARE:
            if time.monotonic() - began > self.deadline_s:
                if not self._own_work(began):
                    self.deadline_s /= 2
                return time.monotonic() - began, False
        return time.monotonic() - began, True

    def _own_work(self, began: float) -> bool:
        """Waits for the contestants alone; whether they were still at work at the deadline."""
        while time.monotonic() - began < DEADLINE_S:
            before = self.own_s()
            time.sleep(OWN_WINDOW_S)
            if self.own_s() - before <= SHARE * OWN_WINDOW_S * (os.cpu_count() or 1):
                return False
        return True
