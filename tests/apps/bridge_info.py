"""Tells where it runs; tells also that it may ask for the loop while it is imported."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

LOOP = asyncio.get_event_loop_policy().get_event_loop()
VALUES = {
    "executable": sys.executable,
    "prefix": sys.prefix,
    "base_prefix": sys.base_prefix,
    "path0": sys.path[0],
    "argv": sys.argv,
    "flags": [sys.flags.isolated, sys.flags.no_site, sys.flags.ignore_environment],
    "sigint": str(signal.getsignal(signal.SIGINT)),
    "sigpipe": signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN,
    "env": os.environ.get("ZQ_TEST_MARK"),
    "utf8": sys.flags.utf8_mode,
}


def children_ended_by(signum):
    """How a program, and a fork without one, take the signal that the worker ignores."""
    program = subprocess.Popen(["sleep", "60"])
    program.send_signal(signum)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(reader, 1)
    os.kill(pid, signum)
    _, status = os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
    return [program.wait(), -os.WTERMSIG(status)]


async def app(scope, receive, send):
    assert scope["type"] == "http"
    import faulthandler

    values = dict(
        VALUES,
        same_loop=LOOP is asyncio.get_running_loop(),
        faulthandler=faulthandler.is_enabled(),
        child_ignores=subprocess.run(
            ["grep", "SigIgn", "/proc/self/status"], capture_output=True, text=True
        ).stdout.split()[1],
    )
    if scope["query_string"]:
        values["child_exits"] = children_ended_by(int(scope["query_string"]))
    data = json.dumps(values).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": data})
