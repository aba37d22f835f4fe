"""The reports of a run: summary.md, charts, and index.html, all from the case files."""

from __future__ import annotations

from html import escape

from bench import charts, growth, quiet
from bench.figures import Figure, Verdict, figures, ratio, verdicts
from bench.results import Results, write
from bench.stats import Interval

NAMED = ("limit", "granian", "granian-all")
"""Contestants that every table has a ratio to, besides its first."""


def count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def micros(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1000:.3g} ms" if value >= 1000 else f"{value:.3g} µs"


def times(value: Interval | None) -> str:
    """A ratio with its interval: 1.23 (1.20–1.25)."""
    if value is None:
        return "–"
    return f"{value.median:.3g} ({value.low:.3g}–{value.high:.3g})"


def mib(value: float | None) -> str:
    return "–" if value is None else f"{value / 1024:.1f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _bases(found: list[Figure]) -> list[Figure]:
    """The first, the limit and Granian, without repetition."""
    names = list(dict.fromkeys([found[0].name, *NAMED]))
    return [figure for name in names for figure in found if figure.name == name]


def _load_table(found: list[Figure]) -> str:
    bases = _bases(found)
    head = [
        "contestant",
        "req/s",
        "±",
        *(f"÷ {b.name}" for b in bases),
        "CPU/req",
        "user",
        "system",
    ]
    head += ["p50", "p99", "switches/req", "syscalls/req", "PSS MiB", "peak MiB", "saturated"]
    rows = []
    for f in found:
        if f.failed:
            rows.append([f.title, f"**failed**: {f.failed}", *[""] * (len(head) - 2)])
            continue
        rps = f.of("rps")
        row = [f.title, count(rps.median), f"{rps.spread:.1%}"]
        row += ["1" if f is b else times(ratio(f, b, "rps")) for b in bases]
        row += [micros(f.median(m)) for m in ("cpu_us", "user_us", "system_us", "p50_us", "p99_us")]
        switches = f.median("switches")
        row.append("–" if switches is None else f"{switches:.2f}")
        row.append("–" if f.syscalls is None else f"{f.syscalls:.2f}")
        row += [mib(f.median("pss_kib")), mib(f.median("peak_kib"))]
        row.append("yes" if f.saturated() else "no: CPU only")
        rows.append(row)
    return table(head, rows)


def _rate_table(found: list[Figure]) -> str:
    head = ["contestant", "p50", "p90", "p99", f"p99 ÷ {found[0].name}", "p99.9", "max", "CPU/req"]
    head += ["unanswered", "generator late (p99)", "PSS MiB"]
    rows = []
    for f in found:
        if f.failed:
            rows.append([f.title, f"**failed**: {f.failed}", *[""] * (len(head) - 2)])
            continue
        row = [f.title, *(micros(f.median(m)) for m in ("p50_us", "p90_us", "p99_us"))]
        row.append("1" if f is found[0] else times(ratio(f, found[0], "p99_us")))
        row += [micros(f.median(m)) for m in ("p99.9_us", "max_us", "cpu_us")]
        row += [count(f.median("unanswered")), micros(f.median("generator_late_us"))]
        rows.append([*row, mib(f.median("pss_kib"))])
    return table(head, rows)


def _idle_table(found: list[Figure]) -> str:
    head = ["contestant", "connections", "bytes/connection", "front MiB", "PSS MiB"]
    rows = []
    for f in found:
        if f.failed:
            rows.append([f.title, f"**failed**: {f.failed}", *[""] * (len(head) - 2)])
            continue
        numbers = [count(f.median("connections")), count(f.median("bytes_per_connection"))]
        rows.append(
            [f.title, *numbers, mib(f.median("front_private_kib")), mib(f.median("pss_kib"))]
        )
    return table(head, rows)


def _growth_table(found: list[Figure]) -> str:
    """The goal is absolute: a process has at most 1 MiB more at the end."""
    head = ["process", "private KiB, first quarter", "last quarter", "grown", "at most 1 MiB"]
    rows = []
    for f in found:
        if f.failed:
            rows.append([f.title, f"**failed**: {f.failed}", *[""] * (len(head) - 2)])
            continue
        for name, title in (("front", "front"), ("others", "super and one worker")):
            first, last = f.median(f"{name}_first_kib"), f.median(f"{name}_last_kib")
            held = "held" if last - first <= growth.GROWN_KIB else "**not held**"
            rows.append([title, count(first), count(last), f"{last - first:+,.0f}", held])
    return table(head, rows)


def _stampede_table(found: list[Figure]) -> str:
    """The goal is absolute: the last client is served within 100 ms of the view's end."""
    head = ["contestant", "clients", "calls", "ms after the view: first", "half", "last", "worst"]
    rows = []
    for f in found:
        if f.failed:
            rows.append([f.title, f"**failed**: {f.failed}", *[""] * (len(head) - 2)])
            continue
        after = [f"{f.median(m):.1f}" for m in ("first_ms", "half_ms", "last_ms")]
        worst = f"{max(f.values('last_ms').values()):.1f}"
        counts = [count(f.median("clients")), count(f.median("calls"))]
        rows.append([f.title, *counts, *after, worst])
    return table(head, rows)


TABLES = {
    "load": _load_table,
    "rate": _rate_table,
    "idle": _idle_table,
    "growth": _growth_table,
    "stampede": _stampede_table,
}


def goal_table(judged: list[Verdict]) -> str:
    words = {True: "held", False: "**not held**", None: "not judged"}
    rows = [
        [
            v.case,
            f"{v.goal.arm}: {v.goal}",
            times(v.ratio),
            words[v.held] + (f" ({v.why})" if v.why else ""),
        ]
        for v in judged
    ]
    return table(["case", "goal", "measured", "verdict"], rows)


def one_line(case: dict) -> str:
    """For the terminal while a run goes on."""
    parts = []
    for f in figures(case):
        value = f.median("p99_us") if case["kind"] == "rate" else f.median("rps")
        shown = micros(value) if case["kind"] == "rate" else count(value)
        if case["kind"] == "stampede":
            shown = f"{f.median('last_ms') or 0:.1f} ms"
        if case["kind"] == "idle":
            shown = f"{count(f.median('bytes_per_connection'))} B"
        parts.append(f"{f.name} {'failed' if f.failed else shown}")
    return "    " + " · ".join(parts)


FOREIGN = 0.02
UNDER_WAY = 0.02
"""From here on a summary says what share of a round's requests its end may cut off."""
AT_ONCE_S = 0.1


def _foreign(case: dict) -> float:
    shares = [r.get("foreign", 0.0) for r in case["records"]]
    return max(0.0, sum(shares) / len(shares)) if shares else 0.0


def _waited(cases: list[dict]) -> list[str]:
    """How long the rounds waited for a quiet machine."""
    found = [r for case in cases for r in case["records"] if "waited_s" in r]
    if not found:
        return []
    slow = [r for r in found if r["waited_s"] > AT_ONCE_S or not r["quiet"]]
    noisy = [
        f"{case['case']} ({n})"
        for case in cases
        if (n := sum(not r.get("quiet", True) for r in case["records"]))
    ]
    text = (
        f"Before a round the harness waits until less than {quiet.SHARE:.0%} of the machine is "
        f"used: {len(found) - len(slow)} of {len(found)} began at once, the others after "
        f"{sum(r['waited_s'] for r in slow):.0f} s in all"
    )
    if slow:
        text += f", {max(r['waited_s'] for r in slow):.1f} s at the longest"
    if noisy:
        text += "; it did not become quiet before some rounds of " + ", ".join(noisy)
    return [text + "." + _stolen(found), ""]


def _stolen(records: list[dict]) -> str:
    """What the host of a virtual machine kept from it during the rounds."""
    found = [r for r in records if "stolen_s" in r]
    if not found:
        return ""
    stolen_s, seconds = (sum(r[name] for r in found) for name in ("stolen_s", "seconds"))
    return f" During the rounds the host kept {stolen_s / seconds:.1%} of a processor from it."


def _rounds(case: dict) -> str:
    """`; 15 rounds of 2.6 s`, and what a round cannot tell apart."""
    had = case.get("rounds")
    if not had:
        return ""
    if case["kind"] not in ("load", "rate"):
        return ""
    text = f"; {had['count']} rounds of {had['seconds']:.3g} s"
    if had["slices"] > 1:
        text += f" in {had['slices']} slices"
    fewest = min((f.median("requests") or 0 for f in figures(case) if f.records), default=0)
    under_way = case["conns"] * case.get("pipeline", 1) / fewest if fewest else 0
    if case["kind"] == "load" and under_way > UNDER_WAY:
        text += (
            f", with {fewest:,.0f} requests at the slowest: those under way at its end, not "
            f"counted, are up to {under_way:.0%} of them"
        )
    return text


def _machine(env: dict) -> list[str]:
    versions = env["versions"]
    return [
        f"{env['cpu']}, {env['cores']} cores, Linux {env['kernel']}, {env['distribution']}; "
        f"governor {env['governor'] or 'unknown'}, load before the run {env['load_at_start']:.2f}.",
        f"{versions.get('zq')} at commit {env['commit'][:12]}"
        + (" with changes" if env["dirty"] else "")
        + f"; {versions.get('python')}, Granian {versions.get('granian')}, uvicorn "
        f"{versions.get('uvicorn')}, Hypercorn {versions.get('hypercorn')}, Quart "
        f"{versions.get('quart')}, {versions.get('nginx')}, {versions.get('varnish')}.",
    ]


def cautions(cases: list[dict]) -> list[str]:
    """What a reader must know before believing the figures."""
    found = []
    disturbed = [(case["case"], share) for case in cases if (share := _foreign(case)) > FOREIGN]
    if disturbed:
        found.append(
            "Something else used the contestants' processors (other programs, or the contestants "
            "before, at work on requests that were given up), so these figures are not fit to be "
            "quoted: " + "; ".join(f"{name} ({share:.0%})" for name, share in disturbed) + "."
        )
    if any(not case["pinned"] for case in cases):
        found.append(
            "Fewer than four cores: generator and contestants shared them, nothing was pinned."
        )
    return found


def summary(env: dict, cases: list[dict]) -> str:
    """summary.md."""
    options = env["options"]
    parts = [f"# Bench of {env['started']}", "", *_machine(env), ""]
    for caution in cautions(cases):
        parts += [f"> **Caution.** {caution}", ""]
    judged = [v for case in cases for v in verdicts(case)]
    if judged:
        parts += ["## Goals", "", goal_table(judged), ""]
    parts += [
        "Ratios are taken inside each round; a figure is the rounds' median, in parentheses the "
        "interval that holds the true median with 95 % (or the extremes, for fewer than six "
        f"rounds). A goal is held when the interval's worse end is within 3 % of it. Mode "
        f"{options['mode']}. `saturated` says that the generator was not the limit: its threads "
        "less than 95 % busy and, where a contestant has one processor, that one at least 95 %; "
        "where it says no, only CPU a request compares. Latencies under full load are those of a closed loop; the constant-rate rows "
        "measure from the time a request was due.",
        "",
    ]
    parts += _waited(cases)
    title = ""
    for case in cases:
        if case["title"] != title:
            title = case["title"]
            parts += [f"## {title[0].upper()}{title[1:]}", ""]
        rate = f", {case['rate']:,.0f} requests a second" if case["kind"] == "rate" else ""
        first = ", the front and it before all else (SCHED_FIFO)" * case.get("goes_first", False)
        parts += [
            f"`{case['case']}`: {case['answer']['bytes']:,} bytes{rate}; contestant on "
            f"{case['server_cpus']} processors, generator on {case['generator_cpus']}"
            f"{first}{_rounds(case)}.",
            "",
            TABLES[case["kind"]](figures(case)),
            "",
        ]
    return "\n".join(parts)


def _load_charts(case: dict) -> dict[str, str]:
    rates, cpu = [], []
    for i, f in enumerate(figures(case)):
        rps = f.of("rps")
        if rps is None:
            rates.append(charts.Bar(f.title, (0,), "failed", colour=i))
            continue
        text = f"{charts.short(rps.median)} req/s"
        rates.append(charts.Bar(f.title, (rps.median,), text, rps.low, rps.high, i))
        user, system = f.median("user_us") or 0.0, f.median("system_us") or 0.0
        text = f"{micros(user)} + {micros(system)}"
        cpu.append(charts.Bar(f.title, (user, system), text, colour=i))
    name = case["case"]
    return {
        "throughput": charts.bars(f"Requests a second: {name}", rates),
        "cpu": charts.bars(f"CPU a request, user + system: {name}", cpu),
    }


def _rate_charts(case: dict) -> dict[str, str]:
    series, tails = [], []
    points = (10, 25, 50, 75, 90, 95, 99, 99.5, 99.9)
    for i, f in enumerate(figures(case)):
        if not f.records:
            continue
        curve = {float(p): f.median(f"p{p:g}_us") for p in points}
        series.append((f.title, {p: v for p, v in curve.items() if v is not None}))
        p99 = f.of("p99_us")
        if p99:
            tails.append(
                charts.Bar(f.title, (p99.median,), micros(p99.median), p99.low, p99.high, i)
            )
    head = f"{case['case']} at {case['rate']:,.0f} req/s"
    note = "Percentile across, latency up; measured from the time a request was due."
    return {
        "latency": charts.curves(f"Latency: {head}", series, note),
        "p99": charts.bars(f"Warm p99: {head}", tails),
    }


def case_charts(case: dict) -> dict[str, str]:
    """SVG texts by kind."""
    if case["kind"] == "load":
        return _load_charts(case)
    return _rate_charts(case) if case["kind"] == "rate" else {}


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>zq bench {started}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 96rem; margin: 2rem auto; padding: 0 1rem; }}
section {{ border-top: 1px solid #8884; padding: 1rem 0; }}
.charts {{ display: flex; flex-wrap: wrap; gap: 2rem; margin: 1rem 0; }}
img {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto; }}
td, th {{ border: 1px solid #8884; padding: .2rem .6rem; text-align: left; white-space: nowrap; }}
.caution {{ border-left: 4px solid #d9480f; padding-left: 1rem; }}
</style></head><body>
<h1>zq bench {started}</h1>
{body}
<p>Raw: <a href="summary.md">summary.md</a>, <a href="data.json">data.json</a>,
<a href="env.json">env.json</a>, <a href="raw/">raw/</a></p>
</body></html>
"""


def html_table(markdown: str) -> str:
    """A table of table()'s as HTML."""
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines()]
    cells = [(lines[0], "th"), *((row, "td") for row in lines[2:])]
    rows = (
        "<tr>" + "".join(f"<{tag}>{escape(c.replace('**', ''))}</{tag}>" for c in row) + "</tr>"
        for row, tag in cells
    )
    return "<table>" + "\n".join(rows) + "</table>"


def page(env: dict, cases: list[dict], images: dict[str, list[str]]) -> str:
    """index.html."""
    body = [f"<p>{escape(line)}</p>" for line in _machine(env)]
    body += [f'<p class="caution">{escape(text)}</p>' for text in cautions(cases)]
    judged = [v for case in cases for v in verdicts(case)]
    if judged:
        body += ["<h2>Goals</h2>", html_table(goal_table(judged))]
    for case in cases:
        body.append(f"<section><h2>{escape(case['title'])}</h2><p>{escape(case['case'])}</p>")
        shown = "".join(f'<img src="{escape(n)}" alt="">' for n in images[case["case"]])
        body.append(f'<div class="charts">{shown}</div>')
        body.append(html_table(TABLES[case["kind"]](figures(case))))
        commands = [c for arm in case["arms"] for c in arm["commands"]]
        listed = "".join(f"<li><code>{escape(c)}</code></li>" for c in commands)
        body.append(f"<details><summary>Commands</summary><ul>{listed}</ul></details></section>")
    return PAGE.format(started=escape(env["started"]), body="\n".join(body))


def write_all(results: Results) -> None:
    """summary.md, the charts and index.html; may be repeated at any time."""
    env, cases = results.env(), results.cases()
    images: dict[str, list[str]] = {}
    for case in cases:
        slug = case["case"].replace("/", "_").replace(" ", "")
        for kind, svg in case_charts(case).items():
            name = f"{kind}-{slug}.svg"
            write(results.path / name, svg)
            images.setdefault(case["case"], []).append(name)
        images.setdefault(case["case"], [])
    write(results.path / "summary.md", summary(env, cases))
    write(results.path / "index.html", page(env, cases, images))
