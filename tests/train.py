"""What `make release PGO=1` runs its instrumented build with (ZQ_BUILD_DIR), so that gcc sees what
is hot: requests of all kinds over loopback, hits above all, each of which must be answered as it
should. Some seconds; needs nothing but the standard library."""

from __future__ import annotations

import math
import signal
import time

from harness import ROOT, Client, Server, serve

CONNECTIONS = 16
LIMIT_S = 180
"""For all of it: zq is stopped then, and the training has failed."""
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://test/page",
    "Sec-Fetch-Mode": "navigate",
}
MATCH = BROWSER | {"If-None-Match": '"1"'}
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + (
    b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n"
)
GET_KEPT = b"GET /kept HTTP/1.1\r\nHost: test\r\n\r\n"


class Trainer:
    """Asks for the `share` of what it is told to ask for, and counts the answers."""

    def __init__(self, server: Server, share: float):
        self.server, self.share, self.answered = server, share, 0

    def ask(self, n: int, status: int, target, connections=CONNECTIONS, **request) -> None:
        """`n` requests for `target(i)`, at most one on each connection at a time."""
        n = math.ceil(n * self.share)
        clients = [self.server.client() for _ in range(min(n, connections))]
        for first in range(0, n, len(clients)):
            for i, client in enumerate(clients):
                client.send_request(target(first + i), **request)
            for client in clients:
                self.read(client, status, request.get("method") == "HEAD")
        for client in clients:
            client.close()

    def raw(self, n: int, status: int, data: bytes, responses=1) -> None:
        """`data` on `n` connections, one after the other."""
        for _ in range(math.ceil(n * self.share)):
            with self.server.client() as client:
                client.send(data)
                for _ in range(responses):
                    self.read(client, status)

    def read(self, client: Client, status: int, head=False) -> None:
        response = client.response(head)
        if response.status != status or not response.complete:
            raise AssertionError(f"{status} was expected: {response}")
        self.answered += 1


def train(trainer: Trainer) -> None:
    """bench/apps/growth.py has a view of each kind."""
    ask, raw = trainer.ask, trainer.raw
    ask(12_000, 200, lambda i: f"/kept?{i % 64}")
    ask(4_000, 200, lambda i: f"/kept?{i % 64}", headers=BROWSER)
    ask(2_000, 304, lambda i: f"/kept?{i % 64}", headers=MATCH)
    ask(500, 200, lambda i: f"/kept?{i % 64}", method="HEAD")
    raw(40, 200, GET_KEPT * 32, responses=32)
    raw(500, 200, GET_KEPT)
    ask(3_000, 200, lambda i: f"/new?{i}")
    ask(1_000, 200, lambda i: f"/stale?{i % 100}")
    ask(4_000, 200, lambda i: "/private")
    ask(1_000, 200, lambda i: "/private", headers=BROWSER, connections=1)
    ask(3_000, 200, lambda i: "/echo", method="POST", body=b"x" * 1024)
    ask(32, 200, lambda i: "/echo", method="POST", body=b"x" * 2**20, connections=2)
    raw(200, 200, CHUNKED)
    ask(400, 200, lambda i: "/stream")
    ask(400, 500, lambda i: "/error")
    raw(100, 400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")


def run(share: float = 1.0) -> int:
    """The training, or a share of it; how many requests were answered."""
    options = ("--workers=1", "--cache-size=4MiB")
    with serve("growth:app", *options, app_dir=ROOT / "bench/apps") as server:
        trainer = Trainer(server, share)
        train(trainer)
    return trainer.answered


def too_long(*_) -> None:
    raise TimeoutError(f"the training took more than {LIMIT_S} s")


def main() -> None:
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT_S)
    since = time.monotonic()
    answered = run()
    print(f"zq: trained by {answered:,} requests in {time.monotonic() - since:.1f} s")


if __name__ == "__main__":
    main()
