"""Purging over real sockets: what goes, when, and what becomes of calls that are under way."""

import json
import threading
import urllib.parse

import pytest

from harness import Client, serve, wait_for

serial = 0


class Site:
    """A server of tests/apps/purging.py, its value, and its gates."""

    def __init__(self, server, data):
        self.server = server
        self.data = data

    def page(self, path="/page", **query):
        """A target of its own."""
        global serial
        serial += 1
        return f"{path}?" + urllib.parse.urlencode({"n": serial, **query})

    def get(self, target, **options):
        return self.server.get(target, **options)

    def is_hit(self, target, **options):
        return "; hit" in self.get(target, **options).get("cache-status")

    def purge(self, path="/purge", **query):
        response = self.get(f"{path}?" + urllib.parse.urlencode(query))
        assert response.status == 200, response
        return response.body.decode()

    def write(self, value):
        (self.data / "value").write_text(value)

    @property
    def calls(self):
        return (self.data / "calls").stat().st_size

    def start(self, target):
        """A request in a thread of its own; its result is a list."""
        got = []
        thread = threading.Thread(target=lambda: got.append(self.get(target)))
        thread.start()
        return Running(thread, got)

    def wait_for_gate(self, gate, point):
        wait_for((self.data / f"{gate}.{point}").exists, f"the gate {gate}.{point}")

    def open_gate(self, gate, *points):
        for point in points:
            (self.data / f"{gate}.{point}.go").touch()


class Running:
    def __init__(self, thread, got):
        self.thread = thread
        self.got = got

    def body(self):
        self.thread.join(30)
        assert self.got and self.got[0].status == 200 and self.got[0].complete, self.got
        return self.got[0].body.decode()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    data = tmp_path_factory.mktemp("purging")
    (data / "value").write_text("old")
    options = ("--front-threads=3", "--workers=2", "--no-access-log")
    with serve("purging:app", *options, env={"DATA": str(data)}) as server:
        yield Site(server, data)


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize(
    "named",
    [
        lambda target: {"url": f"http://test{target}"},
        lambda target: {"url": target},
        lambda target: {"prefix": "http://test/page"},
        lambda target: {"prefix": "/pa"},
        lambda target: {"prefix": "http://test"},
        lambda target: {"glob": "*://test/*n=*"},
        lambda target: {"glob": "/p*"},
        lambda target: {"tag": "company:42"},
        lambda target: {"tag": "second"},
        lambda target: {"tags": "none,second"},
        lambda target: {"all": ""},
    ],
    ids="url path prefix path-prefix host glob path-glob tag second-tag tags all".split(),
)
def test_what_is_named_is_purged(site, named, soft):
    target = site.page(**{"cache-tag": "company:42, second"})
    site.get(target)
    assert site.is_hit(target)
    site.purge(**named(target), **({"soft": 1} if soft else {}))
    again = site.get(target)
    assert f"fwd={'stale' if soft else 'uri-miss'}" in again.get("cache-status")
    assert site.is_hit(target)


@pytest.mark.parametrize(
    "named",
    [
        {"url": "http://test/page"},
        {"url": "https://test/page?n=1"},
        {"prefix": "http://tes"},
        {"prefix": "/pagee"},
        {"glob": "/page"},
        {"glob": "*://elsewhere/*"},
        {"tag": "company:4"},
        {"tag": "Company:42"},
    ],
)
def test_what_is_not_named_stays(site, named):
    target = site.page(**{"surrogate-key": "company:42 second"})
    site.get(target)
    site.purge(**named)
    assert site.is_hit(target)


def test_clients_do_not_see_tags(site):
    target = site.page(**{"cache-tag": "a", "surrogate-key": "b"})
    for response in (site.get(target), site.get(target)):
        assert response.get("cache-tag") is None and response.get("surrogate-key") is None
        assert response.get("x-pid")


def test_clients_see_tags_where_that_is_asked_for(tmp_path):
    (tmp_path / "value").write_text("x")
    env = {"DATA": str(tmp_path)}
    with serve("purging:app", "--cache-tags-header", env=env) as server:
        for _ in range(2):
            response = server.get("/page?cache-tag=a,b&surrogate-key=c+d")
            assert response.get("cache-tag") == "a,b"
            assert response.get("surrogate-key") == "c d"


def test_it_is_effective_on_all_threads_before_it_returns(site):
    """From either worker; the next requests come over connections of every I/O thread."""
    target = site.page(**{"cache-tag": "everywhere"})
    clients = [Client(site.server.address) for _ in range(12)]
    pids = set()
    for round_ in range(30):
        if round_ == 15:  # one worker is busy: the other gets the rest
            busy = site.start(site.page(gate="busy"))
            site.wait_for_gate("busy", "read")
        site.write(f"value {round_}")
        pids.add(site.purge(tag="everywhere"))
        for client in clients:
            assert client.request(target).body == f"value {round_}".encode()
    assert len(pids) == 2
    site.open_gate("busy", "read", "head", "half")
    busy.body()
    for client in clients:
        client.close()


@pytest.mark.parametrize("named", [{"tag": "t"}, {"url": None}, {"prefix": "/page"}, {"all": ""}])
@pytest.mark.parametrize("point", ["read", "head", "half"])
@pytest.mark.parametrize("old_first", [True, False], ids=["old-first", "new-first"])
def test_write_commit_purge_leaves_nothing_stale(site, named, point, old_first):
    """A view has read the old value and is stopped; then the value is written and purged. Whoever
    waited gets the old answer; nobody who asks after the purge does, then or ever."""
    site.write("old")
    gate = f"gate{serial}"
    target = site.page(gate=gate, **{"cache-tag": "t"})
    named = {kind: target if text is None else text for kind, text in named.items()}
    points = ["read", "head", "half"]
    leader = site.start(target)
    site.wait_for_gate(gate, "read")
    before = joined(site)
    waiter = site.start(target)
    wait_for(lambda: joined(site) > before, "the waiter to join")
    at = points.index(point)
    site.open_gate(gate, *points[:at])
    site.wait_for_gate(gate, point)
    calls = site.calls
    site.purge(write="new", **named)
    if old_first:
        site.open_gate(gate, *points)
        assert leader.body() == "old"
        assert waiter.body() == "old"
    late = site.start(target)
    wait_for(lambda: site.calls > calls, "another call")
    if not old_first:
        site.open_gate(gate, *points)
        assert leader.body() == "old"
        assert waiter.body() == "old"
    assert late.body() == "new"
    assert site.get(target).body == b"new"
    assert site.is_hit(target)


def joined(site):
    return json.loads(site.get("/info").body)["joined"]


def test_from_another_thread_s_loop(site):
    target = site.page(**{"cache-tag": "elsewhere"})
    site.get(target)
    site.purge("/purge-elsewhere", tag="elsewhere")
    assert not site.is_hit(target)


def test_many_at_once(site):
    before = json.loads(site.get("/info").body)["purges"]
    assert site.purge("/purge-many", n=300) == "[]"
    purges = json.loads(site.get("/info").body)["purges"] - before
    assert 200 <= purges <= 300


@pytest.mark.parametrize(
    "query, error",
    [
        ("", "TypeError: purge() takes one of"),
        ("tag=a&url=/", "TypeError: purge() takes one of"),
        ("tag=", "ValueError: tag is empty"),
        ("tag=a%2Cb", "ValueError: tag: holds a comma"),
        ("tag=a+b", "ValueError: tag: holds a space"),
        ("url=page", "ValueError: url: is neither absolute"),
        ("url=ftp://h/page", "ValueError: url: is neither absolute"),
        ("prefix=http://", "ValueError: prefix: is neither absolute"),
        ("url=/a%23b", "ValueError: url: has a fragment"),
    ],
)
def test_arguments_that_name_nothing(site, query, error):
    response = site.get(f"/purge?{query}")
    assert response.status == 500
    assert response.body.decode().startswith(error)


def test_cache_info(site):
    target = site.page(**{"cache-tag": "info"})
    site.get(target)
    site.get(target)
    info = json.loads(site.get("/info").body)
    assert info["on"] is True
    assert info["size"] == 64 << 20
    assert 0 < info["used"] <= info["size"]
    assert info["responses"] >= 1 and info["tags"] >= 1 and info["hits"] >= 1
    assert info["promoted"] >= 1 and isinstance(info["reasons"], dict)
    assert set(info) == set(
        "on size used responses compressed compressed_bytes tags bypass promoted demoted sweeping "
        "hits joined misses stored evicted purged purges promotions demotions reasons".split()
    )


def test_memory_is_given_back(site):
    for _ in range(200):
        site.get(site.page(**{"cache-tag": "many"}))
    site.purge(all="")
    wait_for(lambda: json.loads(site.get("/info").body)["used"] < 20000, "the sweep")
