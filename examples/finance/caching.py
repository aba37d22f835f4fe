"""Every response says who may keep it and for how long.

A view says so with one of the decorators below; what says nothing (an error nobody
thought of, a redirect) is never kept. Public views must not look at the session: what
is shared cannot depend on who asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec

from quart import Quart, Response, make_response
from quart.sessions import SecureCookieSessionInterface, SessionMixin
from quart.typing import ResponseReturnValue
from werkzeug.wrappers import Response as WerkzeugResponse

P = ParamSpec("P")
View = Callable[P, Awaitable[ResponseReturnValue]]

PERSONAL = "private, no-store"
NEVER = "no-store"


def public(max_age: int, *, s_maxage: int | None = None) -> Callable[[View[P]], View[P]]:
    """Anyone may keep it: browsers for `max_age` seconds, shared caches for `s_maxage`."""
    shared = "" if s_maxage is None else f", s-maxage={s_maxage}"
    return _saying(f"public, max-age={max_age}{shared}")


def personal(view: View[P]) -> View[P]:
    """One user's page: no cache keeps it, not even the browser's."""
    return _saying(PERSONAL, vary="Cookie")(view)


def never(view: View[P]) -> View[P]:
    """Not personal, but only true now."""
    return _saying(NEVER)(view)


def _saying(value: str, vary: str | None = None) -> Callable[[View[P]], View[P]]:
    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            response = await make_response(await view(*args, **kwargs))
            response.headers["Cache-Control"] = value
            if vary is not None:
                response.vary.add(vary)
            return response

        return wrapped

    return decorate


class PrivateSessions(SecureCookieSessionInterface):
    """Sessions in signed cookies that leave public answers alone.

    Quart 0.23 counts its own look at the session as the view's, and would say
    `Vary: Cookie` on every answer: a shared cache then keeps a copy for each visitor.
    """

    async def save_session(
        self, app: Quart, session: SessionMixin, response: Response | WerkzeugResponse | None
    ) -> None:
        public = response is not None and response.cache_control.public
        if session.modified or not public:
            await super().save_session(app, session, response)


async def unless_said(response: Response) -> Response:
    """An after_request hook: what did not say anything is not to be kept."""
    response.headers.setdefault("Cache-Control", NEVER)
    return response
