#!/usr/bin/env python3
"""Plays the conversations with zq and other caches, and writes down how they differ.

    conformance/cache/peers.py [CACHE...]       default: zq twice, nginx, varnish, apache

Makes results/conformance-cache-<UTC time>/ with

    table.md           per cache and level, and per section: passed, failed and moot
    disagreements.md   every conversation in which not all caches did the same
    <cache>.txt        the bytes of both directions, and what the origin was asked, of each
                       conversation that is required and failed there
    <cache>-others.txt.gz   the same of those that are optional, or moot
    outcomes.json      all of it, for programs

Exit status: 0 when every cache ran and zq passed.
"""

from __future__ import annotations

import gzip
import json
import pathlib
import re
import sys

if __package__ in (None, ""):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))

from conformance import peers, servers
from conformance.cache import caches, run, script
from conformance.cache.judge import FAILED, MOOT, PASSED
from conformance.cache.talk import Talk

TITLES = {
    "zq": "zq, all options on",
    "zq-default": "zq, default options",
    "nginx": "nginx proxy_cache",
    "varnish": "Varnish",
    "apache": "Apache mod_cache",
}
ENTIRE = 1 << 20
Results = dict[str, list[Talk]]


def version(cache: str) -> str:
    if cache.startswith("zq"):
        return peers.version("zq")
    command = {"nginx": ("nginx", "-v"), "varnish": ("varnishd", "-V"), "apache": ("apache2", "-v")}
    program, option = command[cache]
    return re.search(r"\d+\.\d+\.\d+", peers.output(servers.system(program), option))[0]


def play(cache: str, cases: list[script.Case]) -> list[Talk]:
    with caches.CACHES[cache]() as address:
        return run.play_all(address, run.cases_for(cache, cases))


# ---- what is written


def compared(talks: list[Talk]) -> list[Talk]:
    """Those that all caches had: not the ones about zq's default options."""
    return [talk for talk in talks if not talk.case.options]


def share(passed: int, total: int) -> str:
    return f"{passed} ({100 * passed / total:.1f} %)" if total else ""


def summary(results: Results, versions: dict[str, str]) -> str:
    """The short form: a line a cache."""
    first = compared(next(iter(results.values())))
    totals = {level: counts.total() for level, counts in run.count(first).items()}
    lines = [
        f"| cache | required, of {totals['required']} | failed | moot "
        f"| optional, of {totals['optimal']} | as zq where either is right, of {totals['check']} |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for cache, talks in results.items():
        counts = run.count(compared(talks))
        required = counts["required"]
        cells = [share(required[PASSED], totals["required"]), str(required[FAILED])]
        cells += [str(required[MOOT])]
        cells += [share(counts[level][PASSED], totals[level]) for level in ("optimal", "check")]
        lines.append(f"| {TITLES[cache]} {versions[cache]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(talks: list[Talk]) -> str:
    """required passed/failed/moot, optional passed, check passed."""
    counts = run.count(talks)
    required = counts["required"]
    parts = [f"{required[PASSED]}/{required[FAILED]}/{required[MOOT]}"]
    return " ".join([*parts, *(f"{counts[level][PASSED]}" for level in ("optimal", "check"))])


def table(results: Results) -> str:
    columns = [TITLES[cache] for cache in results]
    lines = ["| section | required, optional, either | " + " | ".join(columns) + " |"]
    lines.append("|---|---|" + "---|" * len(columns))
    sections = [*script.titles().items(), ("", "**all**")]
    for section, title in sections:
        chosen = {
            cache: [t for t in compared(talks) if not section or t.case.section == section]
            for cache, talks in results.items()
        }
        first = next(iter(chosen.values()))
        if first:
            totals = " ".join(str(counts.total()) for counts in run.count(first).values())
            cells = [cell(talks) for talks in chosen.values()]
            lines.append(f"| {title} | {totals} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def disagreements(results: Results) -> str:
    lines = ["| conversation | RFC | level | " + " | ".join(TITLES[c] for c in results) + " |"]
    lines.append("|---|---|---|" + "---|" * len(results))
    for row in zip(*(compared(talks) for talks in results.values()), strict=True):
        if len({talk.grade for talk in row}) > 1:
            case = row[0].case
            marks = {PASSED: "✓", FAILED: "**failed**", MOOT: "moot"}
            cells = [marks[talk.grade] for talk in row]
            lines.append(f"| {case.name} | {case.rfc} | {case.level} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def as_data(results: Results, versions: dict[str, str]) -> dict:
    return {
        cache: {
            "version": versions[cache],
            "conversations": {
                talk.case.name: {
                    "section": talk.case.section,
                    "level": talk.case.level,
                    "grade": talk.grade,
                    "reasons": [run.shorten(reason) for reason in talk.reasons],
                }
                for talk in talks
            },
        }
        for cache, talks in results.items()
    }


def explained(talks: list[Talk]) -> str:
    return "\n".join(run.explain(talk, limit=ENTIRE) for talk in talks)


def write(directory: pathlib.Path, results: Results, versions: dict, left_out: list[str]) -> None:
    directory.mkdir(parents=True)
    title = f"# Cache conformance, {peers.made(directory)}\n"
    text = [title, summary(results, versions), table(results)]
    text.append("Every cell: required passed/failed/moot, optional passed, either as zq.\n")
    if left_out:
        text.append(f"Left out: {'; '.join(left_out)}.\n")
    (directory / "table.md").write_text("\n".join(text))
    (directory / "disagreements.md").write_text(disagreements(results))
    for cache, talks in results.items():
        violated = [t for t in talks if t.grade == FAILED and t.case.level == "required"]
        others = [t for t in talks if t.grade != PASSED and t not in violated]
        (directory / f"{cache}.txt").write_text(explained(violated))
        packed = gzip.compress(explained(others).encode(), mtime=0)
        (directory / f"{cache}-others.txt.gz").write_bytes(packed)
    (directory / "outcomes.json").write_text(json.dumps(as_data(results, versions)) + "\n")


def main() -> int:
    cases = script.load()
    comparison = peers.Comparison(
        kind="cache",
        name="conformance-cache",
        known=caches.CACHES,
        version=version,
        play=lambda cache: play(cache, cases),
        cell=lambda talks: cell(compared(talks)),
        write=write,
    )
    results, left_out = comparison.run(comparison.choose(__doc__))
    ours = [(cache, talks) for cache, talks in results.items() if cache.startswith("zq")]
    fine = not any(run.bad(cache, talk) for cache, talks in ours for talk in talks)
    return 0 if results and fine and not left_out else 1


if __name__ == "__main__":
    sys.exit(main())
