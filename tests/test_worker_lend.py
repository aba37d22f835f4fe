"""zq-worker alone: long bodies that it writes to a client's socket which the front lends it (OFFER,
LEND, KEEP and RETURNED in include/zq/wire.h)."""

import os
import select
import socket
import time

import pytest

import wirelib
from test_worker_bridge import VARIANTS, has_uvloop, run
from wirelib import BODY, END, KEEP, LEND, OFFER, RESET, RESPONSE, RETURNED, SHARED, Memory, frame

BYTES = bytes(range(256))
LEAST = 256 << 10


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: f"{v[0].name}-{v[1]}")
def alone(request):
    executable, loop = request.param
    if loop == "uvloop" and not has_uvloop(executable):
        pytest.skip("uvloop is not installed for this interpreter")
    with run(executable, loop=loop, lifespan="off", log_level="debug") as worker:
        yield worker
        worker.stop()
        assert worker.wait() == 0


@pytest.fixture
def link(alone):
    link = alone.link(Memory())
    link.keeps_offers = False
    assert link.ping() == 1  # its descriptors are there
    yield link
    link.close()


@pytest.fixture
def client():
    """Both ends of a client's connection: the front's, and the client's."""
    front, client = socket.socketpair()
    front.setblocking(False)
    client.settimeout(wirelib.PATIENCE)
    yield front, client
    front.close()
    client.close()


def offered(link, size, target=None):
    stream = link.request("GET", target or f"/big?{size}")
    assert stream.next().kind == RESPONSE
    got = stream.next()
    assert (got.kind, got.number) == (OFFER, size)
    return stream


def exactly(sock, n):
    data = bytearray()
    while len(data) < n:
        part = sock.recv(min(1 << 20, n - len(data)))
        assert part, "closed"
        data += part
    return bytes(data)


def writable(sock):
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    assert poll.poll(wirelib.PATIENCE * 1000)


def lend_all(stream, front, client, size):
    """Lends as often as it takes; what the client got."""
    data, sent = b"", 0
    while True:
        writable(front)
        stream.lend(front)
        got = stream.next()
        assert got.kind == RETURNED
        sent += got.number
        assert got.end == (sent == size)
        data += exactly(client, got.number)
        if got.end:
            return data


def descriptors(worker):
    return len(os.listdir(f"/proc/{worker.process.pid}/fd"))


def back_to(worker, before):
    """Nothing that was lent is left; a link of the test before may have gone meanwhile."""
    deadline = time.monotonic() + wirelib.PATIENCE
    while descriptors(worker) > before:
        assert time.monotonic() < deadline, "descriptors are left"
        time.sleep(0.01)


@pytest.mark.parametrize("size", [LEAST, LEAST + 256, 1 << 20, 5 << 20])
def test_a_long_body_goes_to_the_client_itself(alone, link, client, size):
    before = descriptors(alone)
    stream = offered(link, size)
    assert lend_all(stream, *client, size) == BYTES * (size // 256)
    back_to(alone, before)
    assert link.memory.taken(Memory.TO_FRONT) == []


@pytest.mark.parametrize("size", [LEAST, 1 << 20])
def test_what_is_kept_comes_as_usual(alone, link, size):
    stream = offered(link, size)
    stream.nothing(0.05)
    stream.credit(1)  # says nothing about the offer
    stream.nothing(0.05)
    link.send(frame(KEEP, stream.id))
    body = b""
    while True:
        got = stream.next(SHARED, BODY)
        part = link.memory.body(got) if got.kind == SHARED else got.payload
        body += part
        stream.credit(len(part))
        if got.end:
            break
    assert body == BYTES * (size // 256)


def test_what_is_short_or_for_head_or_of_unknown_length_is_not_offered(link):
    got = link.get(f"/big?{LEAST - 256}")
    assert "OFFER" not in got.frames and len(got.body) == LEAST - 256
    assert "OFFER" not in link.request("HEAD", f"/big?{1 << 20}").response().frames


def test_half_may_be_lent_and_half_kept(link, client):
    size = 4 << 20
    stream = offered(link, size)
    front, theirs = client
    stream.lend(front)
    got = stream.next()
    assert got.kind == RETURNED and 0 < got.number < size and not got.end
    body = exactly(theirs, got.number)
    link.send(frame(KEEP, stream.id))
    while True:
        got = stream.next(SHARED, BODY)
        part = link.memory.body(got) if got.kind == SHARED else got.payload
        body += part
        stream.credit(len(part))
        if got.end:
            break
    assert body == BYTES * (size // 256)


def test_others_are_served_while_it_waits(link, client):
    stream = offered(link, 8 << 20)
    front, theirs = client
    stream.lend(front)
    assert stream.next().kind == RETURNED  # the socket is full
    for _ in range(20):
        assert link.get("/").status == 200
    assert theirs.recv(1) == b"\0"


def test_a_client_that_left_takes_nothing(alone, link, client):
    stream = offered(link, 1 << 20)
    front, theirs = client
    theirs.close()
    stream.lend(front)
    got = stream.next()
    assert (got.kind, got.number, got.end) == (RETURNED, 0, False)
    stream.cancel()
    assert stream.next().kind == RESET
    assert link.get("/").status == 200


def test_who_cancels_before_it_answers(alone, link, client):
    """LEND may cross the stream's end: the descriptor is closed."""
    before = descriptors(alone)
    stream = offered(link, 1 << 20)
    stream.cancel()
    assert stream.next().kind == RESET
    stream.lend(client[0])
    link.send(frame(KEEP, stream.id))
    back_to(alone, before)
    client[0].close()
    assert client[1].recv(1) == b""


def test_many_at_once(alone, link):
    """Each LEND's descriptor is its own, in whatever pieces they come."""
    before = descriptors(alone)
    n, size = 30, LEAST
    streams = [offered(link, size) for _ in range(n)]
    pairs = [socket.socketpair() for _ in range(n)]
    for front, client in pairs:
        front.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        client.settimeout(wirelib.PATIENCE)
    for i, (stream, (front, _)) in enumerate(zip(streams, pairs, strict=True)):
        for _ in range(i % 3):
            link.send(wirelib.number_frame(wirelib.PING, 0, 7))
        stream.lend(front)
        front.setblocking(False)
    for stream, (front, client) in zip(streams, pairs, strict=True):
        left = size
        data = b""
        while True:
            got = stream.next()
            assert got.kind == RETURNED
            data += exactly(client, got.number)
            left -= got.number
            if got.end:
                break
            writable(front)
            stream.lend(front)
        assert left == 0 and data == BYTES * (size // 256)
    for pair in pairs:
        for each in pair:
            each.close()
    back_to(alone, before)


def test_a_lend_may_come_in_pieces(link, client):
    """The descriptor comes with the first byte that is sent with it."""
    stream = offered(link, LEAST)
    other = offered(link, LEAST)
    front, theirs = client
    front.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    data = frame(LEND, stream.id)
    socket.send_fds(link.sock, [data[:5]], [front.fileno()])
    time.sleep(0.05)
    second, their_second = socket.socketpair()
    second.setblocking(False)
    second.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    socket.send_fds(link.sock, [data[5:] + frame(LEND, other.id)], [second.fileno()])
    got = stream.next()
    assert exactly(theirs, got.number) == (BYTES * (LEAST // 256))[: got.number]
    got = other.next()
    assert exactly(their_second, got.number) == (BYTES * (LEAST // 256))[: got.number]
    second.close()
    their_second.close()


def test_a_stop_waits_for_it(client):
    with run(wirelib.workers()[0], lifespan="off") as worker:
        link = worker.link(Memory())
        link.keeps_offers = False
        size = 2 << 20
        stream = offered(link, size)
        worker.stop()
        stream.nothing(0.05)
        assert lend_all(stream, *client, size) == BYTES * (size // 256)
        assert worker.wait() == 0


# ---- a front that breaks the rules


def bad_fronts():
    def lend(n):
        return lambda stream, socks: stream.lend(*socks[:n])

    def plain(data, n=0):
        def send(stream, socks):
            fds = [each.fileno() for each in socks[:n]]
            socket.send_fds(stream.link.sock, [data(stream.id)], fds)

        return send

    return {
        "a LEND with nothing": lend(0),
        "with two": lend(2),
        "with ten": lend(10),
        "of no stream": plain(lambda s: frame(LEND, 0), 1),
        "with END": plain(lambda s: frame(LEND, s, b"", END), 1),
        "a descriptor with a PING": plain(lambda s: wirelib.number_frame(wirelib.PING, 0, 1), 1),
        "a descriptor with KEEP": plain(lambda s: frame(KEEP, s), 1),
        "KEEP twice": plain(lambda s: 2 * frame(KEEP, s)),
        "OFFER": plain(lambda s: wirelib.number_frame(OFFER, s, 1)),
        "RETURNED": plain(lambda s: wirelib.number_frame(RETURNED, s, 1)),
    }


@pytest.mark.parametrize("bad", bad_fronts().items(), ids=lambda item: item[0])
def test_a_violation_costs_the_link(alone, bad):
    link = alone.link()
    link.keeps_offers = False
    stream = offered(link, 1 << 20)
    before = descriptors(alone)
    pairs = [socket.socketpair() for _ in range(5)]
    socks = [each for pair in pairs for each in pair]
    bad[1](stream, socks)
    link.wait_closed()
    for each in socks:
        each.close()
    other = alone.link()
    assert other.get("/").status == 200
    back_to(alone, before)
    other.close()


def test_what_was_not_offered_is_not_lent(alone, client):
    link = alone.link()
    stream = link.request("POST", "/echo", end=False)
    stream.lend(client[0])
    link.wait_closed()
    client[0].close()
    assert client[1].recv(1) == b""
