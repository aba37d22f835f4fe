"""What a connection costs that does nothing: memory before and after opening thousands."""

from __future__ import annotations

import time

from bench import machine, probe, process
from bench.contestants import Running

SETTLE_S = 0.5


def measure(running: Running, target: str, wanted: int) -> dict:
    """Opens `wanted` keep-alive connections, one answered request on each, and compares the
    process tree's private memory. The kernel's own (sockets) is not in it."""
    count = min(wanted, machine.raise_file_limit() - 500)
    # The buffers and freelists of a busy moment are not the connections': they come first.
    for _ in range(64):
        probe.ask(running.port, target)
    time.sleep(SETTLE_S)
    before = process.memory_kib(running.pids())
    held = []
    try:
        for _ in range(count):
            connection = probe.Connection(running.port)
            held.append(connection)
            connection.ask(target)
        time.sleep(SETTLE_S)
        after = process.memory_kib(running.pids())
        alive = held[0].ask(target).status == held[-1].ask(target).status == 200
    finally:
        for connection in held:
            connection.socket.close()
    if not alive:
        raise ValueError("the first or the last of the idle connections does not answer any more")
    grown = after["private_kib"] - before["private_kib"]
    return {
        "connections": count,
        "bytes_per_connection": grown * 1024 / count,
        "before_private_kib": before["private_kib"],
        "front_private_kib": process.memory_kib(running.front_pids())["private_kib"],
        **after,
    }
