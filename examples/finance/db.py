"""Read-only access to the database: one connection a thread, one function a question.

Rows come back as sqlite3.Row, by column name. Prices are dollars (the tables hold whole
cents), changes are fractions (0.01 is one per cent), dates are ISO text.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import generate

Row = sqlite3.Row

_MARKET = """
SELECT c.ticker, c.name, s.name AS sector,
       p.close / 100.0 AS close,
       1.0 * p.close / day.close - 1 AS change,
       1.0 * p.close / month.close - 1 AS month,
       1.0 * p.close / year.close - 1 AS year,
       p.volume, p.close * c.shares / 100.0 AS worth,
       y.high / 100.0 AS year_high, y.low / 100.0 AS year_low,
       (SELECT CASE WHEN SUM(e.eps_actual) > 0 THEN 1.0 * p.close / SUM(e.eps_actual) END
          FROM (SELECT eps_actual FROM earnings
                 WHERE company_id = c.id AND eps_actual IS NOT NULL
                 ORDER BY quarter DESC LIMIT 4) AS e) AS pe
  FROM company AS c
  JOIN sector AS s ON s.id = c.sector_id
  JOIN year_stat AS y ON y.company_id = c.id
  JOIN price AS p ON p.company_id = c.id AND p.day = :last
  JOIN price AS day ON day.company_id = c.id AND day.day = MAX(0, :last - 1)
  JOIN price AS month ON month.company_id = c.id AND month.day = MAX(0, :last - 21)
  JOIN price AS year ON year.company_id = c.id AND year.day = MAX(0, :last - 252)
"""

MARKET_ORDERS = {
    "ticker": "c.ticker",
    "name": "c.name",
    "price": "p.close DESC",
    "change": "change DESC",
    "month": "month DESC",
    "year": "year DESC",
    "volume": "p.volume DESC",
    "worth": "worth DESC",
    "pe": "pe IS NULL, pe",
}
"""What /market may be sorted by, and how."""


class Database:
    """The finance database; safe to share between threads and to carry through a fork."""

    def __init__(self, path: Path, companies: int, days: int) -> None:
        self.path = path
        self.size = (companies, days)
        self._local = threading.local()

    def prepare(self) -> None:
        """Make the file unless it is there; seconds on the first start, then nothing."""
        generate.ensure(self.path, *self.size)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection. A file never changes once it has its name; new prices are
        another file of the same name."""
        local = self._local
        if getattr(local, "key", None) != (os.getpid(), self._file()):
            self.prepare()
            local.key = os.getpid(), self._file()
            uri = f"{self.path.as_uri()}?mode=ro&immutable=1"
            local.connection = sqlite3.connect(uri, uri=True, cached_statements=64)
            local.connection.row_factory = sqlite3.Row
        connection: sqlite3.Connection = local.connection
        return connection

    def _file(self) -> int:
        """Which file has the name now."""
        try:
            return os.stat(self.path).st_ino
        except FileNotFoundError:
            return 0

    def rows(self, sql: str, *values: Any, **named: Any) -> list[Row]:
        return self.connection.execute(sql, named or values).fetchall()

    def row(self, sql: str, *values: Any, **named: Any) -> Row | None:
        found: Row | None = self.connection.execute(sql, named or values).fetchone()
        return found

    @cached_property
    def last_day(self) -> int:
        """Index of the newest trading day."""
        return int(self.rows("SELECT MAX(day) FROM trading_day")[0][0])

    @cached_property
    def last_date(self) -> str:
        return str(self.rows("SELECT MAX(date) FROM trading_day")[0][0])

    @cached_property
    def sectors(self) -> list[str]:
        return [row["name"] for row in self.rows("SELECT name FROM sector ORDER BY name")]

    def counts(self) -> tuple[int, int]:
        """(companies, trading days), counted now."""
        sql = "SELECT (SELECT COUNT(*) FROM company), (SELECT COUNT(*) FROM trading_day)"
        companies, days = self.rows(sql)[0]
        return companies, days

    # Companies

    def company(self, ticker: str) -> Row | None:
        """The company and its last close and volume; `shares` are pieces outstanding."""
        return self.row(
            """
            SELECT c.id, c.ticker, c.name, c.sector_id, s.name AS sector, c.city, c.founded,
                   c.employees, c.shares, c.about,
                   y.high / 100.0 AS year_high, y.low / 100.0 AS year_low, y.mean_volume
              FROM company AS c
              JOIN sector AS s ON s.id = c.sector_id
              JOIN year_stat AS y ON y.company_id = c.id
             WHERE c.ticker = ?""",
            ticker.upper(),
        )

    def history(self, company_id: int, most: int = -1) -> list[Row]:
        """date, open, high, low, close, volume of the last `most` days (-1: all), oldest first."""
        found = self.rows(
            """
            SELECT t.date, p.open / 100.0 AS open, p.high / 100.0 AS high, p.low / 100.0 AS low,
                   p.close / 100.0 AS close, p.volume
              FROM price AS p JOIN trading_day AS t ON t.day = p.day
             WHERE p.company_id = ? ORDER BY p.day DESC LIMIT ?""",
            company_id,
            most,
        )
        return found[::-1]

    def history_batches(self, company_id: int, size: int) -> Iterator[list[Row]]:
        """The whole history again, `size` days at a time, for an answer that is streamed."""
        cursor = self.connection.execute(
            """
            SELECT t.date, p.open / 100.0, p.high / 100.0, p.low / 100.0, p.close / 100.0, p.volume
              FROM price AS p JOIN trading_day AS t ON t.day = p.day
             WHERE p.company_id = ? ORDER BY p.day""",
            (company_id,),
        )
        while batch := cursor.fetchmany(size):
            yield batch

    def earnings(self, company_id: int) -> list[Row]:
        """Every quarter of one company, newest first; revenue and income in dollars."""
        return self.rows(
            """
            SELECT quarter, report_date, revenue * 1000.0 AS revenue, net_income * 1000.0 AS income,
                   eps_estimate / 100.0 AS estimate, eps_actual / 100.0 AS actual,
                   1.0 * (eps_actual - eps_estimate) / NULLIF(ABS(eps_estimate), 0) AS surprise
              FROM earnings WHERE company_id = ? ORDER BY quarter DESC""",
            company_id,
        )

    def peers(self, sector_id: int, besides: str, worth: float, most: int) -> list[Row]:
        """Companies of the sector that are worth about as much, as market rows."""
        return self.rows(
            _MARKET + "WHERE c.sector_id = :sector AND c.ticker != :besides"
            " ORDER BY ABS(worth - :worth) LIMIT :most",
            last=self.last_day,
            sector=sector_id,
            besides=besides,
            worth=worth,
            most=most,
        )

    def search(self, text: str, most: int) -> list[Row]:
        """Companies by ticker, name, sector or city; the closest match first."""
        escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return self.rows(
            _MARKET
            + """WHERE c.ticker LIKE :starts ESCAPE '\\' OR c.name LIKE :holds ESCAPE '\\'
                OR s.name LIKE :starts ESCAPE '\\' OR c.city LIKE :starts ESCAPE '\\'
             ORDER BY c.ticker != :exact, c.ticker NOT LIKE :starts ESCAPE '\\',
                      c.name NOT LIKE :starts ESCAPE '\\', worth DESC LIMIT :most""",
            last=self.last_day,
            starts=escaped + "%",
            holds=f"%{escaped}%",
            exact=text.upper(),
            most=most,
        )

    # The market

    def market(self, order: str = "ticker", sector: str | None = None) -> list[Row]:
        """A row for every company; `order` is a key of MARKET_ORDERS."""
        where = "WHERE s.name = :sector" if sector else ""
        sql = f"{_MARKET} {where} ORDER BY {MARKET_ORDERS[order]}, c.ticker"
        return self.rows(sql, last=self.last_day, sector=sector)

    def market_of(self, tickers: Sequence[str]) -> list[Row]:
        """Market rows of these tickers, in their order; unknown ones are left out."""
        marks = ", ".join(f":t{index}" for index in range(len(tickers)))
        named = {f"t{index}": ticker for index, ticker in enumerate(tickers)}
        sql = f"{_MARKET} WHERE c.ticker IN ({marks})"
        found = {row["ticker"]: row for row in self.rows(sql, last=self.last_day, **named)}
        return [found[ticker] for ticker in tickers if ticker in found]

    def sector_moves(self) -> list[Row]:
        """sector, companies, change (weighted by worth), worth in dollars; best first."""
        return self.rows(
            """
            SELECT s.name AS sector, COUNT(*) AS companies,
                   1.0 * SUM(p.close * c.shares) / SUM(day.close * c.shares) - 1 AS change,
                   SUM(p.close * c.shares) / 100.0 AS worth
              FROM company AS c
              JOIN sector AS s ON s.id = c.sector_id
              JOIN price AS p ON p.company_id = c.id AND p.day = :last
              JOIN price AS day ON day.company_id = c.id AND day.day = MAX(0, :last - 1)
             GROUP BY s.id ORDER BY change DESC""",
            last=self.last_day,
        )

    def market_index(self) -> tuple[list[str], list[float]]:
        """(dates, points), oldest first."""
        found = self.rows(
            "SELECT t.date, i.points FROM market_index AS i JOIN trading_day AS t USING (day)"
            " ORDER BY day"
        )
        return [row["date"] for row in found], [row["points"] for row in found]

    def closes(self) -> dict[str, Row]:
        """ticker -> name, sector and last close of every company."""
        found = self.rows(
            """
            SELECT c.ticker, c.name, s.name AS sector, p.close / 100.0 AS close
              FROM company AS c
              JOIN sector AS s ON s.id = c.sector_id
              JOIN price AS p ON p.company_id = c.id AND p.day = ?""",
            self.last_day,
        )
        return {row["ticker"]: row for row in found}

    # Earnings

    def upcoming(self, most: int) -> list[Row]:
        """Quarters not reported yet, soonest first."""
        return self.rows(
            """
            SELECT e.report_date, e.quarter, c.ticker, c.name, s.name AS sector,
                   e.eps_estimate / 100.0 AS estimate, before.eps_actual / 100.0 AS year_ago
              FROM earnings AS e
              JOIN company AS c ON c.id = e.company_id
              JOIN sector AS s ON s.id = c.sector_id
              LEFT JOIN earnings AS before ON before.company_id = e.company_id
               AND before.quarter = (CAST(SUBSTR(e.quarter, 1, 4) AS INTEGER) - 1)
                                    || SUBSTR(e.quarter, 5)
             WHERE e.eps_actual IS NULL ORDER BY e.report_date, c.ticker LIMIT ?""",
            most,
        )

    def reported(self, most: int) -> list[Row]:
        """Quarters reported last, newest first; surprise is a fraction of the estimate."""
        return self.rows(
            """
            SELECT e.report_date, e.quarter, c.ticker, c.name,
                   e.revenue * 1000.0 AS revenue, e.eps_estimate / 100.0 AS estimate,
                   e.eps_actual / 100.0 AS actual,
                   1.0 * (e.eps_actual - e.eps_estimate) / NULLIF(ABS(e.eps_estimate), 0)
                       AS surprise
              FROM earnings AS e JOIN company AS c ON c.id = e.company_id
             WHERE e.eps_actual IS NOT NULL
             ORDER BY e.report_date DESC, c.ticker LIMIT ?""",
            most,
        )

    def earnings_season(self) -> list[Row]:
        """The last reported quarter by sector: companies, beats, misses, surprise (mean)."""
        return self.rows(
            """
            SELECT s.name AS sector, COUNT(*) AS companies,
                   SUM(e.eps_actual > e.eps_estimate) AS beats,
                   SUM(e.eps_actual < e.eps_estimate) AS misses,
                   AVG(1.0 * (e.eps_actual - e.eps_estimate) / NULLIF(ABS(e.eps_estimate), 0))
                       AS surprise
              FROM earnings AS e
              JOIN company AS c ON c.id = e.company_id
              JOIN sector AS s ON s.id = c.sector_id
             WHERE e.quarter = (SELECT MAX(quarter) FROM earnings WHERE eps_actual IS NOT NULL)
             GROUP BY s.id ORDER BY 1.0 * beats / COUNT(*) DESC"""
        )

    # Commodities

    def commodities(self) -> list[Row]:
        """slug, name, unit, close, change of every commodity."""
        return self.rows(
            """
            SELECT c.slug, c.name, c.unit, p.close / 10000.0 AS close,
                   1.0 * p.close / day.close - 1 AS change
              FROM commodity AS c
              JOIN commodity_price AS p ON p.commodity_id = c.id AND p.day = :last
              JOIN commodity_price AS day
                ON day.commodity_id = c.id AND day.day = MAX(0, :last - 1)
             ORDER BY c.id""",
            last=self.last_day,
        )

    def commodity(self, slug: str) -> Row | None:
        return self.row(
            """
            SELECT c.id, c.slug, c.name, c.unit, c.exchange, c.about, c.sector_id,
                   s.name AS sector
              FROM commodity AS c JOIN sector AS s ON s.id = c.sector_id WHERE c.slug = ?""",
            slug,
        )

    def commodity_history(self) -> dict[str, list[float]]:
        """slug -> closes in dollars, oldest first, a value for each trading day."""
        found: dict[str, list[float]] = {}
        for slug, close in self.rows(
            "SELECT c.slug, p.close / 10000.0 FROM commodity_price AS p"
            " JOIN commodity AS c ON c.id = p.commodity_id ORDER BY p.commodity_id, p.day"
        ):
            found.setdefault(slug, []).append(close)
        return found

    def dates(self) -> list[str]:
        return [row["date"] for row in self.rows("SELECT date FROM trading_day ORDER BY day")]

    def sector_leaders(self, sector_id: int, most: int) -> list[Row]:
        """The sector's companies that are worth most, as market rows."""
        return self.rows(
            _MARKET + "WHERE c.sector_id = :sector ORDER BY worth DESC LIMIT :most",
            last=self.last_day,
            sector=sector_id,
            most=most,
        )
