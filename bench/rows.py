"""What is compared with what: the rows of the bench, their goals, and the full matrix."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

FINANCE = ("/health", "/summary/ACME", "/market", "/commodity/oil", "/earnings")
CACHES = ("zq", "limit", "nginx-cache", "varnish", "dictionary")
SERVERS = ("zq", "granian", "uvicorn", "hypercorn")


OTHER_CONNS = (1, 64, 256)
"""Connections in the full matrix, besides the row's own."""


@dataclass(frozen=True)
class Goal:
    """`metric` of `arm` over that of `base` is at least (or at most) `factor`."""

    metric: str
    """rps, cpu_us (CPU microseconds a request, user and system) or p99_us."""
    arm: str
    base: str
    factor: float
    at_least: bool = True
    cores: int = 1
    """Judged only on machines with as many."""

    def __str__(self) -> str:
        return f"{self.metric} {'≥' if self.at_least else '≤'} {self.factor:g} × {self.base}"


@dataclass(frozen=True)
class Row:
    """One comparison; each route is a case of its own."""

    name: str
    title: str
    arms: tuple[str, ...]
    """Contestants; `@spin` behind a name: while one worker spins in Python. The first is what
    the others are compared with."""
    app: str = "finance"
    routes: tuple[str, ...] = ("/health",)
    kind: str = "load"
    """load: wrk, as fast as it goes; rate: a constant rate; idle: connections that do nothing;
    growth: load for minutes, memory watched; stampede: all at once for what nobody has yet."""
    cache: str = "warm"
    """warm: no request may reach Python; cold: every one must."""
    share: str = "one"
    """The contestant's processors: one, two, half, or most."""
    conns: int = 64
    pipeline: int = 1
    close: bool = False
    method: str = "GET"
    body_bytes: int = 0
    least_s: float = 0
    """A round lasts so long, however fast the answers come."""
    total_s: float = 0
    """Each contestant is loaded for so long, where the mode's time is less (not in quick)."""
    slices: int = 1
    """A round loads each contestant in so many turns, and adds up what it saw (kind rate)."""
    rate: float = 0
    """Requests a second, for kind rate."""
    rate_of: tuple[str, float] | None = None
    """… or a share of what a contestant reaches at most, found at the start of the case."""
    spin_share: float = 0
    """Of the requests of a mix, these spin 50 ms in Python."""
    apart: bool = False
    """The front, the workers and the generator have processors of their own, where there are enough
    (kind rate); and nothing else runs on those of the front and the generator while they want them,
    where that is permitted."""
    goals: tuple[Goal, ...] = ()
    quick: tuple[str, ...] | None = None
    """Arms of `make bench-quick`; None: all, empty: the row is left out."""
    quick_routes: tuple[str, ...] | None = None
    default: bool = True
    extra: bool = False
    """Of the full matrix only: measured in few rounds."""
    suffix: str = ""
    """The variant that a contestant named by CONTESTANTS= takes here."""
    eligible: tuple[str, ...] = field(default=SERVERS)
    """Who may be added by CONTESTANTS= and takes part in the full matrix."""


def _latency(who: str, share: float) -> Row:
    return Row(
        f"latency-{round(share * 100)}-{who}",
        f"warm /health at a constant {share:.0%} of {who}'s own maximum",
        ("zq", "nginx-cache"),
        kind="rate",
        rate_of=(who, share),
        quick=() if who != "nginx-cache" or share > 0.5 else None,
        eligible=CACHES,
    )


def _raw(name: str, title: str, route: str, goals=(), **more) -> Row:
    more.setdefault("arms", ("zq", "granian"))
    return Row(
        name, title, app="raw", routes=(route,), cache="cold", share="half", goals=goals, **more
    )


def _beats(base: str, factor: float = 1.0) -> Goal:
    return Goal("rps", "zq", base, factor)


ROWS = (
    Row(
        "warm-health",
        "warm hit, /health, one I/O thread on one core",
        ("zq", "limit", "nginx-cache", "varnish", "dictionary", "nginx-return"),
        goals=(
            _beats("limit", 0.95),
            _beats("nginx-cache", 1.6),
            Goal("cpu_us", "zq", "limit", 1.15, at_least=False),
        ),
        quick=("zq", "limit", "nginx-cache", "dictionary"),
        eligible=(*CACHES, "nginx-return"),
    ),
    Row(
        "warm-market",
        "warm hit, /market (over 100 KB), one I/O thread on one core",
        ("zq", "limit", "nginx-cache"),
        routes=("/market",),
        goals=(_beats("limit", 0.95),),
        eligible=CACHES,
    ),
    Row(
        "warm-io2",
        "warm hit, /health, two I/O threads on two cores",
        ("zq", "zq-io2"),
        share="two",
        goals=(
            Goal("cpu_us", "zq-io2", "zq", 1.1, at_least=False),
            Goal("rps", "zq-io2", "zq", 1.8, cores=6),
        ),
        eligible=("zq",),
    ),
    Row(
        "warm-spin",
        "warm /health at a constant rate while one worker spins in Python; cores apart",
        ("zq@spin", "zq"),
        kind="rate",
        total_s=42,
        rate=20_000,
        share="two",
        apart=True,
        goals=(Goal("p99_us", "zq@spin", "zq", 1.2, at_least=False, cores=4),),
        eligible=("zq", "nginx-cache", "dictionary"),
    ),
    *(_latency(who, share) for who in ("zq", "nginx-cache") for share in (0.5, 0.8)),
    _raw(
        "cold-raw-13",
        "cold, raw ASGI, 13 bytes, one worker",
        "/13",
        (
            _beats("granian", 1.2),
            _beats("uvicorn", 2),
            Goal("cpu_us", "zq", "uvicorn", 1.0, at_least=False),
        ),
        arms=SERVERS,
        quick=("zq", "granian", "uvicorn"),
    ),
    _raw("cold-raw-10k", "cold, raw ASGI, 10 KB, one worker", "/10k", (_beats("granian"),)),
    _raw(
        "cold-echo-1k",
        "POST of 1 KB, echoed, one worker",
        "/echo",
        (_beats("granian"),),
        method="POST",
        body_bytes=1024,
    ),
    _raw("cold-stream", "streamed 100 × 1 KB, one worker", "/stream", (_beats("granian"),)),
    _raw(
        "cold-get-1m", "cold, raw ASGI, 1 MB, one worker", "/1m", (_beats("granian"),), total_s=21
    ),
    _raw(
        "cold-echo-1m",
        "POST of 1 MB, echoed, one worker",
        "/echo",
        (_beats("granian"),),
        method="POST",
        body_bytes=1 << 20,
    ),
    Row(
        "quart-hello",
        "Quart, hello, one worker",
        ("zq", "granian", "ceiling"),
        app="hello",
        routes=("/hello",),
        cache="cold",
        share="half",
        goals=(_beats("ceiling", 0.85), _beats("granian", 1.15)),
        eligible=(*SERVERS, "ceiling"),
    ),
    Row(
        "quart-json",
        "Quart, JSON, one worker",
        ("zq", "granian", "ceiling"),
        app="hello",
        routes=("/json",),
        cache="cold",
        share="half",
        default=False,
        quick=(),
        eligible=(*SERVERS, "ceiling"),
    ),
    Row(
        "finance-cold",
        "the finance example cold, workers = cores",
        ("zq-all", "granian-all", "uvicorn-all", "hypercorn-all"),
        routes=FINANCE,
        cache="cold",
        share="most",
        total_s=21,
        # A page takes up to 60 ms of Python, and a worker computes all that it was given in turns:
        # 64 at once are answered together after more than a second, and what is under way when a
        # round ends is a large part of it (the full matrix has them).
        conns=16,
        goals=tuple(
            Goal("rps", "zq-all", f"{peer}-all", 1.0)
            for peer in ("granian", "uvicorn", "hypercorn")
        ),
        quick=("zq-all", "granian-all"),
        quick_routes=("/health", "/summary/ACME"),
        suffix="-all",
        eligible=(*SERVERS, "nginx-cache", "varnish"),
    ),
    Row(
        "mix",
        "95 % warm /health, 5 % spinning 50 ms in Python, 200 requests a second, one worker",
        ("zq", "nginx-cache", "dictionary", "granian"),
        kind="rate",
        least_s=4,
        slices=4,
        rate=200,
        spin_share=0.05,
        share="half",
        eligible=("zq", "nginx-cache", "varnish", "dictionary", "granian", "uvicorn"),
    ),
    Row(
        "idle",
        "10,000 idle keep-alive connections",
        ("zq",),
        kind="idle",
        conns=10_000,
        eligible=("zq", "granian", "uvicorn", "nginx-cache"),
    ),
    Row(
        "stampede",
        "1,000 clients at once for one cold page that takes 300 ms",
        ("zq", "nginx-cache"),
        kind="stampede",
        least_s=1.5,
        app="stampede",
        routes=("/page",),
        share="half",
        conns=1000,
        quick=("zq",),
        eligible=("zq", "nginx-cache", "varnish"),
    ),
    Row(
        "growth",
        "ten minutes of all kinds of requests, memory watched",
        ("zq-growth",),
        kind="growth",
        app="growth",
        routes=("/kept",),
        share="half",
        conns=32,
        default=False,
        quick=(),
        eligible=("zq-growth",),
    ),
)

WARM_ALL = Row(
    "warm",
    "warm hit, one I/O thread on one core",
    CACHES,
    routes=FINANCE,
    eligible=CACHES,
    default=False,
    quick=(),
    extra=True,
)


@dataclass(frozen=True)
class Case:
    """One row on one route under one load: the contestants in it are measured in turns."""

    row: Row
    route: str

    @property
    def name(self) -> str:
        row = self.row
        parts = [row.name, self.route, f"c{row.conns}"]
        parts += [f"p{row.pipeline}"] if row.pipeline > 1 else []
        parts += ["close"] if row.close else []
        return " ".join(parts)

    @property
    def slug(self) -> str:
        return self.name.replace("/", "_").replace(" ", "")


@dataclass
class Options:
    """The command line's choices; empty means the mode's own."""

    mode: str = "default"
    only: tuple[str, ...] = ()
    contestants: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    conns: tuple[int, ...] = ()
    secs: float = 0
    rounds: int = 0


def _arms(row: Row, options: Options) -> tuple[str, ...]:
    if not options.contestants:
        if options.mode == "quick" and row.quick is not None:
            return row.quick
        if options.mode == "full" and row.kind == "load" and row.name != "warm-io2":
            new = (e + row.suffix for e in row.eligible)
            return (*row.arms, *(e for e in new if e not in row.arms))
        return row.arms
    chosen = []
    for name in options.contestants:
        own = [arm for arm in row.arms if arm == name or arm.split("@")[0].startswith(name + "-")]
        own += [arm for arm in row.arms if arm == f"{name}@spin"]
        if not own and name in row.eligible:
            own = [name + row.suffix]
        elif not own and "-" in name and name.startswith(row.eligible):
            own = [name]
        chosen += [arm for arm in own if arm not in chosen]
    return tuple(chosen)


def _loads(row: Row, options: Options) -> list[Row]:
    """The same row under each of the loads asked for."""
    if row.kind != "load":
        return [row]
    if options.conns:
        return [row if c == row.conns else replace(row, conns=c, goals=()) for c in options.conns]
    if options.mode != "full" or row.method != "GET":
        return [row]
    # The goals are for the row's own load.
    other = replace(row, goals=(), extra=True)
    loads = [row, *(replace(other, conns=c) for c in OTHER_CONNS if c != row.conns)]
    return [*loads, replace(other, pipeline=16), replace(other, close=True)]


def _selected(row: Row, options: Options) -> bool:
    if options.only:
        return any(row.name.startswith(name) for name in options.only)
    return row.default or options.mode == "full"


def cases(options: Options) -> list[Case]:
    """What to measure, in order: what only the full matrix has comes last, so that one that is cut
    short has every goal. ValueError when the options leave nothing."""
    found = []
    rows = (*ROWS, WARM_ALL) if options.mode == "full" or options.routes or options.only else ROWS
    for row in rows:
        if not _selected(row, options):
            continue
        if row is WARM_ALL and not options.routes and options.mode != "full":
            continue
        routes = row.routes
        if options.mode == "quick" and row.quick_routes:
            routes = row.quick_routes
        if options.routes:
            routes = tuple(r for r in options.routes if r in row.routes)
        row = replace(row, arms=_arms(row, options))
        if row.arms:
            found += [Case(load, route) for load in _loads(row, options) for route in routes]
    if not found:
        raise ValueError("ONLY=, CONTESTANTS= and ROUTES= leave nothing to measure")
    return sorted(found, key=lambda case: (case.row.extra, case.row.kind == "growth"))
