"""Requests of the conformance cases with bytes changed, cut anywhere, against the running server.

Whatever comes, it answers with HTTP or closes, no process dies, and the next client is served. Under
ASan (`make soak`) a report fails the run. ZQ_SOAK_SECONDS=N goes on for so long.
"""

import importlib.util
import os
import pathlib
import random
import re
import time

import pytest

from harness import serve

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOAK = float(os.environ.get("ZQ_SOAK_SECONDS", "0"))
SECONDS = max(SOAK, 3)
SPLICES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"-1",
    b"\xff",
    b"%",
    b"0\r\n\r\n",
]
STATUS = re.compile(rb"HTTP/1\.1 \d\d\d [ -~]*\r\n")


def requests():
    """The bytes behind the three that steer the fuzz target."""
    spec = importlib.util.spec_from_file_location("seeds", ROOT / "fuzz" / "seeds.py")
    seeds = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(seeds)
    return [data[3:] for data in seeds.connection()]


def mutate(rng, data, others):
    data = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at, n = rng.randrange(len(data) + 1), rng.randrange(1, 9)
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[at : at + n]
        elif kind == 3:
            data[at:at] = rng.choice(SPLICES)
        elif kind == 4:
            data[at:at] = data[at : at + 8 * n]
        else:
            other = rng.choice(others)
            data[at:] = other[rng.randrange(len(other)) :]
    return bytes(data[:20000])


def converse(rng, server, data):
    with server.client() as client:
        client.socket.settimeout(20)
        received = b""
        try:
            while data:
                n = rng.choice([1, 7, len(data), len(data)])
                client.send(data[:n])
                data = data[n:]
            client.socket.shutdown(1)
            received = client.rest()
        except ConnectionError:
            received = client.buffer
        assert not received or STATUS.match(received), received[:200]


@pytest.mark.timeout(300 + 2 * SOAK)
def test_mutations(tmp_path):
    seed = int.from_bytes(os.urandom(4)) if SOAK else 4
    print(f"seed {seed}")
    rng, cases = random.Random(seed), requests()
    with serve("basic:app", "--front-threads=2", "--no-access-log") as server:
        children = server.children()
        end, n = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            converse(rng, server, mutate(rng, rng.choice(cases), cases))
            n += 1
            if n % 50 == 0:
                assert server.get("/answer?body=next").body == b"next"
        assert server.get("/answer?body=next").body == b"next"
        assert server.children() == children
        assert "worker" not in server.log.replace(" workers", "").replace("1 worker", ""), (
            server.log
        )
    print(f"{n} conversations")
