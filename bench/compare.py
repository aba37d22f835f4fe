"""What moved between two runs by more than the noise.

The noise of each figure is estimated from its rounds; a change counts when it exceeds three times
the two noises together, and 1 %. Where both runs have the limit in a case, the change is also
given relative to it, which takes out how fast the machine happened to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure, figures
from bench.report import table
from bench.results import Results
from bench.stats import noise

FACTOR = 3.0
LEAST = 0.01
METRICS = (("rps", True), ("cpu_us", False), ("p99_us", False), ("pss_kib", False))
"""Metric, and whether more is better."""


@dataclass(frozen=True)
class Move:
    case: str
    arm: str
    metric: str
    before: float
    after: float
    threshold: float
    better: bool
    against_limit: float | None

    @property
    def change(self) -> float:
        return self.after / self.before - 1


def move(a: Figure, b: Figure, metric: str, more_is_better: bool) -> Move | None:
    """None when it is within the noise, or not in both."""
    before, after = a.median(metric), b.median(metric)
    if not before or not after:
        return None
    both = math.hypot(
        noise(list(a.values(metric).values())), noise(list(b.values(metric).values()))
    )
    threshold = max(LEAST, FACTOR * both)
    change = after / before - 1
    if abs(change) <= threshold:
        return None
    better = (change > 0) == more_is_better
    return Move("", a.name, metric, before, after, threshold, better, None)


def _relative(metric: str, a: dict[str, Figure], b: dict[str, Figure], name: str) -> float | None:
    if "limit" not in a or "limit" not in b or name == "limit":
        return None
    values = [side[n].median(metric) for side in (b, a) for n in (name, "limit")]
    if not all(values):
        return None
    return values[0] / values[1] / (values[2] / values[3]) - 1


def moves(a: list[dict], b: list[dict]) -> list[Move]:
    """Of all cases that both runs have."""
    earlier = {case["case"]: case for case in a}
    found = []
    for case in b:
        if case["case"] not in earlier:
            continue
        old = {f.name: f for f in figures(earlier[case["case"]])}
        new = {f.name: f for f in figures(case)}
        for name in new.keys() & old.keys():
            for metric, more_is_better in METRICS:
                moved = move(old[name], new[name], metric, more_is_better)
                if moved:
                    relative = _relative(metric, old, new, name)
                    fields = vars(moved) | {"case": case["case"], "against_limit": relative}
                    found.append(Move(**fields))
    return sorted(found, key=lambda m: (m.case, m.arm, m.metric))


def main(a: Path, b: Path) -> int:
    """Prints the moves; 1 when zq got worse in one."""
    for path in (a, b):
        if not (path / "env.json").exists():
            raise ValueError(f"{path} is no result directory")
    found = moves(Results(a).cases(), Results(b).cases())
    if not found:
        print("nothing moved by more than the noise")
        return 0
    rows = [
        [
            m.case,
            m.arm,
            m.metric,
            f"{m.before:,.6g}",
            f"{m.after:,.6g}",
            f"{m.change:+.1%}",
            f"±{m.threshold:.1%}",
            "–" if m.against_limit is None else f"{m.against_limit:+.1%}",
            "better" if m.better else "worse",
        ]
        for m in found
    ]
    head = ["case", "contestant", "metric", "A", "B", "change", "noise", "against the limit", ""]
    print(table(head, rows))
    return int(any(not m.better and m.arm.startswith("zq") for m in found))
