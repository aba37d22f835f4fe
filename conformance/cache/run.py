#!/usr/bin/env python3
"""Plays the conversations of cases/ with a cache.

    conformance/cache/run.py --serve zq     starts it; or zq-default, nginx, varnish, apache
    conformance/cache/run.py HOST:PORT      a cache in front of conformance/cache/origin_http.py

Prints each one that did not go as it must, with the bytes of both directions, then a table. Exit
status: 0 when all passed (of zq: all; of others: all that are required), 1 when not, 2 for usage.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import pathlib
import sys

if __package__ in (None, ""):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))

from conformance import casefile
from conformance.cache import caches, script
from conformance.cache.judge import FAILED, MOOT, PASSED
from conformance.cache.talk import Talk, play
from conformance.run import Address, make_parser, parse, select, serving, shorten, visible
from conformance.servers import Unavailable

JOBS = 48


def play_all(address: Address, cases: list[script.Case], jobs: int = JOBS) -> list[Talk]:
    """All conversations, many at a time: those that pause begin first."""
    order = sorted(cases, key=lambda case: -sum(step.pause for step in case.steps))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        talks = list(pool.map(lambda case: play(address, case), order))
    by_name = {talk.case.name: talk for talk in talks}
    return [by_name[case.name] for case in cases]


def cases_for(cache: str, cases: list[script.Case]) -> list[script.Case]:
    """Conversations about zq's default options are for zq with these."""
    return [case for case in cases if not case.options or cache == "zq-default"]


def bad(cache: str, talk: Talk) -> bool:
    """zq does what is optional too. With its default options it stores less, and violates nothing."""
    if cache == "zq" or talk.case.options:
        return talk.grade != PASSED
    return talk.case.level == "required" and talk.grade == FAILED


# ---- what people read


def explain(talk: Talk, limit: int = 4000) -> str:
    case = talk.case
    lines = [f"{talk.grade.upper()} {case.section}: {case.name} ({case.level})"]
    lines.append(f"  RFC {case.rfc}" + (f": {case.why}" if case.why else ""))
    lines += [f"  {shorten(reason)}" for reason in talk.reasons]
    for turn in talk.turns:
        lines.append(f"  step {turn.number}")
        for exchange in turn.exchanges:
            lines += ["  sent:", visible(exchange.sent, limit), "  received:"]
            lines.append(visible(exchange.received, limit) or "    nothing")
        for call in turn.calls:
            fields = "; ".join(f"{name}: {value}" for name, value in call["fields"])
            lines.append(f"  the origin was asked: {call['method']} {call['target']}; {fields}")
    return "\n".join(lines) + "\n"


def count(talks: list[Talk]) -> dict[str, collections.Counter]:
    """Per level: how many of each grade."""
    found = {level: collections.Counter() for level in script.LEVELS}
    for talk in talks:
        found[talk.case.level][talk.grade] += 1
    return found


def cells(talks: list[Talk]) -> list[str]:
    """Per level: passed/all, and how many say nothing."""
    found = []
    for counts in count(talks).values():
        moot = f" ({counts[MOOT]} moot)" if counts[MOOT] else ""
        found.append(f"{counts[PASSED]}/{counts.total()}{moot}" if counts.total() else "")
    return found


def table(talks: list[Talk], titles: dict[str, str]) -> str:
    rows = [("section", *script.LEVELS)]
    for section, title in titles.items():
        chosen = [talk for talk in talks if talk.case.section == section]
        if chosen:
            rows.append((title, *cells(chosen)))
    rows.append(("all", *cells(talks)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def run(options: argparse.Namespace, address: Address, chosen: list[script.Case]) -> int:
    cache = options.serve or "other"
    cases = cases_for(cache, chosen)
    talks = play_all(address, cases, options.jobs)
    for talk in talks:
        if options.all or (bad(cache, talk) and not options.quiet):
            print(explain(talk))
    print(table(talks, script.titles()))
    return 1 if any(bad(cache, talk) for talk in talks) else 0


def main() -> int:
    options = parse(make_parser(__doc__, "cache", caches.CACHES, JOBS))
    try:
        chosen = select(script.load(), options.section, options.case)
        if not chosen:
            raise casefile.CaseError("no such case")
        with serving(options, caches.CACHES) as address:
            return run(options, address, chosen)
    except (casefile.CaseError, Unavailable) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
