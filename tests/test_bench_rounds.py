"""bench/: how long rounds are and in which order, what they wait for, and what is added up."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from harness import ROOT

sys.path.insert(0, str(ROOT))

from bench import generator, lengths, process, quiet
from bench.histogram import Histogram
from bench.measured import Measured
from bench.rows import ROWS, Options, cases
from bench.stats import coverage, rotated

PAGE_S = {"/health": 0.0003, "/summary/ACME": 0.01, "/market": 0.04}
OTHER_PAGE_S = 0.013

# ---- the order ----


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_every_arm_takes_every_position_as_often(n):
    """Also the first of two, and of an even number."""
    arms = list("abcdef"[:n])
    turns = [rotated(arms, turn) for turn in range(2 * n)]
    assert all(sorted(turn) == arms for turn in turns)
    for arm in arms:
        assert sorted(turn.index(arm) for turn in turns) == sorted([*range(n), *range(n)])


# ---- lengths ----


def planned(mode):
    for case in cases(Options(mode)):
        page_s = 0.0002
        if case.row.name == "finance-cold":
            page_s = PAGE_S.get(case.route, OTHER_PAGE_S)
        trip = lengths.trip_s(case.row, page_s, 3)
        yield case, lengths.rounds(case.row, Options(mode), trip)


def test_the_defaults_fit_their_time():
    """A round, its pauses and a start each, with a margin for slow starts."""
    for mode, minutes in (("default", 25), ("quick", 4.5), ("full", 150)):
        seconds = 0
        for case, rounds in planned(mode):
            turns = rounds.count * (rounds.seconds + 0.15 * rounds.slices)
            turns = {"idle": 10, "growth": 605}.get(case.row.kind, turns)
            seconds += 3 + len(case.row.arms) * (2 + turns)
        assert seconds < minutes * 60, (mode, seconds / 60)


def test_a_round_is_as_long_as_the_case_needs():
    """Each connection is answered several times, also where a page takes 40 ms."""
    found = {case.name: rounds for case, rounds in planned("full")}
    assert found["finance-cold /health c16"].seconds == lengths.ROUND_S["full"]
    assert found["finance-cold /market c16"].seconds == pytest.approx(12 * 16 * 0.04 / 3)
    assert found["finance-cold /market c256"].seconds == pytest.approx(3 * 256 * 0.04 / 3)
    assert found["mix /health c64"] == lengths.Rounds(4, 15, 4)
    assert found["warm-spin /health c64"] == lengths.Rounds(0.5, 84, 1)
    row = next(row for row in ROWS if row.name == "finance-cold")
    assert lengths.rounds(row, Options(secs=1.5, rounds=4), 5.0) == lengths.Rounds(1.5, 4, 1)
    warm = next(row for row in ROWS if row.name == "warm-health")
    assert lengths.trip_s(warm, 0.06, 3) == 0


def test_slices_are_not_too_short():
    row = next(row for row in ROWS if row.name == "mix")
    assert lengths.rounds(row, Options()).slices == row.slices == 4
    assert lengths.rounds(row, Options("quick")).slices == 3
    assert lengths.rounds(row, Options(secs=0.1)).slices == 1


def test_rounds_are_many_where_they_are_short():
    """The same time in all; and never fewer than what the mode has of long ones."""
    row = next(row for row in ROWS if row.name == "warm-health")
    assert lengths.rounds(row, Options()) == lengths.Rounds(0.5, 21, 1)
    assert lengths.rounds(row, Options(secs=1.5)).count == 7
    assert lengths.rounds(row, Options(), 1.0).count == 7
    assert coverage(lengths.rounds(row, Options("quick")).count, 1) >= 0.95


def test_the_full_matrix_has_more_rounds_where_there_are_goals():
    found = {case.name: rounds.count for case, rounds in planned("full")}
    assert found["warm-health /health c64"] > found["warm-health /health c1"] >= 3
    assert all(case.row.extra is False for case, _ in planned("full") if case.row.goals)


def test_the_full_matrix_begins_with_the_goals():
    """Cut short, it still has them."""
    extra = [case.row.extra for case, _ in planned("full")]
    assert extra == sorted(extra) and True in extra


# ---- quiet ----


def busy_machine(monkeypatch):
    monkeypatch.setattr(quiet, "used_share", lambda: 0.5)
    monkeypatch.setattr(quiet, "OWN_WINDOW_S", 0.01)
    monkeypatch.setattr(quiet, "DEADLINE_S", 0.3)


def test_others_are_waited_for_with_less_patience_each_time(monkeypatch):
    busy_machine(monkeypatch)
    patience = quiet.Patience(lambda: 1.0, 0.1)
    waited_s, found = patience.wait()
    assert not found and waited_s >= 0.1 and patience.deadline_s == 0.05


def test_contestants_at_work_are_waited_for_whatever_others_do(monkeypatch):
    """They end their work in the first wait, and in the second do not before the deadline."""
    busy_machine(monkeypatch)
    used = iter([0.0, 1.0, 1.0, 1.0])
    patience = quiet.Patience(lambda: next(used), 0.0)
    assert patience.wait()[1] is False and not list(used)
    patience = quiet.Patience(time.monotonic, 0.1)  # a whole processor, all the time
    monkeypatch.setattr(quiet.os, "cpu_count", lambda: 1)
    waited_s, found = patience.wait()
    assert not found and waited_s >= 0.3 and patience.deadline_s == 0.1


def test_a_busy_process_is_seen(monkeypatch):
    busy = subprocess.Popen([sys.executable, "-c", "while 1: pass"])
    try:
        monkeypatch.setattr(quiet.os, "cpu_count", lambda: 1)
        process.wait_for(lambda: quiet.used_share() > quiet.SHARE, "a busy process", 10)
    finally:
        busy.kill()
        busy.wait(10)


def test_a_quiet_machine_is_not_waited_for(monkeypatch):
    shares = iter([0.5, 0.06, 0.04])
    monkeypatch.setattr(quiet, "used_share", lambda: next(shares))
    assert quiet.Patience(lambda: 0.0, 30.0).wait()[1] is True and not list(shares)


def test_what_is_used_is_counted_by_runnable_threads(monkeypatch, tmp_path):
    monkeypatch.setattr(quiet, "LOADAVG", tmp_path / "loadavg")
    monkeypatch.setattr(quiet.os, "cpu_count", lambda: 4)
    quiet.LOADAVG.write_text("0.5 0.6 0.7 3/180 4711\n")
    assert quiet.used_share() == pytest.approx(0.5)
    quiet.LOADAVG.write_text("0.5 0.6 0.7 1/180 4711\n")
    assert quiet.used_share() == 0


# ---- slices ----


def histogram(**counts):
    buckets = [[int(us[1:]), n] for us, n in counts.items()]
    total = sum(us * n for us, n in buckets)
    return {"requests": 0, "sum_us": total, "max_us": max(us for us, _ in buckets)} | {
        "buckets": buckets
    }


def rate_text(seconds=1, **counts):
    h = histogram(**counts)
    return json.dumps(
        {"seconds": seconds, "rate": 20, "cpu_s": 0.5, "errors": 0, "unanswered": 3}
        | {"late": histogram(_9=10), "classes": {"warm": h, "cold": h}}
    )


def test_rate_output():
    load = generator.parse_rate(rate_text(_4=9, _9=1))
    assert load.requests == 20 and load.busy == 0.5
    assert load.unanswered == 3 and load.late.percentile(99) == 9
    assert load.classes["cold"].summary()["99"] == 9
    assert load.latency_us["50"] == 4 and load.latency_us["mean"] == 4.5
    assert Histogram().percentile(99) == 0 and Histogram().summary()["mean"] == 0


def test_no_generator_outlives_the_bench(monkeypatch):
    started = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    def ended(_):
        raise SystemExit(143)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(generator.subprocess, "Popen", Noted)
        patch.setattr(generator.time, "sleep", ended)
        generator._run(["sleep", "60"], os.sched_getaffinity(0), {}, 1.0)
    assert started[0].wait(10) == -signal.SIGKILL


def test_latencies_are_added_before_a_percentile_is_taken():
    """A stall in one slice counts by its share of all requests, not of its slice."""
    calm, stalled = (generator.parse_rate(rate_text(**h)) for h in ({"_40": 100}, {"_9000": 100}))
    whole = generator.pooled([calm] * 9 + [stalled])
    assert whole.latency_us["90"] == 40 and whole.latency_us["95"] == 9000
    assert whole.seconds == 10 and whole.requests == 2000 and whole.unanswered == 30
    assert generator.pooled([calm]) is calm


def test_a_round_is_the_sum_of_its_slices():
    load = generator.parse_rate(rate_text(_40=100))
    used = process.Used(0.1, 0.04, 0.06, 5, 0.1)
    whole = Measured.pooled(
        [
            Measured(load, used, 0.2, 0.01, 1, 0.01, True),
            Measured(load, used, 0.2, 0.02, 2, 0.5, False),
        ]
    )
    record = whole.record(1)
    assert record["requests"] == 400 and record["cpu_us"] == pytest.approx(500)
    assert record["calls"] == 3 and record["waited_s"] == 0.51 and record["quiet"] is False
    assert record["stolen_s"] == pytest.approx(0.03)
    assert record["foreign"] == pytest.approx(0.1) and record["switches"] == 10 / 400
