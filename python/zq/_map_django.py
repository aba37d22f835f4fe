"""The URL map of a Django project. Private."""

import asyncio
import inspect
import re
from collections.abc import Iterator
from importlib import import_module

from zq._approutes import REST, AppRoute, UrlMap, parts, takes_argument
from zq._regexes import beginning_of, pattern_of

_PARAMETER = re.compile(r"<(?:([^>:]+):)?([^>]+)>")
_TYPES = {
    "IntConverter": "int",
    "StringConverter": "str",
    "SlugConverter": "slug",
    "UUIDConverter": "uuid(lower)",
    "PathConverter": "path",
}


class DjangoMap(UrlMap):
    """Patterns are asked in the order of the list, also behind an include()."""

    framework = "django"

    def __init__(self):
        patterns = import_module("django.urls").get_resolver().url_patterns
        super().__init__(list(self._routes(patterns, "/", "/", None)))

    def _routes(self, patterns, path, pattern, fault) -> Iterator[AppRoute]:
        """`path` is the prefix as it is written; `pattern` as a pattern, as far as it is one."""
        for entry in patterns:
            is_include = hasattr(entry, "url_patterns")
            text, wrong = pattern, fault
            if fault is None:
                text, wrong = _joined(pattern, entry.pattern, is_include)
            whole = path + str(entry.pattern)
            if is_include:
                yield from self._routes(entry.url_patterns, whole, text, wrong)
            elif wrong is None:
                yield AppRoute(whole, entry.callback, pattern=text)
            else:
                yield AppRoute(whole, entry.callback, fault=wrong, reach=text + REST)

    async def call(self, view, path):
        factory = import_module("django.test").RequestFactory()
        arguments = (factory.get(path),) if takes_argument(view) else ()
        if inspect.iscoroutinefunction(view):
            return parts(await view(*arguments))
        return await asyncio.to_thread(lambda: parts(view(*arguments)))


def _joined(prefix, entry, is_include) -> tuple[str, str | None]:
    """A prefix and what an entry adds to it, and None; or what all its paths begin with, and why it
    is no pattern. Either ends in a literal, if it is a prefix again."""
    try:
        text = prefix + _text(entry, is_include)
        if is_include and "<" in text.rpartition("/")[2]:
            raise ValueError("an include() stands behind a parameter that no slash ends")
        return text, None
    except ValueError as error:
        head, slash, last = (prefix + _beginning(entry)).rpartition("/")
        return head + slash + ("" if "<" in last else last), str(error)


def _text(entry, is_include):
    resolvers = import_module("django.urls.resolvers")
    if type(entry) is resolvers.RoutePattern and isinstance(entry._route, str):
        types = {name: _type(name, converter) for name, converter in entry.converters.items()}
        return _PARAMETER.sub(lambda match: f"<{types[match[2]]}:{match[2]}>", entry._route)
    if type(entry) is resolvers.RegexPattern and isinstance(entry._regex, str):
        return pattern_of(entry._regex, is_include)
    raise ValueError("it depends on the language")


def _type(name, converter):
    kind = type(converter).__name__
    known = getattr(import_module("django.urls.converters"), kind, None)
    if known is not type(converter) or kind not in _TYPES:
        raise ValueError(f"`{name}` has a converter of the application's own")
    return _TYPES[kind]


def _beginning(entry):
    if isinstance(getattr(entry, "_route", None), str):
        return entry._route.partition("<")[0]
    if isinstance(getattr(entry, "_regex", None), str):
        return beginning_of(entry._regex)
    return ""
