"""The origin: an ASGI application that plays its part of the conversations.

    /c/CASE/RUN/BASE…            the answer of the step that `Conformance-Step` names; what came is
                                 recorded under CASE/RUN; BASE is the conversation's {now}
    /conformance/seen?CASE/RUN   these records, as JSON

Final answers but 304 carry `Conformance-Step: N`. Interim responses go out by the scope extension
`zq.http.response.interim`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json

from conformance.cache import judge, script

CASES = {case.name: case for case in script.load()}
OF_CONTENT = ("Content-Length", "Content-Range")
EXTENSION = "zq.http.response.interim"

seen: dict[str, list[dict]] = {}  # CASE/RUN → records in order


class Gone(Exception):
    """The origin is gone: no answer, or no more of it."""


def latin(value: bytes) -> str:
    return value.decode("latin-1")


def pairs(fields: script.Fields) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]


async def read_body(receive) -> str:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return latin(body)


def record(scope, fields: list[tuple[str, str]], step: int, body: str) -> dict:
    return {
        "step": step,
        "method": scope["method"],
        "target": scope["path"] + "?" * bool(scope["query_string"]) + latin(scope["query_string"]),
        "fields": fields,
        "body": body,
    }


async def send_json(send, value) -> None:
    body = json.dumps(value).encode()
    fields = [("content-type", "application/json"), ("cache-control", "no-store")]
    fields.append(("content-length", str(len(body))))
    await send({"type": "http.response.start", "status": 200, "headers": pairs(fields)})
    await send({"type": "http.response.body", "body": body})


async def send_interim(scope, send, answer: script.Answer) -> None:
    if EXTENSION in scope.get("extensions", {}):
        for status, fields in answer.interim:
            await send({"type": EXTENSION, "status": status, "headers": pairs(fields)})


def is_current(answer: script.Answer, named: dict[str, str]) -> bool:
    """Is there a condition that 304 answers?"""
    tag = dict(pairs(answer.fields)).get(b"etag", b"").decode("latin-1").removeprefix("W/")
    if "if-none-match" in named:
        return tag in named["if-none-match"] or named["if-none-match"] == "*"
    return "if-modified-since" in named


def answer_of(case: script.Case, number: int, named: dict[str, str]) -> script.Answer:
    """As the script says; but 304 only answers a condition, and 206 a range: else 200, and the
    content that names case and step."""
    answer = case.steps[number - 1].answer
    partial = answer.status == 206 and "range" not in named
    current = answer.status != 304 or answer.unasked or is_current(answer, named)
    if not partial and current:
        return answer
    fields = [(name, value) for name, value in answer.fields if name not in OF_CONTENT]
    return dataclasses.replace(answer, status=200, fields=fields, body=None)


async def play(scope, send, case: script.Case, number: int, answer: script.Answer, fill):
    await send_interim(scope, send, answer)
    await asyncio.sleep(answer.delay)
    if answer.ending == "close":
        raise Gone(f"{case.name}: the origin closes, as its script says")
    fields = [(name, fill(value)) for name, value in answer.fields]
    content = case.default(number) if answer.body is None else answer.body
    body = b"" if answer.status in judge.BODILESS else content.encode("latin-1")
    if answer.status != 304:
        fields.append(("Conformance-Step", str(number)))
    named = {name.lower() for name, _ in fields}
    if "content-type" not in named and answer.status not in judge.BODILESS:
        fields.append(("Content-Type", "text/plain"))
    if answer.status not in judge.BODILESS and "content-length" not in named:
        fields.append(("Content-Length", str(len(body))))
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs(fields)})
    if scope["method"] == "HEAD":
        body = b""
    if answer.ending == "cut":
        await send({"type": "http.response.body", "body": body[:-1], "more_body": True})
        await asyncio.sleep(0.05)  # so that what was sent is passed on before the end is noticed
        raise Gone(f"{case.name}: the origin stops inside the content, as its script says")
    await send({"type": "http.response.body", "body": body})


async def converse(scope, receive, send) -> None:
    _, _, name, run, rest = scope["path"].split("/", 4)
    base, key = int(rest.partition("/")[0]), f"{name}/{run}"
    path = f"/c/{key}/{base}"
    fields = [(latin(n).lower(), latin(v)) for n, v in scope["headers"]]
    values = dict(fields)
    records = seen.setdefault(key, [])
    body = await read_body(receive)
    last = records[-1]["step"] if records else 1
    number = int(values.get("conformance-step", last))
    records.append(record(scope, fields, number, body))
    answer = answer_of(CASES[name], number, values)

    def fill(text: str) -> str:
        return script.fill(text, base, path, values.get("host", ""))

    await play(scope, send, CASES[name], number, answer, fill)


async def lifespan(receive, send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"].startswith("/c/"):
        await converse(scope, receive, send)
    else:
        await send_json(send, seen.get(latin(scope["query_string"]), []))
