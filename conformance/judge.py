"""Whether what happened is what a case allows (`allowed`), and what zq promises (`strict`)."""

from __future__ import annotations

import dataclasses

from conformance.casefile import Case, Check
from conformance.client import Response, Run, is_next

FAILED, ALLOWED, STRICT = "failed", "allowed", "strict"


@dataclasses.dataclass
class Verdict:
    grade: str
    reasons: list[str]  # why it is not better


def judge(case: Case, run: Run) -> Verdict:
    wrong = failures(case, run)
    if wrong:
        return Verdict(FAILED, wrong)
    lax = laxities(case, run)
    return Verdict(ALLOWED if lax else STRICT, lax)


def failures(case: Case, run: Run) -> list[str]:
    found = ["the server died"] if run.died else []
    found += run.problems
    if not any(outcome.covers(run.statuses, run.ending) for outcome in case.allow):
        found.append(f"{run.outcome}, not {' or '.join(map(str, case.allow))}")
    return found + application_wrongs(case, run, strict=False) + response_wrongs(case, run, False)


def laxities(case: Case, run: Run) -> list[str]:
    found = []
    if not any(outcome.covers(run.statuses, run.ending) for outcome in case.strict):
        found.append(f"{run.outcome}, not {' or '.join(map(str, case.strict))}")
    if run.reset:
        found.append("the connection was reset (RFC 9112 9.6)")
    if run.lingers:
        found.append("Connection: close, and still open (RFC 9112 9.6)")
    for response in run.finals:
        if len(response.all("date")) != 1:
            found.append(f"{response.status} without one Date (RFC 9110 6.6.1)")
    finished = any(step == "fin" for step, _ in case.steps)  # then the client has closed first
    silent = run.finals and "close" not in run.finals[-1].options()
    if run.ending == "close" and silent and not finished:
        found.append("closed without Connection: close (RFC 9112 9.6)")
    if run.ending == "open" and any("close" in response.options() for response in run.finals):
        found.append("open behind Connection: close (RFC 9112 9.6)")
    return found + application_wrongs(case, run, strict=True) + response_wrongs(case, run, True)


# ---- what the application saw


def application_wrongs(case: Case, run: Run, strict: bool) -> list[str]:
    records = [record for record in run.records if not is_next(case, record)]
    if strict:
        found = []
        if case.app == "nothing" and records:
            found.append(f"the application was called: {shown(records[0])}")
        return found + check_records(run, case.app_strict)
    whole = [record for record in records if record["complete"]]
    answered = [response for response in run.finals if response.all("x-conformance")]
    found = []
    if case.app in ("nothing", "incomplete") and whole:
        found.append(f"the application saw a whole request: {shown(whole[0])}")
    elif case.app != "any" and len(whole) > len(answered):
        found.append(f"the application saw a request that was not answered: {shown(whole[-1])}")
    if case.next and run.ending != "open" and any(is_next(case, record) for record in run.records):
        found.append("the application saw the next request, which was not answered")
    return found + check_records(run, case.app_checks)


def shown(record: dict) -> str:
    body = f", body {record['body'][:60]!r}" if record["body"] else ""
    return f"{record['method']} {record['raw_path']!r}{body}"


def check_records(run: Run, checks: list[Check]) -> list[str]:
    """Each response that the application made names the record that it is for."""
    by_number = {str(record["number"]): record for record in run.records}
    found = []
    for check in checks:
        response = run.finals[check.index] if check.index < len(run.finals) else None
        number = response.all("x-conformance") if response else []
        record = by_number.get(number[0]) if number else None
        if record is not None:  # else the server has refused, which `allow` decides about
            found += compare(check, "the application saw", record, record["headers"])
    return found


def response_wrongs(case: Case, run: Run, strict: bool) -> list[str]:
    found = []
    for check in case.response_strict if strict else case.response_checks:
        response = run.finals[check.index] if check.index < len(run.finals) else None
        if response is not None:
            found += compare(check, "the response has", fields_of(response), response.headers)
    return found


def fields_of(response: Response) -> dict:
    return {"body": response.body.decode("latin-1"), "reason": response.reason}


def compare(check: Check, who: str, fields: dict, headers) -> list[str]:
    if not check.name:
        value = fields[check.field]
        return [] if value == check.values[0] else [f"{who} {check.field} {value!r}: {check.text}"]
    values = tuple(value for name, value in headers if name == check.name)
    if check.field == "has":
        return [] if values else [f"{who} no {check.name}"]
    if check.field == "no header":
        return [f"{who} {check.name}: {values}, not wanted"] if values else []
    wanted = check.values
    if check.name == "host":
        values, wanted = (tuple(map(canonical, each)) for each in (values, wanted))
    return [] if values == wanted else [f"{who} {check.name}: {values}: {check.text}"]


def canonical(host: str) -> str:
    """RFC 9110 4.2.3: a host has no case, and its scheme's default port is the same as none."""
    return host.lower().removesuffix(":80")


# ---- two runs of one case


def answered_records(run: Run) -> list[tuple[str, ...]]:
    """What the application saw of the requests that it answered, in the order of the answers.
    (Whether it was called for one that the server answers itself, in its body or because several
    clients wait for the same failure, may depend on time.)"""
    keys = ("method", "raw_path", "path", "query", "version", "headers", "body")
    by_number = {str(record["number"]): record for record in run.records}
    numbers = [number for response in run.finals for number in response.all("x-conformance")]
    found = [by_number[number] for number in numbers if number in by_number]
    return [tuple(str(record[key]) for key in keys) for record in found]


def differences(case: Case, whole: Run, cut: Run) -> list[str]:
    """What depends on how the bytes were cut, though nothing may."""
    found = []
    if whole.outcome != cut.outcome:
        found.append(f"{cut.outcome}, in one piece {whole.outcome}")
    if whole.problems != cut.problems:
        found.append(f"{cut.problems}, in one piece {whole.problems}")
    if answered_records(whole) != answered_records(cut):
        seen = f"{answered_records(cut)}, in one piece {answered_records(whole)}"
        found.append(f"the application saw {seen}")
    return found + [wrong for wrong in failures(case, cut) if not failures(case, whole)]
