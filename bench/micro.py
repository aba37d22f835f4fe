"""Microbenchmarks as instruction counts: bench/micro/*.c under callgrind.

Each executable replays one operation; `<executable> OPERATION N` does it N times. The count for N
and for 2 N are taken, and their difference over N is the operation's own, without start and set-up;
it is the same on every run of one build.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.report import table

ALLOWED = 0.03
REPEAT = 2000


def operations(executable: Path) -> list[str]:
    done = subprocess.run([executable], capture_output=True, text=True, timeout=20)
    return done.stdout.split()


def instructions(executable: Path, operation: str, n: int) -> int:
    """Instructions of the whole process."""
    with tempfile.TemporaryDirectory(prefix="zq-micro-") as directory:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out"]
            + [str(executable), operation, str(n)],
            capture_output=True,
            text=True,
            timeout=300,
        )
    match = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or match is None:
        raise RuntimeError(f"{executable.name} {operation} failed:\n{done.stderr}")
    return int(match[1])


def measure(build: Path) -> dict[str, float]:
    """Instructions of one operation, by `executable/operation`."""
    found = [
        (e, op) for e in sorted(build.glob("replay_*")) if not e.suffix for op in operations(e)
    ]
    if not found:
        raise ValueError(f"there is nothing to replay in {build}")

    def one(item: tuple[Path, str]) -> float:
        executable, operation = item
        once = instructions(executable, operation, REPEAT)
        return (instructions(executable, operation, 2 * REPEAT) - once) / REPEAT

    with ThreadPoolExecutor() as pool:
        counts = list(pool.map(one, found))
    names = (f"{e.name.removeprefix('replay_')}/{op}" for e, op in found)
    return dict(zip(names, counts, strict=True))


def accepted(messages: str) -> dict[str, float]:
    """What commit messages say a change may cost: `Costs: cache/hit 8% for the route's look-up`
    lets that operation grow by 8 % more; several add up."""
    found: dict[str, float] = {}
    for name, percent in re.findall(r"(?m)^Costs: (\S+) (\d+(?:\.\d+)?)%", messages):
        found[name] = found.get(name, 0) + float(percent) / 100
    return found


def compared(
    now: dict[str, float], base: dict[str, float], costs: dict[str, float] | None = None
) -> tuple[str, list[str]]:
    """A table, and what grew by more than ALLOWED and what `costs` has for it."""
    rows, worse = [], []
    for name, count in now.items():
        before = base.get(name)
        change = count / before - 1 if before else None
        cost = (costs or {}).get(name, 0)
        if change is not None and change > ALLOWED + cost:
            worse.append(name)
        shown = "new" if change is None else f"{change:+.2%}"
        verdict = "**worse**" if name in worse else f"{cost:.0%} accepted" if cost else ""
        rows.append([name, f"{before:,.1f}" if before else "–", f"{count:,.1f}", shown, verdict])
    rows += [[name, f"{base[name]:,.1f}", "–", "gone", ""] for name in base if name not in now]
    return table(["operation", "base", "instructions", "change", ""], rows), worse


def main(build: Path, out: Path | None, base: Path | None, messages: str) -> int:
    """Prints the table; 1 when an operation needs over 3 % more instructions than in `base`, and
    the commit messages since then do not accept it."""
    now = measure(build)
    if out:
        out.write_text(json.dumps(now, indent=1) + "\n")
    earlier = json.loads(base.read_text()) if base else {}
    text, worse = compared(now, earlier, accepted(messages))
    print(text)
    if worse:
        print(
            f"more than {ALLOWED:.0%} more instructions: {', '.join(worse)}\n"
            "(a commit message can accept it: `Costs: OPERATION PERCENT% for WHAT`)",
            file=sys.stderr,
        )
    return int(bool(worse))
