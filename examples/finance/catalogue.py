"""The invented companies: names, tickers, sectors; and the commodities they depend on.

Pure data and one function. Everything drawn comes from the `random.Random` that is
passed in, so the same seed gives the same catalogue.
"""

from __future__ import annotations

import random
from typing import NamedTuple


class Sector(NamedTuple):
    """A branch of industry and how its companies behave."""

    name: str
    suffixes: tuple[str, ...]
    volatility: float
    """Daily standard deviation of the sector's own log return."""
    pe: float
    """Typical price/earnings ratio."""
    margin: float
    """Typical net margin, as a fraction of revenue."""
    trade: str
    """What its companies do, to end the sentence "… is a company that …"."""


class Commodity(NamedTuple):
    """A traded good, quoted in US dollars."""

    slug: str
    name: str
    unit: str
    exchange: str
    sector: str
    """The sector whose companies feel its price most."""
    start: float
    """Dollars per unit on the first day."""
    volatility: float
    """Daily standard deviation of the log return."""
    about: str


class Listing(NamedTuple):
    """A company as it stands in the catalogue, before it has prices."""

    ticker: str
    name: str
    sector: int
    """Index into SECTORS."""
    city: str
    founded: int
    employees: int
    about: str


SECTORS = (
    Sector(
        "Technology",
        ("Systems", "Software", "Semiconductor", "Networks", "Data"),
        0.009,
        31,
        0.22,
        "builds software, chips and the networks between them",
    ),
    Sector(
        "Health Care",
        ("Pharma", "Therapeutics", "Medical", "Diagnostics"),
        0.007,
        24,
        0.16,
        "develops medicines and the instruments that test for disease",
    ),
    Sector(
        "Financials",
        ("Bancorp", "Insurance", "Capital", "Trust"),
        0.007,
        12,
        0.24,
        "lends, insures and looks after other people's savings",
    ),
    Sector(
        "Industrials",
        ("Industries", "Machinery", "Aerospace", "Engineering"),
        0.006,
        19,
        0.10,
        "makes machines, engines and the parts that keep them running",
    ),
    Sector(
        "Consumer Staples",
        ("Foods", "Brewing", "Household", "Farms"),
        0.005,
        21,
        0.08,
        "fills kitchens and cupboards with things bought every week",
    ),
    Sector(
        "Consumer Discretionary",
        ("Motors", "Apparel", "Hotels", "Stores"),
        0.008,
        22,
        0.07,
        "sells what people buy when a year has gone well",
    ),
    Sector(
        "Energy",
        ("Petroleum", "Energy", "Drilling", "Pipeline"),
        0.006,
        10,
        0.11,
        "finds, moves and refines oil and gas",
    ),
    Sector(
        "Materials",
        ("Mining", "Chemicals", "Steel", "Metals"),
        0.007,
        14,
        0.09,
        "digs, smelts and mixes what other industries are made of",
    ),
    Sector(
        "Utilities",
        ("Power", "Water", "Electric", "Grid"),
        0.005,
        16,
        0.12,
        "keeps lights on and taps running under regulated prices",
    ),
    Sector(
        "Real Estate",
        ("Properties", "Realty", "Estates", "Storage"),
        0.006,
        28,
        0.26,
        "owns buildings and rents them out",
    ),
    Sector(
        "Communications",
        ("Media", "Telecom", "Broadcasting", "Studios"),
        0.007,
        18,
        0.14,
        "carries calls, films and games into homes",
    ),
)

COMMODITIES = (
    Commodity(
        "oil",
        "Crude Oil (WTI)",
        "barrel",
        "NYMEX",
        "Energy",
        74.2,
        0.019,
        "Light sweet crude for delivery at Cushing. The price most of the energy sector "
        "lives by, and most of the transport sector suffers from.",
    ),
    Commodity(
        "brent",
        "Brent Crude",
        "barrel",
        "ICE",
        "Energy",
        78.6,
        0.018,
        "North Sea crude, the reference for most oil that moves by ship.",
    ),
    Commodity(
        "natural-gas",
        "Natural Gas",
        "MMBtu",
        "NYMEX",
        "Utilities",
        2.9,
        0.033,
        "Pipeline gas at Henry Hub. The restless one: storage is scarce, winters are not.",
    ),
    Commodity(
        "gold",
        "Gold",
        "troy ounce",
        "COMEX",
        "Financials",
        1940.0,
        0.009,
        "Bought by those who trust little else. Pays no interest and asks no questions.",
    ),
    Commodity(
        "silver",
        "Silver",
        "troy ounce",
        "COMEX",
        "Technology",
        23.4,
        0.016,
        "Half jewellery, half industry: contacts, panels, film.",
    ),
    Commodity(
        "copper",
        "Copper",
        "pound",
        "COMEX",
        "Materials",
        3.85,
        0.014,
        "Wires, motors and pipes. Tends to know about a recession before the economists.",
    ),
    Commodity(
        "wheat",
        "Wheat",
        "bushel",
        "CBOT",
        "Consumer Staples",
        6.6,
        0.018,
        "Soft red winter wheat, for bread, biscuits and animal feed.",
    ),
    Commodity(
        "corn",
        "Corn",
        "bushel",
        "CBOT",
        "Consumer Staples",
        5.3,
        0.016,
        "Feed, starch and fuel. Planted in spring, worried about all summer.",
    ),
    Commodity(
        "coffee",
        "Coffee (Arabica)",
        "pound",
        "ICE",
        "Consumer Staples",
        1.6,
        0.021,
        "Washed arabica. One night of frost in Minas Gerais moves it by a tenth.",
    ),
    Commodity(
        "cotton",
        "Cotton",
        "pound",
        "ICE",
        "Consumer Discretionary",
        0.82,
        0.015,
        "Shirts, sheets and banknotes.",
    ),
)

_FIRST = (
    "Al Ash Bar Bel Bran Cal Car Con Cor Dal Dan Dor Ed El Fal Fen Gar Gren Hal Har Hol Ken "
    "Kil Lan Lin Lor Mar Mel Mor Nor Oak Pen Quar Rad Ros San Sel Stan Tal Tor Ul Ver Wal Win Yar"
).split()
_LAST = (
    "bourne bridge bury combe dale den ferry field ford gate ham haven holm hurst ley low mere "
    "mont more ridge shire side stead stone ton vale ville water wick worth"
).split()
_CITIES = (
    "Amsterdam Antwerp Bergen Bilbao Boston Calgary Chicago Cork Denver Dublin Gdansk Geneva "
    "Glasgow Hamburg Helsinki Houston Leeds Lisbon London Lyon Montreal Munich Nagoya Oslo "
    "Porto Riga Rotterdam Seattle Stockholm Tallinn Toronto Trieste Turin Utrecht Zurich"
).split()

FIRST_LISTING = Listing(
    "ACME",
    "Acme Industries",
    3,
    "Chicago",
    1947,
    41_300,
    "Acme Industries is a Chicago company that makes machines, engines and the parts that "
    "keep them running. Its catalogue has had anvils in it since 1947.",
)


def listings(count: int, rng: random.Random) -> list[Listing]:
    """`count` companies; the first is always ACME, so examples have a ticker to name."""
    roots = [first + last for first in _FIRST for last in _LAST]
    rng.shuffle(roots)
    taken = {FIRST_LISTING.ticker}
    made = [FIRST_LISTING]
    for index, root in enumerate(roots[: count - 1]):
        sector = index % len(SECTORS)
        made.append(_listing(root, sector, _ticker(root, taken), rng))
    return made


def _listing(root: str, sector: int, ticker: str, rng: random.Random) -> Listing:
    name = f"{root} {rng.choice(SECTORS[sector].suffixes)}"
    city = rng.choice(_CITIES)
    founded = rng.randint(1868, 2019)
    employees = round(10 ** rng.uniform(2.6, 5.0), -2)
    about = (
        f"{name} is a {city} company that {SECTORS[sector].trade}. Founded in {founded}, "
        f"it employs about {employees:,.0f} people."
    )
    return Listing(ticker, name, sector, city, founded, int(employees), about)


def _ticker(root: str, taken: set[str]) -> str:
    """Three or four letters of `root` that nobody has; adds them to `taken`."""
    letters = root.upper()
    consonants = letters[0] + "".join(c for c in letters[1:] if c not in "AEIOU")
    shortlist = [
        consonants[:4],
        consonants[:3],
        letters[:4],
        letters[:3],
        letters[:2] + letters[-2:],
    ]
    shortlist += [letters[0] + a + b for a in letters[1:] for b in letters[1:]]
    shortlist += [letters[:2] + a + b for a in letters for b in "QXZJVWKYBP"]
    ticker = next(t for t in shortlist if 3 <= len(t) <= 4 and t not in taken)
    taken.add(ticker)
    return ticker
