"""The store by itself: eviction, pauses, threads, memory (bench/store/*.c).

A run's directory is results/store-<UTC time>/: env.json, data.json (what each executable printed),
summary.md.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from bench import machine
from bench.report import table
from bench.results import RESULTS, as_json, write

PROGRAMS = {
    "eviction": ["eviction"],
    "pauses": ["pauses"],
    "threads": ["threads"],
    "misses": ["threads", "misses"],
    "overhead": ["memory", "overhead"],
    "pressure": ["memory", "pressure"],
}
PAUSE_GOAL_US = 1000
OVERHEAD_GOAL = 400


def records(build: Path, command: list[str]) -> list[dict]:
    done = subprocess.run(
        [build / command[0], *command[1:]], capture_output=True, text=True, timeout=600
    )
    if done.returncode != 0:
        raise ValueError(f"{' '.join(command)} failed:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def eviction_table(found: list[dict]) -> str:
    head = ["trace", "α", "room for", "responses", "zq (SIEVE)", "LRU", "FIFO"]
    return table(
        head,
        [
            [r["trace"], f"{r['alpha']}", f"{r['share']:.0%} of the keys", f"{r['responses']:,}"]
            + [f"{r[name]:.2%}" for name in ("zq", "lru", "fifo")]
            for r in found
        ],
    )


def pauses_table(found: list[dict]) -> str:
    head = ["while", "call", "calls", "mean CPU", "longest CPU", "longest by the clock"]
    return table(
        head,
        [
            [r["what"], r["call"], f"{r['calls']:,}", f"{r['mean_cpu_us']:.1f} µs"]
            + [f"{r['longest_cpu_us']:,.0f} µs", f"{r['longest_wall_us']:,.0f} µs"]
            for r in found
        ],
    )


def threads_table(found: list[dict]) -> str:
    rows = []
    for r in found:
        one = next(o for o in found if o["keys"] == r["keys"] and o["threads"] == 1)
        rows.append(
            [f"{r['keys']:,}", str(r["threads"]), f"{r['hits_per_s']:,.0f}"]
            + [f"{r['hits_per_s'] / one['hits_per_s']:.2f}", f"{r['cpu_ns_per_hit']:.0f} ns"]
            + [f"{r['cpu_ns_per_hit'] / one['cpu_ns_per_hit']:.2f}", f"{r['processors']:.2f}"]
        )
    head = [
        "keys",
        "threads",
        "hits/s",
        "to 1 thread",
        "CPU a hit",
        "to 1 thread",
        "processors had",
    ]
    return table(head, rows)


def misses_table(found: list[dict]) -> str:
    one = found[0]
    head = ["threads", "misses/s", "to 1 thread", "CPU a miss", "to 1 thread"]
    head += ["stored", "evicted", "processors had"]
    return table(
        head,
        [
            [str(r["threads"]), f"{r['misses_per_s'] / 1e6:.2f} M"]
            + [f"{r['misses_per_s'] / one['misses_per_s']:.2f}", f"{r['cpu_ns_per_miss']:.0f} ns"]
            + [f"{r['cpu_ns_per_miss'] / one['cpu_ns_per_miss']:.2f}"]
            + [f"{r[name]:.1%}" for name in ("stored", "evicted")]
            + [f"{r['processors']:.2f}"]
            for r in found
        ],
    )


def memory_text(overhead: dict, pressure: list[dict]) -> str:
    counted, resident, key = overhead["counted"], overhead["resident"], overhead["key"]
    head = ["sizes", "responses", "hits", "runs a hit", "used", "pages", "resident", "outside"]
    return f"""A response of {overhead["head"]} + {overhead["body"]} bytes takes {counted:.0f} bytes more of the \
store's pages, of which {key:.0f} are its key; {resident:.0f} resident, with the tables.

Under pressure, with {pressure[0]["readers"]:,} readers that hold what may be evicted meanwhile, of \
{pressure[0]["size"]:,} bytes, one phase after the other in one process (used: at its end; pages, \
resident, and outside of the store, in the heap of malloc: at most):

{table(head, [pressure_row(r) for r in pressure])}"""


def pressure_row(r: dict) -> list[str]:
    return [
        r["phase"],
        f"{r['responses']:,}",
        f"{r['hit_ratio']:.1%}",
        f"{r['runs_per_hit']:.1f}",
        f"{r['used'] / r['size']:.1%}",
        f"{r['peak_taken'] / r['size']:.1%}",
        f"{r['peak_resident'] / r['size']:.1%}",
        f"{r['peak_outside'] / r['size']:.1%}",
    ]


def long_pauses(data: dict) -> list[str]:
    """Over the goal; on a busy machine they may be the machine's."""
    return [
        f"{r['what']}: {r['call']} took {r['longest_cpu_us']:,.0f} µs of CPU"
        for r in data["pauses"]
        if r["longest_cpu_us"] > PAUSE_GOAL_US
    ]


def failures(data: dict) -> list[str]:
    """What is not as it has to be, however busy the machine is."""
    overhead = data["overhead"][0]
    found = []
    for r in data["pressure"]:
        store = r["peak_resident"] - r["peak_outside"]  # and pages of the program, up to 1 MiB
        if r["peak_taken"] > r["size"] or store > r["size"] + (1 << 20):
            found.append(f"{r['phase']}: more than --cache-size")
    if overhead["counted"] - overhead["key"] > OVERHEAD_GOAL:
        found.append(
            f"a small response takes over {OVERHEAD_GOAL} bytes beyond its own and its key"
        )
    for r in data["eviction"]:
        if r["zq"] < max(r["lru"], r["fifo"]):
            found.append(f"{r['trace']} {r['alpha']} {r['share']:.0%}: LRU or FIFO hits more")
    return found


def summary(env: dict, data: dict) -> str:
    return f"""# The store

{env["cpu"]}, {env["cores"]} processors, {env["kernel"]}; commit {env["commit"][:12]}\
{" and changes" if env["dirty"] else ""}; load at the start {env["load_at_start"]:.1f}.

## Eviction: hit ratios

{eviction_table(data["eviction"])}

## Pauses: the longest call with 100,000 responses

{pauses_table(data["pauses"])}

## Threads: hits

{threads_table(data["threads"])}

## Threads: misses of new keys, each of which is stored and evicts another

{misses_table(data["misses"])}

## Memory

{memory_text(data["overhead"][0], data["pressure"])}
"""


def main() -> int:
    """Measures; 1 when a goal is missed that no other load can make it miss."""
    env = machine.environment()
    build = machine.BUILD / "bench/store"
    data = {name: records(build, command) for name, command in PROGRAMS.items()}
    path = RESULTS / time.strftime("store-%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    path.mkdir(parents=True)
    write(path / "env.json", as_json(env))
    write(path / "data.json", as_json(data))
    write(path / "summary.md", summary(env, data))
    print((path / "summary.md").read_text())
    missed = failures(data)
    for line in [*missed, *long_pauses(data)]:
        print(f"MISSED {line}")
    return 1 if missed else 0
