"""Declared routes behind zq: `zq routes`, and what becomes of decorated views, simple_json and
static routes in each framework. Sentences in quotation marks are the specification's."""

import json
import os
import subprocess

import pytest

from harness import APPS, DEADLINE, ZQ, venv_of, workers

FRAMEWORKS = ["quart", "flask", "starlette", "fastapi", "django"]


def zq_routes(*arguments, worker=None, app_dir=APPS, stdout=subprocess.PIPE):
    worker = worker or workers()[0]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "VIRTUAL_ENV"))}
    return subprocess.run(
        [
            ZQ,
            "routes",
            f"--app-dir={app_dir}",
            f"--venv={venv_of(worker)}",
            f"--worker-executable={worker}",
            *arguments,
        ],
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=DEADLINE,
    )


# ---- zq routes ----


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_zq_routes_lists_method_path_class_key_rule_and_why(worker, name):
    """“reported by `zq routes MODULE:APP` (method, path, class, key rule, why)”"""
    done = zq_routes("--factory", f"routed:{name}_app", worker=worker)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["METHOD", "PATH", "CLASS", "KEY", "WHY"]
    rows = {line.split()[1]: line.split() for line in lines}
    assert rows["/page/<int:id>"][:4] == ["GET", "/page/<int:id>", "cached", "-"]
    assert rows["/page/<int:id>"][4].endswith(".page")
    assert rows["/rule"][2:7] == ["cached", "query", "q;", "cookies", "none"]
    assert rows["/plain"][2:] == ["app", "-", "not", "decorated"]
    assert rows["/api/square/<int:n>"][2] == "direct"
    assert rows["/robots.txt"][2] == "static"


def test_it_says_what_direct_and_static_routes_skip():
    """“simple_json and static routes skip the framework's middleware and authentication:
    docstrings, README and `zq routes` say so”"""
    listed = json.loads(zq_routes("--json", "--factory", "routed:quart_app").stdout)
    for each in listed:
        skips = "skips the framework's middleware and authentication" in each["why"]
        assert skips == (each["class"] in ("direct", "static"))
    (rule,) = [each for each in listed if each["path"] == "/rule"]
    assert rule == {
        "methods": ["GET"],
        "path": "/rule",
        "class": "cached",
        "query": ["q"],
        "ignore_query": [],
        "cookies": [],
        "headers": [],
        "why": rule["why"],
    }


def test_patterns_that_cannot_be_declared_are_named():
    done = zq_routes("--factory", "routed:django_app")
    line = next(line for line in done.stdout.splitlines() if "^numbers" in line)
    assert "pattern cannot be declared: a regular expression" in line


def test_an_application_whose_routes_cannot_be_read():
    done = zq_routes("--json", "basic:app")
    assert done.returncode == 0
    assert json.loads(done.stdout) == []
    assert "no framework whose URL map can be read" in done.stderr


def test_what_the_application_prints_is_not_among_its_routes(tmp_path):
    (tmp_path / "loud.py").write_text("print('hello')\nasync def app(*_): ...\n")
    done = zq_routes("--json", "loud:app", app_dir=tmp_path)
    assert json.loads(done.stdout) == []
    assert "hello" in done.stderr


def test_errors(tmp_path):
    done = zq_routes("nowhere:app")
    assert done.returncode == 1
    assert "there is no module `nowhere`" in done.stderr
    done = zq_routes()
    assert done.returncode == 2
    assert "which application" in done.stderr and "zq routes --help" in done.stderr
    (tmp_path / "twice.py").write_text(
        "import zq\nzq.static_route('/x', 'a')\nzq.simple_json('/x')(lambda: 1)\n"
        "async def app(*_): ...\n"
    )
    done = zq_routes("twice:app", app_dir=tmp_path)
    assert done.returncode == 1
    assert "GET /x is declared twice" in done.stderr


def test_help():
    done = subprocess.run([ZQ, "help", "routes"], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0
    assert "zq routes [OPTIONS] MODULE:APP" in done.stdout


def test_a_reader_that_leaves():
    """`zq routes … | head -1` ends without a traceback."""
    read, write = os.pipe()
    os.close(read)
    done = zq_routes("basic:app", stdout=write)
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
