"""The conformance suite against zq: every case as zq promises it, whole and cut in pieces."""

import pathlib
import sys

import pytest

from harness import DEADLINE, ROOT, serve

sys.path.insert(0, str(ROOT))

from conformance import casefile, judge  # noqa: E402
from conformance.run import Runner, explain  # noqa: E402

CASES = casefile.load()
SECTIONS = sorted({case.section for case in CASES})
JOBS = 16
# Of every place that a case could be cut at so many are tried, besides 1-byte pieces; `make
# conformance` tries many more.
CUTS = 2


@pytest.fixture(scope="module")
def runner():
    with serve("conformance.app:app", "--front-threads=2", app_dir=ROOT) as server:
        with Runner(server.address, JOBS, patience=DEADLINE / 2) as running:
            yield running


def of(section):
    return [case for case in CASES if case.section == section]


@pytest.mark.parametrize("section", SECTIONS)
def test_section(runner, section):
    loose = [r for r in runner.all(of(section)) if r.verdict.grade != judge.STRICT]
    assert not loose, "\n" + "\n".join(map(explain, loose))


@pytest.mark.parametrize("section", SECTIONS)
def test_section_in_pieces(runner, section):
    count, differing = runner.cut(runner.all(of(section)), CUTS)
    assert count > CUTS
    assert not differing, "\n" + "\n".join(map(explain, differing))


def test_there_are_enough_cases():
    assert len(CASES) >= 400
    assert all(case.rfc for case in CASES)


def read(tmp_path: pathlib.Path, text: str) -> list[casefile.Case]:
    (tmp_path / "a.txt").write_text(text)
    return casefile.load(tmp_path)


GOOD = "case: a\nrfc: 1 2\n> GET / HTTP/1.1\\r\\n\nallow: 200 error/close\n"


def test_format(tmp_path):
    each = GOOD.replace("> ", "each: b = x \\x7c | c =\n> ${}\\(2*ab\\(2*c))")
    first, second = read(tmp_path, each)
    assert (first.name, second.name) == ("a-b", "a-c")
    assert first.bytes == b"x |abccabccGET / HTTP/1.1\r\n"
    assert second.bytes == b"abccabccGET / HTTP/1.1\r\n"
    assert first.strict == first.allow


@pytest.mark.parametrize(
    "change, message",
    [
        (("rfc: 1 2\n", ""), "has no rfc"),
        (("> GET", "> \\q"), "unknown escape"),
        (("> GET", "> \\(3*"), "parenthesis is missing"),
        (("200 error", "2000"), "no outcome"),
        (("allow:", "strict: 201\nallow:"), "is not allowed"),
        (("allow:", "cut: maybe\nallow:"), "yes or no"),
        (("allow:", "app: header host\nallow:"), "name: value"),
        (("allow:", "alow: 200\nallow:"), "unknown key"),
        (("allow:", "> a \nallow:"), "trailing space"),
        (("allow:", "nonsense\nallow:"), "neither"),
        (("case: a\n", ""), "without `case:`"),
    ],
)
def test_format_errors(tmp_path, change, message):
    with pytest.raises(casefile.CaseError, match=message) as caught:
        read(tmp_path, GOOD.replace(*change, 1))
    assert str(caught.value).startswith("a.txt:")
