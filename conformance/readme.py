"""README's conformance table, from a result directory: `make conformance-readme`. Never typed.

conformance/readme.py [results/conformance-<time>]      the newest without an argument
"""

from __future__ import annotations

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN = "<!-- conformance: made by `make conformance-readme` -->"
END = "<!-- end of conformance -->"


def section(directory: pathlib.Path) -> str:
    """The short table, a line a server, and where the rest is."""
    title, table = (directory / "table.md").read_text().split("\n\n")[:2]
    made = title.removeprefix("# Conformance, ").strip()
    where = directory.relative_to(ROOT)
    return f"{table.strip()}\n\nMeasured {made}; every case of every server is in [{where}]({where}).\n"


def replaced(readme: str, text: str) -> str:
    before, mark, rest = readme.partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"README.md has no `{BEGIN}` … `{END}`")
    return f"{before}{BEGIN}\n{text}{END}{after}"


def main() -> None:
    found = sorted((ROOT / "results").glob("conformance-*"))
    if len(sys.argv) < 2 and not found:
        raise SystemExit("there is no results/conformance-*: run `make conformance-peers` first")
    directory = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else found[-1]
    readme = ROOT / "README.md"
    readme.write_text(replaced(readme.read_text(), section(directory)))


if __name__ == "__main__":
    main()
