"""Published attacks on shared caches, against an application that believes everything
(apps/gullible.py). Each case names its source:

  PWCP   J. Kettle, Practical Web Cache Poisoning, 2018
  WCE    J. Kettle, Web Cache Entanglement, 2020
  GCEA   M. Doyhenard, Gotta Cache 'em all: bending the rules of web cache exploitation, 2024
  WCD    O. Gil, Web Cache Deception Attack, 2017
  CCC    S. A. Mirheidari et al., Cached and Confused: Web Cache Deception in the Wild, 2020
  CPDOS  H. V. Nguyen, L. Lo Iacono, H. Federrath, Your Cache Has Fallen, 2019 (HHO, HMC, HMO)
  SPLIT  A. Klein, Divide and Conquer: HTTP Response Splitting, Web Cache Poisoning, 2004
  SMUG   J. Kettle, HTTP Desync Attacks: Request Smuggling Reborn, 2019
"""

import json
import threading
import time

import pytest

from harness import serve

MARK = "evil.example"
VICTIM = {"Cookie": "session=victim"}
serial = 0


@pytest.fixture(scope="module")
def server():
    """Nobody's forwarding fields are believed: clients reach zq directly."""
    with serve("gullible:app", "--forwarded-allow-ips=192.0.2.1", "--front-threads=2") as running:
        yield running


def unique(path="/page", query=""):
    global serial
    serial += 1
    return f"{path}?n={serial}-{time.monotonic_ns()}" + (f"&{query}" if query else "")


def is_replayed(server, target, **options):
    first, second = server.get(target, **options), server.get(target, **options)
    return first.get("x-call") == second.get("x-call")


# ---- poisoning by what is not in the key ----

UNKEYED = [
    ("PWCP", "X-Forwarded-Host", MARK),
    ("PWCP", "X-Forwarded-Host", f"test, {MARK}"),
    ("PWCP", "X-Forwarded-Scheme", "nothttps"),
    ("PWCP", "X-Forwarded-Proto", MARK),
    ("PWCP", "X-Forwarded-Server", MARK),
    ("PWCP", "X-Forwarded-Port", "1"),
    ("PWCP", "X-Forwarded-Prefix", f"//{MARK}"),
    ("PWCP", "X-Host", MARK),
    ("PWCP", "Forwarded", f"host={MARK}"),
    ("PWCP", "X-Original-URL", "/admin"),
    ("PWCP", "X-Rewrite-URL", "/admin"),
    ("PWCP", "X-Original-Host", MARK),
    ("WCE", "X-HTTP-Host-Override", MARK),
    ("WCE", "X-Forwarded-SSL", "off"),
    ("WCE", "X-Scheme", MARK),
    ("WCE", "X-Url-Scheme", MARK),
    ("WCE", "Front-End-Https", "on"),
    ("WCE", "X-Script-Name", f"/{MARK}"),
    ("PWCP", "X-Real-IP", "203.0.113.66"),
    ("PWCP", "X-Client-IP", "203.0.113.66"),
    ("PWCP", "True-Client-IP", "203.0.113.66"),
    ("CPDOS", "X-HTTP-Method-Override", "DELETE"),
    ("CPDOS", "X-HTTP-Method", "POST"),
    ("CPDOS", "X-Method-Override", "PUT"),
]


@pytest.mark.parametrize(("source", "name", "value"), UNKEYED)
def test_unkeyed_headers_do_not_reach_others(server, source, name, value):
    """What claims to be another host, scheme, client, path or method than the key has is answered,
    and never stored."""
    target = unique()
    attack = server.get(target, headers={name: value})
    assert json.loads(attack.body)["fields"][name.lower()] == value
    clean = server.get(target)
    assert clean.status == 200 and name.lower() not in json.loads(clean.body)["fields"]
    again = server.get(target)
    assert "hit" in again.get("cache-status") and again.body == clean.body


@pytest.fixture(scope="module")
def proxied():
    """Its clients are all trusted proxies, which hand on what they do not know."""
    with serve("gullible:app", "--forwarded-allow-ips=*", "--front-threads=2") as running:
        yield running


OF_THE_CLIENT = {"X-Real-IP", "X-Client-IP", "True-Client-IP"}  # for nobody's answer for all
HANDED_ON = [(s, n, v) for s, n, v in UNKEYED if n not in OF_THE_CLIENT] + [
    ("PWCP", "X-Forwarded-User", "mallory"),
    ("PWCP", "X-Forwarded-Host", "not a host"),
]


@pytest.mark.parametrize(("source", "name", "value"), HANDED_ON)
def test_what_a_trusted_proxy_hands_on_reaches_only_its_like(proxied, source, name, value):
    """PWCP, behind a proxy that sets some forwarding fields and passes on the others: what may choose
    the answer selects among them. “Two users' sessions never meet in the cache, whatever the
    application's headers forget”: X-Forwarded-User is one."""
    target = unique()
    proxied.get(target, headers={name: value})
    for _ in range(2):
        clean = proxied.get(target)
        assert name.lower() not in json.loads(clean.body)["fields"]
    assert "hit" in clean.get("cache-status")


def test_what_a_proxy_says_of_all_requests_costs_no_hit(proxied):
    fields = {"X-Forwarded-Port": "443", "X-Forwarded-Prefix": "/app", "X-Forwarded-Proto": "https"}
    target = unique()
    first = proxied.get(target, headers=fields | {"X-Forwarded-For": "192.0.2.1"})
    second = proxied.get(target, headers=fields | {"X-Forwarded-For": "192.0.2.2"})
    assert "hit" in second.get("cache-status") and second.body == first.body
    assert second.get("vary") is None


AMBIGUOUS = ["X_Forwarded_Host", "X_HTTP_Method_Override", "Accept_Language", "If_None_Match", "_"]


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_underscores_do_not_reach_others(server, name):
    """PWCP, under another name: RFC 3875 4.1.18 makes one variable of `X_Forwarded_Host` and
    `X-Forwarded-Host`, and frameworks that have their fields so cannot tell them apart."""
    target = unique()
    attack = server.get(target, headers={name: MARK})
    assert json.loads(attack.body)["fields"][name.lower()] == MARK
    clean = server.get(target)
    assert "hit" not in clean.get("cache-status") and MARK not in clean.body.decode()
    assert server.get(target, headers={name: MARK}).body == clean.body


@pytest.mark.parametrize("attack", ["TEST", "test:80", "Test:80"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_host_that_is_spelled_otherwise(server, attack, absolute):
    """WCE, unkeyed port: hosts that share a key look the same to the application, too."""
    target = unique()
    asked = f"http://{attack}{target}" if absolute else target
    poisoned = server.get(asked, host="other" if absolute else attack)
    assert json.loads(poisoned.body)["fields"]["host"] == "test"
    clean = server.get(target, host="test")
    assert "hit" in clean.get("cache-status") and clean.body == poisoned.body


@pytest.mark.parametrize(("source", "name", "value"), UNKEYED)
def test_nobody_waits_for_a_poisoned_answer(server, source, name, value):
    """The same while the attacker's request is under way: to join it would be as bad."""
    target = unique(query="sleep=0.2")
    with server.client() as attacker, server.client() as victim:
        attacker.send_request(target, headers={name: value})
        time.sleep(0.05)
        victim.send_request(target)
        assert name.lower() not in json.loads(victim.response().body)["fields"]
        attacker.response()


@pytest.mark.parametrize(
    ("source", "attack", "victim"),
    [
        ("WCE, unkeyed port", {"host": "test:1337"}, {"host": "test"}),
        ("PWCP, host in the key", {"host": MARK}, {"host": "test"}),
        ("WCE, unkeyed query", {"target": "?a=1&x=<script>"}, {"target": "?a=1"}),
        ("WCE, parameter cloaking", {"target": "?a=1;a=evil"}, {"target": "?a=1"}),
        ("WCE, parameter cloaking", {"target": "?a=1&utm_content=x;a=evil"}, {"target": "?a=1"}),
        ("WCE, parameter pollution", {"target": "?a=1&a=evil"}, {"target": "?a=1"}),
        ("WCE, key injection", {"target": "?a=1__evil"}, {"target": "?a=1"}),
        ("WCE, cache key normalisation", {"target": "?a=%3Cscript%3E"}, {"target": "?a=<script>"}),
        ("GCEA, path normalisation", {"target": "/b/..%2fadmin"}, {"target": "/admin"}),
        ("GCEA, path normalisation", {"target": "//page"}, {"target": "/page"}),
        ("GCEA, delimiter", {"target": "/page;x"}, {"target": "/page"}),
        ("GCEA, delimiter", {"target": "/page%00x"}, {"target": "/page"}),
        ("GCEA, delimiter", {"target": "/page%23x"}, {"target": "/page"}),
        ("GCEA, delimiter", {"target": "/page%3fx"}, {"target": "/page?x"}),
        ("GCEA, letter case", {"target": "/PAGE"}, {"target": "/page"}),
    ],
)
def test_keys_are_never_coarser_than_the_application(server, source, attack, victim):
    """Whatever the application could tell apart has a key of its own."""

    def ask(what):
        target = what.get("target", "/page")
        path, mark, query = target.partition("?")
        return server.get(f"{path}?{nonce}&{query}" if mark else f"{path}?{nonce}", host=what.get(
            "host", "test"
        ))  # fmt: skip

    nonce = unique().partition("?")[2]
    poisoned = ask(attack)
    if poisoned.status == 400:  # refused before it could be told apart
        return
    clean = ask(victim)
    assert clean.get("x-call") != poisoned.get("x-call")
    assert ask(victim).body == clean.body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_fat_get(server, method):
    """WCE: a GET with content, which is in no key, is neither stored nor answered from the store."""
    target = unique()
    server.get(target, method=method, body=b"param=evil")
    clean = server.get(target)
    assert json.loads(clean.body)["body"] == ""
    assert server.get(target).body == clean.body
    fat = server.get(target, body=b"param=evil")
    assert json.loads(fat.body)["body"] == "param=evil"


def test_fat_get_in_chunks(server):
    """WCE: the same without a Content-Length, and with X-HTTP-Method-Override beside it."""
    target = unique()
    with server.client() as client:
        client.send_request(
            target, headers={"Transfer-Encoding": "chunked", "X-HTTP-Method-Override": "POST"}
        )
        client.send("a\r\nparam=evil\r\n0\r\n\r\n")
        client.response()
    assert json.loads(server.get(target).body)["body"] == ""


def test_a_get_answers_no_post(server):
    """GCEA: methods are told apart, and only GET fills the store."""
    target = unique()
    assert json.loads(server.get(target, method="POST", body=b"x").body)["method"] == "POST"
    assert json.loads(server.get(target).body)["method"] == "GET"
    assert json.loads(server.get(target, method="POST", body=b"x").body)["method"] == "POST"


# ---- denial of service by errors that are kept ----


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        ("CPDOS HHO", {"X-Oversized": "a" * 7000}),
        ("CPDOS HMC", {"X-Meta": "a\x07b"}),
        ("CPDOS HMC", {"X-Meta": "a\x00b"}),
        ("CPDOS HMC", {"X-Meta": "a\x0bb"}),
        ("CPDOS HMC", {"X-Meta": "a\rb"}),
        ("CPDOS HMO", {"X-HTTP-Method-Override": "PATCH"}),
        ("CPDOS HMO", {"X-Method-Override": "PATCH"}),
        ("CPDOS", {"Range": "bytes=99999-"}),
        ("CPDOS", {"If-Match": '"nothing"'}),
        ("CPDOS", {"Expect": "evil"}),
        ("CPDOS", {"Transfer-Encoding": "evil"}),
        ("CPDOS", {"Upgrade": "evil", "Connection": "Upgrade"}),
    ],
)
def test_no_error_page_for_others(server, source, headers):
    """An error that one client's fields have caused is not what the next one gets. (Unless the
    error page itself says that all may have it: RFC 9111 3.)"""
    target = unique()
    assert server.get(target, headers=headers).status in (200, 400, 405, 412, 416, 417, 431)
    assert server.get(target).status == 200
    assert server.get(target).status == 200


# ---- deception: another's page under a name that looks static ----

DECEPTIVE = [
    ("WCD", "/account/x.css"),
    ("WCD", "/account/x.js"),
    ("WCD", "/account/logo.png"),
    ("WCD", "/account/robots.txt"),
    ("WCD", "/account.php/nonexistent.css"),
    ("CCC, encoded newline", "/account%0Ax.css"),
    ("CCC, encoded semicolon", "/account%3Bx.css"),
    ("CCC, semicolon", "/account;x.css"),
    ("CCC, encoded hash", "/account%23x.css"),
    ("CCC, encoded question mark", "/account%3Fx.css"),
    ("CCC, encoded slash", "/account%2Fx.css"),
    ("GCEA, static directory", "/static/..%2faccount"),
    ("GCEA, static directory", "/account/..%2fstatic/x"),
    ("GCEA, static directory", "/assets/%2e%2e/account"),
    ("GCEA, encoded dots", "/static/%2e%2e%2faccount"),
    ("GCEA, backslash", "/static/..%5caccount"),
    ("GCEA, double encoding", "/account%252fx.css"),
    ("GCEA, null", "/account%00x.css"),
    ("GCEA, static file", "/account%2f%2e%2e%2frobots.txt"),
    ("GCEA, dollar", "/account$/x.css"),
    ("GCEA, favicon", "/account%2f..%2ffavicon.ico"),
]


@pytest.mark.parametrize(("source", "path"), DECEPTIVE)
@pytest.mark.parametrize("login", [VICTIM, {"Authorization": "Bearer victim"}])
@pytest.mark.parametrize("control", ["max-age%3D60", ""])
def test_deception(server, source, path, login, control):
    """No path makes a session's page public: only what the response says counts."""
    target = unique(path, f"cc={control}")
    assert "victim" in json.loads(server.get(target, headers=login).body)["who"]
    stolen = server.get(target)
    assert json.loads(stolen.body)["who"] == "nobody"


# ---- sessions that must never meet ----


@pytest.mark.parametrize("first", [VICTIM, {"Authorization": "Bearer victim"}])
@pytest.mark.parametrize(
    "headers",
    [
        "cc=max-age%3D60",
        "cc=max-age%3D60&vary=Accept-Encoding",
        "cc=max-age%3D60&vary=Accept",
        "cc=",
        "cc=private",
        "cc=no-store",
        "cc=no-cache",
        "cc=private,max-age%3D60",
        "cc=max-age%3D60,stale-while-revalidate%3D60",
        "cc=max-age%3D60,stale-if-error%3D60",
        "cc=max-age%3D60,immutable",
        'cc=max-age%3D60,no-cache="set-cookie"',
    ],
)
@pytest.mark.parametrize("path", ["/account", "/login", "/page"])
def test_sessions_never_meet(server, first, headers, path):
    """“Two users' sessions never meet in the cache, whatever the application's headers forget”: all at
    once, and one after the other."""
    target = unique(path, headers + "&sleep=0.05")
    users = [{n: v.replace("victim", f"user{i}") for n, v in first.items()} for i in range(6)]
    users += [{}, {}]
    answers = [None] * len(users)

    def ask(i):
        answers[i] = [server.get(target, headers=users[i]) for _ in range(2)]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(users))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for user, got in zip(users, answers, strict=True):
        mine = next(iter(user.values()), "nobody")
        for response in got:
            # Who has no session may leave a page for all; nobody's own page ever goes to another.
            assert json.loads(response.body)["who"] in (mine, "nobody")
            assert response.get("set-cookie") in (None, f"session={mine}")


def test_a_cookie_that_is_set_reaches_one(server):
    """Set-Cookie is never replayed, nor is what came with it."""
    target = unique("/login", "user=first")
    assert server.get(target).get("set-cookie") == "session=first"
    assert not is_replayed(server, target)


# ---- responses that would be two ----


@pytest.mark.parametrize(
    "value",
    [
        "a%0d%0aSet-Cookie:%20evil=1",
        "a%0d%0a%0d%0a<script>",
        "a%0aSet-Cookie:%20evil=1",
        "a%0dSet-Cookie:%20evil=1",
        "a%00b",
        "a%0d%0aContent-Length:%200%0d%0a%0d%0aHTTP/1.1%20200%20OK%0d%0a%0d%0aevil",
    ],
)
def test_response_splitting(server, value):
    """SPLIT: a header with a line's end in it is an error of the application, and is not kept."""
    target = unique(query=f"tell={value}")
    for _ in range(2):
        with server.client() as client:
            response = client.request(target)
            assert response.status == 500
            assert response.get("set-cookie") is None and response.get("x-told") is None
            assert client.request(unique()).status == 200  # nothing was left behind


@pytest.mark.parametrize("value", ["%e5%98%8a%e5%98%8dSet-Cookie:%20evil=1", "%c4%8d%c4%8aevil:1"])
def test_response_splitting_by_folded_characters(server, value):
    """SPLIT, as found in servers that cut code points to bytes: they stay what they are."""
    with server.client() as client:
        response = client.request(unique(query=f"tell={value}"))
        assert response.get("set-cookie") is None and response.get("evil") is None
        assert client.request(unique()).status == 200


def test_a_smuggled_request_poisons_nothing(server):
    """SMUG: the second request hidden in the first one's content is content, or all is refused."""
    target, hidden = unique(), unique("/hidden")
    smuggled = f"GET {hidden} HTTP/1.1\r\nHost: test\r\n\r\n"
    with server.client() as client:
        client.send(
            f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(smuggled)}\r\n"
            f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        )
        assert client.head().status == 400
    assert json.loads(server.get(target).body)["path"] == "/page"
    assert "hit" not in server.get(hidden).get("cache-status")
