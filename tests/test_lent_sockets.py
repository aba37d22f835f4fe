"""Long bodies that nobody but their client wants: the worker writes them to its socket by itself
(OFFER in include/zq/wire.h), and nobody can tell, whoever is slow, leaves, dies or is replaced."""

import contextlib
import hashlib
import os
import pathlib
import re
import signal
import threading
import time

import pytest

from harness import Closed, resident_kib, serve, venv_of, wait_for, workers

LEAST = 256 << 10
MB = 1 << 20
SIZES = [LEAST - 1, LEAST, LEAST + 1, MB, (5 << 20) + 1]
LONG = 20 * MB  # more than the sockets of a slow reader take


@pytest.fixture(scope="module", params=["asyncio", "uvloop", "unix"])
def server(request, tmp_path_factory):
    options = ["--no-access-log", "--front-threads=1", "--workers=1"]
    if request.param != "unix":
        options.append(f"--loop={request.param}")
    listen = ("--port=0",)
    if request.param == "unix":
        listen = (f"--uds={tmp_path_factory.mktemp('uds')}/socket",)
    venv = venv_of(workers()[0])
    if request.param == "uvloop" and not any(venv.glob("lib/python3*/site-packages/uvloop")):
        pytest.skip("uvloop is not installed for this interpreter")
    with serve("basic:app", *options, venv=venv, listen=listen) as running:
        yield running


def digest(data):
    return hashlib.sha256(data).hexdigest()


def read(client, n):
    """`n` bytes of content, or fewer at the end."""
    data = bytearray(client.buffer[:n])
    client.buffer = client.buffer[n:]
    while len(data) < n:
        part = client.socket.recv(min(n - len(data), MB))
        if not part:
            break
        data += part
    return bytes(data)


def read_all(client):
    response = client.head()
    return read(client, int(response.get("content-length")))


def in_shared_memory(server):
    """KiB of the memory shared with workers that the front ever looked at."""
    maps = pathlib.Path(f"/proc/{server.children()['front'][0]}/smaps").read_text()
    found = re.findall(r"/memfd:.*\n(?:\w+:.*\n)*?Rss: +(\d+) kB", maps)
    assert found
    return sum(map(int, found))


def descriptors(server):
    found = server.children()
    pids = found["front"] + found["worker"]
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]


def slow_reader(server, target=f"/answer?size={LONG}"):
    """A client that has read the head of its response, and no more."""
    client = server.client(SO_RCVBUF=4096)
    client.send_request(target)
    head = client.head()
    assert head.status == 200 and head.get("content-length") == str(LONG)
    return client


# ---- content


@pytest.mark.parametrize("size", SIZES)
def test_sizes(server, size):
    with server.client() as client:
        for _ in range(2):  # the connection is as good as before
            data = os.urandom(size)
            response = client.request("/echo", "POST", body=data)
            assert response.status == 200 and digest(response.body) == digest(data)
            client.send_request(f"/answer?size={size}")
            assert read_all(client) == b"x" * size


def test_a_very_long_one(server):
    with server.client() as client:
        client.send_request(f"/answer?size={50 * MB}")
        assert read_all(client) == b"x" * (50 * MB)
        assert client.request("/").body == b"Hello, world!"


def test_they_pass_through_no_memory_of_ours():
    """And so no bound of ours is met: not by many either that are slow (DESIGN: bounded)."""
    with serve("basic:app", "--no-access-log", "--front-threads=1") as server:
        assert server.get("/").status == 200  # its links are there
        before = in_shared_memory(server)
        for _ in range(5):
            assert server.get(f"/answer?size={MB}").body == b"x" * MB
        assert in_shared_memory(server) < before + 64  # not a block
        (front,) = server.children()["front"]
        resident = resident_kib(front)
        readers = [slow_reader(server) for _ in range(20)]
        assert resident_kib(front) - resident < 4096
        for reader in readers:
            reader.close()
        assert server.get(f"/answer?size={MB}&h=Cache-Control:max-age=60").body == b"x" * MB
        assert in_shared_memory(server) >= before + 256  # what is stored does


def test_parts_of_a_known_length(server):
    with server.client() as client:
        client.send_request(f"/stream?parts=5&size={MB}&length={5 * MB}&cc=no-store")
        body = read_all(client)
        assert body == b"".join(bytes([97 + i]) * MB for i in range(5))
        client.send_request(f"/stream?parts=5&size=1000&length={5000}&cc=no-store")
        assert read_all(client) == b"".join(bytes([97 + i]) * 1000 for i in range(5))


def test_parts_of_an_unknown_length(server):
    response = server.get(f"/stream?parts=3&size={MB}&cc=no-store")
    assert response.get("transfer-encoding") == "chunked"
    assert response.body == b"a" * MB + b"b" * MB + b"c" * MB


def test_too_little_is_cut(server):
    """RFC 9112 8: the client can tell that it is incomplete."""
    response = server.get(f"/stream?parts=1&size={MB}&length={2 * MB}&cc=no-store")
    assert response.status == 200 and not response.complete


def test_head(server):
    with server.client() as client:
        response = client.request(f"/answer?size={MB}", "HEAD")
        assert response.status == 200
        assert client.request("/").body == b"Hello, world!"


def test_http_1_0(server):
    with server.client() as client:
        client.send_request(f"/answer?size={MB}", version="HTTP/1.0")
        assert read_all(client) == b"x" * MB
        assert client.closed()


def test_pipelined_requests(server):
    with server.client() as client:
        for size in (MB, 5, 3 * MB, 7, LEAST):
            client.send_request(f"/answer?size={size}")
        for size in (MB, 5, 3 * MB, 7, LEAST):
            assert read_all(client) == b"x" * size


def test_many_at_once(server):
    faults = []

    def run(i):
        try:
            with server.client() as client:
                for size in (MB + i, 100 + i, 2 * MB + i):
                    data = os.urandom(size)
                    assert client.request("/echo", "POST", body=data).body == data
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not faults


# ---- what others want, too


def test_what_is_stored_is_not_lent(server):
    target = f"/answer?size={MB}&h=Cache-Control:max-age=60&n={time.monotonic_ns()}"
    first = server.get(target)
    again = server.get(target)
    assert "hit" in again.get("cache-status") and "fwd" not in again.get("cache-status")
    assert first.body == again.body == b"x" * MB
    part = server.get(target, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, b"x" * 10)


def test_what_is_joined_is_not_lent(server, tmp_path):
    """Concurrent misses of a key are one call, whose response all of them get."""
    gate = tmp_path / "gate"
    target = f"/answer?size={MB}&until={gate}&h=Cache-Control:max-age=60"
    clients = [server.client() for _ in range(5)]
    for client in clients:
        client.send_request(target)
    time.sleep(0.1)
    gate.touch()
    responses = [client.response() for client in clients]
    assert {r.body for r in responses} == {b"x" * MB}
    assert len({r.get("x-call") for r in responses}) == 1
    for client in clients:
        client.close()


def test_who_joined_in_vain_goes_alone(server, tmp_path):
    gate = tmp_path / "gate"
    target = f"/answer?size={MB}&until={gate}&h=Cache-Control:no-store"
    clients = [server.client() for _ in range(5)]
    for client in clients:
        client.send_request(target)
    time.sleep(0.1)
    gate.touch()
    responses = [client.response() for client in clients]
    assert {r.body for r in responses} == {b"x" * MB}
    assert len({r.get("x-call") for r in responses}) == 5
    for client in clients:
        client.close()


# ---- slow clients, and those that leave


def test_a_slow_reader_holds_up_nobody(server):
    """Not with one worker and one I/O thread either."""
    readers = [slow_reader(server) for _ in range(10)]
    for _ in range(20):
        assert server.get("/").body == b"Hello, world!"
    assert server.get(f"/answer?size={MB}").body == b"x" * MB
    for reader in readers:
        assert read(reader, LONG) == b"x" * LONG
        assert reader.request("/").body == b"Hello, world!"
        reader.close()


@pytest.mark.parametrize("way", ["close", "reset"])
def test_readers_that_leave(server, way):
    server.get("/")
    before = descriptors(server)
    for reader in [slow_reader(server) for _ in range(10)]:
        read(reader, 1000)
        getattr(reader, way)()
    wait_for(lambda: descriptors(server) <= before, "their descriptors' end")
    assert server.get(f"/answer?size={MB}").body == b"x" * MB


def test_a_reader_that_takes_nothing_is_cut():
    with serve("basic:app", "--timeout-write=300ms") as server, slow_reader(server) as reader:
        wait_for(lambda: " 200 " in server.access_log, "the end of the request")
        with contextlib.suppress(ConnectionError):
            assert len(read(reader, LONG)) < LONG


def test_a_reader_that_takes_a_little_is_not_cut(server):
    """--timeout-write counts from what was taken last, whoever wrote it."""
    with serve("basic:app", "--timeout-write=1500ms", "--no-access-log") as server:
        reader = slow_reader(server)
        taken, end = b"", time.monotonic() + 4
        while time.monotonic() < end:
            taken += read(reader, 400_000)
            time.sleep(0.2)
        assert taken + read(reader, LONG - len(taken)) == b"x" * LONG
        reader.close()


# ---- deaths and successors


def cut(reader):
    """It gets less than all, and then the end."""
    try:
        return len(read(reader, LONG)) < LONG
    except ConnectionError:
        return True


def test_a_worker_dies():
    with serve("basic:app", "--no-access-log", "--front-threads=2") as server:
        readers = [slow_reader(server) for _ in range(8)]
        front, worker = server.children()["front"], server.children()["worker"]
        os.kill(worker[0], signal.SIGKILL)
        for reader in readers:
            assert cut(reader)
            reader.close()
        wait_for(lambda: server.get("/").status == 200, "an answer")
        assert server.children()["front"] == front
        assert server.get(f"/answer?size={MB}").body == b"x" * MB


def test_a_worker_stands_still():
    """It has the sockets of some, and answers nobody: the others' front goes on, and these end."""
    with serve("basic:app", "--no-access-log", "--timeout-response-idle=500ms") as server:
        reader = slow_reader(server)
        (worker,) = server.children()["worker"]
        os.kill(worker, signal.SIGSTOP)
        try:
            assert cut(reader)
        finally:
            os.kill(worker, signal.SIGCONT)
        reader.close()
        wait_for(lambda: server.get("/").status == 200, "an answer")


def test_a_child_of_the_worker_keeps_no_connection_open():
    """It may have what the worker had when it was forked; the client sees the end all the same."""
    with serve("forks:app", "--no-access-log", "--timeout-keep-alive=500ms") as server:
        readers = [slow_reader(server) for _ in range(5)]
        child = int(server.get("/fork").body)
        try:
            for reader in readers:
                assert read(reader, LONG) == b"x" * LONG
                assert reader.closed()
                reader.close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_drain_finishes_them():
    with serve("basic:app", "--no-access-log", "--front-threads=2") as server:
        readers = [slow_reader(server) for _ in range(8)]
        server.signal(signal.SIGTERM)
        time.sleep(0.2)
        for reader in readers:
            assert read(reader, LONG) == b"x" * LONG
            assert reader.closed()
            reader.close()
        assert server.wait() == 0


def test_a_reload_finishes_them():
    with serve("basic:app", "--no-access-log", "--front-threads=2") as server:
        readers = [slow_reader(server) for _ in range(8)]
        old = server.children()["worker"]
        server.signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in server.log, "the reload")
        assert server.get(f"/answer?size={MB}").body == b"x" * MB
        for reader in readers:
            assert read(reader, LONG) == b"x" * LONG
            assert reader.request("/").body == b"Hello, world!"
            reader.close()
        wait_for(lambda: not set(old) & set(server.children()["worker"]), "the old worker's end")


def test_a_front_dies():
    with serve("basic:app", "--no-access-log") as server:
        readers = [slow_reader(server) for _ in range(5)]
        (worker,), (front,) = server.children()["worker"], server.children()["front"]
        os.kill(front, signal.SIGKILL)
        for reader in readers:
            assert cut(reader)
            reader.close()

        def answers():
            try:
                return server.get(f"/answer?size={MB}").body == b"x" * MB
            except (OSError, Closed):
                return False

        wait_for(answers, "an answer")
        assert server.children()["worker"] == [worker]


# ---- the log


def test_the_access_log_counts_them():
    with serve("basic:app") as server:
        with server.client() as client:
            client.send_request(f"/answer?size={3 * MB}")
            assert len(read_all(client)) == 3 * MB
        wait_for(lambda: re.search(rf" 200 {3 * MB} ", server.access_log), "its line")
