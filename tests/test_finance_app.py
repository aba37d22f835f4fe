"""examples/finance on its own: every route through Quart's test client, and the generator.

Two databases: `site` has the full 500 × 750 (sizes are promised for that one), `small`
is a few companies and quick to start.
"""

import asyncio
import importlib
import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tracemalloc
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FINANCE = REPOSITORY / "examples" / "finance"
MODULES = (
    "app caching catalogue chart db edge feeds formats generate live pages personal portfolio "
    "prices settings stats uploads"
).split()
SMALL = (24, 300)
SMALL_HASH = "b38c84f9731707e19851dbdf0bf6d461b82c7d66327bf73730abfc215fbebe97"
"""Content of the 24 × 300 database: changing the generator changes it, knowingly."""


# What the tests stand on


@pytest.fixture(scope="module")
def finance():
    """The example's modules. Their short names are given back to others afterwards."""
    hidden = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(FINANCE))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(FINANCE))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


@pytest.fixture(scope="module")
def small(finance, tmp_path_factory):
    return make_site(finance, tmp_path_factory.mktemp("finance") / "small.db", *SMALL)


@pytest.fixture(scope="module")
def site(finance):
    """The application as it is served, with the database that `make serve` uses too."""
    return make_site(finance, REPOSITORY / "build" / "finance.db", 500, 750)


def make_site(finance, path, companies, days, **more):
    finance.generate.ensure(path, companies, days, io.StringIO())
    settings = finance.settings.Settings(
        database=path, companies=companies, days=days, stream_interval_s=0.01, **more
    )
    return finance.app.create_app(settings)


def get(app, url, **more):
    return ask(app, "GET", url, **more)


def ask(app, method, url, **more):
    """One request by a client that has no cookies; the body is in `.body`."""
    return asyncio.run(_ask(app.test_client(use_cookies=False), method, url, **more))


async def _ask(client, method, url, **more):
    response = await client.open(url, method=method, **more)
    response.body = await response.get_data()
    return response


def converse(app, conversation):
    """Run `await conversation(open)` where open(method, url, …) is one browser with cookies."""

    async def run():
        client = app.test_client()
        return await conversation(lambda *words, **more: _ask(client, *words, **more))

    return asyncio.run(run())


def directives(response):
    return {part.strip() for part in response.headers["Cache-Control"].split(",")}


# Every route: what it answers, how long it may be kept

PUBLIC = [
    ("/", {"public", "max-age=60"}),
    ("/summary/ACME", {"public", "max-age=60", "s-maxage=300"}),
    ("/market", {"public", "max-age=60", "s-maxage=300"}),
    ("/commodity/oil", {"public", "max-age=60", "s-maxage=300"}),
    ("/earnings", {"public", "max-age=300", "s-maxage=3600"}),
    ("/search?q=energy", {"public", "max-age=60"}),
    ("/api/quote/ACME", {"public", "max-age=5"}),
    ("/export/ACME.csv", {"public", "max-age=300"}),
]
PRIVATE = [
    ("/watchlist", {"private", "no-store"}),
    ("/portfolio", {"private", "no-store"}),
    ("/health", {"no-store"}),
    ("/quotes/stream?events=1", {"no-store"}),
]


@pytest.mark.parametrize(("url", "expected"), PUBLIC + PRIVATE)
def test_each_route_answers_and_says_its_cache_control(small, url, expected):
    response = get(small, url)
    assert response.status_code == 200
    assert directives(response) == expected


@pytest.mark.parametrize("url", [url for url, _ in PUBLIC])
def test_what_is_shared_is_the_same_for_everyone(small, url):
    """Neither a cookie nor the session changes a public page, and it sets none."""

    async def conversation(open):
        before = await open("GET", url)
        page = await open("GET", "/watchlist")
        await open("POST", "/watchlist", form=form_of(page, "add", "ACME"))
        return before, await open("GET", url)

    before, after = converse(small, conversation)
    assert before.body == after.body
    assert "Vary" not in after.headers
    assert "Set-Cookie" not in after.headers


@pytest.mark.parametrize("url", [url for url, _ in PUBLIC + PRIVATE])
def test_head_is_get_without_the_body(small, url):
    head = ask(small, "HEAD", url)
    body = get(small, url)
    assert head.status_code == 200
    for name in ("Content-Type", "Cache-Control"):
        assert head.headers[name] == body.headers[name]


@pytest.mark.parametrize("url", ["/quotes/stream", "/export/ACME.csv"])
def test_head_of_a_stream_does_not_start_it(small, url):
    assert ask(small, "HEAD", url).body == b""


def test_sizes(site):
    for ticker in ("ACME", "CRHR", "FNSH"):
        assert 30_000 <= len(get(site, f"/summary/{ticker}").body) <= 60_000
    assert len(get(site, "/market").body) > 100_000


def test_every_summary_is_drawn(site, finance):
    """Losses, tiny prices, a sector's last company: no ticker breaks the page."""
    tickers = sorted(site.extensions["finance_db"].closes())[::10]
    sizes = [len(get(site, f"/summary/{ticker}").body) for ticker in tickers]
    assert len(tickers) == 50
    assert 30_000 <= min(sizes) and max(sizes) <= 60_000


def test_summary_shows_the_figures(small):
    page = get(small, "/summary/acme").body.decode()
    assert "Acme Industries" in page
    assert page.count('<svg class="chart broad"') == 3
    for heading in ("Key figures", "Return and risk", "Return by month", "Quarters"):
        assert heading in page


def test_market_lists_every_company_in_the_order_asked_for(small):
    tickers = re.findall(
        r'class="ticker" href="/summary/(\w+)"', get(small, "/market").body.decode()
    )
    assert len(tickers) == SMALL[0] and tickers == sorted(tickers)
    by_name = get(small, "/market?sort=name").body.decode()
    names = re.findall(r'<td class="name">([^<]+)<', by_name)
    assert names == sorted(names)
    energy = get(small, "/market?sector=Energy").body.decode()
    assert 0 < energy.count('class="ticker"') < SMALL[0]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/market?sort=shoe-size", 400),
        ("/market?sector=Alchemy", 404),
        ("/quotes/stream?tickers=ACME,ZZZZ", 404),
        ("/quotes/stream?tickers=" + ",".join(f"T{n}" for n in range(51)), 400),
    ],
)
def test_a_question_that_cannot_be_answered(small, url, status):
    assert get(small, url).status_code == status


@pytest.mark.parametrize(
    "name", "oil brent natural-gas gold silver copper wheat corn coffee cotton".split()
)
def test_every_commodity_has_a_page(small, name):
    assert "Return by month" in get(small, f"/commodity/{name}").body.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("ACME", "1 of 1"),
        ("acme ind", "1 of 1"),
        ("  acme  ", "1 of 1"),
        ("chicago", "some"),
        ("Technology", "some"),
        ("%", "none"),
        ("_", "none"),
        ("\\", "none"),
        ("'; DROP TABLE price; --", "none"),
        ("", "none"),
    ],
)
def test_search(small, query, found):
    response = get(small, "/search", query_string={"q": query})
    hits = response.body.decode().count('class="ticker"')
    assert response.status_code == 200
    assert {"1 of 1": hits == 1, "some": hits > 0, "none": hits == 0}[found]


def test_what_is_searched_for_is_escaped(small):
    page = get(small, "/search", query_string={"q": "<script>alert(1)</script>"}).body
    assert b"<script>alert" not in page


def test_quote_is_json_with_numbers(small):
    quote = json.loads(get(small, "/api/quote/acme").body)
    assert quote["ticker"] == "ACME"
    assert quote["low"] <= quote["close"] <= quote["high"]
    assert quote["year_low"] <= quote["close"] <= quote["year_high"]
    assert quote["change"] == pytest.approx(quote["close"] / quote["previous_close"] - 1, abs=1e-6)


def test_export_is_streamed_and_has_every_day(small):
    response = get(small, "/export/ACME.csv")
    lines = response.body.decode().split("\r\n")
    assert lines[0] == "date,open,high,low,close,volume"
    assert lines.pop() == "" and len(lines) == 1 + SMALL[1]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d(,\d+\.\d\d){4},\d+", line) for line in lines[1:])
    assert lines[1:] == sorted(lines[1:])
    assert response.headers["Content-Disposition"] == 'attachment; filename="ACME.csv"'


def test_export_does_not_wait_for_its_end(small):
    async def conversation():
        async with small.test_client().request("/export/ACME.csv") as connection:
            await connection.send_complete()
            first = await connection.receive()
        return first, connection.headers

    first, headers = asyncio.run(conversation())
    assert first == b"date,open,high,low,close,volume\r\n"
    assert "Content-Length" not in headers


def test_health_is_ten_lines_of_nested_json(small):
    response = get(small, "/health")
    assert len(response.body.decode().splitlines()) == 10
    health = json.loads(response.body)
    assert health["status"] == "ok"
    assert health["database"] == {"companies": SMALL[0], "days": SMALL[1]}


# Errors


@pytest.mark.parametrize(
    "url", ["/summary/ZZZZ", "/commodity/unobtainium", "/export/ZZZZ.csv", "/no/such/page"]
)
def test_404_is_a_page_that_may_be_kept_for_a_short_time(small, url):
    response = get(small, url, headers={"Accept": "application/json"})
    assert response.status_code == 404
    assert response.mimetype == "text/html", "a shared answer does not depend on Accept"
    assert b"Not Found" in response.body and b"</html>" in response.body
    assert directives(response) == {"public", "max-age=30"}
    assert "Vary" not in response.headers


def test_404_of_the_api_is_json(small):
    response = get(small, "/api/quote/ZZZZ")
    assert response.status_code == 404
    assert json.loads(response.body)["status"] == 404


def test_405_names_what_is_allowed_and_is_not_kept(small):
    response = ask(small, "DELETE", "/watchlist")
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert directives(response) == {"no-store"}


def test_500_is_a_page_and_is_not_kept(finance, small, tmp_path, monkeypatch):
    app = make_site(finance, tmp_path / "broken.db", 2, 5)
    monkeypatch.setattr(app.extensions["finance_db"], "market", None)
    response = get(app, "/market")
    assert response.status_code == 500
    assert directives(response) == {"no-store"}
    assert b"Traceback" not in response.body


def test_pages_allow_nothing_from_elsewhere(small):
    response = get(small, "/summary/ACME")
    assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    outside = re.findall(rb'(?:src|href)="(?:https?:)?//', response.body)
    assert not outside and b"style=" not in response.body


def test_static_files_are_named_by_their_content_and_may_be_kept(small):
    page = get(small, "/").body.decode()
    for url in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        response = get(small, url)
        assert response.status_code == 200 and "v=" in url
        assert {"public", "max-age=86400"} <= directives(response)


# The event stream


def events_of(body):
    found = re.findall(r"^id: (\d+)\nevent: quote\ndata: (.*)$", body.decode(), re.MULTILINE)
    return [(int(number), json.loads(data)) for number, data in found]


def test_stream_sends_quotes(small):
    response = get(small, "/quotes/stream?events=3&tickers=acme")
    assert response.mimetype == "text/event-stream"
    events = events_of(response.body)
    assert len(events) == 3
    for _, (quote,) in events:
        assert quote["ticker"] == "ACME" and abs(quote["change"]) < 0.0125


def test_two_clients_see_the_same_price_at_the_same_tick(finance):
    for tick in (0, 1, 1_790_000_000):
        assert finance.live.price("ACME", 100, tick) == finance.live.price("ACME", 100, tick)
    assert len({finance.live.price("ACME", 100, tick) for tick in range(50)}) > 25


def test_stream_ends_when_the_client_leaves(small):
    async def conversation():
        client = small.test_client()
        async with client.request("/quotes/stream") as connection:
            await connection.receive()
            await connection.receive()
            open_before = len(small.extensions["finance_streams"])
            await connection.disconnect()
        return open_before, len(small.extensions["finance_streams"])

    assert asyncio.run(asyncio.wait_for(conversation(), 5)) == (1, 0)


def test_stream_ends_by_itself(finance, small):
    path = small.extensions["finance_db"].path
    app = make_site(finance, path, *SMALL, stream_limit_s=0.05)
    assert 1 <= len(events_of(get(app, "/quotes/stream").body)) <= 6


# The watch list


def form_of(page, action, ticker):
    token = re.search(r'name="csrf" value="([^"]+)"', page.body.decode()).group(1)
    return {"csrf": token, "action": action, "ticker": ticker}


def watched(page):
    return re.findall(r'data-ticker="(\w+)"', page.body.decode())


def test_watchlist_adds_and_removes(small):
    async def conversation(open):
        first = await open("GET", "/watchlist")
        added = await open("POST", "/watchlist", form=form_of(first, "add", "acme"))
        second = await open("GET", "/watchlist")
        removed = await open("POST", "/watchlist", form=form_of(second, "remove", "ACME"))
        third = await open("GET", "/watchlist")
        return first, added, second, removed, third

    first, added, second, removed, third = converse(small, conversation)
    assert added.status_code == removed.status_code == 303
    assert added.headers["Location"] == "/watchlist"
    assert (watched(first), watched(second), watched(third)) == ([], ["ACME"], [])
    for response in (first, added, second, removed, third):
        assert directives(response) == {"private", "no-store"}
        assert response.headers["Vary"] == "Cookie"
    assert "HttpOnly" in first.headers["Set-Cookie"]
    assert "SameSite=Lax" in first.headers["Set-Cookie"]


def test_watchlists_of_two_visitors_are_apart(small):
    async def conversation(open):
        page = await open("GET", "/watchlist")
        await open("POST", "/watchlist", form=form_of(page, "add", "ACME"))
        return await open("GET", "/watchlist")

    assert watched(converse(small, conversation)) == ["ACME"]
    assert watched(get(small, "/watchlist")) == []


@pytest.mark.parametrize(
    ("ticker", "message"),
    [("ZZZZ", "is listed"), ("", "Write a ticker"), ("ACME", "on the list already")],
)
def test_watchlist_says_why_it_refuses(small, ticker, message):
    async def conversation(open):
        page = await open("GET", "/watchlist")
        await open("POST", "/watchlist", form=form_of(page, "add", "ACME"))
        return await open("POST", "/watchlist", form=form_of(page, "add", ticker))

    response = converse(small, conversation)
    assert response.status_code == 422
    assert message in response.body.decode()
    assert watched(response) == ["ACME"]
    assert directives(response) == {"private", "no-store"}


def test_watchlist_is_bounded_and_fits_into_a_cookie(site):
    tickers = sorted(site.extensions["finance_db"].closes())[:51]

    async def conversation(open):
        page = await open("GET", "/watchlist")
        return [
            await open("POST", "/watchlist", form=form_of(page, "add", ticker))
            for ticker in tickers
        ]

    *added, refused = converse(site, conversation)
    assert {response.status_code for response in added} == {303}
    assert refused.status_code == 422 and "full" in refused.body.decode()
    assert len(added[-1].headers["Set-Cookie"]) < 1024


@pytest.mark.parametrize("token", ["", "wrong", "ünïcode"])
def test_watchlist_refuses_a_form_from_elsewhere(small, token):
    async def conversation(open):
        page = await open("GET", "/watchlist")
        forged = form_of(page, "add", "ACME") | {"csrf": token}
        refused = await open("POST", "/watchlist", form=forged)
        return refused, await open("GET", "/watchlist")

    refused, page = converse(small, conversation)
    assert refused.status_code == 400 and watched(page) == []
    assert directives(refused) == {"no-store"}


def test_watchlist_refuses_a_form_without_its_cookie(small):
    form = form_of(get(small, "/watchlist"), "add", "ACME")
    assert ask(small, "POST", "/watchlist", form=form).status_code == 400


def test_watching_from_a_public_page_takes_a_form(small):
    """A link only fills the form in: a GET changes nothing."""
    page = get(small, "/watchlist?add=ACME")
    assert b'value="ACME"' in page.body and watched(page) == []


# The portfolio

GOOD = b"ticker,shares,price\nACME,10,20.50\nacme,5,10\nCRHR,2.5,100\n"
AS_CSV = {"Content-Type": "text/csv", "Accept": "application/json"}


def upload(app, data, **headers):
    return ask(app, "POST", "/portfolio", data=data, headers=AS_CSV | headers)


def form_body(data, name="file", filename="p.csv"):
    head = f'--cut\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    return head.encode() + b"Content-Type: text/csv\r\n\r\n" + data + b"\r\n--cut--\r\n"


AS_FORM = {"Content-Type": "multipart/form-data; boundary=cut", "Accept": "text/html"}


def test_portfolio_is_valued(small):
    response = upload(small, GOOD)
    report = json.loads(response.body)
    closes = small.extensions["finance_db"].closes()
    acme = next(p for p in report["positions"] if p["ticker"] == "ACME")
    assert response.status_code == 200
    assert report["rows"] == 3 and report["errors"] == []
    assert (acme["lots"], acme["shares"], acme["cost"]) == (2, 15, 255)
    assert acme["value"] == round(15 * closes["ACME"]["close"], 2)
    assert report["cost"] == 505
    assert sum(p["weight"] for p in report["positions"]) == pytest.approx(1)
    assert directives(response) == {"private", "no-store"}


def test_portfolio_from_the_form_is_a_page(small):
    response = ask(small, "POST", "/portfolio", data=form_body(GOOD), headers=AS_FORM)
    assert response.status_code == 200
    assert b"2 companies, 3 purchases" in response.body
    assert directives(response) == {"private", "no-store"}


def test_portfolio_names_each_wrong_row(small):
    data = (
        b'ticker,shares,price,"a, note"\r\n'
        b"ACME,1,2,fine\r\n"  # 2
        b"ZZZZ,1,2,\r\n"
        b"ACME,many,2,\r\n"
        b"ACME,0,2,\r\n"  # 5
        b"ACME,1,-2,\r\n"
        b"ACME,1\r\n"
        b"\r\n"  # blank: nothing is wrong with it
        b'ACME,1,"2,\r\n'
        b"ACME,1,2,\xff\r\n"  # 10
        b"ACME,1,,\r\n"
        b'"ACME","1","1,000",\r\n' + b"A" * 5000 + b"\r\n"  # 13
        b",1,2,\r\n"
        b"ACME,1,2,last line, without an end"  # 15
    )
    response = upload(small, data)
    report = json.loads(response.body)
    assert response.status_code == 422
    assert report["rows"] == 1
    assert [error["text"] for error in report["errors"]] == [
        'line 3, ticker: no company "ZZZZ" is listed',
        'line 4, shares: "many" is not a plain number like 12 or 1234.50',
        "line 5, shares: must be more than 0",
        'line 6, price: "-2" is not a plain number like 12 or 1234.50',
        "line 7: 4 fields expected, as in the header, 2 found",
        "line 9: a quoted field is not closed on its line",
        "line 10: byte 10 (0xff) is not UTF-8",
        "line 11, price: is empty",
        'line 12, price: "1,000" is not a plain number like 12 or 1234.50',
        "line 13: longer than 4096 bytes",
        "line 14, ticker: is empty",
        "line 15: 4 fields expected, as in the header, 5 found",
    ]
    page = ask(small, "POST", "/portfolio", data=form_body(data), headers=AS_FORM)
    assert page.status_code == 422
    assert b"12 lines were left out" in page.body
    assert b"line 13: longer than 4096 bytes" in page.body


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "line 1: the file is empty; the first line must name the columns"),
        (b"name,amount\nACME,1\n", 'line 1, ticker: the column is missing; the header has: "name", "amount"'),
        (b"ticker,shares,price,price\n", 'line 1, price: the column is there twice; the header has: "ticker", "shares", "price", "price"'),
        (b"x" * 5000, "line 1: longer than 4096 bytes"),
    ],
)  # fmt: skip
def test_portfolio_without_a_header_it_can_use(small, data, error):
    response = upload(small, data)
    assert response.status_code == 422
    assert [e["text"] for e in json.loads(response.body)["errors"]] == [error]


def test_portfolio_reads_a_byte_order_mark_and_any_order_of_columns(small):
    report = json.loads(upload(small, b"\xef\xbb\xbfPrice,TICKER , shares\n2,ACME,3\n").body)
    assert (report["rows"], report["cost"]) == (1, 6)


def test_portfolio_is_the_same_however_its_bytes_are_cut(finance, small):
    known = small.extensions["finance_db"].closes()
    data = GOOD + b"ZZZZ,1,2\r\n" + b"A" * 4200 + b"\nACME,1,1"
    whole = finance.portfolio.PortfolioReader(known)
    whole.feed(data)
    expected = whole.finish()
    for size in (1, 2, 3, 7, 1000):
        reader = finance.portfolio.PortfolioReader(known)
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
        assert reader.finish() == expected


def test_portfolio_is_parsed_as_it_arrives_in_bounded_memory(finance, small):
    known = small.extensions["finance_db"].closes()
    reader = finance.portfolio.PortfolioReader(known)
    reader.feed(b"ticker,shares,price\n")
    rows = b"ACME,1,2\nCRHR,1,2\nZZZZ,1,2\n" * 500
    reader.feed(rows)
    tracemalloc.start()
    try:
        for _ in range(20):
            reader.feed(rows)
        reader.feed(b"x" * 3_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reader.rows == 21 * 1000
    report = reader.finish()
    assert report.error_count == 21 * 500 + 1
    assert len(report.errors) == finance.portfolio.MAX_ERRORS
    assert peak < 3_500_000, "one slice of input, and little beside it"


def test_portfolio_takes_a_body_in_pieces(small):
    async def conversation():
        client = small.test_client()
        async with client.request("/portfolio", method="POST", headers=AS_CSV) as connection:
            for start in range(0, len(GOOD), 5):
                await connection.send(GOOD[start : start + 5])
            await connection.send_complete()
        return await (await connection.as_response()).get_json()

    assert asyncio.run(conversation())["rows"] == 3


@pytest.mark.parametrize("announced", [True, False])
def test_portfolio_that_is_too_long_is_413(finance, small, announced):
    app = make_site(finance, small.extensions["finance_db"].path, *SMALL)
    app.config["MAX_CONTENT_LENGTH"] = 1000
    headers = AS_CSV | ({"Content-Length": "4000"} if announced else {})

    async def conversation():
        async with app.test_client().request(
            "/portfolio", method="POST", headers=headers
        ) as connection:
            for _ in range(8):
                await connection.send(b"ACME,1,2\n" * 50)
                await asyncio.sleep(0)
            await connection.send_complete()
        return await connection.as_response()

    response = asyncio.run(conversation())
    assert response.status_code == 413
    assert directives(response) == {"no-store"}


def test_portfolio_that_stops_arriving_is_408(finance, small):
    app = make_site(finance, small.extensions["finance_db"].path, *SMALL)
    app.config["BODY_TIMEOUT"] = 0.05

    async def conversation():
        async with app.test_client().request(
            "/portfolio", method="POST", headers=AS_CSV
        ) as connection:
            await connection.send(b"ticker,sha")
        return await connection.as_response()

    assert asyncio.run(asyncio.wait_for(conversation(), 5)).status_code == 408


@pytest.mark.parametrize(
    ("headers", "data", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({}, b"", 415),
        ({"Content-Type": "multipart/form-data"}, b"", 400),
        (AS_FORM, b"", 400),
        (AS_FORM, b"no form at all", 400),
        (AS_FORM, form_body(GOOD)[:-20], 400),
        (AS_FORM, form_body(GOOD, name="other"), 400),
        (AS_FORM, form_body(b"", filename=""), 400),
    ],
)
def test_an_upload_that_is_none(small, headers, data, status):
    response = ask(small, "POST", "/portfolio", data=data, headers=headers)
    assert response.status_code == status
    assert directives(response) == {"no-store"}


# The generator


def test_same_seed_same_content(finance, tmp_path):
    hashes = []
    for name, seed in (("one", None), ("two", None), ("other", 1)):
        path = tmp_path / f"{name}.db"
        more = {} if seed is None else {"seed": seed}
        finance.generate.generate(path, *SMALL, **more)
        hashes.append(finance.generate.content_hash(path))
    assert hashes[0] == hashes[1] == SMALL_HASH
    assert hashes[2] != SMALL_HASH


def test_the_full_database_has_what_it_should(finance, site):
    path = site.extensions["finance_db"].path
    with closing(sqlite3.connect(path)) as connection:
        one = lambda sql: connection.execute(sql).fetchone()[0]  # noqa: E731
        assert one("SELECT COUNT(*) FROM company") == 500
        assert one("SELECT COUNT(DISTINCT name) FROM company") == 500
        assert one("SELECT COUNT(*) FROM price") == 500 * 750
        assert one("SELECT COUNT(*) FROM price WHERE low > MIN(open, close)") == 0
        assert one("SELECT COUNT(*) FROM price WHERE high < MAX(open, close)") == 0
        assert one("SELECT MIN(low) FROM price") > 0
        assert one("SELECT MAX(date) FROM trading_day") == "2026-06-30"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert one("PRAGMA integrity_check") == "ok"


def test_another_size_is_another_database(finance, tmp_path):
    path = tmp_path / "finance.db"
    assert finance.generate.ensure(path, 3, 10, io.StringIO())
    assert not finance.generate.ensure(path, 3, 10, io.StringIO())
    assert finance.generate.ensure(path, 4, 10, io.StringIO())
    path.write_bytes(b"")
    assert finance.generate.ensure(path, 4, 10, io.StringIO())


def test_a_file_that_is_something_else_is_left_alone(finance, tmp_path):
    text, other = tmp_path / "letter.txt", tmp_path / "other.db"
    text.write_text("Dear Sir or Madam")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE meta (key, value)")
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(FileExistsError, match="is not a database of the finance example"):
            finance.generate.ensure(path, 3, 10, io.StringIO())
        assert path.read_bytes() == before


@pytest.mark.parametrize(("companies", "days"), [(1, 2), (2, 16), (12, 70)])
def test_the_smallest_databases_still_make_pages(finance, tmp_path, companies, days):
    app = make_site(finance, tmp_path / "tiny.db", companies, days)
    for url, _ in PUBLIC + PRIVATE:
        assert get(app, url).status_code == 200, url


def generator(path, *sizes):
    words = [sys.executable, str(FINANCE / "generate.py"), str(path), *map(str, sizes)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_many_processes_at_once_make_one_database(finance, tmp_path):
    path = tmp_path / "finance.db"
    running = [generator(path, *SMALL) for _ in range(6)]
    said = [process.communicate(timeout=30) for process in running]
    assert [process.returncode for process in running] == [0] * 6
    assert sum("is there already" in out for out, _ in said) == 5
    assert sum("24 companies in" in err for _, err in said) == 1
    assert finance.generate.content_hash(path) == SMALL_HASH
    assert not list(tmp_path.glob("*.tmp"))


def test_a_generator_that_dies_leaves_nothing_in_the_way(finance, tmp_path):
    path = tmp_path / "finance.db"
    process = generator(path, 500, 750)
    while not list(tmp_path.glob("*.tmp")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not path.exists() and len(list(tmp_path.glob("*.tmp"))) == 1
    assert finance.generate.ensure(path, 3, 10, io.StringIO())
    assert not list(tmp_path.glob("*.tmp"))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_is_for_terminals(finance, tmp_path):
    terminal, log = Terminal(), io.StringIO()
    finance.generate.ensure(tmp_path / "a.db", 40, 5, terminal)
    finance.generate.ensure(tmp_path / "b.db", 40, 5, log)
    assert terminal.getvalue().count("\r") == 33 and "100 %" in terminal.getvalue()
    assert "\r" not in log.getvalue() and log.getvalue().count("\n") == 2


# Settings


def test_settings_come_from_the_environment(finance):
    read = finance.settings.Settings.from_environment
    assert read({}).database == REPOSITORY / "build" / "finance.db"
    assert read({"FINANCE_COMPANIES": "20"}).database.name == "finance-20x750.db"
    assert read({"FINANCE_DB": "/somewhere/else.db"}).database == Path("/somewhere/else.db")
    assert read({"FINANCE_SECRET_KEY": "s3cret"}).secret_key == "s3cret"


@pytest.mark.parametrize(
    ("name", "value"),
    [("FINANCE_COMPANIES", "many"), ("FINANCE_DAYS", "1"), ("FINANCE_STREAM_INTERVAL", "nan")],
)
def test_a_bad_setting_is_named(finance, name, value):
    with pytest.raises(ValueError, match=f"{name} must be .* not '{value}'"):
        finance.settings.Settings.from_environment({name: value})


# Other servers


@contextmanager
def running(words, environment):
    """A server on a free port of this host; gives its base URL, stops it by SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*words, "--host", "127.0.0.1", "--port", str(port)],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(process, f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def wait_for(process, url):
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise AssertionError(f"{url} never answered; exit code {process.poll()}")


def fetched(base, url, data=None, headers=None):
    request = urllib.request.Request(base + url, data=data, headers=headers or {})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status, response.headers["Cache-Control"], response.read()


SERVERS = {
    "uvicorn": ["--app-dir", str(FINANCE)],
    "granian": ["--working-dir", str(FINANCE), "--interface", "asgi"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_it_is_the_same_site_under(finance, small, server, tmp_path):
    pytest.importorskip(server)
    words = [sys.executable, "-m", server, *SERVERS[server], "app:app"]
    environment = {
        "FINANCE_DB": str(tmp_path / "made-at-start.db"),
        "FINANCE_COMPANIES": str(SMALL[0]),
        "FINANCE_DAYS": str(SMALL[1]),
        "FINANCE_STREAM_INTERVAL": "0.01",
    }
    with running(words, environment) as base:
        for url, _ in PUBLIC:
            expected = get(small, url)
            assert fetched(base, url) == (200, expected.headers["Cache-Control"], expected.body)
        assert len(events_of(fetched(base, "/quotes/stream?events=3")[2])) == 3
        assert json.loads(fetched(base, "/portfolio", GOOD, AS_CSV)[2])["rows"] == 3
        with urllib.request.urlopen(base + "/quotes/stream", timeout=10) as stream:
            assert stream.readline() == b"retry: 2000\n"
        end = time.monotonic() + 5
        while json.loads(fetched(base, "/health")[2])["process"]["streams"]:
            assert time.monotonic() < end, "the stream goes on without its client"
            time.sleep(0.02)


# What zq answers before the application is asked: here in Python, by zq.asgi


@pytest.fixture
def latest(finance, small):
    """The application made last: what it declared is what this process serves."""
    return make_site(finance, small.extensions["finance_db"].path, *SMALL)


def test_robots_and_about_are_made_once(latest):
    robots = get(latest, "/robots.txt")
    assert b"Disallow: /watchlist" in robots.body
    assert robots.headers["Cache-Control"] == "public, max-age=86400"
    about = get(latest, "/about")
    assert b"rendered once" in about.body and b"Quayside" in about.body
    assert about.headers["Content-Security-Policy"].startswith("default-src 'self'")
    again = get(latest, "/about", headers={"If-None-Match": about.headers["ETag"]})
    assert again.status_code == 304


def test_closes_without_the_framework(latest):
    found = json.loads(get(latest, "/api/closes/acme?days=3").body)
    quote = json.loads(get(latest, "/api/quote/ACME").body)
    assert found["ticker"] == "ACME" and len(found["closes"]) == 3
    assert found["closes"][-1] == quote["close"]
    assert found["to"] == quote["date"]
    assert get(latest, "/api/closes/NONE").status_code == 404
    for wrong in ("0", "many", "1000"):
        response = get(latest, f"/api/closes/ACME?days={wrong}")
        assert response.status_code == 422
        assert json.loads(response.body)["detail"][0]["loc"] == ["query", "days"]


@pytest.mark.parametrize(
    ("token", "given", "status"),
    [("", "", 403), ("secret", "", 401), ("secret", "Bearer wrong", 401)],
)
def test_new_prices_need_the_token(finance, small, token, given, status):
    path = small.extensions["finance_db"].path
    app = make_site(finance, path, *SMALL, admin_token=token)
    assert ask(app, "POST", "/admin/prices", headers={"Authorization": given}).status_code == status


def test_new_prices(finance, tmp_path):
    app = make_site(finance, tmp_path / "finance.db", 12, 70, admin_token="secret")
    before = {url: get(app, url).body for url in ("/api/quote/ACME", "/summary/ACME", "/")}
    response = ask(app, "POST", "/admin/prices", headers={"Authorization": "Bearer secret"})
    assert json.loads(response.body)["companies"] == 12
    assert all(get(app, url).body != body for url, body in before.items())
    quote = json.loads(get(app, "/api/quote/ACME").body)
    assert quote["low"] <= quote["close"] <= quote["high"]
    assert quote["year_low"] <= quote["close"] <= quote["year_high"]
    dates, points = app.extensions["finance_db"].market_index()
    assert len(points) == len(dates) == 70
    assert finance.generate.is_current(tmp_path / "finance.db", 12, 70)
    assert not list(tmp_path.glob("*.tmp"))
