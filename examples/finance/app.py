"""A finance site as an example of an ordinary Quart application.

Run it with any ASGI server: `--app-dir examples/finance app:app`. See README.md.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from quart import Quart, Response, jsonify, render_template, request, url_for
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, NotFound

import caching
import edge
import formats
from db import Database
from feeds import feeds
from pages import pages
from personal import personal_pages
from prices import admin
from settings import Settings

SITE = "Quayside"
NOT_FOUND_AGE_S = 30
STATIC_AGE_S = 86_400


def create_app(settings: Settings | None = None) -> Quart:
    """The application; its database is made or checked when the server starts it."""
    settings = settings or Settings.from_environment()
    app = Quart(__name__)
    app.secret_key = settings.secret_key
    app.session_interface = caching.PrivateSessions()
    app.config.update(
        SESSION_COOKIE_NAME="quayside",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        SEND_FILE_MAX_AGE_DEFAULT=STATIC_AGE_S,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["finance_settings"] = settings
    app.extensions["finance_db"] = Database(settings.database, settings.companies, settings.days)
    app.extensions["finance_streams"] = set()
    for blueprint in (pages, feeds, personal_pages, admin):
        app.register_blueprint(blueprint)
    formats.register(app)
    _add_hooks(app)
    edge.declare(app)
    app.asgi_app = edge.zq.asgi(app.asgi_app)  # type: ignore[method-assign]
    return app


def _add_hooks(app: Quart) -> None:
    versions = _static_versions(Path(app.static_folder or ""))

    @app.before_serving
    async def make_database() -> None:
        """In a thread: it takes seconds, and a signal must be heard meanwhile."""
        await asyncio.to_thread(app.extensions["finance_db"].prepare)

    @app.context_processor
    def site() -> dict[str, object]:
        """What every page needs. Nothing of the session: most pages are shared."""
        return {"site": SITE, "as_of": app.extensions["finance_db"].last_date, "asset": asset}

    def asset(name: str) -> str:
        """The URL of a static file, with its content's hash so that it may be kept long."""
        return url_for("static", filename=name, v=versions[name])

    app.register_error_handler(HTTPException, error_page)
    app.after_request(caching.unless_said)
    app.after_request(page_headers)


async def error_page(error: HTTPException) -> ResponseReturnValue:
    """Errors as a page, or as JSON below /api and for an upload that asks for it.

    A GET is not asked what it would like: its 404 is shared, whatever the Accept field.
    """
    code = error.code or 500
    if error.description == NotFound.description:
        error.description = "There is no page at this address."
    if request.path.startswith("/api/") or (request.method == "POST" and _wants_json()):
        response = jsonify({"status": code, "error": error.name, "detail": error.description})
    else:
        page = await render_template("error.html", error=error, code=code)
        response = Response(page, mimetype="text/html")
    response.status_code = code
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    if code == 404:
        response.headers["Cache-Control"] = f"public, max-age={NOT_FOUND_AGE_S}"
    return response


def _wants_json() -> bool:
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return best == "application/json"


async def page_headers(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.mimetype == "text/html":
        response.headers.update(edge.PAGE_HEADERS)
    return response


def _static_versions(folder: Path) -> dict[str, str]:
    """File name -> the first letters of its content's hash."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:10]
        for path in sorted(folder.iterdir())
    }


app = create_app()
