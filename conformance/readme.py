"""README's conformance tables, from result directories: `make conformance-readme`. Never typed.

conformance/readme.py [results/conformance-<time>...]   the newest of each kind without an argument
"""

from __future__ import annotations

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = ("conformance", "conformance-cache")  # results/KIND-<time>


def section(directory: pathlib.Path) -> str:
    """The short table, a line a server, and where the rest is."""
    title, table = (directory / "table.md").read_text().split("\n\n")[:2]
    made = title.partition(", ")[2].strip()
    where = directory.relative_to(ROOT)
    return f"{table.strip()}\n\nMeasured {made}; every case of every server is in [{where}]({where}).\n"


def replaced(readme: str, kind: str, text: str) -> str:
    begin = f"<!-- {kind}: made by `make conformance-readme` -->"
    end = f"<!-- end of {kind} -->"
    before, mark, rest = readme.partition(begin)
    inside, found, after = rest.partition(end)
    if not mark or not found:
        raise SystemExit(f"README.md has no `{begin}` … `{end}`")
    return f"{before}{begin}\n{text}{end}{after}"


def main() -> None:
    found = [sorted((ROOT / "results").glob(f"{kind}-[0-9]*"))[-1:] for kind in KINDS]
    chosen = [pathlib.Path(argument).resolve() for argument in sys.argv[1:]] or sum(found, [])
    if not chosen:
        raise SystemExit("there is no results/conformance-*: run `make conformance-peers` first")
    readme = ROOT / "README.md"
    text = readme.read_text()
    for directory in chosen:
        text = replaced(text, directory.name.rpartition("-")[0], section(directory))
    readme.write_text(text)


if __name__ == "__main__":
    main()
