"""The cache over real sockets: what is stored, for whom, and how often Python is called.

`/answer` says in X-Call how many requests have reached Python, so that a replay shows.
"""

import re
import threading
import time
import urllib.parse

import pytest

from harness import serve

serial = 0


def page(*headers, **query):
    """A target of its own, answered with these header fields."""
    global serial
    serial += 1
    pairs = [("n", f"{serial}-{time.monotonic_ns()}"), *query.items()]
    return "/answer?" + urllib.parse.urlencode(pairs + [("h", h) for h in headers])


def replayed(server, target, first=(), second=(), **options):
    """True when the second request is answered without a call into Python."""
    a = server.get(target, headers=first, **options)
    b = server.get(target, headers=second, **options)
    assert a.status == b.status
    return a.get("x-call") == b.get("x-call")


def test_a_connection_is_closed_for_its_own_request_alone(basic):
    """RFC 9111 3.1, RFC 9110 7.6.1: Connection is not stored."""
    target = page("Cache-Control: max-age=60", "Connection: close")
    with basic.client() as client:
        assert client.request(target).get("connection") == "close"
        assert client.closed()
    with basic.client() as client:
        for _ in range(2):
            response = client.request(target)
            assert "hit" in response.get("cache-status")
            assert response.get("connection") is None


def test_a_hit_is_the_same_response(basic):
    target = page("Cache-Control: max-age=60", "X-Custom: kept", body="content")
    a, b = basic.get(target), basic.get(target)
    stored = r"zq; fwd=uri-miss; stored; ttl=(60|5\d); detail=app"
    assert re.fullmatch(stored, a.get("cache-status"))
    assert b.get("cache-status").startswith("zq; hit; ttl=")
    assert b.body == a.body == b"content"
    assert b.get("x-custom") == "kept"
    assert b.get("content-length") == "7"
    assert b.get("date") == a.get("date")
    assert a.get("age") is None
    assert int(b.get("age")) < 10


def test_age_grows_and_date_stays(basic):
    target = page("Cache-Control: max-age=60")
    a = basic.get(target)
    time.sleep(1.2)
    b = basic.get(target)
    assert 1 <= int(b.get("age")) < 12
    assert b.get("date") == a.get("date")


@pytest.mark.parametrize(
    "headers",
    [
        ["Cache-Control: max-age=60"],
        ["Cache-Control: s-maxage=60, max-age=0"],
        ["Cache-Control: public, max-age=60"],
        ["Expires: Fri, 31 Dec 2055 23:59:59 GMT"],
        ["Cache-Control: MAX-AGE=60"],
        ['Cache-Control: max-age="60"'],
        ["Cache-Control: unknown, max-age=60"],
    ],
)
def test_explicit_freshness_is_stored(basic, headers):
    """RFC 9111 3: storable with max-age, s-maxage or Expires."""
    assert replayed(basic, page(*headers))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"],
        ["Cache-Control: no-store"],
        ["Cache-Control: max-age=60, no-store"],
        ["Cache-Control: private, max-age=60"],
        ["Cache-Control: max-age=60", "Cache-Control: private"],
        ["Cache-Control: no-cache, max-age=60"],
        ["Cache-Control: max-age=0"],
        ["Cache-Control: s-maxage=0, max-age=60"],
        ["Cache-Control: max-age=nonsense"],
        ["Expires: 0"],
        ["Expires: Sun, 06 Nov 1994 08:49:37 GMT"],
        ["Cache-Control: max-age=60", "Set-Cookie: a=b"],
        ["Cache-Control: max-age=60", "Vary: *"],
        ["Cache-Control: max-age=60", "Vary: accept, *"],
        ["Cache-Control: max-age=60", "Age: 60"],
    ],
)
def test_what_a_shared_cache_must_not_replay(basic, headers):
    """RFC 9111 3 and 4."""
    assert not replayed(basic, page(*headers))


def test_authorization(basic):
    """RFC 9111 3.5."""
    login = {"Authorization": "Basic eDp5"}
    assert not replayed(basic, page("Cache-Control: max-age=60"), login, login)
    for directive in ("public, max-age=60", "s-maxage=60", "max-age=60, must-revalidate"):
        assert replayed(basic, page(f"Cache-Control: {directive}"), login, login)


def test_two_sessions_never_meet(basic):
    """A session page with only max-age reached that user's browser behind other servers."""
    target = page("Cache-Control: max-age=60")
    assert not replayed(basic, target, {"Cookie": "session=alice"}, {"Cookie": "session=bob"})
    assert not replayed(basic, target, {"Cookie": "session=alice"}, {"Cookie": "session=alice"})


def test_a_stored_response_may_answer_a_request_with_cookie(basic):
    assert replayed(basic, page("Cache-Control: max-age=60"), {}, {"Cookie": "session=alice"})


def test_vary(basic):
    target = page("Cache-Control: max-age=60", "Vary: Accept-Language")
    english, german = {"Accept-Language": "en"}, {"Accept-Language": "de"}
    a = basic.get(target, headers=english)
    b = basic.get(target, headers=german)
    assert a.get("x-call") != b.get("x-call")
    assert b.get("cache-status").startswith("zq; fwd=vary-miss")
    assert basic.get(target, headers=english).get("x-call") == a.get("x-call")
    assert basic.get(target, headers=german).get("x-call") == b.get("x-call")
    assert basic.get(target).get("x-call") not in (a.get("x-call"), b.get("x-call"))


def test_expired_is_fetched_again(basic):
    target = page("Cache-Control: max-age=1")
    assert replayed(basic, target)
    time.sleep(2.1)
    response = basic.get(target)
    assert response.get("cache-status").startswith("zq; fwd=stale")


def test_head_is_answered_from_a_stored_get(basic):
    target = page("Cache-Control: max-age=60", size=100)
    a = basic.get(target)
    b = basic.get(target, method="HEAD")
    assert b.get("x-call") == a.get("x-call")
    assert b.get("content-length") == "100"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_other_methods_always_reach_python(basic, method):
    target = page("Cache-Control: max-age=60")
    assert not replayed(basic, target, method=method)
    assert basic.get(target, method=method).get("cache-status") == "zq; fwd=method; detail=app"


def test_unsafe_methods_invalidate(basic):
    """RFC 9111 4.4."""
    target = page("Cache-Control: max-age=60")
    a = basic.get(target)
    basic.get(target, method="POST", body=b"")
    assert basic.get(target).get("x-call") != a.get("x-call")
    target = page("Cache-Control: max-age=60", status="404")
    a = basic.get(target)
    basic.get(target, method="POST", body=b"")  # an error invalidates nothing
    assert basic.get(target).get("x-call") == a.get("x-call")


@pytest.mark.parametrize("field", ["Location", "Content-Location"])
def test_unsafe_methods_invalidate_what_they_name(basic, field):
    """RFC 9111 4.4: of the same origin, never of another."""
    for prefix, goes in (("", True), ("http://test", True), ("http://other", False)):
        target = page("Cache-Control: max-age=60")
        a = basic.get(target)
        basic.get(page(f"{field}: {prefix}{target}"), method="POST", body=b"")
        assert (basic.get(target).get("x-call") != a.get("x-call")) == goes


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Original-URL": "/admin"},
        {"X-Rewrite-URL": "/admin"},
    ],
)
def test_fields_that_change_the_request_bypass(basic, headers):
    target = page("Cache-Control: max-age=60")
    assert not replayed(basic, target, headers, {})
    assert not replayed(basic, target, {}, headers)


def test_a_get_with_content_bypasses(basic):
    target = page("Cache-Control: max-age=60")
    assert not replayed(basic, target, body=b"filter")


def test_the_key_is_no_coarser_than_the_application(basic):
    base = page("Cache-Control: max-age=60")
    path, query = base.split("?")
    variants = [
        base,
        "/x/../answer?" + query,
        "//answer?" + query,
        "/answer;v=1?" + query,
        "/answe%72?" + query,
        "/Answer?" + query,
        base + "&",
        base + "?",
    ]
    calls = [basic.get(v).get("x-call") for v in variants]
    assert len(set(calls)) == len(variants)
    assert basic.get(base, host="other").get("x-call") not in calls
    # the same host in other words
    assert basic.get(base, host="TEST:80").get("x-call") == calls[0]


def many(server, target, n, headers=()):
    """n clients at once: their responses."""
    responses = [None] * n
    barrier = threading.Barrier(n)

    def run(i):
        with server.client() as client:
            barrier.wait(30)
            responses[i] = client.request(target, headers=headers)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return responses


def test_concurrent_misses_become_one_call(basic):
    target = page("Cache-Control: max-age=60", sleep="0.5", size=100_000)
    responses = many(basic, target, 50)
    assert {r.status for r in responses} == {200}
    assert len({r.get("x-call") for r in responses}) == 1
    assert {len(r.body) for r in responses} == {100_000}
    assert any("collapsed" in r.get("cache-status") for r in responses)


def test_unstorable_pages_are_not_serialised(basic):
    """All waiters are released at the head: two rounds of the view, not twenty."""
    target = page("Cache-Control: no-store", sleep="0.5")
    started = time.monotonic()
    responses = many(basic, target, 20)
    assert time.monotonic() - started < 5
    assert len({r.get("x-call") for r in responses}) == 20
    # remembered: nobody waits on it again
    responses = many(basic, target, 5)
    assert not any("collapsed" in r.get("cache-status") for r in responses)


def test_requests_with_cookie_do_not_wait_on_a_new_key(basic):
    target = page("Cache-Control: max-age=60", sleep="0.5")
    responses = many(basic, target, 5, {"Cookie": "session=x"})
    assert len({r.get("x-call") for r in responses}) == 5


def test_waiters_whose_vary_does_not_match_are_released(basic):
    target = page("Cache-Control: max-age=60", "Vary: X-Who", sleep="0.5")
    results = {}

    def run(who):
        results[who] = basic.get(target, headers={"X-Who": who})

    threads = [threading.Thread(target=run, args=(w,)) for w in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({r.get("x-call") for r in results.values()}) == 3


def test_streamed_response_is_stored_whole(basic):
    target = f"/stream?parts=5&gap=0.05&cc=max-age%3D60&n={time.monotonic_ns()}"
    a = basic.get(target)
    b = basic.get(target)
    assert a.get("transfer-encoding") == "chunked"
    assert b.body == a.body == b"aaaaabbbbbcccccdddddeeeee"
    assert b.get("content-length") == "25"
    assert b.get("x-call") == a.get("x-call")


def test_a_waiter_streams_while_the_entry_fills(basic, tmp_path):
    target = f"/stream?parts=2&until={tmp_path}/go&cc=max-age%3D60&n={time.monotonic_ns()}"
    with basic.client() as leader, basic.client() as waiter:
        leader.send_request(target)
        leader.head()
        assert next(leader.chunks()) == b"aaaaa"
        waiter.send_request(target)
        head = waiter.head()
        assert "collapsed" in head.get("cache-status")
        chunks = waiter.chunks()
        assert next(chunks) == b"aaaaa"
        (tmp_path / "go").touch()
        assert b"".join(chunks) == b"bbbbb"


def test_a_response_cut_short_is_not_replayed(basic):
    target = f"/fail-late?n={time.monotonic_ns()}"
    assert not basic.get(target).complete
    assert not basic.get(target).complete


def test_leader_that_leaves_does_not_take_the_others_along(basic):
    target = page("Cache-Control: max-age=60", sleep="0.6", body="shared")
    with basic.client() as leader, basic.client() as waiter:
        leader.send_request(target)
        time.sleep(0.1)
        waiter.send_request(target)
        time.sleep(0.1)
        leader.reset()
        response = waiter.response()
        assert response.body == b"shared"


def test_bounded_memory_with_eviction():
    with serve("basic:app", "--cache-size=1MiB") as server:
        with server.client() as client:
            for i in range(300):
                client.request(f"/answer?size=20000&i={i}&h=Cache-Control:max-age=600")
            hits = 0
            for i in range(300):
                target = f"/answer?size=20000&i={i}&h=Cache-Control:max-age=600"
                hits += "hit" in client.request(target).get("cache-status")
        assert hits < 60


def test_a_response_larger_than_the_cache_passes(basic):
    with serve("basic:app", "--cache-size=1MiB") as server:
        target = "/answer?size=5000000&h=Cache-Control:max-age=600"
        for _ in range(2):
            response = server.get(target)
            assert len(response.body) == 5_000_000
            assert "hit" not in response.get("cache-status")


def test_a_slow_client_does_not_hold_up_who_waited_with_it():
    """Of a response too large to be stored there is only a window: nobody shares it."""
    with serve("basic:app", "--cache-size=1MiB") as server:
        target = "/answer?sleep=0.3&size=10000000&h=Cache-Control:max-age=600"
        with server.client(SO_RCVBUF=4096) as slow, server.client() as quick:
            slow.send_request(target)
            time.sleep(0.1)
            quick.send_request(target)
            assert len(quick.response().body) == 10_000_000


def test_max_object():
    """--cache-max-object: what announces more is never stored, what grows past it neither."""
    fresh = "h=Cache-Control:max-age=600"
    with serve("basic:app", "--cache-max-object=20000") as server:
        for target, stored in (
            (f"/answer?size=20000&{fresh}", True),
            (f"/answer?size=20001&{fresh}", False),
            ("/stream?parts=4&size=5000&cc=max-age%3D60", True),
            ("/stream?parts=4&size=5001&cc=max-age%3D60", False),
        ):
            server.get(target)
            assert ("hit" in server.get(target).get("cache-status")) == stored, target


def test_who_lags_behind_a_fill_that_outgrew_the_cache_is_cut():
    """A fill that passes --cache-max-object keeps one bounded window: a reader further behind for
    --timeout-write is cut, and the others have the rest, though it takes a little now and then."""
    target = "/stream?parts=60&size=300000&gap=0.01&cc=max-age%3D60"
    with serve("basic:app", "--cache-max-object=1MiB", "--timeout-write=4s") as server:
        with server.client(SO_RCVBUF=4096) as slow, server.client() as quick:
            slow.send_request(target)
            assert "stored" in slow.head().get("cache-status")
            ended = threading.Event()

            def trickle():
                try:
                    while slow.receive():
                        time.sleep(0.05)
                except ConnectionError:
                    pass
                ended.set()

            quick.send_request(target)
            thread = threading.Thread(target=trickle)
            thread.start()
            response = quick.response()
            assert "collapsed" in response.get("cache-status")
            assert response.complete and len(response.body) == 60 * 300_000
            thread.join(60)
            assert ended.is_set() and not slow.buffer.endswith(b"0\r\n\r\n")


def test_nobody_waits_long_for_a_head():
    """On an undecorated key nobody waits longer than 5 s for another's head: whoever has goes by
    itself, and a leader that hangs takes nobody along."""
    target = f"/hint?body=own&h=Cache-Control:max-age=60&at={time.monotonic_ns()}"
    hang = {"X-Sleep": "40"}
    with serve("basic:app") as server:
        with server.client() as leader, server.client() as waiter:
            leader.reach(target, headers=hang)
            started = time.monotonic()
            waiter.send_request(target)
            response = waiter.response()
            assert 4 < time.monotonic() - started < 35
            assert response.body == b"own"
            assert "collapsed" not in response.get("cache-status")


def test_no_cache_option():
    with serve("basic:app", "--no-cache") as server:
        target = "/answer?h=Cache-Control:max-age=600"
        a, b = server.get(target), server.get(target)
        assert a.get("x-call") != b.get("x-call")
        assert a.get("cache-status") == b.get("cache-status") == "zq; fwd=bypass; detail=app"
