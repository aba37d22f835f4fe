"""The cache against a model of RFC 9111 (cache_model.py): generated requests, responses, purges and
time, step by step (cache_plays.py). What each client gets, how old that is, and what the
application is asked must be the same.

In `test_the_cache` it runs by itself (tools/cache_steps.c), and time is a number; in
`test_the_server` it is behind `zq serve`, where builds with ZQ_DEBUG have a clock that the test
puts forward, and in others responses are old when they come.

ZQ_SOAK_SECONDS=N goes on with new examples for so long.
"""

import dataclasses
import json
import mmap
import os
import struct
import subprocess
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from cache_message import Response
from cache_model import CONDITIONS, CREDENTIALS, ORIGIN, RELEASED, Rules
from cache_plays import Application, Play, all_rules, steps
from harness import BUILD, Client, serve

SOAK = float(os.environ.get("ZQ_SOAK_SECONDS", "0"))
START = 1_000_000_000  # the clock's, in seconds

# ---- the cache by itself ----


class Steps:
    """tools/cache_steps."""

    def __init__(self):
        self.process = subprocess.Popen(
            [BUILD / "tools" / "cache_steps"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="latin-1",
        )

    def do(self, *words):
        self.process.stdin.write("\x1f".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer.endswith("\n"), f"cache_steps ended: {words}"
        return answer.rstrip("\n").split("\x1f")

    def begin(self, rules):
        flags = (rules.heuristic, rules.set_cookie, rules.rfc_cookies, rules.directives)
        self.do("rules", *map(int, flags), rules.grace * 1000)
        self.clock = START

    def now(self):
        return self.clock

    def now_ms(self):
        return int(self.clock * 1000)

    def wait(self, seconds):
        self.clock += seconds

    def same_age(self, age, got):
        return int(age) == got

    def purge(self, kind, soft, text):
        self.do("purge", kind, int(soft), text, self.now_ms())

    def exchange(self, ask):
        """What the client got, its age, what the application was asked, and what came of the other
        request, if it joined this one."""
        seen, got, age = [], None, None
        outcome = self.do("ask", *self.words(ask.request))
        joins = outcome[0] == "fetch" and ask.other and self.do("join", *self.words(ask.other))
        while outcome[0] in ("fetch", "refresh"):
            if outcome[0] == "refresh":
                got, age = self.read(outcome)
                outcome = self.do("fetching")
            outcome = self.answer(ask, outcome, seen)
        if outcome[0] in ("hit", "got"):
            got, age = self.read(outcome)
        elif outcome[0] == "never":
            got = Response(504, [])
        return got, age, seen, self.joined() if joins == ["joined"] else None

    def words(self, request):
        pairs = [f"{n}:{v}" for n, v in request.fields]
        return request.method, request.target, self.now_ms(), *pairs

    def joined(self):
        outcome = self.do("joined", self.now_ms())
        if outcome[0] == "got":
            return self.read(outcome)[0]
        return RELEASED if outcome[0] == "released" else None

    def answer(self, ask, outcome, seen):
        _, _, whole, anonymous, etag, modified, rest, condition = outcome
        fields = [f for f in ask.request.fields if f[0] not in CONDITIONS or whole == "0"]
        fields = [f for f in fields if f[0] not in CREDENTIALS or anonymous == "0"]
        fields += [("if-none-match", etag)] if etag else []
        fields += [("if-modified-since", modified)] if modified else []
        fields += [("range", f"bytes={rest}-")] if rest != "0" else []
        fields += [("if-range", condition)] if rest != "0" and condition else []
        application = Application(ask, lambda p: self.purge(p.kind, p.soft, p.text))
        response = application(fields)
        seen += application.seen
        if response is None:
            return self.do("cut", self.now_ms())
        pairs = [f"{n}:{v}" for n, v in response.fields]
        times = (self.now_ms(), int(self.clock))
        return self.do("answer", response.status, *times, response.body, *pairs)

    def read(self, outcome):
        _, status, age, body, *pairs = outcome
        fields = [(p.split(":", 1)[0].lower(), p.split(":", 1)[1].strip()) for p in pairs if p]
        return Response(int(status), fields, body), int(age)


@pytest.fixture(scope="module")
def cache():
    steps = Steps()
    yield steps
    steps.process.stdin.close()
    assert steps.process.wait(30) == 0


def run(check, strategies, examples):
    """The same examples each time; then new ones, as long as that is wanted."""

    def settled(examples, derandomize):
        return settings(
            max_examples=examples,
            derandomize=derandomize,
            deadline=None,
            database=None,
            print_blob=True,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )

    settled(examples, derandomize=True)(given(*strategies)(check))()
    end = time.monotonic() + SOAK
    while time.monotonic() < end:
        settled(examples, derandomize=False)(given(*strategies)(check))()


@pytest.mark.timeout(300 + 2 * SOAK)
def test_the_cache(cache):
    def check(rules, steps):
        cache.begin(rules)
        play = Play(rules, cache, unit=1)
        for step in steps:
            play.step(step)

    run(check, (all_rules, steps), 500)


# ---- behind a server ----

ASKED = {
    "x-a",
    "x-b",
    "cookie",
    "authorization",
    "cache-control",
    "pragma",
    "if-match",
} | CONDITIONS


class Served:
    """`zq serve planned:app`, for one set of rules."""

    def __init__(self, server, clock):
        self.server, self.clock = server, clock
        self.example = self.shift = 0

    def begin(self):
        """A host of its own."""
        self.example += 1
        self.host = f"h{self.example}.test"

    def now(self):
        """The server's: an example may take as long as it likes, a step only what `slack` leaves."""
        return time.time() + self.shift

    def wait(self, seconds):
        if self.clock is not None:
            self.shift += seconds
            self.clock[:8] = struct.pack("=q", self.shift * 1000)

    def same_age(self, age, got):
        return abs(int(got) - int(age)) <= 20  # there is little time in a test

    def here(self, text):
        return text.replace(ORIGIN, f"http://{self.host}")

    def purge(self, kind, soft, text):
        with self.client() as client:
            plan = json.dumps([kind, soft, self.here(text)])
            assert client.request("/purge", "POST", {"x-plan": plan}).status == 200

    def client(self):
        return Client(self.server.address)

    def plan(self, ask):
        def answer(response):
            fields = [(n, self.here(v)) for n, v in response.fields]
            return [response.status, fields, response.body]

        purge = ask.meanwhile and [ask.meanwhile.kind, ask.meanwhile.soft, self.here(ask.meanwhile.text)]  # fmt: skip
        return json.dumps([answer(ask.plain), answer(ask.conditional), purge, ask.ranged])

    def exchange(self, ask):
        with self.client() as client:
            pairs = [*ask.request.fields, ("x-plan", self.plan(ask))]
            got = client.request(ask.request.target, ask.request.method, pairs, host=self.host)
            # What was refreshed in the background is behind it by now: there is one of each thread.
            seen = json.loads(client.request("/seen", "POST").body)
        fields = [(n, v.replace(f"http://{self.host}", ORIGIN)) for n, v in got.headers]
        if got.status == 504 and got.get("cache-status") == "zq; detail=only-if-cached":
            return Response(504, []), None, [], None
        seen = [sorted((n, v) for n, v in fields if n in ASKED) for fields in seen]
        return Response(got.status, fields, got.body.decode()), got.get("age"), seen, None


SAFE = Rules()
OPEN = Rules(heuristic=True, set_cookie=True, rfc_cookies=True, directives=True)
OPTIONS = {
    "heuristic": "--cache-heuristic",
    "set_cookie": "--cache-set-cookie",
    "rfc_cookies": "--cache-cookies=rfc",
    "directives": "--cache-request-directives=honour",
}


def has_test_clock():
    return b"ZQ_TEST_CLOCK" in (BUILD / "zq").read_bytes()


@pytest.mark.parametrize("rules", [SAFE, OPEN], ids=["safe", "open"])
@pytest.mark.timeout(300 + 2 * SOAK)
def test_the_server(rules, tmp_path):
    (tmp_path / "clock").write_bytes(bytes(8))
    options = [option for name, option in OPTIONS.items() if getattr(rules, name)]
    options += ["--front-threads=1", "--no-access-log", "--timeout-worker-healthcheck=1000h"]
    with (
        open(tmp_path / "clock", "r+b") as file,
        mmap.mmap(file.fileno(), 8) as clock,
        serve("planned:app", *options, env={"ZQ_TEST_CLOCK": file.name}) as server,
    ):
        served = Served(server, clock if has_test_clock() else None)

        def check(steps):
            served.begin()
            play = Play(rules, served, unit=100, slack=50, ignored=("date", "connection"))
            for step in steps:
                play.step(as_served(step))

        run(check, (steps,), 60)


def as_served(step):
    """Where a worker would die, it answers; and one request is over before the next."""
    if not hasattr(step, "plain"):
        return step
    empty = Response(200, [])
    plain, conditional = step.plain or empty, step.conditional or empty
    return dataclasses.replace(step, plain=plain, conditional=conditional, other=None)
