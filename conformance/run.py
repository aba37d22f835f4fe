#!/usr/bin/env python3
"""Runs the conformance cases against a server.

    conformance/run.py HOST:PORT            a server that runs conformance/app.py
    conformance/run.py --serve zq           starts build/release/zq (ZQ_BUILD_DIR), or a peer

Prints each case that is not `strict` with the bytes of both directions, then a table. Exit status:
0 when no case failed (with --strict: when all are strict), 1 when some did, 2 for usage.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import pathlib
import random
import re
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

if __package__ in (None, ""):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from conformance import casefile, servers
from conformance.client import PATIENCE, Admin, Run, ServerGone, run_case
from conformance.judge import ALLOWED, FAILED, STRICT, Verdict, differences, judge

JOBS = 32
# Between two pieces: long enough for an idle server to read the first one alone.
GAP = 0.002
BYTE_GAP = 0.0002
# Of longer requests this many places are cut, half of them at line ends.
CUTS = 160
BYTES = 400

Address = tuple[str, int]
Servers = dict[str, Callable[[], AbstractContextManager[Address]]]


@dataclasses.dataclass
class Result:
    case: casefile.Case
    run: Run
    verdict: Verdict
    how: str = ""  # of a cut: where


class Runner:
    """Runs cases in parallel threads, each with a connection of its own to the application."""

    def __init__(self, address: Address, jobs: int, patience: float = PATIENCE):
        self.address, self.patience = address, patience
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs)
        self.local = threading.local()
        self.admins: list[Admin] = []

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_) -> None:
        self.pool.shutdown(cancel_futures=True)
        for admin in self.admins:
            admin.close()

    @property
    def admin(self) -> Admin:
        if not hasattr(self.local, "admin"):
            self.local.admin = Admin(self.address)
            self.admins.append(self.local.admin)
        return self.local.admin

    def one(self, case: casefile.Case) -> Result:
        run = run_case(self.address, case, self.admin, patience=self.patience)
        return Result(case, run, judge(case, run))

    def all(self, cases: list[casefile.Case]) -> list[Result]:
        results = list(self.pool.map(self.one, cases))
        if any(result.run.died for result in results):
            # Who killed it? What was not fine then is tried again alone.
            for i, result in enumerate(results):
                if result.verdict.grade != STRICT:
                    results[i] = self.one(result.case)
        return results

    # ---- cut

    def one_cut(self, whole: Result, how: str, pieces, gap: float) -> Result | None:
        """None when it makes no difference."""
        case = whole.case
        run = run_case(self.address, case, self.admin, pieces, gap, self.patience)
        found = differences(case, whole.run, run)
        return Result(case, run, Verdict(FAILED, found), how) if found else None

    def cut(self, wholes: list[Result], limit: int) -> tuple[int, list[Result]]:
        """Each case again in two pieces, for every cut or `limit` of them, and in 1-byte pieces.
        Returns the number of runs and those that differ."""
        jobs = []
        for whole in wholes:
            if not whole.case.cut:
                continue
            for at in cuts(whole.case, limit):
                jobs.append((whole, f"cut at {at}", in_two(at), GAP))
            jobs.append((whole, "in 1-byte pieces", in_bytes, BYTE_GAP))
        results = self.pool.map(lambda job: self.one_cut(*job), jobs)
        return len(jobs), [result for result in results if result]


def cuts(case: casefile.Case, limit: int) -> list[int]:
    """Where to cut; the same places in every run."""
    data = case.bytes
    places = range(1, len(data) + 1)
    if len(data) <= limit:
        return list(places)
    ends = [i for i in places if data[i - 1 : i] in b"\r\n" or data[i : i + 1] in (b"\r", b"\n")]
    chosen = random.Random(case.name)
    near = chosen.sample(ends, min(len(ends), limit // 2))
    others = chosen.sample(places, min(len(places), limit - len(near)))
    return sorted({*near, *others})


def in_two(cut: int):
    def pieces(data: bytes, at: int) -> list[bytes]:
        if not at < cut <= at + len(data):
            return [data]
        return [data[: cut - at], data[cut - at :]]

    return pieces


def in_bytes(data: bytes, at: int) -> list[bytes]:
    """1-byte pieces, at most BYTES of them, and the rest at once, which may be nothing."""
    return [data[i : i + 1] for i in range(min(len(data), BYTES))] + [data[BYTES:]]


# ---- what people read


def visible(data: bytes, limit: int) -> str:
    """One line of output a line of input, everything else escaped."""
    text = data[:limit].decode("latin-1").encode("unicode_escape").decode()
    text = re.sub(r"(.)\1{199,}", lambda m: f"\\({len(m[0])}*{m[1]})", text)
    rest = f"\n    … {len(data) - limit} bytes more" if len(data) > limit else ""
    return "    " + text.replace("\\n", "\\n\n    ").rstrip() + rest


def shorten(text: str, limit: int = 400) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def explain(result: Result, limit: int = 2000) -> str:
    case, run = result.case, result.run
    head = f"{result.verdict.grade.upper()} {case.section}: {case.name}"
    if result.how:
        head += f", {result.how}"
    lines = [head, f"  RFC {case.rfc}" + (f": {case.why}" if case.why else "")]
    lines += [f"  {shorten(reason)}" for reason in result.verdict.reasons]
    lines += ["  sent:", visible(run.sent, limit), "  received:"]
    lines += [visible(run.received, limit) or "    nothing"]
    if run.reset:
        lines.append("    (reset)")
    for record in run.records:
        whole = "" if record["complete"] else " (not whole)"
        fields = {k: record[k] for k in ("method", "raw_path", "query", "body")}
        lines.append(f"  the application saw{whole}: {shorten(str(fields))}")
    return "\n".join(lines) + "\n"


def table(results: list[Result], titles: dict[str, str]) -> str:
    """Per section: cases, allowed (strict ones included), strict, failed."""
    counts = {section: collections.Counter() for section in titles}
    for result in results:
        counts[result.case.section][result.verdict.grade] += 1
    rows = [("section", "cases", "allowed", "strict", "failed")]
    for section, title in [*titles.items(), ("", "all")]:
        chosen = counts[section] if section else sum(counts.values(), collections.Counter())
        total = chosen.total()
        if total:
            passed = chosen[STRICT] + chosen[ALLOWED]
            rows.append((title, total, passed, chosen[STRICT], chosen[FAILED]))
    width = max(len(row[0]) for row in rows)
    return "\n".join(
        f"{row[0]:{width}}  {row[1]:>6} {row[2]:>8} {row[3]:>7} {row[4]:>7}" for row in rows
    )


def select(
    cases: list[casefile.Case], sections: list[str], names: list[str]
) -> list[casefile.Case]:
    return [
        case
        for case in cases
        if (not sections or case.section in sections)
        and (not names or any(case.name.startswith(name) for name in names))
    ]


def parse_address(text: str) -> Address:
    host, colon, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not colon or not port.isdigit():
        raise argparse.ArgumentTypeError(f"HOST:PORT, not {text!r}")
    return host.strip("[]"), int(port)


def make_parser(description: str, kind: str, known: Servers, jobs: int) -> argparse.ArgumentParser:
    """The arguments that every run of cases has; `kind`: what is tested, a server or a cache."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address", nargs="?", type=parse_address, help=f"HOST:PORT of the {kind}")
    parser.add_argument("--serve", choices=known, help=f"start this {kind} instead")
    parser.add_argument("--section", action="append", default=[], help="only this file; repeatable")
    parser.add_argument("--case", action="append", default=[], help="only names that begin so")
    parser.add_argument("--jobs", type=int, default=jobs, help="cases at a time")
    parser.add_argument("--quiet", action="store_true", help="only the tables")
    parser.add_argument("--all", action="store_true", help="show those that passed, too")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    options = parser.parse_args()
    if (options.address is None) == (options.serve is None):
        parser.error("either HOST:PORT or --serve")
    return options


def serving(options: argparse.Namespace, known: Servers) -> AbstractContextManager[Address]:
    return known[options.serve]() if options.serve else contextlib.nullcontext(options.address)


def arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, "server", servers.SERVERS, JOBS)
    parser.add_argument("--strict", action="store_true", help="what is only allowed fails too")
    parser.add_argument("--cut", action="store_true", help="also cut in pieces: same outcome?")
    parser.add_argument("--cuts", type=int, default=CUTS, help="places to cut at, at most")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds for an answer")
    return parse(parser)


def run_all(options: argparse.Namespace, address: Address) -> bool:
    cases = select(casefile.load(), options.section, options.case)
    if not cases:
        sys.exit("no such case")
    with Runner(address, options.jobs, options.patience) as runner:
        results = runner.all(cases)
        for result in results:
            if options.all or (result.verdict.grade != STRICT and not options.quiet):
                print(explain(result))
        print(table(results, casefile.titles()))
        fine = (STRICT,) if options.strict else (STRICT, ALLOWED)
        passed = all(result.verdict.grade in fine for result in results)
        if options.cut:
            count, differing = runner.cut(results, options.cuts)
            for result in differing if not options.quiet else ():
                print(explain(result))
            print(f"cut: {count} runs, {len(differing)} differ from one piece")
            passed = passed and not differing
    return passed


def main() -> int:
    options = arguments()
    try:
        with serving(options, servers.SERVERS) as address:
            return 0 if run_all(options, address) else 1
    except ServerGone as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    except (casefile.CaseError, servers.Unavailable) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
