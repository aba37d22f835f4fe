"""What zq-worker runs: from the configuration to the end of the process. Private.

Nothing here is on the path of a request; that is `_zq`, in C.
"""

import asyncio
import gc
import os
import platform

from zq import ClientDisconnected, _front
from zq._errors import StartError, log, log_exception, printable
from zq._lifespan import Lifespan
from zq._load import load_app, new_loop
from zq._native import bridge as native
from zq._routes import declare
from zq._static import RouteError


def main(config):
    """Serve until super says stop; the exit status."""
    try:
        loop, loop_name = new_loop(config["loop"])
        app = load_app(config["app"], config["app_dir"], config["factory"])
        return Worker(config, loop, loop_name, app).run()
    except StartError as error:
        error.log()
        return 1


class Worker:
    def __init__(self, config, loop, loop_name, app):
        self.loop = loop
        self.loop_name = loop_name
        self.app = app
        self.state = {}
        self.lifespan = Lifespan(app, config["lifespan"], self.state)
        root_path = (config["root_path"] or "").rstrip("/")
        self.bridge = native.Bridge(app, loop, self.state, root_path, on_error)
        _front.serve(self.bridge, loop)
        self.links = []  # that came before the application was ready
        self.ready = False
        self.stopping = loop.create_future()  # its result: milliseconds left

    def run(self):
        self.loop.add_reader(native.CONTROL_FD, self._on_control)
        task = self.loop.create_task(self._serve())
        try:
            while not task.done():
                self._run_loop(task)
            return task.result()
        finally:
            self._end_loop()

    def _run_loop(self, task):
        """An exit that a task of the application asks for ends that task, not the worker."""
        task.add_done_callback(self._stop_loop)
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            log_exception("error", f"{type(error).__name__} in a task of the application", error)
        finally:
            task.remove_done_callback(self._stop_loop)

    def _stop_loop(self, _task):
        self.loop.stop()

    async def _serve(self):
        startup = self.loop.create_task(self._start())
        await asyncio.wait((startup, self.stopping), return_when=asyncio.FIRST_COMPLETED)
        if not startup.done():
            startup.cancel()
            return 0
        startup.result()
        # What startup made stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        self.ready = True
        for links in self.links:
            self._adopt(*links)
        native.control_ready(f"{platform.python_version()} {self.loop_name}")
        deadline = self.loop.time() + await self.stopping / 1000
        await self._finish_requests(deadline)
        return await self._finish_lifespan(deadline)

    async def _start(self):
        await self.lifespan.start()
        try:
            await self._declare()
        except StartError:
            await self.lifespan.stop()
            raise

    async def _declare(self):
        """Before the first link is open: the front learns of routes before it sends requests."""
        try:
            routes = await declare(self.app, lambda sentence: log("warning", sentence))
            self.bridge.declare([route.as_tuple() for route in routes])
        except RouteError as error:
            raise StartError(str(error), error.__cause__) from None
        except ValueError as error:
            raise StartError(f"a route cannot be declared: {error}") from None

    async def _finish_requests(self, deadline):
        idle = self.loop.create_future()
        self.bridge.notify_idle(lambda: idle.done() or idle.set_result(None))
        await asyncio.wait((idle,), timeout=max(0, deadline - self.loop.time()))
        tasks = self.bridge.tasks()
        if tasks:
            log("warning", f"{len(tasks)} requests did not finish in time and are cancelled")
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1)
        self.bridge.close_links()

    async def _finish_lifespan(self, deadline):
        shutdown = self.loop.create_task(self.lifespan.stop())
        done, _ = await asyncio.wait((shutdown,), timeout=max(1, deadline - self.loop.time()))
        if not done:
            shutdown.cancel()
            log("error", "the application's lifespan shutdown did not finish in time")
            return 1
        return 0 if shutdown.result() else 1

    def _on_control(self):
        try:
            message = native.control_receive()
        except EOFError:
            os._exit(1)  # super is gone: nobody waits for what is left
        if message is None:
            return
        kind, value, text, descriptors = message
        if kind == "LINKS" and not self.stopping.done():
            if self.ready:
                self._adopt(descriptors, value)
            else:
                self.links.append((descriptors, value))
            return
        for descriptor in descriptors:
            os.close(descriptor)
        if kind == "STOP" and not self.stopping.done():
            self.stopping.set_result(value)

    def _adopt(self, descriptors, shares_memory):
        *descriptors, memory = descriptors if shares_memory else (*descriptors, -1)
        for index, descriptor in enumerate(descriptors):
            self.bridge.open(descriptor, memory, index)
        if shares_memory:
            os.close(memory)

    def _end_loop(self):
        """What asyncio.run() does at its end, but it does not wait for ever."""
        loop = self.loop
        loop.remove_reader(native.CONTROL_FD)
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=1))
        for end in (loop.shutdown_asyncgens, loop.shutdown_default_executor):
            try:
                loop.run_until_complete(asyncio.wait_for(end(), 1))
            except Exception as error:
                log("warning", f"{end.__name__} did not finish: {error!r}")
        self.bridge.close()
        asyncio.set_event_loop(None)
        loop.close()


_SENTENCES = {
    "no-start": "the ASGI application returned without sending a response",
    "no-end": "the ASGI application returned without completing its response",
    "cancelled": "the ASGI application was cancelled before its response was complete",
    "exception": "exception in the ASGI application",
}


def on_error(kind, method, path, exception):
    """The bridge's: what went wrong with a request."""
    request = f"{printable(method)} {printable(path)}"
    if exception is not None and _is_disconnect(exception):
        log("debug", f"the client left: {request}")
        return
    sentence = f"{_SENTENCES[kind]}: {request}"
    if exception is None:
        log("error", sentence)
    else:
        log_exception("error", sentence, exception)


def _is_disconnect(exception):
    """The client left, and the application said so in its own words or let our exception pass."""
    if isinstance(exception, ClientDisconnected):
        return True
    if isinstance(exception, BaseExceptionGroup):
        return all(_is_disconnect(each) for each in exception.exceptions)
    origin = exception.__cause__ or exception.__context__
    return (
        "Disconnect" in type(exception).__name__
        and origin is not None
        and isinstance(origin, ClientDisconnected)
    )
