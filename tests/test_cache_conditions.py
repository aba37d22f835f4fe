"""Conditions and ranges answered by the front, from stored responses and from those on their way
(RFC 9110 13, 14; RFC 9111 4.3.2)."""

import json
import time

import pytest

from test_cache import page

MODIFIED = "Sun, 06 Nov 1994 08:00:00 GMT"
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
FRESH = ("Cache-Control: max-age=2000000000", 'ETag: "a"', f"Last-Modified: {MODIFIED}")


def stored(server, *headers, **query):
    target = page(*(headers or FRESH), **{"body": "0123456789", **query})
    server.get(target)
    return target


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": '"a"'}, 304),
        ({"If-None-Match": 'W/"a"'}, 304),
        ({"If-None-Match": '"x", "a"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": "a"}, 304),
        ({"If-None-Match": '"b"'}, 200),
        ({"If-None-Match": '"b"', "If-Modified-Since": MODIFIED}, 200),
        ({"If-Modified-Since": MODIFIED}, 304),
        ({"If-Modified-Since": DATE}, 304),
        ({"If-Modified-Since": "Sun, 06 Nov 1994 07:00:00 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"Range": "bytes=2-4"}, 206),
        ({"Range": "bytes=2-4", "If-Range": '"a"'}, 206),
        ({"Range": "bytes=2-4", "If-Range": MODIFIED}, 206),
        ({"Range": "bytes=2-4", "If-Range": '"b"'}, 200),
        ({"Range": "bytes=2-4", "If-Range": 'W/"a"'}, 200),
        ({"Range": "bytes=2-4", "If-None-Match": '"a"'}, 304),
        ({"Range": "bytes=10-"}, 416),
        ({"Range": "bytes=0-1,4-5"}, 200),
        ({"Range": "lines=0-1"}, 200),
        ({"If-Match": '"b"'}, 200),
    ],
)
def test_from_the_store(basic, headers, status):
    target = stored(basic)
    calls = basic.get("/calls").body
    response = basic.get(target, headers=headers)
    assert response.status == status
    assert response.get("cache-status").startswith("zq; hit")
    assert response.body == {200: b"0123456789", 206: b"234"}.get(status, b"")
    assert int(basic.get("/calls").body) == int(calls) + 1  # the second asking itself


def test_304_says_no_more_than_it_has_to(basic):
    target = stored(
        basic, *FRESH, "Content-Language: en", "Vary: X-A", "Expires: 0", "Content-Location: /x"
    )
    whole = basic.get(target)
    response = basic.get(target, headers={"If-None-Match": '"a"'})
    for name in ("date", "etag", "cache-control", "expires", "vary", "content-location", "x-call"):
        assert response.get(name) == whole.get(name) is not None
    assert response.get("age") is not None
    for name in ("content-type", "content-length", "content-language", "last-modified"):
        assert response.get(name) is None


def test_head_has_conditions_but_no_range(basic):
    target = stored(basic)
    response = basic.get(target, method="HEAD", headers={"If-None-Match": '"a"'})
    assert response.status == 304
    response = basic.get(target, method="HEAD", headers={"Range": "bytes=2-4"})
    assert response.status == 200
    assert response.get("content-length") == "10"


@pytest.mark.parametrize(
    ("asked", "said", "body"),
    [
        ("bytes=0-0", "bytes 0-0/10", b"0"),
        ("bytes=7-", "bytes 7-9/10", b"789"),
        ("bytes=7-100", "bytes 7-9/10", b"789"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("bytes=-100", "bytes 0-9/10", b"0123456789"),
    ],
)
def test_206(basic, asked, said, body):
    target = stored(basic)
    response = basic.get(target, headers={"Range": asked})
    assert response.status == 206
    assert response.get("content-range") == said
    assert response.get("content-length") == str(len(body))
    assert response.get("etag") == '"a"'
    assert response.get("content-type") == "text/plain"
    assert response.body == body


def test_416_is_no_error_to_store(basic):
    response = basic.get(stored(basic), headers={"Range": "bytes=10-"})
    assert response.get("content-range") == "bytes */10"
    assert response.get("content-length") == "0"
    assert response.get("cache-control") is None


def test_a_part_of_much(basic):
    target = page(*FRESH, size=3_000_000)
    assert len(basic.get(target).body) == 3_000_000
    with basic.client() as client:
        for first, last in ((0, 2_999_999), (1_048_570, 2_100_000), (2_999_999, 2_999_999)):
            response = client.request(target, headers={"Range": f"bytes={first}-{last}"})
            assert response.status == 206
            assert len(response.body) == last - first + 1


def test_error_responses_have_no_conditions(basic):
    """RFC 9110 13.2.1."""
    target = stored(basic, *FRESH, status="404")
    assert basic.get(target, headers={"If-None-Match": '"a"'}).status == 404
    assert basic.get(target, headers={"Range": "bytes=0-1"}).status == 404


def test_on_an_unknown_key_the_application_decides(basic):
    """What it asks passes untouched, and its answer is not stored but for a part."""
    fields = {"Range": "bytes=0-1", "If-None-Match": '"b"', "If-Modified-Since": MODIFIED}
    target = page(*FRESH, body="0123456789")
    response = basic.get(target, headers=fields)
    assert response.status == 200  # the application of this test ignores them
    assert basic.get(target).get("cache-status").startswith("zq; fwd=uri-miss; stored")
    seen = dict(json.loads(basic.get("/scope", headers=fields).body)["headers"])
    assert seen["range"] == "bytes=0-1" and seen["if-none-match"] == '"b"'


def test_on_a_known_key_the_whole_is_fetched(basic):
    """The front applies them to the 200, which is stored."""
    target = page("Cache-Control: max-age=1", "Vary: X-A", 'ETag: "a"', body="0123456789")
    basic.get(target)
    response = basic.get(target, headers={"X-A": "1", "Range": "bytes=2-4"})
    assert response.status == 206
    assert response.body == b"234"
    assert response.get("cache-status").startswith("zq; fwd=vary-miss; stored")
    response = basic.get(target, headers={"X-A": "1"})
    assert response.body == b"0123456789"
    assert response.get("cache-status").startswith("zq; hit")
    response = basic.get(target, headers={"X-A": "2", "If-None-Match": '"a"'})
    assert response.status == 304
    assert basic.get(target, headers={"X-A": "2"}).get("cache-status").startswith("zq; hit")


def test_from_an_entry_that_fills(basic, tmp_path):
    """Conditions, HEAD and ranges of known length do not wait for more of the content than they need."""
    target = f"/stream?parts=4&until={tmp_path}/go&cc=max-age%3D60&etag=a&length=20"
    target += f"&n={time.monotonic_ns()}"
    with basic.client() as leader, basic.client() as other:
        leader.send_request(target)
        leader.head()
        assert other.request(target, headers={"If-None-Match": '"a"'}).status == 304
        assert other.request(target, method="HEAD").get("content-length") == "20"
        response = other.request(target, headers={"Range": "bytes=0-2"})
        assert (response.status, response.body) == (206, b"aaa")
        response = other.request(target, headers={"Range": "bytes=8-11"})
        assert (response.status, response.body) == (206, b"bbcc")
        assert "collapsed" in response.get("cache-status")
        (tmp_path / "go").touch()
        assert leader.exactly(20) == b"aaaaabbbbbcccccddddd"
