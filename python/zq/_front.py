"""Questions to the front: purging, and how the cache is doing. Private."""

import asyncio
import collections
import json
import os
from collections.abc import Iterable
from typing import Any

from zq._cached import several

_KINDS = ("url", "prefix", "glob", "tag", "all")  # in the order of ZQ_PURGES in zq/cache.h
_PATIENCE = 10  # seconds; the front answers in well under one millisecond

_front = None  # of this process, once it is a worker


class PurgeError(Exception):
    """The purge did not take effect, or nobody can say whether it did: the front could not be
    reached (as from the lifespan's startup and shutdown, when a worker is not linked to it), did not
    answer in 10 s, or cannot take more purges at the moment. A front that has just been replaced
    begins with an empty cache, so a retry is cheap and always right."""


class Front:
    """The worker's end: one question is under way at a time, the others wait in order."""

    def __init__(self, bridge, loop):
        self._bridge = bridge
        self._loop = loop
        self._pid = os.getpid()
        self._waiting = collections.deque()  # (how to ask, future)
        self._asked = None  # the question under way, as in `_waiting`
        bridge.notify_answer(self._on_answer)

    async def purge(self, kind, text, soft):
        status, why = await self._ask(self._bridge.ask_purge, _KINDS.index(kind), soft, text)
        if status == 400:
            raise ValueError(f"{kind}: {why.decode()}")
        if status != 200:
            raise PurgeError(why.decode())

    async def info(self):
        status, text = await self._ask(self._bridge.ask_info)
        return json.loads(text)

    async def _ask(self, how, *arguments):
        if os.getpid() != self._pid:
            raise PurgeError("this process was forked from a worker, and is none itself")
        if asyncio.get_running_loop() is not self._loop:
            asking = self._ask_here(how, arguments)
            future = asyncio.run_coroutine_threadsafe(asking, self._loop)
            return await asyncio.wrap_future(future)
        return await self._ask_here(how, arguments)

    async def _ask_here(self, how, arguments):
        future = self._loop.create_future()
        self._waiting.append(((how, arguments), future))
        self._next()
        try:
            async with asyncio.timeout(_PATIENCE):
                return await future
        except TimeoutError:
            raise PurgeError(f"the front did not answer within {_PATIENCE} s") from None

    def _next(self):
        while self._asked is None and self._waiting:
            (how, arguments), future = question = self._waiting.popleft()
            if future.done():
                continue  # who asked has left
            try:
                how(*arguments)
            except ConnectionError as error:
                future.set_exception(PurgeError(f"the front cannot be reached: {error}"))
            except Exception as error:
                future.set_exception(error)
            else:
                self._asked = question

    def _on_answer(self, status, text):
        question, self._asked = self._asked, None
        _, future = question
        if status == 0:  # its link has gone, as idle ones do at a reload: to ask twice does no harm
            self._waiting.appendleft(question)
        elif not future.done():
            future.set_result((status, text))
        self._next()


def serve(bridge, loop):
    """This process is a worker from now on."""
    global _front
    _front = Front(bridge, loop)


async def purge(
    *,
    url: str | None = None,
    prefix: str | None = None,
    glob: str | None = None,
    tag: str | Iterable[str] | None = None,
    all: bool = False,
    soft: bool = False,
) -> None:
    """Take stored responses out of the cache. Effective, for requests on every connection, when
    it returns; call it after the transaction is committed:

        await db.commit()
        await zq.purge(tag=f"company:{company.id}")

    Give exactly one of

    - `url`: all variants of one URL, its query included; absolute (`https://example.org/a?b=c`),
      or from the path on (`/a?b=c`) for every scheme and host;
    - `prefix`: all URLs that begin so, absolute or from the path on;
    - `glob`: all URLs that match as a whole; `*` is any run of characters, `/` and `?` included,
      everything else is itself;
    - `tag`: what names it in `Cache-Tag` or `Surrogate-Key`; a str, or an iterable of them;
    - `all=True`: everything.

    `soft=True` makes responses stale instead of taking them out. Requests that wait for a response
    which the application is working on still get that one; it is not stored.

    Raises TypeError or ValueError for arguments that name nothing, PurgeError if the front cannot
    be reached. Under any other server than zq there is nothing to purge, and nothing happens.
    """
    given = {"url": url, "prefix": prefix, "glob": glob, "tag": tag, "all": all or None}
    given = {kind: value for kind, value in given.items() if value is not None}
    if len(given) != 1:
        raise TypeError("purge() takes one of url, prefix, glob, tag and all=True")
    ((kind, value),) = given.items()
    for text in _texts(kind, value):
        if _front is not None:
            await _front.purge(kind, text, bool(soft))


def _texts(kind, value):
    if kind == "all":
        return [b""]
    values = several("purge: tag", value) if kind == "tag" else (value,)
    for each in values:
        if not isinstance(each, str):
            raise TypeError(f"{kind} is {type(each).__name__}, not str")
        if not each:
            raise ValueError(f"{kind} is empty")
    return [each.encode() for each in values]


async def cache_info() -> dict[str, Any] | None:
    """How the cache of this server is doing, as a dict: `on` (bool); and ints, now: `size` and
    `used` (bytes), `responses` (stored), `compressed` (their forms in a content coding) and
    `compressed_bytes`, `tags`, `bypass` (globs in force), `promoted` (keys under which something is
    stored), `demoted` (keys remembered as not storable; how many for each reason says the dict
    `reasons`), `sweeping` (purges whose memory is being reclaimed); since the front started: `hits`,
    `joined` (answered by the call that another request made), `misses`, `stored`, `evicted`,
    `purged` (responses), `purges`, `promotions` and `demotions` (of keys).

    Raises PurgeError if the front cannot be reached. None under any other server than zq.
    """
    return await _front.info() if _front is not None else None
