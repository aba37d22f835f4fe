"""Direct calls: declared functions that are called without the application (issue 5, section 4)."""

import json
import threading

import pytest

from harness import serve


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(request, worker):
    with serve(
        "declared:app", "--front-threads=2", f"--loop={request.param}", worker=worker, venv=True
    ) as server:
        yield server


def told(response):
    assert response.status == 200, response
    return json.loads(response.body)


def test_path_parameters_are_text_and_the_rest_is_as_it_came(server):
    response = server.get("/echo/7/two?a=%20b", headers={"X-One": "1"})
    got = told(response)
    assert got["parameters"] == {"id": "7", "name": "two"}
    assert (got["query"], got["method"], got["body"]) == ("a=%20b", "GET", "")
    assert ["x-one", "1"] in got["headers"] and ["host", "test"] in got["headers"]
    assert response.get("content-length") == str(len(response.body))
    assert response.get("cache-status") == "zq; fwd=uri-miss; detail=direct"


def test_head_is_answered_where_get_is_declared(server):
    response = server.get("/echo/7/two", method="HEAD")
    assert (response.status, response.body) == (200, b"")
    assert int(response.get("content-length")) > 0


@pytest.mark.parametrize("size", [0, 1, 100_000, 1_000_000])
def test_the_body_is_collected(server, size):
    body = bytes(i % 251 for i in range(size))
    got = told(server.get("/echo/7/two", method="POST", body=body))
    assert got["body"].encode("latin-1") == body


def test_a_coroutine_runs_in_a_task(server):
    assert told(server.get("/slow", method="PUT", body=b"x" * 300_000)) == {
        "task": True,
        "length": 300_000,
    }


def test_expect_continue_gets_its_100(server):
    with server.client() as client:
        client.send(
            b"POST /echo/1/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            b"Content-Length: 3\r\n\r\n"
        )
        assert client.head().status == 100
        client.send(b"abc")
        assert told(client.response())["body"] == "abc"


@pytest.mark.parametrize(
    "target",
    [
        "/echo/a/b",
        "/echo/1",
        "/echo/1/a%62",
        "/echo/1/a;b",
        "/echo//1/a",
        "/echo/./1/a",
        "/Echo/1/a",
    ],
)
def test_what_is_not_plainly_it_goes_to_the_application(server, target):
    assert "call" in told(server.get(target))


def test_another_method_goes_to_the_application(server):
    assert "call" in told(server.get("/echo/1/a", method="DELETE"))


@pytest.mark.parametrize(
    "how", ["raise", "exit", "none", "pair", "text", "status", "split", "length", "cancel", "later"]
)
def test_a_function_that_fails_is_a_500_and_a_line_in_the_log(server, how):
    before = server.log.count(f"GET /wrong/{how}")
    assert server.get(f"/wrong/{how}").status == 500
    assert server.log.count(f"GET /wrong/{how}") > before
    assert told(server.get("/echo/1/after"))["parameters"]["name"] == "after"


def test_a_large_response_waits_for_credit(server):
    response = server.get("/large/3000000")
    assert response.body == b"x" * 3_000_000
    assert response.get("content-length") == "3000000"


def test_context_variables_are_each_calls_own(server):
    with server.client() as client:
        for _ in range(3):
            assert told(client.request("/echo/1/a"))["seen"] is None


def test_a_client_that_leaves_harms_nobody(server):
    for _ in range(20):
        with server.client() as client:
            client.send(b"PUT /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nabc")
    threads = [threading.Thread(target=server.get, args=("/slow",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert told(server.get("/slow"))["length"] == 0
