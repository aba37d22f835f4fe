"""Functions that answer without a framework: `simple_json`. Private."""

import dataclasses
import importlib
import inspect
import json
import math
import re
import types
import typing
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from zq._cached import DIRECT, RULE, Rule, is_status, name_of, several
from zq._converters import Converter
from zq._paths import Pattern

try:
    orjson: Any = importlib.import_module("orjson")
except ImportError:
    orjson = None

Fields = list[tuple[bytes, bytes]]
Answer = tuple[int, Fields, bytes]  # status, fields, body

_TYPES: dict[type, str] = {str: "str", int: "int", float: "float", uuid.UUID: "uuid"}
_CONVERTED: dict[str, type] = {
    "any": str,
    "int": int,
    "float": float,
    "uuid": uuid.UUID,
    "chars": str,
    "slug": str,
    "str": str,
    "path": str,
}
_INT = re.compile(r"[+-]?[0-9]{1,1000}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TRUE, _FALSE = ("1", "true", "on", "yes"), ("0", "false", "off", "no")
_QUERY_MAX = 1000  # parameters in one query

direct_routes: list["DirectRoute"] = []  # of this process, in the order of their declaration


def simple_json(
    path: str, methods: Iterable[str] = ("GET",)
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Answer this path with what a function returns, as JSON, and without the framework:

        @zq.simple_json("/api/quote/<ticker>")
        def quote(ticker: str, days: int = 1, fields: list[str] | None = None):
            return {"ticker": ticker, "close": closes[ticker][-days:]}

    **The framework's middleware, hooks, sessions, authentication and CSRF checks are skipped**: the
    function is all that runs. Whoever can reach the server can call it.

    `path` is literal but for its parameters: `<name>`, `<int:name>`, `<float:name>`, `<uuid:name>`,
    `<slug:name>`, `<any(a,b):name>`, `<path:name>` (the rest); a bare `<name>` takes its type from
    the annotation. `<int(min=1,max=99):name>` and `<str(length=2):name>` bound them. A path of
    another type, or one with escapes, is not this route's: the application gets it. GET answers
    HEAD, too.

    The other parameters come from the query: int, float, bool, str, uuid.UUID, one of these or
    None, `list[…]` of one for what may be repeated (else the last one counts); those without a
    default have to be there. What is missing or of another type is a 422 whose JSON body names the
    parameter. A parameter annotated `bytes` gets the request's body.

    It returns what `json` can encode, or (that, status), or (that, status, headers); lists rather
    than tuples are its arrays. `orjson` encodes where it is installed. An `async def` is awaited on
    the worker's event loop; a `def` runs on it, and must not block. With `@zq.cached_route` below,
    zq keeps the answers.

    Returns the function as it was. Raises TypeError or ValueError for a path, or parameters, that
    cannot be served. Under another server, `zq.asgi(app)` serves it.
    """
    pattern = Pattern(path)
    methods = _methods(methods)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        route = DirectRoute(pattern, methods, function)
        direct_routes[:] = [each for each in direct_routes if not each.is_former(route)]
        direct_routes.append(route)
        try:
            setattr(function, DIRECT, True)
        except AttributeError:
            pass
        return function

    return register


def _methods(methods: Iterable[str]) -> tuple[str, ...]:
    methods = several("simple_json: methods", methods)
    if not methods or any(not re.fullmatch("[A-Z]+", str(method)) for method in methods):
        raise ValueError(f"simple_json: methods are upper case and at least one, unlike {methods}")
    return methods


# ---- parameters ----


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One that the query gives. `read` converts a text, or raises ValueError with what it should
    be; `default` is inspect.Parameter.empty for what has to be there."""

    name: str
    read: Callable[[str], Any]
    repeated: bool
    default: Any


def read_int(text: str) -> int:
    if not _INT.fullmatch(text):
        raise ValueError("an integer")
    return int(text)


def read_float(text: str) -> float:
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def read_bool(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE + _FALSE:
        raise ValueError("a boolean, such as true or false")
    return word in _TRUE


def read_uuid(text: str) -> uuid.UUID:
    if not _UUID.fullmatch(text):
        raise ValueError("a UUID")
    return uuid.UUID(text)


_READERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: read_int,
    float: read_float,
    bool: read_bool,
    uuid.UUID: read_uuid,
    inspect.Parameter.empty: str,
}
_PATH_READERS = _READERS | {uuid.UUID: uuid.UUID}  # its form was looked at already


def _without_none(annotation: Any) -> Any:
    """T of `T | None`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [each for each in typing.get_args(annotation) if each is not type(None)]
        if len(kinds) == 1:
            return kinds[0]
    return annotation


def _query_parameter(name: str, parameter: inspect.Parameter) -> Parameter:
    kind = _without_none(parameter.annotation)
    repeated = kind is list or typing.get_origin(kind) is list
    if repeated:
        kind = (typing.get_args(kind) or (str,))[0]
    if kind not in _READERS:
        raise TypeError(
            f"{name}: the parameter {parameter.name} is annotated {parameter.annotation!r}; a query "
            "gives int, float, bool, str, uuid.UUID, list[…] of one of them, or None"
        )
    return Parameter(parameter.name, _READERS[kind], repeated, parameter.default)


# ---- a route ----


class DirectRoute:
    """A path, methods, and a function with its parameters. Calling it is the adapter that the
    worker uses; it never raises but what the function does."""

    def __init__(self, pattern: Pattern, methods: tuple[str, ...], function: Callable[..., Any]):
        self.methods = methods
        self.why = name_of(function)
        self.rule: Rule | None = getattr(function, RULE, None)
        self.function = inspect.unwrap(function) if self.rule else function
        signature = inspect.signature(self.function, eval_str=True)
        self.query: list[Parameter] = []
        self.body: str | None = None
        name = f"simple_json: {self.why}"
        for parameter in signature.parameters.values():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise TypeError(f"{name}: the parameter {parameter.name} cannot be given by name")
            if parameter.name in pattern.names:
                continue
            if parameter.annotation is bytes and self.body is None:
                self.body = parameter.name
            else:
                self.query.append(_query_parameter(name, parameter))
        if self.rule is not None and self.rule.query is None and not self.rule.ignore_query:
            names = tuple(parameter.name for parameter in self.query)
            self.rule = dataclasses.replace(self.rule, query=names)  # it looks at no others
        self.pattern = self._typed(pattern, signature, name)
        self.read = {
            segment.name: _PATH_READERS[_CONVERTED[segment.converter.name]]
            for segment in self.pattern.segments
            if segment.converter
        }

    @staticmethod
    def _typed(pattern: Pattern, signature: inspect.Signature, name: str) -> Pattern:
        """With the types of annotations where the path says none."""
        segments = []
        for segment in pattern.segments:
            if segment.converter:
                parameter = signature.parameters.get(segment.name)
                if parameter is None:
                    raise TypeError(f"{name} has no parameter {segment.name}, unlike its path")
                kind = _without_none(parameter.annotation)
                expected = _TYPES.get(kind)
                if kind is parameter.empty:
                    expected = segment.converter.name
                elif segment.converter == Converter("str") and expected:
                    segment = segment._replace(converter=Converter(expected))
                if _CONVERTED[segment.converter.name] is not _CONVERTED.get(expected or ""):
                    raise TypeError(
                        f"{name}: the path gives {segment}, the parameter wants {kind!r}"
                    )
            segments.append(segment)
        return Pattern("/" + "/".join(map(str, segments)))

    def is_former(self, other: "DirectRoute") -> bool:
        """The same function of the same route, before its module was loaded again."""
        return (self.why, str(self.pattern), self.methods) == (
            other.why,
            str(other.pattern),
            other.methods,
        )

    def __call__(
        self, path: dict[str, str], query: bytes, method: str, headers: Fields, body: bytes
    ) -> Answer | Awaitable[Answer]:
        """`path`: the parameters' text by name."""
        arguments: dict[str, Any] = {}
        faults: list[dict[str, Any]] = []
        try:
            for name, text in path.items():
                arguments[name] = self.read[name](text)
        except ValueError:  # digits that are no finite number
            return _json_answer({"detail": "Not Found"}, 404, [])
        if self.query:
            _read_query(self.query, query, arguments, faults)
        if self.body is not None:
            arguments[self.body] = body
        if faults:
            return _json_answer({"detail": faults}, 422, [])
        result = self.function(**arguments)
        if inspect.isawaitable(result):
            return self._later(result, method, arguments)
        return self._answer(result, method, arguments)

    async def _later(
        self, result: Awaitable[Any], method: str, arguments: dict[str, Any]
    ) -> Answer:
        return self._answer(await result, method, arguments)

    def _answer(self, result: Any, method: str, arguments: dict[str, Any]) -> Answer:
        value, status, headers = result, 200, []
        if isinstance(result, tuple) and len(result) in (2, 3) and is_status(result[1]):
            value, status = result[0], int(result[1])
            headers = _pairs(result[2]) if len(result) == 3 else []
        if self.rule is not None:
            added = self.rule.additions(method, status, headers, (), arguments)
            names = {name.lower() for name in added}
            headers = [(n, v) for n, v in headers if n.lower() not in names] + _pairs(added)
        return _json_answer(value, status, headers)


def _pairs(headers: Any) -> list[tuple[str, Any]]:
    """Of a mapping, or of pairs, among which a name may be there twice."""
    return list(headers.items() if hasattr(headers, "items") else headers)


def _read_query(
    wanted: list[Parameter], query: bytes, arguments: dict[str, Any], faults: list[dict[str, Any]]
) -> None:
    given: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(query.decode("ascii"), True, errors="strict", max_num_fields=_QUERY_MAX)
    except ValueError:  # no UTF-8, or too much of it
        faults.append({"loc": ["query"], "msg": "cannot be read"})
        return
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    for each in wanted:
        texts = given.get(each.name)
        if texts is None and each.default is not inspect.Parameter.empty:
            arguments[each.name] = each.default
        elif texts is None:
            faults.append({"loc": ["query", each.name], "msg": "is missing"})
        else:
            try:
                values = [each.read(text) for text in (texts if each.repeated else texts[-1:])]
            except ValueError as error:
                faults.append({"loc": ["query", each.name], "msg": f"is not {error}"})
            else:
                arguments[each.name] = values if each.repeated else values[0]


# ---- JSON ----


def encode(value: Any) -> bytes:
    """TypeError or ValueError for what is no JSON: NaN and infinities, too, unless orjson makes
    null of them."""
    if orjson is not None:
        try:
            return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:
            pass  # integers of more than 64 bits, say; or json names what is wrong
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _json_answer(value: Any, status: int, headers: list[tuple[str, Any]]) -> Answer:
    body = encode(value)
    fields = [(name.lower().encode("latin-1"), str(v).encode("latin-1")) for name, v in headers]
    if all(name != b"content-type" for name, _ in fields):
        fields.append((b"content-type", b"application/json"))
    fields = [each for each in fields if each[0] != b"content-length"]
    if status in (204, 304):
        return status, fields, b""
    fields.append((b"content-length", str(len(body)).encode()))
    return status, fields, body
