"""What breaks, and what must go on: workers, the front and super die, hang, drain and reload."""

import concurrent.futures
import json
import os
import pathlib
import signal
import socket
import threading
import time

from harness import serve, wait_for
from load import Load

WARM = "/answer?body=warm&h=Cache-Control:max-age=600"


def cold(i):
    return f"/answer?body=cold&sleep=0.01&i={i}"


def test_kill_9_a_worker_under_load():
    """Warm requests: none lost. Cold ones, being GETs without a response yet, are tried again."""
    with serve("basic:app", "--workers=2", "--front-threads=2") as server:
        assert server.get(WARM).body == b"warm"
        with Load(server, lambda i: WARM, 4) as warm, Load(server, cold, 4) as python:
            for _ in range(3):
                time.sleep(0.4)
                os.kill(server.children()["worker"][0], signal.SIGKILL)
            wait_for(lambda: len(server.children()["worker"]) == 2, "replacements")
            for load in warm, python:
                wait_for(lambda: load.results.total() > 100, "many requests")
                before = load.results.total()
                wait_for(
                    lambda: load.results.total() > before + 20, "requests behind the last death"
                )
        assert set(warm.results) == {200}
        assert set(python.results) == {200}


def test_warm_requests_are_served_while_no_worker_lives():
    with serve("basic:app") as server:
        assert server.get(WARM).body == b"warm"
        os.kill(server.children()["worker"][0], signal.SIGSTOP)
        try:
            for _ in range(20):
                assert server.get(WARM).body == b"warm"
        finally:
            os.kill(server.children()["worker"][0], signal.SIGCONT)


def test_a_page_that_aborts_costs_two_workers_and_gives_502s():
    """1,000 clients on one new key: one fetch, two attempts, for leader and waiters together."""
    with serve("basic:app", "--workers=4", "--front-threads=2") as server:
        before = set(server.children()["worker"])
        statuses, lock = [], threading.Lock()
        barrier = threading.Barrier(50)

        def run():
            clients = [server.client() for _ in range(20)]
            barrier.wait(60)
            for client in clients:
                client.send_request("/die")
            for client in clients:
                response = client.response()
                with lock:
                    statuses.append(response.status)
                client.close()

        threads = [threading.Thread(target=run) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(statuses) == 1000
        assert set(statuses) == {502}
        wait_for(lambda: len(server.children()["worker"]) == 4, "replacements")
        # those that came after the first answer start fetches of their own; no storm though
        assert server.get("/").status == 200
        assert len(before - set(server.children()["worker"])) <= 4


def test_post_is_never_tried_again():
    with serve("basic:app", "--workers=2") as server:
        assert server.get("/die", method="POST", body=b"").status == 502
        wait_for(lambda: len(server.children()["worker"]) == 2, "a replacement")
        assert (
            server.log.count("exited") + server.log.count("died") + server.log.count("killed") >= 1
        )


def test_kill_9_the_front():
    """A new one serves on the same listening sockets, with the same workers."""
    with serve("basic:app", "--workers=2") as server:
        pids = set(server.children()["worker"])
        held = server.client()
        held.reach("/held?front")
        front = server.children()["front"][0]
        os.kill(front, signal.SIGKILL)
        wait_for(lambda: set(server.children()["front"]) - {front}, "a new front")

        def served():
            try:
                return server.get("/").status == 200
            except OSError:
                return False

        wait_for(served, "served again")
        assert set(server.children()["worker"]) == pids
        seen = wait_for(
            lambda: any("front" in json.loads(server.get("/closed").body) for _ in range(4)),
            "http.disconnect for what the old front had asked",
        )
        assert seen
        held.close()


def test_a_stuck_worker_is_replaced_and_its_stack_is_logged():
    with serve(
        "basic:app", "--workers=2", "--timeout-worker-healthcheck=2s", "--timeout-response=20s"
    ) as server:
        assert server.get(WARM).body == b"warm"
        before = set(server.children()["worker"])
        with server.client() as stuck:
            stuck.send_request("/spin", method="POST", body=b"")
            time.sleep(1.6)  # it is known by now not to answer: new requests avoid it
            for i in range(20):
                started = time.monotonic()
                assert server.get(cold(i)).body == b"cold"
                assert time.monotonic() - started < 10
            assert server.get(WARM).body == b"warm"
            assert stuck.response().status == 504
        wait_for(lambda: len(set(server.children()["worker"]) & before) == 1, "it is gone")
        wait_for(lambda: len(server.children()["worker"]) == 2, "its replacement")
        assert "in spin" in server.log  # the Python stack


def test_a_worker_that_hangs_though_nothing_is_sent_to_it():
    """It is asked now and then also while only old requests are open, and replaced all the same."""
    with serve("basic:app", "--timeout-worker-healthcheck=2s") as server:
        (before,) = server.children()["worker"]
        with server.client() as client:
            client.send_request("/spin-late")
            assert client.head().status == 200
            wait_for(lambda: server.children()["worker"] not in ([before], []), "its replacement")
        assert "in spin_late" in server.log


def wakes(pid):
    """How often a process went to sleep, and so was woken."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_streams_that_wait_wake_nobody():
    """A worker is asked less and less often whether it is alive while nothing else is said: once in
    four seconds, and not four times a second."""
    with serve("basic:app") as server:
        (worker,) = server.children()["worker"]
        with server.client() as client:
            client.send_request("/hold")
            time.sleep(8)
            before = wakes(worker)
            time.sleep(8)
            assert wakes(worker) - before < 12


def test_sighup_under_load_fails_no_request():
    """Fresh workers are ready before the old ones drain; the front and its cache stay."""
    with serve("basic:app", "--workers=2", "--front-threads=2") as server:
        front = server.children()["front"]
        first = server.get(WARM).get("x-call")
        old = set(server.children()["worker"])
        with Load(server, cold, 8) as load:
            for _ in range(2):
                time.sleep(0.3)
                server.signal(signal.SIGHUP)
                wait_for(lambda: not old & set(server.children()["worker"]), "the old ones left")
                old = set(server.children()["worker"])
            time.sleep(0.3)
        assert set(load.results) == {200}
        assert server.children()["front"] == front
        assert server.get(WARM).get("x-call") == first


def test_sigterm_under_load_finishes_every_accepted_request():
    with serve("basic:app", "--workers=2", "--front-threads=2") as server:
        with Load(server, cold, 8) as load:
            time.sleep(0.5)
            load.stopping.set()  # no new ones: each thread finishes the one it has
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
        assert set(load.results) == {200}


def test_sigterm_answers_what_was_begun_and_closes_idle_connections(tmp_path):
    with serve("basic:app", "--front-threads=1") as server:
        idle, busy, begun = server.client(), server.client(), server.client()
        busy.reach(f"/hint?until={tmp_path}/go&body=done")
        begun.send("GET / HTTP/1.1\r\nHo")
        assert idle.request("/").status == 200  # then what was sent before has been read, too
        server.signal(signal.SIGTERM)
        assert idle.closed()
        (tmp_path / "go").touch()
        begun.send("st: test\r\n\r\n")
        for client in (busy, begun):
            response = client.response()
            assert response.status == 200
            assert response.get("connection") == "close"
            assert client.closed()
        assert server.wait() == 0
        # connections that come now are refused
        with socket.socket() as late:
            assert late.connect_ex(server.address) != 0


def test_sigterm_answers_what_was_pipelined_and_read(tmp_path):
    with serve() as server, server.client() as client, server.client() as other:
        get = f"GET /hint?until={tmp_path}/go HTTP/1.1\r\nHost: test\r\n\r\n"
        post = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi"
        client.send(get * 3)
        other.send(get + post * 2)
        assert client.head().status == other.head().status == 103
        server.signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in server.log, "the stop")
        (tmp_path / "go").touch()
        for each in (client, other):
            responses = [each.response() for _ in range(3)]
            assert [response.status for response in responses] == [200] * 3
            assert [r.get("connection") for r in responses] == [None, None, "close"]
            assert each.closed()
        assert responses[2].body == b"hi"
        assert server.wait() == 0


def test_lifespan_shutdown_runs_and_state_is_given(tmp_path):
    note = tmp_path / "note"
    with serve("lifecycle:app", env={"NOTE": str(note)}) as server:
        assert server.get("/").body == b"started"
        assert server.stop() == 0
    assert note.read_text() == "shut down"


def test_second_sigterm_is_at_once():
    with serve("basic:app") as server:
        with server.client() as client:
            client.reach("/held")
            server.signal(signal.SIGTERM)
            wait_for(lambda: "stopping" in server.log, "the stop")
            time.sleep(0.5)
            assert server.process.poll() is None
            started = time.monotonic()
            server.signal(signal.SIGTERM)
            server.wait()
            assert time.monotonic() - started < 20  # --timeout-graceful-shutdown is longer


def test_children_leave_when_super_is_killed():
    with serve("basic:app", "--workers=2") as server:
        children = server.children()
        pids = children["front"] + children["worker"]
        assert len(pids) == 3
        server.process.kill()
        server.process.wait()

        def gone(pid):
            try:
                state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                return state == "Z"
            except OSError:
                return True

        wait_for(lambda: all(gone(pid) for pid in pids), "the children left")


def test_a_dead_worker_is_noticed_though_a_forked_child_holds_its_descriptors():
    """Death is learned from a pidfd, not from end of file alone."""
    with serve("forks:app", "--workers=1") as server:
        child = int(server.get("/fork").body)
        worker = server.children()["worker"][0]
        with server.client() as client:
            client.reach("/held", method="POST", body=b"")
            os.kill(worker, signal.SIGKILL)
            assert client.response().status == 502
        wait_for(lambda: server.children()["worker"] not in ([], [worker]), "a new worker")
        assert server.get("/").status == 200

        def gone():
            try:
                os.kill(child, 0)
                state = pathlib.Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                return state[0] == "Z"
            except OSError:
                return True

        wait_for(gone, "the process group was killed with it")


def test_no_worker_inherits_a_listener_or_another_ones_pair():
    with serve("basic:app", "--workers=2") as server:
        port = server.address[1]
        for pid in server.children()["worker"]:
            links = [
                os.readlink(p) for p in pathlib.Path(f"/proc/{pid}/fd").iterdir() if p.is_symlink()
            ]
            inodes = {link[8:-1] for link in links if link.startswith("socket:")}
            listening = {
                line.split()[9]
                for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
                if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
            }
            assert listening
            assert not inodes & listening
        a, b = server.children()["worker"]

        def sockets(pid):
            found = set()
            for p in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                try:
                    found.add(os.readlink(p))
                except OSError:
                    continue
            return {s for s in found if s.startswith("socket:")}

        assert not sockets(a) & sockets(b)


def test_ctrl_c_at_a_terminal_raises_no_keyboard_interrupt():
    """The foreground process group gets SIGINT; front and workers are in groups of their own."""
    with serve("basic:app", start_new_session=True) as server:
        with server.client() as client:
            client.reach("/hint?sleep=0.6&body=whole")
            os.killpg(server.pid, signal.SIGINT)
            assert client.response().body == b"whole"
        assert server.wait() == 0
        assert "KeyboardInterrupt" not in server.log


def test_sigpipe_in_the_applications_children_is_the_default():
    with serve("forks:app") as server:
        assert server.get("/sigpipe").body == b"default"


def test_large_upload_to_a_worker_that_dies():
    with serve("basic:app") as server:
        with server.client() as client:
            client.reach("/held", "POST", {"Content-Length": str(1 << 20)})
            client.send(b"x" * 65536)
            time.sleep(0.2)
            os.kill(server.children()["worker"][0], signal.SIGKILL)
            assert client.response().status == 502


def test_responses_of_an_older_generation_are_delivered_but_not_stored(tmp_path):
    with serve("basic:app") as server:
        go = tmp_path / "go"
        target = f"/hint?until={go}&body=old&h=Cache-Control:max-age=600"
        with server.client() as client:
            client.reach(target)
            server.signal(signal.SIGHUP)
            wait_for(lambda: "reloaded" in server.log, "the new generation")
            go.touch()
            response = client.response()
            assert response.body == b"old"
        assert "hit" not in server.get(target).get("cache-status")


def test_what_does_not_end_is_cut_at_the_deadline_and_logged():
    with serve("basic:app", "--timeout-graceful-shutdown=1s") as server:
        with server.client() as client:
            client.reach("/held?deadline")
            server.signal(signal.SIGTERM)
            assert client.closed()
        assert server.wait() == 1
        assert "still in flight" in server.log
        assert '"GET /held?deadline HTTP/1.1"' in server.access_log


def test_sigterm_to_every_process_loses_nothing():
    """As a service manager stops a service: the signal goes to all of its processes."""
    with serve("basic:app", "--workers=2") as server:
        with server.client() as client:
            client.reach("/hint?sleep=1&body=whole")
            children = server.children()
            for pid in [*children["front"], *children["worker"], server.pid]:
                os.kill(pid, signal.SIGTERM)
            assert client.response().body == b"whole"
        assert server.wait() == 0


def test_sigterm_as_soon_as_it_is_ready_loses_nothing():
    """The routes of a worker may come when some I/O threads of the front have stopped already:
    the sanitizers see what such a call had with it."""

    def start_and_stop(_):
        for _ in range(4):
            with serve("basic:app", "--front-threads=4") as server:
                assert server.stop() == 0, server.log

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(start_and_stop, range(4)))
