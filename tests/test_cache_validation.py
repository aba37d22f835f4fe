"""Stale responses: validated (RFC 9111 4.3), or used all the same (RFC 9111 4.2.4, RFC 5861).

`/turns` answers each request for a target in another way, and shows what it was asked.
"""

import re
import time
import urllib.parse

import pytest

from harness import serve, wait_for
from test_cache import many, page

serial = 0


def turn(*headers, **query):
    return urllib.parse.urlencode([*query.items(), *(("h", h) for h in headers)])


def turns(*texts):
    global serial
    serial += 1
    pairs = [("n", f"{serial}-{time.monotonic_ns()}"), *(("t", t) for t in texts)]
    return "/turns?" + urllib.parse.urlencode(pairs)


STALE = ("Cache-Control: max-age=0", 'ETag: "a"')
FRESH = ("Cache-Control: max-age=60", 'ETag: "a"')
MODIFIED = "Sun, 06 Nov 1994 08:00:00 GMT"


def status_of(response):
    return response.get("cache-status")


def test_a_304_freshens(basic):
    """RFC 9111 4.3.4, 3.2: all fields but those that describe the content."""
    target = turns(
        turn(*STALE, "X-Old: 1", "X-Both: 1", "Content-Language: en", body="content"),
        turn(*FRESH, "X-Both: 2", "X-Both: 3", "X-New: 1", "Content-Encoding: br", status=304),
    )
    assert "stored" in status_of(basic.get(target))
    response = basic.get(target)
    assert response.status == 200
    assert response.body == b"content"
    status = r"zq; fwd=stale; stored; fwd-status=304; ttl=(60|5\d); detail=app"
    assert re.fullmatch(status, status_of(response))
    assert response.get("x-asked-if-none-match") == '"a"'
    assert response.get("x-turn") == "1"
    assert response.all("x-both") == ["2", "3"]
    assert response.get("x-old") == response.get("x-new") == "1"
    assert response.get("content-language") == "en"
    assert response.get("content-encoding") is None
    assert response.get("content-length") == "7"
    assert int(response.get("age")) < 10
    again = basic.get(target)
    assert status_of(again).startswith("zq; hit; ttl=")
    assert again.body == b"content"
    assert again.get("x-turn") == "1"


def test_age_of_a_304(basic):
    """RFC 9111 5.1: one Age, the response's by now."""
    target = turns(turn(*STALE, body="x"), turn(*FRESH, "Age: 7", status=304))
    basic.get(target)
    for _ in range(2):
        assert 7 <= int(basic.get(target).get("age")) <= 37


def test_a_304_many_times(basic):
    """The content is shared by one head after the other."""
    target = turns(turn(*STALE, size=300_000), turn(*STALE, status=304))
    for i in range(5):
        response = basic.get(target)
        assert (response.get("x-turn"), len(response.body)) == (str(i), 300_000)


def test_last_modified_validates(basic):
    stale = ("Cache-Control: max-age=0", f"Last-Modified: {MODIFIED}")
    target = turns(turn(*stale, body="x"), turn("Cache-Control: max-age=9", status=304))
    basic.get(target)
    response = basic.get(target)
    assert response.get("x-asked-if-modified-since") == MODIFIED
    assert (response.status, response.body) == (200, b"x")
    assert "hit" in status_of(basic.get(target))


def test_the_clients_conditions_do_not_reach_the_application(basic):
    """But are applied to what comes of it."""
    target = turns(turn(*STALE, body="0123456789"), turn(*FRESH, status=304))
    basic.get(target)
    response = basic.get(target, headers={"If-None-Match": '"b", "c"', "Range": "bytes=2-3"})
    assert response.get("x-asked-if-none-match") == '"a"'
    assert response.get("x-asked-range") is None
    assert (response.status, response.body) == (206, b"23")
    target = turns(turn(*STALE, body="0123456789"), turn(*FRESH, status=304))
    basic.get(target)
    response = basic.get(target, headers={"If-None-Match": '"b", "a"'})
    assert response.status == 304
    assert response.get("x-asked-if-none-match") == '"a"'
    assert "hit" in status_of(basic.get(target))


def test_a_200_replaces(basic):
    target = turns(
        turn(*STALE, body="old"), turn("Cache-Control: max-age=60", 'ETag: "b"', body="new")
    )
    basic.get(target)
    response = basic.get(target)
    assert (response.body, response.get("etag")) == (b"new", '"b"')
    assert basic.get(target).body == b"new"
    assert "hit" in status_of(basic.get(target))


def test_no_cache_is_stored_and_validated_every_time(basic):
    """RFC 9111 5.2.2.4."""
    fields = ("Cache-Control: no-cache", 'ETag: "a"')
    target = turns(turn(*fields, body="x"), turn(*fields, status=304))
    for i in range(4):
        response = basic.get(target)
        assert (response.get("x-turn"), response.body) == (str(i), b"x")
        assert response.get("x-asked-if-none-match") == ('"a"' if i else None)


@pytest.mark.parametrize(
    "field", ["Set-Cookie: a=b", "Cache-Control: private", "Cache-Control: no-store", "Vary: *"]
)
def test_a_304_that_forbids_storing(basic, field):
    """That client is answered, and the entry goes."""
    target = turns(turn(*STALE, body="old"), turn(field, status=304), turn(*FRESH, body="new"))
    basic.get(target)
    response = basic.get(target)
    assert (response.status, response.body) == (200, b"old")
    assert field.split(": ")[1] in response.all(field.split(":")[0])
    assert "stored" not in status_of(response)
    response = basic.get(target)
    assert response.body == b"new"
    assert response.get("x-asked-if-none-match") is None
    assert "fwd=uri-miss" in status_of(response)


def test_a_304_to_another_validator(basic):
    """RFC 9111 4.3.4: it does not confirm what is stored; the whole is asked for."""
    target = turns(
        turn(*STALE, body="old"), turn('ETag: "b"', status=304), turn(*FRESH, body="new")
    )
    basic.get(target)
    response = basic.get(target)
    assert (response.status, response.body, response.get("x-turn")) == (200, b"new", "2")
    assert response.get("x-asked-if-none-match") is None


def test_a_304_that_zq_did_not_ask_for(basic):
    """It is the client's, and changes nothing that is stored."""
    target = turns(turn(*FRESH, "Vary: X-A", body="x"), turn("Set-Cookie: a=b", status=304))
    basic.get(target)
    response = basic.get(target, headers={"X-A": "1", "If-Match": '"a"', "If-None-Match": '"a"'})
    assert response.status == 304
    assert response.get("x-asked-if-none-match") == '"a"'
    assert "hit" in status_of(basic.get(target))


def test_a_304_to_a_head_without_a_validator(basic):
    """Nor does one that the application answers HEAD with, which goes out as it came."""
    target = turns(turn(*STALE, body="old"), turn(*FRESH, status=304), turn(*FRESH, body="new"))
    basic.get(target)
    assert basic.get(target, method="HEAD").status == 304
    response = basic.get(target)
    assert (response.body, response.get("x-asked-if-none-match")) == (b"new", '"a"')


def test_what_a_304_leaves_hidden_stays(basic):
    """Zq-Cache-Control and tags are known again, though no client saw them."""
    target = turns(
        turn("Zq-Cache-Control: max-age=0", "Cache-Control: no-store", 'ETag: "a"', body="x"),
        turn(status=304),
        turn("Zq-Cache-Control: max-age=60", status=304),
        turn(body="never"),
    )
    for i in range(3):
        assert basic.get(target).get("x-turn") == str(i)
    response = basic.get(target)
    assert (response.body, response.get("x-turn")) == (b"x", "2")
    assert response.get("zq-cache-control") is None
    assert response.get("cache-control") == "no-store"


def test_concurrent_validations_are_one(basic):
    target = turns(
        turn("Cache-Control: max-age=1", 'ETag: "a"', body="x"), turn(*FRESH, status=304, sleep=0.5)
    )
    basic.get(target)
    time.sleep(2.1)
    responses = many(basic, target, 20)
    assert {(r.status, r.body, r.get("x-turn")) for r in responses} == {(200, b"x", "1")}
    assert any("collapsed" in status_of(r) for r in responses)


# ---- stale, but used ----


def test_stale_while_revalidate(basic, tmp_path):
    """RFC 5861 3: nobody waits, and one call is made."""
    target = turns(
        turn("Cache-Control: max-age=1, stale-while-revalidate=60", 'ETag: "a"', body="old"),
        turn(*FRESH, body="new", until=tmp_path / "go"),
    )
    basic.get(target)
    time.sleep(2.1)
    for method in ("HEAD", "GET", "GET"):
        response = basic.get(target, method=method, headers={"If-None-Match": '"z"'})
        assert response.get("x-turn") == "0"
        assert status_of(response).startswith("zq; hit; ttl=-")
        assert status_of(response).endswith("; detail=stale")
    (tmp_path / "go").touch()
    new = wait_for(lambda: (r := basic.get(target)).body == b"new" and r, "the refreshed response")
    assert new.get("x-turn") == "1"
    assert new.get("x-method") == "GET"
    assert new.get("x-asked-if-none-match") == '"a"'
    assert status_of(new).startswith("zq; hit; ttl=")


@pytest.mark.parametrize("name", ["Cookie", "Authorization"])
def test_who_asks_does_not_spoil_the_refresh(basic, name):
    """A page that was made for nobody in particular is made so again: the answer to this client's
    cookie could not be stored (RFC 9111 3.5)."""
    target = turns(
        turn("Cache-Control: max-age=1, stale-while-revalidate=60", body="old"),
        turn("Cache-Control: max-age=60", body="new"),
    )
    basic.get(target)
    time.sleep(2.1)
    asked = {name: "user=1"}
    assert basic.get(target, headers=asked).body == b"old"
    new = wait_for(
        lambda: (r := basic.get(target, headers=asked)).body == b"new" and r, "the refreshed page"
    )
    assert status_of(new).startswith("zq; hit; ttl=")
    assert new.get(f"x-asked-{name.lower()}") is None


def test_stale_while_revalidate_by_304(basic):
    target = turns(
        turn("Cache-Control: max-age=1, stale-while-revalidate=60", 'ETag: "a"', body="old"),
        turn(*FRESH, status=304),
    )
    basic.get(target)
    time.sleep(2.1)
    assert basic.get(target).get("x-turn") == "0"
    response = wait_for(
        lambda: (r := basic.get(target)).get("x-turn") == "1" and r, "the freshened response"
    )
    assert response.body == b"old"
    assert "hit" in status_of(response)


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=0"])
def test_what_is_never_used_stale(basic, directive):
    """RFC 9111 4.2.4."""
    windows = "stale-while-revalidate=60, stale-if-error=60"
    first = turn(f"Cache-Control: max-age=0, {directive}, {windows}", 'ETag: "a"', body="x")
    target = turns(first, turn(status=503), turn(*FRESH, status=304))
    assert "stored" in status_of(basic.get(target))
    assert basic.get(target).status == 503
    assert basic.get(target).get("x-turn") == "2"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_stale_if_error(basic, status):
    """RFC 5861 4."""
    first = turn("Cache-Control: max-age=0, stale-if-error=60", body="old")
    target = turns(first, turn("Cache-Control: max-age=60", status=status, body="e" * 1000), first)
    basic.get(target)
    response = basic.get(target)
    assert (response.status, response.body, response.get("x-turn")) == (200, b"old", "0")
    assert "detail=stale-if-error" in status_of(response)
    assert response.get("age") is not None
    assert basic.get(target).get("x-turn") == "2"


def test_a_304_that_forbids_storing_is_no_error(basic):
    """RFC 9211 2.3: fwd-status is what the application answered; nothing stood in for it."""
    target = turns(turn(*STALE, body="old"), turn("Cache-Control: no-store", status=304))
    basic.get(target)
    response = basic.get(target)
    assert (response.status, response.body) == (200, b"old")
    assert "fwd-status=304" in status_of(response)
    assert "stale-if-error" not in status_of(response)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"If-None-Match": '"a"'}, 304),
        ({"If-None-Match": '"z"'}, 200),
        ({"If-Modified-Since": "Fri, 02 Jan 2015 00:00:00 GMT"}, 304),
        ({"If-Modified-Since": "Wed, 01 Jan 2014 00:00:00 GMT"}, 200),
    ],
)
def test_stale_if_error_of_a_conditional_request(basic, method, condition, status):
    """RFC 5861 4: "may be used to satisfy the request", by its own conditions (RFC 9111 4.3.2)."""
    lasts = turn(
        "Cache-Control: max-age=0, stale-if-error=60",
        'ETag: "a"',
        "Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT",
        body="old",
    )
    target = turns(lasts, turn(status=503))
    basic.get(target)
    response = basic.get(target, method=method, headers=condition)
    assert (response.status, response.get("etag")) == (status, '"a"')
    assert response.body == (b"old" if (method, status) == ("GET", 200) else b"")
    assert "detail=stale-if-error" in status_of(response)


def test_other_errors_are_answers(basic):
    first = turn("Cache-Control: max-age=0, stale-if-error=60", body="old")
    for status in (404, 501):
        target = turns(first, turn(status=status))
        basic.get(target)
        assert basic.get(target).status == status


def test_without_leave_an_error_is_an_error(basic):
    target = turns(turn(*STALE, body="old"), turn(status=503))
    basic.get(target)
    assert basic.get(target).status == 503


@pytest.mark.parametrize(
    ("grace", "cc", "status"),
    [
        ("off", "max-age=0", 502),
        ("off", "max-age=0, stale-if-error=60", 200),
        ("1m", "max-age=0", 200),
        ("1m", "max-age=0, must-revalidate", 502),
        ("1m", "s-maxage=0", 502),
    ],
)
def test_a_dead_worker(grace, cc, status):
    """RFC 9111 4.2.4: out of reach."""
    with serve("basic:app", f"--cache-grace={grace}") as server:
        target = page(f"Cache-Control: {cc}", 'ETag: "a"', body="x")
        first = server.get(target)
        assert "stored" in status_of(first)
        response = server.get(target, headers={"X-Die": "1"})
        assert response.status == status
        if status == 200:
            assert response.body == b"x"
            assert "detail=stale-if-error" in status_of(response)


def test_a_hung_worker():
    with serve("basic:app", "--cache-grace=1m", "--timeout-response=1s") as server:
        target = page("Cache-Control: max-age=0", 'ETag: "a"', body="x")
        server.get(target)
        response = server.get(target, headers={"X-Sleep": "5"})
        assert (response.status, response.body) == (200, b"x")


def test_max_stale():
    """RFC 9111 5.2.1.2."""
    with serve("basic:app", "--cache-request-directives=honour") as server:
        target = page("Cache-Control: max-age=1", 'ETag: "a"')
        server.get(target)
        time.sleep(2.1)
        assert "hit" in status_of(server.get(target, headers={"Cache-Control": "max-stale"}))
        assert "hit" in status_of(server.get(target, headers={"Cache-Control": "max-stale=60"}))
        assert "hit" not in status_of(server.get(target, headers={"Cache-Control": "max-stale=0"}))


def test_max_age_beside_max_stale():
    """RFC 9111 5.2.1.1: max-age alone takes nothing stale; beside max-stale both are bounds."""
    with serve("basic:app", "--cache-request-directives=honour") as server:
        target = page("Cache-Control: max-age=10", "Age: 50", 'ETag: "a"')
        server.get(target)
        for asked, hit in {
            "max-age=100, max-stale=100": True,
            "max-age=100, max-stale=20": False,
            "max-age=40, max-stale=100": False,
            "max-age=100": False,
            "max-age=100, max-stale, min-fresh=0": False,
        }.items():
            response = server.get(target, headers={"Cache-Control": f"{asked}, only-if-cached"})
            assert (response.status == 200) == hit, asked


def test_head_freshens_a_stale_get(basic):
    """RFC 9111 4.3.5."""
    target = turns(
        turn("Cache-Control: max-age=0", 'ETag: "a"', "X-Old: 1", "X-Both: 1", body="content"),
        turn("Cache-Control: max-age=60", 'ETag: "a"', "X-Both: 2", body="content"),
    )
    basic.get(target)
    response = basic.get(target, method="HEAD")
    assert (response.status, response.body) == (200, b"")
    assert response.get("x-method") == "HEAD"
    assert response.get("x-asked-if-none-match") is None
    assert response.get("x-old") == "1"
    assert response.get("content-length") == "7"
    again = basic.get(target)
    assert status_of(again).startswith("zq; hit")
    assert again.body == b"content"
    assert again.get("x-both") == "2"


@pytest.mark.parametrize("head", [turn('ETag: "b"', body="content"), turn('ETag: "a"', body="new")])
def test_head_ends_what_it_disagrees_with(basic, head):
    """RFC 9111 4.3.5: another validator, or another length."""
    target = turns(turn(*STALE, body="content"), head, turn(*FRESH, body="later"))
    basic.get(target)
    assert basic.get(target, method="HEAD").get("x-turn") == "1"
    response = basic.get(target)
    assert response.body == b"later"
    assert response.get("x-asked-if-none-match") is None
