"""The load generators: wrk for throughput, bench/rate for latency at a constant rate."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.histogram import Histogram
from bench.machine import ROOT, tool

SLACK_S = 20.0
"""How long a generator may take beyond its time before it is ended."""


@dataclass
class Load:
    """What a generator saw. Latencies in microseconds, as seen by the client."""

    requests: int
    seconds: float
    bytes: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    latency_us: dict[str, float] = field(default_factory=dict)
    """By percentile ("50", "99.9"), and mean and max. From wrk (closed loop) these do not count
    what a stalled server kept from being asked. From rate: of its first class."""
    classes: dict[str, Histogram] = field(default_factory=dict)
    late: Histogram = field(default_factory=Histogram)
    """How late the generator itself was (rate only)."""
    unanswered: int = 0
    """Requests without an answer two seconds after the end: the rate was too high (rate only)."""
    cpu_s: float = 0.0
    threads: int = 1
    raw: str = ""

    @property
    def rps(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def busy(self) -> float:
        """CPU share of each generator thread, 1 = saturated."""
        return self.cpu_s / self.seconds / self.threads if self.seconds else 0.0


def parse_wrk(text: str) -> Load:
    """wrk's output, of which wrk.lua's line has everything. ValueError when there is none."""
    match = re.search(r"^BENCH (\{.*\})$", text, re.M)
    if match is None:
        raise ValueError(f"wrk printed no result:\n{text}")
    data = json.loads(match[1])
    latency = dict(data["percentiles_us"]) | {"mean": data["mean_us"], "max": data["max_us"]}
    errors = {kind: n for kind, n in data["errors"].items() if n}
    return Load(data["requests"], data["seconds"], data["bytes"], errors, latency, raw=text)


def parse_rate(text: str) -> Load:
    """A turn of bench/rate: its line of JSON."""
    data = json.loads(text)
    classes = {name: Histogram.read(h) for name, h in data["classes"].items()}
    errors = {"errors": data["errors"]} if data["errors"] else {}
    load = Load(0, data["seconds"], errors=errors, unanswered=data["unanswered"], raw=text)
    load.cpu_s = data["cpu_s"]
    return _classified(load, classes, Histogram.read(data["late"]))


def _classified(load: Load, classes: dict[str, Histogram], late: Histogram) -> Load:
    load.requests = sum(h.requests for h in classes.values())
    load.classes, load.late = classes, late
    load.latency_us = next(iter(classes.values())).summary()
    return load


def pooled(loads: list[Load]) -> Load:
    """Several loads of one contestant as if they had been one; of latencies only rate's can be."""
    if len(loads) == 1:
        return loads[0]
    first = loads[0]
    whole = Load(
        0,
        sum(load.seconds for load in loads),
        unanswered=sum(load.unanswered for load in loads),
        cpu_s=sum(load.cpu_s for load in loads),
        threads=first.threads,
        raw="".join(load.raw for load in loads),
    )
    classes = {n: Histogram.pooled(load.classes[n] for load in loads) for n in first.classes}
    return _classified(whole, classes, Histogram.pooled(load.late for load in loads))


def _run(command: list[str], cpus, env: dict[str, str], stop_after_s: float) -> tuple:
    """Runs a generator; its output and CPU seconds. It is interrupted after `stop_after_s`."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | env,
        preexec_fn=lambda: os.sched_setaffinity(0, set(cpus)),
    )
    guard = threading.Timer(stop_after_s + SLACK_S, process.kill)
    guard.start()
    try:
        time.sleep(stop_after_s)
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        _, status, rusage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        guard.cancel()
        process.kill()  # if the bench itself is ended
        process.stdout.close()
    text = output.decode(errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed ({process.returncode}):\n{text}")
    return text, rusage.ru_utime + rusage.ru_stime


def wrk(port: int, row, target: str, seconds: float, cpus) -> Load:
    """As many requests as go in `seconds`. wrk takes whole seconds only: it is given more, and
    interrupted; it then reports over the time it really ran."""
    threads = min(len(cpus), row.conns)
    env = {"BENCH_METHOD": row.method}
    if row.body_bytes:
        env["BENCH_BODY_BYTES"] = str(row.body_bytes)
    if row.pipeline > 1:
        env["BENCH_PIPELINE"] = str(row.pipeline)
    if row.close:
        env["BENCH_CLOSE"] = "1"
    url = f"http://127.0.0.1:{port}{target}"
    script = str(ROOT / "bench" / "wrk.lua")
    command = ["wrk", "-t", str(threads), "-c", str(row.conns), "-d", "3600s", "--timeout", "10s"]
    text, cpu_s = _run([*command, "-s", script, url], cpus, env, seconds)
    load = parse_wrk(text)
    load.cpu_s, load.threads = cpu_s, threads
    return load


class Rate:
    """A constant rate, in turns of `seconds`. Its process and connections stay from the first turn
    to `close`: one that was started for each would be work for others, which a p99 shows."""

    def __init__(
        self, port: int, per_second: float, conns: int, seconds: float, cpus, classes: list[tuple]
    ):
        """`classes` are (name, weight, target)."""
        # A thread of it can do over 100,000 a second; one that need not be is one wake-up less.
        self.threads = max(1, min(len(cpus), conns, round(per_second / 60_000 + 0.5)))
        self.seconds = seconds
        command = [str(tool("rate")), str(port), f"{seconds:g}", f"{per_second:g}"]
        command += [str(conns), str(self.threads), *(f"{n}:{w:g}:{t}" for n, w, t in classes)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            preexec_fn=lambda: os.sched_setaffinity(0, set(cpus)),
        )

    def turn(self) -> Load:
        """RuntimeError with what it says when it ends, or takes SLACK_S more than its time."""
        guard = threading.Timer(self.seconds + SLACK_S, self.process.kill)
        guard.start()
        try:
            print(file=self.process.stdin, flush=True)
            text = self.process.stdout.readline()
        except BrokenPipeError:
            text = ""
        finally:
            guard.cancel()
        if not text:
            said = self.process.stderr.read()
            raise RuntimeError(f"rate failed ({self.process.wait()}):\n{said}")
        load = parse_rate(text)
        load.threads = self.threads
        return load

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
