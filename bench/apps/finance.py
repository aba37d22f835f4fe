"""The finance example, counted, and made wholly warm or wholly cold.

BENCH_CACHE=warm   every 200 may be kept for a day, so that nothing expires inside a run
BENCH_CACHE=cold   no response may be kept, so that every request reaches its view

Two routes are added: /sleep/<ms> waits, and /spin/<ms> burns Python, holding the GIL.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from calls import counter

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "finance"))
# That folder's application module is called `app` too, as is what a server imports here.
from app import create_app  # noqa: E402

POLICY = {"warm": "public, max-age=86400", "cold": "no-store"}[os.environ["BENCH_CACHE"]]
LONGEST_MS = 60_000

count = counter()
app = create_app()
handle_request = app.handle_request


async def counted(request):
    """In place of Quart.handle_request: the one door to all views, however a server gets there."""
    count()
    response = await handle_request(request)
    # /spin and /sleep stay what they are: nobody may replay them.
    if response.status_code == 200 and not request.path.startswith(("/spin/", "/sleep/")):
        response.headers["Cache-Control"] = POLICY
        response.headers.pop("Zq-Cache-Control", None)
    return response


app.handle_request = counted


@app.get("/sleep/<int:ms>")
async def sleep(ms: int):
    await asyncio.sleep(min(ms, LONGEST_MS) / 1000)
    return "slept\n", 200, {"Cache-Control": "no-store", "Content-Type": "text/plain"}


@app.get("/spin/<int:ms>")
async def spin(ms: int):
    end = time.monotonic() + min(ms, LONGEST_MS) / 1000
    while time.monotonic() < end:
        pass
    return "spun\n", 200, {"Cache-Control": "no-store", "Content-Type": "text/plain"}
