"""Bare ASGI: what a server costs when the application costs nothing."""

from __future__ import annotations

from calls import counter

count = counter()

TEXT = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]


def _ready(body: bytes) -> tuple[dict, dict]:
    length = (b"content-length", str(len(body)).encode())
    return (
        {"type": "http.response.start", "status": 200, "headers": [*TEXT, length]},
        {"type": "http.response.body", "body": body},
    )


READY = {
    "/13": _ready(b"Hello, world!"),
    "/10k": _ready(b"0123456789abcdef" * 640),
    "/1m": _ready(b"0123456789abcdef" * 65536),
}
MISSING = _ready(b"not here")
MISSING[0]["status"] = 404
OPEN_START = {"type": "http.response.start", "status": 200, "headers": TEXT}
PART = {"type": "http.response.body", "body": b"x" * 1024, "more_body": True}
LAST = {"type": "http.response.body", "body": b"", "more_body": False}


async def echo(receive, send) -> None:
    """The request's body back, whole."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*TEXT, length]})
    await send({"type": "http.response.body", "body": body})


async def stream(send) -> None:
    """100 parts of 1 KiB, each sent by itself."""
    await send(OPEN_START)
    for _ in range(100):
        await send(PART)
    await send(LAST)


async def lifespan(receive, send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def app(scope, receive, send) -> None:
    if scope["type"] != "http":
        await lifespan(receive, send)
        return
    count()
    path = scope["path"]
    ready = READY.get(path)
    if ready is not None:
        await send(ready[0])
        await send(ready[1])
    elif path == "/echo":
        await echo(receive, send)
    elif path == "/stream":
        await stream(send)
    else:
        await send(MISSING[0])
        await send(MISSING[1])
