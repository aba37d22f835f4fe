"""What an application declares to the front: its decorated views, functions that are called without
it, and static responses. Private.

`survey` finds them all, also what cannot be declared, and why; `declare` makes of it what the worker
hands to its bridge.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from zq._approutes import AppRoute, UrlMap
from zq._cached import Rule, name_of
from zq._direct import direct_routes
from zq._static import RouteError, static_routes
from zq._urlmaps import read

KINDS = ("cached", "direct", "static")  # in the order of ZQ_ROUTE_KINDS in zq/route.h
_ROUTES_MAX = 4096  # ZQ_WIRE_ROUTES_MAX


class Route(NamedTuple):
    """One declaration.

    `kind` is one of KINDS; `path` a pattern (zq._paths); `methods` are upper case, and GET answers
    HEAD. The key rule: `query`, the parameters that count, None for all, and then `ignore_query`,
    globs of those that do not; `cookies` that count, None for all; `headers` that select as Vary
    does. `why` is for people. `payload`: of direct a callable, see zq._direct.DirectRoute; of
    static (status, [(name, value)], body) in bytes; of cached None.
    """

    kind: str
    path: str
    methods: tuple[str, ...]
    query: tuple[str, ...] | None
    ignore_query: tuple[str, ...]
    cookies: tuple[str, ...] | None
    headers: tuple[str, ...]
    why: str
    payload: Any

    def as_tuple(self) -> tuple[Any, ...]:
        """As the bridge takes it: text as bytes, lists as lists."""
        return (
            KINDS.index(self.kind),
            self.path.encode(),
            ",".join(self.methods).encode(),
            None if self.query is None else _bytes(self.query),
            _bytes(self.ignore_query),
            None if self.cookies is None else _bytes(self.cookies),
            _bytes(self.headers),
            self.why.encode("utf-8", "backslashreplace"),
            self.payload,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A route of the application. `kind` is 'app' for what is not declared; `why` then says why.
    `source` is what it was found as."""

    kind: str
    path: str
    methods: tuple[str, ...]
    rule: Rule | None
    why: str
    source: Any = None


class Survey:
    """All routes of an application, in the order: direct, static, then its URL map's. RouteError
    where they contradict each other. `unread`: why there are none of a URL map, or None; `broken`
    if that is a surprise."""

    def __init__(self, app: Any):
        self.unread: str | None = None
        self.broken = False
        try:
            self.map = read(app)
        except Exception as error:  # a version of the framework that keeps its routes elsewhere
            self.map = UrlMap()
            self.broken = True
            self.unread = f"its URL map cannot be read ({type(error).__name__}: {error})"
        if not self.map.framework and self.unread is None:
            self.unread = "it is of no framework whose URL map can be read"
        self._put_later_ones_in()
        self.found = [
            *(Found("direct", str(r.pattern), r.methods, r.rule, r.why, r) for r in direct_routes),
            *(Found("static", str(r.pattern), ("GET",), None, r.why, r) for r in static_routes),
        ]
        _refuse_conflicts(self.found)
        shapes = {each.source.pattern.shape: each.kind for each in self.found}
        why = {route: self._why_not(route, shapes) for route in self.map.routes}
        self._refuse_intruders(why)
        self.found += [_found(route, why[route]) for route in self.map.routes]

    def _put_later_ones_in(self) -> None:
        """cached_route above the framework's decorator: what it made is what should be called."""
        views = {id(route.view) for route in self.map.routes}
        for route in self.map.routes:
            wrapped = route.wrapped_later()
            if wrapped is None or id(wrapped) in views:
                continue  # the bare view was meant, as another route has the decorated one
            if not route.map.replace(route, wrapped):
                raise RouteError(
                    f"cached_route stands above the route decorator of {name_of(route.view)}, which "
                    f"{route.map.framework} has taken already: put it below"
                )
            route.view = wrapped

    def _why_not(self, route: AppRoute, shapes: dict[str, str]) -> str | None:
        """Why a route is not declared, or None if it is."""
        if route.rule is None:
            return "not decorated"
        if route.pattern is None:
            return f"pattern cannot be declared: {route.fault}"
        if not route.answers_get:
            return "decorated, but does not answer GET"
        if route.pattern.shape in shapes:
            return f"a {shapes[route.pattern.shape]} route has the same pattern"
        shapes[route.pattern.shape] = "cached"
        return None

    def _refuse_intruders(self, why: dict[AppRoute, str | None]) -> None:
        """A key rule takes parameters and cookies out of a request, which is for its own view alone.
        So it is refused where another route may get what its pattern takes, and the front would not
        prefer that one, too. Repeated, since the front does not know of what is refused."""
        ruled = [r for r in self.map.routes if why[r] is None and r.rule.has_key_rule]
        intruders = {route: list(self._intruders(route)) for route in ruled}
        found = True
        while found:
            found = False
            for route in ruled:
                for other in intruders[route] if why[route] is None else []:
                    if why[other] is None and other.pattern.rank < route.pattern.rank:
                        continue
                    would = "would" if other.pattern else "could"
                    why[route] = f"its key rule {would} hold for {other.path}, too"
                    found = True
                    break

    def _intruders(self, route: AppRoute) -> Iterator[AppRoute]:
        """Those that the framework asks before a route, for paths that its pattern takes."""
        for other in self.map.routes:
            if other is route:
                return
            if other.is_asked and other.rule != route.rule and other.reach.overlaps(route.pattern):
                yield other


def _found(route: AppRoute, why: str | None) -> Found:
    methods = tuple(m for m in route.methods or ("*",) if m != "HEAD" or route.methods == (m,))
    if why is not None:
        return Found("app", route.path, methods, None, why, route)
    return Found("cached", str(route.pattern), ("GET",), route.rule, route.why, route)


def _refuse_conflicts(found: list[Found]) -> None:
    """Two of our own for one path and method: nobody could say which is meant."""
    taken: dict[tuple[str, str], Found] = {}
    for each in found:
        for method in each.methods:
            other = taken.setdefault((each.source.pattern.shape, method), each)
            if other is not each:
                raise RouteError(
                    f"{method} {each.path} is declared twice: by {other.why} and by {each.why}"
                )


def survey(app: Any) -> Survey:
    """Reads the application's URL map, and the routes that modules of this process declared."""
    return Survey(app)


async def declare(app: Any, warn: Callable[[str], Any] = lambda sentence: None) -> list[Route]:
    """The routes to declare, static ones rendered. Called once the application has started.
    RouteError if one of them cannot be served; `warn` is told what is missing."""
    found = survey(app)
    if found.broken:
        warn(f"no decorated view is declared: {found.unread}")
    declared = [each for each in found.found if each.kind != "app"]
    if len(declared) > _ROUTES_MAX:
        raise RouteError(f"{len(declared)} routes are declared; more than {_ROUTES_MAX} cannot be")
    return [_route(each, await _payload(each, found.map)) for each in declared]


async def _payload(found: Found, url_map: UrlMap) -> Any:
    if found.kind == "static":
        return await found.source.render(url_map.call)
    return found.source if found.kind == "direct" else None


def _route(found: Found, payload: Callable[..., Any] | Any) -> Route:
    rule = found.rule
    return Route(
        found.kind,
        found.path,
        found.methods,
        rule.query if rule else None,
        rule.ignore_query if rule else (),
        rule.cookies if rule else None,
        rule.headers if rule else (),
        found.why,
        payload,
    )


def _bytes(texts: tuple[str, ...]) -> list[bytes]:
    return [text.encode() for text in texts]
