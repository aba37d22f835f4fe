"""README's bench section, made from result directories: `make bench-readme`. Never typed.

What README shows, `make bench` measures, and the whole matrix as well: all of it is of one run, so
that no two tables differ in their commit, and of the kept matrix README says where it is."""

from __future__ import annotations

from pathlib import Path

from bench.figures import figures, ratio, verdicts
from bench.machine import ROOT
from bench.report import cautions, count, goal_table, micros, table, times
from bench.results import Results, whole, write
from bench.rows import ROWS, Row

BEGIN = "<!-- bench: made by `make bench-readme` -->"
END = "<!-- end of bench -->"
CHART = "warm-health"
SHOWN = {row.name: row for row in ROWS if row.default}
"""What `make bench` measures; the full matrix has more loads and contestants."""


def _row_of(case: dict) -> Row | None:
    """The row of `make bench` that a case is, under that row's own load."""
    row = SHOWN.get(case["row"])
    own = row and row.conns == case["conns"]
    own = own and case.get("pipeline", 1) == 1 and not case.get("close")
    return row if own and row.kind in ("load", "rate") else None


def _compared(cases: list[dict]) -> tuple[list[dict], list[list[str]]]:
    """The cases of `make bench` where zq is compared with others, and a line of each other."""
    rows, shown = [], []
    for case in cases:
        row = _row_of(case)
        if row is None:
            continue
        found = [f for f in figures(case) if f.records]
        if len(found) < 2 or not found[0].name.startswith("zq"):
            continue
        shown.append(case)
        metric, show = ("p99_us", micros) if case["kind"] == "rate" else ("rps", count)
        unit = "p99" if case["kind"] == "rate" else "req/s"
        for other in (f for f in found[1:] if f.name in row.arms and not f.name.startswith("zq")):
            rows.append(
                [
                    f"{case['title']}, `{case['route']}`: {unit}",
                    other.title,
                    show(found[0].median(metric)),
                    show(other.median(metric)),
                    times(ratio(found[0], other, metric)),
                ]
            )
    return shown, rows


def section(env: dict, cases: list[dict], directory: str, matrix: tuple[dict, str] | None) -> str:
    """The text between the markers. `directory` is relative to README; `matrix` is env and
    directory of the whole matrix, where that is another run."""
    shown, rows = _compared(cases)
    judged = [v for case in cases for v in verdicts(case)]
    full = ""
    if matrix:
        full = (
            f" More loads and contestants are in [{matrix[1]}]({matrix[1]}), of commit "
            f"{matrix[0]['commit'][:12]}."
        )
    parts = [
        f"Measured on {env['cpu']}, {env['cores']} cores, at commit {env['commit'][:12]}"
        f"{' with changes' if env['dirty'] else ''}; all of it is in [{directory}]({directory})."
        f"{full}",
        "",
        *(f"**{text}**\n" for text in cautions(shown)),
        f"![Requests a second]({directory}/throughput-{chart_of(cases)}.svg)",
        "",
    ]
    if judged:
        held = sum(v.held is True for v in judged)
        parts += [
            f"The goals, of which {held} of {len(judged)} hold:",
            "",
            goal_table(judged),
            "",
        ]
    parts += [
        "Against the others: requests a second (more is better), or p99 latency at a constant rate "
        "(less is better).",
        "",
        table(["case", "against", "zq", "it", "zq ÷ it (interval)"], rows),
        "",
    ]
    return "\n".join(parts)


def chart_of(cases: list[dict]) -> str:
    name = next((c["case"] for c in cases if c["row"] == CHART), cases[0]["case"])
    return name.replace("/", "_").replace(" ", "")


def replaced(text: str, made: str) -> str:
    """README with the section between the markers replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no '{BEGIN}' … '{END}'")
    return f"{before}{BEGIN}\n{made}{END}{after}"


def main(directory: Path | None = None, matrix: Path | None = None) -> int:
    """README's figures from `directory`, or the newest whole `make bench` or `make bench-full`;
    and the way to `matrix`, or the newest of the latter."""
    directory = directory or whole(("default", "full"))
    matrix = matrix or whole(("full",))
    if directory is None:
        raise ValueError("there is no whole run of `make bench` in results/")
    results, other = Results(directory.resolve()), matrix and Results(matrix.resolve())
    shown = str(results.path.relative_to(ROOT))
    full = None
    if other and other.path != results.path:
        full = other.env(), str(other.path.relative_to(ROOT))
    readme = ROOT / "README.md"
    made = section(results.env(), results.cases(), shown, full)
    write(readme, replaced(readme.read_text(), made))
    print(f"README.md: bench section from {shown}" + (f", and {full[1]}" if full else ""))
    return 0
