"""What operators change of the cache at run time: bypass rules by path, and the switch."""

import json
import os
import signal

import pytest

from harness import APPS, Client, serve, wait_for
from test_admin import administered, api, command, directory, stored  # noqa: F401


@pytest.fixture
def server(directory):  # noqa: F811
    with administered(directory) as running:
        yield running


def status(server, target):
    return server.get(target).get("cache-status")


def test_a_rule_takes_effect_at_once_and_what_is_stored_stays(server):
    target, other = stored(server), stored(server)
    assert server.command("cache", "bypass", "add", target[:-1] + "*") == (
        0,
        target[:-1] + "*\n",
        "",
    )
    # Every connection of every thread; neither replayed nor stored.
    assert {status(server, target) for _ in range(20)} == {"zq; fwd=bypass; detail=app"}
    assert server.command("cache", "bypass", "rm", target[:-1] + "*") == (0, "", "")
    assert "; hit" in status(server, target)
    assert "; hit" in status(server, other)


def test_the_commands(server):
    assert server.command("cache", "bypass", "ls") == (0, "", "")
    assert server.command("cache", "bypass", "add", "/b/*")[0] == 0
    assert server.command("cache", "bypass", "add", "HTTP://Test/ä")[1] == (
        "/b/*\nhttp://test/%C3%A4\n"
    )
    assert server.command("cache", "bypass", "ls")[1].splitlines()[0] == "/b/*"
    assert "bypass           2\n" in server.command("cache", "stat")[1]
    code, _, error = server.command("cache", "bypass", "rm", "/none")
    assert code == 1 and "there is no such rule" in error
    for words in (["add"], ["rm"], ["ls", "/x"], [], ["mv", "/x"], ["add", "/x", "/y"]):
        code, out, error = server.command("cache", "bypass", *words)
        assert (code, out) == (2, "") and error.startswith("zq cache: "), words
    code, _, error = server.command("cache", "bypass", "add", "/a b")
    assert code == 2 and "holds a space" in error


def test_the_api(server):
    add = {"pattern": ["/one", "http://test/two*"]}
    response = api(server, "/cache/bypass/add", "POST", add)
    assert response.status == 200
    assert json.loads(response.body) == {"bypass": add["pattern"]}
    assert status(server, "/two/x") == "zq; fwd=bypass; detail=app"
    assert "fwd=bypass" not in status(server, "/three")
    response = api(server, "/cache/bypass/rm", "POST", {"pattern": "/one"})
    assert json.loads(response.body) == {"bypass": ["http://test/two*"]}
    assert json.loads(api(server, "/cache/bypass").body) == {"bypass": ["http://test/two*"]}
    for body in ({}, {"patterns": "/a"}, {"pattern": True}, [], b"x", {"pattern": ["/a", 1]}):
        assert api(server, "/cache/bypass/add", "POST", body).status == 400
    assert api(server, "/cache/bypass/add", "POST", {"pattern": "/a#b"}).status == 400
    assert api(server, "/cache/bypass/rm", "POST", {"pattern": "/nope"}).status == 404
    assert api(server, "/cache/bypass/add").status == 405
    many = {"pattern": [f"/{i}" for i in range(64)]}
    assert api(server, "/cache/bypass/add", "POST", many).status == 409  # 1 and 64 are too many


def kill_front(server):
    """The front dies; super starts another on the same sockets."""
    (front,) = server.children()["front"]
    os.kill(front, signal.SIGKILL)
    wait_for(lambda: set(server.children()["front"]) - {front}, "a new front")

    def answers():
        try:
            return api(server, "/cache/stat").status == 200
        except OSError:
            return False

    wait_for(answers, "its admin listener")
    wait_for(lambda: server.get("/page").status == 200, "its workers")


def test_a_new_front_knows_the_rules_and_the_switch(directory):  # noqa: F811
    path = directory / "admin.sock"
    options = (f"--admin-uds={path}", "--cache-bypass=/first*", "--cache-bypass=/second*")
    with serve("purging:app", *options, env={"DATA": str(directory)}) as running:
        running.admin = str(path)
        assert status(running, "/first?x") == "zq; fwd=bypass; detail=app"
        assert api(running, "/cache/bypass/rm", "POST", {"pattern": "/first*"}).status == 200
        assert api(running, "/cache/bypass/add", "POST", {"pattern": "/third*"}).status == 200
        kill_front(running)
        left = json.loads(api(running, "/cache/bypass").body)
        assert left == {"bypass": ["/second*", "/third*"]}
        assert status(running, "/third") == "zq; fwd=bypass; detail=app"
        assert json.loads(api(running, "/cache/stat").body)["on"] is True
        assert api(running, "/cache/off", "POST").status == 200
        kill_front(running)
        assert json.loads(api(running, "/cache/stat").body)["on"] is False
        assert json.loads(api(running, "/cache/bypass").body) == left


def test_the_rules_of_the_command_line(directory):  # noqa: F811
    options = ("--cache-bypass=/a*,/b*", "--no-admin")
    with serve("purging:app", *options, env={"DATA": str(directory)}) as running:
        assert status(running, "/b") == "zq; fwd=bypass; detail=app"
        assert "fwd=bypass" not in status(running, "/c")


def test_a_comma_in_a_rule(directory):  # noqa: F811
    """As in every option that is a list, it has a backslash in front of it."""
    path = directory / "admin.sock"
    options = (r"--cache-bypass=/a\,b,/c\\d", r"--cache-bypass=/e,/f\,", f"--admin-uds={path}")
    env = {"DATA": str(directory)}
    with serve("purging:app", *options, env=env) as running:
        running.admin = str(path)
        for bypassed in ("/a,b", r"/c\d", "/e", "/f,"):
            assert status(running, bypassed) == "zq; fwd=bypass; detail=app"
        for other in ("/a", "/b", "/f"):
            assert "fwd=bypass" not in status(running, other)
        assert command("cache", "bypass", "add", "/g,h", uds=path)[0] == 0  # no list
        assert status(running, "/g,h") == "zq; fwd=bypass; detail=app"
        kill_front(running)
        left = json.loads(api(running, "/cache/bypass").body)["bypass"]
        assert left == ["/a,b", r"/c\d", "/e", "/f,", "/g,h"]
    with serve("purging:app", "--no-admin", env=env | {"ZQ_CACHE_BYPASS": r"/a\,b,/c"}) as running:
        assert status(running, "/a,b") == status(running, "/c") == "zq; fwd=bypass; detail=app"


WRONG = {
    "/a#b": "has a fragment",
    "/a b": "holds a space",
    "admin/*": "matches no URL: it begins neither with / nor with http:// or https:// nor with *",
    "example.org/*": "matches no URL",
    "ftp://example.org/*": "matches no URL",
    "/" + "x" * 1000: "is too long",
}


@pytest.mark.parametrize("pattern", WRONG)
def test_a_wrong_rule_of_the_command_line(pattern):
    options = (f"--app-dir={APPS}", "--port=0", f"--cache-bypass=/a,{pattern}", "--no-admin")
    code, out, error = command("serve", "basic:app", *options)
    assert (code, out) == (2, "")  # README: 2 for a wrong command line
    assert error.startswith(f"zq serve: --cache-bypass: `{pattern[:200]}` {WRONG[pattern]}")
    assert error.endswith("Try `zq serve --help`.\n") and error.count("\n") == 2


def test_too_many_rules_on_the_command_line():
    rules = ",".join(f"/{i}" for i in range(65))
    options = (f"--app-dir={APPS}", "--port=0", f"--cache-bypass={rules}", "--no-admin")
    code, _, error = command("serve", "basic:app", *options)
    assert code == 2
    assert "--cache-bypass: `/64` is one too many: there are at most 64" in error


@pytest.mark.parametrize("pattern", WRONG)
def test_a_wrong_rule_at_run_time(server, pattern):
    code, out, error = server.command("cache", "bypass", "add", pattern)
    assert (code, out) == (2, "")
    assert error.startswith(f"zq cache: {pattern[:90]}: {WRONG[pattern]}")
    assert server.command("cache", "bypass", "ls") == (0, "", "")


def test_all_rules_fit_into_what_super_keeps(server):
    """64 rules of the greatest length, each byte of which is kept as an escape."""
    rules = [f"/{i:02}" + "é" * 166 for i in range(64)]  # 3 + 166 × 6 = 999 bytes
    with Client(server.admin) as client:
        body = json.dumps({"pattern": rules}, ensure_ascii=False).encode()
        assert client.request("/cache/bypass/add", "POST", body=body).status == 200
    before = json.loads(api(server, "/cache/bypass").body)["bypass"]
    assert len(before) == 64 and all(len(rule) == 999 for rule in before)
    kill_front(server)
    assert json.loads(api(server, "/cache/bypass").body)["bypass"] == before
