"""Bare ASGI: a view of each kind that a server could keep something of."""

from __future__ import annotations

from raw import echo, lifespan, stream

KEEP = (b"cache-control", b"public, max-age=3600")
SOON_STALE = (b"cache-control", b"public, max-age=1, stale-while-revalidate=5")
NEVER = (b"cache-control", b"no-store")
VIEWS = {
    "/kept": (200, KEEP, 1024),
    "/new": (200, KEEP, 4096),
    "/stale": (200, SOON_STALE, 4096),
    "/private": (200, NEVER, 1024),
    "/error": (500, NEVER, 16),
}


async def app(scope, receive, send) -> None:
    path = scope.get("path")
    if scope["type"] != "http":
        await lifespan(receive, send)
    elif path == "/echo":
        await echo(receive, send)
    elif path == "/stream":
        await stream(send)
    else:
        status, policy, n = VIEWS[path]
        fields = [policy, (b"content-length", str(n).encode()), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": b"x" * n})
