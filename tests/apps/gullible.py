"""An application that believes everything and forgets every header but one, for
test_cache_attacks.py: each page shows the whole request and may be kept for a minute.

The path chooses more: behind `/account` or `/api/me` it is the session's page, whatever follows
(path parameters, suffixes, escapes), as frameworks with loose routing have it; `/login` sets a
cookie; `/split` puts what was asked for into a header. Requests that it cannot bear get an error
page that says nothing of caches.
"""

import asyncio
import json
import urllib.parse

count = 0


def error_for(scope, fields):
    """The errors of cache-poisoned denial of service: what an origin refuses and a cache does not."""
    if any(len(value) > 6000 for value in fields.values()):
        return 431
    if any(ord(c) < 32 and c != "\t" for value in fields.values() for c in value):
        return 400
    for name in ("x-http-method-override", "x-http-method", "x-method-override"):
        if fields.get(name, scope["method"]) != scope["method"]:
            return 405
    return 200


def headers_for(scope, status, query, who):
    path = scope["path"]
    control = query.get("cc", "max-age=60")
    headers = [(b"content-type", b"text/html"), (b"x-call", str(count).encode())]
    if control and status == 200:
        headers.append((b"cache-control", control.encode()))
    if path.startswith("/login"):
        headers.append((b"set-cookie", f"session={who}".encode()))
    if "vary" in query:
        headers.append((b"vary", query["vary"].encode()))
    if "tell" in query:
        headers.append((b"x-told", query["tell"].encode("latin-1")))
    return headers


async def app(scope, receive, send):
    global count
    if scope["type"] != "http":
        raise RuntimeError("http only")
    count += 1
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    fields = {n.decode("latin-1"): v.decode("latin-1") for n, v in scope["headers"]}
    query = dict(urllib.parse.parse_qsl(scope["query_string"].decode("latin-1")))
    who = fields.get("cookie") or fields.get("authorization") or query.get("user", "nobody")
    status = error_for(scope, fields)
    headers = headers_for(scope, status, query, who)
    if "sleep" in query:
        await asyncio.sleep(float(query["sleep"]))
    shown = {
        "who": who,
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "body": body.decode("latin-1"),
        "fields": fields,
    }
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(shown).encode()})
