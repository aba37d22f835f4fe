"""Reads the case files; README.md describes their format.

Everything that is wrong with a file is a `CaseError` that names the file and the line.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re

DIRECTORY = pathlib.Path(__file__).resolve().parent / "cases"

ESCAPE = re.compile(r"\\(?:([rnt\\])|x([0-9a-fA-F]{2})|\((\d+)\*)")
SIMPLE = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}
OUTCOME = re.compile(
    r"(-|(?:\d\d\d|[45]xx|error)(?:,(?:\d\d\d|[45]xx|error))*)(?:/(open|close|wait))?$"
)
APP_WORDS = ("nothing", "incomplete", "any")
APP_FIELDS = ("method", "raw_path", "path", "query", "body", "version", "scheme")
RESPONSE_FIELDS = ("body", "reason")


class CaseError(Exception):
    """A case file that cannot be read."""


def unescape(text: str) -> bytes:
    r"""Bytes of a text with \r \n \t \\ \xHH and \(N*TEXT), which is TEXT N times."""
    decoded, end = decode(text, 0, "")
    if end < len(text):
        raise ValueError(f"a parenthesis too many: {text!r}")
    return decoded.encode("latin-1")


def decode(text: str, at: int, until: str) -> tuple[str, int]:
    """What is escaped from `at` on, up to `until`, and where that was."""
    found = []
    while at < len(text) and not (until and text[at] == until):
        match = ESCAPE.match(text, at)
        if not match:
            if text[at] == "\\":
                raise ValueError(f"unknown escape {text[at : at + 2]}")
            found.append(text[at])
            at += 1
            continue
        simple, code, count = match.groups()
        at = match.end()
        if count:
            repeated, at = decode(text, at, ")")
            if at == len(text):
                raise ValueError(f"a parenthesis is missing: {text!r}")
            found.append(int(count) * repeated)
            at += 1
        else:
            found.append(SIMPLE[simple] if simple else chr(int(code, 16)))
    return "".join(found), at


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What may happen: a status (or class) for each response, and how the connection ended."""

    statuses: tuple[str, ...]
    ending: str  # open, close or wait; empty: open or close

    @classmethod
    def parse(cls, text: str) -> Outcome:
        match = OUTCOME.match(text)
        if not match:
            raise ValueError(f"no outcome: {text!r}")
        statuses = () if match[1] == "-" else tuple(match[1].split(","))
        return cls(statuses, match[2] or "")

    def covers(self, statuses: list[int], ending: str) -> bool:
        if ending not in ((self.ending,) if self.ending else ("open", "close")):
            return False
        return len(self.statuses) == len(statuses) and all(map(same, self.statuses, statuses))

    def covers_outcome(self, other: Outcome) -> bool:
        """Is whatever `other` allows allowed by this one too? (Classes are compared by name.)"""
        if self.ending != other.ending and (self.ending or other.ending == "wait"):
            return False
        return len(self.statuses) == len(other.statuses) and all(
            wanted == status or (status.isdigit() and same(wanted, int(status)))
            for wanted, status in zip(self.statuses, other.statuses, strict=True)
        )

    def __str__(self) -> str:
        return (",".join(self.statuses) or "-") + (f"/{self.ending}" if self.ending else "")


def same(wanted: str, status: int) -> bool:
    if wanted == "error":
        return 400 <= status <= 599
    if wanted.endswith("xx"):
        return status // 100 == int(wanted[0])
    return status == int(wanted)


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that must be true of request or response number `index` (from 0)."""

    index: int
    field: str  # one of APP_FIELDS or RESPONSE_FIELDS, `header`, `no header` or `has`
    name: str  # of the header
    values: tuple[str, ...]  # of the header in order; of a field the one value
    text: str  # as written, for people


@dataclasses.dataclass
class Case:
    name: str
    section: str  # the file's name without its suffix
    line: int
    rfc: str = ""
    why: str = ""
    # What to do, in order: ("send", bytes), ("pause", seconds), ("await", status), ("fin", None)
    steps: list[tuple[str, object]] = dataclasses.field(default_factory=list)
    allow: list[Outcome] = dataclasses.field(default_factory=list)
    strict: list[Outcome] = dataclasses.field(default_factory=list)
    app: str = ""  # one of APP_WORDS
    app_checks: list[Check] = dataclasses.field(default_factory=list)
    app_strict: list[Check] = dataclasses.field(default_factory=list)
    response_checks: list[Check] = dataclasses.field(default_factory=list)
    response_strict: list[Check] = dataclasses.field(default_factory=list)
    methods: list[str] = dataclasses.field(default_factory=list)
    next: bool = True  # send the next request right behind
    truncated: bool = False  # a response that is cut short is right
    cut: bool = True  # may be cut anywhere without a change of outcome
    each: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    @property
    def bytes(self) -> bytes:
        return b"".join(value for step, value in self.steps if step == "send")


def parse_check(text: str, fields: tuple[str, ...]) -> Check:
    match = re.match(r"(?:(\d+) )?(no header|header|has|\w+)(?: (.*))?$", text)
    if not match:
        raise ValueError(f"no check: {text!r}")
    index, field, rest = int(match[1] or 1) - 1, match[2], match[3] or ""
    if field in fields:
        return Check(index, field, "", (unescape(rest).decode("latin-1"),), text)
    if field in ("no header", "has"):
        return Check(index, field, rest.lower(), (), text)
    if field != "header":
        raise ValueError(f"no check: {text!r}")
    name, colon, value = rest.partition(":")
    if not colon:
        raise ValueError(f"a header check wants `name: value`: {text!r}")
    values = tuple(unescape(v.strip()).decode("latin-1") for v in value.split(" | "))
    return Check(index, field, name.strip().lower(), values, text)


def parse_seconds(text: str) -> float:
    match = re.match(r"(\d+)ms$", text)
    if not match:
        raise ValueError(f"no duration: {text!r}")
    return int(match[1]) / 1000


def yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"yes or no, not {text!r}")
    return text == "yes"


class Reader:
    """One file. Lines are kept as (number, key, text) until a case is complete."""

    def __init__(self, path: pathlib.Path):
        self.path, self.section, self.title = path, path.stem, path.stem
        self.cases: list[Case] = []

    def fail(self, line: int, message: object) -> CaseError:
        return CaseError(f"{self.path.name}:{line}: {message}")

    def read(self) -> list[Case]:
        block: list[tuple[int, str, str]] = []
        for number, line in enumerate(self.path.read_text(encoding="ascii").splitlines(), 1):
            if not line or line.startswith("#"):
                continue
            if line != line.rstrip():
                raise self.fail(number, "trailing space: write \\x20")
            key, text = self.split(number, line)
            if key == "title":
                self.title = text
                continue
            if key == "case":
                self.finish(block)
                block = []
            block.append((number, key, text))
        self.finish(block)
        return self.cases

    def split(self, number: int, line: str) -> tuple[str, str]:
        if line.startswith("> "):
            return "send", line[2:]
        key, colon, text = line.partition(":")
        if not colon or not re.match(r"[a-z-]+$", key):
            raise self.fail(number, f"neither `> bytes` nor `key: text`: {line!r}")
        return key, text.strip()

    def finish(self, block: list[tuple[int, str, str]]) -> None:
        if not block:
            return
        variants = []
        for number, key, text in block:
            for part in text.split(" | ") if key == "each" else ():
                label, equals, value = part.strip().partition("=")
                if not equals:
                    raise self.fail(number, "each: label = text | label = text")
                variants.append((label.strip(), value.strip()))
        for label, value in variants or [("", "")]:
            self.cases.append(self.build(block, label, value))

    def build(self, block: list[tuple[int, str, str]], label: str, value: str) -> Case:
        number, key, text = block[0]
        if key != "case":
            raise self.fail(number, "the file begins without `case:`")
        case = self.begin(f"{text}-{label}" if label else text, number)
        for number, key, text in block[1:]:
            try:
                self.set(case, key, text.replace("${}", value) if label else text)
            except ValueError as error:
                raise self.fail(number, error) from None
        self.check(case)
        return case

    def begin(self, name: str, line: int) -> Case:
        return Case(name, self.section, line)

    def set(self, case: Case, key: str, text: str) -> None:
        if key == "send":
            case.steps.append(("send", unescape(text)))
        elif key == "pause":
            case.steps.append(("pause", parse_seconds(text)))
        elif key == "await":
            case.steps.append(("await", int(text)))
        elif key == "fin":
            case.steps.append(("fin", None))
        elif key in ("allow", "strict"):
            setattr(case, key, [Outcome.parse(word) for word in text.split()])
        elif key == "app" and text in APP_WORDS:
            case.app = text
        elif key in ("app", "app-strict"):
            checks = case.app_checks if key == "app" else case.app_strict
            checks.append(parse_check(text, APP_FIELDS))
        elif key in ("response", "response-strict"):
            checks = case.response_checks if key == "response" else case.response_strict
            checks.append(parse_check(text, RESPONSE_FIELDS))
        elif key == "methods":
            case.methods = text.split()
        elif key in ("next", "cut", "truncated"):
            setattr(case, key, yes_or_no(text))
        elif key in ("rfc", "why"):
            setattr(case, key, f"{getattr(case, key)} {text}".strip())
        elif key != "each":
            raise ValueError(f"unknown key {key!r}")

    def check(self, case: Case) -> None:
        """What every case must have; joins neighbouring sends; fills what may be left out."""
        for field in ("rfc", "steps", "allow"):
            if not getattr(case, field):
                raise self.fail(case.line, f"{case.name} has no {field}")
        case.strict = case.strict or case.allow
        for outcome in case.strict:
            if not any(allowed.covers_outcome(outcome) for allowed in case.allow):
                raise self.fail(case.line, f"{case.name}: strict {outcome} is not allowed")
        joined: list[tuple[str, object]] = []
        for step, value in case.steps:
            if step == "send" and joined and joined[-1][0] == "send":
                value = joined.pop()[1] + value
            joined.append((step, value))
        case.steps = joined
        if any(step == "fin" for step, _ in joined):
            case.next = False
        if not case.methods:
            case.methods = [case.bytes.lstrip().split(b" ", 1)[0].decode("latin-1")]


def load(directory: pathlib.Path = DIRECTORY, reader: type[Reader] = Reader) -> list[Case]:
    """All cases of all files, the files in the order of their names."""
    cases = []
    for path in sorted(directory.glob("*.txt")):
        cases += reader(path).read()
    names = set()
    for case in cases:
        if case.name in names:
            raise CaseError(f"{case.section}:{case.line}: {case.name} is there twice")
        names.add(case.name)
    return cases


def titles(directory: pathlib.Path = DIRECTORY, reader: type[Reader] = Reader) -> dict[str, str]:
    """The title of each section, in order."""
    found = {}
    for path in sorted(directory.glob("*.txt")):
        reading = reader(path)
        reading.read()
        found[reading.section] = reading.title
    return found
