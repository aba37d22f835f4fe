"""Plays the client of one conversation, and keeps the bytes of both directions."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import json
import os
import socket
import time

from conformance.cache import judge, script
from conformance.client import Response, Responses

PATIENCE = 15.0  # for one answer; a cache that needs it has failed
SOON = 10.0  # for what a cache does behind an answer
POLL = 0.02

runs = itertools.count(1)


@dataclasses.dataclass
class Exchange:
    """One request and what came back."""

    method: str
    sent: bytes
    received: bytes = b""
    response: Response | None = None
    interim: list[Response] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def read(self, connection: socket.socket, deadline: float) -> None:
        parser = Responses([self.method], truncated=True)
        ended = False
        while not ended and not self.done(parser, ended):
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = connection.recv(65536)
            except TimeoutError:
                self.problems.append("no whole answer in time")
                return
            except OSError:
                data = b""
            self.received += data
            ended = not data
        if ended:
            self.done(parser, ended)

    def done(self, parser: Responses, ended: bool) -> bool:
        found, problems = parser.parse(self.received, ended)
        self.interim = [r for r in found if r.status < 200]
        self.response = next((r for r in found if r.status >= 200), None)
        self.problems = problems
        return bool(problems) or (self.response is not None and self.response.whole)


@dataclasses.dataclass
class Turn:
    """A step as it went: all its exchanges, and what the origin was asked meanwhile."""

    number: int
    exchanges: list[Exchange]
    calls: list[dict]


@dataclasses.dataclass
class Talk:
    case: script.Case
    turns: list[Turn]
    grade: str
    reasons: list[str]


class Conversation:
    def __init__(self, address: tuple[str, int], case: script.Case):
        self.address, self.case = address, case
        self.base = int(time.time())
        self.key = f"{case.name}/{os.getpid()}x{next(runs)}"
        self.path = f"/c/{self.key}/{self.base}"
        self.host = f"{address[0]}:{address[1]}"
        self.counted = 0  # records that belong to earlier attempts

    def exchange(self, method: str, target: str, fields: script.Fields, body: str | None):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        text = "\r\n".join([*lines, "", body or ""])
        found = Exchange(method, text.encode("latin-1"))
        try:
            with socket.create_connection(self.address, PATIENCE) as connection:
                connection.sendall(found.sent)
                found.read(connection, time.monotonic() + PATIENCE)
        except OSError as error:
            found.problems.append(f"the connection failed: {error}")
        return found

    def records(self) -> list[dict]:
        answer = self.exchange("GET", f"/conformance/seen?{self.key}", [], None)
        if not answer.response or answer.response.status != 200:
            return []
        return json.loads(answer.response.body)

    def calls(self, number: int) -> list[dict]:
        return [record for record in self.records() if record["step"] == number]

    def calls_of(self, number: int, before: int) -> list[dict]:
        """Those of this attempt. A call that the cache makes behind its answer is waited for."""
        end = time.monotonic() + SOON
        wanted = judge.calls_wanted(self.case.steps[number - 1])
        while True:
            found = self.calls(number)[before:]
            if len(found) >= wanted or time.monotonic() > end:
                return found
            time.sleep(POLL)

    def turn(self, number: int) -> Turn:
        step = self.case.steps[number - 1]
        fields = [(n, script.fill(v, self.base, self.path, self.host)) for n, v in step.fields]
        fields.append(("Conformance-Step", str(number)))
        request = (step.method, self.path + step.suffix, fields, step.body)
        before = len(self.calls(number)) if step.again else 0
        if step.times == 1:
            exchanges = [self.exchange(*request)]
        else:
            with concurrent.futures.ThreadPoolExecutor(step.times) as pool:
                jobs = [pool.submit(self.exchange, *request) for _ in range(step.times)]
                exchanges = [job.result() for job in jobs]
        return Turn(number, exchanges, self.calls_of(number, before))

    def judged(self, turn: Turn) -> list[judge.Problem]:
        def fill(text: str) -> str:
            return script.fill(text, self.base, self.path, self.host)

        return judge.problems(self.case, turn, fill)

    def play(self) -> Talk:
        """All steps, up to the first one at which something is wrong."""
        turns: list[Turn] = []
        for number, step in enumerate(self.case.steps, 1):
            time.sleep(step.pause)
            turn = self.turn(number)
            found = self.judged(turn)
            end = time.monotonic() + SOON
            while found and step.again and time.monotonic() < end:
                time.sleep(POLL)
                turn = self.turn(number)
                found = self.judged(turn)
            turns.append(turn)
            if found:
                grade = judge.MOOT if any(p.given for p in found) else judge.FAILED
                reasons = [f"step {number}: {problem.text}" for problem in found]
                return Talk(self.case, turns, grade, reasons)
        return Talk(self.case, turns, judge.PASSED, [])


def play(address: tuple[str, int], case: script.Case) -> Talk:
    return Conversation(address, case).play()
