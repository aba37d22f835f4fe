"""What changes in the cache while several I/O threads serve from it: bypass rules, and answers to POST
that stand for their target. Under ThreadSanitizer (make test-tsan) these are where races show."""

import collections
import threading

import pytest

from harness import serve, wait_for
from test_admin import api
from test_cache import page

FRESH = "Cache-Control: max-age=600"


@pytest.fixture
def server(tmp_path):
    path = tmp_path / "admin.sock"
    options = ("--front-threads=4", f"--admin-uds={path}", "--no-access-log")
    with serve("basic:app", *options) as running:
        running.admin = str(path)
        yield running


class Crowd:
    """`run(i)` in each of `n` threads, until the block ends; what it raises fails the test."""

    def __init__(self, n, run):
        self.over = threading.Event()
        self.errors = []
        self.threads = [threading.Thread(target=self.go, args=(run, i)) for i in range(n)]

    def go(self, run, i):
        try:
            while not self.over.is_set():
                run(i)
        except BaseException as error:
            self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads)
        assert not self.errors, self.errors


def test_bypass_rules_come_and_go_while_requests_are_served(server):
    """“a bypass rule by path, without restart”: it holds on every thread when the command returns,
    and what is stored stays."""
    ruled, free = page(FRESH), page(FRESH)
    rule = {"pattern": ruled.split("&")[0] + "*"}
    seen = collections.Counter()

    def ask(i):
        with server.client() as client:
            for method in ("GET", "HEAD", "POST", "GET"):
                for target in (ruled, free):
                    response = client.request(
                        target, method, body=b"x" if method == "POST" else None
                    )
                    status = response.get("cache-status")
                    assert response.status == 200, response
                    assert ("fwd=method" in status) == (method == "POST")
                    seen["hit"] += "; hit" in status
                    seen["bypass"] += target == ruled and "fwd=bypass" in status

    with Crowd(4, ask):
        for i in range(60):
            more = {"pattern": [f"/other/{i}/*", rule["pattern"]]}
            assert api(server, "/cache/bypass/add", "POST", more).status == 200
            for _ in range(4):
                assert "fwd=bypass" in server.get(ruled).get("cache-status")
            assert api(server, "/cache/bypass/rm", "POST", more).status == 200
            for _ in range(4):
                assert "bypass" not in server.get(ruled).get("cache-status")
            if i % 20 == 0:
                assert api(server, "/cache/off", "POST").status == 200
                assert api(server, "/cache/on", "POST").status == 200
        assert api(server, "/cache/bypass/add", "POST", rule).status == 200
        wait_for(lambda: seen["bypass"] > 0, "a request of the crowd that is passed on")
        assert api(server, "/cache/bypass/rm", "POST", rule).status == 200
        wait_for(lambda: seen["hit"] > 0, "one that is not")


def test_answers_to_post_that_stand_for_their_target(server):
    """RFC 9110 9.3.3, RFC 9111 4.4: whoever asks behind an answer to POST gets that one or a later one,
    whichever thread it came to; calls are numbered as they begin."""
    targets = [page(FRESH, here=1, size=size) for size in (1, 100, 100000)]
    newest = dict.fromkeys(targets, 0)
    lock = threading.Lock()
    seen = collections.Counter()
    turns = collections.Counter()

    def ask(i):
        turns[i] += 1
        with server.client() as client:
            for k, target in enumerate(targets):
                is_post = (turns[i] + i + k) % 3 == 0
                least = newest[target]
                # Calls overtake each other.
                late = {"X-Sleep": str(0.004 * ((turns[i] * 7 + i) % 5))}
                response = (
                    client.request(target, "POST", late, body=b"x")
                    if is_post
                    else client.request(target, headers=late)
                )
                assert response.status == 200 and response.complete, response
                call, status = int(response.get("x-call")), response.get("cache-status")
                assert set(response.body) == {ord("x")}
                if is_post:
                    seen["stored"] += "; stored" in status
                    with lock:
                        newest[target] = max(newest[target], call)
                else:
                    assert call >= least, (target, status)
                    seen["hit"] += "; hit" in status

    with Crowd(6, ask):
        for i in range(60):
            purge = [
                {"url": f"http://test{targets[i % 3]}", "soft": i % 2 == 0},
                {"prefix": "/answer"},
                {"all": True},
            ][i % 3]
            assert api(server, "/purge", "POST", purge).status == 200
            for target in targets:
                server.get(target)
        wait_for(lambda: seen["stored"] > 0 and seen["hit"] > 0, "an answer to POST that is stored")
    for target in targets:
        posted = server.get(target, method="POST", body=b"x")
        assert "; stored" in posted.get("cache-status")
        again = server.get(target)
        assert "; hit" in again.get("cache-status")
        assert again.get("x-call") == posted.get("x-call")
