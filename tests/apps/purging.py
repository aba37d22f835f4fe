"""Pages made from a value in a file, in which a test can stop them at any point; and what purges.

`/page` reads the value (the file `value` in $DATA), and answers with it. With `gate=NAME` it says
that it has come to a point by making the file NAME.<point>, and goes on when NAME.<point>.go is
there: `read`, `head`, `half`.
"""

import asyncio
import json
import os
import pathlib
import threading
import urllib.parse

import zq

data = pathlib.Path(os.environ["DATA"])


async def pass_gate(gate, point):
    if gate is None:
        return
    (data / f"{gate}.{point}").touch()
    while not (data / f"{gate}.{point}.go").exists():
        await asyncio.sleep(0.002)


async def answer(send, body, status=200, headers=()):
    fields = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def page(query, send):
    gate = query.get("gate")
    value = (data / "value").read_bytes()
    with (data / "calls").open("a") as calls:
        calls.write(".")
    await pass_gate(gate, "read")
    headers = [(b"cache-control", b"max-age=60"), (b"x-pid", str(os.getpid()).encode())]
    headers += [(name.encode(), query[name].encode()) for name in TAG_FIELDS if name in query]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if gate is not None:
        await pass_gate(gate, "head")
        await send({"type": "http.response.body", "body": value[:1], "more_body": True})
        await pass_gate(gate, "half")
        value = value[1:]
    await send({"type": "http.response.body", "body": value})


TAG_FIELDS = ("cache-tag", "surrogate-key")


def arguments(query):
    given = {k: v for k, v in query.items() if k in ("url", "prefix", "glob", "tag")}
    given |= {k: True for k in ("all", "soft") if k in query}
    if "tags" in query:
        given["tag"] = query["tags"].split(",")
    return given


async def purge(query, send):
    """`write=VALUE` first, as a view would."""
    if "write" in query:
        (data / "value").write_text(query["write"])
    try:
        await zq.purge(**arguments(query))
    except Exception as error:
        await answer(send, f"{type(error).__name__}: {error}".encode(), 500)
    else:
        await answer(send, str(os.getpid()).encode())


async def purge_later(query, send):
    """Behind a gate, and whether the client is still there or not; the result is in a file."""
    await pass_gate(query["gate"], "read")
    try:
        await zq.purge(**arguments(query))
        result = "done"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    (data / "result").write_text(result)
    (data / "result").rename(data / f"{query['gate']}.result")
    await answer(send, b"")


async def purge_elsewhere(query, send):
    """From an event loop in another thread."""
    thread = threading.Thread(target=lambda: asyncio.run(zq.purge(**arguments(query))))
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.002)
    await answer(send, b"done")


async def purge_many(query, send):
    """At the same time, some of them cancelled."""
    tasks = [asyncio.create_task(zq.purge(tag=f"t{i}")) for i in range(int(query["n"]))]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [each for each in done if isinstance(each, Exception)]
    await answer(send, json.dumps([str(each) for each in failed]).encode())


async def info(query, send):
    await answer(send, json.dumps(await zq.cache_info()).encode())


ROUTES = {
    "/purge": purge,
    "/purge-later": purge_later,
    "/purge-elsewhere": purge_elsewhere,
    "/purge-many": purge_many,
    "/info": info,
}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    query = dict(urllib.parse.parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    await ROUTES.get(scope["path"], page)(query, send)
