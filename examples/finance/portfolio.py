"""Reads a portfolio from CSV as its bytes arrive, and values it.

The first line names the columns; `ticker`, `shares` and `price` must be among them, in
any order, others are ignored. Each further line is one purchase. Memory is bounded by
the number of companies, not by the upload: lots of one ticker are added up as they come,
a line is at most MAX_LINE bytes, and of the errors the first MAX_ERRORS are kept.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from db import Row

MAX_LINE = 4096
"""Bytes of a line, without its line end."""
MAX_ERRORS = 100
COLUMNS = ("ticker", "shares", "price")

_NUMBER = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)


class RowError(NamedTuple):
    """What is wrong, and exactly where."""

    line: int
    """Line of the file, the header being 1."""
    column: str | None
    """Name of the column, or None if the line as a whole is wrong."""
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}" + (f", {self.column}" if self.column else "")
        return f"{where}: {self.message}"


@dataclass
class Position:
    """All lots of one ticker."""

    ticker: str
    lots: int = 0
    shares: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    """Dollars paid."""


@dataclass
class Report:
    """What an upload came to; dollars unless said otherwise."""

    rows: int
    """Purchases read without an error."""
    positions: list[dict[str, Any]]
    """ticker, name, sector, lots, shares, cost, value, gain, weight; most valuable first."""
    sectors: list[tuple[str, float, float]]
    """(sector, value, weight), most valuable first."""
    cost: float
    value: float
    errors: list[RowError]
    """The first MAX_ERRORS."""
    error_count: int

    @property
    def gain(self) -> float | None:
        """Fraction of the cost."""
        return self.value / self.cost - 1 if self.cost else None


class _BadRow(Exception):
    """A row that cannot be used; `column` as in RowError."""

    def __init__(self, column: str | None, message: str) -> None:
        super().__init__(message)
        self.column = column


@dataclass
class PortfolioReader:
    """`feed` it bytes in pieces of any size, then `finish`.

    `known` maps every ticker to its row of Database.closes().
    """

    known: Mapping[str, Row]
    rows: int = 0
    errors: list[RowError] = field(default_factory=list)
    error_count: int = 0
    _line: int = 0
    _rest: bytearray = field(default_factory=bytearray)
    _skipping: bool = False
    _columns: dict[str, int] = field(default_factory=dict)
    _width: int = 0
    _hopeless: bool = False
    _positions: dict[str, Position] = field(default_factory=dict)

    def feed(self, data: bytes) -> None:
        """Take in the next bytes; complete lines are parsed now, the rest is kept."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            self._end_line()
            start = end + 1
        self._keep(data[start:])

    def finish(self) -> Report:
        """The last line may lack its line end; then the sums are drawn."""
        if self._rest or self._skipping:
            self._end_line()
        if not self._columns and not self._hopeless:
            self._fail(1, None, "the file is empty; the first line must name the columns")
        return self._report()

    def _keep(self, piece: bytes) -> None:
        if self._hopeless or self._skipping or not piece:
            return
        if len(self._rest) + len(piece) > MAX_LINE + 1:
            self._skipping = True
            self._rest.clear()
        else:
            self._rest += piece

    def _end_line(self) -> None:
        self._line += 1
        line, skipped = bytes(self._rest), self._skipping
        self._rest.clear()
        self._skipping = False
        if self._hopeless:
            return
        line = line.removesuffix(b"\r")
        try:
            if skipped or len(line) > MAX_LINE:
                raise _BadRow(None, f"longer than {MAX_LINE} bytes")
            self._parse(line)
        except _BadRow as bad:
            self._fail(self._line, bad.column, str(bad))
            self._hopeless = not self._columns

    def _fail(self, line: int, column: str | None, message: str) -> None:
        self.error_count += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(RowError(line, column, message))

    def _parse(self, line: bytes) -> None:
        if self._line == 1:
            self._read_header(_cells(line.removeprefix(b"\xef\xbb\xbf")))
            return
        if not line.strip():
            return
        cells = _cells(line)
        if len(cells) != self._width:
            expected = f"{self._width} fields expected, as in the header"
            raise _BadRow(None, f"{expected}, {len(cells)} found")
        ticker, shares, price = (cells[self._columns[name]].strip() for name in COLUMNS)
        self._add(ticker.upper(), ticker, _number("shares", shares), _number("price", price))

    def _read_header(self, cells: list[str]) -> None:
        names = [cell.strip().lower() for cell in cells]
        for name in COLUMNS:
            if names.count(name) != 1:
                problem = "missing" if name not in names else "there twice"
                seen = ", ".join(_quoted(n) for n in names[:8] if n) or "none"
                raise _BadRow(name, f"the column is {problem}; the header has: {seen}")
        self._columns = {name: names.index(name) for name in COLUMNS}
        self._width = len(names)

    def _add(self, ticker: str, written: str, shares: Decimal, price: Decimal) -> None:
        if ticker not in self.known:
            problem = f"no company {_quoted(written)} is listed" if written else "is empty"
            raise _BadRow("ticker", problem)
        position = self._positions.setdefault(ticker, Position(ticker))
        position.lots += 1
        position.shares += shares
        position.cost += shares * price
        self.rows += 1

    def _report(self) -> Report:
        positions = []
        for position in self._positions.values():
            row = self.known[position.ticker]
            value = float(position.shares) * row["close"]
            positions.append(
                {
                    "ticker": position.ticker,
                    "name": row["name"],
                    "sector": row["sector"],
                    "lots": position.lots,
                    "shares": float(position.shares),
                    "cost": round(float(position.cost), 2),
                    "close": row["close"],
                    "value": round(value, 2),
                    "gain": value / float(position.cost) - 1 if position.cost else None,
                }
            )
        positions.sort(key=lambda p: (-p["value"], p["ticker"]))
        total = sum(p["value"] for p in positions)
        sectors: dict[str, float] = {}
        for entry in positions:
            entry["weight"] = entry["value"] / total if total else 0.0
            sectors[entry["sector"]] = sectors.get(entry["sector"], 0.0) + entry["value"]
        shares = [(name, v, v / total if total else 0.0) for name, v in sectors.items()]
        return Report(
            rows=self.rows,
            positions=positions,
            sectors=sorted(shares, key=lambda s: -s[1]),
            cost=round(float(sum(p.cost for p in self._positions.values())), 2),
            value=round(total, 2),
            errors=self.errors,
            error_count=self.error_count,
        )


def _cells(line: bytes) -> list[str]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        wrong = line[error.start]
        raise _BadRow(None, f"byte {error.start + 1} (0x{wrong:02x}) is not UTF-8") from None
    if "\0" in text:
        raise _BadRow(None, "holds a NUL character")
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error:
        raise _BadRow(None, "a quoted field is not closed on its line") from None


def _number(column: str, text: str) -> Decimal:
    """A positive number, written plainly."""
    if not text:
        raise _BadRow(column, "is empty")
    if not _NUMBER.fullmatch(text):
        raise _BadRow(column, f"{_quoted(text)} is not a plain number like 12 or 1234.50")
    value = Decimal(text)
    if not value and column == "shares":
        raise _BadRow(column, "must be more than 0")
    return value


def _quoted(text: str) -> str:
    """User text in a message: short, and printable."""
    short = text if len(text) <= 40 else text[:39] + "…"
    return '"' + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short) + '"'
