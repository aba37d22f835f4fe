"""The finance example behind zq: what is public is replayed, what is personal never."""

import json
import pathlib
import re

import pytest

from harness import ROOT, serve

FINANCE = ROOT / "examples" / "finance"


@pytest.fixture(scope="module")
def finance(tmp_path_factory):
    env = {
        "FINANCE_DB": str(tmp_path_factory.mktemp("finance") / "finance.db"),
        "FINANCE_COMPANIES": "24",
        "FINANCE_DAYS": "300",
        "FINANCE_STREAM_INTERVAL": "0.01",
        "FINANCE_ADMIN_TOKEN": "secret",
    }
    with serve("app:app", "--workers=2", app_dir=FINANCE, venv=True, env=env) as server:
        yield server


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/summary/ACME",
        "/market",
        "/commodity/oil",
        "/earnings",
        "/search?q=a",
        "/api/quote/ACME",
        "/export/ACME.csv",
    ],
)
def test_public_pages_are_replayed(finance, path):
    first, second = finance.get(path), finance.get(path)
    assert first.status == second.status == 200
    assert "hit" in second.get("cache-status")
    assert second.body == first.body
    assert "public" in second.get("cache-control")


def test_health_always_asks_python(finance):
    assert "hit" not in finance.get("/health").get("cache-status")
    assert "hit" not in finance.get("/health").get("cache-status")


def watchlist(client, cookie, **form):
    """POSTs to the watchlist as the browser's form does; returns the new cookie."""
    page = client.request("/watchlist", headers={"Cookie": cookie} if cookie else {})
    cookie = (page.get("set-cookie") or cookie).split(";")[0]
    token = re.search(rb'name="(csrf[^"]*)" value="([^"]+)"', page.body)
    fields = {token[1].decode(): token[2].decode()} | form
    body = "&".join(f"{k}={v}" for k, v in fields.items()).encode()
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    response = client.request("/watchlist", "POST", headers, body)
    assert response.status in (200, 302, 303), response
    changed = response.get("set-cookie")
    return changed.split(";")[0] if changed else cookie


def test_two_sessions_never_meet(finance):
    with finance.client() as alice, finance.client() as bob:
        hers = watchlist(alice, "", ticker="ACME", action="add")
        page = alice.request("/watchlist", headers={"Cookie": hers})
        assert b'data-ticker="ACME"' in page.body
        assert "hit" not in page.get("cache-status")
        his = bob.request("/watchlist")
        assert b'data-ticker="ACME"' not in his.body


def test_event_stream_arrives_event_by_event(finance):
    with finance.client() as client:
        client.send_request("/quotes/stream")
        head = client.head()
        assert head.get("content-type").startswith("text/event-stream")
        events = b""
        for chunk in client.chunks():
            events += chunk
            if events.count(b"event: quote") >= 3:
                break


def test_portfolio_upload(finance):
    good = b"ticker,shares,price\n" + b"ACME,10,5.00\n" * 2000
    headers = {"Content-Type": "text/csv"}
    assert finance.get("/portfolio", method="POST", headers=headers, body=good).status == 200
    bad = good + b"ACME,minus ten,5.00\n"
    response = finance.get("/portfolio", method="POST", headers=headers, body=bad)
    assert response.status == 422
    assert b"2002" in response.body


def test_new_prices_are_written_committed_and_purged(finance):
    """Whoever asks after the answer to the command sees new prices, from either worker."""
    pages = ["/summary/ACME", "/", "/market", "/api/quote/ACME", "/api/closes/ACME"]
    before = {path: finance.get(path).body for path in pages}
    earnings = finance.get("/earnings").body
    assert all(finance.get(path).body == body for path, body in before.items())
    token = {"Authorization": "Bearer secret"}
    response = finance.get("/admin/prices", method="POST", headers=token, body=b"")
    assert response.status == 200, response
    for path, body in before.items():
        assert finance.get(path).body != body, path
    again = finance.get("/earnings")  # has no prices, and so not their tag
    assert again.body == earnings and "hit" in again.get("cache-status")


def test_what_is_decorated(finance):
    """A query parameter that /market does not know makes no page of its own."""
    first = finance.get("/market?sort=name&utm_source=somewhere")
    second = finance.get("/market?utm_source=elsewhere&sort=name", headers={"Cookie": "a=b"})
    assert "hit" in second.get("cache-status") and second.body == first.body


def test_what_skips_the_application(finance):
    about = finance.get("/about")
    assert "detail=static" in about.get("cache-status")
    assert b"rendered once" in about.body
    closes = finance.get("/api/closes/ACME?days=2")
    assert len(json.loads(closes.body)["closes"]) == 2
    assert finance.get("/api/closes/ACME?days=many").status == 422


def test_readme_names_every_route():
    readme = (FINANCE / "README.md").read_text()
    routes = re.findall(
        r'\.(?:get|post|route|static_route|simple_json)\(\s*"(/[^"<]*)',
        "".join(p.read_text() for p in pathlib.Path(FINANCE).glob("*.py")),
    )
    assert routes
    assert not [r for r in routes if r not in readme]
