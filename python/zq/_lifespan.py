"""The ASGI lifespan protocol, the server's side. Private."""

import asyncio

from zq._errors import StartError, log, log_exception, log_lines


class Lifespan:
    """One call of the application with a lifespan scope, for as long as the worker lives.

    `mode` is auto, on or off. With auto an application that raises before it answered the startup
    event does not support the protocol, which is fine.
    """

    def __init__(self, app, mode, state):
        self.app = app
        self.mode = mode
        self.state = state
        self.task = None
        self.supported = True
        self.startup = None  # futures: what the application answered
        self.shutdown = None
        self.events = None

    async def start(self):
        """Returns when requests may be served; StartError if they may not."""
        if self.mode == "off":
            return
        loop = asyncio.get_running_loop()
        self.events = asyncio.Queue()
        self.startup = loop.create_future()
        self.shutdown = loop.create_future()
        self.events.put_nowait({"type": "lifespan.startup"})
        self.task = loop.create_task(self._run())
        failure = await self.startup
        if failure is not None:
            self.supported = False
            await self._finish()
            raise StartError(*failure)

    async def stop(self):
        """The shutdown event, and the application's answer to it. True unless it failed."""
        if self.task is None or not self.supported:
            return True
        if not self.task.done():
            self.events.put_nowait({"type": "lifespan.shutdown"})
        failure = await self.shutdown
        if failure is not None:
            log_lines("error", failure)
        await self._finish()
        return failure is None

    async def _finish(self):
        """What the application does after its last answer may take a moment, and no more."""
        await asyncio.wait((self.task,), timeout=1)
        self.task.cancel()

    async def _run(self):
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self.app(scope, self.events.get, self._send)
        except BaseException as error:
            self._raised(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            self._returned()

    def _raised(self, error):
        if not self.startup.done():
            if self.mode == "on":
                log_exception("error", "exception in the application's lifespan", error)
                self.startup.set_result(("the application failed in its lifespan startup",))
            else:
                self._unsupported(f"{type(error).__name__}: {error}")
            return
        said_so = self.startup.result() or (self.shutdown.done() and self.shutdown.result())
        if not said_so and not isinstance(error, asyncio.CancelledError):
            log_exception("error", "exception in the application's lifespan", error)
        if not self.shutdown.done():
            self.shutdown.set_result("the application's lifespan ended with an exception")

    def _returned(self):
        if not self.startup.done():
            if self.mode == "on":
                self.startup.set_result(
                    ("the application returned without answering its lifespan startup",)
                )
            else:
                self._unsupported("it returned")
        elif not self.shutdown.done():
            self.shutdown.set_result(None)

    def _unsupported(self, why):
        log("info", f"no lifespan events: the application does not take them ({why})")
        self.supported = False
        self.startup.set_result(None)

    async def _send(self, message):
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._answer(self.startup, "startup", None)
        elif kind == "lifespan.startup.failed":
            text = message.get("message", "")
            self._answer(self.startup, "startup", (_sentence("startup", text),))
        elif kind == "lifespan.shutdown.complete":
            self._answer(self.shutdown, "shutdown", None, after=self.startup)
        elif kind == "lifespan.shutdown.failed":
            text = message.get("message", "")
            self._answer(self.shutdown, "shutdown", _sentence("shutdown", text), self.startup)
        else:
            raise ValueError(f"{kind!r} is not an ASGI message that a lifespan can send")

    def _answer(self, future, name, result, after=None):
        if future.done() or (after is not None and not after.done()):
            raise RuntimeError(f"'lifespan.{name}' was answered at the wrong time")
        future.set_result(result)


def _sentence(name, text):
    return f"the application failed in its lifespan {name}" + (f": {text}" if text else "")
