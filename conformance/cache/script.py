"""Reads the conversations of cases/*.txt; README.md describes their format.

Everything that is wrong with a file is a `CaseError` that names the file and the line.
"""

from __future__ import annotations

import dataclasses
import email.utils
import pathlib
import re
import time

from conformance import casefile
from conformance.casefile import CaseError, unescape

DIRECTORY = pathlib.Path(__file__).resolve().parent / "cases"
LEVELS = ("required", "optimal", "check")
LONGEST_PAUSE = 3.0

TOKEN = re.compile(r"\{(?:(rfc850|asctime) )?now([+-]\d+)?\}|\{(path|host)\}")
FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(?: (.*))?$")
EXPECTATION = re.compile(
    r"(?P<word>hit|miss|validated|cut)$"
    r"|(?P<key>status|from|body|calls|interim|method):(?: (?P<text>.*))?$"
    r"|(?P<kind>field|begins|interim field|sees|above|below) (?P<name>[\w-]+):(?: (?P<value>.*))?$"
    r"|(?P<presence>has|no|sees any|sees no) (?P<field>[\w-]+)$"
)

Fields = list[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Expectation:
    kind: str  # as in EXPECTATION: `hit`, `status`, `field`, `sees no` …
    name: str  # of a field, lower case
    value: str
    given: bool  # a precondition: where it does not hold, the case says nothing
    text: str  # as written, for people


@dataclasses.dataclass
class Answer:
    """What the origin does with a request of this step, should one come."""

    status: int = 200
    fields: Fields = dataclasses.field(default_factory=list)
    body: str | None = None  # None: one that names case and step
    interim: list[tuple[int, Fields]] = dataclasses.field(default_factory=list)
    delay: float = 0.0
    ending: str = ""  # `close`: no answer at all; `cut`: it ends inside the content
    unasked: bool = False  # 304 even if no condition, or none with its ETag, came


@dataclasses.dataclass
class Step:
    method: str
    suffix: str  # of the conversation's own path
    pause: float = 0.0  # before it
    times: int = 1  # so often at once
    again: bool = False  # until what is expected happens
    fields: Fields = dataclasses.field(default_factory=list)
    body: str | None = None
    answer: Answer = dataclasses.field(default_factory=Answer)
    expected: list[Expectation] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Case:
    name: str
    section: str
    line: int
    rfc: str = ""
    why: str = ""
    level: str = "required"
    options: str = ""  # `default`: for a cache with its default options only
    steps: list[Step] = dataclasses.field(default_factory=list)

    def default(self, number: int) -> str:
        return f"{self.name}, step {number}\n"

    def content(self, number: int) -> str:
        """What the origin's answer to step `number` (from 1) carries."""
        body = self.steps[number - 1].answer.body
        return self.default(number) if body is None else body


def http_date(when: int, form: str = "") -> str:
    at = time.gmtime(when)
    if form == "rfc850":
        return time.strftime("%A, %d-%b-%y %H:%M:%S GMT", at)
    if form == "asctime":
        return time.asctime(at)
    return email.utils.formatdate(when, usegmt=True)


def fill(text: str, base: int, path: str, host: str) -> str:
    """Replaces {now}, {now-60}, {rfc850 now+60}, {asctime now}, {path} and {host}."""

    def token(match: re.Match) -> str:
        form, offset, word = match.groups()
        if word:
            return path if word == "path" else host
        return http_date(base + int(offset or 0), form or "")

    return TOKEN.sub(token, text)


def parse_field(text: str) -> tuple[str, str]:
    match = FIELD.match(text)
    if not match:
        raise ValueError(f"no field: {text!r}")
    return match[1], unescape(match[2] or "").decode("latin-1")


def parse_pause(text: str) -> float:
    seconds = casefile.parse_seconds(text)
    if seconds > LONGEST_PAUSE:
        raise ValueError(f"longer than {LONGEST_PAUSE} s: {text}")
    return seconds


def parse_expectation(text: str, given: bool) -> Expectation:
    match = EXPECTATION.match(text)
    if not match:
        raise ValueError(f"no expectation: {text!r}")
    found = match.groupdict()
    kind = found["word"] or found["key"] or found["kind"] or found["presence"]
    name = (found["name"] or found["field"] or "").lower()
    value = unescape(found["text"] or found["value"] or "").decode("latin-1")
    return Expectation(kind, name, value, given, text)


class Reader(casefile.Reader):
    """One file of conversations. `>` is the client, `<` the origin; `=` is what must be seen, `?`
    what must be for the case to say anything."""

    def split(self, number: int, line: str) -> tuple[str, str]:
        if re.match(r"[<>=?] ", line):
            return line[0], line[2:]
        return super().split(number, line)

    def begin(self, name: str, line: int) -> Case:
        self.pause, self.answering = 0.0, False
        return Case(name, self.section, line)

    def set(self, case: Case, key: str, text: str) -> None:
        if key in ("rfc", "why"):
            setattr(case, key, f"{getattr(case, key)} {text}".strip())
        elif key in ("level", "options"):
            setattr(case, key, text)
        elif key == "pause":
            self.pause = parse_pause(text)
        elif key == ">":
            self.request(case, text)
        elif key == "each":
            return
        elif not case.steps:
            raise ValueError(f"{key} before the first request")
        elif key == "<":
            self.answer(case.steps[-1].answer, text)
        elif key in "=?":
            case.steps[-1].expected.append(parse_expectation(text, key == "?"))
        elif key == "times":
            case.steps[-1].times = int(text)
        elif key == "again":
            case.steps[-1].again = casefile.yes_or_no(text)
        else:
            raise ValueError(f"unknown key {key!r}")

    def request(self, case: Case, text: str) -> None:
        line = re.match(r"([A-Z-]+)(?: ([/?]\S*))?$", text.rstrip())
        if line:
            case.steps.append(Step(line[1], line[2] or "", self.pause))
            self.pause, self.answering = 0.0, False
        elif not case.steps:
            raise ValueError(f"METHOD or METHOD SUFFIX, not {text!r}")
        elif text.startswith("| "):
            case.steps[-1].body = unescape(text[2:]).decode("latin-1")
        else:
            case.steps[-1].fields.append(parse_field(text))

    def answer(self, answer: Answer, text: str) -> None:
        interim = re.match(r"(1\d\d)$", text)
        if interim:
            answer.interim.append((int(text), []))
            self.answering = False
        elif re.match(r"\d\d\d$", text):
            answer.status, self.answering = int(text), True
        elif text in ("close", "cut"):
            answer.ending = text
        elif text == "unasked":
            answer.unasked = True
        elif text.startswith("pause "):
            answer.delay = parse_pause(text.removeprefix("pause "))
        elif text == "|" or text.startswith("| "):
            answer.body = unescape(text[2:]).decode("latin-1")
        elif answer.interim and not self.answering:
            answer.interim[-1][1].append(parse_field(text))
        else:
            answer.fields.append(parse_field(text))

    def check(self, case: Case) -> None:
        if not case.rfc or not case.steps:
            raise self.fail(case.line, f"{case.name} has no rfc or no request")
        if case.level not in LEVELS or case.options not in ("", "default"):
            raise self.fail(case.line, f"{case.name}: level is one of {', '.join(LEVELS)}")
        if not any(not e.given for step in case.steps for e in step.expected):
            raise self.fail(case.line, f"{case.name} expects nothing")
        for step in case.steps:
            for e in step.expected:
                numbers = e.value.split() if e.kind == "from" else []
                if any(not 1 <= int(number) <= len(case.steps) for number in numbers):
                    raise self.fail(case.line, f"{case.name} has no step {e.value}")


def load(directory: pathlib.Path = DIRECTORY) -> list[Case]:
    return casefile.load(directory, Reader)


def titles(directory: pathlib.Path = DIRECTORY) -> dict[str, str]:
    return casefile.titles(directory, Reader)


__all__ = ["Answer", "Case", "CaseError", "Expectation", "Step", "fill", "load", "titles"]
