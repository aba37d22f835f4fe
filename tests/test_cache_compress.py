"""Stored responses in content codings (--cache-compress; RFC 9110 8.4, 12.5.3), live."""

import ctypes
import json
import signal
import time
import urllib.parse
import zlib

import pytest

from harness import Client, serve, wait_for
from test_cache_parts import ask, part
from test_cache_validation import turn, turns

BODY_TYPE = "text/html; charset=utf-8"
FRESH = "Cache-Control: max-age=1000"
CODINGS = ["gzip", "br", "zstd"]


def unbrotli(data, size):
    library = ctypes.CDLL("libbrotlidec.so.1")
    out, n = ctypes.create_string_buffer(size + 1), ctypes.c_size_t(size + 1)
    done = library.BrotliDecoderDecompress(ctypes.c_size_t(len(data)), data, ctypes.byref(n), out)
    assert done == 1
    return out.raw[: n.value]


def unzstd(data, size):
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_decompress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(size + 1)
    n = library.ZSTD_decompress(out, ctypes.c_size_t(size + 1), data, ctypes.c_size_t(len(data)))
    assert n <= size
    return out.raw[:n]


DECODERS = {"gzip": lambda data, _: zlib.decompress(data, 31), "br": unbrotli, "zstd": unzstd}


def page(*headers, n=[0], **query):  # noqa: B006
    """A target of its own, answered as tests/apps/compressible.py says."""
    n[0] += 1
    pairs = [("n", f"{n[0]}-{time.monotonic_ns()}"), *query.items()]
    return "/?" + urllib.parse.urlencode(pairs + [("h", h) for h in headers or (FRESH,)])


def accept(coding, **fields):
    return {"Accept-Encoding": coding} | {k.replace("_", "-"): v for k, v in fields.items()}


def coded(server, target, coding="gzip", **fields):
    """The stored page in that coding, once it is there."""

    def ask():
        response = server.get(target, headers=accept(coding, **fields))
        return response if response.get("content-encoding") == coding else None

    return wait_for(ask, f"{coding} of {target}")


def shown(server, target):
    url = urllib.parse.quote(f"http://test{target}", safe="")
    with Client(server.admin) as client:
        response = client.request(f"/cache/show?url={url}")
    (item,) = json.loads(response.body)["responses"]
    return item


def stat(server):
    with Client(server.admin) as client:
        return json.loads(client.request("/cache/stat").body)


def purge(server, **what):
    with Client(server.admin) as client:
        assert client.request("/purge", "POST", body=json.dumps(what).encode()).status == 200


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("compress") / "admin.sock"
    options = ("--cache-compress", "--front-threads=2", f"--admin-uds={path}")
    with serve("compressible:app", *options) as running:
        running.admin = str(path)
        yield running


# ---- which ----


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_decoded_is_what_the_application_sent(server, coding):
    """Compressed once, and replayed with Content-Encoding, the right length, Vary and a weak tag."""
    target = page(size=300000, etag='"v1"')
    plain = server.get(target)
    first = server.get(target, headers=accept(coding))
    for response in (plain, first):  # RFC 9110 12.5.5: also what has no coding, from the first on
        assert response.get("vary") == "Accept-Encoding"
        assert response.get("etag") == '"v1"'
        assert response.get("content-encoding") is None
        assert len(response.body) == 300000
    response = coded(server, target, coding)
    assert response.get("x-call") == plain.get("x-call")
    assert response.get("vary") == "Accept-Encoding"
    assert response.get("etag") == 'W/"v1"'
    assert response.get("content-type") == BODY_TYPE
    assert int(response.get("content-length")) == len(response.body) < 30000
    assert DECODERS[coding](response.body, 300000) == plain.body
    assert response.get("cache-status").startswith("zq; hit; ttl=")
    # RFC 9110 9.3.2
    head = server.get(target, method="HEAD", headers=accept(coding))
    without = {"age", "cache-status", "date"}
    assert [f for f in head.headers if f[0] not in without] == [
        f for f in response.headers if f[0] not in without
    ]
    assert shown(server, target)["codings"] == {coding: len(response.body)}
    assert server.get(target).body == plain.body


def test_the_client_chooses(server):
    target = page()
    server.get(target)
    for coding in CODINGS:
        coded(server, target, coding)
    for asked, expected in [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1, br;q=0.9", "gzip"),
        ("br;q=0, *", "zstd"),
        ("gzip;q=0.5, identity", None),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("deflate", None),
        ("", None),
    ]:
        assert server.get(target, headers=accept(asked)).get("content-encoding") == expected
    assert server.get(target).get("content-encoding") is None


def test_a_response_whose_length_came_late(server):
    target = page(parts=2)
    plain = server.get(target)
    assert plain.get("vary") == "Accept-Encoding"
    assert DECODERS["br"](coded(server, target, "br").body, 20000) == plain.body


@pytest.mark.parametrize(
    ("headers", "query", "asked"),
    [
        ((f"{FRESH}, no-transform",), {}, {}),  # RFC 9111 5.2.2.6
        ((FRESH,), {}, {"Cache-Control": "no-transform"}),  # RFC 9111 5.2.1.6
        ((FRESH,), {"type": "image/png"}, {}),
        ((FRESH,), {"size": "1000"}, {}),
        ((FRESH, "Content-Encoding: x"), {}, {}),
        ((FRESH,), {"noise": "1"}, {}),
    ],
)
def test_what_goes_out_as_it_is(server, headers, query, asked):
    target = page(*headers, **query)
    plain = server.get(target, headers=accept("gzip") | asked)
    other = page()  # made behind it, so that it had its turn
    server.get(target, headers=accept("gzip") | asked)
    server.get(other)
    coded(server, other)
    response = server.get(target, headers=accept("gzip") | asked)
    assert "; hit" in response.get("cache-status")
    assert response.get("content-encoding") == plain.get("content-encoding")
    assert response.body == plain.body
    assert shown(server, target)["codings"] == {}


def test_vary_of_the_applications_own(server):
    """Another variant for each Accept-Encoding, and none is a client's that did not ask for it."""
    target = page(FRESH, "Vary: Accept-Encoding")
    assert server.get(target, headers=accept("gzip")).get("vary") == "Accept-Encoding"
    assert "; stored" in server.get(target).get("cache-status")
    assert coded(server, target).get("vary") == "Accept-Encoding"
    assert server.get(target).get("content-encoding") is None


@pytest.mark.parametrize(
    "status", [203, 300, 301, 302, 400, 403, 404, 405, 410, 414, 451, 500, 501]
)
def test_other_statuses_are_compressed_as_well(server, status):
    """What is stored is, whatever it is the answer to: pages for 404 and 410 above all."""
    target = page(status=status, etag='"v1"')
    plain = server.get(target, headers=accept("gzip"))
    assert (plain.status, plain.get("vary")) == (status, "Accept-Encoding")
    response = coded(server, target)
    assert (response.status, response.reason) == (status, plain.reason)
    assert (response.get("vary"), response.get("etag")) == ("Accept-Encoding", 'W/"v1"')
    assert response.get("x-call") == plain.get("x-call")
    assert DECODERS["gzip"](response.body, 20000) == plain.body


# ---- Vary ----

SELECTED = "Accept-Encoding"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"headers": {"Cookie": "a=b"}}, "uri-miss"),
        ({"headers": {"Authorization": "x"}}, "uri-miss"),
        ({"headers": {"If-Match": "*"}}, "uri-miss"),
        ({"headers": {"Range": "bytes=0-1"}}, "uri-miss"),
        ({"headers": {"If-None-Match": '"other"'}}, "uri-miss"),
        ({"headers": {"If-None-Match": '"v1"'}}, "uri-miss"),  # a 304: RFC 9110 15.4.5
        ({"headers": {"Cache-Control": "no-store"}}, "uri-miss"),
        ({"headers": {"X-Original-URL": "/"}}, "bypass"),
        ({"body": b"x"}, "bypass"),
        ({"method": "HEAD"}, "uri-miss"),
        ({"method": "HEAD", "headers": {"Cookie": "a=b"}}, "uri-miss"),
    ],
    ids=str,
)
def test_what_is_passed_on_is_selected_as_well(server, options, why):
    """RFC 9110 12.5.5: of one resource all responses are, since the next one may come from the
    store, and in a coding."""
    target = page(FRESH, etag='"v1"')
    response = server.get(target, **options)
    assert f"fwd={why}" in response.get("cache-status")
    assert "stored" not in response.get("cache-status")
    assert response.status == (304 if '"v1"' in str(options) else 200)
    assert response.get("vary") == SELECTED
    assert "; stored" in server.get(target).get("cache-status")
    assert coded(server, target).get("vary") == SELECTED
    # Now the same from the store, or past it.
    assert server.get(target, **options).get("vary") == SELECTED


def test_past_the_cache_it_is_selected_as_well(server):
    target = page()
    server.get(target)
    coded(server, target)
    with Client(server.admin) as client:
        rule = json.dumps({"pattern": target}).encode()
        assert client.request("/cache/bypass/add", "POST", body=rule).status == 200
        assert server.get(target).get("cache-status").startswith("zq; fwd=bypass")
        assert server.get(target).get("vary") == SELECTED
        assert client.request("/cache/bypass/rm", "POST", body=rule).status == 200
        assert client.request("/cache/off", "POST").status == 200
        assert server.get(target).get("vary") == SELECTED
        assert client.request("/cache/on", "POST").status == 200


@pytest.mark.parametrize(
    ("headers", "query", "options"),
    [
        (("Cache-Control: private, max-age=60",), {}, {}),
        (("Cache-Control: no-store",), {}, {}),
        (("X: no lifetime",), {}, {}),
        ((FRESH, "Set-Cookie: a=b"), {}, {}),
        ((FRESH,), {}, {"method": "POST"}),
        ((FRESH,), {"type": "image/png"}, {"method": "HEAD"}),
        ((FRESH,), {"type": "image/png"}, {"headers": {"Cookie": "a=b"}}),
        ((FRESH,), {"size": "1000"}, {"headers": {"Cookie": "a=b"}}),
        ((FRESH,), {"status": "204", "size": "0"}, {}),
    ],
)
def test_what_is_in_one_form_only_says_nothing(server, headers, query, options):
    assert server.get(page(*headers, **query), **options).get("vary") is None


def test_a_vary_of_its_own_is_kept_where_it_is_passed_on(server):
    target = page(FRESH, "Vary: X, accept-encoding")
    assert server.get(target, headers={"Cookie": "a=b"}).get("vary") == "X, accept-encoding"
    target = page(FRESH, "Vary: X")
    assert server.get(target, headers={"Cookie": "a=b"}).all("vary") == ["X", SELECTED]


def test_parts_are_selected_as_well():
    """RFC 9110 15.3.7: with a 206 goes what would go with the 200; and parts that are put together
    are of the resource, and not of those alone who ask for them with that Accept-Encoding."""
    with serve("basic:app", "--cache-compress", "--cache-compress-min-size=1") as basic:
        target = turns(part(0, 4), part(5, 9))
        for spec, body in (("0-4", b"01234"), ("1-2", b"12"), ("5-9", b"56789"), ("3-7", b"34567")):
            response = ask(basic, target, spec)
            assert (response.status, response.body) == (206, body)
            assert response.get("vary") == SELECTED
        for asked in ("gzip", "br", "identity"):
            whole = basic.get(target, headers=accept(asked))
            assert (whole.status, whole.body, whole.get("vary")) == (200, b"0123456789", SELECTED)
            assert "; hit" in whole.get("cache-status")
        # Also when it is validated later.
        stale = ("Cache-Control: max-age=1", 'ETag: "a"')
        target = turns(part(0, 4, *stale), part(5, 9, *stale), turn(FRESH, status=304))
        ask(basic, target, "0-4")
        ask(basic, target, "5-9")
        time.sleep(2.1)
        for i, asked in enumerate(("gzip", "br", "identity")):
            whole = basic.get(target, headers=accept(asked))
            assert (whole.status, whole.body, whole.get("vary")) == (200, b"0123456789", SELECTED)
            assert ("; hit" in whole.get("cache-status")) == (i > 0)


# ---- conditions ----


def test_conditions_on_what_was_compressed(server):
    """If-None-Match compares weakly (RFC 9110 13.1.2), so both forms' tags are good for both."""
    modified = "Sun, 06 Nov 1994 08:49:37 GMT"
    target = page(FRESH, f"Last-Modified: {modified}", etag='"v1"')
    server.get(target)
    coded(server, target)
    for tag in ('"v1"', 'W/"v1"'):
        for asked, own in (("gzip", 'W/"v1"'), ("identity", '"v1"')):
            response = server.get(target, headers=accept(asked, If_None_Match=tag))
            assert response.status == 304
            assert response.get("etag") == own
            assert response.get("vary") == "Accept-Encoding"
            assert response.get("content-encoding") is None
    assert server.get(target, headers=accept("gzip", If_None_Match='"v2"')).status == 200
    asked = accept("gzip", If_Modified_Since=modified)
    assert server.get(target, headers=asked).status == 304


def test_ranges_are_of_the_content_without_a_coding(server):
    target = page(FRESH, "Accept-Ranges: bytes", etag='"v1"')
    plain = server.get(target)
    assert plain.get("accept-ranges") == "bytes"
    assert coded(server, target).get("accept-ranges") is None
    part = server.get(target, headers=accept("gzip", Range="bytes=5-9"))
    assert (part.status, part.get("content-encoding")) == (206, None)
    assert part.body == plain.body[5:10]
    # RFC 9110 13.1.5: the compressed form's tag is weak, so its parts are never put together with
    # others.
    whole = server.get(target, headers=accept("gzip", Range="bytes=5-9", If_Range='W/"v1"'))
    assert (whole.status, whole.body) == (200, plain.body)


def test_a_date_does_not_stand_for_several_forms(server):
    """RFC 9110 8.8.1: without an entity tag a client could take Last-Modified for a strong
    validator, and put parts of two forms together. So the compressed one gets a weak tag."""
    modified = "Sun, 06 Nov 1994 08:49:37 GMT"
    target = page(FRESH, f"Last-Modified: {modified}")
    server.get(target)
    response = coded(server, target)
    assert response.get("etag").startswith('W/"')
    asked = accept("gzip", If_None_Match=response.get("etag"), If_Modified_Since=modified)
    assert server.get(target, headers=asked).status == 304


def test_digests_are_of_other_bytes(server):
    names = ("Digest", "Repr-Digest", "Content-Digest", "Content-MD5")
    target = page(FRESH, *(f"{name}: x" for name in names))
    assert all(server.get(target).get(name) == "x" for name in names)
    assert not any(coded(server, target).get(name) for name in names)


# ---- what takes it away ----


def test_a_purge_takes_all_forms(server):
    target = page()
    first = server.get(target)
    coded(server, target)
    purge(server, url=f"http://test{target}")
    response = server.get(target, headers=accept("gzip"))
    assert response.get("x-call") != first.get("x-call")
    assert response.get("content-encoding") is None
    assert shown(server, target)["codings"] == {}


def test_after_a_soft_purge_the_stale_form_is_served_until_the_new_one(server):
    target = page(f"{FRESH}, stale-while-revalidate=1000")
    server.get(target)
    call = coded(server, target).get("x-call")
    purge(server, url=f"http://test{target}", soft=True)
    stale = server.get(target, headers=accept("gzip"))
    assert (stale.get("x-call"), stale.get("content-encoding")) == (call, "gzip")
    wait_for(lambda: coded(server, target).get("x-call") != call, "the successor")


def test_a_304_keeps_what_was_compressed(server):
    """RFC 9111 4.3.4: the content is the same, so its compressed form is."""
    target = page(FRESH, etag='"v1"')
    server.get(target)
    before = coded(server, target)
    purge(server, url=f"http://test{target}", soft=True)
    renewed = server.get(target, headers=accept("gzip"))
    assert "fwd-status=304" in renewed.get("cache-status")
    after = server.get(target, headers=accept("gzip"))
    assert after.get("content-encoding") == "gzip"
    assert after.body == before.body
    assert after.get("x-call") == renewed.get("x-call") != before.get("x-call")


def test_its_memory_is_part_of_the_cache(server):
    purge(server, all=True)
    wait_for(lambda: stat(server)["sweeping"] == 0 == stat(server)["compressed"], "the sweep")
    target = page(size=200000)
    server.get(target)
    before = stat(server)
    for coding in CODINGS:
        coded(server, target, coding)
    after, sizes = stat(server), shown(server, target)["codings"]
    assert after["compressed"] == 3
    assert after["compressed_bytes"] == sum(sizes.values())
    overhead = after["used"] - before["used"] - sum(sizes.values())
    assert 0 < overhead < 3000  # three heads


# ---- the process ----


def test_off_by_default(tmp_path):
    with serve("compressible:app") as plain:
        target = page()
        for _ in range(3):
            response = plain.get(target, headers=accept("gzip"))
            assert response.get("vary") is None
            assert response.get("content-encoding") is None


def test_codings_and_least_size(tmp_path):
    options = (
        "--cache-compress",
        "--cache-compress-codings=gzip,br",
        "--cache-compress-min-size=100",
        f"--admin-uds={tmp_path / 'admin.sock'}",
    )
    with serve("compressible:app", *options) as running:
        running.admin = str(tmp_path / "admin.sock")
        target = page(size=200)
        running.get(target)
        coded(running, target, "br")
        coded(running, target, "gzip")
        asked = accept("zstd, br, gzip")
        assert running.get(target, headers=asked).get("content-encoding") == "gzip"
        assert running.get(target, headers=accept("zstd")).get("content-encoding") is None


def test_stopping_while_it_compresses():
    """The thread is ended in the middle of megabytes of work, and the exit is clean."""
    options = ("--cache-compress", "--cache-size=256MiB", "--cache-compress-codings=zstd,br")
    with serve("compressible:app", *options) as running:
        targets = [page(size=4000000) for _ in range(6)]
        for target in targets:
            running.get(target)
        for target in targets:
            running.get(target, headers=accept("br"))
            running.get(target, headers=accept("zstd"))
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert "ERROR" not in running.log and "CRITICAL" not in running.log
