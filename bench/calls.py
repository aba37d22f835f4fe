"""The file of counters through which applications say how often Python was called.

See bench/apps/calls.py for its other side.
"""

from __future__ import annotations

import struct
from pathlib import Path

SIZE_BYTES = 4096


class Calls:
    """Give `path` to one contestant's processes as BENCH_CALLS."""

    def __init__(self, path: Path):
        self.path = path
        path.write_bytes(bytes(SIZE_BYTES))

    def total(self) -> int:
        """Calls of all processes, since the file was made."""
        slots = struct.unpack(f"={SIZE_BYTES // 8}Q", self.path.read_bytes())
        return sum(slots[1 : slots[0] + 1])
