"""Path patterns as routes declare them, and what they match: as zq/route.h has it, in C. Private.

A pattern is a path with typed parameters, `/company/<int:id>/<name>.json`. A segment holds at most
one: `<name>` or `<str:name>` is one or more bytes of it, `<int:name>` digits, `<float:name>` digits,
a point and digits, `<uuid:name>` 8-4-4-4-12 hexadecimal digits; `<path:name>`, at the end, is all
that is left, slashes and all. Everything else is literal, and case counts.

Only plain paths are matched: without escapes, `;`, `\\`, dot segments, or empty segments but the
last. All others are the application's.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
CONVERTERS = {  # in the order of preference: what it matches, an example
    "int": ("[0-9]{1,1000}", "1"),
    "float": (r"[0-9]{1,1000}\.[0-9]{1,1000}", "1.5"),
    "uuid": (_UUID, "00000000-0000-0000-0000-000000000000"),
    "str": ("[^/]+", "a"),
    "path": (".+", "a/b"),
}
_RANK = {"int": 1, "float": 1, "uuid": 1, "str": 2, "path": 3}
_PARAMETER = re.compile(r"<(?:([a-z]+):)?([A-Za-z_][A-Za-z0-9_]*)>")
_LITERAL = re.compile(r"[!$&'()*+,\-.0-9:=@A-Z_a-z~]*")  # RFC 3986 3.3, without escapes and `;`
_PARAMETERS_MAX = 16  # ZQ_ROUTE_PARAMETERS_MAX, ZQ_ROUTE_PATTERN_MAX
_PATTERN_MAX = 2048


class Segment(NamedTuple):
    """`prefix`, a parameter, `suffix`; a literal is all prefix and has no converter."""

    prefix: str
    converter: str | None = None
    name: str = ""
    suffix: str = ""

    def __str__(self) -> str:
        if self.converter is None:
            return self.prefix
        kind = "" if self.converter == "str" else f"{self.converter}:"
        return f"{self.prefix}<{kind}{self.name}>{self.suffix}"

    @property
    def rank(self) -> tuple[int, int, int]:
        """Smaller is better: literals, then who has more literal bytes, then the narrower type."""
        if self.converter is None:
            return 0, 0, 0
        return 1, -len(self.prefix + self.suffix), _RANK[self.converter]

    @property
    def example(self) -> str:
        middle = CONVERTERS[self.converter][1] if self.converter else ""
        return self.prefix + middle + self.suffix

    def value(self, text: str) -> str | None:
        """The parameter's, or None if `text` is not matched."""
        if self.converter is None:
            return "" if text == self.prefix else None
        end = len(text) - len(self.suffix)
        middle = text[len(self.prefix) : end]
        if end <= len(self.prefix) or self.prefix + middle + self.suffix != text:
            return None
        pattern = CONVERTERS[self.converter][0]
        return middle if re.fullmatch(pattern, middle, re.DOTALL) else None


class Pattern:
    """A parsed path; `str()` gives it back in its one form."""

    def __init__(self, path: str):
        """ValueError, with a sentence, if it cannot be declared."""
        if not path.startswith("/"):
            raise ValueError(f"{path!r} does not begin with /")
        if len(path) > _PATTERN_MAX:
            raise ValueError(f"it is longer than {_PATTERN_MAX} bytes: {path[:40]!r}…")
        self.segments = tuple(_segment(text) for text in path[1:].split("/"))
        self.names = [segment.name for segment in self.segments if segment.converter]
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"{path} names a parameter twice")
        if len(self.names) > _PARAMETERS_MAX:
            raise ValueError(f"{path} has more than {_PARAMETERS_MAX} parameters")
        if any(segment.converter == "path" for segment in self.segments[:-1]):
            raise ValueError(f"{path}: <path:…> comes last")
        if not is_plain(self.example()):
            raise ValueError(f"{path} has a dot segment or an empty one")

    def __str__(self) -> str:
        return "/" + "/".join(map(str, self.segments))

    @property
    def rank(self) -> list[tuple[int, int, int]]:
        """Of those that match a path, the one with the smallest is meant."""
        return [segment.rank for segment in self.segments]

    @property
    def shape(self) -> str:
        """The same for patterns that match the same paths."""
        return "/".join(str(s._replace(name="_") if s.converter else s) for s in self.segments)

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters' text, of a raw path; None if it is not matched."""
        if not is_plain(path):
            return None
        texts = path[1:].split("/")
        if self.segments[-1].converter == "path":
            head = len(self.segments) - 1
            texts = [*texts[:head], "/".join(texts[head:])]
        if len(texts) != len(self.segments):
            return None
        values = [s.value(text) for s, text in zip(self.segments, texts, strict=True)]
        if None in values:
            return None
        return {s.name: v for s, v in zip(self.segments, values, strict=True) if s.converter}

    def example(self) -> str:
        return "/" + "/".join(segment.example for segment in self.segments)

    def common(self, other: "Pattern") -> str | None:
        """A path that both match, with as many literals as there can be; None if there is none."""
        found = _common(self.segments, other.segments)
        both = found and self.match(found) is not None and other.match(found) is not None
        return found if both else None


def is_plain(path: str) -> bool:
    segments = path[1:].split("/")
    return (
        path.startswith("/")
        and not set(path) & set("%;\\")
        and all(segment not in (".", "..") for segment in segments)
        and all(segments[:-1])
    )


def best(patterns: Iterable[Pattern], path: str) -> tuple[Pattern, dict[str, str]] | None:
    """The pattern that is meant by a path, and its parameters."""
    found = [(each, each.match(path)) for each in patterns]
    found = [(each, values) for each, values in found if values is not None]
    return min(found, key=lambda each: each[0].rank, default=None)


def _segment(text: str) -> Segment:
    match = _PARAMETER.search(text)
    prefix, suffix = (text[: match.start()], text[match.end() :]) if match else (text, "")
    if _PARAMETER.search(suffix):
        raise ValueError(f"`{text}` has two parameters in one segment")
    if not _LITERAL.fullmatch(prefix) or not _LITERAL.fullmatch(suffix):
        raise ValueError(f"`{text}` has characters that a path would escape, or is no parameter")
    if match is None:
        return Segment(prefix)
    converter = match[1] or "str"
    if converter not in CONVERTERS:
        raise ValueError(f"`{text}`: there is no converter {converter!r}")
    if converter == "path" and suffix:
        raise ValueError(f"`{text}`: <path:…> comes last")
    return Segment(prefix, converter, match[2], suffix)


def _common(ours: tuple[Segment, ...], theirs: tuple[Segment, ...]) -> str | None:
    if not ours or not theirs:
        return "" if not ours and not theirs else None
    for path, others in ((ours[0], theirs), (theirs[0], ours)):
        if path.converter == "path":
            rest = "/".join(segment.example for segment in others)
            return "/" + rest if path.value(rest) is not None else "/" + path.example
    first = _common_text(ours[0], theirs[0])
    rest = _common(ours[1:], theirs[1:]) if first is not None else None
    return None if rest is None else f"/{first}{rest}"


def _common_text(a: Segment, b: Segment) -> str | None:
    middle = min((a, b), key=lambda s: _RANK.get(s.converter or "", 0))
    mixed = Segment(
        max(a.prefix, b.prefix, key=len), middle.converter, "", max(a.suffix, b.suffix, key=len)
    )
    for text in (mixed.example, a.example, b.example):
        if a.value(text) is not None and b.value(text) is not None:
            return text
    return None
