"""zq-worker alone: long bodies in shared memory (include/zq/region.h, SHARED and BLOCKS)."""

import json
import os

import pytest

import wirelib
from test_worker_bridge import run
from wirelib import (
    BLOCKS,
    END,
    RESET,
    RESPONSE,
    SHARED,
    Memory,
    Stream,
    frame,
    number_frame,
    parse_response,
    request_frame,
)

BYTES = bytes(range(256))


@pytest.fixture(scope="module", params=wirelib.workers(), ids=lambda w: w.name)
def alone(request):
    with run(request.param, lifespan="off", log_level="debug") as worker:
        yield worker
        worker.stop()
        assert worker.wait() == 0


@pytest.fixture
def link(alone):
    link = alone.link(Memory())
    yield link
    link.close()


def big(link, size):
    """The stream of a GET, and what its head says."""
    stream = link.request("GET", f"/big?{size}")
    got = stream.next()
    assert got.kind == RESPONSE
    return stream, parse_response(got.payload)


@pytest.mark.parametrize("size", [16384, 16640, 65536, 65536 + 256, 256 << 10, 3 << 20])
def test_a_long_body_is_shared(link, size):
    got = link.get(f"/big?{size}")
    assert got.body == BYTES * (size // 256)
    assert got.frames[:2] == ["RESPONSE", "SHARED"]
    rest = size % wirelib.BODY_MAX  # a short end goes in a frame
    assert got.frames.count("BODY") <= (0 < rest < Memory.LEAST)
    assert got.header(b"content-length") == b"%d" % size
    assert link.memory.taken(Memory.TO_FRONT) == []


def test_a_short_body_is_not(link):
    assert link.get(f"/big?{Memory.LEAST - 256}").frames == ["RESPONSE"]


def test_what_head_would_have_is_not(link):
    """Its length alone is told, which the front counts."""
    got = link.request("HEAD", f"/big?{65536}").response()
    assert "SHARED" not in got.frames


@pytest.mark.parametrize("size", [1, 16384, 65536, 65537, 1 << 20])
def test_uploads(link, size):
    data = os.urandom(size)
    stream = link.request("POST", "/echo", end=False)
    at, window = 0, wirelib.REQUEST_WINDOW
    while at < size:
        n = min(Memory.BLOCK_BYTES, size - at)
        while window < n:
            window += stream.next(wirelib.CREDIT).number
        stream.shared(data[at : at + n], at + n == size)
        at, window = at + n, window - n
    assert stream.response().body == data
    assert link.memory.taken(Memory.TO_WORKER) == []


def as_one(link, size, headers):
    """The messages of the application when all of a body is there: sizes, and whether more comes."""
    request = request_frame(1, "POST", "/messages", headers, end=False)
    parts = [min(Memory.BLOCK_BYTES, size - at) for at in range(0, size, Memory.BLOCK_BYTES)]
    frames = [
        frame(SHARED, 1, link.memory.put(bytes(n)), END if i == len(parts) - 1 else 0)
        for i, n in enumerate(parts)
    ]
    link.streams = 1
    link.send(request + b"".join(frames))
    return [m[1:] for m in json.loads(Stream(link, 1).response().body)]


@pytest.mark.parametrize("announced", [None, 1 << 20, 1, 2 << 20, 1 << 62, 1 << 80, "a"])
def test_what_is_there_is_one_message(link, announced):
    """ASGI http.request: `body` and `more_body`. The window is 1 MiB, and a whole one that has come
    is one message, whatever Content-Length says: that only makes room early."""
    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    assert as_one(link, wirelib.REQUEST_WINDOW, headers) == [[wirelib.REQUEST_WINDOW, False]]


def test_what_is_announced_is_not_waited_for(link):
    """receive() has at once what is there, and the next one what comes then."""
    headers = [(b"content-length", b"%d" % (1 << 20))]
    stream = link.request("POST", "/messages", headers, end=False)
    stream.shared(bytes(Memory.BLOCK_BYTES))
    assert stream.next().kind == wirelib.WANT
    assert link.ping() == 1
    stream.shared(bytes(Memory.LEAST), END)
    got = json.loads(stream.response().body)
    assert [m[1:] for m in got] == [[Memory.BLOCK_BYTES, True], [Memory.LEAST, False]]


def test_an_answer_to_ping_says_that_blocks_are_back(link):
    """zq/wire.h: "none is its own that was named in front of a PING when it answers"; also where the
    application takes nothing."""
    stream = link.request("POST", "/upload", end=False)
    for _ in range(wirelib.REQUEST_WINDOW // Memory.BLOCK_BYTES):
        stream.shared(bytes(Memory.BLOCK_BYTES))
    assert link.ping() == 1
    assert link.memory.taken(Memory.TO_WORKER) == []
    assert link.get("/step").body == b"{}"  # the application takes it after all
    stream.body(b"", END)
    assert link.get("/step").body == b"{}"
    assert json.loads(stream.response().body) == {"size": wirelib.REQUEST_WINDOW}


def test_an_upload_in_both_kinds_of_frames(link):
    stream = link.request("POST", "/echo", body=b"a" * 10, end=False)
    stream.shared(b"b" * 30000)
    stream.body(b"c" * 20)
    stream.shared(b"d" * 30000, END)
    assert stream.response().body == b"a" * 10 + b"b" * 30000 + b"c" * 20 + b"d" * 30000


def test_a_body_for_a_stream_that_is_over_gives_its_block_back(link):
    stream = link.request("POST", "/ignore_body", end=False)
    assert stream.response().body == b"not interested"
    stream.shared(b"x" * 30000, END)
    assert link.ping() == 1
    assert link.memory.taken(Memory.TO_WORKER) == []


# ---- no block is free


def starve(link):
    """Streams that have all blocks, and one that waits; what it got so far."""
    link.answers_blocks = False
    window = wirelib.RESPONSE_WINDOW
    frames = []
    for _ in range(len(Memory.TO_FRONT) * Memory.BLOCK_BYTES // window):
        stream, _ = big(link, 2 * window)
        frames += [stream.next(SHARED) for _ in range(window // Memory.BLOCK_BYTES)]
    assert len(link.memory.taken(Memory.TO_FRONT)) == len(Memory.TO_FRONT)
    waiting, (status, headers, body) = big(link, window)
    assert (status, body) == (200, b"") and (b"content-length", b"%d" % window) in headers
    assert link.next(0).kind == BLOCKS
    return frames, waiting


def fed(link, frames, waiting):
    """Lets go of the blocks of `frames`, says so, and gives what the waiting stream then brings."""
    for each in frames:
        link.memory.body(each)
    link.send(frame(BLOCKS))
    body = b""
    while True:
        got = waiting.next(SHARED)
        body += link.memory.body(got)
        if got.end:
            return body


def test_who_finds_no_block_waits_for_one(link):
    frames, waiting = starve(link)
    waiting.nothing(0.1)
    assert link.get("/big?256").body == BYTES  # what is short does not wait
    link.memory.body(frames.pop())
    link.send(frame(BLOCKS))
    got = waiting.next()
    assert (got.kind, got.end) == (SHARED, False)
    assert link.next(0).kind == BLOCKS  # and asks again
    waiting.nothing(0.1)
    for each in frames:
        link.memory.body(each)
    link.send(frame(BLOCKS))
    body = link.memory.body(got)
    while not got.end:
        got = waiting.next(SHARED)
        body += link.memory.body(got)
    assert body == BYTES * (wirelib.RESPONSE_WINDOW // 256)


def test_any_frame_is_an_occasion_to_go_on(link):
    """It need not be the answer: that says only when there must be one."""
    frames, waiting = starve(link)
    for each in frames:
        link.memory.body(each)
    assert link.ping() == 1
    assert waiting.next().kind == SHARED


def test_credit_alone_does_not_overtake(link):
    frames, waiting = starve(link)
    waiting.credit(1000)
    waiting.nothing(0.1)
    assert fed(link, frames, waiting) == BYTES * (wirelib.RESPONSE_WINDOW // 256)


def test_who_leaves_does_not_wait(link):
    _, waiting = starve(link)
    waiting.cancel()
    assert waiting.next().kind == RESET


def test_a_link_that_closes_takes_along_who_waits(alone):
    link = alone.link(Memory())
    starve(link)
    link.close()
    again = alone.link(Memory())
    assert again.get("/big?65536").body == BYTES * 256
    again.close()


@pytest.mark.parametrize("executable", wirelib.workers(), ids=lambda w: w.name)
def test_a_stop_waits_for_who_waits(executable):
    with run(executable, lifespan="off") as worker:
        link = worker.link(Memory())
        frames, waiting = starve(link)
        for stream in range(1, waiting.id):
            link.send(frame(wirelib.CANCEL, stream))
        worker.stop()
        waiting.nothing(0.1)
        assert fed(link, frames, waiting) == BYTES * (wirelib.RESPONSE_WINDOW // 256)
        assert worker.wait() == 0


# ---- a front that breaks the rules


def shared(block, size, stream=1):
    return frame(SHARED, stream, block.to_bytes(4, "little") + size.to_bytes(4, "little"))


@pytest.mark.parametrize(
    "bad",
    {
        "no such block": shared(64, 1),
        "far": shared(0xFFFFFFFF, 1),
        "too long": shared(0, (64 << 10) + 1),
        "empty": shared(0, 0),
        "short": frame(SHARED, 1, bytes(4)),
        "past the window": shared(0, 64 << 10) * (wirelib.REQUEST_WINDOW // (64 << 10) + 1),
        "an answer to nothing": frame(BLOCKS),
        "blocks of a stream": number_frame(BLOCKS, 1, 1),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_violation_costs_the_link(alone, bad):
    link = alone.link(Memory())
    link.request("POST", "/echo", end=False)
    link.send(bad[1])
    link.wait_closed()
    assert alone.link().get("/").status == 200


def test_a_link_without_memory_has_no_blocks(alone):
    link = alone.link()
    link.request("POST", "/echo", end=False)
    link.send(shared(0, 100))
    link.wait_closed()
    other = alone.link()
    assert "SHARED" not in other.get("/big?262144").frames


def test_scribbled_words_spoil_no_more_than_bodies(link):
    link.memory.map[: Memory.WORDS_BYTES] = b"\xff" * Memory.WORDS_BYTES
    link.answers_blocks = False
    stream = link.request("GET", "/big?65536")
    assert stream.next().kind == RESPONSE
    assert link.next(0).kind == BLOCKS
    link.memory.map[: Memory.WORDS_BYTES] = bytes(Memory.WORDS_BYTES)
    link.send(frame(BLOCKS))
    got = stream.next()
    assert (got.kind, got.end) == (SHARED, True) and link.memory.body(got) == BYTES * 256


def test_a_worker_whose_memory_is_none_says_so(alone):
    """A descriptor that is no such memory: the link is not opened, the others go on."""
    memory = Memory()
    os.close(memory.fd)
    memory.fd = os.memfd_create("other")
    alone.link(memory).wait_closed()
    alone.wait_log("cannot be mapped")
    assert alone.link().get("/").status == 200
