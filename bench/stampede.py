"""A stampede: many clients ask for one page that nobody has asked for before."""

from __future__ import annotations

import re
import selectors
import socket
import time
from dataclasses import dataclass

from bench import machine, probe
from bench.contestants import Running

DEADLINE_S = 60.0
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n(?:.*\r\n)*?\r\n", re.I)
"""In a head that is whole."""


@dataclass
class Served:
    """One client's response, and when (time.monotonic_ns) it had all of it; status 0: it never
    did."""

    status: int = 0
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    at_ns: int = 0

    def get(self, name: str) -> str | None:
        return next((value for n, value in self.fields if n == name), None)


class Incoming:
    """What a connection has brought so far. Read now, and looked into when all have been served:
    the generator's own work is part of what is measured."""

    def __init__(self):
        self.data = bytearray()
        self.whole = 0
        """Bytes of head and content; 0: not known yet."""
        self.at_ns = 0
        """When all of it was there."""

    def take(self, data: bytes) -> bool:
        """True when the response is whole."""
        self.data += data
        if self.whole == 0 and (found := LENGTH.search(self.data)):
            self.whole = self.data.index(b"\r\n\r\n") + 4 + int(found[1])
        if self.whole == 0 or len(self.data) < self.whole:
            return False
        self.at_ns = time.monotonic_ns()
        return True

    def served(self) -> Served:
        if self.at_ns == 0:
            return Served()
        head, _, body = bytes(self.data).partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        pairs = (field.partition(":") for field in lines)
        fields = tuple((name.lower(), value.strip()) for name, _, value in pairs)
        return Served(int(line.split()[1]), fields, body, self.at_ns)


class Crowd:
    """`clients` connections, opened before; `ask` sends on all of them as fast as one thread can,
    and `served` waits for the answers. Close it."""

    def __init__(self, port: int, clients: int):
        if machine.raise_file_limit() < clients + 100:
            raise OSError(f"{clients} connections are more than this process may open")
        self.port = port
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(clients)]

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_) -> None:
        for one in self.sockets:
            one.close()

    def ask(self, target: str) -> None:
        data = probe.request_bytes(self.port, "GET", target)
        for one in self.sockets:
            one.sendall(data)

    def served(self) -> list[Served]:
        incoming = [Incoming() for _ in self.sockets]
        with selectors.DefaultSelector() as selector:
            for one, its in zip(self.sockets, incoming, strict=True):
                selector.register(one, selectors.EVENT_READ, its)
            end = time.monotonic() + DEADLINE_S
            while selector.get_map() and time.monotonic() < end:
                for key, _ in selector.select(1):
                    if self._is_over(key):
                        selector.unregister(key.fileobj)
        return [its.served() for its in incoming]

    @staticmethod
    def _is_over(key) -> bool:
        try:
            data = key.fileobj.recv(1 << 18)
        except ConnectionError:
            return True
        return not data or key.data.take(data)


def measure(running: Running, target: str, clients: int) -> dict:
    """One stampede. The view says in X-Made when it was done (time.monotonic_ns, the same clock in
    all processes): how many milliseconds later the first and the last client had all of it."""
    with Crowd(running.port, clients) as crowd:
        crowd.ask(target)
        served = crowd.served()
    wrong = [one.status for one in served if one.status != 200]
    if wrong:
        raise ValueError(f"{len(wrong)} of {clients} were not served: {wrong[:5]}")
    made_ns = max(int(one.get("x-made")) for one in served)
    after_ms = sorted((one.at_ns - made_ns) / 1e6 for one in served)
    return {
        "clients": clients,
        "first_ms": after_ms[0],
        "half_ms": after_ms[clients // 2],
        "last_ms": after_ms[-1],
    }
