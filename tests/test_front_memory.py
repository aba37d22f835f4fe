"""A front without memory refuses what it has no memory for, and says so; no worker is to blame."""

import contextlib
import os
import pathlib
import resource
import signal
import threading

import pytest

from harness import BUILD, serve, wait_for

pytestmark = pytest.mark.skipif(
    BUILD.name in ("asan", "tsan"), reason="sanitizers reserve all there is"
)

APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    n, size = (int(word or 0) for word in scope["query_string"].partition(b"-")[::2])
    fields = [(b"a", b"x" * size)] * n
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"done"})
"""


@pytest.fixture
def server(tmp_path):
    (tmp_path / "memory_app.py").write_text(APP)
    options = ("--workers=1", "--front-threads=1", "--cache-size=1MiB", "--no-access-log")
    with serve("memory_app:app", *options, app_dir=tmp_path) as server:
        assert server.get("/?1").status == 200
        yield server


@contextlib.contextmanager
def scarce(server, room=64 << 10):
    """The front has hardly more memory than now, or has to give so much back before it gets any."""
    (front,) = server.children()["front"]
    pages = int(pathlib.Path(f"/proc/{front}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room
    before = resource.prlimit(front, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(front, resource.RLIMIT_AS, before)


def test_only_the_request_is_refused(server):
    """8,000 fields come in one read, and take more memory than there is to be decoded."""
    before = server.children()
    with scarce(server):
        assert server.get("/?8000").status == 503
        assert server.get("/?1").status == 200
    assert len(server.get("/?8000").all("a")) == 8000
    assert server.children() == before
    assert "no memory for the response of worker 1" in server.log
    assert "is killed" not in server.log


def test_a_link_is_given_up_for_want_of_memory(server):
    """A head of 900 KB does not come in one read, and there is no room for all of it."""
    with scarce(server):
        thread = threading.Thread(target=lambda: server.get("/?1-900000"))
        thread.start()
        wait_for(lambda: "is killed" in server.log, "the worker's end")
    thread.join(60)
    wait_for(lambda: server.get("/?1").status == 200, "an answer")
    assert "worker 1: no memory in the front for what it sends" in server.log
    assert ") is killed: no memory in the front for what it sends" in server.log
    assert "broke the wire protocol" not in server.log


def test_a_worker_that_there_is_no_memory_for(server):
    """It has its links in memory that it shares with the front. Another is tried, and the front
    stays."""
    front, (worker,) = server.children()["front"], server.children()["worker"]
    with scarce(server, room=-(8 << 20)):
        os.kill(worker, signal.SIGKILL)
        wait_for(
            lambda: ") is killed: no memory in the front for its links" in server.log,
            "the next one",
        )
    wait_for(lambda: server.get("/?1").status == 200, "an answer")
    assert server.children()["front"] == front
