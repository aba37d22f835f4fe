"""A worker that breaks what can be broken, for test_hostile_worker.py, which makes it executable.

Instance 0, and every one behind the attacks, is the real worker ($HOSTILE_REAL). Instance N carries
out attack N - 1 of $HOSTILE_ATTACKS (separated by commas) when the first request reaches it, makes
$HOSTILE/done-N, and then waits to be killed (BLAMED) or dies (EITHER). A DECLARED one comes where a
worker declares its routes, before any request.
"""

import contextlib
import mmap
import os
import pathlib
import random
import select
import signal
import socket
import struct
import sys
import time

home = pathlib.Path(os.environ.get("HOSTILE", "."))
CONTROL = struct.Struct("=IIIIq")  # type, worker, generation, length of the text, value
CONFIG, READY, LINKS = 1, 4, 5
(REQUEST, RESPONSE, BODY, CREDIT, WANT, CANCEL, RESET, PING, PONG, PURGE, INFO, ANSWER, INTERIM,
 ROUTE, ROUTES, SHARED, BLOCKS, OFFER, LEND, KEEP, RETURNED) = range(1, 22)  # fmt: skip
END = 1
BLOCK_BYTES, WORDS_BYTES, TO_FRONT_BLOCKS = 64 << 10, 4096, 64  # zq/region.h
TO_WORKER_BLOCKS = 64
REGION_BYTES = WORDS_BYTES + (TO_FRONT_BLOCKS + TO_WORKER_BLOCKS) * BLOCK_BYTES
TAKEN = struct.pack("=I", 1) * TO_WORKER_BLOCKS
memories = []  # what is shared with the front


def number():
    for n in range(1 << 20):
        try:
            os.close(os.open(home / f"start-{n}", os.O_CREAT | os.O_EXCL))
            return n
        except FileExistsError:
            continue


def frame(kind, stream=0, payload=b"", flags=0, zero=0):
    return struct.pack("=IIBBH", len(payload), stream, kind, flags, zero) + payload


def response(stream, status=200, fields=((b"x-evil", b"1"),), body=b"", end=False):
    packed = b"".join(struct.pack("=II", len(n), len(v)) + n + v for n, v in fields)
    payload = struct.pack("=HH", status, len(fields)) + packed + body
    return frame(RESPONSE, stream, payload, END if end else 0)


def interim(stream, status=103, fields=((b"link", b"</a>"),), body=b""):
    packed = b"".join(struct.pack("=II", len(n), len(v)) + n + v for n, v in fields)
    return frame(INTERIM, stream, struct.pack("=HH", status, len(fields)) + packed + body)


def shared(stream, block=0, size=BLOCK_BYTES, end=False):
    return frame(SHARED, stream, struct.pack("=II", block, size), END if end else 0)


LONG = 1 << 20


def offer(stream, size=LONG, length=LONG):
    fields = ((b"content-length", b"%d" % length), (b"x-evil", b"1"))
    return response(stream, fields=fields) + frame(OFFER, stream, struct.pack("=I", size))


def returned(stream, size=LONG, end=True):
    return frame(RETURNED, stream, struct.pack("=I", size), END if end else 0)


def scribble(stream):
    """Other words and other bytes than it says, before and while the front looks."""
    if os.fork() == 0:
        for i in range(200):
            for memory in memories:
                memory[:WORDS_BYTES] = (
                    random.Random(i).choice((b"\0", b"\xff", b"\1")) * WORDS_BYTES
                )
                memory[WORDS_BYTES : WORDS_BYTES + 4 * BLOCK_BYTES] = os.urandom(4 * BLOCK_BYTES)
            time.sleep(0.001)
        os._exit(0)
    return response(stream) + shared(stream, 1) + shared(stream, 2) + shared(stream, 3)


def noise(seed, stream):
    """A plausible conversation with a few bytes of it changed."""
    rng = random.Random(seed)
    data = bytearray(
        interim(stream)
        + response(stream, body=b"a" * rng.randrange(100))
        + frame(BODY, stream, b"b" * rng.randrange(5000))
        + frame(CREDIT, stream, struct.pack("=I", rng.randrange(1 << 32)))
        + frame(WANT, stream)
        + frame(INFO, 0, b"\1\0\0\0")
        + frame(PURGE, 0, struct.pack("=IBBH", 1, rng.randrange(8), 0, 0) + b"/none")
        + shared(stream, rng.randrange(TO_FRONT_BLOCKS), rng.randrange(1, BLOCK_BYTES))
        + frame(BLOCKS)
        + frame(OFFER, stream, struct.pack("=I", rng.randrange(1 << 21)))
        + returned(stream, rng.randrange(1 << 21), rng.randrange(2))
        + frame(BODY, stream, b"c", END)
    )
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.randrange(1, len(data) + 1)])


def route(
    kind=0, given=0, status=0, texts=(b"/evil", b"GET", b"why"), lists=((), (), (), ()),
    fields=(), body=b"", zero=0, lengths=None, counts=None, n_fields=None,
):  # fmt: skip
    head = struct.pack(
        "=BBHHH3H4HH",
        kind,
        given,
        status,
        len(fields) if n_fields is None else n_fields,
        zero,
        *(lengths or map(len, texts)),
        *(counts or map(len, lists)),
        0,
    )
    names = b"".join(struct.pack("=H", len(n)) + n for names in lists for n in names)
    packed = b"".join(struct.pack("=II", len(n), len(v)) + n + v for n, v in fields)
    return frame(ROUTE, 0, head + b"".join(texts) + names + packed + body)


def routes(n):
    return frame(ROUTES, 0, struct.pack("=I", n))


# The same, instead of what a worker declares.
DECLARED = {
    "route-kind": lambda: route(kind=9),
    "route-given": lambda: route(given=4),
    "route-zero": lambda: route(zero=1),
    "route-stream": lambda: frame(ROUTE, 7, bytes(24)),
    "route-pattern": lambda: route(texts=(b"evil", b"GET", b"")),
    "route-two-in-one": lambda: route(texts=(b"/<a><b>", b"GET", b"")),
    "route-bounds": lambda: route(texts=(b"/<int(min=2,max=1):a>", b"GET", b"")),
    "route-value": lambda: route(texts=(b"/<int(max=9999999999999999999):a>", b"GET", b"")),
    "route-set": lambda: route(texts=(b"/<chars(\xff):a>", b"GET", b"")),
    "route-items": lambda: route(texts=(b"/<any(a,,b):a>", b"GET", b"")),
    "route-no-method": lambda: route(texts=(b"/evil", b"", b"")),
    "route-method": lambda: route(texts=(b"/evil", b"GET,", b"")),
    "route-why": lambda: route(texts=(b"/evil", b"GET", b"a\nb")),
    "route-lengths": lambda: route(lengths=(65535, 65535, 65535)),
    "route-list": lambda: route(given=1, counts=(65535, 0, 0, 0)),
    "route-unsaid-list": lambda: route(lists=((b"a",), (), (), ())),
    "route-empty-name": lambda: route(lists=((), (b"",), (), ())),
    "route-fields": lambda: route(kind=2, status=200, n_fields=65535),
    "route-body": lambda: route(body=b"x"),
    "route-status": lambda: route(kind=2, status=199),
    "route-count": lambda: route() + routes(2),
    "route-no-end": lambda: route() + frame(INFO, 0, bytes(4)),
    "routes-twice": lambda: routes(0) + routes(0),
    "routes-late": lambda: routes(0) + route(),
    "routes-many": lambda: b"".join(route(texts=(b"/%d" % i, b"GET", b"")) for i in range(4097)),
    "routes-large": lambda: b"".join(
        route(kind=2, status=200, texts=(b"/%d" % i, b"GET", b""), body=bytes((1 << 20) - 99))
        for i in range(65)
    ),
}
# What is seen only in the routes that are used, of the first worker that has declared.
UNUSED = {
    "route-injects": lambda: route(kind=2, status=200, fields=((b"a", b"b\r\ninjected: 1"),)),
    "route-length": lambda: route(kind=2, status=200, fields=((b"content-length", b"5"),)),
    "route-conflict": lambda: 2 * route(),
}
# What must be laid to this worker's charge: all it sends, given the stream of a request.
BLAMED = {
    "bytes": lambda s: b"\xff" * 4096,
    "http": lambda s: b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "type-0": lambda s: frame(0, s),
    "type-200": lambda s: frame(200, s),
    "flags": lambda s: frame(BODY, s, b"", 0xFF),
    "zero": lambda s: frame(BODY, s, b"", 0, 1),
    "length": lambda s: struct.pack("=IIBBH", 0xFFFFFFFF, s, BODY, 0, 0),
    "too-long": lambda s: struct.pack("=IIBBH", (1 << 20) + 1, s, RESPONSE, 0, 0),
    "front-request": lambda s: frame(REQUEST, s, bytes(36)),
    "front-cancel": lambda s: frame(CANCEL, s),
    "front-ping": lambda s: frame(PING, 0, bytes(4)),
    "front-answer": lambda s: frame(ANSWER, 0, struct.pack("=IHH", 1, 200, 0)),
    "pong": lambda s: frame(PONG, 0, struct.pack("=I", 0xDEADBEEF)),
    "pong-stream": lambda s: frame(PONG, s, bytes(4)),
    "other-stream": lambda s: response(s + 1, end=True),
    "far-stream": lambda s: response(0xFFFFFFFF, end=True),
    "no-stream": lambda s: frame(BODY, 0, b"x"),
    "two-heads": lambda s: response(s) + response(s, end=True),
    "body-first": lambda s: frame(BODY, s, b"x", END),
    "after-end": lambda s: response(s, end=True) + frame(BODY, s, b"x"),
    "after-reset": lambda s: frame(RESET, s) + response(s, end=True),
    "status-99": lambda s: response(s, 99, end=True),
    "status-100": lambda s: response(s, 100),
    "interim-100": lambda s: interim(s, 100),
    "interim-101": lambda s: interim(s, 101),
    "interim-200": lambda s: interim(s, 200),
    "interim-body": lambda s: interim(s, body=b"x"),
    "interim-end": lambda s: frame(INTERIM, s, struct.pack("=HH", 103, 0), END),
    "interim-late": lambda s: response(s) + interim(s),
    "interim-long": lambda s: interim(s, fields=((b"a", b"x" * (16 << 10)),)),
    "interim-many": lambda s: 17 * interim(s),
    "interim-injects": lambda s: interim(s, fields=((b"a", b"b\r\ninjected: 1"),)),
    "status-600": lambda s: response(s, 600, end=True),
    "fields-short": lambda s: frame(RESPONSE, s, struct.pack("=HH", 200, 9), END),
    "fields-many": lambda s: frame(RESPONSE, s, struct.pack("=HH", 200, 0xFFFF) + bytes(80), END),
    "field-empty": lambda s: response(s, fields=((b"", b"x"),), end=True),
    "field-wraps": lambda s: frame(
        RESPONSE, s, struct.pack("=HHII", 200, 1, 1, 0xFFFFFFFF) + b"ab", END
    ),
    "credit-0": lambda s: frame(CREDIT, s, bytes(4)),
    "credit-max": lambda s: frame(CREDIT, s, b"\xff" * 4),
    "credit-short": lambda s: frame(CREDIT, s, b"\1"),
    "shared-far": lambda s: response(s) + shared(s, TO_FRONT_BLOCKS),
    "shared-wraps": lambda s: response(s) + shared(s, 0xFFFFFFFF),
    "shared-long": lambda s: response(s) + shared(s, 0, BLOCK_BYTES + 1),
    "shared-longest": lambda s: response(s) + shared(s, TO_FRONT_BLOCKS - 1, 0xFFFFFFFF),
    "shared-empty": lambda s: response(s) + shared(s, 0, 0, end=True),
    "shared-short": lambda s: response(s) + frame(SHARED, s, bytes(7)),
    "shared-first": lambda s: shared(s, end=True),
    "shared-no-stream": lambda s: shared(0),
    "shared-other-stream": lambda s: shared(s + 1),
    "shared-overruns": lambda s: response(s) + 9 * shared(s),
    "blocks-twice": lambda s: 2 * frame(BLOCKS),
    "blocks-stream": lambda s: frame(BLOCKS, s),
    "offer-0": lambda s: offer(s, 0),
    "offer-max": lambda s: offer(s, 0xFFFFFFFF),
    "offer-first": lambda s: frame(OFFER, s, struct.pack("=I", LONG)),
    "offer-twice": lambda s: offer(s) + frame(OFFER, s, struct.pack("=I", LONG)),
    "offer-short": lambda s: response(s) + frame(OFFER, s, b"abc"),
    "offer-no-stream": lambda s: frame(OFFER, 0, struct.pack("=I", LONG)),
    "offer-then-body": lambda s: offer(s) + frame(BODY, s, b"x"),
    "offer-then-shared": lambda s: offer(s) + shared(s),
    "returned-first": lambda s: returned(s),
    "returned-unlent": lambda s: response(s) + returned(s, 0, end=False),
    "returned-too-soon": lambda s: offer(s) + returned(s),
    "front-lend": lambda s: frame(LEND, s),
    "front-keep": lambda s: frame(KEEP, s),
    "purge-short": lambda s: frame(PURGE, 0, b"abc"),
    "purge-stream": lambda s: frame(PURGE, s, struct.pack("=IBBH", 1, 0, 0, 0) + b"/"),
}
# What is an application's error, or a death; the worker ends by itself behind it.
EITHER = {
    "dies": lambda s: b"",
    "dies-in-header": lambda s: b"\1\2\3",
    "dies-in-frame": lambda s: response(s, body=b"x" * 100)[:-50],
    "dies-in-body": lambda s: response(s, body=b"x" * 100),
    "resets": lambda s: frame(RESET, s),
    "injects": lambda s: response(
        s, fields=((b"a", b"b\r\ninjected: 1"), (b"c\r\ninjected", b"1")), end=True
    ),
    "injects-body": lambda s: response(
        s,
        fields=((b"content-length", b"0"),),
        body=b"HTTP/1.1 200 OK\r\ninjected: 1\r\n\r\n",
        end=True,
    ),
    "two-lengths": lambda s: response(
        s, fields=((b"content-length", b"1"), (b"content-length", b"2")), body=b"x", end=True
    ),
    "frames-it-itself": lambda s: response(
        s, fields=((b"transfer-encoding", b"chunked"),), body=b"0\r\n\r\n", end=True
    ),
    "shorter": lambda s: response(s, fields=((b"content-length", b"10"),), body=b"x", end=True),
    "longer": lambda s: response(s, fields=((b"content-length", b"1"),), body=b"xyz", end=True),
    "overruns": lambda s: response(s) + 40 * frame(BODY, s, b"x" * 65536),
    "shares-one-twice": lambda s: response(s) + 3 * shared(s) + shared(s, end=True),
    "shares-small-ones": lambda s: response(s) + 5000 * shared(s, 1, 1),
    "scribbles": scribble,
    "offers-and-dies": lambda s: offer(s),
    "offers-and-resets": lambda s: offer(s) + frame(RESET, s),
    "offers-too-much": lambda s: offer(s, LONG + 1),
    "offers-chunks": lambda s: response(s) + frame(OFFER, s, struct.pack("=I", LONG)),
    "wants": lambda s: 100 * frame(WANT, s),
    "asks": lambda s: b"".join(frame(INFO, 0, struct.pack("=I", i)) for i in range(50)),
    "purges": lambda s: b"".join(
        frame(PURGE, 0, struct.pack("=IBBH", i, i, i % 2, 0) + b"/" * i) for i in range(9)
    ),
}


# What is done with a socket that was lent: link, stream and the socket.
def keep_it(link, stream, lent):
    """A child that no death of ours reaches has it, and writes to it for as long as it may."""
    if os.fork() == 0:
        link.close()
        with contextlib.suppress(OSError):
            for _ in range(300):
                lent.send(b"evil", socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
                time.sleep(0.01)
        os._exit(0)


def return_none(link, stream, lent):
    """As if the client took nothing, over and over."""
    lent.close()
    for _ in range(100):
        send(link, returned(stream, 0, end=False))
        again(link)


def return_without_writing(link, stream, lent):
    send(link, returned(stream))


LENT_BLAMED = {
    "lent-then-body": lambda link, s, lent: send(link, frame(BODY, s, b"x")),
    "lent-then-offer": lambda link, s, lent: send(link, frame(OFFER, s, struct.pack("=I", 1))),
    "lent-too-much": lambda link, s, lent: send(link, returned(s, LONG + 1)),
    "lent-end-of-half": lambda link, s, lent: send(link, returned(s, LONG // 2)),
    "lent-twice": lambda link, s, lent: send(link, 2 * returned(s, 1, end=False)),
}
LENT_EITHER = {
    "lent-and-dies": lambda link, s, lent: None,
    "lent-and-resets": lambda link, s, lent: send(link, frame(RESET, s)),
    "lent-and-shut": lambda link, s, lent: lent.shutdown(socket.SHUT_RDWR),
    "lent-to-a-child": keep_it,
    "lent-for-nothing": return_none,
    "lent-unused": return_without_writing,
}
BLAMED |= dict.fromkeys(LENT_BLAMED)
EITHER |= dict.fromkeys(LENT_EITHER)


def again(link):
    """The socket that is lent next."""
    link.settimeout(5)
    while True:
        data, fds, _, _ = socket.recv_fds(link, 1 << 16, 4)
        if fds:
            return socket.socket(fileno=fds[0])
        if not data:
            sys.exit(0)


def borrow(link, stream, attack):
    send(link, offer(stream))
    (LENT_BLAMED | LENT_EITHER)[attack](link, stream, again(link))


def receive(control):
    """The type, and the sockets that came; memory that came is mapped."""
    packet, fds, _, _ = socket.recv_fds(control, 1 << 17, 200)
    if not packet:
        sys.exit(0)
    kind, _, _, _, shares_memory = CONTROL.unpack_from(packet)
    if kind == LINKS and shares_memory:
        memories.append(mmap.mmap(fds.pop(), 0))
    return kind, fds


def take_blocks():
    """All that uploads could have: what was sent before that would wait for nothing."""
    for memory in memories:
        for at in range(0, len(memory), REGION_BYTES):
            words = at + 4 * TO_FRONT_BLOCKS
            memory[words : words + len(TAKEN)] = TAKEN


def first_request(links):
    """The link on which a request came, and its stream. Pings are answered."""
    while True:
        for link in select.select(links, [], [])[0]:
            head = link.recv(12, socket.MSG_WAITALL)
            if len(head) < 12:
                sys.exit(0)
            length, stream, kind, _, _ = struct.unpack("=IIBBH", head)
            payload = link.recv(length, socket.MSG_WAITALL) if length else b""
            if kind == PING:
                link.sendall(frame(PONG, 0, payload))
            if kind == REQUEST:
                return link, stream


def send(link, data):
    link.settimeout(5)
    try:
        for at in range(0, len(data), 65536):
            link.sendall(data[at : at + 65536])
    except OSError:
        pass  # the front has had enough


def main():
    n = number()
    attacks = os.environ["HOSTILE_ATTACKS"].split(",")
    if n == 0 or n > len(attacks):
        real = os.environ["HOSTILE_REAL"]
        os.execv(real, [real, *sys.argv[1:]])
    attack = attacks[n - 1]
    control = socket.socket(fileno=3)
    assert receive(control)[0] == CONFIG
    control.send(CONTROL.pack(READY, 0, 0, 14, 0) + b"3.99.0 asyncio")
    links = []
    while not links:
        kind, fds = receive(control)
        links += [socket.socket(fileno=fd) for fd in fds] if kind == LINKS else []
    if attack in DECLARED | UNUSED:
        (home / f"done-{n}").touch()
        send(links[0], (DECLARED | UNUSED)[attack]())  # thread 0's, which keeps what is declared
        if attack in DECLARED:
            signal.pause()
        time.sleep(0.05)
        os._exit(0)
    if attack == "keeps-blocks":
        take_blocks()
    for each in links:
        send(each, routes(0))
    link, stream = first_request(links)
    (home / f"done-{n}").touch()
    if attack.startswith("noise-"):
        send(link, noise(attack, stream))
        time.sleep(0.1)
    elif attack.startswith("control-"):
        for _ in range(20):
            send(control, random.Random(attack).randbytes(64))
    elif attack == "keeps-blocks":
        while True:  # answers pings as if it had given them back
            first_request(links)
    elif attack.startswith("lent-"):
        borrow(link, stream, attack)
    else:
        send(link, (BLAMED | EITHER)[attack](stream))
    if attack in BLAMED:
        signal.pause()
    time.sleep(0.05)
    os._exit(0)


if __name__ == "__main__":
    main()
