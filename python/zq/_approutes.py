"""What a framework's URL map is made of, for zq: its routes. Private."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from zq._cached import RULE, WRAPPED_AS, Rule, name_of
from zq._paths import Pattern

REST = "<path(minlength=0):_>"  # of a pattern: whatever follows
FOR_ONE_HOST = "it is for one host only"


class AppRoute:
    """`path` as the framework writes it; `methods`, or None for any; `view`, or None; `endpoint` is
    the framework's key. `pattern` takes what the route takes, of plain paths; None if no pattern
    does, and `fault` says why. `reach` is a pattern that takes at least that much."""

    def __init__(
        self, path, view, methods=None, *, pattern=None, fault=None, reach=None, endpoint=None
    ):
        """Patterns as text. Without a `reach` all paths that begin like `path` are in it."""
        self.path = path
        self.view = view
        self.methods = None if methods is None else tuple(sorted(methods))
        self.endpoint = endpoint
        self.fault = fault
        self.map: UrlMap | None = None
        exact = None
        if pattern is not None:
            try:
                exact = Pattern(pattern)
            except ValueError as error:
                self.fault = fault or str(error)
        self.pattern = exact if self.fault is None else None
        self.reach = exact or _first_pattern(reach, _beginning(path) + REST)

    def under(self, path: str, pattern: str | None, fault: str | None, reach: str) -> "AppRoute":
        """The same route of a map that is itself at `path`: a `pattern` without its final slash, or
        a `fault`."""
        inner = None if pattern is None or self.pattern is None else pattern + str(self.pattern)
        if pattern is not None and fault is None:
            reach = pattern + str(self.reach)
        route = AppRoute(
            path + self.path,
            self.view,
            self.methods,
            pattern=inner,
            fault=fault or self.fault,
            reach=reach,
            endpoint=self.endpoint,
        )
        route.map = self.map
        return route

    @property
    def why(self) -> str:
        return name_of(self.view) if self.view is not None else "an application of its own"

    @property
    def rule(self) -> Rule | None:
        return getattr(_handler(self.view), RULE, None)

    @property
    def answers_get(self) -> bool:
        return self.methods is None or "GET" in self.methods

    @property
    def is_asked(self) -> bool:
        """For a method that a key rule holds for."""
        return self.answers_get or "HEAD" in self.methods

    def wrapped_later(self) -> Callable[..., Any] | None:
        """What cached_route made of the view after the framework had taken it."""
        wrapped = getattr(self.view, WRAPPED_AS, None)
        return wrapped if getattr(wrapped, "__wrapped__", None) is self.view else None


def _beginning(path):
    """What is literal of it, up to where it may be read in several ways."""
    match = re.match("/[A-Za-z0-9/_.-]*", path.partition("//")[0][:1000])
    return match[0] if match else "/"


def _first_pattern(*texts):
    for text in filter(None, texts):
        try:
            return Pattern(text)
        except ValueError:
            pass
    return Pattern("/" + REST)


def _handler(view):
    """The function that answers GET: of a class-based view, its method."""
    if hasattr(view, RULE):
        return view
    for holder in (view, getattr(view, "view_class", None)):
        if isinstance(holder, type):
            return getattr(holder, "get", None) or getattr(holder, "dispatch_request", None)
    return view


class UrlMap:
    """No framework that is known: no routes, and views take nothing. `routes` are in the order of
    preference: of several that match a path, and answer its method, the framework calls the first."""

    framework = ""

    def __init__(self, routes: list[AppRoute] = []):  # noqa: B006
        self.routes = routes
        for route in routes:
            route.map = route.map or self

    def replace(self, route: AppRoute, view: Callable[..., Any]) -> bool:
        """Have `view` called instead; whether that can be done."""
        return False

    async def call(self, view: Callable[..., Any], path: str) -> Any:
        """A body, (body, status) or (body, status, headers)."""
        result = view(*self.arguments(view, path))
        return parts(await result if inspect.isawaitable(result) else result)

    def arguments(self, view: Callable[..., Any], path: str) -> tuple[Any, ...]:
        return ()


def parts(result: Any) -> Any:
    """Of a framework's response its body, status and headers; all else as it is."""
    if not hasattr(result, "status_code") or not hasattr(result, "headers"):
        return result
    if callable(getattr(result, "render", None)) and hasattr(result, "is_rendered"):
        result = result.render()  # Django's TemplateResponse
    for name in ("content", "body"):
        body = getattr(result, name, None)
        if isinstance(body, (bytes, memoryview)):
            return bytes(body), result.status_code, list(result.headers.items())
    raise TypeError(f"{type(result).__name__} is no response that has its body at once")


def takes_argument(view):
    parameters = inspect.signature(view).parameters.values()
    return any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in parameters
    )
