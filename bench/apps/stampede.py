"""Bare ASGI: a page that takes 300 ms to make, and says when it was made."""

from __future__ import annotations

import asyncio
import time

from calls import counter

count = counter()

VIEW_S = 0.3
BODY = b"0123456789abcdef" * 640


async def app(scope, receive, send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    count()
    await asyncio.sleep(VIEW_S)
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(BODY)).encode()),
        (b"cache-control", b"max-age=60"),
        (b"x-made", str(time.monotonic_ns()).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
