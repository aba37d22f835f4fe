"""Cache-Status (RFC 9211) “on every response with hit, fwd reason, ttl, stored, collapsed, key (debug
only), detail (the rung)” (issue 5, section 4)."""

import json
import re
import time
import urllib.parse

import pytest

from harness import serve, wait_for
from test_admin import api, directory  # noqa: F401
from test_cache import page

REJECTED = "zq; detail=reject"
# RFC 8941 3.3.3: an sf-string
STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"$')


def status_of(response):
    return response.get("cache-status")


def key_of(response):
    """The key, unescaped; None where there is none."""
    value = status_of(response)
    if "; key=" not in value:
        return None
    found = STRING.match(value.split("; key=", 1)[1])
    assert found, value
    return re.sub(r'\\(["\\])', r"\1", found[1])


# ---- every rung ----

REFUSED = {  # what the http room refuses, whether it is a request or not
    400: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    413: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n",
    414: f"GET /{'x' * 9000} HTTP/1.1\r\nHost: a\r\n\r\n",
    417: "GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\nContent-Length: 1\r\n\r\n",
    431: f"GET / HTTP/1.1\r\nHost: a\r\nX: {'x' * 70000}\r\n\r\n",
    501: "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    505: "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("cache", ["--cache", "--no-cache"])
def test_every_response_has_one(cache):
    options = (cache, "--front-threads=2", "--limit-request-body=1000")
    forwarded = "bypass" if cache == "--no-cache" else "uri-miss"
    with serve("declared:app", *options) as server:
        assert status_of(server.get("/static/page")) == "zq; hit; detail=static"
        etag = {"If-None-Match": server.get("/static/page").get("etag")}
        assert status_of(server.get("/static/page", headers=etag)) == "zq; hit; detail=static"
        refused = server.get("/static/page", headers={"If-Match": '"x"'})
        assert (refused.status, status_of(refused)) == (412, "zq; detail=static")
        assert status_of(server.get("/echo/1/a")) == f"zq; fwd={forwarded}; detail=direct"
        assert status_of(server.get("/wrong/raise")) == f"zq; fwd={forwarded}; detail=direct"
        assert status_of(server.get("/health")) == f"zq; fwd={forwarded}; detail=app"
        assert status_of(server.get("/x", method="POST")) == "zq; fwd=method; detail=app"
        missing = server.get("/none", headers={"X-Status": "404"})
        assert (missing.status, status_of(missing)) == (404, f"zq; fwd={forwarded}; detail=app")
        for status, request in REFUSED.items():
            with server.client() as client:
                client.send(request)
                response = client.response()
                assert (response.status, status_of(response)) == (status, REJECTED), request
        for request in ("\x16\x03\x01\x02\x00\x01\r\n\r\n", "hello\r\n\r\n"):  # no request at all
            with server.client() as client:
                client.send(request)
                assert status_of(client.response()) == REJECTED


def test_a_client_that_is_too_slow():
    with serve("basic:app", "--timeout-request-header=1s", "--timeout-request-body=1s") as server:
        for part in (
            "GET / HTTP/1.1\r\n",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nx",
        ):
            with server.client() as client:
                client.send(part)
                response = client.response()
                assert (response.status, status_of(response)) == (408, REJECTED)
        lines = wait_for(
            lambda: len(found := re.findall("408 .*", server.access_log)) == 2 and found, "2 lines"
        )
        assert all(" reject" in line for line in lines)


def test_overload_is_a_rejection_and_no_forwarding(tmp_path):
    """RFC 9211 2.2: `fwd` says that the request went forward, which this one did not."""
    gate = tmp_path / "gate"
    with serve("basic:app", "--limit-concurrency=1") as server, server.client() as held:
        held.send_request(f"/hint?until={gate}")
        assert held.head().status == 103  # it has reached the application
        shed = server.get("/answer?x")
        assert (shed.status, status_of(shed)) == (503, REJECTED)
        gate.touch()
        assert held.response().status == 200
        wait_for(lambda: '"GET /answer?x HTTP/1.1" 503' in server.access_log, "the line")
        (line,) = (s for s in server.access_log.splitlines() if " 503 " in s)
        assert " reject" in line


def test_a_stale_response_instead_of_one_call_too_many(tmp_path):
    """RFC 9111 4.2.4, RFC 9211 2.1: “it was not forwarded, and the response was obtained from the
    cache” is a hit."""
    gate = tmp_path / "gate"
    options = ("--limit-concurrency=1", "--cache-grace=1h")
    with serve("basic:app", *options) as server, server.client() as held:
        target = page("Cache-Control: max-age=0", 'ETag: "a"', body="x")
        server.get(target)
        held.send_request(f"/hint?until={gate}")
        assert held.head().status == 103
        stale = server.get(target)
        assert (stale.status, stale.body) == (200, b"x")
        assert re.fullmatch("zq; hit; ttl=(0|-[0-9]+); detail=stale", status_of(stale))
        gate.touch()
        assert held.response().status == 200
        wait_for(lambda: "/hint" in server.access_log, "the lines")
        assert len(re.findall("GET /answer.* hit\\b", server.access_log)) == 1


def test_only_if_cached_is_a_rejection_in_the_log():
    with serve("basic:app", "--cache-request-directives=honour") as server:
        response = server.get(page(), headers={"Cache-Control": "only-if-cached"})
        assert (response.status, status_of(response)) == (504, "zq; detail=only-if-cached")
        wait_for(lambda: re.search(" 504 .* reject", server.access_log), "the line")


def test_a_worker_that_is_late():
    with serve("basic:app", "--timeout-response=1s") as server:
        late = server.get(page("Cache-Control: max-age=60"), headers={"X-Sleep": "10"})
        assert (late.status, status_of(late)) == (504, "zq; fwd=uri-miss; detail=app")


def test_a_worker_that_dies():
    with serve("basic:app") as server:
        dead = server.get(page("Cache-Control: max-age=60"), headers={"X-Die": "1"})
        assert (dead.status, status_of(dead)) == (502, "zq; fwd=uri-miss; detail=app")


def test_the_cache_switched_off_and_a_bypass_rule(directory):  # noqa: F811
    path = directory / "admin.sock"
    with serve("declared:app", f"--admin-uds={path}", "--cache-bypass=/by/*") as server:
        server.admin = str(path)
        assert status_of(server.get("/by/x")) == "zq; fwd=bypass; detail=app"
        assert api(server, "/cache/off", "POST").status == 200
        assert status_of(server.get("/static/page")) == "zq; hit; detail=static"
        assert status_of(server.get("/echo/1/a")) == "zq; fwd=bypass; detail=direct"
        assert status_of(server.get("/x")) == "zq; fwd=bypass; detail=app"
        # The admin listener is no part of the site.
        assert api(server, "/cache/stat").get("cache-status") is None


# ---- the key ----


def test_the_key_is_shown_for_debugging_only(basic):
    """RFC 9211 2.7."""
    target = page("Cache-Control: max-age=60")
    assert key_of(basic.get(target)) is None
    assert key_of(basic.get(target)) is None


@pytest.mark.parametrize("level", ["debug", "trace"])
def test_the_key_is_a_string(level):
    """RFC 8941 3.3.3, with what a target may hold that has to be escaped there."""
    with serve("declared:app", f"--log-level={level}", "--front-threads=2") as server:
        fresh = {"X-Answer": "Cache-Control: max-age=60"}
        for target, key in {
            "/a?b=c": "http://test/a?b=c",
            '/q?"x"': 'http://test/q?"x"',
            "/back\\slash\\": "http://test/back\\slash\\",
            "/%c3%a4": "http://test/%C3%A4",  # RFC 3986 6.2.2.1
            "/;key=x": "http://test/;key=x",
        }.items():
            for _ in range(2):
                assert key_of(server.get(target, headers=fresh)) == key
        assert re.search(r"; hit; ttl=(60|5\d); key=", status_of(server.get("/a?b=c")))
        assert key_of(server.get("/x", host="Test:80")) == "http://test/x"
        assert key_of(server.get("/x", method="POST")) == "http://test/x"
        # What a key rule leaves out is not in it.
        assert (
            key_of(server.get("/c/allow/n?q=1&x=2", headers=fresh)) == "http://test/c/allow/n?q=1"
        )
        # These have none.
        assert key_of(server.get("/static/page")) is None
        with server.client() as client:
            client.send("GET / HTTP/1.1\r\n\r\n")
            assert status_of(client.response()) == REJECTED


def test_a_long_key():
    with serve("basic:app", "--log-level=debug") as server:
        target = "/answer?h=Cache-Control:max-age=60&x=" + '"' * 7000
        for _ in range(2):
            assert key_of(server.get(target)) == f"http://test{target}"


# ---- what is left of freshness ----


@pytest.fixture(scope="module")
def purging(tmp_path_factory):
    data = tmp_path_factory.mktemp("status")
    (data / "value").write_text("old")
    path = data / "admin.sock"
    options = ("--front-threads=2", f"--admin-uds={path}", "--no-access-log")
    with serve("basic:app", *options) as server:
        server.admin = str(path)
        yield server


def ttl_of(response):
    return int(re.search(r"; ttl=(-?\d+)", status_of(response))[1])


def shown(server, target):
    response = api(server, "/cache/show?url=" + urllib.parse.quote(f"http://test{target}", ""))
    (item,) = json.loads(response.body)["responses"]
    return item


def test_what_was_purged_softly_is_stale(purging, tmp_path):
    """RFC 9211 2.4: what is stale has no time left, or less."""
    gate = tmp_path / "gate"
    gate.touch()
    target = page("Cache-Control: max-age=600, stale-while-revalidate=600", until=gate)
    assert 590 < ttl_of(purging.get(target)) <= 600
    gate.unlink()
    assert 590 < ttl_of(purging.get(target)) <= 600
    assert 590 < shown(purging, target)["ttl"] <= 600
    before = purging.get(target)
    purge = {"url": f"http://test{target}", "soft": True}
    assert api(purging, "/purge", "POST", purge).status == 200
    for _ in range(3):
        stale = purging.get(target)
        assert stale.get("x-call") == before.get("x-call")
        assert re.fullmatch("zq; hit; ttl=(0|-[0-9]+); detail=stale", status_of(stale))
    item = shown(purging, target)
    assert item["ttl"] <= 0 and item["purged"]
    gate.touch()
    wait_for(lambda: ttl_of(purging.get(target)) > 590, "its successor")


@pytest.mark.parametrize("window, served", [(1, False), (600, True)])
def test_a_soft_purge_is_when_it_became_stale(purging, window, served):
    """RFC 5861 3: for so long beyond that, and not beyond max-age."""
    target = page(f"Cache-Control: max-age=86400, stale-while-revalidate={window}")
    purging.get(target)
    purge = {"url": f"http://test{target}", "soft": True}
    assert api(purging, "/purge", "POST", purge).status == 200
    time.sleep(1.1)
    status = status_of(purging.get(target))
    assert ("hit" in status, "fwd=stale" in status) == (served, not served)


def test_what_was_purged_softly_and_serves_for_an_error(directory):  # noqa: F811
    """RFC 5861 4: it was neither validated nor is it fresh."""
    path = directory / "admin.sock"
    with serve("basic:app", f"--admin-uds={path}") as server:
        server.admin = str(path)
        target = page("Cache-Control: max-age=600, stale-if-error=600", body="x")
        server.get(target)
        purge = {"url": f"http://test{target}", "soft": True}
        assert api(server, "/purge", "POST", purge).status == 200
        stale = server.get(target, headers={"X-Die": "1"})
        assert (stale.status, stale.body) == (200, b"x")
        status = "zq; fwd=stale; ttl=(0|-[0-9]+); detail=stale-if-error"
        assert re.fullmatch(status, status_of(stale))
