"""Lifespan applications for tests/test_worker_bridge.py. Lines on stdout say what happened."""

import asyncio
import json


def say(text):
    print("lifespan:", text, flush=True)


async def answer(send, value):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


async def app(scope, receive, send):
    if scope["type"] == "http":
        state = scope["state"]
        state["list"].append(len(state["list"]))  # shared
        state["count"] = state.get("count", 0) + 1  # this request's own
        return await answer(send, state)
    say(f"{scope['type']} {scope['asgi']['version']} {sorted(scope)}")
    assert (await receive()) == {"type": "lifespan.startup"}
    scope["state"]["list"] = []
    await asyncio.sleep(0.01)
    await send({"type": "lifespan.startup.complete"})
    say("started")
    assert (await receive()) == {"type": "lifespan.shutdown"}
    await asyncio.sleep(0.01)
    say("stopping")
    await send({"type": "lifespan.shutdown.complete"})
    say("stopped")


def variant(run):
    async def wrapped(scope, receive, send):
        if scope["type"] == "http":
            return await answer(send, "served")
        await run(scope, receive, send)

    return wrapped


made = []


def factory(loop, coroutine, **more):
    made.append(asyncio.iscoroutine(coroutine))
    return asyncio.Task(coroutine, loop=loop, **more)


async def with_factory(scope, receive, send):
    """Makes the loop's tasks itself, as some instrumentation does."""
    if scope["type"] == "http":
        await asyncio.sleep(0)
        return await answer(send, [all(made), len(made)])
    loop = asyncio.get_running_loop()
    eager = getattr(asyncio, "eager_task_factory", None)
    await receive()
    loop.set_task_factory(eager if "eager" in scope["state"] else factory)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def with_eager_factory(scope, receive, send):
    scope["state"]["eager"] = True
    await with_factory(scope, receive, send)


@variant
async def failed(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database\ntoday"})
    raise RuntimeError("as Starlette does, which has told the traceback already")


@variant
async def raises(scope, receive, send):
    raise RuntimeError("lifespan is not for me")


@variant
async def returns(scope, receive, send):
    return


@variant
async def exits(scope, receive, send):
    raise SystemExit(9)


@variant
async def raises_later(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await asyncio.sleep(0.05)
    raise RuntimeError("the lifespan broke")


@variant
async def shutdown_failed(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "could not say goodbye"})


@variant
async def shutdown_hangs(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await asyncio.sleep(3600)


@variant
async def startup_hangs(scope, receive, send):
    say("hanging")
    await asyncio.sleep(3600)


@variant
async def wrong(scope, receive, send):
    await receive()
    try:
        await send({"type": "http.response.start"})
    except ValueError as error:
        say(error)
    await send({"type": "lifespan.startup.complete"})
    try:
        await send({"type": "lifespan.startup.complete"})
    except RuntimeError as error:
        say(error)
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
