"""Answers as the request says it shall: in X-Plan, as JSON.

GET and HEAD: [plain, conditional, purge, ranged]: the second where the request has If-None-Match or
If-Modified-Since. An answer is [status, fields, content]; a purge, null or [kind, soft, text], comes
before it; ranged: Range counts. POST /purge: a purge. POST /seen: the fields of the requests since the last time.
"""

import json
import pathlib
import sys

import zq

sys.path.append(str(pathlib.Path(__file__).parent.parent))
from cache_message import Response, in_ranges  # noqa: E402

seen = []
DONE = [200, [], ""]


async def purge(kind, soft, text):
    await zq.purge(**{kind: True if kind == "all" else text}, soft=soft)


async def plan(scope, asked):
    if scope["path"] == "/seen":
        found = json.dumps(seen)
        seen.clear()
        return [200, [], found]
    planned = json.loads(asked["x-plan"])
    if scope["path"] == "/purge":
        await purge(*planned)
        return DONE
    plain, conditional, meanwhile, ranged = planned
    seen.append([pair for pair in asked.items() if pair[0] != "x-plan"])
    if meanwhile:
        await purge(*meanwhile)
    answer = conditional if "if-none-match" in asked or "if-modified-since" in asked else plain
    if not ranged or scope["method"] != "GET":
        return answer
    status, fields, body = answer
    got = in_ranges(asked.items(), Response(status, [(n, v) for n, v in fields], body))
    return [got.status, got.fields, got.body]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    status, fields, body = await plan(scope, asked)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
