"""Declares routes by hand, as zq._routes would: what the C side makes of a declaration.

`app` is a plain ASGI application that says what it was asked for.
"""

import asyncio
import contextvars
import json
import os

from zq._worker import Worker

seen = contextvars.ContextVar("seen", default=None)
calls = 0


async def app(scope, receive, send):
    global calls
    if scope["type"] != "http":
        return await lifespan(receive, send)
    calls += 1
    fields = dict(scope["headers"])
    told = {
        "call": calls,
        "pid": os.getpid(),
        "query": scope["query_string"].decode(),
        "cookie": [v.decode() for n, v in scope["headers"] if n == b"cookie"],
    }
    headers = [(b"content-type", b"application/json")]
    for name in (b"x-answer", b"x-answer-2"):
        if name in fields:
            headers.append(tuple(part.strip() for part in fields[name].split(b":", 1)))
    await asyncio.sleep(float(fields.get(b"x-sleep", 0)))
    await send({"type": "http.response.start", "status": int(fields.get(b"x-status", 200)),
                "headers": headers})  # fmt: skip
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"].endswith("shutdown"):
            return


def say(what):
    return 200, [(b"content-type", b"application/json")], json.dumps(what).encode()


def echo(parameters, query, method, headers, body):
    old, _ = seen.get(), seen.set(method)
    return say({
        "parameters": parameters, "query": query.decode(), "method": method,
        "headers": [[n.decode(), v.decode()] for n, v in headers], "body": body.decode("latin-1"),
        "seen": old,
    })  # fmt: skip


async def slow(parameters, query, method, headers, body):
    task = asyncio.current_task()
    await asyncio.sleep(0.01)
    return say({"task": task is not None, "length": len(body)})


def wrong(parameters, query, method, headers, body):
    return {
        "raise": lambda: 1 // 0,
        "exit": lambda: exit(3),
        "none": lambda: None,
        "pair": lambda: (200, []),
        "text": lambda: (200, [], "text"),
        "status": lambda: (99, [], b""),
        "split": lambda: (200, [(b"a", b"b\r\nc: d")], b""),
        "length": lambda: (200, [(b"content-length", b"5")], b"x"),
        "cancel": cancelled,
        "later": later,
    }[parameters["how"]]()


def cancelled():
    raise asyncio.CancelledError


async def later():
    raise ValueError("later")


def large(parameters, query, method, headers, body):
    return 200, [], b"x" * int(parameters["n"])


CACHED, DIRECT, STATIC = range(3)
page = b"<p>" + os.urandom(8).hex().encode()


def route(
    kind, path, methods=b"GET", query=None, ignore=(), cookies=None, headers=(), payload=None
):
    lists = (
        None if query is None else list(query),
        list(ignore),
        None if cookies is None else list(cookies),
        list(headers),
    )
    return (kind, path, methods, *lists, b"declared" + path, payload)


ROUTES = [
    route(DIRECT, b"/echo/<int:id>/<name>", b"GET,POST", payload=echo),
    route(DIRECT, b"/slow", b"GET,PUT", payload=slow),
    route(DIRECT, b"/wrong/<how>", payload=wrong),
    route(DIRECT, b"/large/<int:n>", payload=large),
    route(STATIC, b"/static/page", payload=(
        200, [(b"content-type", b"text/html"), (b"date", b"then"), (b"cache-tag", b"t")], page)),
    route(STATIC, b"/static/gone", payload=(410, [], b"gone")),
    route(STATIC, b"/static/empty", payload=(204, [], b"")),
    route(STATIC, b"/static/tagged", payload=(200, [(b"etag", b'W/"own"')], b"x" * 1000000)),
    route(CACHED, b"/c/allow/<name>", query=[b"page", b"q"]),
    route(CACHED, b"/c/ignore/<name>", ignore=[b"utm_*"]),
    route(CACHED, b"/c/plain/<name>"),
    route(CACHED, b"/c/nocookies/<name>", cookies=[]),
    route(CACHED, b"/c/lang/<name>", cookies=[b"lang"]),
    route(CACHED, b"/c/header/<name>", headers=[b"x-kind"]),
]  # fmt: skip


async def declare(worker):
    worker.bridge.declare(ROUTES)


Worker._declare = declare
