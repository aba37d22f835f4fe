"""The personal pages: a watch list in a signed cookie, a portfolio that is not kept."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import asdict

from quart import Blueprint, abort, redirect, render_template, request, session, url_for
from quart.typing import ResponseReturnValue

from caching import personal
from pages import database
from portfolio import PortfolioReader, Report
from uploads import file_slices

personal_pages = Blueprint("personal", __name__)

WATCHLIST_MAX = 50
"""Tickers in a watch list: with its signature it must fit into a 4 KB cookie."""


@personal_pages.get("/watchlist")
@personal
async def watchlist() -> ResponseReturnValue:
    """The list, and the form; ?add= fills in a ticker (adding it takes the POST)."""
    return await _watchlist_page(request.args.get("add", "")[:10])


@personal_pages.post("/watchlist")
@personal
async def change_watchlist() -> ResponseReturnValue:
    """action=add or remove, ticker, and the csrf token that the form of this session holds."""
    form = await request.form
    if not hmac.compare_digest(form.get("csrf", "").encode(), _csrf_token().encode()):
        abort(400, "This form is from another session. Reload the page and try again.")
    ticker = form.get("ticker", "").strip().upper()
    tickers = _watched()
    match form.get("action"):
        case "add":
            problem = _problem_with(ticker, tickers)
            if problem:
                return await _watchlist_page(ticker, problem), 422
            session["watchlist"] = [*tickers, ticker]
        case "remove":
            session["watchlist"] = [other for other in tickers if other != ticker]
        case _:
            abort(400, "The action is add or remove.")
    return redirect(url_for("personal.watchlist"), 303)


def _problem_with(ticker: str, tickers: Sequence[str]) -> str | None:
    if not ticker:
        return "Write a ticker, such as ACME."
    if database().company(ticker) is None:
        return f"No company with the ticker “{ticker[:20]}” is listed."
    if ticker in tickers:
        return f"{ticker} is on the list already."
    if len(tickers) >= WATCHLIST_MAX:
        return f"The list is full: {WATCHLIST_MAX} companies."
    return None


def _watched() -> list[str]:
    return list(session.get("watchlist", []))


def _csrf_token() -> str:
    """This session's token, made when it is first asked for."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    token: str = session["csrf"]
    return token


async def _watchlist_page(ticker: str, problem: str | None = None) -> str:
    return await render_template(
        "watchlist.html",
        rows=database().market_of(_watched()),
        csrf=_csrf_token(),
        ticker=ticker,
        problem=problem,
        most=WATCHLIST_MAX,
    )


@personal_pages.get("/portfolio")
@personal
async def portfolio() -> ResponseReturnValue:
    return await render_template("portfolio.html", report=None, examples=_examples())


@personal_pages.post("/portfolio")
@personal
async def value_portfolio() -> ResponseReturnValue:
    """Value an uploaded CSV file: 200, or 422 if a row is wrong (the others are still valued).

    The file is parsed while it arrives and nothing of it is kept, so no token guards the
    form: another site could only have a visitor look at a sum. JSON for who asks for it.
    """
    reader = PortfolioReader(database().closes())
    async for data in file_slices(request, "file"):
        reader.feed(data)
    report = reader.finish()
    status = 422 if report.error_count else 200
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "text/html":
        page = await render_template("portfolio.html", report=report, examples=_examples())
        return page, status
    return _as_json(report), status


def _as_json(report: Report) -> dict[str, object]:
    found = asdict(report)
    found["gain"] = report.gain
    found["sectors"] = [
        {"sector": name, "value": round(value, 2), "weight": weight}
        for name, value, weight in report.sectors
    ]
    found["errors"] = [error._asdict() | {"text": str(error)} for error in report.errors]
    return found


def _examples() -> list[str]:
    """Three tickers for the example file."""
    return [row["ticker"] for row in database().market("ticker")[:3]]
