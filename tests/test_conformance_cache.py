"""The cache's conformance suite against zq: every conversation with all that is optional turned on,
and what must hold with the default options."""

import sys

import pytest

from harness import ROOT, serve

sys.path.insert(0, str(ROOT))

from conformance.cache import caches, judge, run, script, talk  # noqa: E402
from conformance.client import Response  # noqa: E402

CASES = script.load()
SECTIONS = script.titles()


def play(cache, *options):
    chosen = run.cases_for(cache, CASES)
    with serve(caches.ORIGIN, "--front-threads=2", *options, app_dir=ROOT) as server:
        return run.play_all(server.address, chosen)


@pytest.fixture(scope="module")
def everything():
    return play("zq", *caches.EVERYTHING)


@pytest.fixture(scope="module")
def defaults():
    return play("zq-default")


def explained(cache, talks):
    return "\n" + "\n".join(run.explain(talk) for talk in talks if run.bad(cache, talk))


@pytest.mark.parametrize("section", [s for s in SECTIONS if not s.endswith("-defaults")])
def test_section(everything, section):
    talks = [talk for talk in everything if talk.case.section == section]
    assert talks
    assert not any(run.bad("zq", talk) for talk in talks), explained("zq", talks)


@pytest.mark.parametrize("section", SECTIONS)
def test_section_by_default(defaults, section):
    """Nothing that is required fails; what the default options promise holds."""
    talks = [talk for talk in defaults if talk.case.section == section]
    assert talks
    assert not any(run.bad("zq-default", talk) for talk in talks), explained("zq-default", talks)


def test_defaults_promise_something(defaults):
    assert sum(talk.case.options == "default" for talk in defaults) >= 15


def test_there_are_enough_conversations():
    assert len(CASES) >= 300
    assert all(case.rfc for case in CASES)


def test_no_cache_is_required():
    """An origin alone violates nothing: what is required is never to store. (It is gone where a
    script says so, and passes on what a proxy must not.)"""
    chosen = [case for case in CASES if case.level == "required" and not case.options]
    chosen = [c for c in chosen if not any(step.answer.ending == "close" for step in c.steps)]
    chosen = [case for case in chosen if case.name != "fields-connection-forwarded"]
    with caches.origin() as port:
        talks = run.play_all(("127.0.0.1", port), chosen)
    failed = [talk for talk in talks if talk.grade == judge.FAILED]
    assert not failed, "\n" + "\n".join(map(run.explain, failed))
    assert any(talk.grade == judge.MOOT for talk in talks)


GOOD = "case: a\nrfc: 1 2\n> GET\n< Cache-Control: max-age=60\n> GET\n= hit\n"


def read(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    return script.load(tmp_path)


def test_format(tmp_path):
    more = "each: x = {now-5} | y = \\xff\npause: 100ms\n< 404\n< Age: ${}\n"
    text = GOOD.replace("< Cache", more + "< Cache")
    first, second = read(tmp_path, text)
    assert (first.name, second.name) == ("a-x", "a-y")
    assert first.steps[0].answer.status == 404
    assert first.steps[1].pause == 0.1
    assert second.steps[0].answer.fields[0] == ("Age", "\xff")
    assert script.fill("{now-5}", 5, "", "") == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert script.fill("{rfc850 now} {asctime now}{path}{host}", 0, "/c", "h") == (
        "Thursday, 01-Jan-70 00:00:00 GMT Thu Jan  1 00:00:00 1970/ch"
    )


@pytest.mark.parametrize(
    "change, message",
    [
        (("rfc: 1 2\n", ""), "has no rfc"),
        (("= hit", "= hat"), "no expectation"),
        (("= hit", "? hit"), "expects nothing"),
        (("= hit", "= from: 3"), "has no step 3"),
        (("= hit", "levels: x"), "unknown key"),
        (("rfc:", "level: vital\nrfc:"), "level is one of"),
        (("< Cache", "pause: 3001ms\n< Cache"), "longer than"),
        (("< Cache-Control:", "< Cache Control:"), "no field"),
        (("> GET", "< 200\n> GET"), "before the first request"),
    ],
)
def test_format_errors(tmp_path, change, message):
    with pytest.raises(script.CaseError, match=message):
        read(tmp_path, GOOD.replace(*change, 1))


# ---- the judge: a suite that cannot fail shows nothing


def judged(tmp_path, expectation, response, calls):
    """What the judge finds wrong with step 2 of GOOD, given these."""
    (case,) = read(tmp_path, GOOD.replace("= hit", expectation))
    exchange = talk.Exchange("GET", b"", response=response)
    turn = talk.Turn(2, [exchange], [{"step": 2, "method": "GET", "fields": f} for f in calls])
    return judge.problems(case, turn, lambda text: text)


def answer(step=1, status=200, whole=True, **fields):
    named = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return Response(status, headers=named, body=f"a, step {step}\n".encode(), whole=whole)


CONDITION = [["if-none-match", '"a"']]


@pytest.mark.parametrize(
    "expectation, response, calls",
    [
        ("= hit", answer(), []),
        ("= miss", answer(2), [[]]),
        ("= validated", answer(2), [CONDITION]),
        ("= status: 404 5xx", answer(status=503), []),
        ("= from: 1 2", answer(2), []),
        ("= calls: 2", answer(), [[], []]),
        ("= cut", answer(whole=False), []),
        ("= field A: 1, 2", answer(a="1,2"), []),
        ("= begins A: 1", answer(a="1, 2"), []),
        ("= above Age: 1", answer(age="2"), []),
        ("= below Age: 3", answer(age="2"), []),
        ("= has A", answer(a=""), []),
        ("= no A", answer(), []),
        ('= sees If-None-Match: "a"', answer(), [CONDITION]),
        ("= sees no Range", answer(), [CONDITION]),
        ("= method: GET", answer(), [[]]),
        ("= interim: -", answer(), []),
        ("= body: a, step 1\\n", answer(), []),
    ],
)
def test_judge_passes(tmp_path, expectation, response, calls):
    assert not judged(tmp_path, expectation, response, calls)


@pytest.mark.parametrize(
    "expectation, response, calls, found",
    [
        ("= hit", answer(), [[]], "the origin was asked"),
        ("= hit", answer(2), [], "that of step [2]"),
        ("= hit", answer(3), [], "of no step"),
        ("= hit", answer(status=504), [], "the status is 504"),
        ("= miss", answer(), [], "the origin was not asked"),
        ("= miss", answer(), [[]], "that of step [1]"),
        ("= validated", answer(2), [[]], "without a condition"),
        ("= validated", answer(2), [CONDITION, CONDITION], "asked 2 times"),
        ("= status: 404 5xx", answer(), [], "the status is 200"),
        ("= from: 1", answer(2), [], "that of step [2]"),
        ("= calls: 2", answer(), [[]], "asked 1 times"),
        ("= status: 200", answer(whole=False), [], "ends early"),
        ("= cut", answer(), [], "is whole"),
        ("= field A: 1", answer(), [], "a is None"),
        ("= field A: 1", answer(a="2"), [], "a is '2'"),
        ("= begins A: 2", answer(a="1, 2"), [], "a is '1, 2'"),
        ("= above Age: 1", answer(age="1"), [], "age is '1'"),
        ("= below Age: 3", answer(age="x"), [], "age is 'x'"),
        ("= has A", answer(), [], "there is no a"),
        ("= no A", answer(a=""), [], "there is a"),
        ("= sees Range: a", answer(), [[]], "the origin saw range: ''"),
        ("= sees any Range", answer(), [], "the origin saw no range"),
        ("= sees no Range", answer(), [], "the origin was not asked"),
        ("= sees no If-None-Match", answer(), [CONDITION], "the origin saw if-none-match"),
        ("= method: HEAD", answer(), [[]], "the origin saw GET"),
        ("= interim: 103", answer(), [], "the interim responses are -"),
        ("= interim field A: 1", answer(), [], "is []"),
        ("= body: b", answer(), [], "the content is"),
    ],
)
def test_judge_fails(tmp_path, expectation, response, calls, found):
    problems = judged(tmp_path, expectation, response, calls)
    assert problems and found in problems[-1].text
    assert not problems[0].given


def test_judge_tells_preconditions(tmp_path):
    problems = judged(tmp_path, "? hit\n= has A", answer(), [[]])
    assert [problem.given for problem in problems] == [True, False]
