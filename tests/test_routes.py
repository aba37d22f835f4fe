"""Declared routes behind zq: `zq routes`, and what becomes of decorated views, simple_json and
static routes in each framework. Sentences in quotation marks are the specification's."""

import json
import os
import re
import signal
import subprocess

import pytest

from harness import APPS, DEADLINE, ZQ, serve, venv_of, wait_for, workers

FRAMEWORKS = ["quart", "flask", "starlette", "fastapi", "django"]


def zq_routes(*arguments, worker=None, app_dir=APPS, stdout=subprocess.PIPE):
    worker = worker or workers()[0]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "VIRTUAL_ENV"))}
    return subprocess.run(
        [
            ZQ,
            "routes",
            f"--app-dir={app_dir}",
            f"--venv={venv_of(worker)}",
            f"--worker-executable={worker}",
            *arguments,
        ],
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=DEADLINE,
    )


# ---- zq routes ----


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_zq_routes_lists_method_path_class_key_rule_and_why(worker, name):
    """“reported by `zq routes MODULE:APP` (method, path, class, key rule, why)”"""
    done = zq_routes("--factory", f"routed:{name}_app", worker=worker)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["METHOD", "PATH", "CLASS", "KEY", "WHY"]
    rows = {line.split()[1]: line.split() for line in lines}
    assert rows["/page/<int:id>"][:4] == ["GET", "/page/<int:id>", "cached", "-"]
    assert rows["/page/<int:id>"][4].endswith(".page")
    assert rows["/rule"][2:7] == ["cached", "query", "q;", "cookies", "none"]
    assert rows["/plain"][2:] == ["app", "-", "not", "decorated"]
    assert rows["/api/square/<int:n>"][2] == "direct"
    assert rows["/robots.txt"][2] == "static"


def test_it_says_what_direct_and_static_routes_skip():
    """“simple_json and static routes skip the framework's middleware and authentication:
    docstrings, README and `zq routes` say so”"""
    listed = json.loads(zq_routes("--json", "--factory", "routed:quart_app").stdout)
    for each in listed:
        skips = "skips the framework's middleware and authentication" in each["why"]
        assert skips == (each["class"] in ("direct", "static"))
    (rule,) = [each for each in listed if each["path"] == "/rule"]
    assert rule == {
        "methods": ["GET"],
        "path": "/rule",
        "class": "cached",
        "query": ["q"],
        "ignore_query": [],
        "cookies": [],
        "headers": [],
        "why": rule["why"],
    }


def test_patterns_that_cannot_be_declared_are_named():
    done = zq_routes("--factory", "routed:django_app")
    line = next(line for line in done.stdout.splitlines() if "^numbers" in line)
    assert "pattern cannot be declared: a regular expression" in line


def test_an_application_whose_routes_cannot_be_read():
    done = zq_routes("--json", "basic:app")
    assert done.returncode == 0
    assert json.loads(done.stdout) == []
    assert "no framework whose URL map can be read" in done.stderr


def test_what_the_application_prints_is_not_among_its_routes(tmp_path):
    (tmp_path / "loud.py").write_text("print('hello')\nasync def app(*_): ...\n")
    done = zq_routes("--json", "loud:app", app_dir=tmp_path)
    assert json.loads(done.stdout) == []
    assert "hello" in done.stderr


def test_errors(tmp_path):
    done = zq_routes("nowhere:app")
    assert done.returncode == 1
    assert "there is no module `nowhere`" in done.stderr
    done = zq_routes()
    assert done.returncode == 2
    assert "which application" in done.stderr and "zq routes --help" in done.stderr
    (tmp_path / "twice.py").write_text(
        "import zq\nzq.static_route('/x', 'a')\nzq.simple_json('/x')(lambda: 1)\n"
        "async def app(*_): ...\n"
    )
    done = zq_routes("twice:app", app_dir=tmp_path)
    assert done.returncode == 1
    assert "GET /x is declared twice" in done.stderr


def test_help():
    done = subprocess.run([ZQ, "help", "routes"], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0
    assert "zq routes [OPTIONS] MODULE:APP" in done.stdout


def test_a_reader_that_leaves():
    """`zq routes … | head -1` ends without a traceback."""
    read, write = os.pipe()
    os.close(read)
    done = zq_routes("basic:app", stdout=write)
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


# ---- behind zq ----


@pytest.fixture(scope="module", params=FRAMEWORKS)
def routed(request, tmp_path_factory):
    socket = tmp_path_factory.mktemp("admin") / "zq.sock"
    options = ("--factory", f"--admin-uds={socket}")
    with serve(f"routed:{request.param}_app", *options, venv=True) as server:
        server.admin_uds = socket
        yield server


def is_hit(response):
    """Of what is kept; WSGI's last, empty part of a body may still be on its way to the cache."""
    return bool(re.search("; (hit|.*collapsed)", response.get("cache-status")))


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_framework_with_each_interpreter(worker, name):
    with serve(f"routed:{name}_app", "--factory", worker=worker, venv=True) as server:
        assert not is_hit(server.get("/page/7"))
        assert is_hit(server.get("/page/7"))
        assert server.get("/api/square/5").body == b'{"square":25,"digits":10}'
        assert is_hit(server.get("/robots.txt"))
        assert not is_hit(server.get("/late")) and not is_hit(server.get("/late"))


def test_a_decorated_view_is_kept_whatever_the_cookies(routed):
    """“requests with Cookie like those with Authorization unless … a decorated view … says
    otherwise”"""
    first = routed.get("/page/1", headers={"Cookie": "session=a"})
    second = routed.get("/page/1", headers={"Cookie": "session=b"})
    assert is_hit(second) and second.body == first.body
    assert second.get("zq-cache-control") is None
    assert second.get("cache-tag") is None


def test_its_vary_is_heard(routed):
    german = {"Accept-Language": "de"}
    first = routed.get("/page/2", headers=german)
    other = routed.get("/page/2", headers={"Accept-Language": "fr"})
    assert other.body != first.body
    assert routed.get("/page/2", headers=german).body == first.body


def test_its_tags_purge_it(routed):
    kept, purged = routed.get("/page/3"), routed.get("/page/4")
    command = [ZQ, "purge", "--tag=page:4", f"--admin-uds={routed.admin_uds}"]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, timeout=DEADLINE).returncode == 0
    assert routed.get("/page/3").body == kept.body
    assert routed.get("/page/4").body != purged.body


@pytest.mark.parametrize(
    "path",
    ["/private", "/cookie", "/star", "/late", "/teapot", "/fail", "/blocked", "/plain", "/nowhere"],
)
def test_what_is_not_its_own_return_or_is_forbidden_is_not_kept(routed, path):
    """“answers made by middleware, before_request hooks, error handlers or other views get none”"""
    for _ in range(2):
        response = routed.get(path)
        assert not is_hit(response)
        assert "stored" not in response.get("cache-status")


def test_a_key_rule(routed):
    """“What a rule leaves out is removed from what the application sees on that route's GET and
    HEAD (parameters cut from query_string, unnamed cookies from Cookie)”"""
    first = routed.get("/rule?q=1&utm_source=x", headers={"Cookie": "a=1"})
    assert first.body.startswith(b"q=1 [] ")
    second = routed.get("/rule?z=2&q=1", headers={"Cookie": "b=1"})
    assert is_hit(second) and second.body == first.body
    assert routed.get("/rule?q=2").body != first.body


@pytest.mark.parametrize("path", ["/ru%6Ce", "/%72ule"])
def test_sessions_do_not_meet_by_paths_that_the_front_does_not_know(routed, path):
    """“no unkeyed input reaches a view whose answer is shared”: with an escape in its path a request
    is not the declared route's, and yet reaches the view, with all its cookies."""
    alice = routed.get(f"{path}?q=1", headers={"Cookie": "alice=1"})
    assert b"alice" in alice.body
    for cookies in ({"Cookie": "bob=1"}, {}):
        other = routed.get(f"{path}?q=1", headers=cookies)
        assert not is_hit(other) and b"alice" not in other.body
    again = routed.get(f"{path}?q=1", headers={"Cookie": "alice=1"})
    assert is_hit(again) and again.body == alice.body


def test_simple_json(routed):
    response = routed.get("/api/square/12?digits=3")
    assert json.loads(response.body) == {"square": 144, "digits": 3}
    assert response.get("content-type") == "application/json"
    assert "detail=direct" in response.get("cache-status")
    wrong = routed.get("/api/square/12?digits=many")
    assert wrong.status == 422 and b'"digits"' in wrong.body
    head = routed.get("/api/square/12", method="HEAD")
    assert (head.status, head.body, head.get("content-length")) == (200, b"", "26")
    assert routed.get("/api/fail").status == 500
    assert "on purpose" in routed.log


@pytest.mark.parametrize("path", ["/api/square/x", "/api/square/%31", "/api/square/1/"])
def test_a_path_of_another_type_is_the_application_s(routed, path):
    response = routed.get(path)
    assert response.status in (301, 307, 308, 404)
    assert "direct" not in response.get("cache-status")


def test_cached_route_below_simple_json(routed):
    first = routed.get("/api/kept/a/b?x=1")
    assert json.loads(first.body)["rest"] == "a/b"
    assert routed.get("/api/kept/a/b?x=2").body == first.body  # it has no parameter x


def test_static_routes_are_replayed_by_the_front(routed):
    response = routed.get("/robots.txt", headers={"Cookie": "a=b", "Authorization": "c"})
    assert response.body == b"User-agent: *\n"
    assert "detail=static" in response.get("cache-status") and is_hit(response)
    again = routed.get("/robots.txt", headers={"If-None-Match": response.get("etag")})
    assert (again.status, again.body) == (304, b"")
    head = routed.get("/robots.txt", method="HEAD")
    assert (head.body, head.get("content-length")) == (b"", "14")


def test_a_reload_renders_static_routes_anew(tmp_path):
    """“rendered once at worker start, replayed from the front, re-rendered at reload”"""
    news = tmp_path / "news"
    news.write_text("old")
    environment = {"NEWS": str(news)}
    with serve("routed:quart_app", "--factory", venv=True, env=environment) as server:
        assert server.get("/news").body == b"old"
        news.write_text("new")
        assert server.get("/news").body == b"old"
        server.signal(signal.SIGHUP)
        wait_for(lambda: server.get("/news").body == b"new", "the new rendering")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("zq.static_route('/about', lambda: 1 / 0)", "static_route /about .*failed"),
        ("zq.static_route('/x', 'a')\nzq.simple_json('/x')(lambda: 1)", "GET /x is declared twice"),
        ("zq.static_route('/x', b'x' * (1 << 20))", "static_route /x .*1048576|at most"),
    ],
)
def test_an_error_at_start_names_the_route(tmp_path, source, why):
    (tmp_path / "wrong.py").write_text(f"import zq\nasync def app(*_): ...\n{source}\n")
    with serve("wrong:app", app_dir=tmp_path, ready=False) as server:
        assert server.wait() == 1
        assert re.search(why, server.log), server.log
