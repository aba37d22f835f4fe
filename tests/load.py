"""A steady load of requests from threads, each on keep-alive connections of its own, for tests that
break something meanwhile."""

from __future__ import annotations

import collections
import itertools
import threading
import time

from harness import Client, Closed


class Load:
    """Runs `threads` clients that ask for `target(i)` until stopped. `results` counts outcomes: a
    status, `cut` (an incomplete response), `lost` (no response though a request was sent on a
    connection that had answered nothing yet) or `refused` (no connection).

    A keep-alive connection that the server closes between two requests is the client's race (RFC
    9112 9.3.1): the request is sent again on a new connection, as every HTTP client does, and only
    when that fails too is it lost.
    """

    def __init__(self, server, target, threads=8, pause=0.0):
        self.server, self.target, self.pause = server, target, pause
        self.results = collections.Counter()
        self.bodies = collections.Counter()
        self.lock = threading.Lock()
        self.numbers = itertools.count()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def _count(self, outcome, body=None):
        with self.lock:
            self.results[outcome] += 1
            if body is not None:
                self.bodies[body] += 1

    def _run(self):
        client = None
        while not self.stopping.is_set():
            fresh = client is None
            if fresh:
                try:
                    client = Client(self.server.address)
                except OSError:
                    if self.stopping.is_set():
                        return
                    self._count("refused")
                    time.sleep(0.02)
                    continue
            client = self._one(client, fresh)
            if self.pause:
                time.sleep(self.pause)
        if client is not None:
            client.close()

    def _one(self, client, fresh):
        try:
            response = client.request(self.target(next(self.numbers)))
        except (Closed, OSError) as error:
            client.close()
            partial = isinstance(error, Closed) and error.args[0]
            if fresh or partial:
                self._count("lost")
            return None
        self._count(response.status if response.complete else "cut", response.body)
        if not response.complete or response.get("connection") == "close":
            client.close()
            return None
        return client
