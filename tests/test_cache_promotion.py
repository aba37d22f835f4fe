"""“keys that prove storable are promoted (concurrent misses wait for one), those that do not are
demoted; counters and the reason of each class are visible” (issue 5, section 4)."""

import json
import re
import urllib.parse

import pytest

from harness import serve
from test_admin import api, command
from test_cache import many, page

FRESH = "Cache-Control: max-age=60"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("promotion") / "admin.sock"
    options = ("--front-threads=2", f"--admin-uds={path}", "--cache-max-object=100KiB")
    with serve("basic:app", *options) as running:
        running.admin = str(path)
        running.command = lambda *words: command(*words, uds=path)
        yield running


def show(server, target):
    url = urllib.parse.quote(f"http://test{target}", "")
    response = api(server, f"/cache/show?url={url}")
    return json.loads(response.body) if response.status == 200 else None


def stat(server):
    return json.loads(api(server, "/cache/stat").body)


def counted(server):
    return {k: v for k, v in stat(server).items() if "promot" in k or "demot" in k}


def test_a_key_that_proves_storable_is_promoted(server):
    target = page(FRESH)
    assert show(server, target) is None
    before = counted(server)
    server.get(target)
    shown = show(server, target)
    assert shown["class"] == "promoted"
    assert shown["reason"] is None and shown["seconds"] is None
    assert len(shown["responses"]) == 1
    after = counted(server)
    assert after["promoted"] == before["promoted"] + 1
    assert after["promotions"] == before["promotions"] + 1
    assert after["demoted"] == before["demoted"]
    lines = server.command("cache", "show", f"http://test{target}")[1].splitlines()
    assert lines[-1] == "promoted: what is stored answers, and of misses at once one is called for"
    assert len(lines) == 2
    # A second response under the same key promotes nothing again.
    api(server, "/purge", "POST", {"url": f"http://test{target}", "soft": True})
    server.get(target)
    assert counted(server) == after
    # And without a response it is a key like any other.
    api(server, "/purge", "POST", {"url": f"http://test{target}"})
    assert show(server, target) is None
    assert counted(server)["promoted"] == before["promoted"]


@pytest.mark.parametrize(
    ("headers", "query", "reason"),
    [
        (("Set-Cookie: a=b", FRESH), {}, "Set-Cookie"),
        (("Cache-Control: private",), {}, "private"),
        (("Cache-Control: no-store",), {}, "no-store"),
        (("Vary: *", FRESH), {}, "Vary"),
        (("X: y",), {}, "no freshness"),
        ((FRESH,), {"size": 200000}, "its size"),  # announced
    ],
)
def test_one_that_does_not_is_demoted_and_says_why(server, headers, query, reason):
    target = page(*headers, **query)
    before = stat(server)
    server.get(target)
    shown = show(server, target)
    assert shown["responses"] == []
    assert (shown["class"], shown["reason"]) == ("demoted", reason)
    assert 100 < shown["seconds"] <= 120  # README: two minutes
    after = stat(server)
    assert after["demoted"] == before["demoted"] + 1
    assert after["demotions"] == before["demotions"] + 1
    assert after["reasons"][reason] == before["reasons"].get(reason, 0) + 1
    assert sum(after["reasons"].values()) == after["demoted"]
    status, out, _ = server.command("cache", "show", f"http://test{target}")
    assert status == 0
    expected = rf"demoted: remembered as not storable: {reason}, 1[0-2]\d s left\n"
    assert re.fullmatch(expected, out)
    lines = server.command("cache", "stat")[1].splitlines()
    (line,) = (each for each in lines if each.startswith(f"demoted by {reason} "))
    assert int(line.split()[-1]) == after["reasons"][reason]
    # Once more is no other demotion, and nobody waits for another's call.
    responses = many(server, target, 4)
    assert not any("collapsed" in each.get("cache-status") for each in responses)
    assert stat(server)["demotions"] == after["demotions"]


def test_a_response_that_outgrows_the_largest_object(server):
    target = f"/stream?cc=max-age%3D60&parts=4&size=50000&n={page()}"
    server.get(target)
    shown = show(server, target)
    assert (shown["class"], shown["reason"]) == ("demoted", "its size")


def test_the_clients_own_reasons_are_named(server):
    target = page(FRESH)
    server.get(target, headers={"Cookie": "a=b"})
    assert show(server, target)["reason"] == "the request's Cookie or Authorization"
    # Another request's answer is storable: promoted, and no mark is left.
    demoted = counted(server)["demoted"]
    server.get(target)
    assert (show(server, target)["class"], show(server, target)["reason"]) == ("promoted", None)
    assert counted(server)["demoted"] == demoted - 1


def test_one_that_was_stored_and_is_not_storable_now(server):
    """Both are shown: what is stored is still used where that is permitted."""
    target = page("Cache-Control: max-age=60, stale-if-error=60")
    server.get(target)
    api(server, "/purge", "POST", {"url": f"http://test{target}", "soft": True})
    server.get(target, headers={"Cookie": "a=b"})
    shown = show(server, target)
    assert len(shown["responses"]) == 1
    assert (shown["class"], shown["reason"]) == ("demoted", "the request's Cookie or Authorization")


def test_counters_and_reasons_of_the_routes(server):
    """What no route is declared for has one line in `zq routes --live`."""
    for reason in ("private", "no-store", "private", "no-store") * 3:  # the last, of all threads
        server.get(page(f"Cache-Control: {reason}"))
        status, out, _ = server.command("routes", "--live")
        assert status == 0
        (line,) = (each for each in out.splitlines() if "(undeclared)" in each)
        assert re.search(rf"  stored=\d+  unstored=\d+  reason={reason}$", line)
