"""A worker that sends what no worker may send, or dies where it hurts: only that worker is lost.

Each test starts one good worker and some hostile ones (apps/hostile.py), asks until every one of
them has done its worst, and then expects that the front is the same process, that the good worker
was not touched, that each hostile one was replaced, and that every request is answered again.
"""

import importlib.util
import os
import pathlib
import signal
import sys
import threading
import time

import pytest

from harness import APPS, Closed, serve, wait_for, workers

SOAK = float(os.environ.get("ZQ_SOAK_SECONDS", "0"))
SCRIPT = APPS / "hostile.py"
A_SERVER = 12  # attacks


def attacks():
    spec = importlib.util.spec_from_file_location("hostile", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [list(each) for each in (module.DECLARED, module.UNUSED, module.BLAMED, module.EITHER)]


DECLARED, UNUSED, BLAMED, EITHER = attacks()


def groups(names):
    return [names[i : i + A_SERVER] for i in range(0, len(names), A_SERVER)]


class Asking:
    """Clients that keep asking, each request on a path of its own."""

    def __init__(self, server, upload):
        self.server, self.stopped, self.fault = server, threading.Event(), None
        self.options = {"method": "POST", "body": upload} if upload else {}
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(4)]

    def run(self, client):
        n = 0
        while not self.stopped.is_set():
            n += 1
            try:
                self.ask(f"{client}-{n}")
            except (Closed, ConnectionError):
                pass  # cut, as a response must be that was not to be finished
            except BaseException as fault:
                self.fault = fault
                return

    def ask(self, name):
        response = self.server.get(f"/answer?body={name}", **self.options)
        assert not response.all("injected"), response.head
        if response.get("x-evil") or not response.complete:
            return
        assert response.status in (200, 500, 502, 503, 504), response
        if response.all("x-call"):
            assert response.body.decode() == name

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join(60)


def survive(directory, names, blamed, upload=b""):
    executable = directory / "zq-worker"
    executable.write_text(f"#!{sys.executable} -IS\n" + SCRIPT.read_text())
    executable.chmod(0o755)
    env = {
        "HOSTILE": str(directory),
        "HOSTILE_ATTACKS": ",".join(names),
        "HOSTILE_REAL": str(workers()[0]),
    }
    options = (f"--workers={len(names) + 1}", "--front-threads=2", "--no-access-log")
    with serve("basic:app", *options, worker=executable, env=env) as server:
        front = server.children()["front"]
        good = real_workers(server)  # the one that is, and who replaced one that attacked at once
        assert len(front) == 1 and good
        with Asking(server, upload) as asking:
            for n in range(1, len(names) + 1):
                wait_for(
                    lambda n=n: asking.fault or (directory / f"done-{n}").exists(),
                    f"the attack {names[n - 1]!r}",
                )
            wait_for(
                lambda: asking.fault or len(real_workers(server)) == len(names) + 1,
                "the replacements of all",
            )
        if asking.fault:
            raise asking.fault
        assert server.children()["front"] == front
        assert set(good) <= set(real_workers(server))
        if blamed:
            assert server.log.count("broke the wire protocol") >= len(names), server.log
        wait_for(lambda: server.get("/answer?body=x").status == 200, "an answer")
        for i in range(30):
            response = server.get(f"/answer?body=after-{i}")
            assert (response.status, response.body) == (200, f"after-{i}".encode())
        starts = len(list(directory.glob("start-*")))
        assert starts == 2 * len(names) + 1, "a worker was lost that had done nothing"


def real_workers(server):
    """Those that run the real executable by now."""
    found = []
    for pid in server.children()["worker"]:
        try:
            if pathlib.Path(f"/proc/{pid}/exe").resolve().name.startswith("zq-worker"):
                found.append(pid)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("names", groups(BLAMED), ids=lambda names: names[0])
def test_a_worker_that_breaks_the_protocol_is_lost_alone(tmp_path, names):
    survive(tmp_path, names, blamed=True)


def test_a_worker_that_keeps_blocks_is_lost_alone(tmp_path):
    """zq/wire.h: "none is its own that was named in front of a PING when it answers"."""
    survive(tmp_path, ["keeps-blocks"], blamed=True, upload=bytes(1 << 20))


@pytest.mark.parametrize("names", groups(DECLARED), ids=lambda names: names[0])
def test_a_worker_that_declares_nonsense_is_lost_alone(tmp_path, names):
    survive(tmp_path, names, blamed=True)


@pytest.mark.parametrize("names", groups(UNUSED) + groups(EITHER), ids=lambda names: names[0])
def test_a_worker_that_dies_or_lies_is_lost_alone(tmp_path, names):
    survive(tmp_path, names, blamed=False)


@pytest.mark.parametrize("round", range(2))
def test_noise_costs_the_noisy(tmp_path, round):
    survive(tmp_path, [f"noise-{round}-{i}" for i in range(A_SERVER)], blamed=False)


def test_noise_on_the_control_channel_costs_the_noisy(tmp_path):
    survive(tmp_path, [f"control-{i}" for i in range(4)], blamed=False)


@pytest.mark.skipif(not SOAK, reason="only with ZQ_SOAK_SECONDS")
@pytest.mark.timeout(300 + 2 * SOAK)
def test_noise_for_long(tmp_path):
    end = time.monotonic() + SOAK
    while time.monotonic() < end:
        directory = tmp_path / str(time.monotonic())
        directory.mkdir()
        survive(directory, [f"noise-{directory.name}-{i}" for i in range(A_SERVER)], blamed=False)


def test_the_front_outlives_the_death_of_all(tmp_path):
    """Not an attack: the baseline of the above."""
    with serve("basic:app", "--workers=2", "--front-threads=2") as server:
        front = server.children()["front"]
        for pid in server.children()["worker"]:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: server.get("/answer?body=x").body == b"x", "an answer")
        assert server.children()["front"] == front
