"""simple_json and static routes under other ASGI servers: `asgi`. Private."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from zq._cached import SERVED
from zq._direct import direct_routes
from zq._paths import Pattern, best
from zq._routes import declare
from zq._static import Response

App = Callable[..., Awaitable[Any]]


def asgi(app: App) -> App:
    """An application that also answers what `zq.simple_json` and `zq.static_route` declared:

        app = zq.asgi(app)

    zq itself answers those before the application is asked, and there `app` is returned as it is.
    Under another server they are served in Python; static responses are made at the lifespan
    startup, or with the first request where the server has none. `cached_route` above the route
    decorators of Quart and Flask takes effect here as it does under zq.
    """
    return app if SERVED else Asgi(app)


class Asgi:
    """See `asgi`."""

    def __init__(self, app: App):
        self.app = app
        self._prepared = False
        self._lock = asyncio.Lock()
        self._static: dict[Pattern, Response] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._preparing(send))
            return
        if scope["type"] == "http":
            await self._prepare()
            if await self._answer(scope, receive, send):
                return
        await self.app(scope, receive, send)

    def _preparing(self, send):
        async def wrapped(message):
            if message["type"] == "lifespan.startup.complete":
                await self._prepare()
            await send(message)

        return wrapped

    async def _prepare(self):
        if self._prepared:
            return
        async with self._lock:
            if not self._prepared:
                for route in await declare(self.app):
                    if route.kind == "static":
                        self._static[Pattern(route.path)] = route.payload
                self._prepared = True

    async def _answer(self, scope, receive, send):
        path = (
            (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
        )
        root_path = scope.get("root_path", "")
        if root_path and path.startswith(root_path + "/"):
            path = path[len(root_path) :]
        method = scope["method"]
        found = self._find(path, method)
        if found is None:
            return False
        target, values = found
        if isinstance(target, tuple):
            status, fields, body = target
            if _not_modified(scope["headers"], fields):
                status, body = 304, b""
                fields = [f for f in fields if not f[0].startswith(b"content-")]
        else:
            content = await _content(receive) if target.body is not None else b""
            answer = target(values, scope["query_string"], method, scope["headers"], content)
            status, fields, body = await answer if inspect.isawaitable(answer) else answer
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        return True

    def _find(self, path, method):
        """The response or the function for a path, and its parameters."""
        targets = {}
        if method in ("GET", "HEAD"):
            targets |= self._static
        for route in direct_routes:
            if method in route.methods or (method == "HEAD" and "GET" in route.methods):
                targets[route.pattern] = route
        found = best(targets, path)
        return None if found is None else (targets[found[0]], found[1])


def _not_modified(headers, fields):
    """RFC 9110 13.1.2, weak comparison."""
    ours = dict(fields)[b"etag"].removeprefix(b"W/")
    given = b",".join(value for name, value in headers if name.lower() == b"if-none-match")
    tags = [tag.strip().removeprefix(b"W/") for tag in given.split(b",")]
    return b"*" in tags or ours in tags


async def _content(receive):
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError("the client left before its request was complete")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
