"""The machine a run was made on: its cores and how they are divided, and what env.json says."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
RELEASE = BUILD / "release-pgo"


TOOLS: dict[str, Path] = {}
"""What tests put in place of the release build: `zq`, `worker`, `venv`."""


def tool(name: str) -> Path:
    """Where an executable (`zq`, `worker`, `limit`, `rate`) or the `venv` is."""
    if name in TOOLS:
        return TOOLS[name]
    if name == "venv":
        return BUILD / "venv-bench"
    if name == "worker":
        # The worker of the interpreter that the environment is of, as ci/python-config names it.
        return RELEASE / f"zq-worker-{os.readlink(tool('venv')).rpartition('/bench-')[2]}"
    return (RELEASE if name == "zq" else BUILD / "bench") / name


def cores() -> list[int]:
    """The usable processors, hyper-threads of one core side by side."""
    usable = sorted(os.sched_getaffinity(0))

    def core_of(cpu: int) -> tuple[int, int]:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            first = int(re.split("[,-]", path.read_text())[0])
        except (OSError, ValueError):
            first = cpu
        return first, cpu

    return sorted(usable, key=core_of)


@dataclass(frozen=True)
class Placement:
    """Which processors the contestant, and which the load generator, may run on."""

    server: tuple[int, ...]
    generator: tuple[int, ...]
    disjoint: bool
    """False where there are fewer than four processors: nothing is pinned then."""


def place(share: str, usable: list[int] | None = None) -> Placement:
    """`share` is what the contestant gets: `one`, `two`, `half`, or `most` (all but one)."""
    usable = cores() if usable is None else usable
    n = len(usable)
    if n < 4:
        return Placement(tuple(usable), tuple(usable), False)
    count = {"one": 1, "two": 2, "half": n // 2, "most": n - 1}[share]
    return Placement(tuple(usable[:count]), tuple(usable[count:]), True)


def raise_file_limit() -> int:
    """Open files up to the hard limit, here and in what is started; returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def child_environment() -> dict[str, str]:
    """The environment without what would set servers up behind the harness's back."""
    ours = ("ZQ_", "GRANIAN_", "UVICORN_", "VIRTUAL_ENV", "BENCH_", "WEB_CONCURRENCY", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


def output(*command: str) -> str:
    """What a command prints, on either stream; empty where there is no such command."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, cwd=ROOT, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip()


def first_line(*command: str) -> str:
    return next(iter(output(*command).splitlines()), "")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def versions() -> dict[str, str]:
    """The version of everything that took part."""
    venv = tool("venv") / "bin"
    found = {
        "zq": first_line(str(tool("zq")), "--version"),
        "python": first_line(str(venv / "python"), "--version"),
        "wrk": first_line("wrk", "-v"),
        "nginx": first_line("/usr/sbin/nginx", "-v"),
        "varnish": first_line("/usr/sbin/varnishd", "-V"),
        "compiler": first_line("gcc", "--version"),
    }
    for line in output(str(venv / "python"), "-m", "pip", "freeze").splitlines():
        name, _, version = line.partition("==")
        if version:
            found[name.lower()] = version
    return found


def environment() -> dict[str, object]:
    """Everything about this machine and checkout that a reader needs to judge the figures."""
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    commit = output("git", "rev-parse", "HEAD")
    changed = output("git", "status", "--porcelain", "--", "src", "include", "python", "bench")
    return {
        "cpu": _cpu_model(),
        "cores": len(cores()),
        "memory_mib": int(memory[1]) // 1024 if memory else None,
        "virtual": _read("/sys/class/dmi/id/sys_vendor"),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "boost": _read("/sys/devices/system/cpu/cpufreq/boost"),
        "kernel": platform.release(),
        "distribution": platform.freedesktop_os_release().get("PRETTY_NAME"),
        "load_at_start": os.getloadavg()[0],
        "somaxconn": _read("/proc/sys/net/core/somaxconn"),
        "commit": commit,
        "dirty": bool(changed),
        "build": _read(str(RELEASE / "flags")),
        "versions": versions(),
    }


def cpu_busy_s() -> dict[int, float]:
    """Busy seconds of each processor since boot."""
    ticks = os.sysconf("SC_CLK_TCK")
    busy = {}
    for line in Path("/proc/stat").read_text().splitlines():
        match = re.match(r"cpu(\d+) (.*)", line)
        if match:
            user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, match[2].split())
            busy[int(match[1])] = (user + nice + system + irq + softirq + steal) / ticks
    return busy


def stolen_s() -> float:
    """Seconds that processors of this machine were ready and the host gave them to others, since
    boot; 0 for ever where no host says so. In ticks of 10 ms."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")
