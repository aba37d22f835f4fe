"""The command line: `python3 -m bench run|report|compare|readme|micro|store|profile|list`. See bench/README.md."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from bench import compare, machine, micro, profile, readme, report, store
from bench.results import Results, latest
from bench.rows import Options, cases
from bench.runner import CaseRunner


def words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in words(text))


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(prog="python3 -m bench", description=__doc__)
    commands = main.add_subparsers(dest="command", required=True)
    for name in ("run", "list"):
        run = commands.add_parser(name)
        run.add_argument("--mode", choices=("default", "quick", "full"), default="default")
        run.add_argument("--only", type=words, default=())
        run.add_argument("--contestants", type=words, default=())
        run.add_argument("--routes", type=words, default=())
        run.add_argument("--conns", type=numbers, default=())
        run.add_argument("--secs", type=float, default=0)
        run.add_argument("--rounds", type=int, default=0)
        run.add_argument("--results", type=Path, default=None, help="instead of results/")
        run.add_argument("--fresh", action="store_true", help="do not go on with a broken-off run")
    again = commands.add_parser("report")
    again.add_argument("directory", type=Path, nargs="?")
    pair = commands.add_parser("compare")
    pair.add_argument("a", type=Path)
    pair.add_argument("b", type=Path)
    generated = commands.add_parser("readme")
    generated.add_argument("directory", type=Path, nargs="?")
    generated.add_argument("--matrix", type=Path, help="the whole matrix, to be referred to")
    commands.add_parser("store")
    commands.add_parser("profile")
    instructions = commands.add_parser("micro")
    instructions.add_argument("--build", type=Path, default=machine.BUILD / "bench/micro")
    instructions.add_argument("--out", type=Path)
    instructions.add_argument("--base", type=Path, help="an earlier --out to compare with")
    instructions.add_argument("--messages", default="", help="of the commits since then")
    return main


def options_of(args: argparse.Namespace) -> Options:
    return Options(
        args.mode,
        args.only,
        args.contestants,
        args.routes,
        args.conns,
        args.secs,
        args.rounds,
    )


def run(args: argparse.Namespace) -> int:
    """Measures what the options select; 1 when a contestant failed, 2 when nothing is selected."""
    options = options_of(args)
    plan = cases(options)
    machine.raise_file_limit()
    parent = args.results or machine.ROOT / "results"
    env = machine.environment()
    results = None if args.fresh else Results.open_unfinished(env, options, parent)
    if results:
        print(f"going on with {results.path.name}")
    else:
        results = Results.new(env, options, parent)
    started, failed = time.monotonic(), []
    for index, case in enumerate(plan):
        if results.has(case):
            continue
        print(f"[{index + 1}/{len(plan)}] {case.name}: {', '.join(case.row.arms)}", flush=True)
        found = CaseRunner(case, options, print, results.save_raw).run()
        results.save_case(case, index, found)
        failed += [f"{case.name}: {a['name']}: {a['failed']}" for a in found["arms"] if a["failed"]]
        print(report.one_line(found), flush=True)
    results.finish()
    report.write_all(results)
    print(f"\n{(results.path / 'summary.md').read_text()}")
    minutes = (time.monotonic() - started) / 60
    print(f"{len(plan)} cases in {minutes:.1f} minutes: {results.path}/index.html")
    for line in failed:
        print(f"FAILED {line}")
    return 1 if failed else 0


def main() -> int:
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # stops what it started
    try:
        if args.command == "run":
            return run(args)
        if args.command == "list":
            for case in cases(options_of(args)):
                print(f"{case.name}: {', '.join(case.row.arms)}")
            return 0
        if args.command == "compare":
            return compare.main(args.a, args.b)
        if args.command == "store":
            return store.main()
        if args.command == "profile":
            return profile.main()
        if args.command == "micro":
            return micro.main(args.build, args.out, args.base, args.messages)
        if args.command == "readme":
            return readme.main(args.directory, args.matrix)
        directory = args.directory or latest()
        if directory is None:
            raise ValueError("there is no finished run in results/")
        report.write_all(Results(directory))
        return 0
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


sys.exit(main())
