"""Starts a server with the conformance application, on loopback and a free port.

Every server runs with its defaults as far as requests go; options only choose the application, the
port, one process and the parser under test.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "venv-peers"
READY_SECONDS = 20.0

NGINX = """
daemon off;
worker_processes 1;
error_log {directory}/error.log crit;
pid {directory}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream application {{ server 127.0.0.1:{upstream}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Conformance-Peer $remote_addr:$remote_port;
        }}
    }}
}}
"""


class Unavailable(Exception):
    """The server is not installed here."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Supervised:
    """A child process that is started again when it dies, as a service would be."""

    def __init__(self, command: list[str], port: int):
        self.command, self.port = command, port
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self.environment |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        self.log = tempfile.TemporaryFile()
        self.stopping = threading.Event()
        self.child = self.start()
        self.wait_for_port()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )

    def wait_for_port(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            if self.child.poll() is not None or time.monotonic() > end:
                self.stop()
                self.log.seek(0)
                tail = self.log.read()[-2000:].decode(errors="replace")
                raise RuntimeError(f"{self.command[0]} does not serve:\n{tail}")
            time.sleep(0.05)

    def watch(self) -> None:
        while not self.stopping.wait(0.2):
            if self.child.poll() is not None:
                self.child = self.start()

    def stop(self) -> None:
        self.stopping.set()
        if hasattr(self, "watcher"):
            self.watcher.join()
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@contextlib.contextmanager
def process(command: list[str], port: int) -> Iterator[tuple[str, int]]:
    """Runs `command` until the block ends, once its port takes connections."""
    server = Supervised(command, port)
    try:
        yield "127.0.0.1", port
    finally:
        server.stop()


def tool(name: str) -> str:
    path = VENV / "bin" / name
    if not path.exists():
        raise Unavailable(f"{name} is not in {VENV.relative_to(ROOT)}")
    return str(path)


def system(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise Unavailable(f"{name} is not installed")
    return found


def uvicorn(parser: str):
    @contextlib.contextmanager
    def serve():
        port = free_port()
        options = ["--http", parser, "--log-level", "critical", "--port", str(port)]
        with process([tool("uvicorn"), *options, "conformance.app:app"], port) as address:
            yield address

    return serve


@contextlib.contextmanager
def granian():
    port = free_port()
    options = ["--interface", "asgi", "--http", "1", "--no-ws", "--log-level", "critical"]
    options += ["--port", str(port)]
    with process([tool("granian"), *options, "conformance.app:app"], port) as address:
        yield address


@contextlib.contextmanager
def hypercorn():
    port = free_port()
    options = ["--log-level", "CRITICAL", "--bind", f"127.0.0.1:{port}"]
    with process([tool("hypercorn"), *options, "conformance.app:app"], port) as address:
        yield address


@contextlib.contextmanager
def node():
    port = free_port()
    script = str(ROOT / "conformance" / "app.mjs")
    with process([system("node"), script, str(port)], port) as address:
        yield address


@contextlib.contextmanager
def nginx():
    program = system("nginx")
    with tempfile.TemporaryDirectory(prefix="conformance-nginx-") as directory:
        os.chmod(directory, 0o755)  # its worker is another user when root starts it
        with uvicorn("httptools")() as (_, upstream):
            port = free_port()
            config = pathlib.Path(directory) / "nginx.conf"
            config.write_text(NGINX.format(directory=directory, port=port, upstream=upstream))
            with process([program, "-c", str(config), "-p", directory], port) as address:
                yield address


@contextlib.contextmanager
def zq(*options: str):
    """By the tests' harness, which fails when zq does not stop cleanly."""
    sys.path.insert(0, str(ROOT / "tests"))
    import harness

    with harness.serve("conformance.app:app", *options, app_dir=ROOT) as server:
        yield server.address


SERVERS = {
    "zq": zq,
    "uvicorn-httptools": uvicorn("httptools"),
    "uvicorn-h11": uvicorn("h11"),
    "granian": granian,
    "hypercorn": hypercorn,
    "node": node,
    "nginx": nginx,
}
PEERS = [name for name in SERVERS if name != "zq"]
