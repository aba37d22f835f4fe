"""From records to figures: medians with intervals, ratios inside each round, goals held or not."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass

from bench.rows import Goal
from bench.stats import Interval, held, interval, ratios

LEAST_ROUNDS = 3
"""With fewer there is nothing to say about noise."""
LATENCY = re.compile(r"p([\d.]+)_us|(max|mean)_us")


@dataclass
class Figure:
    """What a contestant reached in a case."""

    name: str
    title: str
    failed: str
    records: list[dict]
    syscalls: float | None

    def values(self, metric: str) -> dict[int, float]:
        """By round. Latencies are `p50_us`, `p99.9_us`, `max_us`, `mean_us`."""
        found = {}
        for record in self.records:
            if match := LATENCY.fullmatch(metric):
                value = record.get("latency_us", {}).get(match[1] or match[2])
            else:
                value = record.get(metric)
            if value is not None:
                found[record["round"]] = float(value)
        return found

    def of(self, metric: str) -> Interval | None:
        values = self.values(metric)
        return interval(list(values.values())) if values else None

    def median(self, metric: str) -> float | None:
        values = list(self.values(metric).values())
        return statistics.median(values) if values else None

    def saturated(self) -> bool:
        """In most rounds it was what limited the rate, not the generator."""
        return statistics.median([bool(r.get("saturated", True)) for r in self.records]) >= 0.5


def figures(case: dict) -> list[Figure]:
    """In the case's order; a failed contestant has no figure."""
    by_arm: dict[str, list[dict]] = {}
    for record in case["records"]:
        by_arm.setdefault(record["arm"], []).append(record)
    return [
        Figure(
            arm["name"],
            arm["title"] + (" (while Python spins)" if arm["name"].endswith("@spin") else ""),
            arm["failed"],
            [] if arm["failed"] else by_arm.get(arm["name"], []),
            arm.get("syscalls"),
        )
        for arm in case["arms"]
    ]


def ratio(over: Figure, under: Figure, metric: str) -> Interval | None:
    """Of rounds that both have."""
    a, b = over.values(metric), under.values(metric)
    rounds = sorted(a.keys() & b.keys())
    found = ratios([a[r] for r in rounds], [b[r] for r in rounds])
    return interval(found) if found else None


@dataclass
class Verdict:
    """A goal, judged on a case. `held` is None where it could not be judged, and `why` says so."""

    case: str
    goal: Goal
    ratio: Interval | None
    held: bool | None
    why: str = ""


def verdicts(case: dict) -> list[Verdict]:
    found = {figure.name: figure for figure in figures(case)}
    judged = []
    for data in case.get("goals", []):
        goal = Goal(**data)
        arm, base = found.get(goal.arm), found.get(goal.base)
        if arm is None or base is None:
            continue
        value = ratio(arm, base, goal.metric) if arm.records and base.records else None
        why, verdict = "", None
        if value is None:
            why = arm.failed or base.failed or "not measured"
        elif case["server_cpus"] + case["generator_cpus"] < goal.cores:
            why = f"judged from {goal.cores} cores up"
        elif value.n < LEAST_ROUNDS:
            why = "too few rounds"
        elif goal.metric == "rps" and not (arm.saturated() and base.saturated()):
            who = base if arm.saturated() else arm
            why = f"{who.name} was not the limit: only CPU a request counts"
        else:
            verdict = held(value, goal.factor, goal.at_least)
        judged.append(Verdict(case["case"], goal, value, verdict, why))
    return judged
