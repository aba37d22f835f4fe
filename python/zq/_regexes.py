r"""Regular expressions that say no more than a pattern can: those of Django's re_path. Private.

    ^articles/(?P<year>[0-9]{4})/(?P<slug>[\w-]+)/$

Literals, and named groups of one class of characters with its count, or of words to choose from.
"""

import re
import string

from zq._converters import bounded

_CLASS = r"\\d|\\w|\.|\[\^/\]|\[(?:\\[dw.-]|[A-Za-z0-9_.~-])+\]"
_TOKEN = re.compile(
    rf"""(?P<literal>[A-Za-z0-9_/~=@,:'&!-]|\\[^A-Za-z0-9])
    |\(\?P<(?P<name>[A-Za-z_][A-Za-z0-9_]*)>
        (?:(?P<class>{_CLASS})(?P<count>[+*]|{{[0-9]+(?:,[0-9]*)?}})?
        |(?P<words>[A-Za-z0-9_-]+(?:\|[A-Za-z0-9_-]+)*))\)""",
    re.VERBOSE,
)
_MEMBER = re.compile(r"\\(?P<escaped>.)|(?P<low>[A-Za-z0-9])-(?P<high>[A-Za-z0-9])|(?P<single>.)")
_DIGITS = frozenset(string.digits)
_WORD = frozenset(string.digits + string.ascii_letters + "_")  # of ASCII, as plain paths are


def pattern_of(regex: str, is_prefix: bool) -> str:
    """The pattern that takes what a regular expression does, or what begins so; ValueError if none
    is known."""
    if is_prefix and not regex:
        return ""
    if not regex.startswith("^"):
        raise ValueError("a regular expression without ^ at its beginning")
    text, at = "", 1
    while at < len(regex):
        if regex[at:] in ("$", r"\Z") and not is_prefix:
            return text
        match = _TOKEN.match(regex, at)
        if match is None:
            raise ValueError(f"a regular expression with `{regex[at:]}`")
        text += match["literal"][-1] if match["literal"] else f"<{_type(match)}:{match['name']}>"
        at = match.end()
    if not is_prefix:
        raise ValueError("a regular expression without $ at its end")
    return text


def beginning_of(regex: str) -> str:
    """What everything that it matches begins with; may be empty."""
    match = re.match(r"\^((?:[A-Za-z0-9/_-](?![*?{]))*)", regex)
    return match[1] if match and "|" not in regex else ""


def _type(match):
    if match["words"]:
        return f"any({match['words'].replace('|', ',')})"
    low, high = _counts(match["count"])
    if match["class"] == ".":
        return bounded("path", minlength=low, maxlength=high)
    if match["class"] == "[^/]":
        return bounded("str", minlength=low, maxlength=high)
    members = _members(match["class"])
    if members == _DIGITS and low > 0:
        return bounded("int", minlength=low, maxlength=high)
    if members == _WORD | {"-"}:
        return bounded("slug", minlength=low, maxlength=high)
    head, paren, arguments = bounded("chars", minlength=low, maxlength=high).partition("(")
    return f"{head}({_set(members)}{',' + arguments if paren else ')'}"


def _counts(text):
    if text in ("+", "*", None):
        return (0 if text == "*" else 1), (1 if text is None else None)
    low, comma, high = text[1:-1].partition(",")
    return int(low), (int(high) if high else None) if comma else int(low)


def _members(text):
    if text in (r"\d", r"\w"):
        return _DIGITS if text == r"\d" else _WORD
    members = set()
    for match in _MEMBER.finditer(text[1:-1]):
        if match["escaped"]:
            members |= {"d": _DIGITS, "w": _WORD}.get(match["escaped"], {match["escaped"]})
        elif match["low"]:
            members |= set(map(chr, range(ord(match["low"]), ord(match["high"]) + 1)))
        else:
            members.add(match["single"])
    return members


def _set(members):
    """As <chars(…)> has it: runs, and `-` at the end."""
    if not members <= _WORD | set("-.~"):
        raise ValueError("a regular expression with a range of other characters")
    runs: list[list[str]] = []
    for each in sorted(members - {"-"}):
        if runs and each.isalnum() and ord(each) == ord(runs[-1][1]) + 1:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    text = "".join(low if low == high else f"{low}-{high}" for low, high in runs)
    return text + ("-" if "-" in members else "")
