"""The URL map of a Starlette or FastAPI application. Private."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from zq._approutes import FOR_ONE_HOST, REST, AppRoute, UrlMap, takes_argument

_PARAMETER = re.compile(r"{([A-Za-z_]\w*)(?::([A-Za-z_]\w*))?}", re.ASCII)
_TYPES = {
    "StringConvertor": "str",
    "IntegerConvertor": "int",
    "FloatConvertor": "float(loose)",
    "UUIDConvertor": "uuid(loose)",
    "PathConvertor": "path(minlength=0)",
}


class StarletteMap(UrlMap):
    """Routes are asked in the order of the list, and nothing comes behind what is mounted."""

    def __init__(self, app, read: Callable[[Any], UrlMap]):
        """`read` makes the maps of what is mounted."""
        self.app = app
        self.read = read
        self.framework = type(app).__module__.partition(".")[0]
        super().__init__(list(self._routes(app.routes)))

    def _routes(self, routes) -> Iterator[AppRoute]:
        routing = import_module("starlette.routing")
        for route in _included(routes):
            if isinstance(route, routing.Mount):
                yield from self._mounted(route)
            elif isinstance(route, routing.Host):
                for inner in self.read(route.app).routes:
                    yield inner.under(route.host, None, FOR_ONE_HOST, "/" + REST)
                yield AppRoute(f"{route.host}/", None, fault=FOR_ONE_HOST)
            elif hasattr(route, "endpoint"):
                if hasattr(route, "methods"):  # no WebSocketRoute
                    yield AppRoute(route.path, route.endpoint, route.methods, **_pattern(route))
            else:
                yield AppRoute(f"({type(route).__name__})", None, fault="its kind is not known")

    def _mounted(self, mount) -> Iterator[AppRoute]:
        found = _pattern(mount)
        prefix = found.get("pattern")
        whole = None if prefix is None else f"{prefix}/{REST}"
        rest = AppRoute(mount.path + "/", None, **found | {"pattern": whole})
        for inner in self.read(mount._base_app).routes:
            yield inner.under(mount.path, prefix, rest.fault, str(rest.reach))
        yield rest

    def arguments(self, view, path):
        if not takes_argument(view):
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


def _pattern(route) -> dict[str, str]:
    """What AppRoute is told of its path: the pattern, or a fault."""
    if type(route).matches.__module__.partition(".")[0] not in ("starlette", "fastapi"):
        fault = f"{type(route).__name__} matches in a way of its own"
        return {"fault": fault, "reach": "/" + REST}
    module = import_module("starlette.convertors")
    types = {}
    for name, convertor in route.param_convertors.items():
        kind = type(convertor).__name__
        if getattr(module, kind, None) is not type(convertor) or kind not in _TYPES:
            return {"fault": f"`{name}` has a converter of the application's own"}
        types[name] = _TYPES[kind]
    return {"pattern": _PARAMETER.sub(lambda m: f"<{types[m[1]]}:{m[1]}>", route.path)}
