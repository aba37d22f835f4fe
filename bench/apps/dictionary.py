"""The finance example behind a dictionary of ready ASGI messages.

The least that any cache written in Python costs: no freshness, no Vary, no limit, no lock; one
look-up and two sends. Nobody should run this; a real cache can only be slower.
"""

from __future__ import annotations

from finance import POLICY
from finance import app as inner

KEEP = "no-store" not in POLICY
stored: dict[tuple[str, bytes], tuple[dict, dict]] = {}


async def app(scope, receive, send):
    if scope["type"] != "http" or scope["method"] != "GET" or not KEEP:
        await inner(scope, receive, send)
        return
    key = (scope["raw_path"], scope["query_string"])
    found = stored.get(key)
    if found is None:
        await _fetch(key, scope, receive, send)
        return
    await send(found[0])
    await send(found[1])


async def _fetch(key, scope, receive, send):
    start: dict = {}
    body = bytearray()

    async def record(message):
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))
            if not message.get("more_body") and _storable(start):
                end = {"type": "http.response.body", "body": bytes(body)}
                stored[key] = (dict(start), end)
        await send(message)

    await inner(scope, receive, record)


def _storable(start: dict) -> bool:
    return start["status"] == 200 and (b"cache-control", POLICY.encode()) in [
        (name.lower(), value) for name, value in start["headers"]
    ]
