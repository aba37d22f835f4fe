"""The URL maps of Quart, Flask, Starlette, FastAPI and Django applications. Private.

A map lists an application's routes, says which of them answers a path, and calls a view in the way
of its framework. Read once, when a worker starts; nothing here is on the path of a request.
"""

import asyncio
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from zq._cached import RULE, WRAPPED_AS, Rule, name_of
from zq._paths import Pattern

_UNWRAP_MAX = 20  # wrappers around one application


class AppRoute:
    """`path` as the framework writes it; `pattern`, or None and the `fault` why it cannot be
    declared; `methods`, or None for any; `view`, or None; `endpoint` is the framework's key."""

    def __init__(self, path, view, methods=None, *, pattern=None, fault=None, endpoint=None):
        self.path = path
        self.view = view
        self.methods = None if methods is None else tuple(sorted(methods))
        self.pattern = pattern
        self.fault = fault
        self.endpoint = endpoint
        if fault is None:
            try:
                self.pattern = Pattern(pattern)
            except ValueError as error:
                self.pattern, self.fault = None, str(error)

    @property
    def why(self) -> str:
        return name_of(self.view) if self.view is not None else "an application of its own"

    @property
    def rule(self) -> Rule | None:
        return getattr(_handler(self.view), RULE, None)

    @property
    def answers_get(self) -> bool:
        return self.methods is None or "GET" in self.methods

    def wrapped_later(self) -> Callable[..., Any] | None:
        """What cached_route made of the view after the framework had taken it."""
        wrapped = getattr(self.view, WRAPPED_AS, None)
        return wrapped if getattr(wrapped, "__wrapped__", None) is self.view else None

    def may_match(self, path: str) -> bool:
        if self.pattern is not None:
            return self.pattern.match(path) is not None
        return path.startswith(re.split("[^A-Za-z0-9/_.-]", self.path, maxsplit=1)[0])


def _handler(view):
    """The function that answers GET: of a class-based view, its method."""
    if hasattr(view, RULE):
        return view
    for holder in (view, getattr(view, "view_class", None)):
        if isinstance(holder, type):
            return getattr(holder, "get", None) or getattr(holder, "dispatch_request", None)
    return view


class UrlMap:
    """No framework that is known: no routes, and views take nothing."""

    framework = ""

    def __init__(self, routes: list[AppRoute] = []):  # noqa: B006
        self.routes = routes

    def owner(self, path: str) -> AppRoute | None:
        """Who answers GET: in the order of the list."""
        for route in self.routes:
            if route.answers_get and route.may_match(path):
                return route
        return None

    def replace(self, route: AppRoute, view: Callable[..., Any]) -> bool:
        """Have `view` called instead; whether that can be done."""
        return False

    async def call(self, view: Callable[..., Any], path: str) -> Any:
        """A body, (body, status) or (body, status, headers)."""
        result = view(*self.arguments(view, path))
        return parts(await result if inspect.isawaitable(result) else result)

    def arguments(self, view: Callable[..., Any], path: str) -> tuple[Any, ...]:
        return ()


def read(app: Any) -> UrlMap:
    """The map of an application, also of one inside of middleware that has it as `app`."""
    for _ in range(_UNWRAP_MAX):
        if hasattr(app, "url_map") and hasattr(app, "view_functions"):
            return _FlaskLike(app)
        if _is_instance(app, "django.core.handlers.base", "BaseHandler"):
            return _Django()
        routes = getattr(app, "routes", None)
        if isinstance(routes, list) and "starlette.routing" in sys.modules:
            return _Starlette(app, routes)
        inner = getattr(app, "__self__", None) if inspect.ismethod(app) else None
        for name in ("app", "application", "wsgi_application", "asgi_app"):
            inner = inner or getattr(app, name, None)
        if inner is None or inner is app:
            break
        app = inner
    return UrlMap()


def _is_instance(value, module, name):
    module = sys.modules.get(module)
    return module is not None and isinstance(value, getattr(module, name))


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


def _takes_argument(view):
    parameters = inspect.signature(view).parameters.values()
    return any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in parameters
    )


# ---- Quart, Flask ----


class _FlaskLike(UrlMap):
    _PARAMETER = re.compile(r"<(?:([A-Za-z_]\w*)(?:\((.*?)\))?:)?([A-Za-z_]\w*)>")
    _NAMES = {"default": "str", "string": "str", "int": "int", "float": "float"}
    _NAMES |= {"uuid": "uuid", "path": "path"}

    def __init__(self, app):
        self.app = app
        self.framework = type(app).__module__.partition(".")[0]
        self.rules = {}  # id(rule): AppRoute
        super().__init__(list(self._routes()))

    def _routes(self) -> Iterator[AppRoute]:
        for rule in self.app.url_map.iter_rules():
            if getattr(rule, "websocket", False) or rule.build_only:
                continue
            view = self.app.view_functions.get(rule.endpoint)
            pattern, fault = None, None
            try:
                pattern = self._pattern(rule)
            except ValueError as error:
                fault = str(error)
            found = AppRoute(
                rule.rule, view, rule.methods, pattern=pattern, fault=fault, endpoint=rule.endpoint
            )
            self.rules[id(rule)] = found
            yield found

    def _pattern(self, rule):
        usual = import_module("werkzeug.routing.map").DEFAULT_CONVERTERS
        if rule.host or rule.subdomain:
            raise ValueError("it is for one host only")

        def converted(match):
            name, arguments = match[1] or "default", match[2]
            if name not in self._NAMES or (
                self.app.url_map.converters.get(name) is not usual.get(name)
            ):
                raise ValueError(f"the converter {name!r} of `{match[0]}` cannot be declared")
            if arguments:
                raise ValueError(f"the arguments of `{match[0]}` cannot be declared")
            return f"<{self._NAMES[name]}:{match[3]}>"

        return self._PARAMETER.sub(converted, rule.rule)

    def owner(self, path):
        try:
            rule, _ = self.app.url_map.bind("localhost").match(path, method="GET", return_rule=True)
        except Exception:  # not found, or a redirect
            return None
        return self.rules.get(id(rule))

    def replace(self, route, view):
        self.app.view_functions[route.endpoint] = view
        return True

    async def call(self, view, path):
        if inspect.iscoroutinefunction(self.app.make_response):
            async with self.app.test_request_context(path):
                result = await self.app.ensure_async(view)()
                response = await self.app.make_response(result)
                body = await response.get_data(as_text=False)
            return body, response.status_code, list(response.headers.items())
        return await asyncio.to_thread(self._call_flask, view, path)

    def _call_flask(self, view, path):
        with self.app.test_request_context(path):
            response = self.app.make_response(self.app.ensure_sync(view)())
            return response.get_data(), response.status_code, list(response.headers.items())


# ---- Starlette, FastAPI ----


class _Starlette(UrlMap):
    _PARAMETER = re.compile(r"{([A-Za-z_]\w*)(?::([A-Za-z_]\w*))?}")
    _NAMES = {
        "StringConvertor": "str",
        "IntegerConvertor": "int",
        "FloatConvertor": "float",
        "UUIDConvertor": "uuid",
        "PathConvertor": "path",
    }

    def __init__(self, app, routes):
        self.app = app
        self.framework = type(app).__module__.partition(".")[0]
        super().__init__(list(self._routes(routes, "")))

    def _routes(self, routes, prefix) -> Iterator[AppRoute]:
        routing = import_module("starlette.routing")
        for route in self._included(routes):
            path = prefix + (getattr(route, "path", None) or "")
            if isinstance(route, routing.Mount):
                inside = read(route._base_app) if hasattr(route, "_base_app") else UrlMap()
                if isinstance(inside, _Starlette):
                    yield from self._routes(route.routes, path)
                yield AppRoute(path + "/", None, pattern=self._pattern(path) + "/<path:_>")
            elif isinstance(route, routing.Host):
                yield AppRoute(f"{route.host}/", None, fault="it is for one host only")
            elif isinstance(route, routing.Route) or hasattr(route, "endpoint"):
                if hasattr(route, "methods"):  # no WebSocketRoute
                    yield self._route(route, path)

    @staticmethod
    def _included(routes):
        """Those of FastAPI's included routers, with their prefixes."""
        routing = sys.modules.get("fastapi.routing")
        contexts = getattr(routing, "iter_route_contexts", None)
        if contexts is None:
            return routes
        return [
            each._effective_route if each._route_context is not None else each.route
            for each in contexts(routes)
        ]

    def _route(self, route, path):
        fault = None
        convertors = {n: type(c).__name__ for n, c in route.param_convertors.items()}
        own = [n for n, kind in convertors.items() if kind not in self._NAMES]
        if own:
            fault = f"the converter of `{own[0]}` cannot be declared"
        return AppRoute(
            path, route.endpoint, route.methods, pattern=self._pattern(path), fault=fault
        )

    def _pattern(self, path):
        return self._PARAMETER.sub(lambda match: f"<{match[2] or 'str'}:{match[1]}>", path)

    def arguments(self, view, path):
        if not _takes_argument(view):
            return ()
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [],
            "client": None,
            "server": None,
            "state": {},
            "app": self.app,
            "router": getattr(self.app, "router", self.app),
        }
        return (import_module("starlette.requests").Request(scope),)


# ---- Django ----


class _Django(UrlMap):
    framework = "django"
    _PARAMETER = re.compile(r"<(?:([^>:]+):)?([^>]+)>")

    def __init__(self):
        patterns = import_module("django.urls").get_resolver().url_patterns
        super().__init__(list(self._routes(patterns, "/", None)))

    def _routes(self, patterns, prefix, fault) -> Iterator[AppRoute]:
        for entry in patterns:
            path, wrong = prefix + str(entry.pattern), fault or self._fault(entry.pattern)
            if hasattr(entry, "url_patterns"):
                yield from self._routes(entry.url_patterns, path, wrong)
            else:
                pattern = None if wrong else self._pattern(path)
                yield AppRoute(path, entry.callback, pattern=pattern, fault=wrong)

    @staticmethod
    def _fault(pattern):
        if not isinstance(pattern, import_module("django.urls.resolvers").RoutePattern):
            return "a regular expression, or a prefix for the language"
        converters = import_module("django.urls.converters")
        known = (
            converters.IntConverter,
            converters.UUIDConverter,
            converters.PathConverter,
            converters.StringConverter,
        )
        for name, converter in pattern.converters.items():
            if type(converter) not in known:
                return f"the converter of `{name}` cannot be declared"
        return None

    def _pattern(self, path):
        return self._PARAMETER.sub(lambda match: f"<{match[1] or 'str'}:{match[2]}>", path)

    async def call(self, view, path):
        factory = import_module("django.test").RequestFactory()
        arguments = (factory.get(path),) if _takes_argument(view) else ()
        if inspect.iscoroutinefunction(view):
            return parts(await view(*arguments))
        return await asyncio.to_thread(lambda: parts(view(*arguments)))
