"""zq-worker alone, behind a double of the front and super (wirelib): the ASGI bridge."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

import wirelib
from wirelib import BODY, CREDIT, END, RESET, RESPONSE, WANT, Closed, Worker, frame, request_frame

EXECUTABLES = wirelib.workers()


def venv_of(executable):
    version = re.search(r"zq-worker-(3\.\d+)", executable.name)
    special = wirelib.ROOT / "build" / f"venv-{version[1]}" if version else None
    return str(special if special and special.exists() else wirelib.ROOT / "build" / "venv")


def has_uvloop(executable):
    found = Path(venv_of(executable)).glob("lib/python3*/site-packages/uvloop/__init__.py")
    return any(found)


def run(executable, app="bridge_app:app", **options):
    """A worker of its own, for tests that look at its end."""
    options.setdefault("venv", venv_of(executable))
    return Worker(app, executable=executable, **options)


@pytest.fixture(params=EXECUTABLES, ids=lambda w: w.name)
def executable(request):
    return request.param


VARIANTS = [(w, loop) for w in EXECUTABLES for loop in ("asyncio", "uvloop")]


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: f"{v[0].name}-{v[1]}")
def shared(request):
    """One worker for all tests that leave no trace."""
    executable, loop = request.param
    if loop == "uvloop" and not has_uvloop(executable):
        pytest.skip("uvloop is not installed for this interpreter")
    with run(executable, loop=loop, lifespan="off", log_level="debug") as worker:
        yield worker
        worker.stop()
        assert worker.wait() == 0


@pytest.fixture
def link(shared):
    link = shared.link()
    yield link
    assert link.ping(99) == 99, "the worker does not answer any more"
    link.close()
    assert shared.process.poll() is None


def note(link, name, wait=True):
    """What the application noted, as soon as it did."""
    deadline = time.monotonic() + wirelib.PATIENCE
    while True:
        value = json.loads(link.get(f"/notes?{name}").body)
        if value is not None or not wait:
            return value
        assert time.monotonic() < deadline, f"no note of {name}"
        time.sleep(0.01)


# ---- the scope ----


def test_scope_has_every_key_with_its_type(link):
    got = link.get(
        "/scope/a%20b%ff?x=1&y=%20",
        [("host", "example.com"), ("x-one", b"\xe9"), ("x-one", ""), ("cookie", "a=b")],
        path=b"/scope/a b\xff",
    )
    assert json.loads(got.body)["dict"] == {
        "type": {"str": "http"},
        "asgi": {"dict": {"version": {"str": "3.0"}, "spec_version": {"str": "2.4"}}},
        "http_version": {"str": "1.1"},
        "method": {"str": "GET"},
        "scheme": {"str": "http"},
        "path": {"str": "/scope/a b\ufffd"},
        "raw_path": {"bytes": "/scope/a%20b%ff"},
        "query_string": {"bytes": "x=1&y=%20"},
        "root_path": {"str": ""},
        "headers": {
            "list": [
                {"tuple": [{"bytes": "host"}, {"bytes": "example.com"}]},
                {"tuple": [{"bytes": "x-one"}, {"bytes": "\xe9"}]},
                {"tuple": [{"bytes": "x-one"}, {"bytes": ""}]},
                {"tuple": [{"bytes": "cookie"}, {"bytes": "a=b"}]},
            ]
        },
        "client": {"tuple": [{"str": "127.0.0.1"}, {"int": 50000}]},
        "server": {"tuple": [{"str": "127.0.0.1"}, {"int": 8000}]},
        "state": {"dict": {}},
        "extensions": {
            "dict": {
                "zq.http.response.interim": {"dict": {}},
                "http.response.early_hint": {"dict": {}},
            }
        },
    }


def scope_of(link, **more):
    return json.loads(link.get("/scope", **more).body)["dict"]


def test_scope_follows_the_request(link):
    scope = scope_of(link, scheme="https", minor=20, client=("::1", 1), server=("::1", 65535))
    assert scope["scheme"] == {"str": "https"}
    assert scope["http_version"] == {"str": "2"}
    assert scope["client"] == {"tuple": [{"str": "::1"}, {"int": 1}]}
    assert scope["server"] == {"tuple": [{"str": "::1"}, {"int": 65535}]}
    scope = scope_of(link, minor=0, client=None, server=("/run/zq.sock", None))
    assert scope["http_version"] == {"str": "1.0"}
    assert scope["client"] == {"NoneType": None}
    assert scope["server"] == {"tuple": [{"str": "/run/zq.sock"}, {"NoneType": None}]}
    scope = scope_of(link, client=("10.0.0.9", 7))
    assert scope["client"] == {"tuple": [{"str": "10.0.0.9"}, {"int": 7}]}
    assert scope["server"] == {"tuple": [{"str": "127.0.0.1"}, {"int": 8000}]}
    assert scope_of(link, server=None)["server"] == {"NoneType": None}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "BREW"])
def test_method(link, method):
    got = link.request(method, "/scope").response()
    assert json.loads(got.body)["dict"]["method"] == {"str": method}


def test_path_is_utf8(link):
    got = link.get("/scope/%C3%A9%E2%82%AC", path="/scope/é€".encode())
    assert json.loads(got.body)["dict"]["path"] == {"str": "/scope/é€"}


def test_scopes_are_not_shared(link):
    before = scope_of(link)
    for _ in range(3):
        assert link.get("/mutate").status == 200
    assert scope_of(link) == before


def test_root_path(executable):
    with run(executable, root_path="/scope/") as worker:
        scope = json.loads(worker.links[0].get("/x", path=b"/x").body)["dict"]
    assert scope["root_path"] == {"str": "/scope"}
    assert scope["path"] == {"str": "/scope/x"}  # with the root path; raw_path is as it came
    assert scope["raw_path"] == {"bytes": "/x"}


def test_the_request_runs_in_a_task(link):
    got = json.loads(link.get("/task").body)
    text = got.pop("repr")
    assert got == {"task": True, "in_all": True, "loop": True, "coroutine": True, "running": True}
    assert "app()" in text and "bridge_app.py" in text


def test_contextvars_are_each_request_s_own(link):
    streams = [link.request("GET", f"/context?v{i}") for i in range(20)]
    for i, stream in enumerate(streams):
        assert json.loads(stream.response().body) == ["unset", f"v{i}"]


# ---- responses ----


@pytest.mark.parametrize("path", ["/parts", "/late"])
def test_a_response_of_one_turn_is_one_frame(link, path):
    got = link.get(path)
    assert (got.status, got.body, got.frames) == (200, b"one two three", ["RESPONSE"])
    assert got.headers == [(b"X-Mixed", b"Case")]


def test_many_responses(link):
    streams = [link.request("GET", "/late") for _ in range(500)]
    assert all(s.response().body == b"one two three" for s in streams)


def test_a_stream_leaves_as_it_comes(link):
    stream = link.request("GET", "/stream")
    got = stream.next()
    assert (got.kind, got.end) == (RESPONSE, False)
    assert wirelib.parse_response(got.payload)[2] == b""
    for i in range(3):
        got = stream.next()
        assert (got.kind, got.payload, got.end) == (BODY, b"part %d\n" % i, False)
    got = stream.next()
    assert (got.kind, got.payload, got.end) == (BODY, b"", True)


def test_the_parts_of_one_turn_are_one_frame(link):
    stream = link.request("GET", "/bursts")
    frames = [stream.next() for _ in range(5)]
    assert [f.kind for f in frames] == [RESPONSE] + [BODY] * 4
    assert [f.payload for f in frames[1:3]] == [b"abc", b"abc"]
    assert b"".join(f.payload for f in frames[3:]) == b"d" * 70000
    assert [f.end for f in frames] == [False] * 4 + [True]


def test_a_head_alone_does_not_wait_for_the_body(link):
    stream = link.request("GET", "/head_only")
    got = stream.next()
    assert (got.kind, got.end) == (RESPONSE, False)
    stream.nothing(0.1)
    link.get("/gate")
    got = stream.next()
    assert (got.kind, got.payload, got.end) == (BODY, b"opened", True)


@pytest.mark.parametrize("size", [256, 65536, 65536 + 256, (256 << 10) - 256])
def test_body_sizes(link, size):
    got = link.get(f"/big?{size}")
    assert got.body == bytes(range(256)) * (size // 256)
    assert len(got.frames) == max(1, -(-size // wirelib.BODY_MAX))
    # What does not fit one frame gets its length from the worker, which knew it in time.
    length = got.header(b"content-length")
    assert length == (b"%d" % size if size > wirelib.BODY_MAX else None)


def test_credit_is_respected(link):
    size = 1 << 20
    note(link, "big", wait=False)
    stream = link.request("GET", f"/big?{size}")
    window, body = wirelib.RESPONSE_WINDOW, b""
    got = stream.next()
    assert got.kind == RESPONSE and not got.end
    _, headers, body = wirelib.parse_response(got.payload)
    assert (b"content-length", b"%d" % size) in headers
    while len(body) < window:
        got = stream.next()
        assert got.kind == BODY and not got.end and len(got.payload) <= wirelib.BODY_MAX
        body += got.payload
    assert len(body) == window
    stream.nothing(0.1)
    assert note(link, "big", wait=False) is None  # await send() waits
    stream.credit(1)
    assert stream.next().payload == body[0:1]
    stream.credit(100_000)
    extra = stream.next().payload + stream.next().payload
    assert len(extra) == 100_000
    stream.credit(size)
    body += b"\0" + extra
    while True:
        got = stream.next()
        body += got.payload
        if got.end:
            break
    assert body == bytes(range(256)) * (size // 256)
    assert note(link, "big") == "sent"


def test_an_application_that_sends_for_ever_is_held_back(link):
    stream = link.request("GET", "/endless")
    got = 0
    while got < wirelib.RESPONSE_WINDOW:
        part = stream.next()
        got += len(
            wirelib.parse_response(part.payload)[2] if part.kind == RESPONSE else part.payload
        )
    stream.nothing(0.1)
    assert note(link, "endless", wait=False) == wirelib.RESPONSE_WINDOW // 50_000 * 50_000
    stream.cancel()
    assert stream.next().kind == RESET
    assert note(link, "endless_error") == [True, "the client has left"]


def test_parts_of_two_tasks_stay_whole(link):
    got = link.get("/two_senders")
    assert got.body == b"a" * 600_000 + b"b" * 600_000 + b"c"


def test_a_cancelled_send_loses_nothing(link):
    stream = link.request("GET", "/cancelled_send")
    assert note(link, "cancelled_send") is True
    stream.credit(200_000)
    got = stream.response()
    assert got.body == b"a" * 600_000 + b"b"


def test_headers_may_be_any_iterable_of_pairs(link):
    got = link.get("/generator")
    assert (got.status, got.headers) == (201, [(b"a", b"1"), (b"b", b"2")])


def test_no_headers_and_unsupported_trailers(link):
    got = link.get("/no_headers")
    assert (got.status, got.headers, got.body, got.frames) == (204, [], b"", ["RESPONSE"])


def test_interim_responses(link):
    """RFC 9110 15.2, as zq.http.response.interim and as ASGI's http.response.early_hint; sixteen
    at most, and none changes the response."""
    got = link.get("/interim")
    assert (got.status, got.body, got.headers[0]) == (200, b"hello", (b"content-length", b"5"))
    assert got.frames == ["INTERIM"] * 16 + ["RESPONSE"]
    hint = (103, [(b"link", b"</b>"), (b"link", b"</c>")], b"")
    assert got.interims[:3] == [(102, [], b""), (103, [(b"link", b"</a>")], b""), hint]
    kind, text = note(link, "interim")
    assert kind == "ValueError" and "at most 16384 bytes of headers, and a request 16" in text


def test_after_the_end_nothing_is_sent_and_disconnect_received(link):
    got = link.get("/after_end")
    assert (got.status, got.body) == (200, b"done")
    assert note(link, "after_end") == ["http.disconnect", "http.disconnect"]


def test_work_goes_on_after_the_response(link):
    stream = link.request("GET", "/background")
    assert stream.response().body == b"done"
    assert note(link, "background") == "finished"


# ---- request bodies ----


def test_no_body(link):
    got = link.request("POST", "/messages").response()
    assert json.loads(got.body) == [["http.request", 0, False]]
    assert got.frames == ["RESPONSE"]  # and no WANT


def test_body_in_the_request_frame(link):
    got = link.request("POST", "/echo", body=b"all of it").response()
    assert (got.body, got.frames) == (b"all of it", ["RESPONSE"])


def test_body_in_parts(link):
    stream = link.request("POST", "/echo", body=b"one ", end=False)
    assert stream.next().kind == WANT
    stream.body(b"two ")
    stream.body(b"")
    stream.body(b"three")
    stream.body(b"", END)
    assert stream.response().body == b"one two three"


def test_want_is_sent_once_and_only_when_asked(link):
    stream = link.request("POST", "/slow?0.1", end=False)
    assert stream.next().kind == RESPONSE  # it never asked
    stream = link.request("POST", "/messages", end=False)
    assert stream.next().kind == WANT
    stream.body(b"a")
    stream.body(b"b")
    stream.body(b"c", END)
    got = stream.response()
    assert "WANT" not in got.frames
    assert sum(m[1] for m in json.loads(got.body)) == 3


def test_back_pressure_on_uploads(link):
    """Credit comes only for what the application took."""
    stream = link.request("POST", "/upload", end=False)
    stream.body(b"x" * wirelib.REQUEST_WINDOW)
    stream.nothing(0.1)
    link.get("/step?1")
    kinds, credit = [], 0
    while credit < wirelib.REQUEST_WINDOW:
        got = stream.next()
        kinds.append(got.kind)
        credit += got.number if got.kind == CREDIT else 0
    assert kinds == [WANT, CREDIT] and credit == wirelib.REQUEST_WINDOW
    stream.body(b"y" * credit, END)
    link.get("/step?5")
    assert json.loads(stream.response().body) == {"size": 2 * wirelib.REQUEST_WINDOW}


def test_a_large_upload(link):
    data = os.urandom(1 << 20)
    stream = link.request("POST", "/echo", end=False)
    window, at = wirelib.REQUEST_WINDOW, 0
    while at < len(data):
        n = min(window, 10_000, len(data) - at)
        if n:
            stream.body(data[at : at + n], at + n == len(data))
            at, window = at + n, window - n
        else:
            got = stream.next(CREDIT)
            window += got.number
    response = stream.response()
    assert response.body == data


def test_a_body_nobody_reads(link):
    stream = link.request("POST", "/ignore_body", body=b"x" * 1000, end=False)
    assert stream.response().body == b"not interested"
    stream.body(b"x" * 1000, END)  # was on its way: ignored
    stream.credit(5)
    stream.cancel()
    assert link.get("/").body == b"hello"


def test_a_receive_that_is_given_up_loses_nothing(link):
    stream = link.request("POST", "/cancel_receive", end=False)
    assert note(link, "gave_up") == 3
    stream.body(b"payload", END)
    assert stream.response().body == b"payload"


@pytest.mark.parametrize("body_first", [True, False])
def test_a_cancellation_that_crosses_the_message(link, body_first):
    stream = link.request("POST", "/cancel_race", end=False)
    assert stream.next(WANT)
    assert stream.next().kind == RESPONSE
    link.streams += 1
    both = [
        frame(BODY, stream.id, b"precious", END),
        request_frame(link.streams, "GET", "/kill_race"),
    ]
    link.send(b"".join(both if body_first else reversed(both)))
    data = b""
    while True:
        got = stream.next(BODY)
        data += got.payload
        if got.end:
            break
    cancelled, body = json.loads(data)
    assert body == "precious" and (cancelled or body_first)


def test_two_receivers(link):
    stream = link.request("POST", "/two_receivers", end=False)
    assert stream.next().kind == WANT
    stream.body(b"one")
    time.sleep(0.05)
    stream.body(b"two", END)
    assert json.loads(stream.response().body) == ["one", "two"]


# ---- clients that leave ----


@pytest.mark.parametrize("end", [True, False])
def test_cancel_is_answered_at_once(link, end):
    stream = link.request("POST", "/disconnect", body=b"part", end=end)
    assert end or stream.next().kind == WANT
    link.ping()
    stream.cancel()
    assert stream.next(RESET).kind == RESET
    assert note(link, "disconnect") == ["http.disconnect", "http.disconnect", True]
    assert note(link, "disconnect_end") == "reached"
    stream.nothing(0.05)


def test_cancel_before_the_application_waits(link):
    link.streams += 1
    number = link.streams
    link.send(request_frame(number, "GET", "/disconnect") + frame(wirelib.CANCEL, number))
    assert link.next(number).kind == RESET
    assert note(link, "disconnect") == ["http.disconnect", "http.disconnect", True]


def test_a_link_that_ends_is_a_disconnect(shared, link):
    other = shared.link()
    other.request("GET", "/disconnect")
    other.ping()
    other.close()
    assert note(link, "disconnect") == ["http.disconnect", "http.disconnect", True]


def test_a_client_that_left_is_no_error(shared, link):
    for path in ("/endless", "/wrapped"):
        stream = link.request("GET", path)
        link.ping()
        stream.cancel()
        stream.next(RESET)
    shared.wait_log("the client left: GET /wrapped")
    log = shared.wait_log("the client left: GET /endless")
    assert "exception in the ASGI application: GET /endless" not in log
    assert "exception in the ASGI application: GET /wrapped" not in log
    note(link, "endless_error", wait=False)


# ---- mistakes of the application ----

REFUSED = {
    "not_dict": ("TypeError", "dict"),
    "no_type": ("ValueError", "no 'type'"),
    "type_not_str": ("TypeError", "str"),
    "unknown_type": ("ValueError", "http.response.push"),
    "websocket": ("ValueError", "websocket.accept"),
    "body_first": ("RuntimeError", "expected the ASGI message 'http.response.start'"),
    "start_twice": ("RuntimeError", "expected the ASGI message 'http.response.body'"),
    "no_status": ("ValueError", "no 'status'"),
    "status_str": ("TypeError", "status must be an int"),
    "status_none": ("TypeError", "status must be an int"),
    "status_101": ("ValueError", "from 200 to 599, not 101"),
    "status_103": ("ValueError", "from 200 to 599, not 103"),
    "interim_100": ("ValueError", "from 102 to 199, not 100"),
    "interim_101": ("ValueError", "from 102 to 199, not 101"),
    "interim_200": ("ValueError", "from 102 to 199, not 200"),
    "interim_no_status": ("ValueError", "'zq.http.response.interim' has no 'status'"),
    "interim_value_lf": ("ValueError", "b'a' contains CR, LF or NUL"),
    "interim_long": ("ValueError", "interim responses have at most"),
    "interim_late": ("RuntimeError", "behind the final one's head"),
    "hint_no_links": ("ValueError", "'http.response.early_hint' has no 'links'"),
    "hint_link_str": ("TypeError", "bytes, not bytes and str"),
    "hint_links_int": ("TypeError", "not iterable"),
    "status_600": ("ValueError", "from 200 to 599, not 600"),
    "status_huge": ("ValueError", "from 200 to 599"),
    "headers_int": ("TypeError", "iterable of pairs"),
    "headers_none": ("TypeError", "iterable of pairs"),
    "header_str": ("TypeError", "bytes, not str"),
    "header_one": ("ValueError", "pair of bytes"),
    "header_three": ("ValueError", "pair of bytes"),
    "header_flat": ("TypeError", "bytes, not int"),
    "header_int": ("TypeError", "pair of bytes"),
    "name_empty": ("ValueError", "b'' is not a header name"),
    "name_space": ("ValueError", "b'a b' is not a header name"),
    "name_colon": ("ValueError", "is not a header name"),
    "name_utf8": ("ValueError", "is not a header name"),
    "name_newline": ("ValueError", "is not a header name"),
    "value_cr": ("ValueError", "b'a' contains CR, LF or NUL"),
    "value_lf": ("ValueError", "b'a' contains CR, LF or NUL"),
    "value_nul": ("ValueError", "b'a' contains CR, LF or NUL"),
    "length_word": ("ValueError", "decimal number, not b'many'"),
    "length_negative": ("ValueError", "decimal number, not b'-1'"),
    "length_twice": ("ValueError", "content-length is given twice"),
    "too_many_headers": ("ValueError", "70000 headers"),
    "too_much_header": ("ValueError", "bytes of headers"),
    "body_str": ("TypeError", "body must be bytes, not str"),
    "body_none": ("TypeError", "body must be bytes, not NoneType"),
    "too_long": ("RuntimeError", "too much content: 4 bytes of body, but content-length is 3"),
    "too_long_late": ("RuntimeError", "too much content: 4 bytes"),
    "too_short": ("RuntimeError", "too little content: 4 bytes of body, but content-length is 5"),
    "length_repeated": ("RuntimeError", "too much content: 4 bytes"),
    "too_short_empty": ("RuntimeError", "too little content: 0 bytes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_mistakes(link, name):
    """A clear exception in the application, and RESET alone: the front answers 500."""
    got = link.get(f"/mistake?{name}")
    assert (got.status, got.reset, got.frames) == (None, True, ["RESET"])
    kind, text = note(link, "wrong")
    assert kind == REFUSED[name][0] and REFUSED[name][1] in text


def test_a_mistake_after_the_head_cuts_the_response(link):
    got = link.get("/late_mistake")
    assert (got.status, got.body, got.frames) == (200, b"123", ["RESPONSE", "BODY", "RESET"])
    assert note(link, "wrong")[0] == "RuntimeError"


def test_nothing_follows_a_response_that_was_cut_off(link):
    assert link.get("/after_mistake").frames == ["RESET"]
    long, cut, then = note(link, "after_mistake")
    assert "too much content" in long and "cut off after an earlier error" in cut
    assert then == "http.disconnect"


def test_receive_and_send_return_coroutines(link):
    stream = link.request("POST", "/protocol", body=b"part", end=False)
    got = json.loads(stream.response().body)
    assert got == {
        "coroutine": True,
        "message": "part",
        "again": "RuntimeError: this receive() or send() has been awaited already",
        "thrown": "ValueError: mine",
        "thrown_type": "KeyError: 'key'",
        "thrown_nothing": "TypeError: throw() takes an exception",
        "thrown_none": "TypeError: throw() takes 1 to 3 arguments",
        "closed": None,
        "repr": True,
    }


def test_a_mistake_may_be_mended(link):
    got = link.get("/caught_mistake")
    assert (got.status, got.body) == (200, b"right")


def test_lengths_of_responses_without_content(link):
    got = link.request("HEAD", "/bodyless").response()
    assert (got.status, got.header(b"content-length"), got.body) == (200, b"100", b"short")
    for status in (204, 304):
        got = link.get(f"/bodyless?{status}")
        assert (got.status, got.reset) == (status, False)
    assert link.get("/bodyless?200").reset


def test_an_exception_is_logged_and_the_front_answers(shared, link):
    got = link.get("/raise")
    assert got.frames == ["RESET"]
    log = shared.wait_log("ValueError: a bug on purpose")
    assert "exception in the ASGI application: GET /raise" in log
    assert 'raise ValueError("a bug on purpose")' in log
    assert "python/zq" not in log[log.index("GET /raise") :].split("ValueError")[0]


def test_a_late_exception_cuts_the_response(link):
    got = link.get("/raise_late")
    assert (got.status, got.body, got.reset) == (200, b"some", True)


def test_an_exception_after_the_end_is_only_logged(shared, link):
    got = link.get("/raise_after")
    assert (got.status, got.body, got.reset) == (200, b"complete", False)
    shared.wait_log("ValueError: a bug after the end")


@pytest.mark.parametrize("path, text", [("/exit", "SystemExit: 7"), ("/interrupt", "Keyboard")])
def test_an_exit_ends_the_request_not_the_worker(shared, link, path, text):
    assert link.get(path).frames == ["RESET"]
    shared.wait_log(text)
    assert link.get("/").body == b"hello"


def test_an_exit_in_another_task_does_not_end_the_worker(shared, link):
    assert link.get("/exit_task").body == b"still here"
    shared.wait_log("SystemExit")


def test_a_request_that_cancels_itself(shared, link):
    assert link.get("/cancel_self").frames == ["RESET"]
    shared.wait_log("cancelled before its response was complete: GET /cancel_self")


def test_no_response(shared, link):
    assert link.get("/nothing").frames == ["RESET"]
    shared.wait_log("returned without sending a response: GET /nothing")


def test_half_a_response(shared, link):
    got = link.get("/no_end")
    assert got.reset
    shared.wait_log("returned without completing its response: GET /no_end")


def test_paths_are_escaped_in_the_log(shared, link):
    assert link.get("/raise/%0A%1B%00", path=b"/raise/\nfake: \x1b[31m\x00").reset
    shared.wait_log(r"GET /raise/\nfake: \x1b[31m\x00")


# ---- the wire ----


def test_ping(link):
    assert [link.ping(n) for n in (0, 1, 0xFFFFFFFF)] == [0, 1, 0xFFFFFFFF]


PAST_WINDOW = b"x" * (wirelib.REQUEST_WINDOW + 1)
HOSTILE = {
    "noise": os.urandom(64) + b"\xff" * 64,
    "type": frame(77, 1),
    "type_zero": frame(0, 1),
    "from_worker": frame(RESPONSE, 1, b"\0" * 8),
    "stream_zero": frame(BODY, 0, b"x"),
    "ping_stream": wirelib.number_frame(wirelib.PING, 1, 1),
    "flags": frame(BODY, 1, b"", 0x80),
    "length": b"\xff\xff\xff\x7f" + frame(BODY, 1)[4:],
    "short_request": frame(wirelib.REQUEST, 1, b"x" * 10),
    "empty_request": frame(wirelib.REQUEST, 1, b"\0" * 36),
    "lengths": frame(wirelib.REQUEST, 1, b"\1\0\0\0\0\0\0\0" + b"\xff" * 28),
    "field_count": frame(wirelib.REQUEST, 1, b"\1\0\xff\xff" + b"\0" * 4 + b"\x03" + b"\0" * 27 + b"GET"),
    "credit_zero": request_frame(1, "GET", "/slow") + wirelib.number_frame(CREDIT, 1, 0),
    "credit_huge": request_frame(1, "GET", "/slow") + wirelib.number_frame(CREDIT, 1, 1 << 30),
    "same_stream": request_frame(1, "GET", "/slow") + request_frame(1, "GET", "/slow"),
    "past_window": request_frame(1, "POST", "/slow", end=False) + frame(BODY, 1, PAST_WINDOW),
    "after_end": request_frame(1, "POST", "/slow") + frame(BODY, 1, b"x"),
    "request_past_window": request_frame(1, "POST", "/slow", body=PAST_WINDOW),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_frame_costs_only_its_link(shared, link, name):
    waiting = link.request("GET", "/slow?0.1")
    other = shared.link()
    try:
        other.send(HOSTILE[name])
        other.wait_closed()
    except Closed:
        pass
    shared.wait_log("the link to the front is closed: protocol violation")
    assert waiting.response().body == b"slow"


def noise(random):
    """Frames of any order, half of the time with a few bytes changed."""
    data = b""
    for _ in range(random.randint(1, 40)):
        stream = random.randint(1, 8)
        path = random.choice(["/late", "/echo", "/stream", "/endless", "/disconnect", "/raise"])
        data += random.choice(
            [
                request_frame(random.randint(1, 99), "GET", path),
                request_frame(stream, "POST", path, body=b"x" * 1000, end=False),
                frame(BODY, stream, b"y" * random.choice([0, 1, 20_000]), random.randint(0, 1)),
                wirelib.number_frame(CREDIT, stream, random.choice([1, 100_000])),
                frame(wirelib.CANCEL, stream),
            ]
        )
    changed = bytearray(data)
    for _ in range(random.choice([0, 3])):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("seed", range(5))
def test_noise_costs_only_its_link(shared, link, seed):
    random = Random(seed)
    for _ in range(10):
        other = shared.link()
        try:
            other.send(noise(random), timeout=0.2)
            other.read(time.monotonic() + 0.02)
        except (Closed, wirelib.Timeout):
            pass
        other.close()
    assert link.get("/").body == b"hello"


def test_frames_in_any_slices(link):
    link.streams += 2
    data = request_frame(link.streams - 1, "POST", "/echo", body=b"one", end=False)
    data += frame(BODY, link.streams - 1, b" two", END) + request_frame(link.streams)
    for i in range(len(data)):
        link.send(data[i : i + 1])
    first = wirelib.Stream(link, link.streams - 1).response()
    assert first.body == b"one two"
    assert wirelib.Stream(link, link.streams).response().body == b"hello"


def test_a_large_head(link):
    headers = [(f"x-{i}", "v" * 1000) for i in range(600)]
    got = json.loads(link.get("/scope", headers).body)
    assert len(got["dict"]["headers"]["list"]) == 600


def test_a_front_that_does_not_read(shared):
    """Output waits in the worker, bounded by credit, and arrives when it is read."""
    slow = shared.link()
    streams = [slow.request("GET", f"/big?{256 << 10}") for _ in range(8)]
    other = shared.link()
    assert other.get("/").body == b"hello"
    for stream in streams:
        assert len(stream.response().body) == 256 << 10
    slow.close()
    other.close()


def test_several_fronts_follow_each_other(executable):
    with run(executable, links=2) as worker:
        first, second = worker.links
        assert first.get("/").body == second.get("/").body == b"hello"
        waiting = first.request("GET", "/disconnect")
        first.ping()
        first.close()
        second.close()
        third = worker.link()
        assert note(third, "disconnect") == ["http.disconnect", "http.disconnect", True]
        assert third.get("/").body == b"hello"
        assert waiting.id == 2
        worker.stop()
        assert worker.wait() == 0


# ---- shapes of applications ----


@pytest.mark.parametrize("name", ["plain", "future", "instance", "holder.inner.app"])
def test_shapes(executable, name):
    with run(executable, f"bridge_app:{name}", lifespan="off") as worker:
        assert worker.links[0].get("/late").body == b"one two three"
        assert worker.links[0].request("POST", "/echo", body=b"x").response().body == b"x"
        assert worker.links[0].get("/raise").frames == ["RESET"]


def test_factory(executable):
    with run(executable, "bridge_app:factory", factory="yes") as worker:
        assert worker.links[0].get("/").body == b"hello"


def test_what_cannot_be_awaited(executable):
    with run(executable, "bridge_app:broken", lifespan="off") as worker:
        assert worker.links[0].get("/").frames == ["RESET"]
        worker.wait_log("the ASGI application returned str, which cannot be awaited")


# ---- lifespan ----


def lifespan(executable, name, **options):
    return run(executable, f"bridge_lifespan:{name}", **options)


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_lifespan(executable, mode):
    with lifespan(executable, "app", lifespan=mode) as worker:
        got = [json.loads(worker.links[0].get("/").body) for _ in range(2)]
        assert got == [{"list": [0], "count": 1}, {"list": [0, 1], "count": 1}]
        worker.stop()
        assert worker.wait() == 0
        said = [x for x in worker.log().splitlines() if x.startswith("lifespan:")]
        assert said == [
            "lifespan: lifespan 3.0 ['asgi', 'state', 'type']",
            "lifespan: started",
            "lifespan: stopping",
            "lifespan: stopped",
        ]


def test_a_task_factory_of_the_application(executable):
    with lifespan(executable, "with_factory") as worker:
        assert json.loads(worker.links[0].get("/").body) == [True, 1]
        assert json.loads(worker.links[0].get("/").body) == [True, 2]
    with lifespan(executable, "with_eager_factory") as worker:
        assert json.loads(worker.links[0].get("/").body) == [True, 0]


def test_lifespan_off(executable):
    with lifespan(executable, "raises", lifespan="off") as worker:
        assert worker.links[0].get("/").body == b'"served"'
        worker.stop()
        assert worker.wait() == 0
        assert "lifespan is not for me" not in worker.log()


@pytest.mark.parametrize("name", ["raises", "returns", "exits"])
def test_lifespan_auto_takes_applications_without_it(executable, name):
    with lifespan(executable, name) as worker:
        assert worker.links[0].get("/").body == b'"served"'
        worker.stop()
        assert worker.wait() == 0


@pytest.mark.parametrize("name, text", [
    ("raises", "RuntimeError: lifespan is not for me"),
    ("returns", "returned without answering its lifespan startup"),
])  # fmt: skip
def test_lifespan_on_insists(executable, name, text):
    with lifespan(executable, name, lifespan="on", start=False) as worker:
        with pytest.raises(Closed):
            worker.wait_ready()
        assert worker.wait() == 1
        assert text in worker.log()


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_lifespan_startup_failed(executable, mode):
    with lifespan(executable, "failed", lifespan=mode, start=False) as worker:
        with pytest.raises(Closed):
            worker.wait_ready()
        assert worker.wait() == 1
        assert "failed in its lifespan startup: no database\ntoday\n" in worker.log()
        assert "Traceback" not in worker.log()


def test_lifespan_that_breaks_later(executable):
    with lifespan(executable, "raises_later") as worker:
        worker.wait_log("RuntimeError: the lifespan broke")
        assert worker.links[0].get("/").body == b'"served"'
        worker.stop()
        assert worker.wait() == 1


def test_lifespan_shutdown_failed(executable):
    with lifespan(executable, "shutdown_failed") as worker:
        worker.stop()
        assert worker.wait() == 1
        assert "failed in its lifespan shutdown: could not say goodbye" in worker.log()


def test_lifespan_shutdown_that_hangs(executable):
    with lifespan(executable, "shutdown_hangs") as worker:
        worker.stop(200)
        assert worker.wait() == 1
        assert "lifespan shutdown did not finish in time" in worker.log()


def test_stop_during_startup(executable):
    with lifespan(executable, "startup_hangs", start=False) as worker:
        worker.wait_log("lifespan: hanging")
        worker.stop(200)
        assert worker.wait() == 0


def test_wrong_lifespan_messages(executable):
    with lifespan(executable, "wrong") as worker:
        worker.stop()
        assert worker.wait() == 0
        assert "'http.response.start' is not an ASGI message" in worker.log()
        assert "'lifespan.startup' was answered at the wrong time" in worker.log()


# ---- starting ----


def refused(executable, app, **options):
    """The log of a worker that does not start; it says so promptly."""
    began = time.monotonic()
    with run(executable, app, start=False, **options) as worker:
        with pytest.raises(Closed):
            worker.wait_ready()
        assert worker.wait() == 1
        assert time.monotonic() - began < wirelib.PATIENCE
        return worker.log()


def test_ready_tells_python_and_loop(executable):
    for loop in ("asyncio", "uvloop", "auto"):
        if loop == "uvloop" and not has_uvloop(executable):
            continue
        with run(executable, loop=loop) as worker:
            version, name = worker.ready.split()
            assert re.fullmatch(r"3\.\d+\.\d+", version)
            expected = "uvloop" if has_uvloop(executable) else "asyncio"
            assert name == (expected if loop == "auto" else loop)


def test_an_import_error_shows_only_the_application_s_frames(executable):
    log = refused(executable, "bridge_import_error:app")
    assert "ERROR:    zq worker: `bridge_import_error` cannot be imported" in log
    assert "No module named 'there_is_no_such_module'" in log
    files = re.findall(r'File "([^"]+)"', log)
    assert files and all(name.endswith("bridge_import_error.py") for name in files)


def test_an_exception_at_import_with_its_cause(executable):
    log = refused(executable, "bridge_raises:app")
    assert "RuntimeError: settings are incomplete" in log and "KeyError: 'missing'" in log
    assert all(name.endswith("bridge_raises.py") for name in re.findall(r'File "([^"]+)"', log))


def test_a_syntax_error(executable, tmp_path):
    (tmp_path / "broken_app.py").write_text("def app(:\n    pass\n")
    log = refused(executable, "broken_app:app", app_dir=str(tmp_path))
    assert "SyntaxError" in log and "def app(:" in log
    assert all(name.endswith("broken_app.py") for name in re.findall(r'File "([^"]+)"', log))


def test_an_exit_at_import(executable):
    log = refused(executable, "bridge_exits:app")
    assert "cannot be imported" in log and "SystemExit: configuration missing" in log


@pytest.mark.parametrize("app, text", [
    ("no_such_app:app", "there is no module `no_such_app` in "),
    ("bridge_app:no_such_name", "has no attribute `no_such_name`"),
    ("bridge_app:holder.outer", "has no attribute `holder.outer`"),
    ("bridge_app:not_callable", "`bridge_app:not_callable` is int, which is not callable"),
    ("bridge_app", "`bridge_app` does not name an application: give MODULE:APP"),
])  # fmt: skip
def test_what_is_no_application(executable, app, text):
    assert text in refused(executable, app)


def test_a_factory_that_fails(executable):
    log = refused(executable, "bridge_app:factory_fails", factory="yes")
    assert "the factory `bridge_app:factory_fails` failed" in log
    assert "RuntimeError: no application today" in log


def test_uvloop_that_is_missing(executable, tmp_path):
    venv = make_venv(executable, tmp_path)
    log = refused(executable, "bridge_app:app", loop="uvloop", venv=venv)
    assert "--loop uvloop" in log and "or use --loop asyncio" in log
    with run(executable, venv=venv) as worker:
        assert worker.ready.endswith("asyncio")


def test_without_super():
    done = subprocess.run(
        [EXECUTABLES[0]], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 1 and "zq serve MODULE:APP" in done.stderr
    done = subprocess.run([EXECUTABLES[0], "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("zq-worker 0.")


def test_a_bad_configuration(executable):
    log = refused(executable, "bridge_app:app", loop="trio")
    assert "--loop" in log and "trio" in log


# ---- the interpreter ----


def info(worker, target="/"):
    return json.loads(worker.links[0].get(target).body)


def base_python(executable):
    """The interpreter that made the virtual environment of this worker."""
    return os.path.realpath(Path(venv_of(executable)) / "bin" / "python")


def make_venv(executable, directory):
    path = directory / "venv"
    subprocess.run([base_python(executable), "-m", "venv", "--without-pip", path], check=True)
    return str(path)


def test_the_interpreter_is_the_environment_s(executable, tmp_path):
    env = {"ZQ_TEST_MARK": "here", "PYTHONUTF8": "1", "PYTHONPATH": str(tmp_path)}
    with run(executable, "bridge_info:app", lifespan="off", env=env) as worker:
        got = info(worker)
    venv = os.path.realpath(venv_of(executable))
    assert got["executable"] == f"{venv}/bin/python"
    assert got["prefix"] == venv and got["base_prefix"] != venv
    assert got["path0"] == str(wirelib.APPS)
    assert got["argv"] == ["zq-worker"]
    assert got["flags"] == [0, 0, 0] and got["utf8"] == 1 and got["env"] == "here"
    assert got["faulthandler"] and got["same_loop"] and got["sigpipe"]
    assert got["sigint"] == "None"  # a handler, but not Python's
    assert int(got["child_ignores"], 16) & (1 << (signal.SIGPIPE - 1)) == 0


def test_the_environment_may_come_from_virtual_env(executable):
    venv = venv_of(executable)
    with run(
        executable, "bridge_info:app", lifespan="off", venv="", env={"VIRTUAL_ENV": venv}
    ) as w:
        assert info(w)["prefix"] == os.path.realpath(venv)


def test_without_an_environment_it_is_the_linked_python(executable):
    with run(executable, "bridge_info:app", lifespan="off", venv="") as worker:
        got = info(worker)
    assert got["prefix"] == got["base_prefix"]
    assert os.path.exists(got["executable"])


def foreign_python(executable):
    """An interpreter that is not the worker's, or None."""
    ours = os.path.realpath(base_python(executable))
    candidates = [base_python(w) for w in EXECUTABLES]
    candidates += ["/usr/bin/python3.11", "/usr/bin/python3"]
    candidates += sorted(str(p) for p in Path.home().glob(".pyenv/versions/*/bin/python"))
    for candidate in candidates:
        if os.path.exists(candidate) and os.path.realpath(candidate) != ours:
            done = subprocess.run([candidate, "-c", "import venv, ensurepip"], capture_output=True)
            if done.returncode == 0:
                return candidate
    return None


def test_the_environment_of_another_interpreter_is_refused(executable, tmp_path):
    python = foreign_python(executable)
    if python is None:
        pytest.skip("there is only one interpreter")
    path = tmp_path / "foreign"
    subprocess.run([python, "-m", "venv", "--without-pip", path], check=True)
    log = refused(executable, "bridge_app:app", venv=str(path))
    version, prefix = subprocess.run(
        [python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.base_prefix)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert f"the virtual environment {path} belongs to Python {version} in " in log
    assert os.path.realpath(prefix) in log and "this zq-worker embeds Python 3." in log


def test_the_version_line_of_an_environment_does_not_matter(executable, tmp_path):
    venv = Path(make_venv(executable, tmp_path))
    text = (venv / "pyvenv.cfg").read_text()
    (venv / "pyvenv.cfg").write_text(re.sub(r"(?m)^version = .*$", "version = 3.1.4", text))
    with run(executable, venv=str(venv)) as worker:
        assert worker.links[0].get("/").body == b"hello"


def test_directories_that_are_no_environment(executable, tmp_path):
    log = refused(executable, "bridge_app:app", venv=str(tmp_path))
    assert f"{tmp_path} is not a virtual environment: it has no bin/python" in log
    log = refused(executable, "bridge_app:app", venv=str(tmp_path / "nowhere"))
    assert "nowhere cannot be used: No such file or directory" in log
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    assert "does not run" in refused(executable, "bridge_app:app", venv=str(tmp_path))


# ---- stopping ----


def test_stop_finishes_what_runs(executable):
    with run(executable) as worker:
        stream = worker.links[0].request("GET", "/slow?0.3")
        background = worker.links[0].request("GET", "/background")
        assert background.response().body == b"done"
        worker.stop()
        assert stream.response().body == b"slow"
        assert worker.wait() == 0
        assert "cancelled" not in worker.log()


def test_stop_cancels_what_does_not_end(executable):
    with run(executable, lifespan="off") as worker:
        stream = worker.links[0].request("GET", "/forever")
        worker.links[0].ping()
        worker.stop(200)
        assert stream.response().reset
        assert worker.wait() == 0
        assert "1 requests did not finish in time" in worker.log()


def test_super_s_end_is_the_worker_s(executable):
    with run(executable) as worker:
        worker.links[0].request("GET", "/forever")
        worker.links[0].ping()
        worker.control.close()
        assert worker.wait() != 0
        worker.links[0].wait_closed()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_only_super_ends_a_worker(executable, signum):
    """A service manager may signal all processes of its group; requests in flight survive it."""
    with run(executable, "bridge_info:app", lifespan="off") as worker:
        for _ in range(3):
            worker.process.send_signal(signum)
        got = info(worker, f"/?{int(signum)}")
        assert got["child_exits"] == [-signum, -signum]  # the application's children end by it
        worker.process.send_signal(signum)
        worker.stop()
        assert worker.wait() == 0


def test_sigabrt_writes_the_stack(executable):
    with run(executable) as worker:
        worker.links[0].ping()
        worker.process.send_signal(signal.SIGABRT)
        assert worker.wait() == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in worker.log()


def test_the_package_alone():
    """zq is importable, and ClientDisconnected an OSError, without a worker."""
    done = subprocess.run(
        [sys.executable, "-c", "import zq; print(zq.__version__, zq.ClientDisconnected.__mro__)"],
        env={**os.environ, "PYTHONPATH": str(wirelib.ROOT / "python")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "OSError" in done.stdout
    version = subprocess.run([EXECUTABLES[0], "--version"], capture_output=True, text=True).stdout
    assert version.split()[1] == done.stdout.split()[0]
