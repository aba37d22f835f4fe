"""A raw ASGI application for tests/test_worker_bridge.py: one function a path.

What a handler sees after its response is kept in NOTES, and told by /notes.
"""

import asyncio
import collections.abc
import contextvars
import json
import sys

import zq

NOTES = {}
variable = contextvars.ContextVar("variable", default="unset")


def start(status=200, headers=(), **more):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


def interim(status=103, headers=((b"link", b"</a>"),)):
    return {"type": "zq.http.response.interim", "status": status, "headers": list(headers)}


def hint(*links):
    return {"type": "http.response.early_hint", "links": links}


async def answer(send, value, status=200):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    await send(start(status, [(b"content-length", b"%d" % len(data))]))
    await send(body(data))


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError("no lifespan here")
    name = scope["path"].strip("/").partition("/")[0] or "index"
    await globals()["on_" + name](scope, receive, send)


async def read_all(receive):
    data = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return data, message
        data += message["body"]
        if not message["more_body"]:
            return data, message


def describe(value):
    """JSON that tells types apart."""
    if isinstance(value, dict):
        return {"dict": {k: describe(v) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [describe(v) for v in value]}
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if value is None or type(value) in (str, int, bool):
        return {type(value).__name__: value}
    return {"other": repr(type(value))}


# ---- the scope ----


async def on_scope(scope, receive, send):
    await answer(send, describe(scope))


async def on_mutate(scope, receive, send):
    """Whatever an application does to its scope, the next request's is whole."""
    scope["asgi"].clear()
    scope["extensions"]["x"] = 1
    scope["state"]["mine"] = 1
    scope["headers"].clear()
    scope["type"] = "changed"
    scope.clear()
    await answer(send, {})


async def on_task(scope, receive, send):
    task = asyncio.current_task()
    await answer(
        send,
        {
            "task": isinstance(task, asyncio.Task),
            "in_all": task in asyncio.all_tasks(),
            "loop": task.get_loop() is asyncio.get_running_loop(),
            "coroutine": asyncio.iscoroutine(task.get_coro()),
            "running": task.get_coro().cr_running,
            "repr": repr(task),
        },
    )


async def on_context(scope, receive, send):
    """Sets a variable, before and after a wait; nobody else may see it."""
    seen = [variable.get()]
    value = scope["query_string"].decode()
    variable.set(value)
    await asyncio.sleep(0.02)
    seen.append(variable.get())
    await answer(send, seen)


# ---- responses ----


async def on_index(scope, receive, send):
    await answer(send, b"hello")


async def on_interim(scope, receive, send):
    await send({"type": "zq.http.response.interim", "status": 102})
    await send(interim(headers=[(b"link", b"</a>")]))
    await send(hint(b"</b>", b"</c>"))
    for _ in range(13):
        await send(interim(199, [(b"content-length", b"7")]))
    try:
        await send(interim())
    except ValueError as error:
        NOTES["interim"] = ["ValueError", str(error)]
    await answer(send, b"hello")


async def on_parts(scope, receive, send):
    """Quart's habit: start, parts, and an empty end, without waiting in between."""
    await send(start(headers=[(b"X-Mixed", b"Case")]))
    await send(body(b"one ", True))
    await send(body(bytearray(b"two "), True))
    await send(body(memoryview(b"three"), True))
    await send({"type": "http.response.body"})


async def on_late(scope, receive, send):
    """The same, but in a later turn of the loop."""
    await asyncio.sleep(0)
    await on_parts(scope, receive, send)


async def on_stream(scope, receive, send):
    await send(start())
    await asyncio.sleep(0.05)
    for i in range(3):
        await send(body(b"part %d\n" % i, True))
        await asyncio.sleep(0.02)
    await send(body())


async def on_bursts(scope, receive, send):
    """Several parts a turn of the loop, also after the head has left."""
    await send(start())
    for _ in range(2):
        await asyncio.sleep(0.02)
        for letter in b"a", b"b", b"c":
            await send(body(letter, True))
    await send(body(b"d" * 70000))


async def on_head_only(scope, receive, send):
    """A head, and then nothing for a while: the client must see it."""
    await send(start(200, [(b"x", b"y")]))
    await NOTES.setdefault("gate", asyncio.Event()).wait()
    await send(body(b"opened"))


async def on_gate(scope, receive, send):
    NOTES.setdefault("gate", asyncio.Event()).set()
    await answer(send, {})


async def on_big(scope, receive, send):
    size = int(scope["query_string"])
    await send(start())
    await send(body(bytes(range(256)) * (size // 256)))
    NOTES["big"] = "sent"


async def on_endless(scope, receive, send):
    """Counts what send() took; the client's pace decides."""
    NOTES["endless"] = 0
    await send(start())
    try:
        while True:
            await send(body(b"x" * 50000, True))
            NOTES["endless"] += 50000
    except zq.ClientDisconnected as error:
        NOTES["endless_error"] = [isinstance(error, OSError), str(error)]
        raise


async def on_generator(scope, receive, send):
    """Headers from a generator of lists."""
    await send(
        {
            "type": "http.response.start",
            "status": 201,
            "headers": ([n, v] for n, v in [(b"a", b"1"), (b"b", b"2")]),
        }
    )
    await send(body(b"x"))


async def on_no_headers(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "trailers": True})
    await send(body())
    await send({"type": "http.response.trailers", "headers": []})


async def on_after_end(scope, receive, send):
    await answer(send, b"done")
    await send(body(b"more"))
    await send(start(500))
    await send({"type": "nonsense"})
    NOTES["after_end"] = [(await receive())["type"], (await receive())["type"]]


async def on_background(scope, receive, send):
    await answer(send, b"done")
    await asyncio.sleep(0.1)
    NOTES["background"] = "finished"


async def on_slow(scope, receive, send):
    await asyncio.sleep(float(scope["query_string"] or b"0.3"))
    await answer(send, b"slow")


async def on_forever(scope, receive, send):
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        NOTES["forever"] = "cancelled"
        raise


async def on_two_senders(scope, receive, send):
    """Large parts from two tasks arrive whole and in the order in which they were sent."""
    await send(start())
    first = asyncio.create_task(send(body(b"a" * 600_000, True)))
    second = asyncio.create_task(send(body(b"b" * 600_000, True)))
    await asyncio.gather(first, second)
    await send(body(b"c"))


async def on_cancelled_send(scope, receive, send):
    """What a cancelled send() had accepted still leaves, whole and before anything else."""
    await send(start())
    task = asyncio.create_task(send(body(b"a" * 600_000, True)))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    NOTES["cancelled_send"] = task.cancelled()
    await send(body(b"b"))


# ---- request bodies ----


async def on_echo(scope, receive, send):
    data, _ = await read_all(receive)
    await answer(send, data)


async def on_messages(scope, receive, send):
    seen = []
    while not seen or seen[-1][2]:
        message = await receive()
        seen.append([message["type"], len(message["body"]), message["more_body"]])
    await answer(send, seen)


async def on_upload(scope, receive, send):
    """Takes a part each time it is told to."""
    NOTES["steps"] = asyncio.Semaphore(0)
    size = 0
    while True:
        await NOTES["steps"].acquire()
        message = await receive()
        size += len(message["body"])
        NOTES["size"] = size
        if not message["more_body"]:
            break
    await answer(send, {"size": size})


async def on_step(scope, receive, send):
    for _ in range(int(scope["query_string"] or b"1")):
        NOTES["steps"].release()
    await answer(send, {})


async def on_ignore_body(scope, receive, send):
    await answer(send, b"not interested")


async def on_cancel_receive(scope, receive, send):
    """Waits for a body that does not come, gives up, waits again: nothing is lost."""
    gave_up = 0
    for _ in range(3):
        try:
            await asyncio.wait_for(receive(), 0.02)
        except TimeoutError:
            gave_up += 1
    NOTES["gave_up"] = gave_up
    message = await asyncio.wait_for(receive(), 60)
    await answer(send, message["body"])


async def on_cancel_race(scope, receive, send):
    """The message is there, its receiver is woken, and is cancelled before it runs."""
    task = asyncio.create_task(receive())
    await asyncio.sleep(0)
    await send(start())
    NOTES["race"] = task
    try:
        await task
        cancelled = False
    except asyncio.CancelledError:
        cancelled = True
    message = await receive() if cancelled else task.result()
    await send(body(json.dumps([cancelled, message["body"].decode()]).encode()))


async def on_two_receivers(scope, receive, send):
    """Both wait; each gets a part of its own."""
    tasks = [asyncio.create_task(receive()) for _ in range(2)]
    done = await asyncio.gather(*tasks)
    await answer(send, [m["body"].decode() for m in done])


# ---- clients that leave ----


async def on_disconnect(scope, receive, send):
    data, message = await read_all(receive)
    message = message if message["type"] != "http.request" else await receive()
    seen = [message["type"], (await receive())["type"]]
    try:
        await send(start())
        seen.append("sent")
    except OSError as error:
        seen.append(type(error) is zq.ClientDisconnected)
    NOTES["disconnect"] = seen
    await asyncio.sleep(0.05)  # the task itself is not cancelled
    NOTES["disconnect_end"] = "reached"


async def on_wrapped(scope, receive, send):
    """As Starlette does: an exception of the framework's own instead of ours."""

    class ClientDisconnect(Exception):
        pass

    while (await receive())["type"] != "http.disconnect":
        pass
    try:
        await send(start())
    except OSError:
        raise ClientDisconnect() from None


# ---- mistakes ----


async def wrong(send, *messages):
    """Sends until one is refused; notes how; then lets the exception pass."""
    NOTES.pop("wrong", None)
    try:
        for message in messages:
            await send(message)
    except Exception as error:
        NOTES["wrong"] = [type(error).__name__, str(error)]
        raise


MISTAKES = {
    "not_dict": [["http.response.start"]],
    "no_type": [{"status": 200}],
    "type_not_str": [{"type": b"http.response.start"}],
    "unknown_type": [{"type": "http.response.push"}],
    "websocket": [{"type": "websocket.accept"}],
    "body_first": [body(b"x")],
    "start_twice": [start(), start()],
    "no_status": [{"type": "http.response.start"}],
    "status_str": [start("200")],
    "status_none": [start(None)],
    "status_101": [start(101)],
    "status_103": [start(103)],
    "interim_100": [interim(100)],
    "interim_101": [interim(101)],
    "interim_200": [interim(200)],
    "interim_no_status": [{"type": "zq.http.response.interim"}],
    "interim_value_lf": [interim(headers=[(b"a", b"b\nc: d")])],
    "interim_long": [interim(headers=[(b"a", b"x" * 16384)])],
    "interim_late": [start(), interim()],
    "hint_no_links": [{"type": "http.response.early_hint"}],
    "hint_link_str": [hint("</a>")],
    "hint_links_int": [{"type": "http.response.early_hint", "links": 5}],
    "status_600": [start(600)],
    "status_huge": [start(2**70)],
    "headers_int": [{"type": "http.response.start", "status": 200, "headers": 5}],
    "headers_none": [{"type": "http.response.start", "status": 200, "headers": None}],
    "header_str": [start(headers=[("a", "b")])],
    "header_one": [start(headers=[(b"a",)])],
    "header_three": [start(headers=[(b"a", b"b", b"c")])],
    "header_flat": [start(headers=[b"ab"])],
    "header_int": [start(headers=[7])],
    "name_empty": [start(headers=[(b"", b"x")])],
    "name_space": [start(headers=[(b"a b", b"x")])],
    "name_colon": [start(headers=[(b"a:", b"x")])],
    "name_utf8": [start(headers=[("é".encode(), b"x")])],
    "name_newline": [start(headers=[(b"a\n", b"x")])],
    "value_cr": [start(headers=[(b"a", b"x\ry")])],
    "value_lf": [start(headers=[(b"a", b"0123456789abcdef\nSet-Cookie: x=y")])],
    "value_nul": [start(headers=[(b"a", b"01234567\x00")])],
    "length_word": [start(headers=[(b"content-length", b"many")])],
    "length_negative": [start(headers=[(b"content-length", b"-1")])],
    "length_twice": [start(headers=[(b"content-length", b"1"), (b"Content-Length", b"2")])],
    "too_many_headers": [start(headers=[(b"a", b"b")] * 70000)],
    "too_much_header": [start(headers=[(b"a", b"b" * 2**20)])],
    "body_str": [start(), body("text")],
    "body_none": [start(), body(None)],
    "too_long": [start(headers=[(b"content-length", b"3")]), body(b"four")],
    "too_long_late": [
        start(headers=[(b"content-length", b"3")]),
        body(b"abc", True),
        body(b"d"),
    ],
    "too_short": [start(headers=[(b"content-length", b"5")]), body(b"four")],
    "length_repeated": [
        start(headers=[(b"content-length", b"3"), (b"content-length", b" 3")]),
        body(b"four"),
    ],
    "too_short_empty": [start(headers=[(b"Content-Length", b"5")]), body()],
}


async def on_mistake(scope, receive, send):
    await wrong(send, *MISTAKES[scope["query_string"].decode()])


async def on_late_mistake(scope, receive, send):
    """After the head is out, the client can only be cut off."""
    await send(start(headers=[(b"content-length", b"10")]))
    await asyncio.sleep(0.02)
    await wrong(send, body(b"123", True), body(b"456"))


async def on_caught_mistake(scope, receive, send):
    """An application may catch what was refused, and do it right."""
    try:
        await send(start(99))
    except ValueError:
        await answer(send, b"right")


async def on_after_mistake(scope, receive, send):
    """What follows a response that was cut off."""
    await send(start(headers=[(b"content-length", b"3")]))
    seen = []
    for data in (b"four", b"3"):
        try:
            await send(body(data))
        except RuntimeError as error:
            seen.append(str(error))
    seen.append((await receive())["type"])
    NOTES["after_mistake"] = seen


async def on_protocol(scope, receive, send):
    """What receive() and send() return is a coroutine to everyone who looks."""
    seen = {}
    first = receive()
    seen["coroutine"] = isinstance(first, collections.abc.Coroutine) and asyncio.iscoroutine(first)
    try:
        first.send(None)
    except StopIteration as stop:
        seen["message"] = stop.value["body"].decode()
    for name, use in {
        "again": lambda: first.send(None),
        "thrown": lambda: receive().throw(ValueError("mine")),
        "thrown_type": lambda: receive().throw(KeyError, "key"),
        "thrown_nothing": lambda: receive().throw(5),
        "thrown_none": lambda: receive().throw(),
    }.items():
        try:
            use()
        except Exception as error:
            seen[name] = f"{type(error).__name__}: {error}"
    closed = send(start(500))  # never awaited: never sent
    seen["closed"] = closed.close()
    waiting = asyncio.create_task(receive())
    await asyncio.sleep(0)
    seen["repr"] = "receive" in repr(waiting)
    waiting.cancel()
    await answer(send, seen)


async def on_bodyless(scope, receive, send):
    """A length that the body does not have is right for HEAD, 204 and 304."""
    status = int(scope["query_string"] or b"200")
    await send(start(status, [(b"content-length", b"100")]))
    await send(body(b"short" if scope["method"] == "HEAD" else b""))


async def on_raise(scope, receive, send):
    raise ValueError("a bug on purpose")


async def on_raise_late(scope, receive, send):
    await send(start())
    await send(body(b"some", True))
    await asyncio.sleep(0.02)
    raise ValueError("a late bug on purpose")


async def on_raise_after(scope, receive, send):
    await answer(send, b"complete")
    raise ValueError("a bug after the end")


async def on_exit(scope, receive, send):
    sys.exit(7)


async def on_exit_task(scope, receive, send):
    async def leave():
        raise SystemExit(8)

    task = asyncio.create_task(leave())
    try:
        await asyncio.wait([task])
    finally:
        await answer(send, b"still here")


async def on_interrupt(scope, receive, send):
    raise KeyboardInterrupt


async def on_cancel_self(scope, receive, send):
    asyncio.current_task().cancel()
    await asyncio.sleep(1)


async def on_nothing(scope, receive, send):
    pass


async def on_no_end(scope, receive, send):
    await send(start())
    await send(body(b"x", True))


# ---- notes ----


async def on_notes(scope, receive, send):
    name = scope["query_string"].decode()
    value = NOTES.pop(name, None)
    await answer(send, value)


async def on_kill_race(scope, receive, send):
    """Comes in one read with the message that wakes /cancel_race's receiver."""
    NOTES["race"].cancel()
    await answer(send, {})


# ---- other shapes of an application ----


class Awaitable:
    def __init__(self, coroutine):
        self.coroutine = coroutine

    def __await__(self):
        return self.coroutine.__await__()


def plain(scope, receive, send):
    """No coroutine function, but what it returns can be awaited."""
    return Awaitable(app(scope, receive, send))


def future(scope, receive, send):
    """A future of the loop."""
    return asyncio.ensure_future(app(scope, receive, send))


def broken(scope, receive, send):
    return "not awaitable"


class Instance:
    async def __call__(self, scope, receive, send):
        await app(scope, receive, send)


instance = Instance()


class holder:
    class inner:
        app = instance


def factory():
    return app


def factory_fails():
    raise RuntimeError("no application today")


not_callable = 5
