"""Calls ASGI applications without any server."""

import asyncio

from harness import DEADLINE


class Answer:
    """`status`, `headers` (list of (lower-case name, value)), `body`."""

    def __init__(self, messages):
        self.status = messages[0]["status"]
        self.headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in messages[0]["headers"]
        ]
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    def get(self, name):
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return values[0] if values else None


async def call(app, target="/", method="GET", headers=(), body=b"", root_path=""):
    """One request, and the whole response."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": root_path + path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": root_path,
        "headers": [(b"host", b"test"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
        "extensions": {},
    }
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def receive():
        if not incoming:
            await asyncio.Event().wait()  # the client stays
        return incoming.pop()

    async def send(message):
        sent.append(message)

    async with asyncio.timeout(DEADLINE):
        await app(scope, receive, send)
    return Answer(sent)


def get(app, target="/", **options):
    return asyncio.run(call(app, target, **options))
