"""Does anything grow? zq under requests of all kinds for minutes, and its memory meanwhile.

The cache is small, so that it is full from the first minute on: what grows then is no response. A
run's directory is results/growth-<UTC time>/: env.json, data.json (the samples), summary.md.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench import contestants, machine, process
from bench.report import table
from bench.results import RESULTS, as_json, write

EVERY_S = 5.0
SETTLE_SHARE = 0.2
"""Of the run, at its start, in which the cache fills and freelists reach their size."""
CONNECTIONS = 32
GROWN_KIB = 1024
"""What a process may have more at the end than at the start: allocators breathe."""


def load(port: int, seconds: float) -> subprocess.Popen:
    script = machine.ROOT / "bench/growth.lua"
    duration = f"-d{seconds:.0f}s"
    command = [
        "wrk",
        "-t2",
        f"-c{CONNECTIONS}",
        duration,
        f"-s{script}",
        f"http://127.0.0.1:{port}",
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def sample(running: contestants.Running, started: float) -> dict:
    front = running.front_pids()
    others = [pid for pid in running.pids() if pid not in front]
    return {
        "second": round(time.monotonic() - started, 1),
        "front_kib": process.memory_kib(front)["private_kib"],
        "others_kib": process.memory_kib(others)["private_kib"],
    }


def watch(running: contestants.Running, seconds: float) -> tuple[list[dict], str]:
    """The samples, and what the generator printed."""
    started = time.monotonic()
    generator = load(running.port, seconds)
    samples = []
    try:
        while generator.poll() is None and time.monotonic() < started + seconds + 30:
            time.sleep(EVERY_S)
            samples.append(sample(running, started))
    finally:
        generator.kill()
    return samples[:-1], generator.communicate()[0]


def growth(samples: list[dict], name: str) -> tuple[float, float]:
    """Medians of the first and of the last quarter of what follows the settling."""
    values = [s[name] for s in samples[int(len(samples) * SETTLE_SHARE) :]]
    quarter = max(1, len(values) // 4)
    return statistics.median(values[:quarter]), statistics.median(values[-quarter:])


def summary(env: dict, samples: list[dict], seconds: float, printed: str) -> str:
    rows = []
    for name, title in (("front_kib", "front"), ("others_kib", "super and one worker")):
        first, last = growth(samples, name)
        rows.append(
            [title, f"{first:,.0f}", f"{last:,.0f}", f"{last - first:+,.0f}"]
            + ["held" if last - first <= GROWN_KIB else "**not held**"]
        )
    head = ["process", "first quarter, KiB", "last quarter, KiB", "grown", "at most 1 MiB"]
    text = "\n".join(f"    {line}" for line in printed.strip().splitlines())
    return f"""# Memory in {seconds / 60:g} minutes

{env["cpu"]}, {env["cores"]} processors, {env["kernel"]}; commit {env["commit"][:12]}\
{" and changes" if env["dirty"] else ""}.

Private memory (medians of a quarter of the samples, one every {EVERY_S:g} s, without the first \
{SETTLE_SHARE:.0%}), with --cache-size=16MiB, which is in the front's and full; requests of \
bench/growth.lua on {CONNECTIONS} connections:

{table(head, rows)}

The generator (what is not 2xx is /error):

{text}
"""


def main(minutes: float) -> int:
    """Measures; 1 when a process has grown."""
    seconds = minutes * 60
    env = machine.environment()
    with tempfile.TemporaryDirectory(prefix="zq-growth-") as run:
        placement = machine.place("half")
        work = contestants.Work("growth", {}, placement, 1, "/kept", Path(run))
        running = contestants.start(contestants.load("zq-growth"), work)
        try:
            samples, printed = watch(running, seconds)
        finally:
            running.stop()
    path = RESULTS / time.strftime("growth-%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    path.mkdir(parents=True)
    write(path / "env.json", as_json(env))
    write(path / "data.json", as_json(samples))
    write(path / "summary.md", summary(env, samples, seconds, printed))
    print((path / "summary.md").read_text())
    names = ("front_kib", "others_kib")
    return 1 if any(b - a > GROWN_KIB for a, b in (growth(samples, n) for n in names)) else 0
