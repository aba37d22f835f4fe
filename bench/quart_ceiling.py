"""Quart's own ceiling: the application awaited in process, one request after the other.

    quart_ceiling.py MODULE:APP ROUTE SECONDS

Prints JSON with the calls, the seconds and the CPU seconds of `app(scope, receive, send)`, the full
ASGI way that every server goes, and of `app.handle_request(request)`, Quart's short way in. There
is no server, no socket and no parser: one Python thread that computes answers.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path

import uvloop
from quart import Request
from quart.utils import decode_headers
from werkzeug.datastructures import Headers

sys.path.insert(0, str(Path(__file__).resolve().parent / "apps"))

BATCH = 50
"""Calls between two looks at the clock."""


def http_scope(route: str) -> dict:
    """The scope of a GET, as wrk's request makes it."""
    path, _, query = route.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def through_asgi(app, route: str) -> None:
    """One request as a server makes it; an answer other than 200 raises."""
    asked = False

    async def receive() -> dict:
        nonlocal asked
        if asked:
            await asyncio.get_running_loop().create_future()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        assert message.get("status", 200) == 200

    await app(http_scope(route), receive, send)


async def through_handle_request(app, route: str) -> None:
    scope = http_scope(route)
    headers: Headers = decode_headers(scope["headers"])
    request = Request(
        "GET",
        "http",
        scope["path"],
        scope["query_string"],
        headers,
        "",
        "1.1",
        scope,
        send_push_promise=None,
    )
    request.body.set_complete()
    response = await app.handle_request(request)
    assert response.status_code == 200


async def measure(call, app, route: str, seconds: float) -> dict:
    """Calls in `seconds`, after a tenth of that to warm up."""
    for warm_up, span in ((True, seconds / 10), (False, seconds)):
        calls, start, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < span:
            for _ in range(BATCH):
                await call(app, route)
            calls += BATCH
        if not warm_up:
            return {
                "requests": calls,
                "seconds": time.perf_counter() - start,
                "cpu_s": time.process_time() - cpu,
            }
    raise AssertionError


async def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    app = getattr(importlib.import_module(module), name)
    route, seconds = sys.argv[2], float(sys.argv[3])
    await app.startup()
    result = {"asgi": await measure(through_asgi, app, route, seconds)}
    result["handle_request"] = await measure(through_handle_request, app, route, seconds)
    print(json.dumps(result))
    await app.shutdown()


uvloop.run(main())
