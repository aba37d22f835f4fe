"""What the tests over real sockets share: a running `zq serve`, and a client that hides nothing.

Every wait has a deadline (`DEADLINE` seconds, generous: it decides nothing but a hang). Servers
listen on loopback, on a port the kernel picks, and are stopped by their pid.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("ZQ_BUILD_DIR", ROOT / "build" / "release"))
APPS = ROOT / "tests" / "apps"
ZQ = BUILD / "zq"
DEADLINE = 60.0
READY = re.compile(r"ready on (\S+(?:, \S+)*) \((.*)\)")


def workers() -> list[pathlib.Path]:
    """The zq-worker of every interpreter that was built, the default one first."""
    listed = os.environ.get("ZQ_WORKERS", "")
    return [pathlib.Path(p) for p in listed.split(":") if p] or [BUILD / "zq-worker"]


def venv_of(worker: pathlib.Path) -> pathlib.Path:
    """The virtual environment that has the frameworks for that worker's interpreter."""
    version = re.search(r"zq-worker-(3\.\d+)", worker.name)
    if version:
        special = ROOT / "build" / f"venv-{version[1]}"
        if special.exists():
            return special
    return ROOT / "build" / "venv"


def wait_for(
    condition: Callable[[], object], what: str, deadline: float = DEADLINE, pause: float = 0.01
):
    """Polls until `condition()` is true and returns its value; fails the test at the deadline."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}")
        time.sleep(pause)


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


class Response:
    """A response as it came: `status`, `reason`, `headers` (list of (lower-case name, value)),
    `body`; `head` is the raw head."""

    def __init__(self, head: bytes):
        self.head = head
        line, *fields = head.decode("latin-1").split("\r\n")
        version, status, self.reason = line.split(" ", 2)
        assert version == "HTTP/1.1", line
        self.status = int(status)
        self.headers = []
        for field in fields:
            name, colon, value = field.partition(":")
            assert colon, field
            self.headers.append((name.lower(), value.strip(" \t")))
        self.body = b""
        self.complete = True

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} appears {len(values)} times"
        return values[0] if values else None

    def __repr__(self) -> str:
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


class Closed(Exception):
    """The server closed the connection where a response was expected."""


class Client:
    """One connection. `send` what you like; `response` reads exactly one response."""

    def __init__(self, address, timeout: float = DEADLINE, **options):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if family == socket.AF_INET and ":" in address[0]:
            family = socket.AF_INET6
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        for option, value in options.items():
            self.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        self.socket.connect(address)
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def request(
        self,
        target: str = "/",
        method: str = "GET",
        headers: dict[str, str] | list[tuple[str, str]] = (),
        body: bytes | None = None,
        version: str = "HTTP/1.1",
        host: str | None = "test",
    ) -> Response:
        """Sends one well-formed request and reads its response."""
        self.send_request(target, method, headers, body, version, host)
        return self.response(head=method == "HEAD")

    def send_request(
        self, target="/", method="GET", headers=(), body=None, version="HTTP/1.1", host="test"
    ) -> None:
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        lines = [f"{method} {target} {version}"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in pairs]
        if body is not None and not any(n.lower() == "transfer-encoding" for n, _ in pairs):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines) + "\r\n\r\n")
        if body:
            self.send(body)

    def receive(self) -> bytes:
        data = self.socket.recv(65536)
        self.buffer += data
        return data

    def until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self.receive():
                raise Closed(self.buffer)
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def exactly(self, n: int) -> bytes:
        while len(self.buffer) < n:
            if not self.receive():
                raise Closed(self.buffer)
        found, self.buffer = self.buffer[:n], self.buffer[n:]
        return found

    def head(self) -> Response:
        """Reads one head, and leaves the content."""
        return Response(self.until(b"\r\n\r\n"))

    def response(self, head: bool = False) -> Response:
        """Reads one final response. Content that is cut short sets `complete` to False."""
        response = self.head()
        while response.status < 200:
            response = self.head()
        if head or response.status in (204, 304):
            return response
        try:
            self.read_content(response)
        except (Closed, ConnectionError):
            response.complete = False
        return response

    def reach(self, target: str, *request, **more) -> None:
        """Sends a request, and waits until the application has it: it sends an interim response."""
        self.send_request(target, *request, **more)
        assert self.head().status == 103

    def read_content(self, response: Response) -> None:
        if response.get("transfer-encoding") == "chunked":
            assert response.get("content-length") is None
            for chunk in self.chunks():
                response.body += chunk
        elif response.get("content-length") is not None:
            response.body = self.exactly(int(response.get("content-length")))
        else:
            assert response.get("connection") == "close"
            response.body = self.rest()

    def chunks(self) -> Iterator[bytes]:
        while True:
            size = int(self.until(b"\r\n"), 16)
            chunk = self.exactly(size)
            assert self.exactly(2) == b"\r\n"
            if size == 0:
                return
            yield chunk

    def rest(self) -> bytes:
        """Everything until the server closes."""
        while self.receive():
            pass
        found, self.buffer = self.buffer, b""
        return found

    def closed(self) -> bool:
        """Waits for the server's close; False when it sends something instead."""
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except ConnectionError:
            return True


class Server:
    """A running `zq serve`. Use `serve()`."""

    def __init__(self, command: list[str], env: dict[str, str], directory: pathlib.Path, **options):
        self.stderr_path, self.stdout_path = directory / "stderr", directory / "stdout"
        with open(self.stderr_path, "wb") as err, open(self.stdout_path, "wb") as out:
            stdout = options.pop("stdout", out)
            self.process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=err, **options
            )
        self.pid = self.process.pid
        self.addresses: list[str] = []

    @property
    def log(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    @property
    def access_log(self) -> str:
        return self.stdout_path.read_text(errors="replace")

    def wait_ready(self) -> None:
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"zq exited with {self.process.returncode}:\n{self.log}")
            return READY.search(self.log)

        self.addresses = wait_for(ready, "the ready line")[1].split(", ")

    @property
    def address(self):
        return self.address_of(self.addresses[0])

    @staticmethod
    def address_of(text: str):
        """What socket.connect wants for an address of the ready line."""
        if text.startswith("unix:"):
            return text.removeprefix("unix:")
        host, _, port = text.removeprefix("http://").rpartition(":")
        return host.strip("[]"), int(port)

    def client(self, **options) -> Client:
        return Client(self.address, **options)

    def get(self, target: str = "/", **options) -> Response:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.request(target, **options)

    def children(self) -> dict[str, list[int]]:
        """Pids of super's children by role: `front`, `worker`."""
        found: dict[str, list[int]] = {"front": [], "worker": []}
        listed = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        for pid in map(int, listed.split()):
            with contextlib.suppress(OSError):
                argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                found["front" if b"@front" in argv else "worker"].append(pid)
        return found

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = DEADLINE) -> int:
        return self.process.wait(timeout)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not stop:\n{self.log}") from None


@contextlib.contextmanager
def serve(
    app: str = "basic:app",
    *options: str,
    app_dir: pathlib.Path = APPS,
    worker: pathlib.Path | None = None,
    venv: pathlib.Path | bool = False,
    env: dict[str, str] | None = None,
    listen: tuple[str, ...] = ("--port=0",),
    ready: bool = True,
    **popen,
) -> Iterator[Server]:
    """Runs `zq serve APP OPTIONS` until the block ends; a server that the block has not ended must
    then stop cleanly. `venv`: True for the one that has the frameworks."""
    worker = worker or workers()[0]
    command = [str(ZQ), "serve", *listen, f"--app-dir={app_dir}", f"--worker-executable={worker}"]
    if venv:
        command.append(f"--venv={venv_of(worker) if venv is True else venv}")
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "VIRTUAL_ENV", "PYTEST_"))
    }
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"} | (env or {})
    with tempfile.TemporaryDirectory(prefix="zq-test-") as directory:
        server = Server([*command, *options, app], environment, pathlib.Path(directory), **popen)
        try:
            if ready:
                server.wait_ready()
            yield server
        except BaseException:
            print(f"--- log of zq serve\n{server.log}", file=sys.stderr)
            server.process.kill()
            server.process.wait()
            raise
        if server.process.poll() is None:
            status = server.stop()
            assert status == 0, f"exit status {status}:\n{server.log}"
