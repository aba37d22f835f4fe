"""What the RFCs leave to choose, and the fields that say more than Cache-Control: targeted ones,
field lists, requests' directives."""

import time

import pytest

from harness import serve
from test_cache import page, replayed

DATED = "Last-Modified: Sun, 06 Nov 1994 08:00:00 GMT"


@pytest.fixture(scope="module")
def liberal():
    """All that is left to choose chosen as the RFCs have it."""
    with serve(
        "basic:app",
        "--cache-heuristic",
        "--cache-set-cookie",
        "--cache-cookies=rfc",
        "--cache-request-directives=honour",
    ) as server:
        yield server


def test_heuristic_freshness(basic, liberal):
    """RFC 9111 4.2.2."""
    assert not replayed(basic, page(DATED))
    assert replayed(liberal, page(DATED))
    assert replayed(liberal, page(DATED, status="404"))
    assert not replayed(liberal, page(DATED, status="302"))
    assert not replayed(liberal, page())
    assert not replayed(liberal, page(DATED, "Expires: 0"))


def test_cookies(basic, liberal):
    fields = {"Cookie": "a=1"}
    target = page("Cache-Control: max-age=60", "Set-Cookie: b=2")
    assert not replayed(basic, target)
    assert replayed(liberal, target)
    assert liberal.get(target).get("set-cookie") == "b=2"
    assert not replayed(basic, page("Cache-Control: max-age=60"), fields, fields)
    assert replayed(liberal, page("Cache-Control: max-age=60"), fields, fields)


def test_an_application_that_looked_at_the_cookie(basic):
    a, b = {"Cookie": "session=alice"}, {"Cookie": "session=bob"}
    target = page("Cache-Control: max-age=60", "Vary: Cookie")
    assert replayed(basic, target, a, a)
    assert not replayed(basic, target, a, b)
    target = page("Zq-Cache-Control: max-age=60", "Cache-Control: private")
    assert replayed(basic, target, a, b)


def test_targeted_fields(basic):
    """RFC 9213; that of zq alone goes no further, and CDN-Cache-Control is for whoever follows."""
    target = page("Zq-Cache-Control: max-age=60", "CDN-Cache-Control: no-store")
    assert replayed(basic, target)
    response = basic.get(target)
    assert response.get("zq-cache-control") is None
    assert response.get("cdn-cache-control") == "no-store"
    assert basic.get(page("Zq-Cache-Control: no-store")).get("zq-cache-control") is None
    assert not replayed(basic, page("CDN-Cache-Control: no-store", "Cache-Control: max-age=60"))
    assert replayed(basic, page("CDN-Cache-Control: max-age=60", "Cache-Control: no-store"))
    assert replayed(basic, page("CDN-Cache-Control: max-age =6", "Cache-Control: max-age=60"))


def test_field_lists_are_left_out(basic):
    """RFC 9111 5.2.2.4, 5.2.2.7: the rest is stored, and who caused it gets them."""
    target = page(
        'Cache-Control: max-age=60, no-cache="X-A, x-b"',
        'Cache-Control: private="X-C"',
        "X-A: a",
        "X-B: b",
        "X-C: c",
        "X-D: d",
    )
    first, second = basic.get(target), basic.get(target)
    assert first.get("x-call") == second.get("x-call")
    for name in "abc":
        assert first.get(f"x-{name}") == name
        assert second.get(f"x-{name}") is None
    assert first.get("x-d") == second.get("x-d") == "d"


def test_fields_of_a_proxy_are_left_out(basic):
    """RFC 9111 3.1."""
    names = ("proxy-authenticate", "proxy-authentication-info", "proxy-authorization")
    target = page("Cache-Control: max-age=60", *(f"{name}: a" for name in names))
    first, second = basic.get(target), basic.get(target)
    assert first.get("x-call") == second.get("x-call")
    for name in names:
        assert first.get(name) == "a"
        assert second.get(name) is None


def test_age_is_made_anew(basic):
    """RFC 9111 4.2.3, 5.1."""
    target = page("Cache-Control: max-age=60", "Age: 10")
    assert 10 <= int(basic.get(target).get("age")) < 20
    assert 10 <= int(basic.get(target).get("age")) < 20
    time.sleep(1.1)
    assert 11 <= int(basic.get(target).get("age")) < 30


@pytest.mark.parametrize(
    "fields",
    [
        {"Cache-Control": "no-cache"},
        {"Cache-Control": "min-fresh=100"},
        {"Pragma": "no-cache"},
    ],
)
def test_directives_of_requests(basic, liberal, fields):
    """RFC 9111 5.2.1, 5.4; ignored unless they are to be honoured."""
    assert replayed(basic, page("Cache-Control: max-age=60"), {}, fields)
    target = page("Cache-Control: max-age=60")
    assert not replayed(liberal, target, {}, fields)
    response = liberal.get(target, headers=fields)
    assert response.get("cache-status").startswith("zq; fwd=request")


def test_max_age_of_requests(liberal):
    target = page("Cache-Control: max-age=60", "Age: 30")
    liberal.get(target)
    assert liberal.get(target, headers={"Cache-Control": "max-age=50"}).get("age") is not None
    again = liberal.get(target, headers={"Cache-Control": "max-age=20"})
    assert again.get("cache-status").startswith("zq; fwd=request")


def test_only_if_cached(basic, liberal):
    fields = {"Cache-Control": "only-if-cached"}
    target = page("Cache-Control: max-age=60")
    response = liberal.get(target, headers=fields)
    assert response.status == 504
    assert response.get("cache-status") == "zq; detail=only-if-cached"
    assert replayed(liberal, target, {}, fields)
    assert basic.get(page(), headers=fields).status == 200
