"""Long stored bodies go out by reference (zq_http_lend): what a socket holds of one is what was stored,
also when the response is gone and its memory is used again."""

import json
import random
import threading

import pytest

from harness import BUILD, Client, resident_kib, serve, wait_for

MIB = 1 << 20
CACHE_MIB = 16
FRESH = "h=Cache-Control:max-age=1000"
SIZE = 150_000  # what a socket takes at once
MOST = 2 * MIB - 17  # about the largest that is stored


def page(name, size=SIZE, **query):
    return "&".join(
        [f"/?size={size}", FRESH, f"key={name}", *(f"{k}={v}" for k, v in query.items())]
    )


def body_of(size):
    """tests/apps/compressible.py"""
    line = b"<li class='row'>company number %d of many</li>\n"
    return b"".join(line % i for i in range(size // 40 + 1))[:size]


BODY = body_of(MOST)


@pytest.fixture(scope="module", params=["tcp", "uds"])
def server(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("lent")
    listen = ("--port=0",) if request.param == "tcp" else (f"--uds={directory}/http.sock",)
    options = [
        "--access-log",
        f"--cache-size={CACHE_MIB}MiB",
        f"--admin-uds={directory}/admin.sock",
    ]
    with serve("compressible:app", *options, "--front-threads=2", listen=listen) as running:
        running.admin = f"{directory}/admin.sock"
        yield running


def purge(server, **what):
    with Client(server.admin) as client:
        body = json.dumps(what or {"all": True}).encode()
        headers = {"Content-Type": "application/json"}
        response = client.request("/purge", "POST", headers, body)
        assert response.status == 200, response.body


def fill(server, name):
    """All of the store with other bytes, each asked for twice, so that what was there is evicted."""
    with server.client() as client:
        for i in range(2 * 3 * CACHE_MIB):
            response = client.request(page(f"{name}.{i // 2}", MIB, noise=1))
            assert response.status == 200 and len(response.body) == MIB


GONE = [
    pytest.param(lambda server: purge(server), id="purged"),
    pytest.param(lambda server: None, id="evicted"),
]


@pytest.mark.parametrize("go", GONE)
def test_sockets_keep_what_they_were_given(server, go, request):
    """The clients read when the response is gone and others lie where it was."""
    name = request.node.name
    assert server.get(page(name)).body == BODY[:SIZE]
    readers = [server.client() for _ in range(10)]
    try:
        for i, reader in enumerate(readers):
            reader.send_request(page(name), headers={"X-Reader": str(i)})
        lines = f"key={name} "
        wait_for(lambda: server.access_log.count(lines) == 11, "all of them in the access log")
        go(server)
        fill(server, name)
        assert server.get(page(name)).get("cache-status").startswith("zq; fwd=uri-miss")
        for reader in readers:
            response = reader.response()
            assert response.get("cache-status").startswith("zq; hit")
            assert response.body == BODY[:SIZE]
    finally:
        for reader in readers:
            reader.close()


@pytest.mark.parametrize("go", GONE)
def test_slow_readers_of_what_is_gone(server, go, request):
    """More than a socket takes: the rest is still to come from the store."""
    name, size = request.node.name, MOST
    assert server.get(page(name, size)).body == BODY[:size]
    readers = [server.client(SO_RCVBUF=4096) for _ in range(4)]
    try:
        for reader in readers:
            reader.send_request(page(name, size))
        for reader in readers:
            assert reader.head().get("cache-status").startswith("zq; hit")
        go(server)
        fill(server, name)
        for reader in readers:
            assert reader.exactly(size) == BODY[:size]
    finally:
        for reader in readers:
            reader.close()


def test_ranges(server):
    size = MOST
    whole = page("ranges", size)
    assert server.get(whole).body == BODY[:size]
    dice = random.Random(5)
    edges = [0, 1, 4095, 65511, 65512, 65513, 131024, size - 1]
    pairs = [(a, b) for a in edges for b in edges if a <= b]
    pairs += [sorted((dice.randrange(size), dice.randrange(size))) for _ in range(50)]
    with server.client() as client:
        for first, last in pairs:
            response = client.request(whole, headers={"Range": f"bytes={first}-{last}"})
            assert response.status == 206
            assert response.get("cache-status").startswith("zq; hit")
            assert response.body == BODY[first : last + 1]


def test_head_and_pipelines(server):
    """RFC 9110 9.3.2, RFC 9112 9.3.2"""
    sizes = [100, 40_000, 65_512, 65_513, 200_000, 10, MIB]
    for size in sizes:
        assert server.get(page("p", size)).body == BODY[:size]
    with server.client() as client:
        for _ in range(3):
            for size in sizes:
                client.send_request(page("p", size), "HEAD")
                client.send_request(page("p", size))
        for _ in range(3):
            for size in sizes:
                response = client.response(head=True)
                assert response.get("content-length") == str(size)
                response = client.response()
                assert response.get("cache-status").startswith("zq; hit")
                assert response.body == BODY[:size]


def test_old_clients_and_chunks(server):
    """Joined on its way: chunked, and to HTTP/1.0 up to the end of the connection."""
    with server.client() as client:
        target = page("chunks", MOST, parts=2)
        assert client.request(target).body == BODY[:MOST]
        assert client.request(target).body == BODY[:MOST]
        response = client.request(target, version="HTTP/1.0")
        assert response.body == BODY[:MOST]


def test_clients_that_leave(server):
    target = page("leave", MOST)
    assert server.get(target).body == BODY[:MOST]
    for _ in range(50):
        client = server.client(SO_RCVBUF=4096)
        client.send_request(target)
        client.head()
        client.reset()
    assert server.get(target).body == BODY[:MOST]


def test_while_all_changes(server):
    """Readers at every pace, while what they read is purged and stored again."""
    over = threading.Event()
    faults = []

    def read(i):
        dice = random.Random(i)
        try:
            with server.client() as client:
                while not over.is_set():
                    size = dice.choice([30_000, SIZE, MIB])
                    n = dice.randint(1, 3)
                    for _ in range(n):
                        client.send_request(page(f"c{dice.randint(0, 3)}", size))
                    for _ in range(n):
                        assert client.response().body == BODY[:size]
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for i in range(6):
        purge(server)
        fill_some(server, i)
    over.set()
    for thread in threads:
        thread.join(120)
    if faults:
        raise faults[0]


def fill_some(server, i):
    with server.client() as client:
        for k in range(8):
            assert len(client.request(page(f"some.{i}.{k}", MIB, noise=1)).body) == MIB


@pytest.mark.skipif(
    not BUILD.name.startswith("release"), reason="debug builds write to what is freed"
)
def test_purged_memory_comes_back(tmp_path):
    admin = str(tmp_path / "admin.sock")
    with serve("compressible:app", "--cache-size=32MiB", f"--admin-uds={admin}") as server:
        server.admin = admin
        front = server.children()["front"][0]
        with server.client() as client:
            for _ in range(2):
                for i in range(20):
                    client.request(page(f"back{i}", MIB))
        before = resident_kib(front)
        purge(server)
        wait_for(lambda: resident_kib(front) < before - (18 << 10), "the memory to come back")
