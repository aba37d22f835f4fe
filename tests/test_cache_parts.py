"""Parts of a representation: what is stored of a 206, used, and put together (RFC 9110 14, 15.3.7;
RFC 9111 3.3, 3.4)."""

import re

import pytest

from test_cache_validation import turn, turns

FRESH = ("Cache-Control: max-age=60", 'ETag: "a"')


def part(first, last, *headers, text="0123456789"):
    headers = headers or FRESH
    return turn(
        *headers, f"Content-Range: bytes {first}-{last}/10", status=206, body=text[first : last + 1]
    )


def ask(server, target, spec, **more):
    return server.get(target, headers={"Range": f"bytes={spec}", **more})


def status_of(response):
    return response.get("cache-status")


def test_a_part_is_stored_and_used(basic):
    """RFC 9111 3.3: for what lies in it; all else passes untouched."""
    target = turns(part(4, 8), part(0, 1))
    response = ask(basic, target, "4-8")
    assert response.status == 206
    assert response.body == b"45678"
    assert response.get("content-range") == "bytes 4-8/10"
    assert re.fullmatch(r"zq; fwd=uri-miss; stored; ttl=(60|5\d); detail=app", status_of(response))
    response = ask(basic, target, "5-6")
    assert response.status == 206
    assert response.body == b"56"
    assert response.get("content-range") == "bytes 5-6/10"
    assert response.get("content-length") == "2"
    assert int(response.get("age")) < 10
    assert status_of(response).startswith("zq; hit; ttl=")
    assert ask(basic, target, "5-6", **{"If-Range": '"a"'}).get("x-turn") == "0"
    assert ask(basic, target, "5-6", **{"If-None-Match": '"a"'}).status == 304
    response = ask(basic, target, "0-1", **{"If-Range": '"a"'})
    assert response.get("x-asked-range") == "bytes=0-1"
    assert response.get("x-asked-if-range") == '"a"'
    assert re.fullmatch(r"zq; fwd=partial; stored; ttl=(60|5\d); detail=app", status_of(response))


def test_parts_become_the_whole(basic):
    """RFC 9110 15.3.7.3."""
    target = turns(part(0, 4, *FRESH, "X-Old: 1", "X: 1"), part(5, 9, *FRESH, "X: 2"))
    ask(basic, target, "0-4")
    assert ask(basic, target, "5-9").body == b"56789"
    response = basic.get(target)
    assert response.status == 200
    assert response.body == b"0123456789"
    assert response.get("content-length") == "10"
    assert response.get("content-range") is None
    assert (response.get("x-old"), response.get("x"), response.get("x-turn")) == ("1", "2", "1")
    assert status_of(response).startswith("zq; hit")


def test_a_part_is_completed(basic):
    """RFC 9111 3.4: the rest is asked for, by the strong validator."""
    target = turns(part(0, 4), part(5, 9))
    ask(basic, target, "0-4")
    response = basic.get(target)
    assert response.status == 200
    assert response.body == b"0123456789"
    assert response.get("content-length") == "10"
    assert response.get("content-range") is None
    assert response.get("x-asked-range") == "bytes=5-"
    assert response.get("x-asked-if-range") == '"a"'
    assert re.fullmatch(r"zq; fwd=partial; stored; ttl=(60|5\d); detail=app", status_of(response))
    assert status_of(basic.get(target)).startswith("zq; hit")
    assert ask(basic, target, "3-6").body == b"3456"


def test_a_part_that_has_changed(basic):
    target = turns(part(0, 4), turn("Cache-Control: max-age=60", 'ETag: "b"', body="new"))
    ask(basic, target, "0-4")
    response = basic.get(target)
    assert (response.status, response.body) == (200, b"new")
    assert basic.get(target).body == b"new"


@pytest.mark.parametrize(
    "useless",
    [
        part(5, 9, "Cache-Control: max-age=60", 'ETag: "b"'),
        part(5, 9, "Cache-Control: max-age=60"),
        part(6, 9),
        turn("Content-Range: bytes */3", status=416),
    ],
    ids=["changed", "unnamed", "elsewhere", "shorter"],
)
def test_what_cannot_be_put_together_is_fetched_whole(basic, useless):
    """RFC 9110 15.3.7.3: only by a strong validator that both have."""
    target = turns(part(0, 4), useless, turn(*FRESH, body="whole"))
    ask(basic, target, "0-4")
    response = basic.get(target)
    assert (response.status, response.body) == (200, b"whole")
    assert response.get("x-asked-range") is None
    assert response.get("x-turn") == "2"
    assert basic.get(target).body == b"whole"


def test_without_a_validator_the_rest_is_asked_for_all_the_same(basic):
    """What comes may be the whole (RFC 9110 14.2)."""
    target = turns(
        part(0, 4, "Cache-Control: max-age=60"),
        turn("Cache-Control: max-age=60", body="0123456789"),
    )
    ask(basic, target, "0-4")
    response = basic.get(target)
    assert (response.status, response.body) == (200, b"0123456789")
    assert response.get("x-asked-range") == "bytes=5-"
    assert response.get("x-asked-if-range") is None


@pytest.mark.parametrize(
    ("asked", "body", "says"),
    [
        ("-5", b"01234", "bytes 4-8/9"),
        ("6-8", b"234", "bytes 6-8/9"),
        ("6-", b"234", "bytes 6-8/9"),
        ("-1", b"4", "bytes 8-8/9"),
    ],
)
def test_a_part_that_ends_before_it_says(basic, asked, body, says):
    """Up to the end is up to where the content ends."""
    first = turn(
        "Cache-Control: max-age=60", "Content-Range: bytes 4-9/10", status=206, body="01234"
    )
    target = turns(first, turn(body="another"))
    ask(basic, target, "-5")
    response = ask(basic, target, asked)
    assert (response.status, response.body) == (206, body)
    assert response.get("content-range") == says


def test_a_206_that_nobody_asked_for_is_not_stored(basic):
    target = turns(part(0, 4), part(0, 4))
    basic.get(target)
    assert status_of(basic.get(target)) == "zq; fwd=uri-miss; detail=app"
    assert status_of(ask(basic, target, "0-1")).startswith("zq; fwd=uri-miss")
