#!/usr/bin/env python3
"""The same origin over HTTP/1.1, for the caches that want one: conformance/cache/origin_http.py PORT

Less than a server needs, and nothing that a server adds: the fields are those of the script and
Date, in its order, an origin that is gone closes the connection, and 1xx are sent.
"""

from __future__ import annotations

import asyncio
import email.utils
import http
import pathlib
import sys

if __package__ in (None, ""):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))

from conformance.cache import origin


def head(status: int, fields: list[tuple[bytes, bytes]]) -> bytes:
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}".encode()]
    lines += [name + b": " + value for name, value in fields]
    return b"\r\n".join([*lines, b"", b""])


class Exchange:
    """One request, as ASGI sees it."""

    def __init__(self, writer: asyncio.StreamWriter, body: bytes):
        self.writer, self.body = writer, body

    async def receive(self) -> dict:
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body}

    async def send(self, message: dict) -> None:
        if message["type"] == origin.EXTENSION:
            self.writer.write(head(message["status"], message["headers"]))
        elif message["type"] == "http.response.start":
            fields = list(message["headers"])
            if not any(name == b"date" for name, _ in fields):
                fields.append((b"date", email.utils.formatdate(usegmt=True).encode()))
            self.writer.write(head(message["status"], fields))
        else:
            self.writer.write(message["body"])
        await self.writer.drain()


async def chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readline()).strip():
        pass
    return body


async def read_request(reader: asyncio.StreamReader) -> tuple[dict, bytes]:
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
    method, target, _ = lines[0].split(b" ", 2)
    pairs = [line.split(b":", 1) for line in lines[1:]]
    fields = [(name.lower(), value.strip()) for name, value in pairs]
    values = dict(fields)
    path, _, query = target.partition(b"?")
    if b"chunked" in values.get(b"transfer-encoding", b""):
        body = await chunks(reader)
    else:
        body = await reader.readexactly(int(values.get(b"content-length", 0)))
    scope = {"type": "http", "method": method.decode(), "path": path.decode("latin-1")}
    scope |= {"query_string": query, "headers": fields, "extensions": {origin.EXTENSION: {}}}
    return scope, body


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            scope, body = await read_request(reader)
            exchange = Exchange(writer, body)
            await origin.app(scope, exchange.receive, exchange.send)
    except (origin.Gone, asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
