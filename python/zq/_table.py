"""`zq routes MODULE:APP`: what an application declares, for people and as JSON. Private."""

import contextlib
import json
import os
import sys

from zq._cached import Rule
from zq._errors import StartError, log
from zq._load import load_app, new_loop
from zq._routes import Found, survey
from zq._static import RouteError

_SKIPPED = "skips the framework's middleware and authentication"


def main(config, form):
    """Loads the application, without its lifespan, and prints its routes, as a table or json; the exit
    status."""
    try:
        new_loop(config["loop"])
        with contextlib.redirect_stdout(sys.stderr):  # what the application prints is no table
            found = survey(load_app(config["app"], config["app_dir"], config["factory"]))
    except RouteError as error:
        StartError(str(error), error.__cause__).log()
        return 1
    except StartError as error:
        error.log()
        return 1
    if found.unread is not None:
        log("warning", f"`{config['app']}`: {found.unread}; its own routes are missing here")
    try:
        print((_as_json if form == "json" else _as_table)(found.found), flush=True)
    except BrokenPipeError:  # `| head`: nothing is left to be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return 0


def _key(rule: Rule | None) -> str:
    """The key rule in a few words; what nothing is said of counts as usual."""
    if rule is None:
        return ""
    words = []
    if rule.query is not None:
        words.append(f"query {', '.join(rule.query) or 'none'}")
    if rule.ignore_query:
        words.append(f"query without {', '.join(rule.ignore_query)}")
    if rule.cookies is not None:
        words.append(f"cookies {', '.join(rule.cookies) or 'none'}")
    if rule.headers:
        words.append(f"headers {', '.join(rule.headers)}")
    return "; ".join(words)


def _why(found: Found) -> str:
    return f"{found.why}; {_SKIPPED}" if found.kind in ("direct", "static") else found.why


def _as_table(found: list[Found]) -> str:
    rows = [("METHOD", "PATH", "CLASS", "KEY", "WHY")]
    rows += [
        (",".join(each.methods), each.path, each.kind, _key(each.rule) or "-", _why(each))
        for each in found
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]
    return "\n".join(_printable(line) for line in lines)


def _printable(line: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _as_json(found: list[Found]) -> str:
    """A list of objects; the lists of a key rule are null where all of them count."""
    objects = [
        {
            "methods": list(each.methods),
            "path": each.path,
            "class": each.kind,
            "query": each.rule.query if each.rule else None,
            "ignore_query": each.rule.ignore_query if each.rule else (),
            "cookies": each.rule.cookies if each.rule else None,
            "headers": each.rule.headers if each.rule else (),
            "why": _why(each),
        }
        for each in found
    ]
    return json.dumps(objects, indent=2)
