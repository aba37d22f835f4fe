"""Responses that are made at start and replayed without Python: `static_route`. Private."""

import hashlib
import json
import mimetypes
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from typing import Any

from zq._cached import TOKEN, is_status, name_of
from zq._paths import Pattern

Response = tuple[int, list[tuple[bytes, bytes]], bytes]  # status, fields, body
Body = str | bytes | dict[str, Any] | list[Any]

_RESPONSE_MAX = (1 << 20) - (16 << 10)  # ZQ_WIRE_PAYLOAD_MAX, less what declares the route
_MISSING: Any = object()


class RouteError(Exception):
    """A route cannot be served: a sentence for a person that names it; `__cause__` is why, if that
    was an exception."""


static_routes: list["StaticRoute"] = []  # of this process, in the order of their declaration


def static_route(
    path: str,
    content: Body | os.PathLike[str] | Callable[..., Any] = _MISSING,
    *,
    file: str | os.PathLike[str] | None = None,
    content_type: str | None = None,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Any:
    """Answer GET and HEAD of this path with one response, made when a worker starts and replayed by
    the front without Python, again and again until the next reload:

        zq.static_route("/robots.txt", "User-agent: *\\n")
        zq.static_route("/logo.svg", Path(__file__).parent / "logo.svg")

        @zq.static_route("/about")
        async def about():
            return await render_template("about.html")

    **The framework's middleware, hooks, sessions and authentication are skipped**: everybody gets
    the same bytes.

    `path` is literal. `content` is the body (a str, bytes; a dict or list as JSON), a file (a Path;
    or give `file`), or a view: a function, sync or async, that returns one of these bodies, (body,
    status), (body, status, headers), or a response of the application's framework. It is called
    once at start, after the lifespan startup, in a request context of Quart or Flask; in Starlette
    and Django it may take a request. Without `content` this decorates a view.

    The content type, where nothing names one, is guessed from the file's name, the path, or the
    body. `ETag` is added, and for a file `Last-Modified`; `headers` are sent besides (Cache-Control
    for browsers, say).

    The worker does not start, and says which route it is, if the view fails, the file cannot be
    read, or the response is larger than 1008 KiB. Under another server, `zq.asgi(app)` serves it.
    Raises ValueError for a path with parameters.
    """
    pattern = Pattern(path)
    if pattern.names:
        raise ValueError(f"static_route: {path} has parameters; a static response has none")
    if not is_status(status):
        raise ValueError(f"static_route: {path}: {status!r} is no final status code")
    fields = {name.lower(): value for name, value in (headers or {}).items()}
    if content_type is not None:
        fields["content-type"] = content_type
    module = sys._getframe(1).f_globals.get("__name__", "?")

    def register(source: Any) -> Any:
        route = StaticRoute(pattern, source, fields, status, module)
        static_routes[:] = [each for each in static_routes if not each.is_former(route)]
        static_routes.append(route)
        return source

    if content is _MISSING and file is None:
        return register
    if content is not _MISSING and file is not None:
        raise TypeError(f"static_route: {path} has a content and a file")
    register(_File(os.fspath(file)) if file is not None else content)
    return None


class _File:
    def __init__(self, path):
        self.path = path


class StaticRoute:
    """A path, and what its response is made of. `fields` by lower-case name."""

    def __init__(
        self, pattern: Pattern, source: Any, fields: dict[str, str], status: int, module: str
    ):
        if isinstance(source, os.PathLike):
            source = _File(os.fspath(source))
        if not isinstance(source, (str, bytes, dict, list, _File)) and not callable(source):
            raise TypeError(
                f"static_route: {pattern}: {type(source).__name__} is no body, file or view"
            )
        self.pattern = pattern
        self.source = source
        self.fields = fields
        self.status = status
        self.module = module

    @property
    def why(self) -> str:
        if isinstance(self.source, _File):
            return f"{self.module}: {self.source.path}"
        return name_of(self.source) if callable(self.source) else self.module

    def is_former(self, other: "StaticRoute") -> bool:
        """The same route, before its module was loaded again."""
        return (self.module, self.why, str(self.pattern)) == (
            other.module,
            other.why,
            str(other.pattern),
        )

    async def render(self, call: Callable[..., Any]) -> Response:
        """The response. `call(view, path)` calls a view as the application's framework would and
        returns a body, (body, status) or (body, status, headers). RouteError names the route."""
        try:
            response = await self._render(call)
        except Exception as error:
            raise RouteError(f"static_route {self.pattern} ({self.why}) failed") from error
        size = sum(len(name) + len(value) + 8 for name, value in response[1]) + len(response[2])
        if size > _RESPONSE_MAX:
            raise RouteError(
                f"static_route {self.pattern} ({self.why}): {size} bytes; "
                f"a static response has at most {_RESPONSE_MAX}"
            )
        return response

    async def _render(self, call):
        value, status, fields = self.source, self.status, dict(self.fields)
        if isinstance(value, _File):
            with open(value.path, "rb") as opened:
                value = opened.read()
                modified = os.fstat(opened.fileno()).st_mtime
            fields.setdefault("last-modified", formatdate(int(modified), usegmt=True))
            fields.setdefault("content-type", _type_of_name(self.source.path))
        elif callable(value):
            value = await call(value, str(self.pattern))
            if isinstance(value, tuple) and len(value) in (2, 3):
                if len(value) == 3:
                    fields = _joined(value[2]) | fields
                value, status = value[0], int(value[1])
        body, kind = _body_of(value, str(self.pattern))
        fields.setdefault("content-type", kind)
        if fields.get("set-cookie") is not None:
            raise ValueError("it sets a cookie, which would be everybody's")
        fields.setdefault("etag", f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        fields["content-length"] = str(len(body))
        encoded = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in fields.items()]
        for name, text in encoded:
            if not TOKEN.fullmatch(name.decode("latin-1")):
                raise ValueError(f"{name.decode('latin-1')!r} is no field name")
            if b"\n" in text or b"\r" in text or b"\0" in text:
                raise ValueError(f"the value of {name.decode()} has a line break in it")
        return status, encoded, body


def _joined(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    """By lower-case name, several of one name as one list."""
    fields: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        have = fields.get(name.lower())
        fields[name.lower()] = str(value) if have is None else f"{have}, {value}"
    return fields


def _body_of(value: Any, path: str) -> tuple[bytes, str]:
    """Its bytes, and a content type."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(), "application/json"
    if isinstance(value, str):
        text = value.lstrip().lower()
        is_html = text.startswith(("<!doctype html", "<html"))
        kind = "text/html; charset=utf-8" if is_html else _type_of_name(path, "text/plain")
        return value.encode(), kind
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), _type_of_name(path)
    raise TypeError(f"{type(value).__name__} is no body: give str, bytes, a dict or a list")


def _type_of_name(name: str, default: str = "application/octet-stream") -> str:
    kind, coding = mimetypes.guess_type(name)
    kind = default if kind is None or coding is not None else kind
    is_text = kind.startswith("text/") or kind in ("application/javascript", "image/svg+xml")
    return f"{kind}; charset=utf-8" if is_text else kind
