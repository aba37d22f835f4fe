"""Super: who is started, restarted, reloaded and stopped when, and what they inherit.

Most tests replace the worker by apps/puppet.py, so that only super (and the real front) is seen.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
import time

import pytest

from harness import APPS, DEADLINE, ZQ, Client, serve, wait_for, workers


class Puppet:
    """A directory with the puppet worker; `mode` is what its next instances do."""

    def __init__(self, directory: pathlib.Path, mode: str):
        self.directory = directory
        self.executable = directory / "zq-worker"
        self.executable.write_text(f"#!{sys.executable} -IS\n" + (APPS / "puppet.py").read_text())
        self.executable.chmod(0o755)
        self.mode = mode

    @property
    def mode(self):
        return (self.directory / "mode").read_text()

    @mode.setter
    def mode(self, mode):
        (self.directory / "mode").write_text(mode)

    @property
    def starts(self):
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in open(self.directory / "starts")]
        return []

    def serve(self, *options, **more):
        env = {"PUPPET": str(self.directory)}
        return serve("basic:app", *options, worker=self.executable, env=env, **more)


@pytest.fixture
def puppet(tmp_path):
    return Puppet(tmp_path, "serve")


def log_says(server, text, count=1):
    wait_for(lambda: server.log.count(text) >= count, f"{text!r} in the log")


def ends(server):
    """The exit status; the server ends by itself, before a --timeout-graceful-shutdown that was not
    given would end it."""
    started = time.monotonic()
    status = server.wait()
    assert time.monotonic() - started < 25
    return status


def is_gone(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


# ---- what a child inherits


def spoil():
    """What a careless parent leaves behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGCHLD, signal.SIGABRT])
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, 600))


def test_a_child_has_the_control_channel_and_nothing_else(puppet):
    """No listener, no pair of another, no descriptor or signal state of whoever started zq."""
    reading, writing = os.pipe()
    with puppet.serve(
        "--workers=2", "--bind=127.0.0.1:0", pass_fds=(reading, writing), preexec_fn=spoil
    ) as server:
        for start in puppet.starts:
            opened = set(start["descriptors"]) - set(start["own"])
            assert {0, 1, 2, 3} <= opened
            assert max(opened) <= 5  # what listdir and a script's interpreter open
            assert start["group"] == start["pid"]
            assert start["blocked"] == []
            assert not {"SIGINT", "SIGHUP", "SIGTERM", "SIGCHLD"} & set(start["ignored"])
            assert start["limit"] == [300, 600]
        front = server.children()["front"][0]
        assert os.getpgid(front) == front
        # "The front raises the soft descriptor limit to the hard one"
        limits = pathlib.Path(f"/proc/{front}/limits").read_text()
        assert limits.split("Max open files")[1].split()[:2] == ["600", "600"]
        for fd in reading, writing:
            link = os.readlink(f"/proc/self/fd/{fd}")
            held = [os.readlink(p) for p in pathlib.Path(f"/proc/{front}/fd").iterdir()]
            assert link not in held
    os.close(reading)
    os.close(writing)


def test_a_descriptor_limit_below_limit_connections_is_told(puppet):
    with puppet.serve("--limit-connections=500", preexec_fn=spoil) as server:
        assert "--limit-connections 500" in server.log and "600" in server.log
    with puppet.serve("--limit-connections=100", preexec_fn=spoil) as server:
        assert "--limit-connections" not in server.log


# ---- the start


def test_workers_that_exit_at_the_start_end_it_promptly(puppet):
    """No restart storm."""
    puppet.mode = "exit"
    with puppet.serve("--workers=3", ready=False) as server:
        assert ends(server) == 1
        assert len(puppet.starts) <= 3
        assert "exited with status 3 before it was ready" in server.log
        assert "ready on" not in server.log


def test_the_ready_line_waits_for_every_worker(puppet):
    puppet.mode = "never"
    with puppet.serve("--workers=2", ready=False) as server:
        wait_for(lambda: len(puppet.starts) == 2, "both workers")
        puppet.mode = "serve"
        time.sleep(0.3)
        assert "ready on" not in server.log
        server.signal(signal.SIGTERM)
        assert ends(server) == 0
    assert all(is_gone(start["pid"]) for start in puppet.starts)


# ---- deaths


def test_a_worker_that_does_not_last_is_restarted_ever_more_slowly(puppet):
    """Exponential backoff; an unexpected exit with status 0 is a death too."""
    with puppet.serve() as server:
        puppet.mode = "brief"
        os.kill(server.children()["worker"][0], signal.SIGKILL)
        log_says(server, "was killed by SIGKILL; another is started\n")
        log_says(server, "exited with status 0; another is started in ")
        log_says(server, "3 in a row")
        started = len(puppet.starts)
        time.sleep(1)
        assert len(puppet.starts) - started <= 1
        puppet.mode = "serve"
        log_says(server, "is ready", 3)
        wait_for(lambda: server.children()["worker"], "a worker that lasts")


def test_a_worker_that_closes_its_control_channel_is_replaced(puppet):
    puppet.mode = "silent"
    with puppet.serve() as server:
        puppet.mode = "serve"
        log_says(server, "has closed its control channel")
        wait_for(lambda: len(puppet.starts) == 2, "its replacement")
        wait_for(lambda: is_gone(puppet.starts[0]["pid"]), "its end")


def test_a_worker_that_hangs_is_aborted_and_then_killed(puppet):
    """It answers no ping. SIGABRT is for its stack; who survives that gets SIGKILL."""
    puppet.mode = "deaf"
    with puppet.serve("--timeout-worker-healthcheck=1s") as server:
        puppet.mode = "serve"
        with server.client() as client:
            client.send_request("/", method="POST", body=b"")
            log_says(server, "hangs: its event loop has not answered for 1s")
            log_says(server, "was killed by SIGKILL; another is started")
            assert client.response().status == 504
        wait_for(lambda: len(puppet.starts) == 2, "its replacement")


def test_a_worker_that_breaks_the_protocol_is_replaced(puppet):
    puppet.mode = "garbage"
    with puppet.serve() as server:
        puppet.mode = "serve"
        log_says(server, " is killed: ")
        wait_for(lambda: len(puppet.starts) == 2, "its replacement")
        wait_for(lambda: is_gone(puppet.starts[0]["pid"]), "its end")


def test_a_front_that_dies_again_and_again(puppet):
    with puppet.serve() as server:
        for i in range(3):
            front = wait_for(lambda: server.children()["front"], "a front")[0]
            os.kill(front, signal.SIGKILL)
            log_says(server, "the front (pid", 2 * i + 2)  # it died; it is ready
        assert "SIGKILL; another is started in" in server.log
        assert len(puppet.starts) == 1


# ---- reload


def test_a_new_worker_that_exits_leaves_the_old_ones(puppet):
    with puppet.serve("--workers=2") as server:
        old = set(server.children()["worker"])
        puppet.mode = "exit"
        server.signal(signal.SIGHUP)
        log_says(server, "the reload has failed: worker")
        wait_for(lambda: set(server.children()["worker"]) == old, "only the old ones")
        puppet.mode = "serve"
        server.signal(signal.SIGHUP)
        log_says(server, "reloaded: 2 new workers serve")
        wait_for(lambda: not set(server.children()["worker"]) & old, "the old ones leave")


def test_a_new_worker_that_does_not_get_ready_leaves_the_old_ones(puppet):
    with puppet.serve("--workers=2", "--timeout-worker-healthcheck=1s") as server:
        old = set(server.children()["worker"])
        puppet.mode = "never"
        server.signal(signal.SIGHUP)
        log_says(server, "was not ready within")
        log_says(server, "the reload has failed: worker")
        wait_for(lambda: set(server.children()["worker"]) == old, "only the old ones")


def test_the_application_itself_can_fail_a_reload(tmp_path):
    """The log says why."""
    (tmp_path / "shop.py").write_text((APPS / "basic.py").read_text())
    with serve("shop:app", app_dir=tmp_path) as server:
        (tmp_path / "shop.py").write_text("raise RuntimeError('no stock')\n")
        server.signal(signal.SIGHUP)
        log_says(server, "the reload has failed")
        assert "no stock" in server.log
        assert server.get("/").status == 200


def test_sighup_during_sighup_means_one_more(puppet):
    with puppet.serve() as server:
        puppet.mode = "later"
        server.signal(signal.SIGHUP)
        wait_for(lambda: len(puppet.starts) == 2, "the first reload")
        for _ in range(2):
            server.signal(signal.SIGHUP)
            time.sleep(0.01)
        puppet.mode = "serve"
        log_says(server, "reloaded: 1 new worker serves", 2)
        time.sleep(0.5)
        assert len(puppet.starts) == 3


def test_sighup_before_it_is_ready(puppet):
    with puppet.serve(ready=False) as server:
        wait_for(lambda: puppet.starts, "the first worker")
        server.signal(signal.SIGHUP)
        server.wait_ready()
        log_says(server, "reloaded: 1 new worker serves")
        assert len(puppet.starts) == 2


def test_an_old_worker_with_a_request_that_does_not_end(tmp_path):
    """It is given --timeout-graceful-shutdown, and no more."""
    with serve("basic:app", "--timeout-graceful-shutdown=1s") as server:
        old = server.children()["worker"][0]
        with server.client() as client:
            client.reach("/held")
            server.signal(signal.SIGHUP)
            log_says(server, "still has requests after 1s: they are cut")
            wait_for(lambda: is_gone(old), "its end")
        assert server.get("/").status == 200


def test_sighup_reloads_though_it_was_ignored_at_the_start(puppet):
    """As nohup leaves it."""
    with puppet.serve(preexec_fn=spoil) as server:
        server.signal(signal.SIGHUP)
        log_says(server, "reloaded: 1 new worker serves")


# ---- the end


def test_what_is_left_at_the_deadline_is_cut():
    with serve("basic:app", "--timeout-graceful-shutdown=1s") as server:
        with server.client() as client:
            client.reach("/held")
            started = time.monotonic()
            server.signal(signal.SIGTERM)
            assert ends(server) == 1
            assert time.monotonic() - started > 0.9
            assert "still in flight after 1s" in server.log


def test_who_still_waits_for_a_worker_at_the_deadline_is_cut(puppet):
    """On several threads, for one fetch: each thread's end leaves the others nothing to stumble on."""
    with puppet.serve("--front-threads=3", "--timeout-graceful-shutdown=500ms") as server:
        puppet.mode = "never"
        os.kill(server.children()["worker"][0], signal.SIGKILL)
        log_says(server, "was killed by SIGKILL")
        clients = [server.client() for _ in range(24)]
        for client in clients:
            client.send_request("/")
        time.sleep(0.3)
        server.signal(signal.SIGTERM)
        assert all(client.closed() for client in clients)
        assert ends(server) == 1
        assert re.search(r"the front \(pid \d+\) exited with status 1\n", server.log)


STREAM = """
import asyncio, os, pathlib

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        pathlib.Path(os.environ["NOTE"]).write_text("shut down")
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.sleep(0.1)
"""


def test_the_lifespan_shutdown_runs_though_a_stream_was_cut(tmp_path):
    (tmp_path / "stream.py").write_text(STREAM)
    note = tmp_path / "note"
    with serve(
        "stream:app", "--timeout-graceful-shutdown=1s", app_dir=tmp_path, env={"NOTE": str(note)}
    ) as server:
        with server.client() as client:
            client.send_request("/")
            assert client.head().status == 200
            server.signal(signal.SIGTERM)
            assert ends(server) == 1
    assert note.read_text() == "shut down"


def test_without_a_deadline_the_stop_waits_for_the_last_request():
    with serve("basic:app", "--timeout-graceful-shutdown=off") as server:
        with server.client() as client:
            client.reach("/hint?sleep=1.5&body=whole")
            server.signal(signal.SIGTERM)
            assert client.response().body == b"whole"
        assert ends(server) == 0


def test_a_worker_that_does_not_stop_is_killed(puppet):
    puppet.mode = "stubborn"
    with puppet.serve("--timeout-graceful-shutdown=1s") as server:
        server.signal(signal.SIGTERM)
        assert ends(server) == 1
        assert "did not stop in time" in server.log
    assert is_gone(puppet.starts[0]["pid"])


def test_ctrl_c_at_a_terminal(tmp_path):
    """The terminal sends SIGINT to its foreground group: super alone is in it, and no
    KeyboardInterrupt is raised in the middle of a request."""
    terminal, slave = pty.openpty()
    process = subprocess.Popen(
        [
            ZQ,
            "serve",
            f"--app-dir={APPS}",
            f"--uds={tmp_path}/s",
            f"--worker-executable={workers()[0]}",
            "basic:app",
        ],
        env={k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "VIRTUAL_ENV"))},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    shown = b""
    try:
        while b"ready on" not in shown:
            shown += os.read(terminal, 4096)
        # "colour only on a terminal"
        assert (b"\033[32mINFO\033[0m:" in shown) == (os.environ.get("NO_COLOR", "") == "")
        assert os.tcgetpgrp(terminal) == process.pid
        with Client(f"{tmp_path}/s") as client:
            client.reach("/hint?sleep=0.6&body=whole")
            os.write(terminal, b"\x03")
            assert client.response().body == b"whole"
        assert process.wait(DEADLINE) == 0
        with contextlib.suppress(OSError):  # EIO: nobody has the other side any more
            while part := os.read(terminal, 4096):
                shown += part
        assert b"SIGINT: stopping" in shown and b"stopped" in shown
        assert b"KeyboardInterrupt" not in shown
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def test_a_worker_that_stops_badly_shows_in_the_exit_status(puppet):
    puppet.mode = "sour"
    with puppet.serve() as server:
        server.signal(signal.SIGTERM)
        assert ends(server) == 1
        assert "exited with status 4" in server.log


def test_a_front_that_dies_while_it_drains_shows_in_the_exit_status():
    with serve("basic:app") as server:
        with server.client() as client:
            client.reach("/held")
            server.signal(signal.SIGTERM)
            log_says(server, "stopping")
            server.signal(signal.SIGHUP)
            log_says(server, "no reload")
            os.kill(server.children()["front"][0], signal.SIGKILL)
            assert ends(server) == 1
        assert "the front (pid" in server.log


def test_a_reload_and_a_stop_while_there_is_no_front(puppet):
    with puppet.serve() as server:
        for _ in range(2):
            front = wait_for(lambda: server.children()["front"], "a front")[0]
            os.kill(front, signal.SIGKILL)
            wait_for(lambda: is_gone(front), "its end")
        log_says(server, "another is started in")
        server.signal(signal.SIGHUP)
        log_says(server, "reloaded: 1 new worker serves")
        wait_for(lambda: is_gone(puppet.starts[0]["pid"]), "the old one left")
        front = wait_for(lambda: server.children()["front"], "a front")[0]
        os.kill(front, signal.SIGKILL)
        log_says(server, "another is started in", 2)
        server.signal(signal.SIGTERM)
        assert ends(server) == 0


def test_a_stop_while_the_front_starts(puppet):
    """It has accepted nobody, so nothing is lost."""
    with puppet.serve("--front-threads=4") as server:
        children = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children")
        worker = puppet.starts[0]["pid"]

        def caught():
            """Another front, stopped before it has all of its threads, and so before it is ready."""
            before = set(children.read_text().split())
            for pid in before - {str(worker)}:
                os.kill(int(pid), signal.SIGKILL)
            new = wait_for(lambda: set(children.read_text().split()) - before, "a front", pause=0)
            os.kill(int(*new), signal.SIGSTOP)
            stat = pathlib.Path("/proc", *new, "stat")
            wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "its rest")
            return len(os.listdir(pathlib.Path("/proc", *new, "task"))) < 4

        wait_for(caught, "a front that starts")
        server.signal(signal.SIGTERM)
        assert ends(server) == 0
        assert server.log.endswith("stopped\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(puppet, number):
    puppet.mode = "stubborn"
    with puppet.serve("--workers=2") as server:
        front = server.children()["front"]
        server.signal(number)
        log_says(server, "stopping")
        time.sleep(0.2)
        server.signal(number)
        assert ends(server) == 128 + number
    assert all(is_gone(pid) for pid in [*front, *(s["pid"] for s in puppet.starts)])


def test_stopping_during_a_reload(puppet):
    with puppet.serve("--workers=2") as server:
        puppet.mode = "never"
        server.signal(signal.SIGHUP)
        wait_for(lambda: len(puppet.starts) == 4, "the new ones")
        server.signal(signal.SIGHUP)
        server.signal(signal.SIGTERM)
        assert ends(server) == 0
    assert all(is_gone(start["pid"]) for start in puppet.starts)
    assert len(puppet.starts) == 4


def test_nobody_stays_when_super_is_killed(puppet):
    """Not even a worker that looks at nothing."""
    puppet.mode = "stubborn"
    with puppet.serve() as server:
        pids = [*server.children()["front"], *server.children()["worker"]]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        server.process.kill()
        server.process.wait()
        wait_for(lambda: all(is_gone(pid) for pid in pids), "their end")


def test_as_the_first_process_of_a_container_it_reaps_orphans(puppet):
    script = (
        f"exec {ZQ} serve --uds {puppet.directory}/s --worker-executable {puppet.executable} a:b"
    )
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]
    if os.geteuid() != 0 or subprocess.run([*command[:5], "true"]).returncode:
        pytest.skip("needs to make a PID namespace")
    # an orphan: the process between it and the worker has left
    code = (APPS / "puppet.py").read_text()
    orphan = "import subprocess; subprocess.run('sleep 0.3 &', shell=True)\n"
    puppet.executable.write_text(
        f"#!{sys.executable} -IS\n" + code.replace("held = []", "held = []\n" + orphan)
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ZQ_", "VIRTUAL_ENV"))}
    process = subprocess.Popen(
        command, env=env | {"PUPPET": str(puppet.directory)}, stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stderr:
            if "ready on" in line:
                break
        inside = int(pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        children = pathlib.Path(f"/proc/{inside}/task/{inside}/children")
        wait_for(lambda: len(children.read_text().split()) == 3, "an orphan", 2)
        wait_for(lambda: len(children.read_text().split()) == 2, "its end")
        os.kill(inside, signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
