"""Measures a case: contestants side by side, in interleaved rounds of rotated order.

All contestants of a case run at once, one of them is loaded at a time, and what the others use
meanwhile is part of `foreign`. A contestant is checked before and after the rounds; any wrong
answer, error, or call into Python that should not have been (or should have) fails it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import (
    contestants,
    generator,
    growth,
    idle,
    lengths,
    machine,
    probe,
    process,
    quiet,
    stampede,
    syscalls,
)
from bench.calls import Calls
from bench.contestants import Running, Work
from bench.measured import Measured
from bench.rows import Case, Options
from bench.stats import rotated

WARM_UP_S = 0.3
CHECKS = 8
SPIN_MS = 100


class Wrong(Exception):
    """A contestant did not do the work it was given."""


EXPECTED = (Wrong, OSError, RuntimeError, ValueError, subprocess.SubprocessError)
"""What a contestant may do wrong; anything else is the harness's own mistake."""


@dataclass
class Arm:
    """A contestant in a case."""

    name: str
    running: Running | None
    contestant: contestants.Contestant
    calls: Calls
    work: Work
    failed: str = ""
    spinning: bool = False
    syscalls: float | None = None
    rate: generator.Rate | None = None
    """The generator of a constant rate, from the first round on."""
    records: list[dict] = field(default_factory=list)


class CaseRunner:
    """Runs one case. `say` gets progress lines, `raw` takes (name, text) of generator output."""

    def __init__(self, case: Case, options: Options, say, raw):
        self.case, self.row, self.options = case, case.row, options
        self.say, self.raw = say, raw
        self.placement = machine.place(self.row.share)
        self.stack = contextlib.ExitStack()
        self.arms: list[Arm] = []
        self.rate = self.row.rate
        self.answer: tuple[int, int, str] = (0, 0, "")
        self.request_body = b"0123456789abcdef" * (self.row.body_bytes // 16)
        self.patience = quiet.Patience(self._used_s, quiet.DEADLINE_S)
        self.page_s = 0.0
        self.goes_first = False

    def run(self) -> dict:
        """The case's records, and what is known of each arm."""
        base = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.directory = Path(tempfile.mkdtemp(prefix="zq-bench-", dir=base))
        self.directory.chmod(0o755)  # a proxy may run its processes as somebody else
        self.stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        with self.stack:
            self._prepare()
            if self.row.kind == "idle":
                self._each(self._idle)
            elif self.row.kind == "stampede":
                self._each(self._stampede)
            elif self.row.kind == "growth":
                self._each(self._growth)
            else:
                self._rounds()
            self._each(self._afterwards)
            return self._result()

    # ---- before ----

    def _environment(self, calls: Calls) -> dict[str, str]:
        return {"BENCH_CALLS": str(calls.path), "BENCH_CACHE": self.row.cache}

    def _reference(self) -> bytes:
        """The right answer's content, from the application alone."""
        out = self.directory / "reference"
        command = [
            machine.tool("venv") / "bin/python",
            machine.ROOT / "bench/reference.py",
            f"{self.row.app}:app",
            self.row.method,
            self.case.route,
            str(self.row.body_bytes),
            out,
        ]
        calls = Calls(self.directory / "reference-calls")
        done = subprocess.run(
            command,
            env=machine.child_environment() | self._environment(calls),
            capture_output=True,
            text=True,
            timeout=90,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the application cannot answer {self.case.route}:\n{done.stderr}")
        body = out.read_bytes()
        status, page_s = done.stdout.split()
        self.answer = probe.Answer(int(status), [], body, b"").same()
        self.page_s = float(page_s)
        trip = lengths.trip_s(self.row, self.page_s, len(self.placement.server))
        self.rounds = lengths.rounds(self.row, self.options, trip)
        return body

    def _prepare(self) -> None:
        body = self._reference()
        names = list(dict.fromkeys(self.row.arms))
        recorded = None
        loaded = [contestants.load(name.partition("@")[0]) for name in names]
        if any(contestant.settings.get("needs_recording") for contestant in loaded):
            recorded = self._record()
        for name in names:
            self.arms.append(self._start(name, body, recorded))
        self._each(lambda arm: self._check(arm, "before"))
        self._each(self._warm_up)
        if self.row.rate_of:
            self.rate = self._maximum() * self.row.rate_of[1]

    def _record(self) -> Path:
        """Every byte of a warm answer of zq's, from a zq that serves nothing else."""
        arm = self._start("zq", b"", None, "recorder")
        if arm.running is None:
            raise RuntimeError(f"zq is needed for its bytes, and {arm.failed}")
        for _ in range(2):
            answer = probe.ask(arm.running.port, self.case.route, close=self.row.close)
        arm.running.stop()
        path = self.directory / "recorded"
        path.write_bytes(answer.raw)
        return path

    def _start(self, name: str, body: bytes, recorded: Path | None, slot: str = "") -> Arm:
        base, _, mark = name.partition("@")
        contestant = contestants.load(base)
        run = self.directory / (slot or name.replace("@", "-"))
        run.mkdir(mode=0o755)
        calls = Calls(run / "calls")
        threads = {"one": 1, "two": 1}.get(self.row.share, max(1, len(self.placement.server) // 2))
        work = Work(
            self.row.app,
            self._environment(calls),
            self.placement,
            threads,
            self.case.route,
            run,
            body,
            recorded,
            self.row.close,
        )
        arm = Arm(name, None, contestant, calls, work, spinning=mark == "spin")
        if contestant.is_program:
            return arm
        try:
            arm.running = contestants.start(contestant, work)
            self.stack.callback(arm.running.stop)
            if self.row.apart and self.placement.disjoint:
                arm.running.keep_apart(self.placement.server)
                self.goes_first = process.go_first(arm.running.front_pids())
        except EXPECTED as error:
            self._fail(arm, f"did not start: {error}")
        return arm

    def _fail(self, arm: Arm, why: str) -> None:
        arm.failed = arm.failed or why
        self.say(f"  {arm.name}: FAILED: {why}")

    def _each(self, action) -> None:
        """For each arm that is still in: what goes wrong is its own failure."""
        for arm in self.arms:
            if arm.failed or arm.contestant.is_program:
                continue
            try:
                action(arm)
            except EXPECTED as error:
                self._fail(arm, str(error) or type(error).__name__)

    def _check(self, arm: Arm, when: str) -> None:
        for _ in range(CHECKS):
            answer = probe.ask(
                arm.running.port, self.case.route, self.row.method, self.request_body
            )
            if answer.same() != self.answer:
                got, want = answer.same(), self.answer
                raise Wrong(
                    f"{when} the rounds it answered {got[0]}, {got[1]} bytes, {got[2][:12]}; "
                    f"right is {want[0]}, {want[1]} bytes, {want[2][:12]}"
                )

    def _warm_up(self, arm: Arm) -> None:
        if self.row.kind == "load":
            self.patience.wait()
            load = generator.wrk(
                arm.running.port, self.row, self.case.route, WARM_UP_S, self.placement.generator
            )
            if load.errors:
                raise Wrong(f"errors in the warm-up: {load.errors}")

    def _used_s(self) -> float:
        """CPU seconds of all contestants so far."""
        pids = [pid for arm in self.arms if arm.running for pid in arm.running.pids()]
        return sum(process.usage(pids).threads.values())

    def _maximum(self) -> float:
        """Requests a second of the contestant that the rate is a share of, at most."""
        arm = next((a for a in self.arms if a.name == self.row.rate_of[0] and not a.failed), None)
        if arm is None:
            raise RuntimeError(f"{self.row.rate_of[0]} is needed for the rate, and is not there")
        load = generator.wrk(
            arm.running.port, self.row, self.case.route, 1.0, self.placement.generator
        )
        return load.rps

    # ---- rounds ----

    def _rounds(self) -> None:
        for turn in range(self.rounds.count):
            parts: dict[str, list[Measured]] = {arm.name: [] for arm in self.arms}
            positions = {}
            for piece in range(self.rounds.slices):
                order = rotated(self.arms, turn * self.rounds.slices + piece)
                for position, arm in enumerate(order):
                    positions.setdefault(arm.name, position)
                    self._turn(arm, turn, parts[arm.name])
            for arm in self.arms:
                if not arm.failed:
                    record = {"round": turn, "position": positions[arm.name]}
                    arm.records.append(record | self._round_of(arm, parts[arm.name]))

    def _turn(self, arm: Arm, turn: int, parts: list) -> None:
        """A slice of a round, or the whole of a program's."""
        if arm.failed:
            return
        try:
            waited_s, quiet_now = self.patience.wait()
            if arm.contestant.is_program:
                parts.append(self._program(arm) | {"waited_s": waited_s, "quiet": quiet_now})
            else:
                parts.append(self._measure(arm, len(parts), waited_s, quiet_now))
        except EXPECTED as error:
            self._fail(arm, f"round {turn + 1}: {error}")

    def _measure(self, arm: Arm, piece: int, waited_s: float, quiet_now: bool) -> Measured:
        pids = arm.running.pids()
        if piece == 0:
            process.reset_peak(pids)
        with self._spin(arm) as asked:
            busy, stolen_s = machine.cpu_busy_s(), machine.stolen_s()
            calls = arm.calls.total()
            before = process.usage(pids)
            load = self._load(arm)
            used = process.usage(arm.running.pids()).since(before)
            busy_after, stolen_s = machine.cpu_busy_s(), machine.stolen_s() - stolen_s
        called = arm.calls.total() - calls
        part = f".{piece}" if self.rounds.slices > 1 else ""
        self.raw(f"{self.case.slug}-{arm.name}-{len(arm.records)}{part}", load.raw)
        self._judge(arm, load, called, len(asked))
        busy_s = sum(busy_after[c] - busy[c] for c in self.placement.server)
        return Measured(load, used, busy_s, stolen_s, called, waited_s, quiet_now)

    def _round_of(self, arm: Arm, parts: list) -> dict:
        """A round's record."""
        if arm.contestant.is_program:
            return parts[0]
        whole = Measured.pooled(parts)
        if self.row.pipeline > 1:
            whole.load.latency_us = {}  # wrk times whole batches
        memory = process.memory_kib(arm.running.pids())
        return whole.record(len(self.placement.server)) | memory

    def _load(self, arm: Arm) -> generator.Load:
        row, cpus = self.row, self.placement.generator
        seconds = self.rounds.seconds / self.rounds.slices
        port = arm.running.port
        if row.kind == "load":
            return generator.wrk(port, row, self.case.route, seconds, cpus)
        if arm.rate is None:
            classes = [("warm", 1 - row.spin_share, self.case.route)]
            if row.spin_share:
                classes.append(("cold", row.spin_share, "/spin/50"))
            arm.rate = generator.Rate(port, self.rate, row.conns, seconds, cpus, classes)
            self.stack.callback(arm.rate.close)
            if self.goes_first:
                process.go_first([arm.rate.process.pid])
        return arm.rate.turn()

    @contextlib.contextmanager
    def _spin(self, arm: Arm):
        """While the block runs, the contestant's one worker burns Python without a pause; yields
        the list of what it was asked for to that end."""
        asked: list[str] = []
        if not arm.spinning:
            yield asked
            return
        over = threading.Event()

        def keep_spinning() -> None:
            os.sched_setaffinity(0, self.placement.server[-1:])  # this thread: to the worker's
            while not over.is_set():
                asked.append(f"/spin/{SPIN_MS}")
                with contextlib.suppress(OSError):
                    probe.ask(arm.running.port, asked[-1])

        threads = [threading.Thread(target=keep_spinning, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        try:
            yield asked
        finally:
            over.set()
            for thread in threads:
                thread.join(40 * SPIN_MS / 1000)

    def _judge(self, arm: Arm, load: generator.Load, called: int, spun: int) -> None:
        row = self.row
        if load.errors:
            raise Wrong(f"errors: {load.errors}")
        if load.requests == 0:
            raise Wrong("no request was answered")
        if load.bytes and load.bytes / load.requests < self.answer[1] * 0.98:
            raise Wrong(f"answers of {load.bytes / load.requests:.0f} bytes on average")
        # Requests that were under way when the time was over were called, and not counted.
        slack = row.conns * row.pipeline
        if row.cache == "cold":
            if not load.requests <= called <= load.requests + slack:
                raise Wrong(f"not cold: {load.requests} requests, {called} calls into Python")
        elif arm.contestant.warm:
            cold = load.classes["cold"].requests if "cold" in load.classes else 0
            if not cold - load.unanswered <= called <= cold + load.unanswered + spun:
                raise Wrong(f"not warm: {called} calls into Python, {cold} expected")

    def _program(self, arm: Arm) -> dict:
        """A command that measures by itself, on one of the contestants' processors."""
        values = arm.work.values() | {"seconds": f"{self.rounds.seconds:g}"}
        command = contestants.command_of(arm.contestant, values, "program")
        env = machine.child_environment() | arm.work.environment
        done = subprocess.run(
            ["taskset", "-c", str(self.placement.server[0]), *command],
            env=env,
            capture_output=True,
            text=True,
            timeout=60 + 4 * self.rounds.seconds,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip()[-500:])
        self.raw(f"{self.case.slug}-{arm.name}-{len(arm.records)}", done.stdout)
        data = json.loads(done.stdout)
        asgi, short = data["asgi"], data["handle_request"]
        return {
            "requests": asgi["requests"],
            "seconds": asgi["seconds"],
            "rps": asgi["requests"] / asgi["seconds"],
            "cpu_us": asgi["cpu_s"] / asgi["requests"] * 1e6,
            "user_us": asgi["cpu_s"] / asgi["requests"] * 1e6,
            "system_us": 0.0,
            "handle_request_rps": short["requests"] / short["seconds"],
            "latency_us": {},
            "saturated": True,
        }

    # ---- other kinds ----

    def _idle(self, arm: Arm) -> None:
        found = idle.measure(arm.running, self.case.route, self.row.conns)
        arm.records.append({"round": 0, "position": 0} | found)

    def _stampede(self, arm: Arm) -> None:
        """Each round asks for a page of its own; one call makes it."""
        for turn in range(self.rounds.count):
            calls = arm.calls.total()
            target = f"{self.case.route}?{time.monotonic_ns()}"
            found = stampede.measure(arm.running, target, self.row.conns)
            found["calls"] = arm.calls.total() - calls
            if found["calls"] != 1:
                raise Wrong(f"{found['calls']} calls for one page")
            arm.records.append({"round": turn, "position": 0} | found)

    def _growth(self, arm: Arm) -> None:
        found = growth.measure(arm.running, self.row.conns, self.options.secs or 600.0)
        self.raw(f"{self.case.slug}-{arm.name}-0", found.pop("raw"))
        arm.records.append({"round": 0, "position": 0} | found)

    # ---- after ----

    def _afterwards(self, arm: Arm) -> None:
        self._check(arm, "after")
        if self.row.kind == "load" and self.options.mode != "quick":
            arm.syscalls = syscalls.a_request(
                arm.running.pids(),
                lambda: generator.wrk(
                    arm.running.port, self.row, self.case.route, 0.3, self.placement.generator
                ),
            )

    def _result(self) -> dict:
        row = self.row
        shared = {
            "case": self.case.name,
            "row": row.name,
            "route": self.case.route,
            "cache": row.cache,
            "kind": row.kind,
            "conns": row.conns,
            "pipeline": row.pipeline,
            "close": row.close,
        }
        if row.kind == "rate":
            shared["rate"] = self.rate
        records = []
        for arm in self.arms:
            records += [shared | {"arm": arm.name} | record for record in arm.records]
        return {
            "case": self.case.name,
            "row": row.name,
            "title": row.title,
            "route": self.case.route,
            "kind": row.kind,
            "cache": row.cache,
            "conns": row.conns,
            "pipeline": row.pipeline,
            "close": row.close,
            "rate": self.rate,
            "rounds": dataclasses.asdict(self.rounds) | {"page_s": self.page_s},
            "goals": [dataclasses.asdict(goal) for goal in row.goals],
            "server_cpus": len(self.placement.server),
            "generator_cpus": len(self.placement.generator),
            "pinned": self.placement.disjoint,
            "goes_first": self.goes_first,
            "answer": {"status": self.answer[0], "bytes": self.answer[1], "sha256": self.answer[2]},
            "arms": [
                {
                    "name": arm.name,
                    "title": arm.contestant.title,
                    "failed": arm.failed,
                    "commands": arm.running.commands if arm.running else [],
                    "syscalls": arm.syscalls,
                }
                for arm in self.arms
            ],
            "records": records,
        }
