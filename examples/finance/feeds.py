"""What programs read: JSON, CSV and the event stream."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from quart import Blueprint, Response, abort, current_app, request
from quart.typing import ResponseReturnValue

import live
from caching import never, public
from db import Database, Row
from edge import company_tags, zq
from pages import company_or_404, database
from settings import Settings

feeds = Blueprint("feeds", __name__)

EXPORT_BATCH = 100
"""Days in one piece of a CSV export."""
STREAM_MAX = 50
"""Tickers one event stream may follow."""
STREAM_DEFAULT = 8
"""How many of the largest companies it follows if none are named."""


@feeds.get("/api/quote/<ticker>")
@public(5)
@zq.cached_route(ttl=5, tags=company_tags)
async def quote(ticker: str) -> ResponseReturnValue:
    """The last close: prices in dollars, change as a fraction, volume in shares."""
    company = company_or_404(ticker)
    days = database().history(company["id"], 2)
    last, before = days[-1], days[0]
    return {
        "ticker": company["ticker"],
        "name": company["name"],
        "sector": company["sector"],
        "currency": "USD",
        "date": last["date"],
        "open": last["open"],
        "high": last["high"],
        "low": last["low"],
        "close": last["close"],
        "previous_close": before["close"],
        "change": round(last["close"] / before["close"] - 1, 6),
        "volume": last["volume"],
        "year_high": company["year_high"],
        "year_low": company["year_low"],
        "market_cap": round(last["close"] * company["shares"]),
    }


@feeds.get("/export/<ticker>.csv")
@public(300)
@zq.cached_route(ttl=300, tags=company_tags)
async def export(ticker: str) -> ResponseReturnValue:
    """Every trading day of a company, streamed in batches straight from the cursor."""
    company = company_or_404(ticker)
    response = Response(
        _nothing() if request.method == "HEAD" else _csv(database(), company["id"]),
        mimetype="text/csv",
    )
    name = f"{company['ticker']}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.timeout = None
    return response


async def _csv(db: Database, company_id: int) -> AsyncIterator[str]:
    """Runs after the view has returned: nothing of the request is at hand any more."""
    yield "date,open,high,low,close,volume\r\n"
    for batch in db.history_batches(company_id, EXPORT_BATCH):
        yield "".join(
            f"{d},{o:.2f},{h:.2f},{lo:.2f},{c:.2f},{v}\r\n" for d, o, h, lo, c, v in batch
        )


@feeds.get("/quotes/stream")
@never
async def stream() -> ResponseReturnValue:
    """Server-sent events, one a second: `quote`, with a JSON list of ticker, price, change.

    ?tickers=ACME,… names the companies, ?events= ends it after so many. It ends by
    itself after FINANCE_STREAM_LIMIT seconds, so that a server that is stopping does not
    wait for ever; a browser then comes back.
    """
    rows = _followed(request.args.get("tickers", ""))
    most = request.args.get("events", type=int)
    settings: Settings = current_app.extensions["finance_settings"]
    open_streams: set[object] = current_app.extensions["finance_streams"]
    events = _events(rows, most, settings, open_streams)
    response = Response(
        _nothing() if request.method == "HEAD" else events, mimetype="text/event-stream"
    )
    response.headers["X-Accel-Buffering"] = "no"
    response.timeout = None
    return response


def _followed(tickers: str) -> list[Row]:
    names = list(dict.fromkeys(t.strip().upper() for t in tickers.split(",") if t.strip()))
    if len(names) > STREAM_MAX:
        abort(400, f"One stream follows at most {STREAM_MAX} tickers.")
    if not names:
        return database().market("worth")[:STREAM_DEFAULT]
    rows = database().market_of(names)
    if len(rows) < len(names):
        missing = sorted(set(names) - {row["ticker"] for row in rows})
        abort(404, f"No company with the ticker “{missing[0][:20]}” is listed.")
    return rows


async def _events(
    rows: list[Row], most: int | None, settings: Settings, open_streams: set[object]
) -> AsyncIterator[str]:
    """Events until `most` of them, the time limit, or the client's leaving (a cancellation)."""
    token = object()
    open_streams.add(token)
    ends, sent = time.monotonic() + settings.stream_limit_s, 0
    try:
        yield "retry: 2000\n\n"
        while (most is None or sent < most) and time.monotonic() < ends:
            tick = int(time.time() / settings.stream_interval_s)
            data = json.dumps(live.quotes(rows, tick), separators=(",", ":"))
            yield f"id: {tick}\nevent: quote\ndata: {data}\n\n"
            sent += 1
            if sent != most:
                await asyncio.sleep(settings.stream_interval_s)
    finally:
        open_streams.discard(token)


async def _nothing() -> AsyncIterator[bytes]:
    """The body of an answer to HEAD."""
    return
    yield b""


@feeds.get("/health")
@never
async def health() -> ResponseReturnValue:
    """Ten lines for a load balancer or a person."""
    companies, days = database().counts()
    state = {
        "status": "ok",
        "database": {"companies": companies, "days": days},
        "process": {"streams": len(current_app.extensions["finance_streams"])},
    }
    return Response(json.dumps(state, indent=2) + "\n", mimetype="application/json")
