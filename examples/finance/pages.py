"""The public pages: the same for everyone, and they say for how long."""

from __future__ import annotations

from quart import Blueprint, abort, current_app, render_template, request
from quart.typing import ResponseReturnValue

import chart
import stats
from caching import public
from db import MARKET_ORDERS, Database, Row
from edge import PRICES, company_tags, zq

pages = Blueprint("pages", __name__)

RETURN_EDGES = (-0.05, -0.04, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04, 0.05)
"""Where the summary's histogram of daily returns cuts, as fractions."""
RANGES = (("3M", 63), ("1Y", 252), ("3Y", 750))
"""The summary's charts: label and trading days."""
BAND_WIDTH = 320
"""Units that the year's range is long, where it has a line to itself."""
SEARCH_MAX = 50
"""Results of a search, and characters of a query that are looked at."""


def database() -> Database:
    """The application's database."""
    found: Database = current_app.extensions["finance_db"]
    return found


def company_or_404(ticker: str) -> Row:
    """The company of this ticker, in either case of letters."""
    found = database().company(ticker)
    if found is None:
        abort(404, f"No company with the ticker “{ticker[:20]}” is listed.")
    return found


@pages.get("/")
@public(60)
@zq.cached_route(ttl=60, tags=PRICES)
async def index() -> ResponseReturnValue:
    db = database()
    dates, points = db.market_index()
    market = db.market("change")
    active = sorted(market, key=lambda row: -row["volume"] * row["close"])
    histories = db.commodity_history()
    return await render_template(
        "index.html",
        index_chart=chart.price_chart(
            "index", dates[-252:], points[-252:], label="Index of all companies"
        ),
        index_now=points[-1],
        index_stats=stats.summarise(points, points),
        index_day=stats.change_over(points, 1),
        gainers=market[:6],
        losers=market[:-7:-1],
        active=active[:6],
        ticker_tape=sorted(market, key=lambda row: -row["worth"])[:8],
        advancing=sum(row["change"] > 0 for row in market),
        declining=sum(row["change"] < 0 for row in market),
        companies=len(market),
        sectors=db.sector_moves(),
        commodities=[
            (row, chart.sparkline(histories[row["slug"]][-66:])) for row in db.commodities()
        ],
        upcoming=db.upcoming(6),
    )


@pages.get("/summary/<ticker>")
@public(60, s_maxage=300)
@zq.cached_route(ttl=300, stale_while_revalidate=3600, stale_if_error=86_400, tags=company_tags)
async def summary(ticker: str) -> ResponseReturnValue:
    """A company on one page: eight queries, the statistics and the charts from them."""
    db = database()
    company = company_or_404(ticker)
    history = db.history(company["id"])
    dates = [row["date"] for row in history]
    closes = [row["close"] for row in history]
    volumes = [row["volume"] for row in history]
    index_dates, index = db.market_index()
    earnings = db.earnings(company["id"])
    worth = closes[-1] * company["shares"]
    earned = sum(row["actual"] for row in [e for e in earnings if e["actual"] is not None][:4])
    daily = stats.returns(closes)[-252:]
    months = stats.monthly_returns(dates, closes)
    return await render_template(
        "summary.html",
        company=company,
        last=history[-1],
        change=stats.change_over(closes, 1),
        worth=worth,
        earned=earned,
        pe=closes[-1] / earned if earned > 0 else None,
        figures=stats.summarise(closes, index),
        market=stats.summarise(index, index),
        charts=_range_charts(dates, closes, volumes),
        range_bar=chart.range_bar(
            company["year_low"], company["year_high"], closes[-1], BAND_WIDTH
        ),
        spread=chart.histogram_chart(stats.histogram(daily, RETURN_EDGES), RETURN_EDGES),
        months=sorted(months.items(), reverse=True),
        month_names=chart.MONTHS,
        earnings=earnings,
        earnings_chart=chart.earnings_chart(
            (row["quarter"], row["estimate"], row["actual"]) for row in earnings[:8][::-1]
        ),
        peers=db.peers(company["sector_id"], company["ticker"], worth, 8),
        recent=_recent(history, 25),
    )


def _range_charts(
    dates: list[str], closes: list[float], volumes: list[int]
) -> list[tuple[str, str]]:
    """(label, SVG) for every range; averages are over all days, then cut."""
    fifty, two_hundred = (stats.moving_average(closes, days) for days in (50, 200))
    return [
        (
            label,
            chart.price_chart(
                label,
                dates[-days:],
                closes[-days:],
                averages=(("sma fast", fifty[-days:]), ("sma slow", two_hundred[-days:])),
                volumes=volumes[-days:],
            ),
        )
        for label, days in RANGES
    ]


def _recent(history: list[Row], most: int) -> list[tuple[Row, float | None]]:
    """The newest days first, each with its change from the day before."""
    newest = history[: -most - 1 : -1]
    before: list[Row | None] = [*history[-2 : -most - 2 : -1], None]
    return [
        (row, row["close"] / prior["close"] - 1 if prior else None)
        for row, prior in zip(newest, before, strict=False)
    ]


@pages.get("/market")
@public(60, s_maxage=300)
@zq.cached_route(ttl=300, query=["sort", "sector"], tags=PRICES)
async def market() -> ResponseReturnValue:
    """Every company in one table; ?sort= a key of MARKET_ORDERS, ?sector= a sector's name."""
    db = database()
    order = request.args.get("sort", "ticker")
    sector = request.args.get("sector") or None
    if order not in MARKET_ORDERS:
        abort(400, f"The table can be sorted by {', '.join(MARKET_ORDERS)}.")
    if sector is not None and sector not in db.sectors:
        abort(404, "There is no such sector.")
    rows = db.market(order, sector)
    return await render_template(
        "market.html",
        rows=rows,
        order=order,
        sector=sector,
        sectors=db.sectors,
        worth=sum(row["worth"] for row in rows),
        range_bar=chart.range_bar,
    )


@pages.get("/commodity/<name>")
@public(60, s_maxage=300)
@zq.cached_route(ttl=300, tags=PRICES)
async def commodity(name: str) -> ResponseReturnValue:
    db = database()
    found = db.commodity(name)
    listed = db.commodities()
    if found is None:
        known = ", ".join(row["slug"] for row in listed)
        abort(404, f"No commodity “{name[:20]}” is quoted here. There are: {known}.")
    dates, histories = db.dates(), db.commodity_history()
    closes = histories[found["slug"]]
    own = stats.returns(closes)[-252:]
    related = [
        (row, stats.correlation(own, stats.returns(histories[row["slug"]])[-252:]))
        for row in listed
        if row["slug"] != found["slug"]
    ]
    fifty, two_hundred = (stats.moving_average(closes, days) for days in (50, 200))
    return await render_template(
        "commodity.html",
        commodity=found,
        listed=listed,
        now=closes[-1],
        change=stats.change_over(closes, 1),
        year_low=min(closes[-252:]),
        year_high=max(closes[-252:]),
        range_bar=chart.range_bar(min(closes[-252:]), max(closes[-252:]), closes[-1], BAND_WIDTH),
        figures=stats.summarise(closes, db.market_index()[1]),
        chart=chart.price_chart(
            "commodity",
            dates,
            closes,
            averages=(("sma fast", fifty), ("sma slow", two_hundred)),
        ),
        months=sorted(stats.monthly_returns(dates, closes).items(), reverse=True),
        month_names=chart.MONTHS,
        related=sorted(related, key=lambda pair: -abs(pair[1] or 0)),
        companies=db.sector_leaders(found["sector_id"], 10),
    )


@pages.get("/earnings")
@public(300, s_maxage=3600)
async def earnings() -> ResponseReturnValue:
    db = database()
    by_date: dict[str, list[Row]] = {}
    for row in db.upcoming(90):
        by_date.setdefault(row["report_date"], []).append(row)
    return await render_template(
        "earnings.html", calendar=by_date, reported=db.reported(105), season=db.earnings_season()
    )


@pages.get("/search")
@public(60)
@zq.cached_route(ttl=60, tags=PRICES)
async def search() -> ResponseReturnValue:
    """?q= a ticker, or part of a name, a sector or a city."""
    query = " ".join(request.args.get("q", "").split())[:SEARCH_MAX]
    found = database().search(query, SEARCH_MAX) if query else []
    return await render_template("search.html", query=query, found=found, most=SEARCH_MAX)
