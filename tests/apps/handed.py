"""A worker that hands its links over to a test, which answers in its place: test_kept_bodies.py makes
it executable. $HANDED is the test's Unix socket."""

import os
import socket
import struct

CONTROL = struct.Struct("=IIIIq")  # type, worker, generation, length of the text, value
READY, LINKS, DRAIN, STOP = 4, 5, 12, 13

control = socket.socket(fileno=3)
control.recv(1 << 17)  # CONFIG
control.send(CONTROL.pack(READY, 0, 0, 14, 0) + b"3.99.0 asyncio")


def await_packet(kind):
    """The descriptors that come with it."""
    while True:
        packet, fds, _, _ = socket.recv_fds(control, 1 << 17, 200)
        if not packet or CONTROL.unpack_from(packet)[0] in (kind, STOP):
            return fds


fds = await_packet(LINKS)
test = socket.socket(socket.AF_UNIX)
test.connect(os.environ["HANDED"])
socket.send_fds(test, [b"links"], fds)
for fd in fds:
    os.close(fd)
await_packet(DRAIN)
