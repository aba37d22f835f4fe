"""Processes of a contestant: starting and ending them, and what they use, from /proc."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from pathlib import Path

STOP_S = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def wait_for(condition, what: str, deadline_s: float = 30.0):
    """What `condition` returns once that is true; TimeoutError names `what`."""
    end = time.monotonic() + deadline_s
    while not (result := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline_s:g} s for {what}")
        time.sleep(0.02)
    return result


def _stat(pid: int) -> list[str]:
    """/proc/<pid>/stat from the state on (field 3 is [0])."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(roots: Iterable[int]) -> list[int]:
    """These processes and all their descendants that live now."""
    children: dict[int, list[int]] = {}
    alive = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
                alive.add(int(entry))
    found: list[int] = []
    queue = [pid for pid in roots if pid in alive]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


@dataclass
class Usage:
    """Sums over a process tree since its start."""

    user_s: float = 0.0
    system_s: float = 0.0
    switches: int = 0
    threads: dict[int, float] = field(default_factory=dict)
    """CPU seconds by thread id, to the nanosecond where the kernel tells (schedstat)."""

    def since(self, before: Usage) -> Used:
        ticks_user = self.user_s - before.user_s
        ticks_system = self.system_s - before.system_s
        spent = [s - before.threads.get(tid, 0.0) for tid, s in self.threads.items()]
        ticked = ticks_user + ticks_system
        # Threads that ended meanwhile are in the processes' ticks alone.
        total = max(sum(spent), ticked - 0.02) if spent else ticked
        user = total * ticks_user / ticked if ticked > 0 else 0.0
        return Used(
            total, user, total - user, self.switches - before.switches, max(spent, default=0)
        )


@dataclass
class Used:
    """What a process tree used between two moments."""

    cpu_s: float
    user_s: float
    system_s: float
    switches: int
    busiest_thread_s: float

    @classmethod
    def sum(cls, parts: Iterable[Used]) -> Used:
        """Of one tree, between several moments."""
        return cls(*(sum(values) for values in zip(*map(astuple, parts), strict=True)))


def usage(pids: Iterable[int]) -> Usage:
    total = Usage()
    for pid in pids:
        with contextlib.suppress(OSError):
            stat = _stat(pid)
            total.user_s += int(stat[11]) / TICKS
            total.system_s += int(stat[12]) / TICKS
            for tid in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    task = Path(f"/proc/{pid}/task/{tid}")
                    total.threads[int(tid)] = int((task / "schedstat").read_text().split()[0]) / 1e9
                    status = (task / "status").read_text()
                    total.switches += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", status)))
    return total


def _kib(text: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", text, re.M)
    return int(match[1]) if match else 0


def memory_kib(pids: Iterable[int]) -> dict[str, int]:
    """RSS, PSS, private and peak RSS (since reset_peak) of a process tree, in KiB."""
    sums = {"rss_kib": 0, "pss_kib": 0, "private_kib": 0, "peak_kib": 0}
    for pid in pids:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            status = Path(f"/proc/{pid}/status").read_text()
            sums["rss_kib"] += _kib(rollup, "Rss")
            sums["pss_kib"] += _kib(rollup, "Pss")
            sums["private_kib"] += _kib(rollup, "Private_Clean") + _kib(rollup, "Private_Dirty")
            sums["peak_kib"] += _kib(status, "VmHWM")
    return sums


def reset_peak(pids: Iterable[int]) -> None:
    """Peak RSS counts from now on."""
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def _threads(pids: Iterable[int]) -> list[int]:
    found: list[int] = []
    for pid in pids:
        with contextlib.suppress(OSError):
            found += map(int, os.listdir(f"/proc/{pid}/task"))
    return found


def pin(pids: Iterable[int], cpus: Iterable[int]) -> None:
    """Every thread of these processes, to these processors."""
    wanted = set(cpus)
    for tid in _threads(pids):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(tid, wanted)


def go_first(pids: Iterable[int]) -> bool:
    """Every thread of these processes, and what it starts, goes before all usual ones of the machine
    (SCHED_FIFO); False where that is not permitted."""
    try:
        for tid in _threads(pids):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(tid, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return False
    return True


class Server:
    """One started command, with its log in a file. Ended by stop(), by pid."""

    def __init__(self, command, *, log: Path, cpus, cwd: Path | None = None, env=None):
        self.command, self.log_path = [str(part) for part in command], log
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                preexec_fn=lambda: os.sched_setaffinity(0, set(cpus)),
            )
        self.pid = self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")[-4000:]

    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """SIGTERM; what is left of the tree after STOP_S is killed."""
        pids = tree([self.pid])
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S)
        for pid in pids:
            with contextlib.suppress(OSError):
                if pid != self.pid and _stat(pid)[1] in ("1", str(self.pid), str(os.getpid())):
                    os.kill(pid, signal.SIGKILL)
        if self.running():
            self.process.kill()
        self.process.wait(STOP_S)
