#!/usr/bin/env python3
"""Runs the conformance cases against zq and other servers, and writes down how they differ.

    conformance/peers.py [SERVER...]        default: zq and every peer that is installed

Makes results/conformance-<UTC time>/ with

    table.md           cases allowed, strict and failed, per server and section
    disagreements.md   every case on which the servers differ, with what each did
    <server>.txt       the bytes of both directions of each case that failed there
    <server>-allowed.txt.gz   the same of each that is allowed, and not strict
    outcomes.json      all of it, for programs

Exit status: 0 when every server ran and zq, if it was among them, is strict throughout.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import gzip
import json
import pathlib
import platform
import subprocess
import sys
from collections.abc import Callable

if __package__ in (None, ""):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from conformance import casefile, run, servers
from conformance.client import ServerGone
from conformance.judge import ALLOWED, FAILED, STRICT

JOBS = 16
TITLES = {
    "zq": "zq",
    "uvicorn-httptools": "uvicorn (httptools)",
    "uvicorn-h11": "uvicorn (h11)",
    "granian": "Granian",
    "hypercorn": "Hypercorn",
    "node": "Node",
    "nginx": "nginx, uvicorn (httptools)",
}


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return (done.stdout + done.stderr).strip()


def version(server: str) -> str:
    """What is compared, for the table."""
    if server == "zq":
        sys.path.insert(0, str(servers.ROOT / "tests"))
        import harness

        return output(str(harness.ZQ), "--version").split()[-1]
    if server == "node":
        return output(servers.system("node"), "--version").lstrip("v")
    if server == "nginx":
        return output(servers.system("nginx"), "-v").rpartition("/")[2]
    package = server.partition("-")[0]
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return output(servers.tool("python"), "-c", code)


def run_server(server: str, cases: list[casefile.Case]) -> list[run.Result]:
    with servers.SERVERS[server]() as address, run.Runner(address, JOBS) as runner:
        return runner.all(cases)


# ---- what is written


def count(results: list[run.Result]) -> collections.Counter:
    return collections.Counter(result.verdict.grade for result in results)


def cell(counts: collections.Counter) -> str:
    passed = counts[ALLOWED] + counts[STRICT]
    return f"{passed} / {counts[STRICT]} / {counts[FAILED]}"


def table(results: dict[str, list[run.Result]], versions: dict[str, str]) -> str:
    columns = [f"{TITLES[server]} {versions[server]}" for server in results]
    lines = ["| allowed / strict / failed | cases | " + " | ".join(columns) + " |"]
    lines.append("|---|--:|" + "--:|" * len(columns))
    for section, title in casefile.titles().items():
        chosen = {s: [r for r in rs if r.case.section == section] for s, rs in results.items()}
        total = len(next(iter(chosen.values())))
        cells = [cell(count(rs)) for rs in chosen.values()]
        lines.append(f"| {title} | {total} | " + " | ".join(cells) + " |")
    total = len(next(iter(results.values())))
    cells = [f"**{cell(count(rs))}**" for rs in results.values()]
    lines.append(f"| **all** | **{total}** | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def summary(results: dict[str, list[run.Result]], versions: dict[str, str]) -> str:
    """The short form: a line a server."""
    lines = ["| server | allowed | strict | failed |", "|---|--:|--:|--:|"]
    for server, found in results.items():
        counts, total = count(found), len(found)
        passed = counts[ALLOWED] + counts[STRICT]
        cells = [f"{n} ({100 * n / total:.1f} %)" for n in (passed, counts[STRICT])]
        lines.append(
            f"| {TITLES[server]} {versions[server]} | {cells[0]} | {cells[1]} | {counts[FAILED]} |"
        )
    return "\n".join(lines) + "\n"


def disagreements(results: dict[str, list[run.Result]]) -> str:
    """Cases in which not all did the same."""
    lines = ["| case | RFC | strict | " + " | ".join(TITLES[s] for s in results) + " |"]
    lines.append("|---|---|---|" + "---|" * len(results))
    for row in zip(*results.values(), strict=True):
        marks = {FAILED: "**{}**", ALLOWED: "{}", STRICT: "{} ✓"}
        cells = [marks[result.verdict.grade].format(result.run.outcome) for result in row]
        if len(set(cells)) > 1:
            case = row[0].case
            strict = " or ".join(map(str, case.strict))
            lines.append(f"| {case.name} | {case.rfc} | {strict} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def as_data(results: dict[str, list[run.Result]], versions: dict[str, str]) -> dict:
    return {
        server: {
            "version": versions[server],
            "cases": {
                result.case.name: {
                    "section": result.case.section,
                    "grade": result.verdict.grade,
                    "outcome": result.run.outcome,
                    "reasons": [run.shorten(reason) for reason in result.verdict.reasons],
                }
                for result in found
            },
        }
        for server, found in results.items()
    }


def write(directory: pathlib.Path, results: dict, versions: dict, left_out: list[str]) -> None:
    directory.mkdir(parents=True)
    title = f"# Conformance, {made(directory)}\n"
    text = [title, summary(results, versions), table(results, versions)]
    text.append("Every cell: cases allowed / of these strict / failed.\n")
    if left_out:
        text.append(f"Left out: {'; '.join(left_out)}.\n")
    (directory / "table.md").write_text("\n".join(text))
    text = "Bold: failed. With a mark: strict. Else: allowed.\n\n" + disagreements(results)
    (directory / "disagreements.md").write_text(text)
    for server, found in results.items():
        failed = [run.explain(r, limit=1 << 20) for r in found if r.verdict.grade == FAILED]
        (directory / f"{server}.txt").write_text("\n".join(failed))
        allowed = [run.explain(r, limit=1 << 20) for r in found if r.verdict.grade == ALLOWED]
        packed = gzip.compress("\n".join(allowed).encode(), mtime=0)
        (directory / f"{server}-allowed.txt.gz").write_bytes(packed)
    (directory / "outcomes.json").write_text(json.dumps(as_data(results, versions)) + "\n")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One kind of thing (`server`, `cache`), all of them or those of the command line, each asked
    the same, and written down in results/<name>-<UTC time>/."""

    kind: str
    name: str
    known: run.Servers
    version: Callable[[str], str]
    play: Callable[[str], list]
    cell: Callable[[list], str]  # a line for who watches
    write: Callable[[pathlib.Path, dict, dict, list[str]], None]

    def choose(self, description: str) -> list[str]:
        parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument(
            "chosen", nargs="*", metavar=self.kind.upper(), help=", ".join(self.known)
        )
        chosen = parser.parse_args().chosen or list(self.known)
        for one in chosen:
            if one not in self.known:
                parser.error(f"no {self.kind} {one!r}; there are {', '.join(self.known)}")
        return chosen

    def run(self, chosen: list[str]) -> tuple[dict[str, list], list[str]]:
        """The results of those that ran, and why others did not."""
        results, versions, left_out = {}, {}, []
        for one in chosen:
            try:
                versions[one] = self.version(one)
                results[one] = self.play(one)
                print(f"{one:20} {self.cell(results[one])}", flush=True)
            except servers.Unavailable as error:
                left_out.append(str(error))
            except (ServerGone, RuntimeError) as error:
                left_out.append(f"{one}: {str(error).partition(chr(10))[0]}")
        for reason in left_out:
            print(f"left out: {reason}")
        if results:
            now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
            directory = servers.ROOT / "results" / f"{self.name}-{now}"
            self.write(directory, results, versions, left_out)
            print(f"{directory.relative_to(servers.ROOT)}/table.md")
        return results, left_out


def made(directory: pathlib.Path) -> str:
    """When, from what and where a directory's results were made."""
    commit = output("git", "-C", str(servers.ROOT), "rev-parse", "--short", "HEAD")
    return f"{directory.name.rpartition('-')[2]} UTC, commit {commit}, {platform.system()}"


def main() -> int:
    cases = casefile.load()
    comparison = Comparison(
        kind="server",
        name="conformance",
        known=servers.SERVERS,
        version=version,
        play=lambda server: run_server(server, cases),
        cell=lambda found: cell(count(found)),
        write=write,
    )
    results, left_out = comparison.run(comparison.choose(__doc__))
    strict = all(r.verdict.grade == STRICT for r in results.get("zq", []))
    return 0 if results and strict and not left_out else 1


if __name__ == "__main__":
    sys.exit(main())
