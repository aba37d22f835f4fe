"""One request and its whole answer, for checks: small, strict, and with a deadline."""

from __future__ import annotations

import hashlib
import re
import socket
from dataclasses import dataclass

DEADLINE_S = 20.0
AUTHORITY = re.compile(rb"127\.0\.0\.1:\d+")


@dataclass
class Answer:
    """A response, its content decoded from chunks; `raw` is every byte as it came."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    raw: bytes

    def get(self, name: str) -> str | None:
        return next((value for n, value in self.fields if n == name), None)

    def same(self) -> tuple[int, int, str]:
        """What must be equal for all contestants: status, length, sha256 of the content."""
        body = normalised(self.body)
        return self.status, len(body), hashlib.sha256(body).hexdigest()


def normalised(body: bytes) -> bytes:
    """Without what differs by right: the server's own address."""
    return AUTHORITY.sub(b"127.0.0.1:0", body)


def request_bytes(
    port: int, method: str, target: str, body: bytes = b"", close: bool = False
) -> bytes:
    """The same fields as wrk sends, so that a cache finds the same key and variant."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    last = "Connection: close\r\n" if close else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{length}{last}\r\n"
    return head.encode() + body


class Connection:
    """A keep-alive connection."""

    def __init__(self, port: int):
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.buffer = b""
        self.raw = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(
        self, target: str, method: str = "GET", body: bytes = b"", close: bool = False
    ) -> Answer:
        self.raw = b""
        self.socket.sendall(request_bytes(self.port, method, target, body, close))
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:])
        fields = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        answer = Answer(int(head[0].split()[1]), fields, b"", b"")
        if answer.get("transfer-encoding") == "chunked":
            answer.body = b"".join(self._chunks())
        else:
            answer.body = self._exactly(int(answer.get("content-length") or 0))
        answer.raw = self.raw
        return answer

    def _more(self) -> None:
        data = self.socket.recv(262144)
        if not data:
            raise ConnectionError("the server closed in the middle of a response")
        self.buffer += data

    def _exactly(self, n: int) -> bytes:
        while len(self.buffer) < n:
            self._more()
        found, self.buffer = self.buffer[:n], self.buffer[n:]
        self.raw += found
        return found

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            self._more()
        return self._exactly(self.buffer.index(mark) + len(mark))[: -len(mark)]

    def _chunks(self):
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            chunk = self._exactly(size)
            self._exactly(2)
            if size == 0:
                return
            yield chunk


def ask(
    port: int, target: str, method: str = "GET", body: bytes = b"", close: bool = False
) -> Answer:
    """One request on a connection of its own; `close` says so in the request."""
    with Connection(port) as connection:
        return connection.ask(target, method, body, close)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
