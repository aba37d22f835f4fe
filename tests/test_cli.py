"""The command line of zq: what it shows, what it refuses, and where it listens.

Usage errors exit with 2, what failed with 1.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import sys

import pytest

from harness import APPS, BUILD, DEADLINE, ROOT, ZQ, serve, wait_for

OPTIONS = re.findall(
    r'^OPTION\(\w+, \w+, "([a-z-]+)"', (ROOT / "include/zq/options.def").read_text(), re.M
)


def zq(*arguments, env=None, **options):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "VIRTUAL_ENV"))}
    return subprocess.run(
        [ZQ, *map(str, arguments)],
        env=environment | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        **options,
    )


def refused(*arguments, env=None):
    """What a usage error says."""
    result = zq("serve", *arguments, env=env)
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert "zq serve --help" in result.stderr
    return result.stderr


def failed(*arguments, env=None, **options):
    """What a failed start says."""
    result = zq("serve", f"--app-dir={APPS}", *arguments, env=env, **options)
    assert result.returncode == 1, result
    return result.stderr


# ---- what it shows


@pytest.mark.parametrize("arguments", [["--version"], ["version"], ["serve", "--version"]])
def test_version(arguments):
    result = zq(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"zq \d+\.\d+\.\d+\n", result.stdout)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help(arguments):
    result = zq(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "zq serve [OPTIONS] MODULE:APP" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [["serve", "--help"], ["help", "serve"], ["serve", "-h"], ["serve", "a:b", "--help"]],
)
def test_help_lists_every_option(arguments):
    result = zq(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(OPTIONS) > 30
    for name in [*OPTIONS, "help", "version"]:
        assert f"--{name}" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_the_readme_has_the_table_of_today():
    result = zq("options-table")
    assert result.returncode == 0
    assert result.stdout.strip() in (ROOT / "README.md").read_text()


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        assert subprocess.run([ZQ, "--version"], stdout=full, timeout=DEADLINE).returncode == 1


# ---- what it refuses


def test_nothing_to_do():
    result = zq()
    assert result.returncode == 2
    assert "zq serve" in result.stderr


@pytest.mark.parametrize(
    ("word", "text"),
    [("sevre", "did you mean `serve`"), ("shop:app", "zq serve shop:app"), ("xyzzy", "zq --help")],
)
def test_unknown_command(word, text):
    result = zq(word)
    assert result.returncode == 2
    assert text in result.stderr


@pytest.mark.parametrize(
    ("option", "nearest"),
    [
        ("--prot=80", "--port"),
        ("--worker", "--workers"),
        ("--no-acces-log", "--no-access-log"),
        ("--timeout-keepalive=5", "--timeout-keep-alive"),
        ("--limit-request-head=1", "--limit-request-headers"),
    ],
)
def test_an_unknown_option_suggests_the_nearest(option, nearest):
    assert f"did you mean `{nearest}`?" in refused(option, "basic:app")


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("port", "80a", "65535"),
        ("port", "65536", "65535"),
        ("workers", "0", "from 1"),
        ("front-threads", "1000", "128"),
        ("loop", "trio", "auto asyncio uvloop"),
        ("lifespan", "maybe", "auto on off"),
        ("log-level", "loud", "info"),
        ("uds-mode", "0999", "octal"),
        ("factory", "perhaps", "yes or no"),
        ("timeout-write", "soon", "500ms"),
        ("timeout-write", "0", "`off`"),
        ("limit-request-body", "10MBit", "256MiB"),
        ("limit-request-body", "0", "`unlimited`"),
        ("limit-connections", "-5", "`unlimited`"),
        ("cache-size", "unlimited", "256MiB"),
        ("bind", "8000", "ADDRESS:PORT"),
        ("bind", "::1:8000", "[IPv6]:PORT"),
        ("uds", "x" * 108, "107"),
        ("fd", "three", "a number"),
        ("root-path", "shop", "begins with /"),
        ("forwarded-allow-ips", "10.0.0.0/33", "10.0.0.0/8"),
        ("app-dir", "/nonexistent", "No such file"),
        ("venv", "/nonexistent", "No such file"),
        ("worker-executable", "/nonexistent", "No such file"),
    ],
)
def test_a_bad_value_names_the_option_the_value_and_what_is_allowed(option, value, allowed):
    message = refused(f"--{option}={value}", "basic:app")
    assert f"--{option}" in message
    assert value[:100] in message
    assert allowed in message


def test_a_bad_value_in_the_environment_names_the_variable():
    message = refused("basic:app", env={"ZQ_TIMEOUT_WRITE": "soon"})
    assert "ZQ_TIMEOUT_WRITE" in message and "soon" in message
    assert "WEB_CONCURRENCY" in refused("basic:app", env={"WEB_CONCURRENCY": "many"})
    assert "VIRTUAL_ENV" in refused("basic:app", env={"VIRTUAL_ENV": "/nonexistent"})


def test_a_directory_that_is_no_virtual_environment(tmp_path):
    assert "bin/python" in refused(f"--venv={tmp_path}", "basic:app")


def test_a_missing_value():
    assert "--port needs a value: PORT" in refused("basic:app", "--port")
    assert "--host needs a value" in refused("--host", "--port", "80", "basic:app")


@pytest.mark.parametrize(
    ("app", "suggestion"),
    [
        ("basic", "`basic:app`"),
        ("basic.py", "`basic:app`"),
        ("tests/apps/basic.py", "`--app-dir tests/apps basic:app`"),
        ("basic.py:make", "`basic:make`"),
        ("basic:", "`basic:app`"),
    ],
)
def test_an_application_that_is_not_module_and_app(app, suggestion):
    assert f"did you mean {suggestion}?" in refused(app)


def test_no_application_and_two():
    assert "MODULE:APP" in refused("--port=0")
    assert "`b:app`" in refused("a:app", "b:app")


# ---- what fails


def test_a_busy_port_says_which_and_what_holds_it():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        comm = pathlib.Path("/proc/self/comm").read_text().strip()
        for host in "127.0.0.1", "0.0.0.0":
            message = failed(f"--host={host}", f"--port={port}", "basic:app")
            assert f"{host}:{port}" in message
            assert f"pid {os.getpid()} ({comm})" in message


def test_a_busy_ipv6_port():
    with socket.socket(socket.AF_INET6) as holder:
        try:
            holder.bind(("::1", 0))
        except OSError:
            pytest.skip("there is no IPv6 here")
        holder.listen()
        port = holder.getsockname()[1]
        message = failed("--host=::1", f"--port={port}", "basic:app")
        assert f"[::1]:{port}" in message and f"pid {os.getpid()}" in message


def test_an_address_that_is_asked_for_twice():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = f"--bind=127.0.0.1:{port}"
    assert "twice" in failed(place, place, "basic:app")


def test_an_address_that_is_not_ours_or_no_address():
    assert "192.0.2.1:8000" in failed("--host=192.0.2.1", "basic:app")
    assert "no-such-host.invalid" in failed("--host=no-such-host.invalid", "basic:app")


def test_a_module_that_is_missing_is_a_traceback_and_a_prompt_exit():
    """ "exits non-zero promptly; no restart storm" """
    message = failed("--port=0", "--workers=2", "no_such_module:app")
    assert 1 <= len(re.findall("no_such_module", message)) <= 2
    assert "does not start" in message and "ready on" not in message


def test_an_app_that_is_missing_in_its_module():
    assert "no_such_app" in failed("--port=0", "basic:no_such_app")


def test_a_worker_executable_that_is_not_there(tmp_path):
    """Without zq-worker beside it, zq says what is missing."""
    (tmp_path / "zq").write_bytes(ZQ.read_bytes())
    (tmp_path / "zq").chmod(0o755)
    result = subprocess.run(
        [tmp_path / "zq", "serve", "--port=0", f"--app-dir={APPS}", "basic:app"],
        env={k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "VIRTUAL_ENV"))},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert result.returncode == 1
    assert f"{tmp_path}/zq-worker" in result.stderr


def test_a_worker_executable_that_cannot_run(tmp_path):
    broken = tmp_path / "zq-worker"
    broken.write_text("#!/nonexistent\n")
    broken.chmod(0o755)
    message = failed("--port=0", f"--worker-executable={broken}", "basic:app")
    assert str(broken) in message and "does not start" in message


# ---- where it listens


def test_port_0_shows_the_real_port_and_units_are_shown():
    with serve("basic:app", "--cache-size=256MiB") as server:
        assert re.search(
            r"zq \d+\.\d+\.\d+ ready on http://127\.0\.0\.1:[1-9]\d* "
            r"\(1 worker, Python 3\.\d+\.\d+, (uvloop|asyncio), cache 256MiB\)\n",
            server.log,
        )
        assert server.get("/").status == 200


def test_the_environment_and_the_command_line():
    env = {"ZQ_WORKERS": "2", "ZQ_CACHE": "no", "WEB_CONCURRENCY": "3", "ZQ_ACCESS_LOG": "no"}
    with serve("basic:app", "--access-log", env=env) as server:
        assert "(2 workers, " in server.log and "cache off" in server.log
        server.get("/")
        wait_for(lambda: server.access_log, "the access log")


def test_several_addresses(tmp_path):
    path = tmp_path / "zq.sock"
    listen = ("--bind=127.0.0.1:0", f"--bind=unix:{path}", "--bind=localhost:0")
    with serve("basic:app", listen=listen) as server:
        addresses = server.addresses
        assert len(addresses) >= 3
        for address in addresses:
            server.addresses = [address]
            assert server.get("/").status == 200
        # a name with addresses of two families has one port
        assert len({a.rpartition(":")[2] for a in addresses[2:]}) == 1


def test_bind_instead_of_host_and_port():
    with serve("basic:app", listen=("--bind=127.0.0.1:0",)) as server:
        assert len(server.addresses) == 1
    with serve("basic:app", listen=("--bind=127.0.0.1:0", "--port=0")) as server:
        assert len(server.addresses) == 2


def test_ipv6_is_ipv6_only():
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::", 0))
        except OSError:
            pytest.skip("there is no IPv6 here")
        port = probe.getsockname()[1]
    with serve("basic:app", listen=(f"--bind=[::]:{port}", f"--bind=0.0.0.0:{port}")) as server:
        assert server.addresses == [f"http://[::]:{port}", f"http://0.0.0.0:{port}"]
        server.addresses = [f"http://[::1]:{port}"]
        assert server.get("/").status == 200


def test_uds_has_its_mode_and_goes_with_zq(tmp_path):
    path = tmp_path / "zq.sock"
    with serve("basic:app", "--uds-mode=0660", listen=(f"--uds={path}",)) as server:
        assert server.addresses == [f"unix:{path}"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert server.get("/").status == 200
    assert not path.exists()


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    path = tmp_path / "zq.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with serve("basic:app", listen=(f"--uds={path}",)) as server:
        assert server.get("/").status == 200
        message = failed(f"--uds={path}", "basic:app")
        assert str(path) in message and f"pid {server.pid} (zq)" in message
        assert server.get("/").status == 200


def test_a_file_that_is_no_socket_stays(tmp_path):
    path = tmp_path / "notes"
    path.write_text("precious")
    assert "no socket" in failed(f"--uds={path}", "basic:app")
    assert path.read_text() == "precious"


def test_a_socket_that_another_process_put_there_stays(tmp_path):
    path = tmp_path / "zq.sock"
    with serve("basic:app", listen=(f"--uds={path}",)) as server:
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            assert server.stop() == 0
    assert path.is_socket()


def test_fd(tmp_path):
    with socket.socket() as inherited:
        inherited.bind(("127.0.0.1", 0))
        port = inherited.getsockname()[1]
        fd = inherited.fileno()
        with serve("basic:app", listen=(f"--fd={fd}",), pass_fds=(fd,)) as server:
            assert server.addresses == [f"http://127.0.0.1:{port}"]
            inherited.close()
            assert server.get("/").status == 200


def test_fd_that_is_none(tmp_path):
    assert "descriptor 99" in failed("--fd=99", "basic:app")
    with open(tmp_path / "file", "w") as file:
        message = failed(f"--fd={file.fileno()}", "basic:app", pass_fds=(file.fileno(),))
        assert "no stream socket" in message


def test_a_log_that_nobody_reads_does_not_end_it():
    """Standard output and error are pipes without a reader."""
    reading, writing = os.pipe()
    with serve("basic:app", stdout=writing) as server:
        os.close(reading)
        os.close(writing)
        for _ in range(3):
            assert server.get("/").status == 200
        assert server.process.poll() is None


def test_standard_error_that_nobody_reads_does_not_end_it(tmp_path):
    process = subprocess.Popen(
        [ZQ, "serve", f"--app-dir={APPS}", f"--uds={tmp_path}/s", "basic:app"],
        env={k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "VIRTUAL_ENV"))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert b"ready" in process.stderr.readline()
        process.stderr.close()
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        before = set(children.read_text().split())
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: set(children.read_text().split()) - before, "a reload")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()


def test_closed_standard_descriptors(tmp_path):
    """What zq opens must not become its standard output."""
    process = subprocess.Popen(
        [
            "sh",
            "-c",
            'exec "$@" <&- >&- 2>&-',
            "sh",
            ZQ,
            "serve",
            f"--app-dir={APPS}",
            f"--uds={tmp_path}/s",
            "basic:app",
        ],
        env={k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "VIRTUAL_ENV"))},
    )
    try:

        def answers():
            with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
                client.settimeout(DEADLINE)
                client.connect(f"{tmp_path}/s")
                client.send(b"GET / HTTP/1.0\r\n\r\n")
                return client.recv(100).startswith(b"HTTP/1.1 200")

        wait_for(answers, "an answer")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()


def test_python_is_nowhere_in_zq():
    """ "zq (super and front, which link no Python)" """
    linked = subprocess.run(["ldd", ZQ], capture_output=True, text=True, timeout=DEADLINE).stdout
    assert "python" not in linked.replace(str(BUILD), "")
    assert sys.version_info >= (3, 11)
