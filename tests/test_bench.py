"""bench/: statistics, the plan, parsing, charts and reports; and a run of the harness itself."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import pytest

from harness import ROOT, ZQ, serve, venv_of, workers

sys.path.insert(0, str(ROOT))

from bench import (
    charts,
    compare,
    contestants,
    generator,
    growth,
    idle,
    machine,
    micro,
    probe,
    process,
    quiet,
    readme,
    report,
)
from bench.calls import Calls
from bench.figures import Figure, figures, ratio, verdicts
from bench.results import Results, latest, whole
from bench.rows import ROWS, Case, Options, Row, cases
from bench.runner import CaseRunner
from bench.stats import coverage, held, interval, noise, ratios

# ---- statistics ----


def test_the_interval_of_seven_rounds_is_their_range():
    found = interval([5, 3, 9, 1, 7, 2, 8])
    assert (found.median, found.low, found.high, found.n) == (5, 1, 9, 7)
    assert found.level == pytest.approx(1 - 2 / 2**7)


def test_with_more_rounds_the_extremes_are_left_out():
    found = interval(list(range(1, 10)))
    assert (found.low, found.high) == (2, 8)
    assert found.level >= 0.95


def test_few_rounds_say_how_little_they_are_sure_of():
    assert interval([1.0]).level == 0
    assert interval([1.0, 2.0, 3.0]).level == pytest.approx(0.75)
    with pytest.raises(ValueError):
        interval([])


def test_coverage_against_the_binomial():
    assert coverage(9, 2) == pytest.approx(1 - 2 * (1 + 9) / 512)
    assert coverage(3, 4) == 0


def test_ratios_are_taken_round_by_round():
    assert ratios([2, 6], [1, 2]) == [2, 3]
    with pytest.raises(ValueError):
        ratios([1], [1, 2])


@pytest.mark.parametrize(
    ("low", "high", "at_least", "expected"),
    [(0.93, 1.5, True, True), (0.91, 1.5, True, False), (0.5, 0.97, False, True)]
    + [(0.5, 0.99, False, False)],
)
def test_held_allows_three_percent(low, high, at_least, expected):
    found = interval([low] * 4 + [high] * 4)
    assert held(found, 0.95, at_least) is expected


def test_noise_of_equal_rounds_is_none():
    assert noise([3.0, 3.0, 3.0]) == 0
    assert noise([3.0]) == 0
    assert 0 < noise([1.0, 1.1, 0.9, 1.0, 1.05]) < 0.1


# ---- the plan ----


def test_every_contestant_of_the_plan_exists():
    for mode in ("default", "quick", "full"):
        for case in cases(Options(mode)):
            for arm in case.row.arms:
                assert contestants.load(arm.partition("@")[0]).title


def test_every_setting_says_why():
    for path in sorted((ROOT / "bench" / "contestants").iterdir()):
        text = (path / "contestant.toml").read_text()
        assert text.count("\n# ") + text.startswith("# ") >= 1, path
        for config in path.glob("*.conf"):
            assert "#" in config.read_text() or config.parent.name == "nginx-return"


def test_goals_name_arms_of_their_row():
    for row in ROWS:
        for goal in row.goals:
            assert goal.arm in row.arms and goal.base in row.arms, row.name


def test_slugs_are_distinct_file_names():
    slugs = [case.slug for case in cases(Options("full"))]
    assert len(set(slugs)) == len(slugs)
    assert all(re.fullmatch(r"[\w.-]+", slug) for slug in slugs)


def test_options_narrow_the_plan():
    found = cases(
        Options(
            only=("warm",),
            contestants=("zq", "granian"),
            routes=("/summary/ACME", "/health"),
            conns=(1, 64),
        )
    )
    names = [case.name for case in found]
    assert "warm /summary/ACME c1" in names and "warm-health /health c64" in names
    assert all(set(case.row.arms) <= {"zq", "zq-io2", "zq@spin"} for case in found)
    cold = cases(Options(only=("finance-cold",), contestants=("zq", "nginx-cache")))
    assert cold[0].row.arms == ("zq-all", "nginx-cache-all")
    with pytest.raises(ValueError):
        cases(Options(only=("no-such-row",)))


def test_an_unknown_contestant_is_named():
    with pytest.raises(ValueError, match="apache.*granian"):
        contestants.load("apache")
    with pytest.raises(ValueError, match="zq-fast"):
        contestants.load("zq-fast")


def test_placeholders_leave_other_braces_alone():
    assert contestants.render("http { listen {port}; }", {"port": 8}) == "http { listen 8; }"
    mt = contestants.load("granian-mt")
    assert "--runtime-mode=mt" in contestants.command_of(mt, {})


@pytest.fixture
def values_of(monkeypatch, tmp_path):
    """What a contestant's placeholders stand for in work that is never done."""
    monkeypatch.setattr(contestants, "tool", lambda name: name)
    placement = machine.place("one", [0, 1, 2, 3])
    work = contestants.Work("finance", {}, placement, 1, "/health", tmp_path)

    def values(name):
        contestant = contestants.load(name)
        return contestants.values_of(contestant, work, tmp_path, 80) | {"backend_port": 81}

    return values


@pytest.mark.parametrize("name", contestants.names())
def test_every_placeholder_of_a_contestant_is_filled_in(values_of, name):
    contestant = contestants.load(name)
    settings = contestant.settings
    values = values_of(name) | {"dollar": "nginx's own variable", "seconds": "the ceiling's"}
    texts = settings.get("command", settings.get("program"))
    for file in settings.get("files", []):
        texts.append((contestants.FOLDER / contestant.base / file).read_text())
    for text in texts:
        assert not set(contestants.PLACEHOLDER.findall(text)) - set(values)


def test_misses_wait_for_each_other_only_where_they_may_be_stored(values_of):
    text = (contestants.FOLDER / "nginx-cache" / "nginx.conf").read_text()
    assert "proxy_cache_lock on;" in contestants.render(text, values_of("nginx-cache"))
    assert "proxy_cache_lock off;" in contestants.render(text, values_of("nginx-cache-all"))


@pytest.mark.parametrize(
    ("share", "n", "server", "generator_cpus"),
    [("one", 4, 1, 3), ("half", 8, 4, 4), ("most", 4, 3, 1), ("two", 6, 2, 4)],
)
def test_generator_and_contestant_share_no_core(share, n, server, generator_cpus):
    placement = machine.place(share, list(range(n)))
    assert len(placement.server) == server and len(placement.generator) == generator_cpus
    assert not set(placement.server) & set(placement.generator) and placement.disjoint


def test_with_few_cores_nothing_is_pinned():
    placement = machine.place("one", [0, 1])
    assert placement.server == placement.generator == (0, 1) and not placement.disjoint


# ---- generators ----

WRK = """Running 60m test @ http://127.0.0.1:1/
  2 threads and 64 connections
BENCH {"requests": 1000, "seconds": 0.500000, "bytes": 250000, "mean_us": 60.5, "max_us": 900, \
"percentiles_us": {"50": 50, "99": 200}, "errors": {"connect": 0, "read": 2, "write": 0, \
"status": 0, "timeout": 0}}
"""


def test_wrk_output():
    load = generator.parse_wrk(WRK)
    assert load.rps == 2000 and load.errors == {"read": 2}
    assert load.latency_us == {"50": 50, "99": 200, "mean": 60.5, "max": 900}
    with pytest.raises(ValueError):
        generator.parse_wrk("unable to connect")


def test_instruction_counts_are_compared():
    text, worse = micro.compared({"a": 104.0, "b": 102.0, "c": 1.0}, {"a": 100.0, "b": 100.0})
    assert worse == ["a"] and "+4.00%" in text and "new" in text


def test_commit_messages_accept_what_a_change_costs():
    costs = micro.accepted(
        "A change\n\nCosts: a 1% for this\nCosts: a 0.5% for that\nCosts: b 9% x\n"
    )
    assert costs == pytest.approx({"a": 0.015, "b": 0.09})
    text, worse = micro.compared({"a": 104.0, "c": 104.0}, {"a": 100.0, "c": 100.0}, costs)
    assert worse == ["c"] and "accepted" in text


# ---- reports ----


def a_case(rps, kind="load", failed=""):
    """`rps`: by contestant, a value a round."""
    records = [
        {
            "arm": arm,
            "round": i,
            "rps": value,
            "cpu_us": 1e6 / value,
            "user_us": 4e5 / value,
            "system_us": 6e5 / value,
            "latency_us": {"50": 10.0, "90": 12.0, "99": 20.0, "99.9": 30.0, "max": 40.0},
            "saturated": True,
            "foreign": 0.0,
            "pss_kib": 2048,
            "peak_kib": 4096,
            "switches": 0.5,
        }
        for arm, values in rps.items()
        for i, value in enumerate(values)
    ]
    return {
        "case": "warm-health /health c64",
        "row": "warm-health",
        "title": "warm <hit>",
        "route": "/health",
        "kind": kind,
        "cache": "warm",
        "conns": 64,
        "rate": 1000,
        "index": 0,
        "goals": [{"metric": "rps", "arm": "zq", "base": "limit", "factor": 0.95}],
        "server_cpus": 1,
        "generator_cpus": 3,
        "pinned": True,
        "answer": {"status": 200, "bytes": 117, "sha256": "0"},
        "arms": [
            {"name": arm, "title": arm.upper(), "failed": failed if arm == "x" else ""}
            | {"commands": [f"{arm} --port=1"], "syscalls": 2.0}
            for arm in rps
        ],
        "records": records,
    }


ENV = {
    "started": "2026-01-01T00-00-00Z",
    "cpu": "A CPU",
    "cores": 4,
    "kernel": "6.1",
    "distribution": "Debian",
    "governor": None,
    "load_at_start": 0.0,
    "commit": "0" * 40,
    "dirty": False,
    "versions": {},
    "options": {"mode": "quick"},
}


def test_figures_and_goals():
    case = a_case({"zq": [96, 97, 98], "limit": [100, 100, 100]})
    zq, limit = figures(case)
    assert zq.median("rps") == 97 and zq.median("p99_us") == 20 and zq.median("nothing") is None
    assert ratio(zq, limit, "rps").median == pytest.approx(0.97)
    assert verdicts(case)[0].held is True
    assert verdicts(a_case({"zq": [90] * 3, "limit": [100] * 3}))[0].held is False


def test_a_contestant_that_was_not_saturated_is_not_judged():
    case = a_case({"zq": [96] * 3, "limit": [100] * 3})
    for record in case["records"]:
        record["saturated"] = False
    assert verdicts(case)[0].held is None and "CPU" in verdicts(case)[0].why


def test_a_failed_contestant_has_no_figure():
    case = a_case({"zq": [96], "x": [500]}, failed="answered 500")
    assert figures(case)[1].records == []
    text = report.summary(ENV, [case])
    assert "answered 500" in text and "| 500" not in text


def test_a_disturbed_run_says_so():
    case = a_case({"zq": [96], "limit": [100]})
    case["records"][0]["foreign"] = 0.5
    assert "not fit to be quoted" in report.summary(ENV, [case])
    case["records"][1]["foreign"] = -0.49  # the clocks' ticks: one round has what another lacks
    assert "not fit to be quoted" not in report.summary(ENV, [case])


def test_the_summary_says_how_the_rounds_were():
    """How many and how long, what their end cuts off, and how long they waited."""
    case = a_case({"zq": [96, 97], "limit": [100, 101]})
    assert "Before a round" not in report.summary(ENV, [case])
    case["rounds"] = {"seconds": 2.56, "count": 2, "slices": 1, "page_s": 0.02}
    waits = ((0.01, True), (7.5, True), (0.02, True), (30.0, False))
    for record, (waited_s, was_quiet) in zip(case["records"], waits, strict=True):
        record |= {"waited_s": waited_s, "quiet": was_quiet, "requests": 320}
        record |= {"stolen_s": 0.01, "seconds": 2.5}
    text = report.summary(ENV, [case])
    assert "2 rounds of 2.56 s, with 320 requests at the slowest" in text and "up to 20% of" in text
    assert "2 of 4 began at once, the others after 38 s in all, 30.0 s at the longest" in text
    assert "did not become quiet before some rounds of warm-health /health c64 (1)" in text
    assert "the host kept 0.4% of a processor" in text


@pytest.mark.parametrize("kind", ["load", "rate"])
def test_charts_are_svg_for_light_and_dark(kind):
    case = a_case({"zq": [96, 97], "limit": [100, 101]}, kind)
    found = report.case_charts(case)
    assert len(found) == 2
    for svg in found.values():
        root = ET.fromstring(svg)
        assert root.tag.endswith("svg") and "prefers-color-scheme: dark" in svg
        assert "nan" not in svg


def test_bars_keep_within_the_picture():
    svg = charts.bars(
        "a & b", [charts.Bar("x", (3.0, 1.0), "4", 3.5, 5.0), charts.Bar("y", (0,), "")]
    )
    for rect in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 <= float(rect.get("x")) + float(rect.get("width")) <= charts.WIDTH
    assert charts.bars("empty", []) and charts.curves("empty", [])


def test_numbers_for_people():
    assert [charts.short(v) for v in (1.0, 1234, 320_000, 2.5e6)] == ["1", "1.23k", "320k", "2.5M"]
    assert charts.percentile_x(99.9) == pytest.approx(3) and math.isfinite(charts.percentile_x(100))


def finished(tmp_path, case):
    results = Results.new({"commit": "1"}, Options("quick"), tmp_path)
    results.save_case(Case(ROWS[0], "/health"), 0, case)
    (results.path / "env.json").write_text(json.dumps(ENV))
    results.finish()
    return results


def test_reports_of_a_directory(tmp_path):
    results = finished(tmp_path, a_case({"zq": [96, 97], "limit": [100, 101]}))
    report.write_all(results)
    page = (results.path / "index.html").read_text()
    assert "<table>" in page and "zq --port=1" in page and "warm &lt;hit&gt;" in page
    for image in re.findall(r'<img src="([^"]+)"', page):
        ET.parse(results.path / image)
    assert len(json.loads((results.path / "data.json").read_text())) == 4


def test_a_broken_off_run_is_gone_on_with(tmp_path):
    options, env = Options("full"), {"commit": "1"}
    first = Results.new(env, options, tmp_path)
    case = Case(ROWS[0], "/health")
    first.save_case(case, 0, {"records": []})
    again = Results.open_unfinished(env, options, tmp_path)
    assert again.path == first.path and again.has(case)
    assert Results.open_unfinished({"commit": "2"}, options, tmp_path) is None
    assert Results.open_unfinished(env, Options("quick"), tmp_path) is None
    first.finish()
    assert Results.open_unfinished(env, options, tmp_path) is None


def test_compare_sees_what_exceeds_the_noise():
    before = [a_case({"zq": [100, 101, 99, 100], "limit": [200, 200, 200, 200]})]
    assert compare.moves(before, before) == []
    after = [a_case({"zq": [80, 81, 79, 80], "limit": [200, 200, 200, 200]})]
    found = {m.metric: m for m in compare.moves(before, after)}
    assert found["rps"].change == pytest.approx(-0.2) and not found["rps"].better
    assert found["rps"].against_limit == pytest.approx(-0.2)
    assert not found["cpu_us"].better and "pss_kib" not in found
    noisy = [a_case({"zq": [60, 140, 80, 100], "limit": [200] * 4})]
    assert not [m for m in compare.moves(before, noisy) if m.metric == "rps"]


def test_readme_is_replaced_between_its_markers():
    made = readme.section(ENV, [a_case({"zq": [96, 97], "limit": [100, 101]})], "results/x", None)
    text = readme.replaced(f"a\n{readme.BEGIN}\nthe last one\n{readme.END}\nb\n", made)
    assert text.startswith("a\n") and text.endswith("\nb\n") and "the last one" not in text
    assert "LIMIT" in text and "results/x" in text
    with pytest.raises(ValueError):
        readme.replaced("no markers", made)


def test_readme_shows_what_make_bench_measures_of_the_full_matrix():
    own = a_case({"zq": [96, 97], "limit": [100, 101], "granian": [30, 31]})
    others = [own | {"pipeline": 16, "index": 1}, own | {"conns": 1, "index": 2}]
    others += [own | {"row": "warm", "index": 3}]
    compared = readme.section(ENV, [own, *others], "x", None).partition("Against the others")[2]
    assert compared.count("| 0.96") == 1
    assert "GRANIAN" not in readme.section(ENV, [own], "x", None)


def test_readme_says_which_run_and_commit_its_figures_are_of():
    """And where the whole matrix is, when that is another one."""
    case = a_case({"zq": [96, 97, 98], "limit": [100, 100, 100]})
    made = readme.section(ENV, [case], "results/new", ({"commit": "c" * 40}, "results/full"))
    assert "at commit 000000000000; all of it is in [results/new](results/new)" in made
    assert "in [results/full](results/full), of commit cccccccccccc." in made
    assert "1 of 1 hold" in made and "| zq: rps ≥ 0.95 × limit | 0.97 (0.96–0.98) | held |" in made


def test_readme_takes_the_newest_run_that_nothing_was_left_out_of(tmp_path):
    def run(name, **options):
        results = Results(tmp_path / name)
        (results.path / "cases").mkdir(parents=True)
        (results.path / "env.json").write_text(json.dumps({"options": vars(Options(**options))}))
        results.finish()
        return results.path

    full, bench = run("2026-01-01", mode="full"), run("2026-01-02")
    run("2026-01-03", only=("warm",)), run("2026-01-04", mode="quick")
    newest = run("2026-01-05", conns=(1,))
    assert whole(("full",), tmp_path) == full and whole(("default", "full"), tmp_path) == bench
    assert latest(tmp_path) == newest and whole(("other",), tmp_path) is None


def test_readme_has_the_markers():
    text = (ROOT / "README.md").read_text()
    assert readme.replaced(text, "") != text or readme.BEGIN in text


# ---- processes and calls ----


def test_usage_of_a_process_tree(tmp_path):
    spin = "import subprocess,sys;subprocess.run([sys.executable,'-c','while 1: pass'])"
    server = process.Server(
        [sys.executable, "-c", spin], log=tmp_path / "log", cpus=os.sched_getaffinity(0)
    )
    try:
        process.wait_for(lambda: len(process.tree([server.pid])) == 2, "a child")
        before = process.usage(process.tree([server.pid]))
        time.sleep(0.3)
        used = process.usage(process.tree([server.pid])).since(before)
        assert 0.01 < used.cpu_s < 2
        assert used.user_s + used.system_s == pytest.approx(used.cpu_s)
        memory = process.memory_kib(process.tree([server.pid]))
        assert 0 < memory["pss_kib"] <= memory["rss_kib"]
        pids = process.tree([server.pid])
    finally:
        server.stop()
    assert process.wait_for(lambda: not any(p in process.tree([p]) for p in pids), "the end")


def test_calls_are_counted_across_processes(tmp_path):
    calls = Calls(tmp_path / "calls")
    script = "from calls import counter\nimport os\nc = counter()\nc()\nos.fork()\nc()\nc()"
    subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"BENCH_CALLS": str(calls.path), "PYTHONPATH": str(ROOT / "bench/apps")},
        check=True,
        timeout=20,
    )
    assert calls.total() == 5


def test_waiting_has_a_deadline():
    with pytest.raises(TimeoutError, match="nothing"):
        process.wait_for(lambda: False, "nothing", 0.1)


# ---- the harness itself ----


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """zq as the tests have built it, and the harness's own C programs."""
    for name in ("limit", "rate"):
        subprocess.run(
            ["gcc", "-D_GNU_SOURCE", "-std=gnu11", "-O2", "-pthread"]
            + ["-o", str(tmp_path / name), str(ROOT / "bench" / f"{name}.c")],
            check=True,
            timeout=60,
        )
    worker = workers()[0]
    found = {"zq": ZQ, "worker": worker, "venv": venv_of(worker)}
    found |= {name: tmp_path / name for name in ("limit", "rate")}
    monkeypatch.setattr(machine, "TOOLS", found)
    monkeypatch.setattr(quiet, "DEADLINE_S", 0.1)  # other tests run meanwhile
    return found


def run_case(row, **options):
    raw = {}
    runner = CaseRunner(
        Case(row, row.routes[0]), Options(**options), print, lambda n, t: raw.update({n: t})
    )
    return runner.run(), raw


COLD = Row("cold", "cold", ("zq",), app="raw", routes=("/13",), cache="cold", conns=8)


def test_a_constant_rate_from_start_to_report(tools, tmp_path):
    row = Row("smoke", "smoke", ("zq",), kind="rate", rate=500, conns=8, share="half", apart=True)
    found, raw = run_case(row, secs=0.5, rounds=2)
    assert [arm["failed"] for arm in found["arms"]] == [""]
    assert len(found["records"]) == 2 and len(raw) == 2
    record = found["records"][0]
    assert 0 < record["requests"] <= 250 and record["calls"] == 0
    assert record["waited_s"] > 0 and "quiet" in record
    assert record["cpu_us"] > 0 and record["latency_us"]["99"] > 0 and record["pss_kib"] > 0
    report.write_all(finished(tmp_path, found | {"goals": []}))


def test_turns_at_a_constant_rate_share_their_connections(tools):
    with serve("basic:app", "--limit-connections=4") as server:
        rate = generator.Rate(
            server.address[1], 200, 4, 0.2, os.sched_getaffinity(0), [("x", 1, "/answer?body=x")]
        )
        try:
            for _ in range(2):
                load = rate.turn()
                assert 0 < load.requests <= 40 and (load.errors, load.unanswered) == ({}, 0)
                assert load.cpu_s > 0
            assert server.stop() == 0
            with pytest.raises(RuntimeError, match="connect: Connection refused"):
                rate.turn()
        finally:
            rate.close()


def test_who_goes_first():
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            went = process.go_first([sleeper.pid])
            assert went == (os.sched_getscheduler(sleeper.pid) == os.SCHED_FIFO)
        finally:
            sleeper.kill()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="no wrk")
def test_the_limit_answers_what_zq_answers(tools):
    row = Row("smoke", "smoke", ("zq", "limit"), conns=8)
    found, _ = run_case(row, secs=0.3, rounds=2)
    assert [arm["failed"] for arm in found["arms"]] == ["", ""]
    assert {r["arm"] for r in found["records"]} == {"zq", "limit"}
    found, _ = run_case(COLD, secs=0.3, rounds=1)
    record = found["records"][0]
    assert record["requests"] <= record["calls"] <= record["requests"] + 8


@pytest.mark.skipif(shutil.which("wrk") is None, reason="no wrk")
def test_who_answers_wrongly_has_no_figure(tools, monkeypatch):
    """A warm row that every request reaches Python in, and an answer that is not the right one."""
    monkeypatch.setattr(contestants.Contestant, "warm", True)
    row = Row("smoke", "smoke", ("zq-nocache",), conns=8)
    found, _ = run_case(row, secs=0.3, rounds=1)
    assert "not warm" in found["arms"][0]["failed"] and found["records"] == []
    monkeypatch.setattr(probe, "normalised", lambda body: body + os.urandom(4))
    found, _ = run_case(COLD, secs=0.3, rounds=1)
    assert "before the rounds it answered 200" in found["arms"][0]["failed"]


def test_idle_connections_are_weighed(tools, monkeypatch):
    monkeypatch.setattr(idle, "SETTLE_S", 0.1)
    row = Row("idle", "idle", ("zq",), kind="idle", conns=200)
    found, _ = run_case(row)
    assert found["arms"][0]["failed"] == "" and found["records"][0]["connections"] == 200


def test_a_stampede(tools):
    """Times are counted from the view's end, and one call a round is insisted on."""
    row = Row(
        "stampede", "s", ("zq",), app="stampede", routes=("/page",), kind="stampede", conns=50
    )
    found, _ = run_case(row, rounds=2)
    assert not found["arms"][0]["failed"]
    for record in found["records"]:
        assert record["clients"] == 50 and record["calls"] == 1
        assert 0 <= record["first_ms"] <= record["half_ms"] <= record["last_ms"] < 10_000
    assert "50 | 1 |" in report.TABLES["stampede"](figures(found))


def test_figures_without_a_contestant_are_empty():
    assert Figure("x", "X", "failed", [], None).of("rps") is None


# ---- growth ----


def test_growth_is_between_the_quarters_of_what_follows_the_settling():
    assert growth.quarters([1, 5, *range(100, 108)]) == (100.5, 106.5)


def test_a_cache_that_fills_is_no_growth():
    assert growth.quarters([*range(20), *[20] * 80]) == (20, 20)
