"""What may happen to a cache, for hypothesis to choose from; and playing it by a cache and by the
model (cache_model.py) at once.

Times are in units, which each test makes as long as it likes.
"""

import copy
import dataclasses
import zlib
from email.utils import formatdate

import hypothesis.strategies as st

from cache_message import Request, Response, in_ranges, lines
from cache_model import RELEASED, Cache, Rules


@dataclasses.dataclass(frozen=True)
class Lasts:
    """A lifetime or an age."""

    n: int

    def text(self, now, unit, slack):
        return str(self.n * unit)


@dataclasses.dataclass(frozen=True)
class Window:
    """How far beyond or below that. Where the clock is not exact, never the difference of any two
    of the other times."""

    n: int

    def text(self, now, unit, slack):
        return str(self.n * unit + slack * 3 // 10)


@dataclasses.dataclass(frozen=True)
class Date:
    """From now."""

    n: int

    def text(self, now, unit, slack):
        return formatdate(int(now) + self.n * unit - slack, usegmt=True)


def maybe(name, *values, of=4):
    """The field with one of the values, in one of `of` messages."""
    absent = [[]] * (len(values) * (of - 1))
    return st.sampled_from(absent + [[(name, value)] for value in values])


def weighted(*choices):
    """Strategies, each with its weight."""
    return st.sampled_from([s for s, weight in choices for _ in range(weight)]).flatmap(
        lambda chosen: chosen
    )


def fields(*strategies):
    return st.tuples(*strategies).map(lambda found: [field for part in found for field in part])


def listed(name, usual, more, separators=(", ", ",", " , ,", "\n")):
    """The field with one of the usual members and, at times, others, in one line or more."""

    def in_lines(members, separator):
        members = [m if isinstance(m, tuple) else (m,) for m in members if m]
        if separator == "\n":
            return [(name, member) for member in members]
        pieces = [piece for member in members for piece in (separator, *member)][1:]
        return [(name, tuple(pieces))] if pieces else []

    others = weighted((st.just([]), 3), (st.lists(st.sampled_from(more), max_size=2), 1))
    return st.builds(
        lambda first, rest, separator, swap: in_lines(
            [*rest, first] if swap else [first, *rest], separator
        ),
        st.sampled_from(usual),
        others,
        st.sampled_from(separators),
        st.booleans(),
    )


COUNTS = (0, 1, 2, 3, 5)
LIFETIMES = [("max-age=", Lasts(n)) for n in COUNTS]
WINDOWS = [
    (f"stale-{name}=", Window(n)) for name in ("while-revalidate", "if-error") for n in (0, 2, 9)
]
SHARED = [("s-maxage=", Lasts(n)) for n in COUNTS]
WORDS = ["public", "must-revalidate", "proxy-revalidate", "must-understand", "no-store", "private"]
WORDS += ["no-cache", "other", 'other="a, no-store"', 'No-Cache="x-kept"', 'private="x-kept, y"']
WORDS += ["must-revalidate=1", 'must-understand="x"', "no-store=1", 'public=""', "private=x-kept"]
WORDS += ["max-age", "s-maxage=x", "MAX-AGE=99999999999", 'max-age="2"', "max-age=-1"]
TARGETED_WORDS = [
    "public",
    "must-revalidate",
    "no-store",
    "private",
    "no-cache",
    "other",
    "no store",
]
RANGES = ["0-4", "5-", "2-4", "-3", "7-", "0-", "3-6", "10-", "1-2,4-"]
ETAGS = ['"a"', '"b"', 'W/"a"']

response_fields = fields(
    listed("cache-control", [*LIFETIMES, *LIFETIMES, *WINDOWS, *SHARED, ""], LIFETIMES + WINDOWS + WORDS),
    weighted(
        (st.just([]), 8),
        (listed("zq-cache-control", LIFETIMES, WINDOWS + TARGETED_WORDS, (", ", ",")), 1),
        (listed("cdn-cache-control", LIFETIMES, TARGETED_WORDS, (", ", ",", ",,")), 1),
    ),
    maybe("etag", *ETAGS, of=2),
    maybe("last-modified", Date(-40), Date(-80), of=2),
    maybe("expires", Date(-1), Date(1), Date(3), "0", "soon"),
    maybe("date", Date(-3), Date(-1), Date(1), "today"),
    maybe("age", *((Lasts(n), rest) for n in COUNTS for rest in ("", ", 9")), "x", of=6),
    maybe("vary", "x-a", "X-A", "x-a, x-b", "cookie", "x-b", "x-a", "x-a, *"),
    maybe("set-cookie", "s=1", of=12),
    maybe("cache-tag", "t", "t, u", "u"),
    maybe("x-kept", "1"),
    maybe("content-language", "en", of=8),
)  # fmt: skip
plain = st.builds(
    lambda status, found: Response(status, found, "" if status == 204 else "0123456789"),
    st.sampled_from([200] * 20 + [203, 204, 299, 302, 404, 418, 500, 501, 503]),
    response_fields,
)
not_modified = st.builds(Response, st.just(304), weighted((st.just([]), 1), (response_fields, 2)))

ranges = fields(
    st.sampled_from([("range", f"bytes={r}") for r in RANGES]).map(lambda field: [field]),
    maybe("if-range", '"a"', 'W/"a"'),
)
request_fields = fields(
    maybe("x-a", "1", "2", "1, 2", " 1 ,2", "", of=2),
    maybe("x-b", "1", "2", of=2),
    maybe("cookie", "u=1", "u=2", of=6),
    maybe("authorization", "x", of=12),
    maybe(
        "cache-control",
        *("no-cache", "no-store", "only-if-cached", "max-stale"),
        *((name, Window(n)) for name in ("max-age=", "min-fresh=", "max-stale=") for n in (0, 1, 3)),
        of=5,
    ),
    maybe("pragma", "no-cache", "x", of=12),
    maybe("if-none-match", '"a"', 'W/"b"', '"z", "a"', "*", '"z"', of=8),
    maybe("if-modified-since", Date(-40), Date(-90), Date(9), "x", of=12),
    weighted((st.just([]), 3), (ranges, 1)),
    maybe("if-match", '"a"', of=30),
)  # fmt: skip
target = st.sampled_from(["/a"] * 6 + ["/b"])


@dataclasses.dataclass
class Purge:
    kind: str
    soft: bool
    text: str


@dataclasses.dataclass
class Wait:
    n: int


@dataclasses.dataclass
class Ask:
    """With what the application answers, without conditions and with them; meanwhile there may be
    a purge. `ranged`: it knows Range. `other`: a request for the same that comes while the
    application works."""

    request: Request
    plain: Response | None
    conditional: Response | None
    meanwhile: Purge | None
    ranged: bool = False
    other: Request | None = None


purges = st.builds(
    lambda named, soft: Purge(named[0], soft, named[1]),
    st.sampled_from(
        [("url", "http://test/a"), ("url", "/b"), ("prefix", "/a"), ("tag", "t"), ("all", "")]
    ),
    st.booleans(),
)
gets = st.builds(Request, st.sampled_from(["GET"] * 9 + ["HEAD"]), target, request_fields)
lost = st.none()  # the worker dies
asks = st.builds(
    Ask,
    gets,
    weighted((plain, 15), (lost, 1)),
    weighted((not_modified, 8), (plain, 7), (lost, 1)),
    weighted((st.none(), 15), (purges, 1)),
    st.booleans(),
    weighted((st.none(), 1), (gets, 1)),
)
unsafe = st.builds(
    lambda method, target, status, named: Ask(
        Request(method, target, []), Response(status, named), None, None
    ),
    st.sampled_from(["POST", "DELETE"]),
    target,
    st.sampled_from([200, 201, 303, 404, 500]),
    maybe("location", "/a", "http://test/b", "http://elsewhere/a", of=2),
)
posts = st.builds(
    lambda target, asked, response, where, meanwhile: Ask(
        Request("POST", target, asked),
        dataclasses.replace(response, fields=response.fields + where),
        None,
        meanwhile,
    ),
    target,
    fields(
        maybe("x-a", "1", "2", of=2),
        maybe("cookie", "u=1", of=6),
        maybe("authorization", "x", of=12),
        maybe("cache-control", "no-store", "no-cache", of=12),
        maybe("range", "bytes=2-4", of=12),
        maybe("if-match", '"a"', of=12),
    ),
    plain,
    weighted(
        (st.just([("content-location", "/a")]), 4),
        (st.just([("content-location", "http://test/b")]), 1),
        (st.just([("content-location", "http://elsewhere/a")]), 1),
        (st.just([("content-location", "/a"), ("content-location", "/b")]), 1),
    ),
    weighted((st.none(), 7), (purges, 1)),
)
parts = st.builds(
    Ask,
    st.builds(
        Request,
        st.just("GET"),
        st.just("/c"),
        fields(weighted((st.just([]), 1), (ranges, 4)), maybe("x-a", "1", "2")),
    ),
    st.builds(
        Response,
        st.sampled_from([200] * 9 + [500]),
        fields(
            st.just([("cache-control", ("max-age=", Lasts(3)))]),
            weighted(
                (maybe("etag", '"a"', '"a"', '"a"', '"b"', 'W/"a"', of=1), 3),
                (maybe("last-modified", Date(-40), Date(-80), of=1), 1),
                (st.just([]), 1),
            ),
            maybe("vary", "x-a", "x-b"),
            maybe("cache-tag", "t", "u"),
            maybe("x-kept", "1", "2"),
        ),
        st.just("content"),
    ),
    weighted((not_modified, 1), (plain, 1)),
    weighted((st.none(), 7), (purges, 1)),
    weighted((st.just(True), 6), (st.just(False), 1)),
)
others = (
    (st.builds(Wait, st.sampled_from(COUNTS)), 5),
    (purges, 1),
    (unsafe, 1),
    (posts, 2),
    (parts, 5),
)
# Made stale, and used while nothing better comes.
lasting = st.builds(
    lambda lifetime, window, more: Response(
        200, [("cache-control", (*lifetime, ", ", *window, more)), ("cache-tag", "t")], "content"
    ),
    st.sampled_from([("max-age=", Lasts(n)) for n in (1, 3, 9, 9)]),
    st.sampled_from([window for window in WINDOWS if window[1].n > 0]),
    st.sampled_from([""] * 5 + [", must-revalidate"]),
)
hardly = weighted((lasting, 1), (lost, 1), (st.just(Response(500, [])), 2))
gone_stale = weighted(
    (st.builds(Ask, st.just(Request("GET", "/d", [])), hardly, hardly, st.none()), 4),
    (st.sampled_from([Purge("url", True, "/d"), Purge("tag", True, "t")]), 2),
    (st.builds(Wait, st.sampled_from(COUNTS)), 2),
)
steps = weighted(
    (st.lists(weighted((asks, 12), *others), min_size=4, max_size=14), 4),
    (st.lists(gone_stale, min_size=4, max_size=14), 1),
)
yes_or_no = st.booleans()
all_rules = st.builds(Rules, yes_or_no, yes_or_no, yes_or_no, yes_or_no, st.sampled_from([0, 0, 2]))


# ---- playing it ----


class Application:
    """Answers what is asked, and remembers what that was."""

    def __init__(self, ask, during):
        self.ask, self.during = ask, during
        self.seen = []

    def __call__(self, fields):
        self.seen.append(sorted((n, v) for n, v in fields))
        response = self.ask.plain
        if any(n in ("if-none-match", "if-modified-since") for n, _ in fields):
            response = self.ask.conditional
        if self.ask.meanwhile:
            self.during(self.ask.meanwhile)
        return in_ranges(fields, response) if self.ask.ranged else response


def content_of(fields, serial):
    """As different as its validators say."""
    seed = [*lines(fields, "etag"), *lines(fields, "last-modified"), serial][0]
    return "".join(chr(97 + zlib.crc32(f"{seed} {i}".encode()) % 26) for i in range(10))


def rendered(message, now, unit, slack, **extra):
    def text(value):
        pieces = value if isinstance(value, tuple) else (value,)
        return "".join(p if isinstance(p, str) else p.text(now, unit, slack) for p in pieces)

    found = [(name, text(value).strip(" ")) for name, value in message.fields]
    return dataclasses.replace(message, fields=found + list(extra.items()))


def comparable(response, ignored):
    """What of a response must be the same: all but what frames it and Age."""
    if response is None:
        return None
    if response.status == 504 and not response.fields:
        return 504
    kept = sorted((n, v) for n, v in response.fields if n not in FRAMING and n not in ignored)
    return response.status, kept, response.body


FRAMING = {"server", "age", "content-length", "cache-status", "zq-cache-control", "cache-tag"}


class Play:
    """A sequence, by the model and by `cache`; `ignored` fields are not compared."""

    def __init__(self, rules, cache, unit, slack=0, ignored=()):
        self.model, self.cache, self.ignored = Cache(rules), cache, ignored
        self.unit, self.slack = unit, slack
        self.serial = 0

    def rendered(self, message, now):
        if message is None:
            return None
        extra = {}
        if isinstance(message, Response):
            self.serial += 1
            extra = {"x-serial": str(self.serial)}
        found = rendered(message, now, self.unit, self.slack, **extra)
        if extra and message.body:
            found.body = content_of(found.fields, self.serial)
        return found

    def step(self, step):
        if isinstance(step, Wait):
            self.cache.wait(step.n * self.unit)
        elif isinstance(step, Purge):
            self.model.purge(step.kind, step.soft, step.text, self.cache.now())
            self.cache.purge(step.kind, step.soft, step.text)
        else:
            self.exchange(step, self.cache.now())

    def exchange(self, ask, now):
        messages = (self.rendered(m, now) for m in (ask.request, ask.plain, ask.conditional))
        other = self.rendered(ask.other, now)
        if ask.request.target in self.model.unsure:
            other = None
        if other:
            other.target = ask.request.target
        ask = Ask(*messages, ask.meanwhile, ask.ranged, other)
        if ask.request.method == "HEAD":
            ask = self.head_or_get(ask, now)
        application = Application(ask, lambda p: self.model.purge(p.kind, p.soft, p.text, now))
        self.model.waiting, self.model.joined = ask.other, None
        expected, age = self.model.exchange(ask.request, application, now)
        got, got_age, seen, joined = self.cache.exchange(ask)
        assert self.shown(joined) == self.shown(self.model.joined), ask
        assert comparable(got, self.ignored) == comparable(expected, self.ignored), ask
        assert seen == application.seen, ask
        if age is not None:
            assert self.cache.same_age(age, got_age), (age, got_age, ask)

    def shown(self, joined):
        return joined if joined == RELEASED else comparable(joined, self.ignored)

    def head_or_get(self, ask, now):
        """HEAD where it is answered from the store."""
        trial = Application(ask, lambda purge: None)
        copy.deepcopy(self.model).exchange(ask.request, trial, now)
        if not trial.seen:
            return ask
        return dataclasses.replace(ask, request=dataclasses.replace(ask.request, method="GET"))
