"""Every limit and every timeout has its named answer, and Date on it."""

import contextlib
import socket
import time

import pytest

from harness import Closed, resident_kib, serve, wait_for


@pytest.fixture(scope="module")
def strict():
    with serve(
        "basic:app",
        "--limit-request-line=512",
        "--limit-request-headers=2KiB",
        "--limit-request-header-count=10",
        "--limit-request-body=100KB",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def hasty():
    """It waits for nothing; what must not be late comes ten times as often as its timeouts ask."""
    with serve(
        "basic:app",
        "--timeout-keep-alive=1s",
        "--timeout-request-header=1s",
        "--timeout-request-body=1s",
        "--limit-request-body-rate=0",
        "--timeout-response=1500ms",
        "--timeout-response-idle=1500ms",
        "--timeout-write=1s",
    ) as server:
        yield server


def refused(client, status):
    response = client.response()
    assert response.status == status
    assert response.get("date")
    assert response.get("connection") == "close"
    assert client.closed()
    return response


def test_request_line_414(strict):
    with strict.client() as client:
        client.send_request("/" + "x" * 600)
        refused(client, 414)
    with strict.client() as client:  # before it is complete
        client.send("GET /" + "x" * 600)
        refused(client, 414)


def test_request_headers_431(strict):
    with strict.client() as client:
        client.send_request("/", headers={"X-Big": "x" * 2100})
        refused(client, 431)
    with strict.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: test\r\nX-Big: " + "x" * 2100)
        refused(client, 431)
    with strict.client() as client:
        client.send_request("/", headers=[(f"X-{i}", "1") for i in range(10)])
        refused(client, 431)
    assert strict.get("/", headers=[(f"X-{i}", "1") for i in range(9)]).status == 200


def test_body_413_by_its_announcement(strict):
    with strict.client() as client:
        client.send_request("/echo", "POST", {"Content-Length": "100001"})
        assert client.response().status == 413
    assert strict.get("/echo", method="POST", body=b"x" * 100000).status == 200


def test_body_413_while_it_comes(strict):
    with strict.client() as client:
        client.send_request("/echo", "POST", {"Transfer-Encoding": "chunked"})
        for _ in range(3):
            client.send(b"c350\r\n" + b"x" * 50000 + b"\r\n")
        assert client.response().status == 413


def test_413_reaches_a_client_that_is_still_sending_10_mb(strict):
    """RFC 9112 9.6: the close is lingering, so that a reset does not destroy the answer."""
    with strict.client() as client:
        client.send_request("/echo", "POST", {"Content-Length": str(10 << 20)})
        try:
            for _ in range(160):
                client.send(b"x" * 65536)
        except ConnectionError:
            pass
        assert client.response().status == 413


def test_idle_connection_closes_silently(hasty):
    with hasty.client() as client:
        assert client.request("/").status == 200
        assert client.rest() == b""  # never 408
    with hasty.client() as client:
        assert client.rest() == b""


def test_slow_head_408(hasty):
    with hasty.client() as client:
        client.send("GET / HTTP/1.1\r\nHost:")
        refused(client, 408)


def test_one_byte_a_second_does_not_hold_a_connection(hasty):
    with hasty.client() as client:
        response = b""
        client.socket.settimeout(0.2)
        for byte in b"GET / HTTP/1.1\r\nHost: test\r\nX-Slow: yes\r\n":
            try:
                client.send(bytes([byte]))
                response += client.socket.recv(1000)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if response:
                break
        assert response.startswith(b"HTTP/1.1 408 ")


def test_slow_body_408(hasty):
    with hasty.client() as client:
        client.send_request("/echo", "POST", {"Content-Length": "10"})
        client.send("half")
        refused(client, 408)


def test_body_that_keeps_coming_is_not_slow(hasty):
    with hasty.client() as client:
        client.send_request("/echo", "POST", {"Content-Length": "15"})
        for _ in range(15):
            time.sleep(0.1)
            client.send("x")
        assert client.response().body == b"x" * 15


def test_a_body_that_trickles_408():
    """A byte before each timeout would hold the application for days: the rate counts."""
    with serve("basic:app", "--timeout-request-body=1s", "--limit-request-body-rate=100") as server:
        with server.client() as client:
            client.send_request("/echo", "POST", {"Content-Length": "1000"})
            client.socket.settimeout(0.1)
            answer = b""
            for _ in range(300):
                try:
                    client.send("x")
                    answer = client.socket.recv(1000)
                    break
                except TimeoutError:
                    continue
            assert answer.startswith(b"HTTP/1.1 408 ")
        # at a better rate the same pauses are no matter
        with server.client() as client:
            client.send_request("/echo", "POST", {"Content-Length": "20000"})
            for _ in range(20):
                time.sleep(0.1)
                client.send("x" * 1000)
            assert client.response().status == 200


def test_no_response_504(hasty):
    with hasty.client() as client:
        started = time.monotonic()
        response = client.request("/hold?timeout")
        assert response.status == 504
        assert time.monotonic() - started >= 1.49  # both clocks are cut to milliseconds
        assert response.get("date")
    wait_for(lambda: b"timeout" in hasty.get("/closed").body, "http.disconnect")


def test_an_upload_may_take_longer_than_the_response(hasty):
    """While the application gets the content it is not late with its answer."""
    with hasty.client() as client:
        client.send_request("/echo", "POST", {"Content-Length": "20"})
        for _ in range(20):
            time.sleep(0.1)
            client.send(b"x")
        assert client.response().body == b"x" * 20


def test_response_that_stops_in_the_middle_is_cut(hasty):
    response = hasty.get("/stream?parts=2&gap=20")
    assert response.status == 200
    assert not response.complete


def test_quiet_stream_is_healthy_by_default(basic):
    response = basic.get("/stream?parts=2&gap=1.5")
    assert response.complete


def test_client_that_takes_nothing_is_cut(hasty):
    with hasty.client(SO_RCVBUF=4096) as client:
        client.send_request("/answer?size=20000000")
        wait_for(lambda: "size=20000000" in hasty.access_log, "its end")
        try:
            received = len(client.rest())
        except ConnectionError:
            received = 0
        assert received < 20_000_000


def test_client_that_never_reads_bounds_what_is_buffered(basic):
    """Credit: `await send()` waits, so neither the worker nor the front takes in the stream."""
    front, worker = basic.children()["front"][0], basic.children()["worker"][0]
    before = resident_kib(front), resident_kib(worker)
    with basic.client(SO_RCVBUF=4096) as client:
        client.send_request("/stream?parts=10000&size=65536")
        time.sleep(1.5)
        assert resident_kib(front) - before[0] < 16 << 10
        assert resident_kib(worker) - before[1] < 16 << 10


def test_application_that_never_reads_bounds_what_is_buffered(basic, tmp_path):
    """Credit: the upload stops, the front does not grow."""
    front = basic.children()["front"][0]
    before = resident_kib(front)
    with basic.client() as client:
        target = f"/answer?until={tmp_path}/go"
        client.send_request(target, "POST", {"Content-Length": str(200 << 20)})
        client.socket.settimeout(1)
        sent = 0
        try:
            while sent < 200 << 20:
                sent += client.socket.send(b"x" * 65536)
        except TimeoutError:
            pass
        assert sent < 50 << 20
        assert resident_kib(front) - before < 16 << 10  # KiB
    (tmp_path / "go").touch()


def test_limit_concurrency_503():
    with serve("basic:app", "--limit-concurrency=2") as server:
        cached = "/answer?body=warm&h=Cache-Control:max-age=60"
        assert server.get(cached).status == 200
        with server.client() as a, server.client() as b:
            a.reach("/held?a")
            b.reach("/held?b")
            response = server.get("/")
            assert response.status == 503
            assert int(response.get("retry-after")) >= 1
            assert server.get(cached).body == b"warm"  # warm hits are still served
        wait_for(lambda: server.get("/").status == 200, "the application is free again")


def held(server):
    """A connection that has been served: an earlier one may still count for a moment."""

    def attempt():
        client = server.client()
        if client.request("/").status == 200:
            return client
        client.close()

    return wait_for(attempt, "a place for a connection")


def test_limit_connections_503():
    with serve("basic:app", "--limit-connections=2") as server:
        cached = "/answer?body=warm&h=Cache-Control:max-age=60"
        assert server.get(cached).status == 200
        with held(server), held(server):
            with server.client() as c:
                response = c.request("/")
                assert response.status == 503
                assert response.get("retry-after")
                assert c.closed()  # it would hold the place of another
            assert server.get(cached).body == b"warm"
        wait_for(lambda: server.get("/").status == 200, "connections are free again")


def test_connections_over_the_limit_leave_those_before_them_alone():
    """Counted over all threads, and given back when they go, whichever thread had them."""
    with serve("basic:app", "--limit-connections=4", "--front-threads=4") as server:
        for _ in range(3):
            with contextlib.ExitStack() as stack:

                def place():  # those that have gone may keep theirs for a moment
                    client = stack.enter_context(server.client())
                    return client if client.request("/").status == 200 else None

                first = [wait_for(place, "a place for a connection") for _ in range(4)]
                more = [stack.enter_context(server.client()) for _ in range(20)]
                assert {client.request("/").status for client in more} == {503}
                assert {client.request("/").status for client in first} == {200}


def test_ten_thousand_idle_connections():
    """They cost little, and the next client is served. (Fewer where the limit is lower.)"""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10000, hard - 500)
    try:
        with serve(
            "basic:app", "--timeout-keep-alive=120s", "--timeout-request-header=120s"
        ) as server:
            clients = []
            for _ in range(count):
                client = server.client()
                clients.append(client)
            for client in clients[::1000]:
                assert client.request("/").status == 200
            with server.client() as late:
                assert late.request("/").status == 200
            for client in clients:
                client.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_out_of_descriptors_pauses_accepting():
    """On EMFILE the front waits for a descriptor instead of spinning."""
    import resource

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with serve("basic:app", preexec_fn=few) as server:
        clients = []
        for _ in range(100):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(server.address)
            clients.append(sock)
        time.sleep(0.5)
        front = server.children()["front"][0]
        ticks = sum(map(int, open(f"/proc/{front}/stat").read().split()[13:15]))
        time.sleep(1)
        later = sum(map(int, open(f"/proc/{front}/stat").read().split()[13:15]))
        assert later - ticks < 50  # hundredths of a second
        for sock in clients:
            sock.close()

        def served():
            try:
                with server.client(timeout=2) as client:
                    return client.request("/").status == 200
            except (OSError, Closed):
                return False

        wait_for(served, "served again")
