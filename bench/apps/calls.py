"""How often Python was called, counted where the harness can read it without a request.

BENCH_CALLS names a file of 64-bit counters in the machine's byte order: the first is the number
of slots taken, then one slot a process. Without the variable counting goes nowhere, at the same
cost, so that every contestant does the same work.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable

SIZE_BYTES = 4096


def counter(path: str | None = os.environ.get("BENCH_CALLS")) -> Callable[[], None]:
    """A function that adds one. Its slot is taken at the process's first call."""
    if path is None:
        slots, index = memoryview(bytearray(SIZE_BYTES)).cast("Q"), 1
    else:
        with open(path, "r+b") as file:
            slots = memoryview(mmap.mmap(file.fileno(), SIZE_BYTES)).cast("Q")
        index = 0

    def take_slot() -> int:
        with open(path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            slots[0] += 1
            return slots[0]

    def forget() -> None:
        nonlocal index
        index = 0 if path is not None else 1

    def count() -> None:
        nonlocal index
        if not index:
            index = take_slot()
        slots[index] += 1

    os.register_at_fork(after_in_child=forget)
    return count
