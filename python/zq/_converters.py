"""The types of a pattern's parameters, and their bounds: as zq/route.h has them, in C. Private."""

import re
from typing import Any

_INFINITE = 1 << 62
_DIGITS_MAX = 1000  # of an int or a float, as in src/base/route_piece.c
_LENGTHS = {"length", "minlength", "maxlength"}
_TAKES: dict[str, set[str]] = {  # in the order of preference
    "any": set(),
    "int": _LENGTHS | {"min", "max", "signed"},
    "float": {"signed", "loose"},
    "uuid": {"lower", "loose"},
    "chars": _LENGTHS,
    "slug": _LENGTHS,
    "str": _LENGTHS,
    "path": _LENGTHS,
}
_ORDER = list(_TAKES)
_ARGUMENT = re.compile("([a-z]+)(?:=(-?[0-9]{1,18}))?")
_ITEM = re.compile(r"[!$&'*+\-.0-9=@A-Z_a-z~]+")
_SET = re.compile("(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9._~])*-?")
_VISIBLE = frozenset(map(chr, range(0x21, 0x7F)))  # what a request target may hold
_SLUG = "a-zA-Z0-9_-"


class Converter:
    """`name`, one of str, int …, and its `arguments` as they are written. `lengths` and `values` are
    the least and the most; `items` those of any; `alphabet` the characters that there may be;
    `required` those that there must be."""

    def __init__(self, name: str, arguments: str = ""):
        """ValueError, with a sentence, if there is none such."""
        if name not in _TAKES:
            raise ValueError(f"there is no converter {name!r}")
        self.name, self.arguments = name, arguments
        self.items: tuple[str, ...] = ()
        self.lengths, self.values = (1, _INFINITE), (-_INFINITE, _INFINITE)
        self._words: set[str] = set()
        self._read(arguments.split(",") if arguments else [])
        self.alphabet, self.required, self._regex = self._language()

    def __str__(self) -> str:
        return f"{self.name}({self.arguments})" if self.arguments else self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Converter) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def rank(self) -> tuple[int, bool, str]:
        """Smaller is better: the narrower type, then who has arguments."""
        return _ORDER.index(self.name), not self.arguments, self.arguments

    @property
    def regex(self) -> str:
        """What it takes, but for its lengths and values."""
        return self._regex

    def takes(self, text: str) -> bool:
        least, most = self.lengths
        if not least <= len(text) <= most or not re.fullmatch(self._regex, text, re.DOTALL):
            return False
        return self.name != "int" or self.values[0] <= int(text) <= self.values[1]

    def _wrong(self, why: str) -> ValueError:
        return ValueError(f"{self}: {why}")

    def _read(self, arguments):
        if self.name == "any":
            self.items = tuple(arguments)
            if not arguments or not all(map(_ITEM.fullmatch, arguments)):
                raise self._wrong("any names what it takes, each in characters of a path")
            arguments = []
        if self.name == "chars":
            if not arguments or not _is_set(arguments[0]):
                raise self._wrong("chars names a set, such as a-z0-9._~-")
            arguments = arguments[1:]
        for argument in arguments:
            match = _ARGUMENT.fullmatch(argument)
            if match is None or match[1] not in _TAKES[self.name]:
                raise self._wrong(f"it takes no {argument!r}")
            self._read_one(match[1], match[2])
        if self.lengths[0] > self.lengths[1] or self.values[0] > self.values[1]:
            raise self._wrong("nothing keeps these bounds")

    def _read_one(self, name: str, number: str | None):
        if (number is None) != (name in ("signed", "lower", "loose")):
            raise self._wrong(f"{name} is wrong")
        if number is None:
            self._words.add(name)
        elif name in _LENGTHS:
            n = int(number)
            if n < 0:
                raise self._wrong(f"{name} is negative")
            low, high = self.lengths
            self.lengths = (
                low if name == "maxlength" else n,
                high if name == "minlength" else n,
            )
        else:
            low, high = self.values
            self.values = (int(number), high) if name == "min" else (low, int(number))

    def _language(self) -> tuple[frozenset[str], frozenset[str], str]:
        """The alphabet, what is required of it, and the regular expression."""
        sign = "-?" if "signed" in self._words else ""
        if self.name in ("chars", "slug"):
            letters = _SLUG if self.name == "slug" else self.arguments.split(",")[0]
            return _expanded(letters), frozenset(), f"[{letters}]*"
        if self.name == "any":
            regex = "|".join(map(re.escape, self.items))
            lengths = sorted(map(len, self.items))
            self.lengths = lengths[0], lengths[-1]
            return frozenset("".join(self.items)), frozenset(), regex
        if self.name in ("int", "float"):
            self.lengths = self.lengths[0], min(self.lengths[1], _DIGITS_MAX)
        if self.name == "int":
            return _expanded("0-9" + sign[:1]), frozenset(), f"{sign}[0-9]+"
        if self.name == "float":
            loose = "loose" in self._words
            fraction = r"(?:\.[0-9]+)?" if loose else r"\.[0-9]+"
            required = frozenset() if loose else frozenset(".")
            return _expanded("0-9." + sign[:1]), required, f"{sign}[0-9]+{fraction}"
        if self.name == "uuid":
            return self._uuid()
        return _VISIBLE, frozenset(), ".*" if self.name == "path" else "[^/]*"

    def _uuid(self):
        digit = "0-9a-f" if "lower" in self._words else "0-9a-fA-F"
        dash = "-?" if "loose" in self._words else "-"
        self.lengths = (32 if "loose" in self._words else 36), 36
        regex = dash.join(f"[{digit}]{{{n}}}" for n in (8, 4, 4, 4, 12))
        required = frozenset() if "loose" in self._words else frozenset("-")
        return _expanded(digit + "-"), required, regex


def _expanded(letters: str) -> frozenset[str]:
    """The characters of a set as chars has it."""
    return frozenset(c for c in map(chr, range(128)) if re.fullmatch(f"[{letters}]", c))


def _is_set(text: str) -> bool:
    ranges = re.findall("([A-Za-z0-9])-([A-Za-z0-9])", text)
    return bool(text and _SET.fullmatch(text)) and all(low <= high for low, high in ranges)


def bounded(name: str, **bounds: Any) -> str:
    """`name(…)` with those bounds that are not None, and those words that are True."""
    low, high = bounds.pop("minlength", None), bounds.pop("maxlength", None)
    if low is not None and low == high:
        bounds["length"] = low
    else:
        bounds |= {"minlength": None if low == 1 else low, "maxlength": high}
    words = [
        key if value is True else f"{key}={value}"
        for key, value in bounds.items()
        if value is not None and value is not False
    ]
    return f"{name}({','.join(words)})" if words else name
