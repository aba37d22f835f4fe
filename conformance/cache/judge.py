"""Was a step as its script expects?

- `hit`: the origin was not asked, and the content is that of an earlier step;
- `miss`: the origin was asked, and what it said in this step is the answer;
- `validated`: it was asked once, with If-None-Match or If-Modified-Since.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from conformance.cache.script import Case, Expectation, Step
from conformance.casefile import same
from conformance.client import Response

PASSED, FAILED = "passed", "failed"
MOOT = "moot"  # a precondition does not hold: the case says nothing about this cache
CONDITIONS = ("if-none-match", "if-modified-since")
BODILESS = (204, 304)


@dataclasses.dataclass
class Problem:
    text: str
    given: bool = False


def of(step: Step, *kinds: str) -> list[Expectation]:
    return [e for e in step.expected if e.kind in kinds]


def calls_wanted(step: Step) -> int:
    """So many calls of the origin have to come, if need be behind the answer."""
    return max((int(e.value) for e in of(step, "calls")), default=0)


def values(response: Response, name: str) -> str | None:
    """A field's lines as one value; a cache may join them."""
    found = [v for v in response.all(name) if v] or response.all(name)
    return ", ".join(found) if found else None


def joined(text: str) -> str:
    return re.sub(r"\s*,\s*", ", ", text)


def carries_content(step: Step, response: Response) -> bool:
    return step.method != "HEAD" and response.status not in BODILESS


def made_in(case: Case, step: Step, response: Response) -> set[int]:
    """The steps whose content, or whose number where there is none, is in the response."""
    if carries_content(step, response):
        body = response.body.decode("latin-1")
        return {n for n in range(1, len(case.steps) + 1) if case.content(n) == body}
    return {int(n) for n in response.all("conformance-step") if n.isdigit()}


class Judge:
    """One response to a step. Each kind of expectation is a method that says what is wrong, if
    anything is."""

    def __init__(self, case: Case, turn, exchange, fill: Callable[[str], str]):
        self.case, self.turn, self.exchange, self.fill = case, turn, exchange, fill
        self.number, self.response = turn.number, exchange.response
        self.step = case.steps[turn.number - 1]

    def statuses(self, earlier: bool) -> list[int]:
        steps = self.case.steps[: self.number - 1] if earlier else [self.step]
        return [step.answer.status for step in steps]

    def source(self, earlier: bool) -> str:
        """'' if status and content are those of an earlier step, or of this one."""
        response = self.response
        plain = not of(self.step, "status")
        if plain and response.status not in self.statuses(earlier):
            return f"the status is {response.status}"
        if of(self.step, "body", "from") or response.status in (206, 416):
            return ""
        made = made_in(self.case, self.step, response)
        if not carries_content(self.step, response) and not made:
            return ""
        if not any((n < self.number) if earlier else n == self.number for n in made):
            return "the content is " + (f"that of step {sorted(made)}" if made else "of no step")
        return ""

    def hit(self, _: Expectation) -> str:
        if self.turn.calls and not of(self.step, "calls"):
            return "the origin was asked"
        return self.source(earlier=True)

    def miss(self, _: Expectation) -> str:
        if not self.turn.calls:
            return "the origin was not asked"
        return self.source(earlier=False)

    def validated(self, _: Expectation) -> str:
        calls = self.turn.calls
        if len(calls) != 1:
            return f"the origin was asked {len(calls)} times"
        if not any(name in CONDITIONS for name, _ in calls[0]["fields"]):
            return "the origin was asked without a condition"
        return self.source(earlier=self.step.answer.status == 304)

    def status(self, e: Expectation) -> str:
        fine = any(same(word, self.response.status) for word in e.value.split())
        return "" if fine else f"the status is {self.response.status}"

    def from_(self, e: Expectation) -> str:
        made = made_in(self.case, self.step, self.response)
        wanted = {int(number) for number in e.value.split()}
        return "" if wanted & made else f"the content is that of step {sorted(made)}"

    def body(self, e: Expectation) -> str:
        body = self.response.body.decode("latin-1")
        return "" if body == e.value else f"the content is {body!r}"

    def calls(self, e: Expectation) -> str:
        count = len(self.turn.calls)
        return "" if count == int(e.value) else f"the origin was asked {count} times"

    def cut(self, _: Expectation) -> str:
        """A gateway that has not begun to answer can also say so (RFC 9110 15.6.3)."""
        return (
            "the response is whole" if self.response.whole and self.response.status != 502 else ""
        )

    def field(self, e: Expectation) -> str:
        found = values(self.response, e.name)
        wanted = joined(self.fill(e.value))
        fine = found is not None and joined(found) == wanted
        return "" if fine else f"{e.name} is {found!r}, not {wanted!r}"

    def begins(self, e: Expectation) -> str:
        found = values(self.response, e.name)
        fine = found is not None and joined(found).startswith(joined(self.fill(e.value)))
        return "" if fine else f"{e.name} is {found!r}"

    def has(self, e: Expectation) -> str:
        return "" if self.response.all(e.name) else f"there is no {e.name}"

    def no(self, e: Expectation) -> str:
        found = values(self.response, e.name)
        return f"there is {e.name}: {found!r}" if found is not None else ""

    def number_of(self, e: Expectation) -> int | None:
        found = values(self.response, e.name)
        return int(found) if found is not None and re.match(r"\d+$", found) else None

    def above(self, e: Expectation) -> str:
        found = self.number_of(e)
        fine = found is not None and found > int(e.value)
        return "" if fine else f"{e.name} is {values(self.response, e.name)!r}"

    def below(self, e: Expectation) -> str:
        found = self.number_of(e)
        fine = found is not None and found < int(e.value)
        return "" if fine else f"{e.name} is {values(self.response, e.name)!r}"

    # ---- what the origin saw in the last call of this step

    def asked(self, name: str) -> list[str]:
        fields = self.turn.calls[-1]["fields"] if self.turn.calls else []
        return [value for key, value in fields if key == name]

    def sees(self, e: Expectation) -> str:
        found, wanted = ", ".join(self.asked(e.name)), self.fill(e.value)
        return "" if joined(found) == joined(wanted) else f"the origin saw {e.name}: {found!r}"

    def sees_any(self, e: Expectation) -> str:
        return "" if self.asked(e.name) else f"the origin saw no {e.name}"

    def sees_no(self, e: Expectation) -> str:
        if not self.turn.calls:
            return "the origin was not asked"
        found = self.asked(e.name)
        return f"the origin saw {e.name}: {found}" if found else ""

    def method(self, e: Expectation) -> str:
        found = self.turn.calls[-1]["method"] if self.turn.calls else "nothing"
        return "" if found == e.value else f"the origin saw {found}"

    def interim(self, e: Expectation) -> str:
        found = ",".join(str(r.status) for r in self.exchange.interim) or "-"
        return "" if found == e.value else f"the interim responses are {found}"

    def interim_field(self, e: Expectation) -> str:
        found = [joined(values(r, e.name) or "") for r in self.exchange.interim]
        return "" if joined(e.value) in found else f"{e.name} of the interim responses is {found}"


METHODS = {"from": "from_", "sees any": "sees_any", "sees no": "sees_no"}
METHODS["interim field"] = "interim_field"


def problems(case: Case, turn, fill: Callable[[str], str]) -> list[Problem]:
    """What is wrong with a step (a talk.Turn), preconditions first."""
    step = case.steps[turn.number - 1]
    found: list[Problem] = []
    for exchange in turn.exchanges:
        response = exchange.response
        if response is None or exchange.problems:
            found += [Problem(text) for text in exchange.problems or ["there was no answer"]]
            continue
        judge = Judge(case, turn, exchange, fill)
        if not response.whole and not of(step, "cut"):
            found.append(Problem("the response ends early"))
        for e in sorted(step.expected, key=lambda e: not e.given):
            text = getattr(judge, METHODS.get(e.kind, e.kind))(e)
            if text:
                found.append(Problem(f"not `{e.text}`: {text}", e.given))
    return found
