"""Sends the bytes of one case over a connection of its own, and reads what comes back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import select
import socket
import struct
import time

from conformance.casefile import Case

# A server that says nothing for so long is taken to wait for more: where that may be so.
SILENCE = 1.0
# And where it should not be, unless the caller is more patient.
PATIENCE = 2.0
# A connection that is idle for so long behind the last answer is open. Only for cases that send no
# next request, whose answer would tell.
QUIET = 0.3
# A server that died has so long to be started again.
RESTART = 20.0

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d\d\d) ([\t \x21-\x7e\x80-\xff]*)$")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$")


@dataclasses.dataclass
class Response:
    status: int = 0
    minor: int = 1
    reason: str = ""
    headers: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    body: bytes = b""
    whole: bool = True  # its end was seen

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def options(self) -> list[str]:
        """The options of Connection."""
        return [o.strip(" \t").lower() for v in self.all("connection") for o in v.split(",")]


class Incomplete(Exception):
    """More bytes are needed."""


class Malformed(Exception):
    """No client can read this."""


class Responses:
    """Splits what a server sent into responses, as a strict client would. Parsing starts over with
    each call: what a case receives is small."""

    def __init__(self, methods: list[str], truncated: bool = False):
        self.methods = methods  # of the requests; behind the last it is GET
        self.truncated = truncated  # is not a problem

    def parse(self, data: bytes, ended: bool) -> tuple[list[Response], list[str]]:
        """All responses, the last perhaps not whole, and what is wrong with them."""
        found: list[Response] = []
        problems: list[str] = []
        at = finals = 0
        while at < len(data):
            method = self.methods[finals] if finals < len(self.methods) else "GET"
            response = Response(whole=False)
            if data[at : at + 2] == b"\0\0" and data[at + 3 : at + 5] == b"\4\0":
                # HTTP/2's SETTINGS frame, the answer to its preface.
                found.append(Response(status=101))
                break
            try:
                at = self.head(data, at, response)
                found.append(response)
                if response.status == 101:
                    response.whole = True
                    break
                finals += response.status >= 200
                at = self.content(data, at, response, method, ended)
                response.whole = True
            except Incomplete:
                if ended and not self.truncated:
                    problems.append("the connection ended inside a response")
                break
            except Malformed as error:
                problems.append(str(error))
                break
        return found, problems

    def line(self, data: bytes, at: int) -> tuple[bytes, int]:
        end = data.find(b"\n", at)
        if end < 0:
            raise Incomplete
        if data[end - 1 : end] != b"\r" or end == at:
            raise Malformed(f"a line does not end in CRLF: {data[at : end + 1]!r}")
        return data[at : end - 1], end + 1

    def head(self, data: bytes, at: int, response: Response) -> int:
        line, at = self.line(data, at)
        match = STATUS_LINE.match(line)
        if not match:
            raise Malformed(f"no status line: {line!r}")
        response.minor, response.status = int(match[1]), int(match[2])
        response.reason = match[3].decode("latin-1")
        while True:
            line, at = self.line(data, at)
            if not line:
                return at
            match = FIELD_LINE.match(line)
            if not match:
                raise Malformed(f"no field line: {line!r}")
            value = match[2].decode("latin-1").strip(" \t")
            response.headers.append((match[1].decode().lower(), value))

    def content(self, data: bytes, at: int, response: Response, method: str, ended: bool) -> int:
        codings, lengths = response.all("transfer-encoding"), response.all("content-length")
        bare = response.status < 200 or response.status == 204
        if bare and (codings or lengths):
            raise Malformed(f"{response.status} has a framing field (RFC 9112 6.1, RFC 9110 8.6)")
        if codings and lengths:
            raise Malformed("Transfer-Encoding and Content-Length (RFC 9112 6.2)")
        if lengths and not (len(lengths) == 1 and re.match(r"\d+$", lengths[0])):
            raise Malformed(f"Content-Length is {lengths} (RFC 9110 8.6)")
        if codings and codings != ["chunked"]:
            raise Malformed(f"Transfer-Encoding is {codings}, nobody asked for it")
        if bare or response.status == 304 or method == "HEAD":
            return at
        if codings:
            return self.chunked(data, at, response)
        if lengths:
            end = at + int(lengths[0])
            response.body = data[at:end]
            if end > len(data):
                raise Incomplete
            return end
        response.body = data[at:]
        if not ended:
            raise Incomplete
        return len(data)

    def chunked(self, data: bytes, at: int, response: Response) -> int:
        while True:
            line, at = self.line(data, at)
            match = CHUNK_LINE.match(line)
            if not match:
                raise Malformed(f"no chunk size: {line!r}")
            size = int(match[1], 16)
            if size == 0:
                while self.line(data, at)[0]:
                    at = self.line(data, at)[1]
                return self.line(data, at)[1]
            if at + size + 2 > len(data):
                raise Incomplete
            response.body += data[at : at + size]
            if data[at + size : at + size + 2] != b"\r\n":
                raise Malformed("a chunk does not end in CRLF")
            at += size + 2


@dataclasses.dataclass
class Run:
    """What happened to one case, once."""

    sent: bytes = b""
    received: bytes = b""
    ending: str = "wait"  # open, close, or wait: neither an answer nor an end
    reset: bool = False
    lingers: bool = False  # it has said close, and has not closed
    died: bool = False  # the server took no connection behind it
    responses: list[Response] = dataclasses.field(default_factory=list)  # without the next's
    next_response: Response | None = None
    problems: list[str] = dataclasses.field(default_factory=list)
    records: list[dict] = dataclasses.field(default_factory=list)  # of the application, all

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    @property
    def finals(self) -> list[Response]:
        return [response for response in self.responses if response.status >= 200]

    @property
    def outcome(self) -> str:
        return (",".join(map(str, self.statuses)) or "-") + f"/{self.ending}"


def next_request(case: Case) -> bytes:
    return f"GET /next?{case.name} HTTP/1.1\r\nHost: next.example\r\n\r\n".encode()


def is_next(case: Case, record: dict) -> bool:
    """Is this the application's record of the next request?"""
    wanted = ("GET", "/next", case.name)
    return (record["method"], record["raw_path"], record["query"]) == wanted


class Connection:
    """One run of one case."""

    def __init__(self, address: tuple[str, int], case: Case, patience: float):
        self.case, self.run, self.patience = case, Run(), patience
        self.ended = False  # the server sends no more
        self.deaf = False  # the server takes no more
        self.parser = Responses(case.methods, case.truncated)
        self.parsed: list[Response] = []
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = self.socket.getsockname()[:2]
        self.peer = f"{host}:{port}"

    def close(self) -> None:
        """With a reset: all that matters was read, and no port is left in TIME_WAIT."""
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    # ---- sending

    def play(self, pieces, gap: float) -> None:
        """All steps of the case; `pieces` splits the bytes of a send, `gap` seconds apart. The
        next request is sent together with the last piece."""
        at, steps = 0, list(self.case.steps)
        following = next_request(self.case) if self.case.next else b""
        if steps[-1][0] != "send":
            steps.append(("send", b""))
        for i, (step, value) in enumerate(steps):
            if step == "send":
                split = pieces(value, at)
                if i == len(steps) - 1:
                    split[-1] += following
                for piece in split[:-1]:
                    self.send(piece, gap)
                self.send(split[-1], 0)
                at += len(value)
            elif step == "pause":
                self.receive(value, lambda: False)
            elif step == "await":
                status = value
                self.receive(self.patience, lambda: any(r.status == status for r in self.parsed))
            elif step == "fin" and not self.deaf:
                with contextlib.suppress(OSError):
                    self.socket.shutdown(socket.SHUT_WR)
                self.deaf = True

    def send(self, data: bytes, gap: float) -> None:
        end = time.monotonic() + 5 * self.patience
        while data and not self.deaf and time.monotonic() < end:
            self.socket.settimeout(0.05)
            try:
                sent = self.socket.send(data)
                self.run.sent += data[:sent]
                data = data[sent:]
            except TimeoutError:  # the server may wait for us to take its answer
                self.receive(0, lambda: False)
            except OSError:
                self.deaf = True
        if gap:
            time.sleep(gap)

    # ---- receiving

    def receive(self, seconds: float, enough) -> None:
        """Reads until `enough()`, the end, or `seconds` of silence."""
        while not self.ended and not enough():
            if not select.select([self.socket], [], [], seconds)[0]:
                return
            try:
                data = self.socket.recv(65536)
            except OSError:
                data, self.run.reset = b"", True
            self.ended = not data
            self.run.received += data
            self.parsed, self.run.problems = self.parser.parse(self.run.received, self.ended)

    def next_answered(self) -> bool:
        """The last response is whole, and answers the next request."""
        last = self.parsed[-1] if self.parsed else None
        if last is None or not last.whole or not last.all("x-conformance"):
            return False
        with contextlib.suppress(ValueError, TypeError):
            record = json.loads(last.body)
            return is_next(self.case, record)
        return False

    def lingers(self) -> bool:
        """The server has announced the end, and waits for the client's."""
        finals = [response for response in self.parsed if response.status >= 200]
        self.run.lingers = bool(finals and finals[-1].whole and "close" in finals[-1].options())
        return self.run.lingers

    def switched(self) -> bool:
        return any(response.status == 101 for response in self.parsed)

    def collect(self) -> Run:
        """Waits for how it ends."""
        if self.case.next:
            may_wait = any(outcome.ending == "wait" for outcome in self.case.strict)
            seconds = SILENCE if may_wait else self.patience
            self.receive(seconds, lambda: self.next_answered() or self.switched())
        else:
            self.wait_quiet()
        run = self.run
        run.responses = list(self.parsed)
        if self.case.next and self.next_answered():
            run.next_response = run.responses.pop()
            run.ending = "open"
        elif self.ended or self.lingers():
            run.ending = "close"
        elif self.switched():
            run.ending = "open"
        elif not self.case.next and all(response.whole for response in run.responses):
            run.ending = "open"
        return run

    def wait_quiet(self) -> None:
        """No next request will tell: there must be an end, or quiet."""
        finals = len(self.case.methods)

        def answered():
            whole = [r for r in self.parsed if r.whole and r.status >= 200]
            return len(whole) >= finals

        may_be_silent = not all(outcome.statuses for outcome in self.case.strict)
        may_stay_open = not all(outcome.ending == "close" for outcome in self.case.strict)
        quiet = may_be_silent and may_stay_open
        self.receive(QUIET if quiet else self.patience, answered)
        self.receive(QUIET if may_stay_open else self.patience, lambda: False)


class ServerGone(Exception):
    """The server takes no connections, and nobody has started it again."""


class Admin:
    """Asks the application what it saw, on a connection that is kept."""

    def __init__(self, address: tuple[str, int]):
        self.address = address
        self.socket: socket.socket | None = None

    def take(self, run: Run, peer: str) -> None:
        """Fills in the run's records."""
        end = time.monotonic() + RESTART
        while True:
            try:
                run.records = self.ask(peer)
                return
            except ConnectionRefusedError:
                run.died = True
                time.sleep(0.1)
            except (OSError, Malformed, ValueError):
                self.close()  # an idle connection that the server has closed
            if time.monotonic() > end:
                raise ServerGone(f"no connection to {self.address} for {RESTART} s")

    def ask(self, peer: str) -> list[dict]:
        if self.socket is None:
            self.socket = socket.create_connection(self.address, timeout=10)
        request = f"GET /conformance/take?{peer} HTTP/1.1\r\nHost: admin.example\r\n\r\n"
        self.socket.sendall(request.encode())
        data, parser = b"", Responses([])
        while True:
            received = self.socket.recv(1 << 20)
            data += received
            responses, problems = parser.parse(data, not received)
            if problems or not received:
                raise Malformed(str(problems))
            if responses and responses[0].whole:
                return json.loads(responses[0].body)

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def whole(data: bytes, at: int) -> list[bytes]:
    return [data]


def run_case(
    address: tuple[str, int],
    case: Case,
    admin: Admin,
    pieces=whole,
    gap: float = 0.0,
    patience: float = PATIENCE,
) -> Run:
    """Runs a case once. `pieces(data, at)` splits what is sent, `at` counts from the case's first
    byte; the pieces are `gap` seconds apart."""
    try:
        connection = Connection(address, case, patience)
    except ConnectionRefusedError:
        run = Run(died=True)
        admin.take(run, "")
        return run
    try:
        # What an earlier connection from this port has left: its request came after its end.
        earlier = Run()
        admin.take(earlier, connection.peer)
        connection.play(pieces, gap)
        run = connection.collect()
    finally:
        connection.close()
    admin.take(run, connection.peer)
    run.died |= earlier.died
    return run
