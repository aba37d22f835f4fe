"""One connection, by hypothesis: requests queued, sent in pieces, answered in order, cut short.

The oracle: every valid request gets exactly its own answer, in order; every invalid one gets its
class of error, and nothing behind it is answered; and the server still serves the next client.

ZQ_SOAK_SECONDS=N goes on with new examples for so long.
"""

import os
import time

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from harness import Client, Closed, serve

SOAK = float(os.environ.get("ZQ_SOAK_SECONDS", "0"))
QUEUE_MAX = 8

token = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_~", min_size=1, max_size=12)
blank = st.text(" \t", max_size=2)
value = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"))
fields = st.lists(st.tuples(token, blank, value, blank), max_size=4)
body = st.binary(max_size=300) | st.integers(1, 40000).map(lambda n: b"x" * n)


class Request:
    """What is sent, and what must come back."""

    def __init__(self, data, status, content, head=False, closes=False, early=False):
        self.data, self.status, self.content = data, status, content
        self.head, self.closes = head, closes
        self.early = early  # something may come before all of it was sent
        self.end = 0  # where it ends in what the connection sends

    def __repr__(self):
        return f"<{self.data[:200]!r}, {len(self.data)} bytes>"


def head_of(method, target, extra, *lines, version="HTTP/1.1", host="h"):
    sent = [f"{method} {target} {version}"] + ([f"Host: {host}"] if host else [])
    sent += [f"X-{name}:{before}{text}{after}" for name, before, text, after in extra]
    return ("\r\n".join([*sent, *lines]) + "\r\n\r\n").encode("latin-1")


def mixed_case(name, flips):
    return "".join(c.upper() if flips >> i % 16 & 1 else c.lower() for i, c in enumerate(name))


def chunks(draw, data):
    """`data` in the chunked coding: uneven chunks, extensions, leading zeros, trailers."""
    out = b""
    while data:
        n = draw(st.integers(1, len(data)))
        size = f"{n:x}" if draw(st.booleans()) else f"000{n:X}"
        extension = draw(st.sampled_from(["", ";a", ";a=b", ';a="b;\\"c"']))
        out += f"{size}{extension}\r\n".encode() + data[:n] + b"\r\n"
        data = data[n:]
    trailers = draw(st.sampled_from(["", "X-Trailer: t\r\n", "a: b\r\nc:\r\n"]))
    return out + b"0\r\n" + trailers.encode() + b"\r\n"


@st.composite
def valid(draw):
    name = draw(token)
    extra = draw(fields)
    what = draw(st.sampled_from(["get", "head", "status", "absolute", "post", "chunked", "unread"]))
    if draw(st.integers(0, 9)) == 0:
        what = draw(st.sampled_from(["close", "old", "kept", "continue", "upgrade"]))
    target = f"/answer?body={name}"
    if what == "get":
        return Request(head_of("GET", target, extra), 200, name.encode())
    if what == "head":
        return Request(head_of("HEAD", target, extra), 200, b"", head=True)
    if what == "status":
        status = draw(st.sampled_from([201, 204, 304, 404, 500]))
        content = b"" if status in (204, 304) else name.encode()
        return Request(head_of("GET", f"{target}&status={status}", extra), status, content)
    if what == "absolute":
        sent = head_of("GET", f"http://other:81{target}", extra)
        return Request(sent, 200, name.encode())
    if what == "close":
        option = draw(st.sampled_from(["close", "x, CLOSE", "keep-alive, close"]))
        sent = head_of("GET", target, extra, f"Connection: {option}")
        return Request(sent, 200, name.encode(), closes=True)
    if what == "old":
        sent = head_of("GET", target, extra, version="HTTP/1.0", host=None)
        return Request(sent, 200, name.encode(), closes=True)
    if what == "kept":
        line = "Connection: Keep-Alive"
        sent = head_of("GET", target, extra, line, version="HTTP/1.0")
        return Request(sent, 200, name.encode())
    data = draw(body)
    length = mixed_case("content-length", draw(st.integers(0, 65535)))
    if what == "continue":
        lines = (f"{length}: {len(data)}", "Expect: 100-continue")
        return Request(head_of("POST", "/echo", extra, *lines) + data, 200, data, early=True)
    if what == "upgrade":
        lines = (f"{length}: {len(data)}", "Upgrade: unknown/1", "Connection: upgrade")
        return Request(head_of("POST", "/echo", extra, *lines) + data, 200, data)
    if what == "chunked":
        coding = mixed_case("transfer-encoding", draw(st.integers(0, 65535)))
        sent = head_of("POST", "/echo", extra, f"{coding}: chunked") + chunks(draw, data)
        return Request(sent, 200, data)
    if what == "post":
        return Request(head_of("POST", "/echo", extra, f"{length}: {len(data)}") + data, 200, data)
    sent = head_of("POST", target, extra, f"{length}: {len(data)}") + data
    return Request(sent, 200, name.encode(), early=True)


# What is sent, and the statuses that may answer it.
INVALID = [
    (b"GET /a HTTP/1.1\r\n\r\n", {400}),
    (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", {400}),
    (b"GET /a HTTP/1.1\r\nHost: a b\r\n\r\n", {400}),
    (b"GET  /a HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    (b"GET /a\r\n\r\n", {400}),
    (b"GET /a HTTP/1.1\nHost: a\n\n", {400}),
    (b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n", {505}),
    (b"G@T /a HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    (b"NONESUCH /a HTTP/1.1\r\nHost: a\r\n\r\n", {501}),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", {400, 405, 501}),
    (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    (b"GET /a HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", {400}),
    (b"GET /a HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", {400}),
    (b"GET /a HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", {400}),
    (b"GET /a HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", {400}),
    (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", {400}),
    (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", {400}),
    (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", {400}),
    (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n",
        {400},
    ),
    (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n", {400}),
    (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n", {501}),
    (b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", {400}),
    (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n", {400}),
    (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n", {400}),
    (b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\na", {417}),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", {414}),
    (b"GET /a HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 120 + b"\r\n", {431}),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),
]


class Connection(RuleBasedStateMachine):
    server = None

    @initialize()
    def connect(self):
        self.client = Client(self.server.address)
        self.unsent = b""
        self.sent = self.queued = 0
        self.expected = []
        self.over = False  # nothing that is queued from now on would be read

    def add(self, request):
        self.unsent += request.data
        self.queued += len(request.data)
        request.end = self.queued
        self.expected.append(request)

    @precondition(lambda self: not self.over and len(self.expected) < QUEUE_MAX)
    @rule(request=valid())
    def queue(self, request):
        self.add(request)
        self.over = request.closes

    @precondition(lambda self: not self.over and len(self.expected) < QUEUE_MAX)
    @rule(which=st.sampled_from(INVALID), more=st.binary(max_size=50))
    def queue_invalid(self, which, more):
        data, statuses = which
        self.add(Request(data, statuses, None, head=data.startswith(b"HEAD"), closes=True))
        self.unsent += more  # never looked at
        self.queued += len(more)
        self.over = True

    @precondition(lambda self: self.unsent)
    @rule(n=st.integers(1, 60) | st.integers(1, 50000))
    def send(self, n):
        piece, self.unsent = self.unsent[:n], self.unsent[n:]
        try:
            self.client.send(piece)
        except ConnectionError:
            # It has answered something invalid, lingered, and gone.
            assert self.over
            self.unsent = b""
        self.sent += len(piece)

    @precondition(lambda self: self.expected and self.expected[0].end <= self.sent)
    @rule()
    def read(self):
        request = self.expected.pop(0)
        response = self.client.response(head=request.head)
        if request.content is None:
            assert response.status in request.status, (request.data, response)
            assert response.get("connection") == "close"
            return
        assert response.status == request.status, (request.data, response)
        assert response.complete and response.body == request.content, (request.data, response)
        assert (response.get("connection") == "close") == request.closes

    def read_all(self):
        while self.expected and self.expected[0].end <= self.sent:
            self.read()

    def drain(self):
        try:
            return self.client.rest()
        except ConnectionError:
            return b""

    def check_end(self):
        """Behind the last answer comes the end, and nothing else."""
        rest = self.drain()
        assert rest == b"", rest

    @precondition(lambda self: self.sent > 0)
    @rule()
    def half_close(self):
        """Whatever was sent whole is answered; what was not is dropped, or refused."""
        self.client.socket.shutdown(1)
        self.read_all()
        cut, self.expected, self.unsent = self.expected[:1], [], b""
        if cut and cut[0].content is None:
            # What was sent of something invalid may be enough to tell.
            try:
                assert self.client.response().status in cut[0].status, cut
            except (Closed, ConnectionError):
                pass
        elif cut and cut[0].early:
            self.drain()
        else:
            self.check_end()
        self.renew()

    @rule(reset=st.booleans())
    def leave(self, reset):
        if reset:
            self.client.reset()
        self.renew()

    def renew(self):
        self.client.close()
        self.check_next()
        self.connect()

    def check_next(self):
        with Client(self.server.address) as client:
            assert client.request("/answer?body=next").body == b"next"

    def teardown(self):
        if not hasattr(self, "client"):
            return
        while self.unsent:
            self.send(len(self.unsent))
        self.read_all()
        if self.over:
            self.client.socket.shutdown(1)
            self.check_end()
        self.client.close()
        self.check_next()


@pytest.fixture(scope="module")
def server():
    with serve("basic:app", "--front-threads=2", "--no-access-log") as running:
        yield running


def run(examples, derandomize):
    run_state_machine_as_test(
        Connection,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=derandomize,
            print_blob=True,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(300 + 2 * SOAK)
def test_a_connection(server):
    Connection.server = server
    run(400, derandomize=True)
    end = time.monotonic() + SOAK
    while time.monotonic() < end:
        run(100, derandomize=False)
    assert "ERROR" not in server.log
