"""Pages to be compressed: what the query says. `status`; `size` bytes of lines, or `noise`; `type`; any
h=Name:Value; `etag`, with which If-None-Match is answered by 304. X-Call counts the calls."""

import random
import urllib.parse

count = 0


async def app(scope, receive, send):
    global count
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    count += 1
    pairs = urllib.parse.parse_qsl(scope["query_string"].decode())
    q = dict(pairs)
    asked = dict(scope["headers"])
    headers = [(b"x-call", str(count).encode())]
    headers.append((b"content-type", q.get("type", "text/html; charset=utf-8").encode()))
    headers += [
        tuple(part.strip().encode("latin-1") for part in value.split(":", 1))
        for name, value in pairs
        if name == "h"
    ]
    status = int(q.get("status", 200))
    body = make_body(int(q.get("size", 20000)), "noise" in q)
    if "etag" in q:
        headers.append((b"etag", q["etag"].encode()))
        if asked.get(b"if-none-match") == q["etag"].encode():
            status, body = 304, b""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if "parts" in q:  # its length is not known before its end
        half = len(body) // 2
        await send({"type": "http.response.body", "body": body[:half], "more_body": True})
        body = body[half:]
    await send({"type": "http.response.body", "body": body})


def make_body(size, noise):
    if noise:
        return random.Random(7).randbytes(size)
    line = b"<li class='row'>company number %d of many</li>\n"
    return b"".join(line % i for i in range(size // 40 + 1))[:size]
