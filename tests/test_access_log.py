"""The access log: one line a request with time, bytes and rung; escaped; never in the way."""

import os
import re
import time

from harness import serve, wait_for

LINE = re.compile(
    r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ 127\.0\.0\.1:\d+ "(?P<request>[^"]*)" (?P<status>\d{3}) '
    r"(?P<bytes>\d+) (?P<ms>[\d.]+)ms (?P<rung>[a-z]+)(?P<end> [a-z-]+)?$"
)


def lines(server, n):
    wait_for(lambda: server.access_log.count("\n") >= n, f"{n} lines in {server.access_log!r}")
    return [LINE.match(line) for line in server.access_log.splitlines()]


def test_a_line_a_request():
    with serve("basic:app", "--front-threads=1") as server:  # two threads' lines may cross
        page = "/answer?size=1000&sleep=0.1&h=Cache-Control:max-age=60"
        server.get(page)
        server.get(page)
        with server.client() as client:
            client.send("BROKEN\r\n\r\n")
            assert client.response().status == 400
        first, second, third = lines(server, 3)
        assert first["request"] == f"GET {page} HTTP/1.1"
        assert (first["status"], first["bytes"], first["rung"]) == ("200", "1000", "app")
        assert float(first["ms"]) >= 100
        assert (second["status"], second["bytes"], second["rung"]) == ("200", "1000", "hit")
        assert (third["status"], third["rung"]) == ("400", "reject")


def test_bytes_are_escaped():
    with serve("basic:app") as server:
        server.get('/x"\\y')
        wait_for(lambda: "\n" in server.access_log, "a line")
        assert "GET /x\\x22\\x5cy HTTP/1.1" in server.access_log
        assert "\033" not in server.access_log


def test_off():
    with serve("basic:app", "--no-access-log") as server:
        server.get("/")
        time.sleep(0.2)
    assert server.stdout_path is not None


def test_a_reader_that_never_reads_does_not_stop_the_server():
    """A full buffer drops lines and counts them."""
    read, write = os.pipe()
    try:
        with serve("basic:app", stdout=write) as server:
            target = "/answer?body=x&h=Cache-Control:max-age=60&pad=" + "p" * 1500
            with server.client() as client:
                for _ in range(1000):
                    assert client.request(target).status == 200
            drained = b""
            os.set_blocking(read, False)

            def dropped():
                nonlocal drained
                try:
                    drained += os.read(read, 1 << 20)
                except BlockingIOError:
                    pass
                return re.search(r"access log: (\d+) lines dropped", server.log)

            assert int(wait_for(dropped, "the count of dropped lines")[1]) > 0
    finally:
        os.close(read)
        os.close(write)


def test_colour_only_on_a_terminal():
    read, write = os.openpty()
    try:
        with serve("basic:app", stdout=write) as server:
            server.get("/")
            seen = b""
            os.set_blocking(read, False)

            def coloured():
                nonlocal seen
                try:
                    seen += os.read(read, 4096)
                except BlockingIOError:
                    pass
                return b"\n" in seen

            wait_for(coloured, "a line")
            assert b"\033[32m200\033[0m" in seen
    finally:
        os.close(read)
        os.close(write)
