"""README's bench section, made from a result directory: `make bench-readme`. Never typed."""

from __future__ import annotations

from pathlib import Path

from bench.figures import figures, ratio, verdicts
from bench.machine import ROOT
from bench.report import cautions, count, micros, table, times
from bench.results import Results, write
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


def section(env: dict, cases: list[dict], directory: str) -> str:
    """The text between the markers. `directory` is relative to README."""
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
    judged = [v for case in cases for v in verdicts(case)]
    lost = [f"{v.case} ({v.goal})" for v in judged if v.held is False]
    parts = [
        f"Measured on {env['cpu']}, {env['cores']} cores, requests a second "
        f"(more is better), or p99 latency at a constant rate (less is better); all of it is in [{directory}]({directory}).",
        "",
        *(f"**{text}**\n" for text in cautions(shown)),
        f"![Requests a second]({directory}/throughput-{chart_of(cases)}.svg)",
        "",
        table(["case", "against", "zq", "it", "zq ÷ it (interval)"], rows),
        "",
    ]
    if lost:
        parts += ["Goals that zq does not reach yet: " + "; ".join(lost) + ".", ""]
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


def main(directory: Path) -> int:
    results = Results(directory.resolve())
    readme = ROOT / "README.md"
    shown = str(results.path.relative_to(ROOT))
    write(readme, replaced(readme.read_text(), section(results.env(), results.cases(), shown)))
    print(f"README.md: bench section from {shown}")
    return 0
