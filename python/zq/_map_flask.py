"""The URL map of a Quart or Flask application. Private."""

import asyncio
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from zq._approutes import FOR_ONE_HOST, AppRoute, UrlMap
from zq._converters import bounded


class FlaskMap(UrlMap):
    """Read from werkzeug's matcher, whose order is its preference."""

    def __init__(self, app):
        self.app = app
        self.framework = type(app).__module__.partition(".")[0]
        app.url_map.update()
        super().__init__(list(self._routes(app.url_map._matcher._root)))

    def _routes(self, root) -> Iterator[AppRoute]:
        """Which hosts the others are for is not known here: they come first."""
        for host, state in root.static.items():
            if host:
                yield from self._below(state, FOR_ONE_HOST)
        for _, state in root.dynamic:
            yield from self._below(state, FOR_ONE_HOST)
        if "" in root.static:
            yield from self._below(root.static[""])

    def _below(self, state, fault=None) -> Iterator[AppRoute]:
        """In the order of StateMachineMatcher.match."""
        yield from self._of(state.rules, fault)
        if "" in state.static:
            lax = [rule for rule in state.static[""].rules if not rule.strict_slashes]
            yield from self._of(lax, fault, cut="/")
        for child in [*state.static.values(), *(child for _, child in state.dynamic)]:
            yield from self._below(child, fault)
        lax = [rule for rule in state.rules if not rule.strict_slashes and rule.rule[-1] != "/"]
        yield from self._of(lax, fault, add="/")

    def _of(self, rules, fault, cut="", add="") -> Iterator[AppRoute]:
        for rule in rules:
            if rule.websocket or rule.rule == cut:
                continue
            pattern, wrong = None, fault
            try:
                pattern = self._pattern(rule).removesuffix(cut) + add
            except ValueError as error:
                wrong = fault or str(error)
            yield AppRoute(
                rule.rule.removesuffix(cut) + add,
                self.app.view_functions.get(rule.endpoint),
                rule.methods,
                pattern=pattern,
                fault=wrong,
                endpoint=rule.endpoint,
            )

    def _pattern(self, rule):
        trace = rule._trace[rule._trace.index((False, "|")) + 1 :]
        return "".join(
            f"<{_type(rule._converters[data])}:{data}>" if is_dynamic else data
            for is_dynamic, data in trace
        )

    def replace(self, route, view):
        self.app.view_functions[route.endpoint] = view
        return True

    async def call(self, view, path):
        if inspect.iscoroutinefunction(self.app.make_response):
            async with self.app.test_request_context(path):
                result = await self.app.ensure_async(view)()
                response = await self.app.make_response(result)
                body = await response.get_data(as_text=False)
            return body, response.status_code, list(response.headers.items())
        return await asyncio.to_thread(self._call_flask, view, path)

    def _call_flask(self, view, path):
        with self.app.test_request_context(path):
            response = self.app.make_response(self.app.ensure_sync(view)())
            return response.get_data(), response.status_code, list(response.headers.items())


def _type(converter: Any) -> str:
    """The type, with its bounds, that takes what a converter of werkzeug takes."""
    module = import_module("werkzeug.routing.converters")
    kind = type(converter)
    if kind is module.UnicodeConverter:
        return _string(converter.regex)
    if kind is module.AnyConverter and "," not in "".join(converter.items):
        return f"any({','.join(sorted(converter.items))})"
    if kind is module.PathConverter:
        return "path"
    if kind is module.UUIDConverter:
        return "uuid"
    if kind is module.IntegerConverter:
        return bounded(
            "int",
            length=converter.fixed_digits or None,
            min=_bound(converter.min),
            max=_bound(converter.max),
            signed=converter.signed,
        )
    if kind is module.FloatConverter and converter.min is None and converter.max is None:
        return bounded("float", signed=converter.signed)
    raise ValueError(f"{kind.__name__} with such arguments, or one of the application's own")


def _string(regex):
    match = re.fullmatch(r"\[\^/\]\{([0-9]+)(?:(,)([0-9]*))?\}", regex)
    if match is None or match[1] == "0":
        raise ValueError(f"a string of `{regex}`")
    low = int(match[1])
    most = match[3] if match[2] else low
    return bounded("str", minlength=low, maxlength=int(most) if most else None)


def _bound(value):
    if value is None or (isinstance(value, int) and abs(value) < 10**18):
        return value
    raise ValueError(f"the bound {value!r}")
