"""A bare ASGI application for the tests: what a path does is in `ROUTES`.

`count` is the number of HTTP requests that reached Python; each response says in X-Call which of
them it answers.
"""

import asyncio
import contextvars
import json
import os
import pathlib
import urllib.parse

count = 0
call = contextvars.ContextVar("call", default=0)
closed = []  # paths whose client left, in order


async def read_body(receive):
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def respond(send, body=b"", status=200, headers=()):
    fields = [(b"x-call", str(call.get()).encode()), (b"content-type", b"text/plain"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def query(scope):
    return dict(urllib.parse.parse_qsl(scope["query_string"].decode()))


async def hello(scope, receive, send):
    await respond(send, b"Hello, world!")


async def show_scope(scope, receive, send):
    """The scope as JSON: bytes as latin-1, with the types' names beside."""

    def plain(value):
        if isinstance(value, bytes):
            return value.decode("latin-1")
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return value

    shown = {key: plain(value) for key, value in scope.items()}
    shown["types"] = {key: type(value).__name__ for key, value in scope.items()}
    await respond(send, json.dumps(shown).encode())


async def echo(scope, receive, send):
    body = await read_body(receive)
    if body is not None:
        await respond(send, body)


async def answer(scope, receive, send):
    """What the query says: status, size, body, sleep (seconds), until (a file that is to appear),
    note (a file for the number of the process), here (a Content-Location that is the target), and any h=Name:Value."""
    pairs = urllib.parse.parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
    q = dict(pairs)
    asked = dict(scope["headers"])
    if "note" in q:
        pathlib.Path(q["note"]).write_text(str(os.getpid()))
    if "sleep" in q or b"x-sleep" in asked:
        await asyncio.sleep(float(q.get("sleep") or asked[b"x-sleep"]))
    while "until" in q and not os.path.exists(q["until"]):
        await asyncio.sleep(0.01)
    headers = [
        tuple(part.strip().encode("latin-1") for part in value.split(":", 1))
        for name, value in pairs
        if name == "h"
    ]
    if "here" in q:
        headers += [(b"content-location", scope["raw_path"] + b"?" + scope["query_string"])]
    if b"x-die" in asked:
        os.abort()
    body = q["body"].encode() if "body" in q else b"x" * int(q.get("size", 0))
    await respond(send, body, int(q.get("status", 200)), headers)


turns_taken = {}


async def turns(scope, receive, send):
    """The first request for this target is answered by the first `t`, itself a query as for
    /answer, and so on; the last one stays. The answer shows what was asked."""
    target = scope["query_string"]
    texts = [v for n, v in urllib.parse.parse_qsl(target.decode()) if n == "t"]
    turn = turns_taken[target] = turns_taken.get(target, -1) + 1
    asked = dict(scope["headers"])
    shown = [(b"h", b"X-Turn:%d" % turn), (b"h", b"X-Method:" + scope["method"].encode())]
    for name in (
        *(b"if-none-match", b"if-modified-since", b"range", b"if-range"),
        *(b"cookie", b"authorization"),
    ):
        if name in asked:
            shown.append((b"h", b"X-Asked-" + name + b":" + asked[name]))
    text = texts[min(turn, len(texts) - 1)].encode() + b"&" + urllib.parse.urlencode(shown).encode()
    await answer(scope | {"query_string": text}, receive, send)


async def stream(scope, receive, send):
    """`parts` parts of `size` bytes, `gap` seconds apart; the last one not before the file `until`
    appears."""
    q = query(scope)
    n = int(q.get("parts", 3))
    headers = [(b"x-call", str(call.get()).encode())]
    if "cc" in q:
        headers.append((b"cache-control", q["cc"].encode()))
    if "etag" in q:
        headers.append((b"etag", f'"{q["etag"]}"'.encode()))
    if "length" in q:
        headers.append((b"content-length", q["length"].encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for i in range(n):
        while i == n - 1 and "until" in q and not os.path.exists(q["until"]):
            await asyncio.sleep(0.01)
        await send(
            {
                "type": "http.response.body",
                "body": bytes([97 + i % 26]) * int(q.get("size", 5)),
                "more_body": True,
            }
        )
        await asyncio.sleep(float(q.get("gap", 0)))
    await send({"type": "http.response.body"})


async def hint(scope, receive, send):
    """`n` interim responses with a field each, then /answer's response."""
    for i in range(int(query(scope).get("n", 1))):
        headers = [(b"link", b"</%d>" % i), (b"cache-tag", b"t"), (b"content-length", b"9")]
        await send({"type": "zq.http.response.interim", "status": 103, "headers": headers})
        await asyncio.sleep(0.05)
    await answer(scope, receive, send)


async def hold(scope, receive, send):
    """Waits for the client to leave, and remembers it."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            closed.append(scope["query_string"].decode())
            return


async def held(scope, receive, send):
    """The same; an interim response says that the request has come here."""
    await send({"type": "zq.http.response.interim", "status": 103, "headers": []})
    await hold(scope, receive, send)


async def show_closed(scope, receive, send):
    await respond(send, json.dumps(closed).encode())


async def fail(scope, receive, send):
    raise RuntimeError("this view fails on purpose")


async def fail_late(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    await asyncio.sleep(0.05)
    raise RuntimeError("this view fails in the middle on purpose")


async def pid(scope, receive, send):
    await respond(send, str(os.getpid()).encode())


async def calls(scope, receive, send):
    await respond(send, str(count).encode())


async def die(scope, receive, send):
    os.abort()


async def spin(scope, receive, send):
    while True:
        pass


async def spin_late(scope, receive, send):
    """A response under way whose application hangs three seconds later."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    await asyncio.sleep(3)
    while True:
        pass


ROUTES = {
    "/": hello,
    "/scope": show_scope,
    "/echo": echo,
    "/answer": answer,
    "/stream": stream,
    "/turns": turns,
    "/hint": hint,
    "/hold": hold,
    "/held": held,
    "/closed": show_closed,
    "/fail": fail,
    "/fail-late": fail_late,
    "/pid": pid,
    "/calls": calls,
    "/die": die,
    "/spin": spin,
    "/spin-late": spin_late,
}


async def app(scope, receive, send):
    global count
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    count += 1
    call.set(count)
    await ROUTES.get(scope["path"], hello)(scope, receive, send)
