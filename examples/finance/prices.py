"""New prices: what an administrator's command writes, commits, and purges, in that order."""

from __future__ import annotations

import asyncio
import hmac
import os
import random
import shutil
import sqlite3
from contextlib import closing
from math import exp
from pathlib import Path

from quart import Blueprint, abort, current_app, request
from quart.typing import ResponseReturnValue

import generate
from caching import never
from db import Database
from edge import PRICES, zq
from settings import Settings

admin = Blueprint("admin", __name__)

SWAY = 0.01
"""Standard deviation of a new close, as a fraction of the old one."""


@admin.post("/admin/prices")
@never
async def new_prices() -> ResponseReturnValue:
    """The last day's closes, quoted anew. When the client has its answer, no page shows old ones."""
    _check_token()
    database: Database = current_app.extensions["finance_db"]
    companies = await asyncio.to_thread(requote, database.path, random.Random())
    await zq.purge(tag=PRICES)  # now that it is committed; any sooner, and an old page might stay
    return {"companies": companies, "date": database.last_date}


def _check_token() -> None:
    settings: Settings = current_app.extensions["finance_settings"]
    if not settings.admin_token:
        abort(403, "FINANCE_ADMIN_TOKEN is not set, so nobody may do this.")
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), settings.admin_token.encode()):
        abort(401, "This needs the administrator's token.")


def requote(path: Path, rng: random.Random) -> int:
    """Give every company another close on the last day; how many there are.

    Readers have the file open as one that never changes. So this writes a copy, which takes the
    name of the old one as a whole: that is the commit.
    """
    with generate.locked(path.with_name(path.name + ".lock")):
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(path, temporary)
            with closing(sqlite3.connect(temporary)) as connection, connection:
                companies = _requote(connection, rng)
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return companies


def _another(close: int, rng: random.Random) -> int:
    """A close in cents, near this one, and never the same."""
    new = max(50, round(close * exp(rng.gauss(0, SWAY))))
    return new if new != close else close + 1


def _requote(connection: sqlite3.Connection, rng: random.Random) -> int:
    (last,) = connection.execute("SELECT MAX(day) FROM trading_day").fetchone()
    worth = (
        "SELECT SUM(p.close * c.shares) FROM price AS p JOIN company AS c ON c.id = p.company_id"
        " WHERE p.day = ?"
    )
    (before,) = connection.execute(worth, (last,)).fetchone()
    prices = connection.execute(
        "SELECT company_id, close FROM price WHERE day = ?", (last,)
    ).fetchall()
    new = [(_another(close, rng), company) for company, close in prices]
    connection.executemany(
        "UPDATE price SET close = ?1, high = MAX(high, ?1), low = MIN(low, ?1)"
        f" WHERE company_id = ?2 AND day = {last}",
        new,
    )
    connection.executemany(
        "UPDATE year_stat SET high = MAX(high, ?1), low = MIN(low, ?1) WHERE company_id = ?2", new
    )
    (after,) = connection.execute(worth, (last,)).fetchone()
    connection.execute(
        "UPDATE market_index SET points = ROUND(points * ?, 2) WHERE day = ?",
        (after / before, last),
    )
    return len(new)
