"""A shared cache as RFC 9111 says it, one request at a time, in as few words as that takes.

It is what zq is held against (test_cache_model.py), so it is written from the RFC and not from the
C code: lists instead of tables, no bytes, no memory, nothing at the same time. Where the RFC leaves
a choice to the cache, `Rules` and README say which one is taken. Times are in seconds; `now` is
both the wall clock and the monotonic one.
"""

import copy
import dataclasses
import re

from cache_message import (
    Response,
    content_range,
    dated,
    delta,
    directives,
    etags,
    first,
    lines,
    members,
    named,
    part_of,
    portion,
    restricts,
    seconds,
    selected,
    selecting,
    strong,
    tags,
    targeted,
    wanted,
)

HEURISTIC = {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501}  # RFC 9110 15.1
UNDERSTOOD = HEURISTIC | {302, 303, 307, 400, 403, 451, 500, 502, 503, 504}  # README
CONDITIONS = {"if-none-match", "if-modified-since", "range", "if-range"}
CREDENTIALS = {"cookie", "authorization"}
ORIGINAL = {"if-match", "if-unmodified-since"}
ORIGIN = "http://test"
WEEK = 7 * 24 * 3600
RELEASED = "released"  # to ask for itself


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
        said = lines(response.fields, "cache-control")
        self.cc = special if self.targeted else directives(said)
        plain = [n for n in self.cc if self.cc[n] is None] if self.targeted else members(said)
        self.permits_by = {word.lower() for word in plain}  # what permits has no argument (5.2)
        kept = set() if self.targeted else named(self.cc)
        self.fields = [(n, v) for n, v in response.fields if n not in kept | {"age"}]
        self.tags, self.selecting = tags(response.fields), selecting(request, response)
        self.part = part_of(response)
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
        self.ends = self.lifetime  # at that age it is stale
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

    def purged(self, now):
        self.expired, self.ends = True, min(self.ends, self.age(now))

    def says_how_long(self):
        limits = {"s-maxage", "max-age"} & set(self.cc)
        return bool(limits or (lines(self.fields, "expires") and not self.targeted))

    def permits(self, now, window):
        """4.2.4: may it be used stale, by whoever permits that for so long?"""
        return bool(window) and not self.strict and self.age(now) - self.ends <= window

    def validator(self):
        etag, modified = first(self.fields, "etag"), first(self.fields, "last-modified")
        return None if etag is None and modified is None else (etag, modified)

    def storable(self, rules, now):
        """RFC 9111 3 for a shared cache; only what can ever be of use."""
        cc, asked, status = self.cc, self.request, self.status
        shared = "s-maxage" in cc or self.permits_by & {"public", "must-revalidate"}
        windows = [delta(cc, name) for name in ("stale-while-revalidate", "stale-if-error")]
        return (
            not self.forbidden(rules)
            and "no-store" not in directives(lines(asked.fields, "cache-control"))  # 5.2.1.5
            and status != 304
            and (status != 206 or (self.part and lines(asked.fields, "range")))  # 3.3
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
            ("no-store" in self.cc and "must-understand" not in self.permits_by)  # 5.2.2.3, 5.2.2.5
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

    def portion(self, request):
        return portion(request, Response(self.status, self.fields, self.body), self.part)

    def holds(self, request):
        """3.3: a part answers what lies in it."""
        place = wanted(request, self, self.part[2])
        return place is not None and self.part[0] <= place[0] < place[1] <= self.part[1]

    def rest(self, now):
        """3.3: what would make it whole is asked for from here on; None: nothing is."""
        return self.part[1] if self.part[0] == 0 and (strong(self) or self.fresh(now)) else None

    def belongs_with(self, response, part):
        """RFC 9110 15.3.7.3"""
        (start, end, length), (first_byte, behind, of) = self.part, part or (0, 0, -1)
        touch = first_byte <= end and start <= behind and of == length
        return touch and strong(self) is not None and strong(self) == strong(response)

    def with_part(self, response):
        """3.4: both together, as a response; the fields are those of the newer where it has them."""
        parts = sorted([(self.part, self.body), (part_of(response), response.body)])
        (start, middle, length), body = parts[0]
        (at, end, _), more = parts[1]
        made = self.updated(response)
        made.fields = [(n, v) for n, v in made.fields if n != "content-range"]
        made.body = body + more[middle - at :] if end > middle else body
        end = max(middle, end)
        made.status = 200 if (start, end) == (0, length) else 206
        made.fields += [content_range(start, end, length)] if made.status == 206 else []
        return made


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
        self.unsure = set()  # targets of which it may be forgotten: there was a purge meanwhile
        self.waiting = None  # another request, which comes while the application is asked
        self.joined = None  # what it gets of that: a response, or RELEASED; None: it does not wait

    def purge(self, kind, soft, text, now):
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
            stored.purged(now)
            if not soft:
                self.stored.remove(stored)

    def select(self, request, asked, now):
        """RFC 9111 4, 4.1: of those that match the most recent, by Date. A part only where it answers;
        if it does not, the most recent one of them comes second."""
        found = [
            s
            for s in self.stored
            if s.request.target == request.target
            and all(selected(request, n) == v for n, v in s.selecting.items())
        ]
        unfit = []
        for s in sorted(found, key=lambda s: (s.date, self.stored.index(s)), reverse=True):
            if s.part and not (s.fresh(now) and self.reusable(s, asked, now) and s.holds(request)):
                unfit.append(s)
            else:
                return s, None
        return None, unfit[0] if unfit else None

    def exchange(self, request, application, now):
        """What the client gets: (response, its age if it was stored before or None). `application`
        is called with the fields of the request that it gets, and returns its response, or None
        when it died."""
        if request.method not in ("GET", "HEAD"):
            before = len(self.purges)
            response = dated(application(request.fields), now)
            self.unsafe(request, response, now, purged=len(self.purges) > before)
            return response, None
        asked = self.asked(request)
        stored, part = self.select(request, asked, now)
        if stored and self.reusable(stored, asked, now):
            got, age = stored.portion(request), stored.age(now)
            if not (stored.fresh(now) or self.takes_stale(stored, asked, now)):
                if self.unstorable.get(request.target, now) <= now and may_store(request):  # README
                    self.fetch(
                        request, stored, None, application, now, background=True
                    )  # RFC 5861 3
            return got, age
        if "only-if-cached" in asked:
            return Response(504, []), None
        return self.forward(request, stored, part, application, now)

    def asked(self, request):
        directly = lines(request.fields, "cache-control")
        if not self.rules.directives:
            return {}
        if not directly:
            return dict.fromkeys(members(lines(request.fields, "pragma")))  # 5.4
        return directives(directly)

    def takes_stale(self, stored, asked, now):
        if "max-stale" not in asked or stored.expired:
            return False
        return stored.permits(
            now, 2**31 if asked["max-stale"] is None else delta(asked, "max-stale")
        )

    def reusable(self, stored, asked, now):
        """RFC 9111 4, 5.2.1; RFC 5861 3."""
        age, most, least = stored.age(now), delta(asked, "max-age"), delta(asked, "min-fresh")
        if "no-cache" in asked or (most is not None and age > most):
            return False
        if not stored.fresh(now):
            window = delta(stored.cc, "stale-while-revalidate")
            return least is None and (
                self.takes_stale(stored, asked, now)
                or (most is None and stored.permits(now, window))
            )
        return least is None or stored.lifetime - age >= least

    def forward(self, request, stored, part, application, now):
        names = {n for n, _ in request.fields}
        known = any(s.request.target == request.target and not s.part for s in self.stored)
        if request.method == "HEAD" or not may_store(request):
            return dated(application(request.fields), now), None  # and nothing is stored of it
        if CONDITIONS & names and not known:
            before = len(self.purges)
            response = dated(application(request.fields), now)
            if response and response.status == 206:
                self.store_part(request, response, self.purges[before:], now)
            return response, None
        return self.fetch(request, stored, part, application, now)

    def store_part(self, request, response, purges, now):
        """3.4: with the most recent that the same requests select, if they are of the same bytes."""
        new = Stored(request, response, self.rules, now, now)
        if not new.storable(self.rules, now) or any(p(request, new.tags) for p in purges):
            return
        older = [s for s in self.stored if s.part and self.replaces(new, s)]
        older = max(older, key=lambda s: (s.date, self.stored.index(s)), default=None)
        if older and older.belongs_with(new, new.part):
            both = older.with_part(Response(206, new.fields, new.body))
            new = copy.copy(new)
            new.status, new.fields, new.body = both.status, both.fields, both.body
            new.part, new.tags = part_of(both), tags(both.fields)
        self.store(new)

    def fetch(self, request, stored, part, application, now, background=False):
        """RFC 9111 4.3: asks for the whole, by the validators of what is stored; 3.3: or for what a
        part lacks."""
        if background and not CREDENTIALS & {n for n, _ in stored.request.fields}:  # README
            kept = [(n, v) for n, v in request.fields if n not in CREDENTIALS]
            request = dataclasses.replace(request, fields=kept)
        fields = [(n, v) for n, v in request.fields if n not in CONDITIONS]
        validator = stored.validator() if stored else None
        for name, value in zip(
            ("if-none-match", "if-modified-since"), validator or (), strict=False
        ):
            fields += [(name, value)] if value is not None else []
        rest = part.rest(now) if part and not stored else None
        if rest:
            fields.append(("range", f"bytes={rest}-"))
            fields += [("if-range", strong(part))] if strong(part) else []
        base = stored or (part if rest else None)
        before = len(self.purges)
        other = self.waiting if not background and self.joins(request, now) else None
        self.waiting, self.joined = None, RELEASED if other else self.joined
        response = dated(application(fields), now)
        window = delta(stored.cc, "stale-if-error") or 0 if stored else 0
        if response is None or response.status in (500, 502, 503, 504):
            window = max(window, self.rules.grace) if response is None else window
            if stored and stored.permits(now, window):  # RFC 5861 4, RFC 9111 4.2.4
                self.share(stored, other)
                return stored.portion(request), stored.age(now)
            if response is None:
                self.joined = None if other else self.joined
                return None, None
        age = None
        if rest and response.status in (206, 304, 416):
            got = part_of(response)
            if (
                not got
                or got[:1] + got[2:] != part.part[1:]
                or got[1] != got[2]
                or not part.belongs_with(response, got)
            ):
                self.drop(part)
                return self.exchange(request, application, now)
            response = part.with_part(response)
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
        if new.storable(self.rules, now) and new.fresh(now):
            self.share(new, other)
        if not new.storable(self.rules, now):
            if age is None:
                self.unstorable[request.target] = now + 120
                self.unsure |= {request.target} if self.purges[before:] else set()
        elif not any(
            purged(request, new.tags) or (base and purged(request, base.tags))
            for purged in self.purges[before:]
        ):
            self.store(new)
        return portion(request, response), age

    def joins(self, leader, now):
        """README: does who waits bet that the answer will be his, too?"""
        other = self.waiting
        if other is None or not may_store(other):
            return False
        asked = self.asked(other)
        stored, _ = self.select(other, asked, now)
        variants = [s for s in self.stored if s.request.target == other.target]
        newest = max(variants, key=lambda s: (s.date, self.stored.index(s)), default=None)
        credentials = lines(other.fields, "authorization") or (
            lines(other.fields, "cookie") and not self.rules.rfc_cookies
        )
        return (
            not (stored and self.reusable(stored, asked, now))
            and not (newest and newest.lifetime <= newest.initial_age)
            and (newest or not credentials)
            and self.unstorable.get(other.target, now) <= now
            and not {"no-cache", "only-if-cached"} & set(asked)  # 5.2.1.7
            and all(
                selected(leader, n) == selected(other, n)
                for n in (newest.selecting if newest else ())
            )
        )

    def share(self, response, other):
        if other and all(selected(other, n) == v for n, v in response.selecting.items()):
            self.joined = response.portion(other)

    def drop(self, stored):
        self.stored = [s for s in self.stored if s is not stored]

    def store(self, new):
        """In place of what the same requests select."""
        self.unstorable.pop(new.request.target, None)
        self.stored = [s for s in self.stored if not self.replaces(new, s)]
        self.stored.append(new)

    def replaces(self, new, s):
        return s.request.target == new.request.target and new.selecting in ({}, s.selecting)

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
