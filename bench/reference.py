"""The right answer, without any server: an application awaited by itself, in a process of its own.

    reference.py MODULE:APP METHOD TARGET BODY_BYTES OUT

Writes the content to the file OUT and prints the status, and the least CPU seconds that one of
AWAITED took: what a page costs without any server.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from pathlib import Path

APPS = Path(__file__).resolve().parent / "apps"
AWAITED = 3


async def answer(app, method: str, target: str, body: bytes) -> tuple[int, bytes]:
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:0"), (b"content-length", str(len(body)).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 0),
        "state": {},
    }
    pending = [{"type": "http.request", "body": body, "more_body": False}]
    status, content = 0, bytearray()

    async def receive() -> dict:
        if not pending:
            await asyncio.get_running_loop().create_future()
        return pending.pop()

    async def send(message: dict) -> None:
        nonlocal status
        status = message.get("status", status)
        content.extend(message.get("body", b""))

    await app(scope, receive, send)
    return status, bytes(content)


async def main(spec: str, method: str, target: str, body_bytes: str, out: str) -> None:
    module, _, name = spec.partition(":")
    app = getattr(importlib.import_module(module), name)
    startup = getattr(app, "startup", None)
    if startup is not None:
        await startup()
    body = b"0123456789abcdef" * (int(body_bytes) // 16)
    spent = []
    for _ in range(AWAITED):
        before = time.process_time()
        status, content = await answer(app, method, target, body)
        spent.append(time.process_time() - before)
    Path(out).write_bytes(content)
    print(status, f"{min(spent):.6f}")


if __name__ == "__main__":
    sys.path.insert(0, str(APPS))
    asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
