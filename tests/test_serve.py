"""A request's way through client, front, wire, Python and back (HTTP/1.1 and 1.0)."""

import json
import socket
import threading
import time

import pytest

from harness import Closed, serve


def test_hello(basic):
    response = basic.get("/")
    assert response.status == 200
    assert response.reason == "OK"
    assert response.body == b"Hello, world!"
    assert response.get("content-length") == "13"
    assert response.get("server") == "zq"
    assert response.get("date").endswith(" GMT")


def test_keep_alive_and_pipelining_in_order(basic):
    """RFC 9112 9.3.2: responses in the order of the requests, whatever each takes."""
    with basic.client() as client:
        for i in (3, 1, 2, 0):
            client.send_request(f"/answer?body=n{i}&sleep={i * 0.05}")
        assert [client.response().body for _ in range(4)] == [b"n3", b"n1", b"n2", b"n0"]
        assert client.request("/").status == 200


def test_connection_close_is_obeyed(basic):
    with basic.client() as client:
        response = client.request("/", headers={"Connection": "close"})
        assert response.get("connection") == "close"
        assert client.closed()


def test_http_1_0(basic):
    with basic.client() as client:
        response = client.request("/", version="HTTP/1.0")
        assert response.get("connection") == "close"
        assert client.closed()
    with basic.client() as client:
        for _ in range(2):
            response = client.request("/", version="HTTP/1.0", headers={"Connection": "keep-alive"})
            assert response.get("connection") == "keep-alive"
    with basic.client() as client:  # never chunked to 1.0 (RFC 9112 6.1)
        response = client.request("/stream?gap=0.05", version="HTTP/1.0")
        assert response.get("transfer-encoding") is None
        assert response.body == b"aaaaabbbbbccccc"


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 65537, 3_000_000])
def test_echo(basic, size):
    body = bytes(i % 251 for i in range(size))
    response = basic.get("/echo", method="POST", body=body)
    assert response.status == 200
    assert response.body == body


def test_echo_chunked(basic):
    parts = [b"hello", b"x" * 70000, b"!"]
    with basic.client() as client:
        client.send_request("/echo", "POST", {"Transfer-Encoding": "chunked"})
        for part in parts:
            client.send(b"%x;ext=1\r\n%s\r\n" % (len(part), part))
        client.send("0\r\nX-Trailer: dropped\r\n\r\n")
        assert client.response().body == b"".join(parts)
        assert client.request("/").status == 200


def test_one_byte_at_a_time(basic):
    request = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: t\r\n\r\n"
    with basic.client() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(request)):
            client.send(request[i : i + 1])
            if i % 10 == 0:
                time.sleep(0.001)
        assert client.response().body == b"hello"
        assert client.response().body == b"Hello, world!"


def test_streamed_response_is_chunked_and_arrives_as_it_is_made(basic):
    with basic.client() as client:
        client.send_request("/stream?parts=3&gap=0.2")
        head = client.head()
        assert head.get("transfer-encoding") == "chunked"
        chunks = client.chunks()
        assert next(chunks) == b"aaaaa"  # long before the last is made
        assert b"".join(chunks) == b"bbbbbccccc"


def test_parts_within_one_turn_become_one_response_with_a_length(basic):
    """DESIGN, rule 8: Quart's start, parts and empty final part."""
    with serve("coalesce:app") as server:
        response = server.get("/")
        assert response.get("content-length") == "10"
        assert response.body == b"helloworld"


def test_head_has_the_fields_and_no_content(basic):
    with basic.client() as client:
        response = client.request("/", method="HEAD")
        assert response.get("content-length") == "13"
        assert client.request("/").body == b"Hello, world!"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_content(basic, status):
    with basic.client() as client:
        response = client.request(f"/answer?status={status}")
        assert response.status == status
        assert response.get("content-length") is None
        assert response.get("transfer-encoding") is None
        assert client.request("/").status == 200


def test_expect_100_continue_is_sent_when_the_application_asks(basic):
    with basic.client() as client:
        client.send_request("/echo", "POST", {"Expect": "100-continue", "Content-Length": "5"})
        assert client.head().status == 100
        client.send("hello")
        assert client.response().body == b"hello"
    with basic.client() as client:  # an application that answers without asking
        client.send_request("/", "POST", {"Expect": "100-continue", "Content-Length": "5"})
        assert client.head().status == 200


def test_application_error_is_500(basic):
    with basic.client() as client:
        response = client.request("/fail")
        assert response.status == 500
        assert response.get("date")
        assert client.request("/").status == 200
    assert "this view fails on purpose" in basic.log


def test_failure_in_the_middle_cuts_the_connection(basic):
    """The client can tell that the response is incomplete (RFC 9112 8)."""
    response = basic.get("/fail-late")
    assert response.status == 200
    assert not response.complete


def test_client_that_leaves_is_seen_by_the_application(basic):
    with basic.client() as client:
        client.reach("/held?fin")
    with basic.client() as client:
        client.reach("/held?rst")
        client.reset()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if set(json.loads(basic.get("/closed").body)) >= {"fin", "rst"}:
            return
        time.sleep(0.05)
    raise AssertionError("http.disconnect did not come")


def test_half_closed_client_gets_its_answer(basic):
    with basic.client() as client:
        client.send_request("/answer?sleep=0.2&body=late")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.response().body == b"late"


def test_large_response_to_a_slow_client(basic):
    """Whole and in order, though neither buffer holds it."""
    with basic.client(SO_RCVBUF=8192) as client:
        client.send_request("/answer?size=5000000")
        time.sleep(0.3)
        response = client.response()
        assert len(response.body) == 5_000_000


def test_many_clients_at_once(basic):
    failures = []

    def run(n):
        try:
            with basic.client() as client:
                for i in range(20):
                    body = f"{n}-{i}".encode()
                    if i % 2:
                        assert client.request("/echo", "POST", body=body).body == body
                    else:
                        got = client.request(f"/answer?body={n}-{i}").body
                        assert got == body
        except (AssertionError, Closed, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def test_server_and_date_can_be_switched_off():
    with serve("basic:app", "--no-server-header", "--no-date-header") as server:
        response = server.get("/")
        assert response.get("server") is None
        assert response.get("date") is None


def test_application_headers_are_kept_once(basic):
    response = basic.get(
        "/answer?h=Server:mine&h=Date:Sun,%2006%20Nov%201994%2008:49:37%20GMT"
        "&h=Connection:x-hop&h=X-Hop:1&h=Keep-Alive:9&h=Transfer-Encoding:chunked&size=3"
    )
    assert response.get("server") == "mine"
    assert response.get("date") == "Sun, 06 Nov 1994 08:49:37 GMT"
    for name in ("x-hop", "keep-alive", "transfer-encoding"):
        assert response.get(name) is None
    assert response.body == b"xxx"


def test_unix_socket(tmp_path):
    path = str(tmp_path / "zq.sock")
    with serve("basic:app", f"--uds={path}", "--uds-mode=0600", listen=()) as server:
        assert server.addresses == [f"unix:{path}"]
        assert (tmp_path / "zq.sock").stat().st_mode & 0o777 == 0o600
        scope = json.loads(server.get("/scope").body)
        assert scope["client"] is None
        assert scope["server"] == [path, None]


def test_several_binds():
    with serve("basic:app", "--bind=127.0.0.1:0", "--bind=127.0.0.1:0", listen=()) as server:
        ports = {server.address_of(a)[1] for a in server.addresses}
        assert len(ports) == 2
        assert server.get("/").status == 200


def test_inherited_descriptor():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        fd = listener.fileno()
        with serve("basic:app", f"--fd={fd}", listen=(), pass_fds=(fd,)) as server:
            assert server.address[1] == listener.getsockname()[1]
            assert server.get("/").status == 200
