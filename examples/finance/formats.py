"""Template filters: how numbers and dates are written on pages."""

from __future__ import annotations

from datetime import date

from quart import Quart

MISSING = "–"
MINUS = "\N{MINUS SIGN}"


def money(value: float | None, digits: int = 2) -> str:
    """1234.5 -> "1,234.50"."""
    return MISSING if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def price(value: float | None) -> str:
    """Money with the digits that its size deserves: 0.8234, 74.20, 1,942.10."""
    return money(value, 4 if value is not None and abs(value) < 2 else 2)


def percent(value: float | None, digits: int = 2) -> str:
    """A change: 0.0123 -> "+1.23 %"."""
    if value is None:
        return MISSING
    text = f"{100 * value:+.{digits}f}"
    text = text.lstrip("+-") if float(text) == 0 else text.replace("-", MINUS)
    return f"{text}\N{NARROW NO-BREAK SPACE}%"


def share(value: float | None) -> str:
    """A part of a whole, without a sign: 0.25 -> "25.0 %"."""
    return MISSING if value is None else f"{100 * value:.1f}\N{NARROW NO-BREAK SPACE}%"


def compact(value: float | None) -> str:
    """1234567 -> "1.23M"."""
    if value is None:
        return MISSING
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size * 0.99995:
            return f"{value / size:.2f}{letter}".replace("-", MINUS)
    return f"{value:.0f}".replace("-", MINUS)


def trend(value: float | None) -> str:
    """The CSS class of a change."""
    if not value:
        return "flat"
    return "up" if value > 0 else "down"


def day(text: str) -> str:
    """ "2026-06-30" -> "30 Jun 2026"."""
    when = date.fromisoformat(text)
    return f"{when.day} {when:%b %Y}"


def weekday(text: str) -> str:
    """ "2026-06-30" -> "Tuesday, 30 June"."""
    when = date.fromisoformat(text)
    return f"{when:%A}, {when.day} {when:%B}"


def register(app: Quart) -> None:
    for function in (money, price, percent, share, compact, trend, day, weekday):
        app.jinja_env.filters[function.__name__] = function
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
