"""Long bodies through shared memory (include/zq/region.h), from client to application and back: they
arrive whole, whoever is slow, dies or is replaced meanwhile."""

import contextlib
import hashlib
import os
import signal
import threading
import time

import pytest

from harness import BUILD, Closed, resident_kib, serve, wait_for

LEAST, BLOCK, WINDOW = 16 << 10, 64 << 10, 512 << 10
AROUND = [n + d for n in (LEAST, BLOCK, 2 * BLOCK, WINDOW) for d in (-1, 0, 1)]
MANY = 40  # slow readers: what they may hold is more than all blocks of a region
SIZE = 4 << 20  # more than the sockets of a slow reader take
SANITIZED = BUILD.name in ("asan", "tsan")  # they take memory of their own for what is read


@pytest.fixture(scope="module")
def server():
    with serve("basic:app", "--front-threads=3", "--workers=2", "--no-access-log") as running:
        yield running


def digest(data):
    return hashlib.sha256(data).hexdigest()


def echo(client, size, coding):
    data = os.urandom(size)
    if coding == "chunked":
        client.send_request("/echo", "POST", {"Transfer-Encoding": "chunked"})
        step = 50_000
        for at in range(0, size, step):
            part = data[at : at + step]
            client.send(b"%x\r\n%s\r\n" % (len(part), part))
        client.send(b"0\r\n\r\n")
        response = client.response()
    else:
        response = client.request("/echo", "POST", body=data)
    assert response.status == 200 and digest(response.body) == digest(data)


@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("size", [*AROUND, (5 << 20) + 1])
def test_sizes(server, size, coding):
    with server.client() as client:
        echo(client, size, coding)
        echo(client, size, coding)  # its connection is as good as before


def in_threads(n, run):
    faults = []

    def guarded(i):
        try:
            run(i)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if faults:
        raise faults[0]


def test_many_at_once(server):
    def run(i):
        with server.client() as client:
            for size in (1 << 20, LEAST + i, 700_001 + i, BLOCK, 100 + i):
                echo(client, size, ("length", "chunked")[i % 2])

    in_threads(32, run)


def test_uploads_wait_for_a_worker_that_is_busy():
    """zq/wire.h: "A front that finds no free block … lets the client wait", and buffers nothing."""
    with (
        serve("basic:app", "--front-threads=1", "--workers=1", "--no-access-log") as server,
        contextlib.ExitStack() as stack,
    ):
        clients = [stack.enter_context(server.client()) for _ in range(MANY)]
        for client in clients:
            echo(client, BLOCK, "length")
        front, worker = server.children()["front"][0], server.children()["worker"][0]
        before = resident_kib(front)
        os.kill(worker, signal.SIGSTOP)
        data = os.urandom(1 << 20)
        senders = [
            threading.Thread(
                target=client.send_request, args=("/echo", "POST"), kwargs={"body": data}
            )
            for client in clients
        ]
        for sender in senders:
            sender.start()
        time.sleep(1)
        blocks = 64 * BLOCK >> 10
        assert SANITIZED or resident_kib(front) - before < blocks + MANY * (1 << 10) // 4
        os.kill(worker, signal.SIGCONT)
        for sender, client in zip(senders, clients, strict=True):
            response = client.response()
            assert response.status == 200 and digest(response.body) == digest(data)
            sender.join(60)


def slow_readers(server, n=MANY, target="/stream?parts=64&size=65536&cc=no-store"):
    """Clients that ask and do not read; what they ask for is on its way."""
    readers = [server.client(SO_RCVBUF=4096) for _ in range(n)]
    for reader in readers:
        reader.send_request(target)
    for reader in readers:
        assert reader.head().status == 200
    return readers


def read_all(reader):
    return b"".join(reader.chunks())


def test_slow_readers_hold_up_nobody(server):
    readers = slow_readers(server)
    try:
        in_threads(8, lambda i: [echo_once(server, 1 << 20) for _ in range(3)])
        bodies = []
        in_threads(MANY, lambda i: bodies.append(read_all(readers[i])))
        assert [len(b) for b in bodies] == [SIZE] * MANY and len(set(map(digest, bodies))) == 1
    finally:
        for reader in readers:
            reader.close()
    echo_once(server, 1 << 20)


def echo_once(server, size):
    with server.client() as client:
        echo(client, size, "length")


def test_readers_that_leave_give_back_what_they_hold(server):
    for _ in range(5):
        for reader in slow_readers(server, 20):
            reader.reset()
    in_threads(8, lambda i: echo_once(server, 1 << 20))


def test_a_worker_dies_while_readers_hold_blocks():
    with serve("basic:app", "--front-threads=2", "--no-access-log") as server:
        whole = digest(b"".join(read_all(r) for r in slow_readers(server, 1)))
        readers = slow_readers(server, 12)
        front, worker = server.children()["front"], server.children()["worker"]
        os.kill(worker[0], signal.SIGKILL)
        wait_for(lambda: server.children()["worker"] not in ([], worker), "another worker")
        for reader in readers:
            with pytest.raises((Closed, ConnectionError)):
                read_all(reader)
            reader.close()
        assert server.children()["front"] == front
        wait_for(lambda: server.get("/").status == 200, "an answer")
        (reader,) = slow_readers(server, 1)
        assert digest(read_all(reader)) == whole
        echo_once(server, 1 << 20)


def test_a_reload_while_readers_hold_blocks():
    with serve("basic:app", "--front-threads=2", "--no-access-log") as server:
        readers = slow_readers(server, 12)
        old = server.children()["worker"]
        server.signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in server.log, "the reload")
        echo_once(server, 1 << 20)
        bodies = [read_all(reader) for reader in readers]
        assert [len(b) for b in bodies] == [SIZE] * 12 and len(set(map(digest, bodies))) == 1
        wait_for(lambda: not set(old) & set(server.children()["worker"]), "the old worker's end")
        echo_once(server, 1 << 20)


def test_a_front_that_is_replaced_gets_memory_of_its_own():
    with serve("basic:app", "--front-threads=2", "--no-access-log") as server:
        readers = slow_readers(server, 12)
        front, worker = server.children()["front"], server.children()["worker"]
        os.kill(front[0], signal.SIGKILL)
        for reader in readers:
            reader.close()
        wait_for(lambda: server.children()["front"] not in ([], front), "another front")

        def answers():
            try:
                return server.get("/").status == 200
            except (OSError, Closed):
                return False

        wait_for(answers, "an answer")
        assert server.children()["worker"] == worker
        in_threads(8, lambda i: echo_once(server, 1 << 20))


def test_what_is_stored_is_no_block():
    """A stored response stays as it was, whatever goes through the blocks behind it."""
    with serve("basic:app", "--no-access-log") as server:
        target = f"/stream?parts=4&size=65536&cc=max-age=60&n={time.monotonic_ns()}"
        first = server.get(target)
        for _ in range(4):
            echo_once(server, 1 << 20)
        again = server.get(target)
        assert "hit" in again.get("cache-status")
        assert digest(again.body) == digest(first.body) and len(first.body) == 4 * BLOCK
