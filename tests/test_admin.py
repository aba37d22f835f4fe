"""The admin listener, over its Unix domain socket and TCP, and the commands that speak with it."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import tempfile

import pytest

from harness import ZQ, Client, serve, wait_for

TOKEN = "0123456789abcdefghijklmnopqrstuv"


@pytest.fixture
def directory(tmp_path):
    """For sockets: short, and nobody else's."""
    (tmp_path / "value").write_text("old")
    tmp_path.chmod(0o700)
    return tmp_path


@contextlib.contextmanager
def administered(data):
    """A server with its admin socket, and what its application reads, in the directory `data`."""
    path = data / "admin.sock"
    options = ("--front-threads=2", f"--admin-uds={path}", "--no-access-log")
    with serve("purging:app", *options, env={"DATA": str(data)}) as server:
        server.admin = str(path)
        server.command = lambda *words, **kw: command(*words, uds=path, **kw)
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    data = tmp_path_factory.mktemp("admin")
    (data / "value").write_text("old")
    with administered(data) as server:
        yield server


def command(*words, uds=None, env=None):
    """`zq WORDS`: (exit status, standard output, standard error)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "XDG_"))}
    if uds is not None:
        environment["ZQ_ADMIN_UDS"] = str(uds)
    done = subprocess.run(
        [ZQ, *words], capture_output=True, text=True, env=environment | (env or {}), timeout=30
    )
    return done.returncode, done.stdout, done.stderr


def api(server, target, method="GET", body=None, address=None, **headers):
    with Client(address or server.admin) as client:
        content = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.request(target, method, fields, content)


def is_hit(server, target):
    return "; hit" in server.get(target).get("cache-status")


def stored(server, *tags, n=[0]):  # noqa: B006
    """A new stored page."""
    n[0] += 1
    target = f"/page?n={n[0]}" + (f"&cache-tag={','.join(tags)}" if tags else "")
    server.get(target)
    assert is_hit(server, target)
    return target


# ---- the API ----


@pytest.mark.parametrize(
    "body",
    [
        lambda target: {"url": f"http://test{target}"},
        lambda target: {"url": ["/nothing", target]},
        lambda target: {"prefix": "http://test/page"},
        lambda target: {"glob": "*://test/*"},
        lambda target: {"tag": "two"},
        lambda target: {"tag": ["none", "one"], "soft": False},
        lambda target: {"all": True},
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_post_purge(shared, body, soft):
    target = stored(shared, "one", "two")
    response = api(shared, "/purge", "POST", body(target) | ({"soft": True} if soft else {}))
    assert response.status == 200
    numbers = json.loads(response.body)["purges"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert f"fwd={'stale' if soft else 'uri-miss'}" in shared.get(target).get("cache-status")


@pytest.mark.parametrize("soft", [None, "0", "1"])
def test_the_purge_method(shared, soft):
    target = stored(shared)
    headers = {} if soft is None else {"Soft_Purge": soft}
    assert api(shared, target, "PURGE", **headers).status == 200
    fwd = "stale" if soft == "1" else "uri-miss"
    assert f"fwd={fwd}" in shared.get(target).get("cache-status")


@pytest.mark.parametrize(
    "body, error",
    [
        (b"", "the content: is no JSON object"),
        (b"[]", "the content: is no JSON object"),
        (b"{}", "the content: names nothing"),
        (b'{"tag": "a"', "the content: is a JSON object without an end"),
        (b'{"tag": "a"} x', "the content: goes on behind"),
        (b'{"tag": "a}', "the content: has a string without an end"),
        (b'{"tag": "\\ud800"}', "the content: has half a surrogate pair"),
        (b'{"tag": "\\x"}', "the content: has an unknown escape"),
        (b'{"tag": ["a", 1]}', "the content: is no JSON object of strings"),
        (b'{"tag": true}', "tag: is no string"),
        (b'{"all": "yes"}', "all: is neither true nor false"),
        (b'{"tags": "a"}', "tags: is unknown"),
        (b'{"tag": "a", "url": ""}', "url: is empty"),
        (b'{"tag": "a b"}', "tag: holds a space"),
        (b'{"url": "page"}', "url: is neither absolute"),
        (b'{"glob": "*\\n"}', "glob: holds a space or a control"),
        (b'{"prefix": "' + b"/" * 9000 + b'"}', "prefix: is too long"),
    ],
)
def test_bad_input_is_named_and_nothing_is_purged(shared, body, error):
    target = stored(shared, "a")
    response = api(shared, "/purge", "POST", body)
    assert response.status == 400
    assert json.loads(response.body)["error"].startswith(error)
    assert is_hit(shared, target)


@pytest.mark.parametrize(
    "method, target, status",
    [
        ("GET", "/purge", 405),
        ("POST", "/cache/ls", 405),
        ("GET", "/cache/off", 405),
        ("GET", "/", 404),
        ("GET", "/cache/ls?from=x", 400),
        ("GET", "/cache/show", 400),
        ("GET", "/cache/show?url=/page", 400),
        ("GET", "/cache/show?url=http://nowhere/", 404),
    ],
)
def test_what_is_not_there(shared, method, target, status):
    response = api(shared, target, method)
    assert response.status == status
    assert json.loads(response.body)["error"]
    assert (response.get("allow") is not None) == (status == 405)


def test_a_large_body_is_refused(shared):
    body = b'{"tag": "' + b"a" * 300_000 + b'"}'
    assert api(shared, "/purge", "POST", body).status == 413


def test_show_and_list(shared):
    target = stored(shared, "shown", 'a"b\\c')
    response = api(shared, "/cache/show?url=http://test" + target.replace("&", "%26"))
    (item,) = json.loads(response.body)["responses"]
    assert item["url"] == f"http://test{target}"
    assert item["status"] == 200 and item["bytes"] == 3 and item["purged"] is False
    assert 0 <= item["age"] < 30 and 30 < item["ttl"] <= 60
    assert set(item["tags"]) == {"shown", 'a"b\\c'}
    found, following = [], 0
    while following is not None:
        page = json.loads(api(shared, f"/cache/ls?from={following}").body)
        found += [each["url"] for each in page["responses"]]
        following = page["next"]
    assert f"http://test{target}" in found
    stat_ = json.loads(api(shared, "/cache/stat").body)
    assert stat_["responses"] == len(found)


def test_a_long_list_comes_in_parts(shared):
    api(shared, "/purge", "POST", {"all": True})
    targets = {f"http://test{stored(shared, 'listed')}" for _ in range(1300)}
    found, following, parts = [], 0, 0
    while following is not None:
        page = json.loads(api(shared, f"/cache/ls?from={following}").body)
        assert len(page["responses"]) < 1200
        found += [each["url"] for each in page["responses"]]
        following = page["next"]
        parts += 1
    assert parts > 1 and set(found) == targets and len(found) == len(targets)
    status, out, _ = shared.command("cache", "ls")
    assert status == 0 and len(out.splitlines()) == len(targets)
    assert out.count("[listed]") == len(targets)


def test_off_and_on(shared):
    target = stored(shared)
    assert json.loads(api(shared, "/cache/off", "POST").body) == {"on": False}
    assert shared.get(target).get("cache-status") == "zq; fwd=bypass; detail=app"
    assert json.loads(api(shared, "/cache/stat").body)["on"] is False
    assert json.loads(api(shared, "/cache/on", "POST").body) == {"on": True}
    assert is_hit(shared, target)


# ---- who may ----


def test_the_socket_is_the_user_s_own(shared):
    mode = os.stat(shared.admin)
    assert stat.S_IMODE(mode.st_mode) == 0o600 and mode.st_uid == os.geteuid()


SPY = """
import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["SOCKET"])
try:
    s.sendall(b"GET /cache/stat HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    print(s.recv(100))
except ConnectionError:
    print(b"")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_user_is_refused():
    """Even one who can open the socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        pathlib.Path(directory).chmod(0o755)
        path = pathlib.Path(directory) / "admin.sock"
        with serve("basic:app", f"--admin-uds={path}") as server:
            path.chmod(0o666)
            check_refused(server, path)


def check_refused(server, path):
    done = subprocess.run(
        ["/usr/bin/python3", "-c", SPY],
        env={"SOCKET": str(path)},
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == (b"b''\n", b"")
    assert "admin socket: user 65534 is refused" in server.log
    assert command("cache", "stat", uds=path)[0] == 0


@pytest.fixture(scope="module", params=["file", "environment"])
def remote(request, tmp_path_factory):
    data = tmp_path_factory.mktemp("remote")
    (data / "value").write_text("old")
    env = {"DATA": str(data)}
    options = ["--no-admin", "--admin-bind=127.0.0.1:0"]
    if request.param == "file":
        (data / "token").write_text(TOKEN + "\n")
        options.append(f"--admin-token-file={data / 'token'}")
    else:
        env["ZQ_ADMIN_TOKEN"] = TOKEN
    with serve("purging:app", *options, env=env) as server:
        place = next(line for line in server.log.splitlines() if "admin at " in line)
        server.admin = server.address_of(place.split("admin at ")[1])
        yield server


@pytest.mark.parametrize(
    "sent, status",
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}0", 401),
        (f"Bearer {TOKEN * 2}", 401),
        (f"Bearer {TOKEN[:-1]}V", 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
    ],
)
def test_over_tcp_a_token_is_needed(remote, sent, status):
    headers = {} if sent is None else {"Authorization": sent}
    target = stored(remote)
    for method, path, body in [("GET", "/cache/stat", None), ("POST", "/purge", {"all": True})]:
        response = api(remote, path, method, body, **headers)
        assert response.status == status
        assert (response.get("www-authenticate") is not None) == (status == 401)
    assert is_hit(remote, target) == (status == 401)


def test_workers_do_not_see_the_token(remote):
    for pid in remote.children()["worker"]:
        assert TOKEN.encode() not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    for pid in (*remote.children()["worker"], *remote.children()["front"], remote.pid):
        assert TOKEN.encode() not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize(
    "options, env, why",
    [
        (["--admin-bind=127.0.0.1:0"], {}, "needs a token"),
        (["--admin-bind=127.0.0.1:0"], {"ZQ_ADMIN_TOKEN": "a" * 31}, "32 to 4096 bytes"),
        (["--admin-bind=127.0.0.1:0"], {"ZQ_ADMIN_TOKEN": "a " * 31}, "without spaces"),
        (["--admin-bind=127.0.0.1:0", "--admin-token-file=/nonexistent"], {}, "No such file"),
        (["--admin-bind=0.0.0.0:0"], {"ZQ_ADMIN_TOKEN": TOKEN}, "--admin-remote"),
        (["--admin-bind=8000"], {"ZQ_ADMIN_TOKEN": TOKEN}, "ADDRESS:PORT"),
        (["--admin-uds=/nonexistent/a.sock"], {}, "/nonexistent/a.sock"),
    ],
)
def test_it_does_not_start_open_to_others(directory, options, env, why):
    with serve("basic:app", *options, env=env, ready=False) as server:
        assert server.wait() == 1
        assert why in server.log


def test_remote_where_that_is_said(directory):
    env = {"ZQ_ADMIN_TOKEN": TOKEN}
    with serve("basic:app", "--admin-bind=0.0.0.0:0", "--admin-remote", env=env) as server:
        assert "admin at http://0.0.0.0:" in server.log


# ---- where the socket is ----


def test_the_default_place(directory):
    env = {"XDG_RUNTIME_DIR": str(directory)}
    with serve("basic:app", env=env) as server:
        path = directory / f"zq-{server.address[1]}.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert command("cache", "stat", env=env)[0] == 0
        with serve("basic:app", env=env) as other:
            status, _, error = command("cache", "stat", env=env)
            assert status == 1 and "several run here" in error and str(path) in error
            assert command("cache", "stat", f"--admin-uds={path}", env=env)[0] == 0
            assert (directory / f"zq-{other.address[1]}.sock").exists()
        assert command("cache", "stat", env=env)[0] == 0
    assert not path.exists()
    status, _, error = command("cache", "stat", env=env)
    assert status == 1 and "no zq of this user runs here" in error


def test_a_directory_that_others_can_write_is_not_used(directory):
    directory.chmod(0o777)
    with serve("basic:app", env={"XDG_RUNTIME_DIR": str(directory)}) as server:
        assert not list(directory.glob("zq-*"))
        assert server.get("/").status == 200


def test_no_admin(directory):
    with serve("basic:app", "--no-admin", env={"XDG_RUNTIME_DIR": str(directory)}):
        assert not list(directory.glob("zq-*"))


def test_a_new_front_has_the_socket_again(directory):
    path = directory / "admin.sock"
    options = (f"--admin-uds={path}", "--admin-bind=127.0.0.1:0")
    env = {"ZQ_ADMIN_TOKEN": TOKEN, "DATA": str(directory)}
    with serve("purging:app", *options, env=env) as server:
        (front,) = server.children()["front"]
        server.admin = str(path)
        target = stored(server)
        os.kill(front, signal.SIGKILL)
        wait_for(lambda: server.children()["front"] not in ([], [front]), "a new front")
        wait_for(lambda: command("cache", "stat", uds=path)[0] == 0, "its admin socket")
        wait_for(lambda: server.get(target).status == 200, "its workers")
        assert is_hit(server, target)
        assert server.get("/purge?all=").status == 200
        assert not is_hit(server, target)
        place = next(line for line in server.log.splitlines() if "admin at " in line)
        tcp = server.address_of(place.split("admin at ")[1])
        token = {"Authorization": f"Bearer {TOKEN}"}
        assert api(server, "/cache/stat", address=tcp, **token).status == 200
        assert api(server, "/cache/stat", address=tcp).status == 401


def test_a_purge_without_a_front_says_so(directory):
    """Super is stopped, so that there is no new one."""
    path = directory / "admin.sock"
    env = {"DATA": str(directory)}
    with serve("purging:app", f"--admin-uds={path}", env=env) as server:
        (front,) = server.children()["front"]
        with server.client() as client:
            client.send_request("/purge-later?gate=g&tag=a")
            wait_for((directory / "g.read").exists, "the call")
            server.signal(signal.SIGSTOP)
            os.kill(front, signal.SIGKILL)
            state = pathlib.Path(f"/proc/{front}/stat")
            wait_for(lambda: ") Z " in state.read_text(), "the front's end")
            (directory / "g.read.go").touch()
            wait_for((directory / "g.result").exists, "the purge's end")
        assert (
            (directory / "g.result")
            .read_text()
            .startswith("PurgeError: the front cannot be reached")
        )
        server.signal(signal.SIGCONT)
        wait_for(lambda: command("purge", "--all", uds=path)[0] == 0, "a new front")
        wait_for(lambda: server.get("/page").status == 200, "a response")


# ---- the commands ----


@pytest.mark.parametrize(
    "words",
    [
        lambda target: [f"http://test{target}"],
        lambda target: [target],
        lambda target: ["--tag", "one"],
        lambda target: ["--tag=none", "--tag=one"],
        lambda target: ["--prefix", "/page"],
        lambda target: ["--glob=*test/page*"],
        lambda target: ["--all"],
        lambda target: ["--tag", "none", "--prefix", "/none", "--glob", "/page*", "/none"],
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_zq_purge(shared, words, soft):
    target = stored(shared, "one")
    status, out, error = shared.command("purge", *words(target), *(["--soft"] if soft else []))
    assert (status, error) == (0, "")
    lines = out.splitlines()
    assert len(lines) in (1, 2, 4)
    for line in lines:
        assert line.split()[0].isdigit() and ("soft" in line.split()) == soft
    fwd = "stale" if soft else "uri-miss"
    assert f"fwd={fwd}" in shared.get(target).get("cache-status")


@pytest.mark.parametrize(
    "words, why",
    [
        (["purge"], "what? Give a URL"),
        (["purge", "--soft"], "what? Give a URL"),
        (["purge", "--tag"], "--tag needs a value"),
        (["purge", "--tga", "x"], "did you mean `--tag`?"),
        (["purge", "--tag", "a,b"], "tag: holds a comma"),
        (["purge", "page"], "url: is neither absolute"),
        (["cache"], "what? Give ls"),
        (["cache", "lst"], "did you mean `ls`?"),
        (["cache", "show"], "show needs an absolute URL"),
        (["cache", "show", "/page"], "url: is no absolute URL"),
        (["cache", "stat", "x"], "one argument too many"),
        (["cache", "--nope"], "there is no option `--nope`"),
    ],
)
def test_wrong_command_lines(shared, words, why):
    status, out, error = shared.command(*words)
    assert (status, out) == (2, "")
    assert why in error and error.startswith(f"zq {words[0]}: ")


def test_zq_cache(shared):
    target = stored(shared, "seen")
    url = f"http://test{target}"
    status, out, _ = shared.command("cache", "show", url)
    line, key = out.splitlines()
    assert status == 0 and f"{url} [seen]" in line and key.startswith("promoted: ")
    assert shared.command("cache", "show", "http://test/none")[0] == 1
    status, out, _ = shared.command("cache", "stat")
    assert status == 0 and out.startswith("cache            on\n")
    assert shared.command("cache", "off") == (0, "the cache is off\n", "")
    assert not is_hit(shared, target)
    assert shared.command("cache", "on") == (0, "the cache is on\n", "")
    assert is_hit(shared, target)


def test_a_server_without_a_cache(directory):
    path = directory / "admin.sock"
    with serve("basic:app", "--no-cache", f"--admin-uds={path}"):
        assert command("purge", "--all", uds=path)[0] == 0
        status, _, error = command("cache", "on", uds=path)
        assert status == 1 and "started without a cache" in error


@pytest.mark.parametrize("words", [["purge", "--help"], ["help", "purge"], ["cache", "-h"]])
def test_help(words):
    status, out, _ = command(*words)
    assert status == 0 and out.startswith("Usage: zq ")
    assert "zq purge" in command("--help")[1] and "zq cache" in command("--help")[1]


def test_what_is_no_zq_at_the_socket(directory):
    path = directory / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        process = subprocess.Popen([ZQ, "cache", "stat", f"--admin-uds={path}"], stderr=-1)
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(b"SSH-2.0-x\r\n")
        connection.close()
        assert b"what answers there is no zq" in process.communicate(timeout=30)[1]
        assert process.returncode == 1
