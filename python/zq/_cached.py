"""Freshness, tags and Vary on a view's own return: `cached_route`. Private."""

import asyncio
import dataclasses
import datetime
import functools
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])
Seconds = int | datetime.timedelta
Tags = str | Iterable[str] | Callable[..., str | Iterable[str]]
Names = str | Iterable[str]

SERVED = "_zq" in sys.builtin_module_names  # by zq: it is built into zq-worker, and nowhere else

RULE = "__zq_rule__"  # on what cached_route returns: its Rule
WRAPPED_AS = "__zq_wrapped_as__"  # on the view that it was given: what it returned
DIRECT = "__zq_direct__"  # on a function that simple_json took

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TAGS_MAX = 512  # ZQ_TAGS_MAX, ZQ_TAG_MAX in zq/cache.h
_TAG_MAX = 1024
_SECONDS_MAX = 2**31  # RFC 9111 1.2.2: more means no more
# What says how long, or that nobody may: then there is nothing to add.
_SAYS_ENOUGH = {"max-age", "s-maxage", "no-store", "no-cache", "private"}
_SAYS_IT_ALL = {"expires", "cdn-cache-control", "zq-cache-control", "set-cookie"}


def cached_route(
    *,
    ttl: Seconds,
    stale_while_revalidate: Seconds = 0,
    stale_if_error: Seconds = 0,
    tags: Tags = (),
    vary: Names = (),
    query: Names | None = None,
    ignore_query: Names = (),
    cookies: Names | None = None,
    headers: Names = (),
    statuses: Iterable[int] = (200,),
) -> Callable[[View], View]:
    """Let zq keep what this view returns, and share it between all who ask:

        @app.get("/company/<int:id>")
        @zq.cached_route(ttl=300, stale_while_revalidate=3600, tags=lambda id: f"company:{id}")
        async def company(id): ...

    For views of Quart, Flask, Starlette, FastAPI and Django, sync and async. It stands below the
    framework's route decorator; with Quart and Flask it may stand above, too.

    - `ttl`: for so long it is replayed, in seconds (or a timedelta); after that
      `stale_while_revalidate`: for so long it is still replayed, while one call makes it anew, and
      `stale_if_error`: for so long where that call fails (RFC 5861);
    - `tags`: what `zq.purge(tag=…)` names it by: a str, several, or a function of the view's
      arguments that returns them;
    - `vary`: request fields that the view looks at, added to `Vary`;
    - `query`: the only query parameters that count, or `ignore_query`: those that do not, as globs
      (`utm_*`); `cookies`: the only cookies that count; `headers`: request fields that count. What
      these leave out is not part of the key, and the view does not see it either, on GET and HEAD;
    - `statuses`: which answers this holds for; all others get nothing.

    It is added to what the view itself returns to GET and HEAD, not to what hooks, error handlers
    or middleware answer in its place, and only where that return does not say for how long already
    (Cache-Control, Expires, a targeted field) and does not forbid it: no-store, private, Set-Cookie
    and `Vary: *` stand, also where they come to the response later, and so does what RFC 9111 3.5
    says of Authorization.

    The answer is everybody's. A check in front of the view (login_required, a permission, a session
    of its own) runs once for all of them: do not decorate what only some may see.

    Raises TypeError or ValueError for arguments that make no sense. Under any other server nothing
    but Vary is added: the rest speaks to zq alone.
    """
    rule = Rule(
        ttl=_seconds("ttl", ttl),
        stale_while_revalidate=_seconds("stale_while_revalidate", stale_while_revalidate),
        stale_if_error=_seconds("stale_if_error", stale_if_error),
        tags=tags if callable(tags) else tag_list(tags),
        vary=_tokens("vary", vary),
        query=None if query is None else _strings("query", query),
        ignore_query=_strings("ignore_query", ignore_query),
        cookies=None if cookies is None else _tokens("cookies", cookies),
        headers=tuple(name.lower() for name in _tokens("headers", headers)),
        statuses=frozenset(map(_status, several("cached_route: statuses", statuses))),
    )
    if rule.query is not None and rule.ignore_query:
        raise ValueError("cached_route: query names what counts, so ignore_query has no meaning")
    return functools.partial(_decorate, rule)


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What a cached_route was told; times in seconds, header names in lower case."""

    ttl: int
    stale_while_revalidate: int
    stale_if_error: int
    tags: tuple[str, ...] | Callable[..., str | Iterable[str]]
    vary: tuple[str, ...]
    query: tuple[str, ...] | None
    ignore_query: tuple[str, ...]
    cookies: tuple[str, ...] | None
    headers: tuple[str, ...]
    statuses: frozenset[int]

    @property
    def has_key_rule(self) -> bool:
        return bool(
            self.query is not None or self.ignore_query or self.cookies is not None or self.headers
        )

    def cache_control(self) -> str:
        """The targeted field (RFC 9213). `decorated` says that it is a default: prohibitions in
        Cache-Control count beside it."""
        parts = [f"max-age={self.ttl}"]
        if self.stale_while_revalidate:
            parts.append(f"stale-while-revalidate={self.stale_while_revalidate}")
        if self.stale_if_error:
            parts.append(f"stale-if-error={self.stale_if_error}")
        return ", ".join([*parts, "decorated"])

    def additions(
        self, method: str, status: int, fields: list[tuple[str, str]], args: Any, kwargs: Any
    ) -> dict[str, str]:
        """The fields that this response is to have in place of its own ones of that name.
        `fields` are those that it has; `args` and `kwargs` what the view was called with."""
        if method not in ("GET", "HEAD") or status not in self.statuses:
            return {}
        found: dict[str, str] = {}
        varies = _members(fields, "vary")
        wanted = [*self.vary, *self.headers]
        if wanted and "*" not in varies:
            found["Vary"] = ", ".join(_merge(varies, wanted, fold=str.lower))
        if not SERVED:
            return found
        if "*" not in varies and not _says_enough(fields):
            found["Zq-Cache-Control"] = self.cache_control()
        if self.cookies is not None:
            # The front cuts the others out where it knows the route; this view can be reached by
            # paths that it does not (escapes, a pattern that cannot be declared), with all of them.
            found["Zq-Vary"] = "Cookie"
        tags = self.tags
        tags = tag_list(tags(*args, **kwargs)) if callable(tags) else tags
        if tags:
            if not _in_quart():  # which sends its fields as UTF-8; the others as ISO-8859-1
                tags = tuple(tag.encode().decode("latin-1") for tag in tags)
            found["Cache-Tag"] = ", ".join(_merge(_members(fields, "cache-tag"), tags))
        return found


# ---- arguments ----


def _seconds(name: str, value: Seconds) -> int:
    seconds = value.total_seconds() if isinstance(value, datetime.timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"cached_route: {name} is {type(value).__name__}, not a number of seconds")
    if seconds < 0 or (isinstance(seconds, float) and not seconds.is_integer()):
        raise ValueError(f"cached_route: {name} is {value}, not a whole number of seconds")
    return min(int(seconds), _SECONDS_MAX)


def several(name: str, values: Any) -> tuple[Any, ...]:
    """A str by itself, or what is in a list or the like. `name` is the argument's, for people."""
    if isinstance(values, str):
        return (values,)
    try:
        return tuple(values)
    except TypeError:
        raise TypeError(f"{name} is {type(values).__name__}, not one or several") from None


def _strings(name: str, values: Names) -> tuple[str, ...]:
    values = several(f"cached_route: {name}", values)
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"cached_route: {name} holds {type(value).__name__}, not str")
        if not value:
            raise ValueError(f"cached_route: {name} holds an empty name")
    return values


def _tokens(name: str, values: Names) -> tuple[str, ...]:
    values = _strings(name, values)
    for value in values:
        if not TOKEN.fullmatch(value):
            raise ValueError(f"cached_route: {name} holds {value!r}, which is no name")
    return values


def is_status(value: Any) -> bool:
    """Whether it is a final status code."""
    return isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 599


def _status(value: int) -> int:
    if not is_status(value):
        raise ValueError(f"cached_route: statuses holds {value!r}, which is no final status code")
    return int(value)


def tag_list(tags: str | Iterable[str]) -> tuple[str, ...]:
    """Tags as they fit into Cache-Tag, or ValueError."""
    tags = several("cached_route: tags", tags)
    if len(tags) > _TAGS_MAX:
        raise ValueError(f"a response has {len(tags)} tags; more than {_TAGS_MAX} are not kept")
    for tag in tags:
        if not isinstance(tag, str):
            raise TypeError(f"a tag is {type(tag).__name__}, not str")
        if not tag or not tag.isprintable() or "," in tag or " " in tag:  # which would be two
            raise ValueError(f"{tag!r} is no tag: it has a comma or a blank in it, or nothing")
        if len(tag.encode()) > _TAG_MAX:
            raise ValueError(f"a tag is longer than {_TAG_MAX} bytes: {tag[:40]!r}…")
    return tags


# ---- fields ----


def _members(fields: list[tuple[str, str]], name: str) -> list[str]:
    """The members of a list field without quoted strings, over all its lines."""
    lines = [value for key, value in fields if key.lower() == name]
    return [member.strip() for line in lines for member in line.split(",") if member.strip()]


def _merge(have: Iterable[str], more: Iterable[str], fold=str) -> list[str]:
    merged = {fold(each): each for each in more}
    return list((merged | {fold(each): each for each in have}).values())


def _says_enough(fields: list[tuple[str, str]]) -> bool:
    """Whether a response says for how long, or forbids. A comma in a quoted string splits it here,
    which can only find more prohibitions."""
    if any(name.lower() in _SAYS_IT_ALL for name, _ in fields):
        return True
    directives = _members(fields, "cache-control")
    return any(each.partition("=")[0].strip().lower() in _SAYS_ENOUGH for each in directives)


# ---- the view ----


def is_async(view: Callable[..., Any]) -> bool:
    """Also what asgiref has marked so, before Python 3.12 could."""
    if inspect.iscoroutinefunction(view):
        return True
    return sys.version_info < (3, 12) and asyncio.iscoroutinefunction(view)


def name_of(view: Any) -> str:
    """`shop.views.company`, for people."""
    view = inspect.unwrap(view) if callable(view) else view
    while isinstance(view, functools.partial):
        view = view.func
    view = getattr(view, "view_class", view)  # of what its as_view() returns
    name = getattr(view, "__qualname__", None) or type(view).__qualname__
    return f"{getattr(view, '__module__', '?')}.{name}"


def _decorate(rule: Rule, view: View) -> View:
    if not callable(view) or isinstance(view, type):
        raise TypeError(
            f"cached_route: {view!r} is no view function; decorate a class's methods, or what "
            "its as_view() returns"
        )
    if hasattr(view, DIRECT):
        raise TypeError(f"cached_route: put it below simple_json, at {name_of(view)}")
    injected = _Injected(view)

    async def later(result, args, kwargs, exchange):
        return _finish(rule, view, await result, args, kwargs, exchange)

    if is_async(view):

        @functools.wraps(view)
        async def wrapped(*args, **kwargs):
            exchange = injected.take(kwargs)
            result = await view(*args, **kwargs)
            return _finish(rule, view, result, args, kwargs, exchange)

    else:

        @functools.wraps(view)
        def wrapped(*args, **kwargs):
            exchange = injected.take(kwargs)
            result = view(*args, **kwargs)
            if inspect.isawaitable(result):
                return later(result, args, kwargs, exchange)
            return _finish(rule, view, result, args, kwargs, exchange)

    if injected.signature is not None:
        wrapped.__signature__ = injected.signature
    setattr(wrapped, RULE, rule)
    try:
        setattr(view, WRAPPED_AS, wrapped)
    except AttributeError:
        pass  # a bound method, say: nobody registers it by itself
    return wrapped  # type: ignore[return-value]


class _Injected:
    """FastAPI makes the response of what a view returns, and takes fields for it from a Response
    that a parameter asks for. Its views are known by nothing; so every signature asks, once FastAPI
    is there, and whoever calls without them is another framework. `signature`: with what is asked
    for beside the view's own parameters, or None."""

    def __init__(self, view):
        self.signature = None
        self.names = {}  # "request", "response": the parameter's name
        self.added = ()
        if "fastapi" in sys.modules:
            self._ask(view)

    def _ask(self, view):
        wanted = {
            "request": importlib.import_module("starlette.requests").Request,
            "response": importlib.import_module("starlette.responses").Response,
        }
        try:
            signature = inspect.signature(view, eval_str=True)
        except Exception:  # a name that only a type checker knows
            try:
                signature = inspect.signature(view)
            except ValueError:
                return
        parameters = list(signature.parameters.values())
        for parameter in parameters:
            for role, kind in wanted.items():
                annotation = parameter.annotation
                if isinstance(annotation, type) and issubclass(annotation, kind):
                    self.names[role] = parameter.name
        self.added = tuple(f"zq_{role}" for role in wanted if role not in self.names)
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=wanted[name[3:]])
            for name in self.added
        ]
        self.names |= {name[3:]: name for name in self.added}
        last = [p for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
        first = [p for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
        self.signature = signature.replace(parameters=[*first, *more, *last])

    def take(self, kwargs):
        """(request, response), or None where nobody gave them; takes out what is ours."""
        if self.signature is None or not all(name in kwargs for name in self.names.values()):
            return None
        found = kwargs[self.names["request"]], kwargs[self.names["response"]]
        for name in self.added:
            del kwargs[name]
        return found


def _finish(rule, view, result, args, kwargs, exchange):
    """What the view returned, with the fields of its rule."""
    request, response = exchange or (None, None)
    if hasattr(result, "headers") and hasattr(result, "status_code"):
        _add(rule, _method(request, args), result, result.status_code, args, kwargs)
        return result
    if response is not None:  # FastAPI: what it makes of the result gets this one's fields
        route = request.scope.get("route")
        status = response.status_code or getattr(route, "status_code", None) or 200
        _add(rule, request.method, response, status, args, kwargs)
        return result
    module = _flask_like()
    if module is not None:
        return _finish_tuple(rule, module.request.method, result, args, kwargs)
    raise TypeError(
        f"cached_route: {name_of(view)} returned {type(result).__name__}, which has no headers, and "
        "this is no request of Quart, Flask or FastAPI (imported before the view was decorated)"
    )


def _add(rule, method, response, status, args, kwargs):
    fields = list(response.headers.items())
    if getattr(response, "cookies", None):  # Django's
        fields.append(("Set-Cookie", ""))
    for name, value in rule.additions(method, int(status), fields, args, kwargs).items():
        response.headers[name] = value


def _method(request, args):
    """Of the request that a view was called with (behind `self`), or that its framework knows."""
    for each in (request, *args[:2], getattr(_flask_like(), "request", None)):
        method = getattr(each, "method", None)
        if isinstance(method, str):
            return method
    return ""  # which gets nothing


def _flask_like():
    for name in ("quart", "flask"):
        module = sys.modules.get(name)
        if module is not None and module.has_request_context():
            return module
    return None


def _in_quart():
    return getattr(_flask_like(), "__name__", None) == "quart"


def _finish_tuple(rule, method, result, args, kwargs):
    """A body, (body, status), (body, headers) or (body, status, headers): Flask's and Quart's. The
    same, with more headers; the body may be a response."""
    body, status, headers = result, None, None
    if isinstance(result, tuple) and len(result) == 3:
        body, status, headers = result
    elif isinstance(result, tuple) and len(result) == 2:
        body, second = result
        if isinstance(second, (Mapping, list, tuple)) or hasattr(second, "items"):
            headers = second
        else:
            status = second
    if body is None or (isinstance(result, tuple) and len(result) not in (2, 3)):
        return result  # the framework says what is wrong with it
    headers = importlib.import_module("werkzeug.datastructures").Headers(headers)
    whole = list(headers.items())
    if hasattr(body, "headers"):
        whole += [(n, v) for n, v in body.headers.items() if n not in headers]
    added = rule.additions(method, _status_of(status, body), whole, args, kwargs)
    for name, value in added.items():
        headers[name] = value
    return (body, headers) if status is None else (body, status, headers)


def _status_of(status, body):
    if status is None:
        return int(getattr(body, "status_code", 200))
    return int(str(status).split(None, 1)[0]) if isinstance(status, str) else int(status)
