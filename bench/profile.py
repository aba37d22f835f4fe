"""Where the time of one warm hit and of one cold request goes: perf's samples, by process, by room
of our own code (src/<room>/<file>), by library, and by system call in the kernel.

Writes bench/profiles/<case>.txt. perf has to be there, and permitted.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from bench import contestants, generator, machine
from bench.rows import ROWS, Row

SECONDS = 5
FREQUENCY = 2999
CASES = {"warm-hit": "warm-health", "cold-request": "cold-raw-13"}
"""The file's name, and the row of bench/rows.py."""
SYSCALL = re.compile(r"^__x64_sys_(\w+)$|^__sys_(\w+)$|^ksys_(\w+)$|^do_(epoll_wait)$")
FRAME = re.compile(r"^\s+([0-9a-f]+) (.*?)(?:\+0x[0-9a-f]+)? \((.*)\)$")
LEAST = 0.005
"""Of the samples; what has less is not listed."""


def sources(executable: str, addresses: set[int]) -> dict[int, tuple[str, str]]:
    """The function and the file that an address of one of our executables comes from, the innermost
    of what was inlined."""
    wanted = sorted(addresses)
    done = subprocess.run(
        ["addr2line", "-f", "-e", executable],
        input="\n".join(map(hex, wanted)),
        capture_output=True,
        text=True,
        check=True,
    )
    lines, known = done.stdout.splitlines(), {}
    for address, function, place in zip(wanted, lines[::2], lines[1::2], strict=True):
        source = re.search(r"(?:src|include)/((?:\w+/)+\w+\.[ch])", place)
        where = "llhttp" if "llhttp" in place else source[1] if source else "libc, inlined"
        known[address] = (function, where)
    return known


def samples(text: str) -> list[tuple[str, list[tuple[int, str, str]]]]:
    """perf script's: the process's id, and its frames, the innermost first."""
    found = []
    for block in text.split("\n\n"):
        lines = block.strip("\n").splitlines()
        if not lines:
            continue
        frames = [FRAME.match(line) for line in lines[1:]]
        head = lines[0].split()
        frames = [(int(f[1], 16), f[2], f[3]) for f in frames if f]
        if frames:
            found.append((head[0], frames))
    return found


def is_kernel(frame: tuple[int, str, str]) -> bool:
    return frame[2].startswith("[")


def system_call(frames: list[tuple[int, str, str]]) -> str:
    names = [SYSCALL.match(symbol) for _, symbol, _ in frames if symbol]
    calls = [next(filter(None, found.groups())) for found in names if found]
    return calls[-1] if calls else "entry, exit and interrupts"


def place_of(frames, ours: dict[str, dict]) -> tuple[str, str]:
    """The group of a sample, and the function."""
    address, symbol, dso = frames[0]
    if is_kernel(frames[0]):
        return f"kernel: {system_call(frames)}", symbol
    if dso in ours:
        function, source = ours[dso][address]
        return f"zq: {source}", function
    return f"library: {Path(dso).name}", symbol


def listed(counts: Counter, total: int) -> list[str]:
    return [f"  {n / total:6.1%}  {what}" for what, n in counts.most_common() if n / total >= LEAST]


def table(found, ours: dict[str, dict]) -> list[str]:
    total = len(found)
    groups, functions, kinds = Counter(), Counter(), Counter()
    for frames in found:
        group, function = place_of(frames, ours)
        groups[group] += 1
        functions[f"{function}  ({group})"] += 1
        kinds[
            re.split(r"[:/]", group)[0] if not group.startswith("zq") else group.split("/")[0]
        ] += 1
    return [
        f"{total} samples",
        "",
        "by room",
        *listed(kinds, total),
        "",
        "by file, library or system call",
        *listed(groups, total),
        "",
        "by function",
        *listed(functions, total),
    ]


def record(running: contestants.Running, row: Row, run: Path, cpus) -> str:
    """What perf script prints of zq under that row's load."""
    data, names = run / "perf.data", ",".join(map(str, running.pids()))
    perf = ["perf", "record", "-q", "-g", f"-F{FREQUENCY}", f"-o{data}", f"-p{names}"]
    recorder = subprocess.Popen([*perf, "--", "sleep", str(SECONDS)])
    generator.wrk(running.port, row, row.routes[0], SECONDS, cpus)
    recorder.wait(SECONDS + 30)
    fields = ["perf", "script", f"-i{data}", "-Fpid,ip,sym,dso", "--no-inline"]
    return subprocess.run(fields, capture_output=True, text=True, check=True).stdout


def symbols_of(pids: list[int], found) -> dict[str, dict[int, tuple[str, str]]]:
    """Of zq's own executables, by path: where each sampled address comes from."""
    paths = {str(Path(f"/proc/{pid}/exe").resolve()) for pid in pids}
    return {
        path: sources(path, {f[0][0] for _, f in found if f[0][2] == path})
        for path in paths
        if Path(path).name.startswith("zq")
    }


def profile(row: Row) -> str:
    placement = machine.place(row.share)
    with tempfile.TemporaryDirectory(prefix="zq-profile-") as run:
        environment = {"BENCH_CACHE": row.cache}
        work = contestants.Work(row.app, environment, placement, 1, row.routes[0], Path(run))
        running = contestants.start(contestants.load("zq"), work)
        try:
            found = samples(record(running, row, Path(run), placement.generator))
            ours = symbols_of(running.pids(), found)
            front = {str(pid) for pid in running.front_pids()}
        finally:
            running.stop()
    parts = {
        "front": [frames for pid, frames in found if pid in front],
        "worker": [frames for pid, frames in found if pid not in front],
    }
    env = machine.environment()
    text = [
        f"{row.title}: GET {row.routes[0]}, {row.conns} connections, {SECONDS} s, {FREQUENCY} Hz",
        f"{env['cpu']}, Linux {env['kernel']}, commit {env['commit'][:12]}; make bench-profile",
    ]
    for title, part in parts.items():
        if len(part) >= len(found) * LEAST:
            text += ["", f"==== {title}: {len(part) / len(found):.0%} of the time", ""]
            text += table(part, ours)
    return "\n".join(text) + "\n"


def main() -> int:
    folder = machine.ROOT / "bench/profiles"
    folder.mkdir(exist_ok=True)
    for name, wanted in CASES.items():
        row = next(row for row in ROWS if row.name == wanted)
        (folder / f"{name}.txt").write_text(profile(row))
        print(f"bench/profiles/{name}.txt")
    return 0
