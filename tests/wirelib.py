"""A front and a super in Python: what a zq-worker sees of the rest of zq.

`Worker` execs a zq-worker with a control channel, `Link` is one I/O thread's end of a link, and
`Stream` one request on it. Formats: include/zq/wire.h and include/zq/control.h. Every wait has a
deadline of many times what it should take.
"""

import array
import fcntl
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("ZQ_BUILD_DIR", ROOT / "build" / "release"))
APPS = Path(__file__).resolve().parent / "apps"
PATIENCE = float(os.environ.get("ZQ_TEST_PATIENCE", "60"))

(REQUEST, RESPONSE, BODY, CREDIT, WANT, CANCEL, RESET, PING, PONG, PURGE, INFO,
 ANSWER, INTERIM, ROUTE, ROUTES, SHARED, BLOCKS, OFFER, LEND, KEEP,
 RETURNED) = range(1, 22)  # fmt: skip
NAMES = (
    "NONE REQUEST RESPONSE BODY CREDIT WANT CANCEL RESET PING PONG PURGE INFO ANSWER INTERIM ROUTE"
    " ROUTES SHARED BLOCKS OFFER LEND KEEP RETURNED"
).split()
END = 1
PAYLOAD_MAX = 1 << 20
REQUEST_WINDOW = 1 << 20
RESPONSE_WINDOW = 512 << 10
BODY_MAX = 64 << 10

(CONFIG, LISTENER, START, READY, LINKS, WORKER, WORKER_DEAD, GENERATION, WORKER_IDLE, WORKER_HUNG,
 WORKER_BAD, DRAIN, STOP, TOKEN) = range(1, 15)  # fmt: skip
CONTROL_FD = 3


class Timeout(Exception):
    pass


class Closed(Exception):
    pass


# ---- frames ----


def frame(kind, stream=0, payload=b"", flags=0):
    return struct.pack("=IIBBH", len(payload), stream, kind, flags, 0) + payload


def request_frame(
    stream,
    method="GET",
    target="/",
    headers=(),
    body=b"",
    end=True,
    *,
    path=b"",
    query=b"",
    scheme="http",
    minor=1,
    client=("127.0.0.1", 50000),
    server=("127.0.0.1", 8000),
):
    raw_path, mark, in_target = target.encode("latin-1").partition(b"?")
    strings = [
        method.encode(),
        scheme.encode(),
        raw_path,
        path,
        in_target if mark else query,
        (client[0] if client else "").encode(),
        (server[0] if server else "").encode(),
    ]
    fields = [(_bytes(n), _bytes(v)) for n, v in headers]
    head = struct.pack(
        "=BBHHH7I",
        minor,
        0,
        len(fields),
        client[1] if client else 0,
        (server[1] or 0) if server else 0,
        *(len(s) for s in strings),
    )
    packed = b"".join(struct.pack("=II", len(n), len(v)) + n + v for n, v in fields)
    payload = head + b"".join(strings) + packed + body
    return frame(REQUEST, stream, payload, END if end else 0)


def number_frame(kind, stream, number):
    return frame(kind, stream, struct.pack("=I", number))


def parse_response(payload):
    status, count = struct.unpack_from("=HH", payload)
    at, fields = 4, []
    for _ in range(count):
        n, v = struct.unpack_from("=II", payload, at)
        at += 8
        fields.append((payload[at : at + n], payload[at + n : at + n + v]))
        at += n + v
    return status, fields, payload[at:]


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


class Frame:
    def __init__(self, kind, stream, flags, payload):
        self.kind, self.stream, self.end, self.payload = kind, stream, bool(flags & END), payload

    @property
    def name(self):
        return NAMES[self.kind]

    @property
    def number(self):
        return struct.unpack("=I", self.payload)[0]

    def __repr__(self):
        end = " END" if self.end else ""
        return f"<{self.name} {self.stream}{end} {len(self.payload)} bytes>"


class Memory:
    """What super would make for one link: a region (include/zq/region.h)."""

    BLOCK_BYTES, WORDS_BYTES = 64 << 10, 4096
    TO_FRONT, TO_WORKER = range(64), range(64, 128)
    LEAST = 16 << 10

    def __init__(self):
        self.fd = os.memfd_create("bodies", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, self.WORDS_BYTES + 128 * self.BLOCK_BYTES)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, 1 | 2 | 4)  # F_SEAL_SEAL, _SHRINK, _GROW
        self.map = mmap.mmap(self.fd, 0)

    def word(self, block):
        return struct.unpack_from("=I", self.map, 4 * block)[0]

    def set_word(self, block, value):
        struct.pack_into("=I", self.map, 4 * block, value)

    def taken(self, blocks):
        return [i for i, block in enumerate(blocks) if self.word(block)]

    def body(self, got, free=True):
        """What a SHARED frame of the worker stands for."""
        block, size = struct.unpack("=II", got.payload)
        assert block in self.TO_FRONT and 0 < size <= self.BLOCK_BYTES and self.word(block) == 1
        at = self.WORDS_BYTES + block * self.BLOCK_BYTES
        data = self.map[at : at + size]
        if free:
            self.set_word(block, 0)
        return data

    def put(self, data):
        """The payload of a SHARED frame with this data, in the lowest free block."""
        block = next(i for i, block in enumerate(self.TO_WORKER) if self.word(block) == 0)
        self.set_word(self.TO_WORKER[block], 1)
        at = self.WORDS_BYTES + self.TO_WORKER[block] * self.BLOCK_BYTES
        self.map[at : at + len(data)] = data
        return struct.pack("=II", block, len(data))


class Response:
    """A whole response, with the frames that it came in."""

    def __init__(self):
        self.status = None
        self.headers = []
        self.interims = []
        self.body = b""
        self.reset = False
        self.frames = []

    def header(self, name):
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    def add(self, got, memory=None):
        self.frames.append(got.name)
        if got.kind == SHARED:
            got = Frame(BODY, got.stream, END if got.end else 0, memory.body(got))
        if got.kind == RESPONSE:
            assert self.status is None, "two RESPONSE frames"
            self.status, self.headers, self.body = parse_response(got.payload)
        elif got.kind == INTERIM:
            assert self.status is None, "INTERIM behind RESPONSE"
            self.interims.append(parse_response(got.payload))
        elif got.kind == BODY:
            assert self.status is not None, "BODY before RESPONSE"
            self.body += got.payload
        elif got.kind == RESET:
            self.reset = True
        return got.end or self.reset


class Link:
    """The front's end of a link. Frames are read in order, and may be waited for by stream."""

    def __init__(self, sock, memory=None):
        self.sock = sock
        self.memory = memory
        self.answers_blocks = True
        self.keeps_offers = True
        self.sock.setblocking(False)
        self.buffer = b""
        self.frames = []
        self.streams = 0
        self.routes = []  # the worker's first frames, up to ROUTES
        self.declared = False

    def send(self, data, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        view = memoryview(data)
        while view:
            _wait(self.sock, select.POLLOUT, deadline)
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                raise Closed from None

    def read(self, deadline):
        """Some bytes from the worker; Closed at the end."""
        _wait(self.sock, select.POLLIN, deadline)
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            raise Closed from None
        if not data:
            raise Closed
        self.buffer += data
        while len(self.buffer) >= 12:
            length, stream, kind, flags, zero = struct.unpack_from("=IIBBH", self.buffer)
            assert zero == 0 and 0 < kind < len(NAMES) and length <= PAYLOAD_MAX
            if len(self.buffer) < 12 + length:
                break
            self.take(Frame(kind, stream, flags, self.buffer[12 : 12 + length]))
            self.buffer = self.buffer[12 + length :]

    def take(self, got):
        """What a worker declares comes first, and only there."""
        if got.kind == BLOCKS and self.answers_blocks:
            self.send(frame(BLOCKS))
        elif got.kind == OFFER and self.keeps_offers:
            self.send(frame(KEEP, got.stream))
        elif self.declared:
            assert got.kind not in (ROUTE, ROUTES), got
            self.frames.append(got)
        elif got.kind == ROUTE:
            self.routes.append(got)
        else:
            assert got.kind == ROUTES and got.number == len(self.routes), got
            self.declared = True

    def next(self, stream=None, kinds=None, timeout=PATIENCE):
        """The first frame (of that stream, of those kinds)."""
        deadline = time.monotonic() + timeout
        while True:
            for i, got in enumerate(self.frames):
                if (stream is None or got.stream == stream) and (not kinds or got.kind in kinds):
                    return self.frames.pop(i)
            self.read(deadline)

    def nothing(self, seconds, stream=None):
        """Asserts that no frame comes for a while."""
        try:
            got = self.next(stream, timeout=seconds)
        except Timeout:
            return
        raise AssertionError(f"unexpected {got!r}")

    def request(self, method="GET", target="/", headers=(), body=b"", end=True, **more):
        self.streams += 1
        stream = Stream(self, self.streams)
        self.send(request_frame(stream.id, method, target, headers, body, end, **more))
        return stream

    def get(self, target="/", headers=(), **more):
        return self.request("GET", target, headers, **more).response()

    def ping(self, number=1):
        self.send(number_frame(PING, 0, number))
        return self.next(0, [PONG]).number

    def wait_closed(self, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.read(deadline)
        except Closed:
            return

    def close(self):
        self.sock.close()


class Stream:
    def __init__(self, link, number):
        self.link = link
        self.id = number

    def next(self, *kinds, timeout=PATIENCE):
        return self.link.next(self.id, kinds, timeout)

    def body(self, data, end=False):
        self.link.send(frame(BODY, self.id, data, END if end else 0))

    def shared(self, data, end=False):
        self.link.send(frame(SHARED, self.id, self.link.memory.put(data), END if end else 0))

    def credit(self, number):
        self.link.send(number_frame(CREDIT, self.id, number))

    def lend(self, *sockets):
        """LEND, with copies of these."""
        fds = array.array("i", [each.fileno() for each in sockets])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if sockets else []
        self.link.sock.sendmsg([frame(LEND, self.id)], rights)

    def cancel(self):
        self.link.send(frame(CANCEL, self.id))

    def nothing(self, seconds):
        self.link.nothing(seconds, self.id)

    def response(self, credit=True, timeout=PATIENCE):
        """The whole response; gives credit for what it takes."""
        deadline = time.monotonic() + timeout
        response = Response()
        while True:
            got = self.next(timeout=deadline - time.monotonic())
            before = len(response.body)
            if response.add(got, self.link.memory):
                return response
            if credit and got.kind in (BODY, SHARED) and len(response.body) > before:
                self.credit(len(response.body) - before)


def _wait(sock, events, deadline):
    poll = select.poll()
    poll.register(sock, events)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise Timeout(f"nothing happened before the deadline (patience: {PATIENCE} s)")


# ---- the worker ----


def workers():
    """Every zq-worker that is to be tested."""
    named = os.environ.get("ZQ_WORKERS", "").replace(":", " ").split()
    return [Path(w) for w in named] or [BUILD / "zq-worker"]


class Worker:
    """A zq-worker, and super's end of its control channel."""

    def __init__(self, app, executable=None, env=None, start=True, links=1, **options):
        self.executable = Path(executable or workers()[0])
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.stderr = os.memfd_create("stderr")
        environ = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
        environ.update(PYTHONDONTWRITEBYTECODE="1", NO_COLOR="1")
        environ.update(env or {})
        self.process = subprocess.Popen(
            [self.executable],
            stdin=subprocess.DEVNULL,
            stdout=self.stderr,
            stderr=self.stderr,
            env=environ,
            close_fds=False,
            preexec_fn=lambda: os.dup2(theirs.fileno(), CONTROL_FD),
        )
        theirs.close()
        options = {"app-dir": str(APPS), **{k.replace("_", "-"): v for k, v in options.items()}}
        lines = [f"app={app}", *(f"{k}={v}" for k, v in options.items())]
        self.links = []
        self.tell(CONFIG, text="".join(line + "\n" for line in lines))
        if start:
            self.ready = self.wait_ready()
            for _ in range(links):
                self.link()

    def tell(self, kind, value=0, text="", fds=()):
        data = text.encode()
        packet = struct.pack("=IIIIq", kind, 1, 1, len(data), value) + data
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.control.sendmsg([packet], rights)

    def wait_ready(self, timeout=PATIENCE):
        """READY's text; Closed if the worker ends instead."""
        _wait(self.control, select.POLLIN, time.monotonic() + timeout)
        try:
            data = self.control.recv(70000)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(self.log())
        kind, _, _, length, _ = struct.unpack_from("=IIIIq", data)
        assert kind == READY
        return data[24 : 24 + length].decode()

    def link(self, memory=None):
        """A new link, adopted by the worker."""
        ours, theirs = socket.socketpair()
        shared = [memory.fd] if memory else []
        self.tell(LINKS, len(shared), fds=[theirs.fileno(), *shared])
        theirs.close()
        self.links.append(Link(ours, memory))
        return self.links[-1]

    def stop(self, ms=int(PATIENCE * 1000)):
        self.tell(STOP, ms)

    def wait(self, timeout=PATIENCE):
        """The exit status."""
        return self.process.wait(timeout)

    def log(self):
        size = os.fstat(self.stderr).st_size
        return os.pread(self.stderr, size, 0).decode(errors="replace")

    def wait_log(self, text, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        while text not in self.log():
            if time.monotonic() > deadline:
                raise Timeout(f"not in the log: {text!r}\n{self.log()}")
            time.sleep(0.01)
        return self.log()

    def close(self):
        """Ends it as super would, so that its exit is part of every test; by force if need be."""
        try:
            self.stop(200)
            self.process.wait(PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            pass
        for link in self.links:
            link.close()
        self.control.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if exc[0] is not None:
            print(self.log())
        self.close()
