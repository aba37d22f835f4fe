"""Makes the example's database: the same seed and size give the same content, everywhere.

`ensure` is what the application calls; any number of processes may call it at once.
By hand: `python generate.py PATH [COMPANIES [DAYS]]`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import sqlite3
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from math import exp
from pathlib import Path
from typing import TextIO

from catalogue import COMMODITIES, SECTORS, Listing, listings

SCHEMA_VERSION = 1
SEED = 20260630
LAST_DAY = date(2026, 6, 30)
YEAR = 252
"""Trading days in a year."""
QUARTERS_REPORTED = 11

Progress = Callable[[int, int], None]
"""Called with (companies done, companies in all)."""


def ensure(path: Path, companies: int, days: int, stream: TextIO | None = None) -> bool:
    """Make the database at `path` unless a current one is there; True if this call made it.

    One of another version or size is replaced, any other file is refused (FileExistsError).

    Safe when several workers start at once: one takes the lock and writes a temporary
    file that is renamed when complete, the others wait for it. A process that dies while
    writing leaves no lock behind, and its temporary file goes with the next attempt.
    """
    if is_current(path, companies, days):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(path.name + ".lock")):
        if is_current(path, companies, days):
            return False
        for stale in path.parent.glob(path.name + ".*.tmp"):
            stale.unlink(missing_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            bar = ProgressBar(stream or sys.stderr, f"finance: making {path.name}")
            generate(temporary, companies, days, progress=bar)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return True


def is_current(path: Path, companies: int, days: int) -> bool:
    """Whether `path` holds a database of this version and size.

    FileExistsError if it holds something else altogether, which is then left alone: what
    has this name is complete, so it cannot be what an earlier start left half done.
    """
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = dict(connection.execute("SELECT key, value FROM meta"))
    except sqlite3.Error:
        found = {}
    wanted = _meta(companies, days, SEED)
    if found.keys() != wanted.keys():
        raise FileExistsError(f"{path} is not a database of the finance example")
    return bool(found == wanted)


def generate(
    path: Path, companies: int, days: int, *, seed: int = SEED, progress: Progress | None = None
) -> None:
    """Write a new database to `path`, which must not exist, and sync it to disk."""
    rng = random.Random(seed)
    dates = trading_days(LAST_DAY, days)
    catalogue = listings(companies, rng)
    market = [rng.gauss(0.0004, 0.0075) for _ in range(days)]
    goods = _commodity_prices(rng, days)
    sectors = _sector_returns(rng, goods, days)
    worth = [0] * days
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(Path(__file__).with_name("schema.sql").read_text("utf-8"))
        connection.execute("BEGIN")
        _write_frame(connection, dates, goods)
        for number, listing in enumerate(catalogue, 1):
            own = random.Random(f"{seed}/{listing.ticker}")
            closes, shares = _write_company(
                connection, number, listing, own, market, sectors[listing.sector]
            )
            _write_earnings(connection, number, listing, own, dates, closes, shares)
            for day, close in enumerate(closes):
                worth[day] += close * shares
            if progress is not None:
                progress(number, companies)
        points = [(day, round(1000 * value / worth[0], 2)) for day, value in enumerate(worth)]
        connection.executemany("INSERT INTO market_index VALUES (?, ?)", points)
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)", _meta(companies, days, seed).items()
        )
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
    with path.open("rb+") as written:
        os.fsync(written.fileno())


def content_hash(path: Path) -> str:
    """SHA-256 of every row of every table: what "the same database" means."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " ORDER BY name"
        ).fetchall()
        for (table,) in tables:
            digest.update(table.encode())
            for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2"):
                digest.update(repr(row).encode())
    return digest.hexdigest()


def trading_days(last: date, count: int) -> list[date]:
    """`count` weekdays up to and with `last`, oldest first, without three fixed holidays."""
    found: list[date] = []
    day = last
    while len(found) < count:
        if day.weekday() < 5 and (day.month, day.day) not in {(1, 1), (7, 4), (12, 25)}:
            found.append(day)
        day -= timedelta(days=1)
    return found[::-1]


class ProgressBar:
    """A bar that redraws itself on a terminal; two plain lines in a log file."""

    def __init__(self, stream: TextIO, title: str) -> None:
        self.stream = stream
        self.title = title
        self.started = time.monotonic()
        self.drawn = -1
        self.terminal = stream.isatty()
        if not self.terminal:
            self._write(f"{title} …\n")

    def __call__(self, done: int, total: int) -> None:
        cells = 32 * done // total
        if self.terminal and cells != self.drawn:
            self.drawn = cells
            bar = "█" * cells + "░" * (32 - cells)
            self._write(f"\r{self.title} {bar} {100 * done // total:3d} %")
        if done == total:
            seconds = time.monotonic() - self.started
            start = " " if self.terminal else f"{self.title}: "
            self._write(f"{start}{total} companies in {seconds:.1f} s\n")

    def _write(self, text: str) -> None:
        """A log that cannot be written, or cannot spell "█", is no reason not to start."""
        try:
            encoding = getattr(self.stream, "encoding", None) or "utf-8"
            self.stream.write(text.encode(encoding, "replace").decode(encoding))
            self.stream.flush()
        except (OSError, ValueError):
            self.terminal = False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel drops it if this process dies."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _meta(companies: int, days: int, seed: int) -> dict[str, str]:
    numbers = {"version": SCHEMA_VERSION, "companies": companies, "days": days, "seed": seed}
    return {key: str(value) for key, value in numbers.items()}


def _commodity_prices(rng: random.Random, days: int) -> list[list[float]]:
    """For each commodity, `days` prices in dollars; Brent keeps close to the other oil."""
    goods = [_walk(rng, c.start, c.volatility, days) for c in COMMODITIES]
    slugs = [commodity.slug for commodity in COMMODITIES]
    spread = _walk(rng, 4.4, 0.03, days)
    oil = goods[slugs.index("oil")]
    goods[slugs.index("brent")] = [price + more for price, more in zip(oil, spread, strict=True)]
    return goods


def _walk(rng: random.Random, start: float, volatility: float, days: int) -> list[float]:
    """Prices in dollars that wander, and are drawn back to where they began."""
    price, prices = start, []
    for _ in range(days):
        pull = 0.003 * (start - price) / start
        price *= exp(rng.gauss(pull + 0.0002, volatility))
        prices.append(price)
    return prices


def _sector_returns(rng: random.Random, goods: list[list[float]], days: int) -> list[list[float]]:
    """For each sector, `days` log returns: its own noise and a third of its commodity's move."""
    returns = [[rng.gauss(0, s.volatility) for _ in range(days)] for s in SECTORS]
    names = [sector.name for sector in SECTORS]
    for commodity, prices in zip(COMMODITIES, goods, strict=True):
        own = returns[names.index(commodity.sector)]
        for day in range(1, days):
            own[day] += 0.33 * (prices[day] / prices[day - 1] - 1)
    return returns


def _write_frame(
    connection: sqlite3.Connection, dates: list[date], goods: list[list[float]]
) -> None:
    """Everything that is not a company: days, sectors, commodities and their prices."""
    days = [(day, when.isoformat()) for day, when in enumerate(dates)]
    connection.executemany("INSERT INTO trading_day VALUES (?, ?)", days)
    sectors = [(number, sector.name) for number, sector in enumerate(SECTORS)]
    connection.executemany("INSERT INTO sector VALUES (?, ?)", sectors)
    ids = {name: number for number, name in sectors}
    for number, (c, prices) in enumerate(zip(COMMODITIES, goods, strict=True)):
        row = (number, c.slug, c.name, c.unit, c.exchange, ids[c.sector], c.about)
        connection.execute("INSERT INTO commodity VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        closes = [(number, day, round(price * 10_000)) for day, price in enumerate(prices)]
        connection.executemany("INSERT INTO commodity_price VALUES (?, ?, ?)", closes)


def _write_company(
    connection: sqlite3.Connection,
    number: int,
    listing: Listing,
    rng: random.Random,
    market: list[float],
    sector: list[float],
) -> tuple[list[int], int]:
    """One company and its prices; gives back its closes in cents and its share count."""
    start = 10 ** rng.uniform(0.9, 2.5)
    worth = listing.employees * 10 ** rng.uniform(5.4, 6.6)
    shares = max(1_000_000, int(round(worth / start, -5)))
    rows = _daily_prices(number, start, shares, rng, market, sector)
    connection.execute(
        "INSERT INTO company VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, *listing[:6], shares, listing.about),
    )
    connection.executemany("INSERT INTO price VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    year = rows[-YEAR:]
    volume = sum(row[6] for row in year) // len(year)
    high, low = max(row[3] for row in year), min(row[4] for row in year)
    connection.execute("INSERT INTO year_stat VALUES (?, ?, ?, ?)", (number, high, low, volume))
    return [row[5] for row in rows], shares


PriceRow = tuple[int, int, int, int, int, int, int]
"""(company, day, open, high, low, close in cents, volume in shares)."""


def _daily_prices(
    number: int,
    start: float,
    shares: int,
    rng: random.Random,
    market: list[float],
    sector: list[float],
) -> list[PriceRow]:
    """A price path that follows market and sector as far as this company does."""
    beta, drift, noise = rng.uniform(0.5, 1.5), rng.gauss(0, 0.0004), rng.uniform(0.007, 0.019)
    turnover = shares * rng.uniform(0.002, 0.009)
    gauss, uniform = rng.gauss, rng.random
    close, rows = start * 100, []
    for day, (common, branch) in enumerate(zip(market, sector, strict=True)):
        move = beta * common + branch + drift + gauss(0, noise)
        opened = close * (1 + (uniform() - 0.5) * 0.012)
        close = max(50.0, close * exp(move))
        high = max(opened, close) * (1 + uniform() * 0.009)
        low = min(opened, close) * (1 - uniform() * 0.009)
        volume = int(turnover * (0.55 + 0.7 * uniform() + 28 * abs(move)))
        rows.append((number, day, round(opened), round(high), round(low), round(close), volume))
    return rows


def _write_earnings(
    connection: sqlite3.Connection,
    number: int,
    listing: Listing,
    rng: random.Random,
    dates: list[date],
    closes: list[int],
    shares: int,
) -> None:
    """Reported quarters that fit the price then, and an estimate for the one to come."""
    sector = SECTORS[listing.sector]
    ratio, margin = sector.pe * rng.uniform(0.6, 1.7), sector.margin * rng.uniform(0.5, 1.4)
    loses = rng.random() < 0.08
    delay = rng.randint(15, 45)
    for quarter, end in _quarters(LAST_DAY, QUARTERS_REPORTED + 1):
        reported = _next_weekday(end + timedelta(days=delay))
        close = closes[max(0, bisect_right(dates, reported) - 1)]
        eps = round(close / ratio / 4 * rng.uniform(0.82, 1.18)) * (-1 if loses else 1)
        estimate = round(eps - abs(eps) * rng.gauss(0.012, 0.06))
        income = eps * shares // 100_000
        revenue = round(abs(income) / margin * rng.uniform(0.9, 1.1))
        known = (revenue, income, estimate, eps)
        figures = known if reported <= LAST_DAY else (None, None, estimate, None)
        row = (number, quarter, reported.isoformat(), *figures)
        connection.execute("INSERT INTO earnings VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _quarters(last: date, count: int) -> list[tuple[str, date]]:
    """The `count` quarters that end with `last`: ("2026 Q2", 2026-06-30), oldest first."""
    found, year, number = [], last.year, (last.month - 1) // 3 + 1
    for _ in range(count):
        after = date(year + number // 4, number % 4 * 3 + 1, 1)
        found.append((f"{year} Q{number}", after - timedelta(days=1)))
        year, number = (year, number - 1) if number > 1 else (year - 1, 4)
    return found[::-1]


def _next_weekday(day: date) -> date:
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        raise SystemExit("usage: generate.py PATH [COMPANIES [DAYS]]")
    target = Path(sys.argv[1]).absolute()
    sizes = [int(text) for text in sys.argv[2:]] + [500, 750][len(sys.argv) - 2 :]
    if not ensure(target, sizes[0], sizes[1]):
        print(f"{target} is there already")
