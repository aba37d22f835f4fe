"""Declared routes in the front: static responses, key rules, and what the store makes of them
(issue 5, sections 1 'Key rules per route' and 4)."""

import itertools
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading

import pytest

from harness import APPS, ZQ, Client, serve, wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("routes") / "admin.sock"
    options = ("--front-threads=2", "--access-log", f"--admin-uds={path}")
    with serve("declared:app", *options) as server:
        server.admin = path
        yield server


NAMES = itertools.count()


@pytest.fixture
def name():
    """A path segment that no other test has."""
    return f"n{next(NAMES)}"


FRESH = {"X-Answer": "Zq-Cache-Control: max-age=60"}


def told(response):
    assert response.status == 200, response
    return json.loads(response.body)


def get(server, target, method="GET", **headers):
    pairs = FRESH | {n.replace("_", "-"): v for n, v in headers.items()}
    return server.get(target, method=method, headers=pairs)


# ---- static routes ----


def test_a_static_route_is_replayed_with_all_that_get_has(server):
    whole = server.get("/static/page")
    assert whole.status == 200 and whole.body.startswith(b"<p>")
    assert whole.get("content-type") == "text/html"
    assert whole.get("content-length") == str(len(whole.body))
    assert whole.get("cache-status") == "zq; hit; detail=static"
    assert whole.get("cache-tag") is None and whole.get("age") is None
    assert whole.get("date").endswith("GMT"), "of now, not of the start (RFC 9110 6.6.1)"
    head = server.get("/static/page", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.get("content-length") == str(len(whole.body))
    assert server.get("/static/page?any=query").body == whole.body


def test_its_etag_is_strong_and_answers_conditions(server):
    """RFC 9110 8.8.3, 13.1.2, 14.2."""
    etag = server.get("/static/page").get("etag")
    assert etag.startswith('"')
    same = server.get("/static/page", headers={"If-None-Match": f'"x", W/{etag}'})
    assert (same.status, same.body, same.get("etag")) == (304, b"", etag)
    assert same.get("date") and same.get("content-type") is None
    assert server.get("/static/page", headers={"If-None-Match": '"x"'}).status == 200
    part = server.get("/static/page", headers={"Range": "bytes=0-2", "If-Range": etag})
    assert (part.status, part.body) == (206, b"<p>")
    assert server.get("/static/page", headers={"If-Match": etag}).status == 200
    assert server.get("/static/page", headers={"If-Match": '"x"'}).status == 412  # 13.1.1
    assert server.get("/static/tagged").get("etag") == 'W/"own"'
    assert len(server.get("/static/tagged").body) == 1_000_000


@pytest.mark.parametrize(("path", "status"), [("/static/gone", 410), ("/static/empty", 204)])
def test_other_statuses(server, path, status):
    response = server.get(path)
    assert response.status == status and response.get("etag") is None


@pytest.mark.parametrize(
    "path", ["/static/pag%65", "/static//page", "/static/./page", "/static/page;"]
)
def test_only_a_plain_path_is_answered_natively(server, path):
    assert "call" in told(server.get(path))


def test_other_methods_reach_the_application(server):
    assert "call" in told(server.get("/static/page", method="POST", body=b"x"))


def test_the_log_names_the_rung(server):
    server.get("/static/page?logged")
    server.get("/echo/1/logged")
    wait_for(lambda: "GET /echo/1/logged" in server.access_log, "the line")
    lines = {line.split('"')[1]: line for line in server.access_log.splitlines() if '"' in line}
    assert " static" in lines["GET /static/page?logged HTTP/1.1"]
    assert " direct" in lines["GET /echo/1/logged HTTP/1.1"]


def test_static_routes_outlive_all_workers_and_change_at_reload():
    with serve("declared:app", "--front-threads=2") as server:
        before = server.get("/static/page")
        for pid in server.children()["worker"]:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(20):
            assert server.get("/static/page").body == before.body
        for pid in server.children()["worker"]:
            os.kill(pid, signal.SIGKILL)
        for _ in range(20):
            assert server.get("/static/page").body == before.body
        server.signal(signal.SIGHUP)
        after = wait_for(
            lambda: (r := server.get("/static/page")).body != before.body and r, "the new page"
        )
        assert after.get("etag") != before.get("etag")


def test_what_comes_before_the_first_worker_is_decided_with_its_routes(tmp_path):
    """A client that connects while the application loads is served by the static route, too."""
    (tmp_path / "late.py").write_text(
        "import os, time\n"
        "while not os.path.exists(os.environ['GO']):\n    time.sleep(0.01)\n"
        f"import sys; sys.path.insert(0, {str(APPS)!r})\n"
        "from declared import app\n"
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        listener.set_inheritable(True)
        with serve(
            "late:app",
            app_dir=tmp_path,
            env={"GO": str(tmp_path / "go")},
            listen=(f"--fd={listener.fileno()}",),
            ready=False,
            pass_fds=(listener.fileno(),),
        ) as server:
            with Client(listener.getsockname()) as client, Client(listener.getsockname()) as gone:
                gone.send_request("/static/page")
                client.send_request("/static/page")
                wait_for(lambda: server.children()["worker"], "a worker")
                gone.close()
                (tmp_path / "go").touch()
                assert client.response().get("cache-status") == "zq; hit; detail=static"


# ---- key rules ----


def test_an_allow_list_cuts_sorts_and_shares(server, name):
    first = get(server, f"/c/allow/{name}?q=1&evil=x&page=2")
    assert told(first)["query"] == "page=2&q=1", "the application sees what the key has"
    second = get(server, f"/c/allow/{name}?page=2&other=y&q=1")
    assert second.body == first.body
    assert second.get("cache-status").startswith("zq; hit")
    assert told(get(server, f"/c/allow/{name}?page=3"))["query"] == "page=3"
    assert told(get(server, f"/c/allow/{name}?evil=1"))["query"] == ""


def test_an_ignore_list_cuts_what_it_names(server, name):
    first = get(server, f"/c/ignore/{name}?b=1&utm_source=a&a=2")
    assert told(first)["query"] == "a=2&b=1"
    assert get(server, f"/c/ignore/{name}?a=2&b=1&utm_medium=z").body == first.body


def test_without_a_rule_the_query_stays(server, name):
    assert told(get(server, f"/c/plain/{name}?b=1&&a=2"))["query"] == "b=1&&a=2"


def test_the_rule_holds_for_head_and_not_for_post(server, name):
    target = f"/c/allow/{name}?evil=1&page=4"
    assert get(server, target, "HEAD").status == 200
    assert told(server.get(target, method="POST", body=b""))["query"] == "evil=1&page=4"


@pytest.mark.parametrize("spoil", ["%2e/", "x/../", "/", "./"])
def test_a_path_that_normalisation_changes_has_no_rule(server, name, spoil):
    """Web cache deception: only the plain path is the route's."""
    response = get(server, f"/c/allow/{spoil}{name}?evil=1")
    assert told(response)["query"] == "evil=1"


def test_cookies_that_are_left_out_reach_nobody(server, name):
    first = get(server, f"/c/nocookies/{name}", Cookie="sid=alice; lang=de")
    assert told(first)["cookie"] == []
    second = get(server, f"/c/nocookies/{name}", Cookie="sid=bob")
    assert second.body == first.body, "no cookie counts, so the request is like any other"


def test_cookies_that_are_named_select(server, name):
    german = get(server, f"/c/lang/{name}", Cookie="sid=alice; lang=de")
    assert told(german)["cookie"] == ["lang=de"]
    assert get(server, f"/c/lang/{name}", Cookie="lang=de; sid=bob").body == german.body
    english = get(server, f"/c/lang/{name}", Cookie="lang=en")
    assert told(english)["cookie"] == ["lang=en"]
    assert told(get(server, f"/c/lang/{name}"))["cookie"] == []
    again = get(server, f"/c/lang/{name}", Cookie="x=1; lang=de")
    assert again.body == german.body and again.get("vary") is None
    assert german.get("zq-vary") is None


def test_headers_of_the_rule_select(server, name):
    one = get(server, f"/c/header/{name}", X_Kind="one")
    two = get(server, f"/c/header/{name}", X_Kind="two")
    assert one.body != two.body
    assert get(server, f"/c/header/{name}", X_Kind="one").body == one.body
    assert get(server, f"/c/header/{name}", X_Kind="two").body == two.body


def test_selection_outlives_a_validation(server, name):
    """A 304 freshens one variant and does not lose what selects it (RFC 9111 4.1, 4.3.4)."""
    answer = {"X-Answer-2": 'ETag: "1"', "X-Answer": "Zq-Cache-Control: max-age=0"}
    first = server.get(f"/c/header/{name}", headers=answer | {"X-Kind": "one"})
    server.get(f"/c/header/{name}", headers=answer | FRESH | {"X-Kind": "one", "X-Status": "304"})
    kept = server.get(f"/c/header/{name}", headers={"X-Kind": "one"})
    assert kept.body == first.body
    assert kept.get("cache-status").startswith("zq; hit")
    other = server.get(f"/c/header/{name}", headers={"X-Kind": "two"})
    assert other.body != first.body


def test_zq_cache_control_is_not_for_clients(server, name):
    assert get(server, f"/c/plain/{name}").get("zq-cache-control") is None
    assert get(server, f"/c/plain/{name}").get("zq-cache-control") is None


def test_a_decorated_view_coalesces_requests_with_credentials(server, name):
    """Issue 5: 'who joins: a decorated view, …'."""
    bodies = []

    def ask(user):
        response = get(server, f"/c/plain/{name}", Cookie=f"sid={user}", X_Sleep="0.3")
        bodies.append(response.body)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(bodies) == 30 and len(set(bodies)) == 1


def test_a_miss_of_a_decorated_view_asks_for_the_whole(server, name):
    """Issue 5: fetched without Range and If-None-Match; the front applies them to the 200."""
    part = get(server, f"/c/plain/{name}", Range="bytes=0-3")
    assert (part.status, part.body) == (206, b'{"ca')
    assert get(server, f"/c/plain/{name}").get("cache-status").startswith("zq; hit")


def test_purge_by_url_uses_the_same_function(server, name):
    first = get(server, f"/c/allow/{name}?page=1")
    purge(server, f"/c/allow/{name}?evil=2&page=1")
    second = get(server, f"/c/allow/{name}?page=1")
    assert second.body != first.body
    host = "http://test"
    purge(server, f"{host}/c/allow/{name}?page=1&z=1")
    assert get(server, f"/c/allow/{name}?page=1").body != second.body


def test_an_unsafe_request_invalidates_what_the_rule_made_of_its_target(server, name):
    """RFC 9111 4.4"""
    first = get(server, f"/c/allow/{name}?page=1")
    assert server.get(f"/c/allow/{name}?page=1&evil=1", method="POST", body=b"").status == 200
    assert get(server, f"/c/allow/{name}?page=1").body != first.body


def zq(server, *words):
    command = [ZQ, words[0], *words[1:], f"--admin-uds={server.admin}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def purge(server, url):
    done = zq(server, "purge", url)
    assert done.returncode == 0, done.stderr


def test_a_view_that_is_never_storable_is_named_once(name):
    with serve("declared:app") as server:
        for i in range(30):
            server.get(f"/c/plain/{name}-{i}", headers={"X-Answer": "Cache-Control: private"})
        wait_for(lambda: "keeps answering" in server.log, "the warning")
        assert server.log.count("keeps answering") == 1
        assert "/c/plain/<name> (declared/c/plain/<name>)" in server.log
        assert "cannot be stored: private" in server.log


def refused(server, target):
    return server.get(target, headers={"X-Answer": "Cache-Control: private"})


def test_the_threads_judge_a_view_together(name):
    """“a decorated view that keeps answering uncacheable says so once in the log with the reason”:
    five in a row, whichever threads they come to."""
    with serve("declared:app", "--front-threads=4") as server:
        for i in range(4):
            refused(server, f"/c/plain/{name}-{i}")
        assert "; stored" in get(server, f"/c/plain/{name}-good").get("cache-status")
        for i in range(4):
            refused(server, f"/c/plain/{name}-again-{i}")
        for i in range(20):  # another route's do not count
            refused(server, f"/c/ignore/{name}-{i}")
        wait_for(lambda: "keeps answering" in server.log, "the warning")
        assert "/c/ignore/<name> (declared" in server.log
        assert "/c/plain/<name> (declared" not in server.log
        refused(server, f"/c/plain/{name}-fifth")
        wait_for(lambda: "/c/plain/<name> (declared" in server.log, "the other warning")
        threads = [
            threading.Thread(target=refused, args=(server, f"/c/allow/{name}-{i}"))
            for i in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        wait_for(lambda: "/c/allow/<name> (declared" in server.log, "the third")
        assert server.log.count("keeps answering") == 3


def test_errors_of_a_view_are_no_reason_to_complain(name):
    with serve("declared:app") as server:
        for i in range(30):
            server.get(f"/c/plain/{name}-{i}", headers={"X-Status": "404"})
        assert "keeps answering" not in server.log


def test_a_long_query_is_its_own_key(server, name):
    query = "&".join(f"p{i}=1" for i in range(300))
    assert told(get(server, f"/c/allow/{name}?{query}"))["query"] == query


# ---- what is told of them ----


def live(server):
    with Client(str(server.admin)) as client:
        response = client.request("/routes")
    assert response.status == 200, response
    return {each["path"]: each for each in json.loads(response.body)["routes"]}


def test_live_routes_have_class_rule_why_and_counters(name):
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/admin.sock"
        with serve("declared:app", "--front-threads=2", f"--admin-uds={path}") as server:
            server.admin = path
            for _ in range(3):
                get(server, f"/c/allow/{name}?page=1&evil=2")
            server.get("/echo/1/a")
            server.get("/static/page")
            server.get(f"/c/lang/{name}", headers={"X-Answer": "Cache-Control: private"})
            for i in range(2):
                get(server, f"/other/{i}")
                get(server, f"/other/{i}")
            found = live(server)
            allow = found["/c/allow/<name>"]
            assert allow["methods"] == "GET" and allow["class"] == "cached"
            assert allow["query"] == ["page", "q"] and allow["cookies"] is None
            assert allow["why"] == "declared/c/allow/<name>"
            assert [allow[n] for n in ("requests", "hits", "calls", "stored")] == [3, 2, 1, 1]
            assert [found["/echo/<int:id>/<name>"][n] for n in ("class", "calls")] == ["direct", 1]
            static = found["/static/page"]
            assert [static[n] for n in ("requests", "hits", "calls")] == [1, 1, 0]
            private = found["/c/lang/<name>"]
            assert private["cookies"] == ["lang"] and private["unstored"] == 1
            assert private["reason"] == "private"
            rest = found["(undeclared)"]
            assert [rest[n] for n in ("class", "requests", "hits", "stored")] == ["app", 4, 2, 2]
            done = zq(server, "routes", "--live")
            assert done.returncode == 0, done.stderr
            lines = {line.split()[1]: line for line in done.stdout.splitlines()}
            assert "cached  query=page,q  declared/c/allow/<name>" in lines["/c/allow/<name>"]
            assert "unstored=1  reason=private" in lines["/c/lang/<name>"]
            assert lines["(undeclared)"].startswith("*  (undeclared)  app  requests=4")
            assert zq(server, "routes", "--live", "x").returncode == 2
