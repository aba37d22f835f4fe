"""1,000 clients at once: one call where the page is storable, all at once where it is not, and a worker
killed in the middle costs nobody his answer. How soon after the view they are served is measured by
bench/stampede.py, whose crowd this is."""

import os
import signal
import sys
import time

import pytest

from harness import ROOT, serve, wait_for

sys.path.insert(0, str(ROOT))

from bench.stampede import Crowd

CLIENTS = 1000
VIEW_S = 0.3
# Were they served one behind the other, this would be 300 s.
DEADLINE_S = 10 * (2 * VIEW_S + 1)


@pytest.fixture(scope="module")
def server():
    with serve("basic:app", "--front-threads=2", "--no-access-log") as running:
        yield running


def page(cache_control, does=f"sleep={VIEW_S}", size=1000):
    n = time.monotonic_ns()
    return f"/answer?{does}&n={n}&h=Cache-Control:{cache_control}&size={size}"


def calls(server):
    return int(server.get("/calls").body)


def stampede(server, target, meanwhile=lambda: None):
    """All answers, each 200, and the seconds that they took together."""
    with Crowd(server.address[1], CLIENTS) as crowd:
        started = time.monotonic()
        crowd.ask(target)
        meanwhile()
        served = crowd.served()
        took = time.monotonic() - started
    assert {one.status for one in served} == {200}
    return served, took


def test_one_cold_key_is_one_call(server):
    before = calls(server)
    served, took = stampede(server, page("max-age%3D60", size=20_000))
    assert calls(server) - before == 2  # the page, and the question itself
    assert {one.body for one in served} == {b"x" * 20_000}
    collapsed = sum("collapsed" in one.get("cache-status") for one in served)
    assert collapsed > CLIENTS / 2
    assert took < DEADLINE_S


def test_what_is_not_storable_is_not_serialised(server):
    """At the leader's head all go by themselves, together; then the key is known, and none waits."""
    target = page("no-store")
    for wait in ("together", "at once"):
        served, took = stampede(server, target)
        assert len({one.get("x-call") for one in served}) == CLIENTS, wait
        assert took < DEADLINE_S, wait


def kill_the_worker(server):
    """When all have asked and the view is at work: the requests are tried again on the next one."""

    def strike():
        (pid,) = server.children()["worker"]
        time.sleep(VIEW_S)  # the view takes 2 s
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: server.children()["worker"] not in ([pid], []), "another worker")

    return strike


def test_a_worker_killed_in_the_middle(tmp_path):
    """Another one has the request at once: nobody waits longer than 5 s for another's head."""
    go, note = tmp_path / "go", tmp_path / "note"

    def strike():
        first = wait_for(lambda: note.exists() and note.read_text(), "the call")
        os.kill(int(first), signal.SIGKILL)
        wait_for(lambda: note.read_text() not in ("", first), "the call of another worker")
        go.touch()

    with serve("basic:app", "--workers=2", "--no-access-log") as server:
        target = page("max-age%3D60", f"until={go}&note={note}")
        served, _ = stampede(server, target, strike)
        assert len({(one.get("x-call"), one.body) for one in served}) == 1


def test_a_worker_killed_under_a_thousand_calls():
    with serve("basic:app", "--no-access-log") as server:
        target = page("no-store", "sleep=2")
        server.get(target)  # from now on nobody waits for another
        served, _ = stampede(server, target, kill_the_worker(server))
        assert len({one.get("x-call") for one in served}) == CLIENTS
