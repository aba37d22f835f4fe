"""The URL maps of Quart, Flask, Starlette, FastAPI and Django applications. Private.

A map lists an application's routes, and calls a view in the way of its framework. Read once, when a
worker starts; nothing here is on the path of a request.
"""

import inspect
import sys
from typing import Any

from zq._approutes import REST, AppRoute, UrlMap
from zq._map_django import DjangoMap
from zq._map_flask import FlaskMap
from zq._map_starlette import StarletteMap

_UNWRAP_MAX = 20  # wrappers around one application


def read(app: Any) -> UrlMap:
    """The map of an application, also of one inside of middleware that has it as `app`."""
    for _ in range(_UNWRAP_MAX):
        if hasattr(app, "url_map") and hasattr(app, "view_functions"):
            return FlaskMap(app)
        if _is_instance(app, "django.core.handlers.base", "BaseHandler"):
            return DjangoMap()
        if _is_instance(app, "werkzeug.middleware.dispatcher", "DispatcherMiddleware"):
            return Dispatched(app)
        if _is_instance(app, "starlette.routing", "Router") or (
            _is_instance(app, "starlette.applications", "Starlette")
        ):
            return StarletteMap(app, read)
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


class Dispatched(UrlMap):
    """Applications at prefixes, and one for the rest, by werkzeug's middleware."""

    framework = "werkzeug"

    def __init__(self, app):
        self.rest = read(app.app)
        super().__init__([*self._mounted(app.mounts), *self.rest.routes])
        self.call = self.rest.call

    @staticmethod
    def _mounted(mounts):
        for prefix in sorted(mounts, key=len, reverse=True):
            for route in read(mounts[prefix]).routes:
                yield route.under(prefix, prefix, None, prefix)
            for path in (prefix, prefix + "/" + REST):
                yield AppRoute(path, None, pattern=path)
