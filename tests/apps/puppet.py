"""A worker that does what it is told, for tests of super alone: give it as --worker-executable (made
executable by `puppet()` in test_super.py). It writes a line to $PUPPET/starts, reads its mode from
$PUPPET/mode, and speaks the control channel (include/zq/control.h).
"""

import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import struct
import sys
import time

HEAD = struct.Struct("=IIIIq")  # type, worker, generation, length of the text, value
CONFIG, READY, STOP = 1, 4, 13
NO_ROUTES = struct.pack("=IIBBHI", 4, 0, 15, 0, 0, 0)  # a frame: ROUTES (include/zq/wire.h)
home = pathlib.Path(os.environ["PUPPET"])
control = socket.socket(fileno=3)


def receive():
    packet, descriptors, _, _ = socket.recv_fds(control, 1 << 17, 200)
    for fd in descriptors:
        held.append(fd)
        with contextlib.suppress(BrokenPipeError):  # it was of an old generation, and closed
            os.write(fd, NO_ROUTES)
    if not packet:
        sys.exit(0)
    return HEAD.unpack_from(packet)[0]


def signals(name):
    status = pathlib.Path("/proc/self/status").read_text()
    mask = int(status.split(f"{name}:")[1].split()[0], 16)
    return [signal.Signals(i + 1).name for i in range(31) if mask >> i & 1]


def surroundings():
    return {
        "pid": os.getpid(),
        "group": os.getpgid(0),
        "descriptors": sorted(int(p) for p in os.listdir("/proc/self/fd") if int(p) < 1000),
        "blocked": signals("SigBlk"),
        "ignored": signals("SigIgn"),
        "limit": resource.getrlimit(resource.RLIMIT_NOFILE),
    }


held = []
with open(home / "starts", "a") as starts:
    # listdir's own descriptor and that of the file are not inherited ones
    starts.write(json.dumps(surroundings() | {"own": [starts.fileno()]}) + "\n")
mode = (home / "mode").read_text()
assert receive() == CONFIG
if mode == "exit":
    sys.exit(3)
if mode == "never":
    time.sleep(600)
while mode == "later" and (home / "mode").read_text() == "later":
    time.sleep(0.01)
control.send(HEAD.pack(READY, 0, 0, 14, 0) + b"3.99.0 asyncio")
if mode == "brief":
    sys.exit(0)
if mode == "deaf":
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
while receive() != STOP or mode == "stubborn":
    if mode == "silent":
        control.close()
        time.sleep(600)
    if mode == "garbage":
        os.write(held[0], b"\xff" * 64)
if mode == "sour":
    sys.exit(4)
