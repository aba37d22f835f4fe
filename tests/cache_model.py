"""A shared cache as RFC 9111 says it, one request at a time, in as few words as that takes.

It is what zq is held against (test_cache_model.py), so it is written from the RFC and not from the
C code: lists instead of tables, no bytes, no memory, nothing at the same time. Where the RFC leaves
a choice to the cache, `Rules` and README say which one is taken. Times are in seconds; `now` is
both the wall clock and the monotonic one.
"""

import dataclasses
import re

from cache_message import (
    Response,
    dated,
    delta,
    directives,
    etags,
    first,
    lines,
    members,
    named,
    portion,
    restricts,
    seconds,
    selected,
    selecting,
    tags,
    targeted,
)

HEURISTIC = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}  # RFC 9110 15.1
UNDERSTOOD = HEURISTIC | {302, 303, 307, 400, 403, 451, 500, 502, 503, 504}  # README
CONDITIONS = {"if-none-match", "if-modified-since", "range", "if-range"}
ORIGINAL = {"if-match", "if-unmodified-since"}
ORIGIN = "http://test"
WEEK = 7 * 24 * 3600


@dataclasses.dataclass
class Rules:
    heuristic: bool = False  # --cache-heuristic
    set_cookie: bool = False  # --cache-set-cookie
    rfc_cookies: bool = False  # --cache-cookies=rfc
    directives: bool = False  # --cache-request-directives=honour
    grace: int = 0  # --cache-grace


class Stored:
    """A response, and what RFC 9111 4.2 makes of its fields."""

    def __init__(self, request, response, rules, asked, now):
        self.request, self.status, self.body = request, response.status, response.body
        special = targeted(response.fields)
        self.targeted = special is not None
        self.cc = special if self.targeted else directives(lines(response.fields, "cache-control"))
        kept = set() if self.targeted else named(self.cc)
        self.fields = [(n, v) for n, v in response.fields if n not in kept | {"age"}]
        self.tags, self.selecting = tags(response.fields), selecting(request, response)
        date = seconds(first(response.fields, "date"))
        self.date = int(now) if date is None else date
        self.lifetime = self.freshness(rules)
        self.strict = restricts(self.cc, "no-cache") or any(  # 4.2.4
            name in self.cc for name in ("must-revalidate", "proxy-revalidate", "s-maxage")
        )
        age = (members(lines(response.fields, "age")) or ["0"])[0]  # 5.1
        age = min(int(age), 2**31) if re.fullmatch("[0-9]+", age) else 0
        self.since = now
        self.initial_age = max(0, int(now) - self.date, age + now - asked)  # 4.2.3
        self.expired = False  # by a soft purge

    def freshness(self, rules):
        """4.2.1, in seconds; None: nothing says how long."""
        if restricts(self.cc, "no-cache"):
            return 0
        for name in ("s-maxage", "max-age"):
            if name in self.cc:
                return delta(self.cc, name)
        if lines(self.fields, "expires") and not self.targeted:
            return max(0, (seconds(first(self.fields, "expires")) or 0) - self.date)  # 5.3
        modified = seconds(first(self.fields, "last-modified"))
        may_guess = "public" in self.cc or self.status in HEURISTIC
        if rules.heuristic and may_guess and modified is not None and modified < self.date:
            return min((self.date - modified) // 10, WEEK)  # 4.2.2
        return None

    def age(self, now):
        return self.initial_age + now - self.since

    def fresh(self, now):
        return not self.expired and (self.lifetime or 0) > self.age(now)

    def says_how_long(self):
        limits = {"s-maxage", "max-age"} & set(self.cc)
        return bool(limits or (lines(self.fields, "expires") and not self.targeted))

    def permits(self, now, window):
        """4.2.4: may it be used stale, by whoever permits that for so long?"""
        return bool(window) and not self.strict and self.age(now) - self.lifetime <= window

    def validator(self):
        etag, modified = first(self.fields, "etag"), first(self.fields, "last-modified")
        return None if etag is None and modified is None else (etag, modified)

    def storable(self, rules, now):
        """RFC 9111 3 for a shared cache; only what can ever be of use."""
        cc, asked, status = self.cc, self.request, self.status
        shared = any(name in cc for name in ("public", "s-maxage", "must-revalidate"))
        windows = [delta(cc, name) for name in ("stale-while-revalidate", "stale-if-error")]
        return (
            not self.forbidden(rules)
            and "no-store" not in directives(lines(asked.fields, "cache-control"))  # 5.2.1.5
            and status not in (206, 304)
            and (status in UNDERSTOOD or "must-understand" not in cc)
            and (shared or not lines(asked.fields, "authorization"))  # 3.5
            and (
                shared
                or rules.rfc_cookies
                or self.targeted
                or not lines(asked.fields, "cookie")
                or "cookie" in self.selecting
            )  # README
            and self.lifetime is not None
            and (self.fresh(now) or self.validator() or any(self.permits(now, w) for w in windows))
        )

    def forbidden(self, rules):
        """By its own fields."""
        return (
            ("no-store" in self.cc and "must-understand" not in self.cc)  # 5.2.2.3, 5.2.2.5
            or restricts(self.cc, "private")
            or self.selecting is None
            or (bool(lines(self.fields, "set-cookie")) and not rules.set_cookie)
        )

    def confirmed_by(self, not_modified):
        """4.3.4: a strong tag names the same strong one, a weak one any; Last-Modified itself."""
        said, had = (lines(r.fields, "etag") for r in (not_modified, self))
        if said:
            return any(a == b and (aw or not bw) for a, aw in etags(said) for b, bw in etags(had))
        said, had = (first(r.fields, "last-modified") for r in (not_modified, self))
        return None in (said, had) or said == had

    def updated(self, not_modified):
        """3.2: its fields replaced by those of the 304, but for what describes the content."""
        fixed = {"content-length", "content-encoding", "content-range"}
        new = [(n, v) for n, v in not_modified.fields if n not in fixed]
        kept = [(n, v) for n, v in self.fields if n not in {name for name, _ in new}]
        return Response(self.status, kept + new, self.body)


def may_store(request):
    """4.3.2, 5.2.1.5"""
    says_not = "no-store" in directives(lines(request.fields, "cache-control"))
    return not says_not and not ORIGINAL & {n for n, _ in request.fields}


class Cache:
    def __init__(self, rules):
        self.rules = rules
        self.stored = []
        self.purges = []  # all that ever were, as functions of a request and tags
        self.unstorable = {}  # targets whose last answer was not storable; until when

    def purge(self, kind, soft, text):
        def matches(request, found):
            return {
                "url": text in (request.target, ORIGIN + request.target),
                "prefix": request.target.startswith(text),
                "tag": text in found,
                "all": True,
            }[kind]

        self.purges.append(matches)
        gone = [s for s in self.stored if matches(s.request, s.tags)]
        for stored in gone:
            stored.expired = True
            if not soft:
                self.stored.remove(stored)

    def select(self, request):
        """RFC 9111 4, 4.1: of those that match the most recent, by Date."""
        found = [
            s
            for s in self.stored
            if s.request.target == request.target
            and all(selected(request, n) == v for n, v in s.selecting.items())
        ]
        return max(found, key=lambda s: (s.date, self.stored.index(s)), default=None)

    def exchange(self, request, application, now):
        """What the client gets: (response, its age if it was stored before or None). `application`
        is called with the fields of the request that it gets, and returns its response, or None
        when it died."""
        if request.method not in ("GET", "HEAD"):
            before = len(self.purges)
            response = dated(application(request.fields), now)
            self.unsafe(request, response, now, purged=len(self.purges) > before)
            return response, None
        directly = lines(request.fields, "cache-control")
        asked = directives(directly) if self.rules.directives else {}
        if self.rules.directives and not directly:
            asked = dict.fromkeys(members(lines(request.fields, "pragma")))  # 5.4
        stored = self.select(request)
        if stored and self.reusable(stored, asked, now):
            got = portion(request, Response(stored.status, stored.fields, stored.body))
            age = stored.age(now)
            if not (stored.fresh(now) or self.takes_stale(stored, asked, now)):
                if self.unstorable.get(request.target, now) <= now and may_store(request):  # README
                    self.fetch(request, stored, application, now, background=True)  # RFC 5861 3
            return got, age
        if "only-if-cached" in asked:
            return Response(504, []), None
        return self.forward(request, stored, application, now)

    def takes_stale(self, stored, asked, now):
        if "max-stale" not in asked or stored.expired:
            return False
        return stored.permits(
            now, 2**31 if asked["max-stale"] is None else delta(asked, "max-stale")
        )

    def reusable(self, stored, asked, now):
        """RFC 9111 4, 5.2.1; RFC 5861 3."""
        limits = {"no-cache", "max-age", "min-fresh"} & set(asked)
        if not stored.fresh(now):
            window = delta(stored.cc, "stale-while-revalidate")
            return not limits and (
                self.takes_stale(stored, asked, now) or stored.permits(now, window)
            )
        age, most, least = stored.age(now), delta(asked, "max-age"), delta(asked, "min-fresh")
        return (
            "no-cache" not in asked
            and (most is None or age <= most)
            and (least is None or stored.lifetime - age >= least)
        )

    def forward(self, request, stored, application, now):
        known = any(s.request.target == request.target for s in self.stored)
        if (
            request.method == "HEAD"
            or not may_store(request)
            or (CONDITIONS & {n for n, _ in request.fields} and not known)
        ):
            return dated(application(request.fields), now), None  # and nothing is stored of it
        return self.fetch(request, stored, application, now)

    def fetch(self, request, stored, application, now, background=False):
        """RFC 9111 4.3: asks for the whole, by the validators of what is stored."""
        fields = [(n, v) for n, v in request.fields if n not in CONDITIONS]
        validator = stored.validator() if stored else None
        for name, value in zip(
            ("if-none-match", "if-modified-since"), validator or (), strict=False
        ):
            fields += [(name, value)] if value is not None else []
        before = len(self.purges)
        response = dated(application(fields), now)
        window = delta(stored.cc, "stale-if-error") or 0 if stored else 0
        if response is None or response.status in (500, 502, 503, 504):
            window = max(window, self.rules.grace) if response is None else window
            if stored and stored.permits(now, window):  # RFC 5861 4, RFC 9111 4.2.4
                whole = Response(stored.status, stored.fields, stored.body)
                return portion(request, whole), stored.age(now)
            if response is None:
                return None, None
        age = None
        if response.status == 304 and validator:
            if not stored.confirmed_by(response):
                self.drop(stored)
                if background:
                    return None
                return self.exchange(request, application, now)
            response = stored.updated(response)
            age = 0
        new = Stored(request, response, self.rules, now, now)
        if age is not None:
            age = new.age(now)
            if new.forbidden(self.rules):
                self.drop(stored)
        if not new.storable(self.rules, now):
            if age is None:
                self.unstorable[request.target] = now + 120
        elif not any(
            purged(request, new.tags) or (stored and purged(request, stored.tags))
            for purged in self.purges[before:]
        ):
            self.store(new)
        return portion(request, response), age

    def drop(self, stored):
        self.stored = [s for s in self.stored if s is not stored]

    def store(self, new):
        """In place of what the same requests select."""
        self.unstorable.pop(new.request.target, None)
        self.stored = [
            s
            for s in self.stored
            if s.request.target != new.request.target or new.selecting not in ({}, s.selecting)
        ]
        self.stored.append(new)

    def unsafe(self, request, response, now, purged):
        """RFC 9111 4.4"""
        if response is None or response.status >= 400:
            return
        where, content = (
            [v.removeprefix(ORIGIN) for v in lines(response.fields, name)]
            for name in ("location", "content-location")
        )
        gone = [request.target, *where, *content]
        self.stored = [s for s in self.stored if s.request.target not in gone]
        new = Stored(request, response, self.rules, now, now)
        if (
            request.method == "POST"  # RFC 9110 9.3.3
            and response.status == 200
            and content == [request.target]
            and new.says_how_long()
            and new.storable(self.rules, now)
            and not (CONDITIONS | ORIGINAL) & {n for n, _ in request.fields}
            and not purged  # README
        ):
            self.store(new)
