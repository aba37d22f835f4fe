"""X-Forwarded-*: believed from --forwarded-allow-ips, passed on from everyone."""

import json

import pytest

from harness import serve

FIELDS = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "example.org",
    "X-Forwarded-For": "198.51.100.7",
}


def shown(server, **options):
    return json.loads(server.get("/scope", headers=FIELDS, **options).body)


def has_all(scope):
    fields = dict(scope["headers"])
    return all(fields[name.lower()] == value for name, value in FIELDS.items())


def test_trusted_by_default_on_loopback(basic):
    scope = shown(basic)
    assert scope["scheme"] == "https"
    assert scope["client"] == ["198.51.100.7", 0]
    assert dict(scope["headers"])["host"] == "example.org"
    assert has_all(scope)


@pytest.mark.parametrize(
    "options",
    [("--no-proxy-headers",), ("--forwarded-allow-ips=192.0.2.1",)],
    ids=["off", "others"],
)
def test_others_are_believed_by_nobody(options):
    with serve("basic:app", *options) as server:
        scope = shown(server)
        assert scope["scheme"] == "http"
        assert scope["client"][0] == "127.0.0.1"
        assert dict(scope["headers"])["host"] == "test"
        assert has_all(scope)


def test_untrusted_may_be_answered_from_the_store_but_never_fill_it():
    """Otherwise one header would poison the page for everyone (unkeyed input)."""
    with serve("basic:app", "--no-proxy-headers") as server:
        page = "/answer?body=x&h=Cache-Control:max-age=60"
        for _ in range(2):
            assert "hit" not in server.get(page, headers=FIELDS).get("cache-status")
        assert "hit" not in server.get(page).get("cache-status")
        assert "hit" in server.get(page).get("cache-status")
        assert "hit" in server.get(page, headers=FIELDS).get("cache-status")


def test_trusted_host_and_scheme_are_in_the_key(basic):
    page = "/answer?body=key&h=Cache-Control:max-age=60"
    assert "hit" not in basic.get(page, headers=FIELDS).get("cache-status")
    assert "hit" not in basic.get(page).get("cache-status")
    other = FIELDS | {"X-Forwarded-Host": "example.com"}
    assert "hit" not in basic.get(page, headers=other).get("cache-status")
    assert "hit" in basic.get(page, headers=FIELDS).get("cache-status")
