"""Does anything grow? zq under requests of all kinds for minutes (growth.lua), and its memory
meanwhile. Its cache is small, so that it is soon full: what grows then is no response."""

from __future__ import annotations

import statistics
import subprocess
import time

from bench import machine, process
from bench.contestants import Running

SAMPLES = 120
SETTLE_SHARE = 0.2
"""Of the run, at its start, in which the cache fills and freelists reach their size."""
GROWN_KIB = 1024
"""What a process may have more at the end than at the start: allocators breathe."""


def load(port: int, conns: int, seconds: float) -> subprocess.Popen:
    script = machine.ROOT / "bench/growth.lua"
    command = ["wrk", "-t2", f"-c{conns}", f"-d{seconds:.0f}s", f"-s{script}"]
    return subprocess.Popen(
        [*command, f"http://127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True
    )


def sample(running: Running) -> dict[str, int]:
    """Private memory in KiB: of the front, and of all other processes."""
    front = running.front_pids()
    others = [pid for pid in running.pids() if pid not in front]
    return {
        "front": process.memory_kib(front)["private_kib"],
        "others": process.memory_kib(others)["private_kib"],
    }


def quarters(values: list[int]) -> tuple[float, float]:
    """Medians of the first and of the last quarter of what follows the settling."""
    settled = values[int(len(values) * SETTLE_SHARE) :]
    quarter = max(1, len(settled) // 4)
    return statistics.median(settled[:quarter]), statistics.median(settled[-quarter:])


def measure(running: Running, conns: int, seconds: float) -> dict:
    """The series, its quarters, and what the generator printed (/error is not 2xx)."""
    series: dict[str, list[int]] = {"front": [], "others": []}
    end = time.monotonic() + seconds + 30
    generator = load(running.port, conns, seconds)
    try:
        while generator.poll() is None and time.monotonic() < end:
            time.sleep(max(0.1, seconds / SAMPLES))
            for name, kib in sample(running).items():
                series[name].append(kib)
    finally:
        generator.kill()
        raw = generator.communicate()[0]
    found = {"seconds": seconds, "raw": raw}
    for name, values in series.items():
        first, last = quarters(values)
        found |= {f"{name}_first_kib": first, f"{name}_last_kib": last, f"{name}_kib": values}
    return found
