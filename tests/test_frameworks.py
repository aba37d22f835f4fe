"""Each framework works unchanged, with every interpreter that has a worker."""

import pytest

from harness import serve

FRAMEWORKS = ["quart", "starlette", "fastapi", "django", "litestar"]
LOG_NOTHING = {"django", "litestar"}  # of a view's exception, as configured here


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_framework(worker, name):
    app = f"framework_apps:{name}_app"
    with serve(app, "--factory", worker=worker, venv=True) as server:
        with server.client() as client:
            assert client.request("/").body == f"{name} started".encode()
            body = b"0123456789" * 20000
            response = client.request("/echo", "POST", body=body)
            assert response.status in (200, 201)
            assert response.body == body
            assert client.request("/stream").body == b"part0part1part2"
            assert client.request("/fail").status == 500
            assert client.request("/nowhere").status == 404
            head = client.request("/", "HEAD")
            assert head.status in (200, 405)
        if name not in LOG_NOTHING:
            assert "on purpose" in server.log


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_loops(worker, loop):
    with serve("basic:app", f"--loop={loop}", worker=worker, venv=True) as server:
        assert loop in server.log
        assert server.get("/").body == b"Hello, world!"
