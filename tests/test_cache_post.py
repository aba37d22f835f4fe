"""Responses to POST that are stored for GET and HEAD: RFC 9110 9.3.3, "explicit freshness information
and a Content-Location header field that has the same value as the POST's target URI"."""

import re

import pytest

from harness import wait_for
from test_cache import page

FRESH = "Cache-Control: max-age=60"


def post(server, target, body=b"content", **options):
    return server.get(target, method="POST", body=body, **options)


def answered_by(server, target, response, **options):
    return server.get(target, **options).get("x-call") == response.get("x-call")


def test_it_answers_get_and_head(basic):
    target = page(FRESH, 'ETag: "a"', here=1, body="posted")
    a = post(basic, target)
    assert re.match(r"zq; fwd=method; stored; ttl=(60|5\d)", a.get("cache-status"))
    assert a.body == b"posted"
    b = basic.get(target)
    assert b.get("cache-status").startswith("zq; hit; ttl=")
    assert (b.status, b.body, b.get("x-call")) == (200, b"posted", a.get("x-call"))
    assert b.get("content-location") == target
    assert int(b.get("age")) < 10
    assert answered_by(basic, target, a, method="HEAD")
    assert basic.get(target, headers={"If-None-Match": '"a"'}).status == 304
    assert basic.get(target, headers={"Range": "bytes=1-2"}).body == b"os"


def test_without_content_as_well(basic):
    target = page(FRESH, here=1)
    assert answered_by(basic, target, post(basic, target, body=b""))


def test_a_post_is_never_answered_from_it(basic):
    target = page(FRESH, here=1)
    a = post(basic, target)
    b = post(basic, target)
    assert a.get("x-call") != b.get("x-call")
    assert answered_by(basic, target, b)  # it took the other's place


def test_it_takes_the_place_of_a_get(basic):
    """RFC 9111 4.4: what was there is invalid."""
    target = page(FRESH, here=1)
    old = basic.get(target)
    new = post(basic, target)
    assert not answered_by(basic, target, old)
    assert answered_by(basic, target, new)


@pytest.mark.parametrize(
    "said, query, asked",
    [
        (["Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], {"here": 1}, {}),
        ([], {"here": 1}, {}),
        ([FRESH], {}, {}),
        ([FRESH, "Content-Location: /answer"], {}, {}),
        ([FRESH, "Content-Location: /other"], {"here": 1}, {}),
        ([FRESH, "Cache-Control: private"], {"here": 1}, {}),
        ([FRESH, "Set-Cookie: a=b"], {"here": 1}, {}),
        ([FRESH, "Vary: *"], {"here": 1}, {}),
        ([FRESH], {"here": 1, "status": 201}, {}),
        ([FRESH], {"here": 1, "status": 404}, {}),
        ([FRESH], {"here": 1}, {"Cookie": "session=x"}),
        ([FRESH], {"here": 1}, {"Authorization": "Basic eDp5"}),
        ([FRESH], {"here": 1}, {"Cache-Control": "no-store"}),
        ([FRESH], {"here": 1}, {"Range": "bytes=0-1"}),
        ([FRESH], {"here": 1}, {"If-None-Match": '"a"'}),
        ([FRESH], {"here": 1}, {"If-Match": "*"}),
        ([FRESH], {"here": 1}, {"X-HTTP-Method-Override": "PUT"}),
    ],
)
def test_what_is_not_stored(basic, said, query, asked):
    target = page(*said, **query)
    a = post(basic, target, headers=asked)
    assert "stored" not in a.get("cache-status")
    assert not answered_by(basic, target, a)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"])
def test_other_methods_are_not_stored(basic, method):
    target = page(FRESH, here=1)
    a = basic.get(target, method=method)
    assert "stored" not in a.get("cache-status")
    assert not answered_by(basic, target, a)


def test_it_varies(basic):
    target = page(FRESH, "Vary: Accept-Language", here=1)
    a = post(basic, target, headers={"Accept-Language": "de"})
    assert answered_by(basic, target, a, headers={"Accept-Language": "de"})
    assert not answered_by(basic, target, a, headers={"Accept-Language": "en"})


def test_what_changed_meanwhile_is_not_brought_back(basic):
    """RFC 9111 4.4: a DELETE overtakes the POST, whose representation may be from before it."""
    target = page(FRESH, here=1)
    calls = [int(basic.get("/answer").get("x-call"))]

    def begun():
        calls.append(int(basic.get("/answer").get("x-call")))
        return calls[-1] > calls[-2] + 1

    with basic.client() as slow:
        slow.send_request(target, "POST", {"X-Sleep": "1"}, b"content")
        wait_for(begun, "the POST's call")
        assert basic.get(target, method="DELETE").status == 200
        response = slow.response()
    assert response.status == 200
    assert not answered_by(basic, target, response)
