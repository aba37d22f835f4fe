"""Starts processes of its own, as applications do."""

import os
import subprocess
import sys
import time

import basic


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("http only")
    if scope["path"] == "/fork":
        pid = os.fork()  # holds every descriptor of the worker
        if pid == 0:
            time.sleep(300)
            os._exit(0)
        await basic.respond(send, str(pid).encode())
    elif scope["path"] == "/sigpipe":
        status = subprocess.run([sys.executable, "-c", "pass"], check=True).returncode
        assert status == 0
        shell = subprocess.run(
            ["grep", "SigIgn", "/proc/self/status"], capture_output=True, check=True, text=True
        )
        ignored = int(shell.stdout.split()[1], 16) >> 12 & 1  # SIGPIPE is 13
        await basic.respond(send, b"ignored" if ignored else b"default")
    else:
        await basic.app(scope, receive, send)
