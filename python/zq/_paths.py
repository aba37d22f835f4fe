"""Path patterns as routes declare them, and what they match: as zq/route.h has it, in C. Private.

A pattern is a path with typed parameters, `/company/<int:id>/<name>.json`. A segment holds at most
one: `<name>` or `<str:name>` is one or more bytes of it, `<int:name>` digits, `<float:name>` digits,
a point and digits, `<uuid:name>` 8-4-4-4-12 hexadecimal digits, `<slug:name>` letters, digits, `-`
and `_`, `<chars(a-z.):name>` bytes of a set, `<any(a,b):name>` one of several; `<path:name>`, at the
end, is all that is left, slashes and all. Arguments narrow or open a type (zq/route.h has them):
`<int(min=1,max=99):day>`. Everything else is literal, and case counts.

Only plain paths are matched: without escapes, `;`, `\\`, dot segments, or empty segments but the
last. All others are the application's.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from zq._converters import Converter

_PARAMETER = re.compile(r"<(?:([a-z]+)(?:\(([^()]*)\))?:)?([A-Za-z_][A-Za-z0-9_]*)>")
_LITERAL = re.compile(r"[!$&'()*+,\-.0-9:=@A-Z_a-z~]*")  # RFC 3986 3.3, without escapes and `;`
_PARAMETERS_MAX = 16  # ZQ_ROUTE_PARAMETERS_MAX, ZQ_ROUTE_PATTERN_MAX
_PATTERN_MAX = 2048


class Segment(NamedTuple):
    """`prefix`, a parameter, `suffix`; a literal is all prefix and has no converter."""

    prefix: str
    converter: Converter | None = None
    name: str = ""
    suffix: str = ""

    def __str__(self) -> str:
        if self.converter is None:
            return self.prefix
        kind = "" if str(self.converter) == "str" else f"{self.converter}:"
        return f"{self.prefix}<{kind}{self.name}>{self.suffix}"

    @property
    def is_path(self) -> bool:
        return self.converter is not None and self.converter.name == "path"

    @property
    def rank(self) -> tuple[Any, ...]:
        """Smaller is better: literals, then who has more literal bytes, then the better converter."""
        if self.converter is None:
            return (0,)
        around = len(self.prefix + self.suffix)
        return 1 + self.is_path, -around, *self.converter.rank, self.prefix, self.suffix

    def value(self, text: str) -> str | None:
        """The parameter's, or None if `text` is not matched."""
        if self.converter is None:
            return "" if text == self.prefix else None
        end = len(text) - len(self.suffix)
        middle = text[len(self.prefix) : end]
        if end < len(self.prefix) or self.prefix + middle + self.suffix != text:
            return None
        return middle if self.converter.takes(middle) else None

    def overlaps(self, other: "Segment") -> bool:
        """Whether a text may be matched by both: False only if there is none. No <path:…>."""
        for one, two in ((self, other), (other, self)):
            if one.converter is None or one.converter.items:
                items = one.converter.items if one.converter else ("",)
                texts = (one.prefix + item + one.suffix for item in items)
                return any(two.value(text) is not None for text in texts)
        assert self.converter is not None and other.converter is not None
        return (
            _one_begins(self.prefix, other.prefix)
            and _one_begins(self.suffix[::-1], other.suffix[::-1])
            and _meet(self._lengths, other._lengths)
            and self._required <= other._alphabet
            and other._required <= self._alphabet
            and (
                self._around != other._around
                or _meet(self.converter.values, other.converter.values)
            )
        )

    @property
    def _around(self):
        return self.prefix, self.suffix

    @property
    def _lengths(self):
        around = len(self.prefix + self.suffix)
        return self.converter.lengths[0] + around, self.converter.lengths[1] + around

    @property
    def _alphabet(self):
        return self.converter.alphabet | set(self.prefix + self.suffix)

    @property
    def _required(self):
        return self.converter.required | set(self.prefix + self.suffix)


class Pattern:
    """A parsed path; `str()` gives it back in its one form."""

    def __init__(self, path: str):
        """ValueError, with a sentence, if it cannot be declared."""
        if not isinstance(path, str):
            raise TypeError(f"a path is str, not {type(path).__name__}")
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
        if any(segment.is_path for segment in self.segments[:-1]):
            raise ValueError(f"{path}: <path:…> comes last")
        literals = [segment.prefix for segment in self.segments if segment.converter is None]
        empty = any(segment == Segment("") for segment in self.segments[:-1])
        if empty or "." in literals or ".." in literals:
            raise ValueError(f"{path} has a dot segment or an empty one")

    def __str__(self) -> str:
        return "/" + "/".join(map(str, self.segments))

    @property
    def rank(self) -> list[tuple[Any, ...]]:
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
        head = len(self.segments) - 1
        if self.segments[-1].is_path and len(texts) > head:
            texts = [*texts[:head], "/".join(texts[head:])]
        if len(texts) != len(self.segments):
            return None
        values = [s.value(text) for s, text in zip(self.segments, texts, strict=True)]
        if None in values:
            return None
        return {s.name: v for s, v in zip(self.segments, values, strict=True) if s.converter}

    def overlaps(self, other: "Pattern") -> bool:
        """Whether a path may be matched by both: False only if there is none."""
        ours, theirs = self.segments, other.segments
        for i, (mine, yours) in enumerate(zip(ours, theirs, strict=False)):
            if mine.is_path:
                return _rest_overlaps(mine, theirs[i:])
            if yours.is_path:
                return _rest_overlaps(yours, ours[i:])
            if not mine.overlaps(yours):
                return False
        return len(ours) == len(theirs)


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
    converter = Converter(match[1] or "str", match[2] or "")
    if match[2] == "":
        raise ValueError(f"`{text}` has no arguments in its parentheses")
    if converter.name == "path" and suffix:
        raise ValueError(f"`{text}`: <path:…> comes last")
    return Segment(prefix, converter, match[3], suffix)


def _rest_overlaps(path: Segment, rest: tuple[Segment, ...]) -> bool:
    if all(segment.converter is None for segment in rest):
        return path.value("/".join(segment.prefix for segment in rest)) is not None
    return _one_begins(path.prefix, rest[0].prefix)


def _one_begins(a: str, b: str) -> bool:
    return a.startswith(b) or b.startswith(a)


def _meet(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]
