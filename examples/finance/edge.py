"""What zq answers of this site before the application is asked. See README.md for each.

zq is imported from here, so that it is found under any server: in the repository it lies beside
this example. Under another one than zq `zq.asgi`, in app.py, serves the same in Python.
"""

from __future__ import annotations

import sys
from typing import Any

from quart import Quart, render_template

from settings import REPOSITORY

sys.path.append(str(REPOSITORY / "python"))

import zq  # noqa: E402

PRICES = "prices"
"""The tag of everything that shows a company's price."""
CLOSES_MAX = 250
ROBOTS = "User-agent: *\nDisallow: /watchlist\nDisallow: /portfolio\nDisallow: /admin/\n"

PAGE_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
PAGE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": PAGE_POLICY,
    "Referrer-Policy": "same-origin",
}


def company_tags(ticker: str) -> list[str]:
    """Of a page about one company."""
    return [PRICES, f"company:{ticker.upper()}"]


def declare(app: Quart) -> None:
    """The routes that skip the application: its hooks, error pages and sessions."""
    zq.static_route("/robots.txt", ROBOTS, headers={"Cache-Control": "public, max-age=86400"})

    @zq.static_route("/about", headers=PAGE_HEADERS | {"Cache-Control": "public, max-age=300"})
    async def about() -> str:
        return await render_template("about.html")

    db = app.extensions["finance_db"]

    @zq.simple_json("/api/closes/<ticker>")
    @zq.cached_route(ttl=60, stale_while_revalidate=600, tags=closes_tags)
    def closes(ticker: str, days: int = 5) -> Any:
        """The last closes in dollars, oldest first."""
        company = db.company(ticker)
        if company is None:
            return {"status": 404, "error": "Not Found", "detail": f"{ticker} is not listed."}, 404
        if not 1 <= days <= CLOSES_MAX:
            return {"detail": [{"loc": ["query", "days"], "msg": f"is not 1 to {CLOSES_MAX}"}]}, 422
        found = db.history(company["id"], days)
        return {
            "ticker": company["ticker"],
            "from": found[0]["date"],
            "to": found[-1]["date"],
            "closes": [row["close"] for row in found],
        }


def closes_tags(ticker: str, days: int) -> list[str]:
    return company_tags(ticker)
