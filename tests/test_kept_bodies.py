"""Of the long parts that its worker could write to the clients' sockets by itself, a front keeps some
and sends them, so that neither waits for the other (front/lend.h says which).

Each test is the worker of a front, and sees what that answers to its offers (include/zq/wire.h).
"""

import contextlib
import os
import socket
import struct
import sys

import pytest

from harness import APPS, DEADLINE, serve, wait_for
from wirelib import (
    BODY,
    CANCEL,
    CREDIT,
    END,
    KEEP,
    LEND,
    OFFER,
    PING,
    PONG,
    REQUEST,
    RESET,
    RESPONSE,
    RESPONSE_WINDOW,
    RETURNED,
    ROUTES,
    frame,
)

SIZE = 1000  # of an offer: to the front any is long that is offered
LONG = 20 << 20  # more than the sockets of a slow reader take


class Worker:
    """Its end of the link to a front's I/O thread."""

    def __init__(self, link):
        self.link = link
        self.link.settimeout(DEADLINE)
        self.buffer = b""
        self.credit = {}  # by stream
        self.fds = []
        self.send(ROUTES, 0, struct.pack("=I", 0))

    def send(self, kind, stream, payload=b"", flags=0):
        self.link.sendall(frame(kind, stream, payload, flags))

    def number(self, kind, stream, number, flags=0):
        self.send(kind, stream, struct.pack("=I", number), flags)

    def exactly(self, n):
        while len(self.buffer) < n:
            data, fds, _, _ = socket.recv_fds(self.link, 1 << 16, 4)
            if not data:
                raise EOFError
            self.buffer += data
            self.fds += fds
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def next(self):
        """The next frame that a test asks for: its type and stream."""
        while True:
            n, stream, kind, _, _ = struct.unpack("=IIBBH", self.exactly(12))
            payload = self.exactly(n)
            if kind == PING:
                self.send(PONG, 0, payload)
            elif kind == CREDIT:
                self.credit[stream] += struct.unpack("=I", payload)[0]
            else:
                return kind, stream

    def wait(self, expected):
        kind, stream = self.next()
        assert kind == expected
        return stream

    def head(self, stream, length, *fields, end=False):
        fields = (("content-length", str(length)), *fields)
        packed = b"".join(struct.pack("=II", len(n), len(v)) + (n + v).encode() for n, v in fields)
        self.credit[stream] = RESPONSE_WINDOW
        self.send(
            RESPONSE, stream, struct.pack("=HH", 200, len(fields)) + packed, END if end else 0
        )

    def answer(self, stream):
        """LEND or KEEP; a socket is the last of `fds` then."""
        kind, of = self.next()
        assert of == stream and kind in (LEND, KEEP)
        return kind

    def offer(self, stream, size):
        self.head(stream, size)
        self.number(OFFER, stream, size)
        return self.answer(stream)

    def write(self, fd, stream, size):
        """What was lent is written, all of it."""
        with socket.socket(fileno=fd) as client:
            client.sendall(b"x" * size)
        self.number(RETURNED, stream, size, END)

    def return_none(self, stream):
        """As if the socket took nothing: what the front says to the same offer, again."""
        os.close(self.fds.pop())
        self.number(RETURNED, stream, 0)
        return self.answer(stream)


@contextlib.contextmanager
def handed(directory, *options, **popen):
    """A server, and its worker."""
    executable = directory / "zq-worker"
    executable.write_text(f"#!{sys.executable} -IS\n" + (APPS / "handed.py").read_text())
    executable.chmod(0o755)
    path = f"{directory}/handed"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(DEADLINE)
        options = ("--front-threads=1", "--no-access-log", *options)
        env = {"HANDED": path}
        with serve("basic:app", *options, worker=executable, env=env, **popen) as server:
            with listener.accept()[0] as connection:
                link, *others = socket.recv_fds(connection, 16, 4)[1]
            for fd in others:  # the memory that is shared
                os.close(fd)
            with socket.socket(fileno=link) as sock:
                yield server, Worker(sock)


class Conversation:
    """Clients whose requests have come to the worker, with their streams."""

    def __init__(self, server, worker):
        self.server, self.worker, self.clients = server, worker, {}

    def request(self, **options):
        client = self.server.client(**options)
        client.send_request(f"/{len(self.clients)}", headers={"Cache-Control": "no-store"})
        stream = self.worker.wait(REQUEST)
        self.clients[stream] = client
        return stream

    def offer(self, size=SIZE, **options):
        """What is answered to one more, and its stream."""
        stream = self.request(**options)
        return self.worker.offer(stream, size), stream

    def offers(self, *expected, size=SIZE):
        """The streams of those that were answered so."""
        got = [self.offer(size) for _ in expected]
        assert [kind for kind, _ in got] == list(expected)
        return [stream for _, stream in got]

    def hand_over(self, stream, size=SIZE):
        """What was kept."""
        self.worker.send(BODY, stream, b"x" * size, END)

    def received(self, stream, size=SIZE):
        with self.clients.pop(stream) as client:
            return client.response().body == b"x" * size

    def leave(self, stream):
        self.clients.pop(stream).close()
        assert self.worker.wait(CANCEL) == stream
        self.worker.send(RESET, stream)


@pytest.fixture
def talk(tmp_path):
    with handed(tmp_path) as (server, worker):
        talk = Conversation(server, worker)
        yield talk
        for client in talk.clients.values():
            client.close()
        for fd in worker.fds:
            os.close(fd)


def test_one_by_itself_is_lent(talk):
    for _ in range(5):
        (stream,) = talk.offers(LEND)
        talk.worker.write(talk.worker.fds.pop(), stream, SIZE)
        assert talk.received(stream)


def test_of_many_some_are_kept(talk):
    """As many as let neither be more behind than the other, counted in bytes."""
    streams = talk.offers(LEND, LEND, KEEP, KEEP, LEND, KEEP, KEEP, LEND, KEEP, KEEP)
    lent = [streams[i] for i in (0, 1, 4, 7)]
    for stream, fd in zip(lent, talk.worker.fds, strict=True):
        talk.worker.write(fd, stream, SIZE)
    talk.worker.fds.clear()
    for stream in set(streams) - set(lent):
        talk.hand_over(stream)
    assert all(talk.received(stream) for stream in streams)
    talk.offers(LEND, LEND, KEEP, KEEP, LEND)


def test_bytes_count(talk):
    """What is too long to be kept is lent, and then there is time for more that is short."""
    talk.offers(LEND, LEND)
    assert [talk.offer(n)[0] for n in (2 * SIZE, 2 * SIZE - 1, SIZE, 3 * SIZE)] == [
        LEND,
        KEEP,
        KEEP,
        LEND,
    ]


def test_what_was_lent_is_behind_no_more(talk):
    first, _second, _kept = talk.offers(LEND, LEND, KEEP)
    talk.worker.write(talk.worker.fds.pop(0), first, SIZE)
    assert talk.received(first)
    talk.offers(LEND)


def test_what_was_kept_is_behind_no_more(talk):
    *_, third, fourth = talk.offers(LEND, LEND, KEEP, KEEP)
    talk.hand_over(third)
    talk.hand_over(fourth)
    assert talk.received(third) and talk.received(fourth)
    talk.offers(KEEP, KEEP, LEND)


def test_who_leaves_is_counted_no_more(talk):
    lent, _, kept, other = talk.offers(LEND, LEND, KEEP, KEEP)
    talk.leave(kept)
    talk.leave(other)
    (kept, other) = talk.offers(KEEP, KEEP)
    talk.leave(lent)
    talk.leave(kept)
    talk.leave(other)
    talk.offers(LEND, KEEP)


def test_a_slow_reader_is_counted_no_more(talk):
    """It takes what is kept for it at its leisure, and the front has time for others."""
    worker = talk.worker
    talk.offers(LEND, LEND, size=LONG)
    kind, slow = talk.offer(LONG, SO_RCVBUF=4096)
    assert kind == KEEP
    kind, probe = talk.offer(LONG * 7 // 4)
    assert kind == LEND  # it would be behind with both of them
    left = LONG
    while kind == LEND:
        while (n := min(worker.credit[slow], left, 1 << 16)) > 0:
            worker.send(BODY, slow, b"x" * n)
            worker.credit[slow] -= n
            left -= n
        kind = worker.return_none(probe)  # and what is offered again may be kept
    assert left > LONG // 2  # all sockets are full


def test_on_one_core_all_are_lent(tmp_path):
    """Nothing is won where the front's time is the worker's."""
    core = min(os.sched_getaffinity(0))
    alone = {"preexec_fn": lambda: os.sched_setaffinity(0, {core})}
    with handed(tmp_path, **alone) as (server, worker):
        talk = Conversation(server, worker)
        talk.offers(LEND, LEND, LEND, LEND, LEND)
        for client in talk.clients.values():
            client.close()
        for fd in worker.fds:
            os.close(fd)


def test_hits_come_first(talk):
    """A front that has just served one keeps nothing, so that none waits behind a long part."""
    fresh = talk.server.client()
    fresh.send_request("/fresh")
    talk.worker.head(talk.worker.wait(REQUEST), 0, ("cache-control", "max-age=1000"), end=True)
    assert fresh.response().status == 200
    talk.offers(LEND, LEND)
    streams = iter([talk.request() for _ in range(200)])

    def is_lent():  # unless the machine was too slow for what is near
        assert fresh.request("/fresh").get("cache-status").startswith("zq; hit")
        stream = next(streams)
        kind = talk.worker.offer(stream, SIZE)
        talk.leave(stream)
        return kind == LEND

    wait_for(is_lent, "a part to be lent")
    fresh.close()


def test_a_kept_part_comes_whole(tmp_path):
    """What is offered next comes behind it."""
    with handed(tmp_path) as (server, worker):
        talk = Conversation(server, worker)
        *_, kept = talk.offers(LEND, LEND, KEEP)
        worker.send(BODY, kept, b"x" * (SIZE - 1))
        worker.number(OFFER, kept, 1)
        wait_for(lambda: "broke the wire protocol" in server.log, "the front's complaint")
        for client in talk.clients.values():
            client.close()
