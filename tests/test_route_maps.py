"""What the front matches is what the framework gives to the decorated view, of the patterns of every
framework: “Quart's, Starlette's and Django's URL maps are read for the decorated views”, “typed
parameters, exact before pattern”, and “no unkeyed input reaches a view whose answer is shared”. The
views of tests/apps/mapped.py say who they are, and whether a key rule held for them."""

import json
import re
import sys

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from harness import APPS, ROOT, serve
from test_routes import zq_routes

sys.path[:0] = [str(ROOT / "python"), str(APPS)]
import mapped as mapped_app  # noqa: E402

from zq._paths import Pattern, best, is_plain  # noqa: E402
from zq._regexes import beginning_of, pattern_of  # noqa: E402

APPLICATIONS = ["quart", "flask", "dispatched", "starlette", "fastapi", "mounted", "django"]

# ---- paths ----

UUID = "0123abcd-0123-4567-89ab-0123456789ab"
SEGMENTS = [*"abx", "json", "", "3", "0", "2", "12", "120", "121", "007", "1999", "2024", "9", "10"]
SEGMENTS += [
    "-5",
    "-05",
    "-",
    "1.5",
    "-0.5",
    "1.",
    ".5",
    "1.2.3",
    "f1.5",
    "g1.5",
    "٣",
    "3²",
]
SEGMENTS += [
    "aa",
    "ab",
    "AB",
    "abc",
    "abcde",
    "abcdefg",
    "a-b",
    "a_b",
    "a.b",
    "a~b",
    "vjson.csv",
    "year",
]
SEGMENTS += [UUID, UUID.upper(), UUID.replace("-", ""), UUID.replace("-", "", 1), UUID[:-1]]
SEGMENTS += [
    ".",
    "..",
    "a;b",
    "a%62",
    "%2F",
    "a%2Fb",
    "é",
    "%0A",
    "a\\b",
    ".csv",
    "vab-x.csv",
    "a/b",
]

segment = st.sampled_from(SEGMENTS) | st.text("ab01.-_A%~/", max_size=4)


def with_marks(route):
    """A route of any framework, with a NUL for each parameter."""
    return re.sub(r"[<{].*?[>}]|\(.*?\)", "\0", route)


@st.composite
def paths(draw, listed):
    """Of some route: with texts in the places of its parameters, which fit or do not; or changed."""
    route = draw(st.sampled_from(listed))
    parts = with_marks(route).split("/")
    parts = [re.sub("\0", lambda _: draw(segment), part) for part in parts]
    if draw(st.integers(0, 3)) == 0:
        parts[draw(st.integers(1, len(parts) - 1))] = draw(segment)
    return "/".join(parts) + draw(st.sampled_from(["", "", "/", "/x"]))


def on_the_wire(text):
    """What a client may send: visible ASCII, and escapes that are whole."""
    sent = re.sub(r"[^!-~]|[?#]", lambda c: "".join(f"%{b:02X}" for b in c[0].encode()), text)
    return re.sub("%(?![0-9A-F]{2})", "%25", sent)


# ---- each framework ----


@pytest.fixture(scope="module", params=APPLICATIONS)
def mapped(request):
    """A running server, and what it declares: the pattern of each view."""
    app = f"mapped:{request.param}_app"
    listed = json.loads(zq_routes("--json", "--factory", app).stdout)
    with serve(app, "--factory", venv=True) as server:
        server.declared = [
            (each["why"].rpartition(".")[2], Pattern(each["path"]))
            for each in listed
            if each["class"] == "cached"
        ]
        server.listed = [each for each in listed if each["path"].startswith("/")]
        with server.client() as client:
            server.ask = client.request
            yield server


def test_all_are_declared_that_can_be(mapped):
    names = {name for name, _ in mapped.declared}
    assert names and not any(name.startswith(("lost", "other")) for name in names)
    reasons = [each["why"] for each in mapped.listed if each["class"] == "app"]
    for reason in reasons:
        assert re.search(
            "not decorated|pattern cannot be declared: |its key rule (w|c)ould", reason
        )


@pytest.mark.parametrize("name", APPLICATIONS)
def test_each_interpreter_s_frameworks(worker, name):
    done = zq_routes("--json", "--factory", f"mapped:{name}_app", worker=worker)
    for each in json.loads(done.stdout):
        kept = each["why"].startswith("mapped.kept_")
        assert kept == (each["class"] == "cached"), each


def fitting(piece):
    if piece.converter is None:
        return piece.prefix
    return next(piece.prefix + s + piece.suffix for s in SEGMENTS if s and piece.converter.takes(s))


def test_each_is_called_for_what_its_pattern_takes(mapped):
    for name, pattern in mapped.declared:
        path = "/" + "/".join(map(fitting, pattern.segments))
        assert json.loads(mapped.ask(f"{path}?probe=1").body) == {"view": name, "query": ""}


def judge(mapped, target):
    response = mapped.ask(f"{target}?probe=1")
    if response.status != 200 or response.get("content-type") != "application/json":
        return  # of no view
    told = json.loads(response.body)
    is_declared = told["view"].startswith("kept") and is_plain(target)
    assert told["query"] == ("" if is_declared else "probe=1"), told
    patterns = {pattern: name for name, pattern in mapped.declared}
    found = best(patterns, target)
    assert (found and patterns[found[0]]) == (told["view"] if is_declared else None)


def test_the_front_matches_what_the_framework_gives_to_the_view(mapped):
    """Each text in the place of each route's last parameter."""
    for route in {each["path"] for each in mapped.listed}:
        before, mark, after = with_marks(route).rpartition("\0")
        for text in SEGMENTS if mark else ():
            judge(mapped, on_the_wire(before.replace("\0", "3") + text + after))


def test_paths_of_all_kinds(mapped):
    @settings(
        max_examples=600,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(paths([each["path"] for each in mapped.listed]).map(on_the_wire))
    def check(target):
        judge(mapped, target)

    check()


# ---- pieces ----

CONVERTERS = """str str(length=2) str(minlength=4,maxlength=6) str(minlength=0) slug slug(maxlength=2)
    chars(a-f.) chars(0-9_-,minlength=2) any(ab,a,json) any(3,12) int int(min=3,max=120) int(length=4)
    int(signed) int(signed,min=-5,max=-2) int(max=2) float float(loose) float(signed) uuid uuid(lower)
    uuid(loose) uuid(lower,loose) path path(minlength=0)""".split()
AROUND = [("", ""), ("v", ""), ("a", ".csv"), ("", "b"), ("1", "")]
PIECES = [
    Pattern(f"/{a}<{c}:x>{z}") for c in CONVERTERS for a, z in AROUND if c[:4] != "path" or not z
]
PIECES += [Pattern(f"/{text}") for text in ("", "a", "ab", "abc", "12", "a-b", "x/12", "a/b")]


def test_patterns_overlap_where_a_path_is_taken_by_both():
    """A wrong no would hand one view's requests to the rule of another."""
    texts = {a + text + z for text in SEGMENTS for a, z in AROUND}
    for text in texts | {"x/12", "a/", "x/"}:
        taking = [pattern for pattern in PIECES if pattern.match(f"/{text}") is not None]
        for one in taking:
            for other in taking:
                assert one.overlaps(other), (str(one), str(other), text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a", "/b"),
        ("/a", "/a/"),
        ("/<int:x>", "/a"),
        ("/<int:x>", "/<float:x>"),
        ("/<int(max=2):x>", "/<int(min=3):x>"),
        ("/<str(length=2):x>", "/<str(minlength=3):x>"),
        ("/<uuid:x>", "/<int:x>"),
        ("/<any(a,b):x>", "/<any(c,d):x>"),
        ("/<slug:x>", "/<x>.csv"),
        ("/a<x>", "/b<x>"),
        ("/a/<path:x>", "/a/"),
        ("/a/<path(minlength=0):x>", "/a"),
        ("/a/<path:x>", "/b/<path:x>"),
        ("/<int:x>/b", "/<x>/c"),
    ],
)
def test_patterns_that_have_no_path_in_common(one, other):
    assert not Pattern(one).overlaps(Pattern(other))
    assert not Pattern(other).overlaps(Pattern(one))


REGEXES = [
    *(regex for name, regex in mapped_app.DJANGO_REGEXES if name.startswith("kept")),
    r"^(?P<x>[-\w]+)$",
    r"^(?P<x>[\d]{2,})/a\.b$",
    r"^(?P<x>[^/]*)/(?P<y>.+)$",
    r"^(?P<x>[a-cX_.~-]{1,3})\Z",
    r"^(?P<x>\d*)$",
    r"^(?P<x>\w)$",
]


@pytest.mark.parametrize("regex", REGEXES)
def test_a_regular_expression_and_its_pattern_take_the_same(regex):
    """“simple” ones of Django's re_path, for plain paths."""
    pattern = Pattern("/" + pattern_of(regex, is_prefix=False))
    start = beginning_of(regex)

    @settings(max_examples=500, deadline=None, database=None, derandomize=True)
    @given(st.from_regex(regex) | segment | st.text("ab01.-_~X/", max_size=6))
    def check(text):
        if is_plain(f"/{text}") and text.isascii() and text.isprintable():
            takes = re.search(regex, text) is not None
            assert (pattern.match(f"/{text}") is not None) == takes
            assert not takes or text.startswith(start)

    check()


@pytest.mark.parametrize(
    "regex",
    ["a$", "^a", "^a|b$", "^(a)$", "^a?$", "^a.b$", "^(?P<x>a+)$", "^(?P<x>[^a])$", "^[0-9]+$"]
    + ["(?i)^a$", r"^(?P<x>\S+)$", "^(?P<x>[a-z]+)?$", "^(?:a)$", "^(?P<x>[!-~]+)$", r"^a\b$"],
)
def test_other_regular_expressions_are_not_declared(regex):
    with pytest.raises(ValueError, match="a regular expression|characters"):
        Pattern("/" + pattern_of(regex, is_prefix=False))


def test_what_a_regular_expression_begins_with():
    assert beginning_of("^ab?c") == "a"
    assert beginning_of("^ab+c") == "ab"
    assert beginning_of("^blog/(?P<x>[0-9]+)") == "blog/"
    assert beginning_of("^a|b") == beginning_of("a") == beginning_of("(?i)^a") == ""
