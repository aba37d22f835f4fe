"""System calls a request, by perf, in a run of their own."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

from bench.generator import Load


def a_request(pids: list[int], load: Callable[[], Load]) -> float | None:
    """Of these processes while `load` runs; None where perf may not look."""
    if shutil.which("perf") is None:
        return None
    perf = subprocess.Popen(
        ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", ",".join(map(str, pids))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(0.15)
        seen = load()
    finally:
        perf.send_signal(signal.SIGINT)
        try:
            _, text = perf.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            perf.kill()
            _, text = perf.communicate()
    match = re.search(r"^(\d+),.*raw_syscalls", text, re.M)
    return int(match[1]) / seen.requests if match and seen.requests else None
