"""Interim responses of an application on their way to the client (RFC 9110 15.2, RFC 8297): the scope
extension `zq.http.response.interim`. The messages themselves are tested in test_worker_bridge.py.
"""

import time

from harness import wait_for

FRESH = "h=Cache-Control:max-age%3D60"


def target(**more):
    pairs = "&".join(f"{k}={v}" for k, v in more.items())
    return f"/hint?{FRESH}&{pairs}&unique={time.monotonic_ns()}"


def heads(client):
    """All heads up to the final one, whose content is read."""
    found = [client.head()]
    while found[-1].status < 200:
        found.append(client.head())
    client.read_content(found[-1])
    return found


def test_interim_responses_come_first(basic, tmp_path):
    with basic.client() as client:
        client.send_request(target(n=3, until=tmp_path / "go", body="late"))
        early = [client.head() for _ in range(3)]
        assert [r.status for r in early] == [103] * 3
        assert [r.headers for r in early] == [[("link", f"</{i}>")] for i in range(3)]
        (tmp_path / "go").touch()
        assert client.response().body == b"late"
        # the connection goes on
        assert client.request("/").body == b"Hello, world!"


def test_none_for_http_1_0(basic):
    """RFC 9110 15.2: a server MUST NOT send a 1xx response to an HTTP/1.0 client."""
    with basic.client() as client:
        client.send_request(target(), version="HTTP/1.0")
        assert client.head().status == 200


def test_none_is_stored(basic):
    page = target(body="page")
    with basic.client() as client:
        client.send_request(page)
        assert [r.status for r in heads(client)] == [103, 200]
        client.send_request(page)
        (hit,) = heads(client)
        assert "hit" in hit.get("cache-status") and hit.body == b"page"
        assert hit.get("link") is None


def test_who_joins_gets_none(basic):
    """Those whose own request reached the application get them, and nobody else."""
    page = target(sleep=1, body="page")
    with basic.client() as leader, basic.client() as waiter:
        leader.send_request(page)
        assert leader.head().status == 103
        waiter.send_request(page)
        (joined,) = heads(waiter)
        assert "collapsed" in joined.get("cache-status") and joined.body == b"page"
        assert leader.response().body == b"page"


def test_what_is_passed_has_them_too(basic):
    with basic.client() as client:
        client.send_request(target(n=2), "POST", body=b"x")
        assert [r.status for r in heads(client)] == [103, 103, 200]
        client.send_request(target(), "HEAD")
        assert client.head().status == 103
        assert client.head().status == 200


def test_a_client_that_left_costs_nothing(basic):
    page = target(n=10, body="page")
    with basic.client() as client:
        client.send_request(page)
        assert client.head().status == 103
        client.reset()
    assert wait_for(lambda: basic.get(page).body == b"page", "another answer")
