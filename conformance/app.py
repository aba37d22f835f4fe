"""The application behind the server that is judged. It runs unchanged on any ASGI server.

It keeps what it saw of every request, by the client's address and port: the bytes of a malformed
request cannot be trusted to carry a name. A proxy in front has to pass them as
`X-Conformance-Peer: ADDRESS:PORT`.

    /conformance/take?ADDRESS:PORT   what that client's connection has brought, as JSON; forgets it
    /respond?…                       what the query says, see `respond`
    anything else                    200 and the record of this very request, as JSON

Every response but the first kind carries `X-Conformance: N`, the number of its record.
"""

import asyncio
import json
import urllib.parse

seen = {}  # peer → records in order
numbers = iter(range(1, 1 << 62))


def text(value):
    """Bytes, or what a server gives in their place."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


def peer_of(scope):
    for name, value in scope["headers"]:
        if name == b"x-conformance-peer":
            return text(value)
    return "{}:{}".format(*scope["client"][:2])


def record_of(scope):
    record = {
        "number": next(numbers),
        "method": scope["method"],
        "raw_path": text(scope.get("raw_path") or b""),
        "path": scope["path"],
        "query": text(scope["query_string"]),
        "version": scope["http_version"],
        "scheme": scope["scheme"],
        "headers": [[text(name), text(value)] for name, value in scope["headers"]],
        "body": "",
        "complete": False,
    }
    seen.setdefault(peer_of(scope), []).append(record)
    return record


async def read_body(record, receive):
    """True when the body came whole."""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return False
        record["body"] += text(message.get("body", b""))
        if not message.get("more_body"):
            record["complete"] = True
            return True


async def send_response(send, status, headers, parts):
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for part in parts[:-1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": parts[-1]})


async def send_json(send, value, headers=()):
    body = json.dumps(value).encode()
    fields = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    fields += [(b"content-length", str(len(body)).encode()), *headers]
    await send_response(send, 200, fields, [body])


async def respond(record, send):
    """status=N, sleep=SECONDS, body=TEXT or parts=TEXT|TEXT… (an event each), any h=Name:Value.
    With `unread` (which any path understands) the request's body is left unread."""
    pairs = urllib.parse.parse_qsl(
        record["query"], keep_blank_values=True, encoding="latin-1", separator="&"
    )
    query = dict(pairs)
    await asyncio.sleep(float(query.get("sleep", "0")))
    headers = [(b"x-conformance", str(record["number"]).encode())]
    if "cacheable" not in query:
        headers.append((b"cache-control", b"no-store"))
    for name, value in pairs:
        if name == "h":
            field, _, content = value.partition(":")
            headers.append((field.encode("latin-1"), content.encode("latin-1")))
    parts = query.get("parts", query.get("body", "")).split("|")
    encoded = [part.encode("latin-1") for part in parts]
    await send_response(send, int(query.get("status", "200")), headers, encoded)


async def lifespan(receive, send):
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    if scope["path"] == "/conformance/take":
        await send_json(send, seen.pop(text(scope["query_string"]), []))
        return
    record = record_of(scope)
    if "unread" not in record["query"].split("&") and not await read_body(record, receive):
        return
    if record["path"] == "/respond":
        await respond(record, send)
    else:
        await send_json(send, record, [(b"x-conformance", str(record["number"]).encode())])
