"""Applications with every kind of pattern, in each framework: `mapped:quart_app` …

Each view answers with its name and the query that it sees. `kept_…` have a key rule, by which they see
no query, and are declared; `lost_…` have one, too, but cannot be declared, for their pattern's
sake or because another route is in their way; `other_…` are not decorated.
"""

import zq

kept = zq.cached_route(ttl=60, query=[])
kept_too = zq.cached_route(ttl=60, query=[], vary="x-too")  # another rule

FLASK_RULES = [
    ("kept_str", "/a/<string(length=2):x>"),
    ("kept_lengths", "/a/<string(minlength=4,maxlength=6):x>"),
    ("other_str", "/a/<x>"),
    ("kept_any", "/b/<any(ab,a,json):x>"),
    ("kept_any_between", "/b/v<any(ab,a,json):x>.csv"),
    ("other_any", "/b/<string(length=3):x>"),
    ("kept_int", "/c/<int(min=3,max=120):x>"),
    ("other_int", "/c/<x>"),
    ("kept_digits", "/d/<int(fixed_digits=4):x>/x"),
    ("kept_years", "/d/<int(fixed_digits=4,min=1990):x>/year"),
    ("kept_signed", "/e/<int(signed=True,max=9):x>"),
    ("kept_float", "/e/f<float(signed=True):x>"),
    ("lost_float", "/e/g<float(max=2):x>"),
    ("lost_two", "/f/<x>-<y>"),
    ("kept_suffix", "/g/<string(length=3):x>.csv"),
    ("lost_path", "/h/<path:x>"),
    ("other_path", "/h/12"),
    ("kept_path", "/k/<path:x>"),
    ("kept_uuid", "/l/<uuid:x>"),
    ("other_uuid", "/l/<x>"),
    ("kept_lax", "/m/<int:x>/"),
    ("other_lax", "/m/<x>"),
    ("kept_strict", "/n/<int:x>/"),
    ("kept_first", "/o/<int:x>"),
    ("kept_too", "/o/<x>"),
    ("lost_host", "/p/<x>"),
    ("lost_to_host", "/q/<x>"),
    ("other_host", "/q/ab"),
]
FLASK_OPTIONS = {
    "kept_lax": {"strict_slashes": False},
    "other_lax": {"strict_slashes": False},
    "lost_host": {"subdomain": "api"},
    "other_host": {"subdomain": "api"},
}

STARLETTE_ROUTES = [
    ("kept_int", "/c/{x:int}"),
    ("other_int", "/c/{x}"),
    ("kept_float", "/e/{x:float}"),
    ("kept_suffix", "/g/{x}.csv"),
    ("lost_two", "/f/{x}-{y}"),
    ("other_path", "/h/12"),
    ("lost_path", "/h/{x:path}"),
    ("kept_path", "/k/{x:path}"),
    ("kept_uuid", "/l/{x:uuid}"),
    ("other_uuid", "/l/{x}"),
    ("kept_first", "/o/{x:int}"),
    ("kept_too", "/o/{x}"),
]
STARLETTE_INNER = [
    ("kept_inner", "/{y:int}"),
    ("other_inner", "/{y}"),
    ("kept_deeper", "/a/{y:int}"),
]

DJANGO_PATHS = [
    ("kept_slug", "a/<slug:x>"),
    ("other_slug", "a/<str:x>"),
    ("kept_int", "c/<int:x>"),
    ("kept_suffix", "g/<slug:x>.csv"),
    ("lost_two", "f/<x>-<y>"),
    ("other_path", "h/12"),
    ("lost_path", "h/<path:x>"),
    ("kept_path", "k/<path:x>"),
    ("kept_uuid", "l/<uuid:x>"),
    ("other_uuid", "l/<x>"),
    ("kept_first", "o/<int:x>"),
    ("kept_too", "o/<x>"),
]
DJANGO_REGEXES = [
    ("kept_month", r"^d/(?P<x>[0-9]{4})/(?P<y>\d{1,2})/$"),
    ("kept_words", r"^b/(?P<x>json|ab|a)$"),
    ("kept_class", r"^e/(?P<x>[a-f.]+)\Z"),
    ("kept_word", r"^m/v(?P<x>\w{2,})-x\.csv$"),
    ("kept_rest", r"^n/(?P<x>.*)$"),
    ("lost_open", r"^p/(?P<x>\d+)"),
    ("lost_optional", r"^q/(?P<x>[ab]+)?$"),
]


def view_of(name, function):
    """Decorated as its name says."""
    function.__name__ = function.__qualname__ = name
    if name.startswith("other"):
        return function
    return (kept_too if name.endswith("too") else kept)(function)


# ---- Quart, Flask ----


def _flask_view(name, module, is_async):
    def answer(**_):
        return {"view": name, "query": module.request.query_string.decode()}

    async def later(**_):
        return answer()

    return view_of(name, later if is_async else answer)


def _flask_like(app, module, is_async):
    for name, rule in FLASK_RULES:
        view = _flask_view(name, module, is_async)
        app.add_url_rule(rule, name, view, **FLASK_OPTIONS.get(name, {}))
    blueprint = module.Blueprint("inner", __name__, url_prefix="/r/<x>")
    view = _flask_view("kept_blueprint", module, is_async)
    blueprint.add_url_rule("/<int(max=99):y>", "kept", view)
    app.register_blueprint(blueprint)
    return app


def quart_app():
    import quart

    return _flask_like(quart.Quart(__name__), quart, is_async=True)


def flask_app():
    import flask
    from asgiref.wsgi import WsgiToAsgi

    return WsgiToAsgi(_flask_like(flask.Flask(__name__), flask, is_async=False))


def dispatched_app():
    """Flask behind werkzeug's dispatcher, which gives /s to another application."""
    import flask
    from asgiref.wsgi import WsgiToAsgi
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = flask.Flask(__name__)
    inner = _flask_like(flask.Flask(__name__), flask, is_async=False)
    app.add_url_rule("/<path:x>", "lost", _flask_view("lost_dispatched", flask, is_async=False))
    return WsgiToAsgi(DispatcherMiddleware(app, {"/s": inner}))


# ---- Starlette, FastAPI ----


def _starlette_view(name):
    from starlette.requests import Request
    from starlette.responses import JSONResponse

    async def view(request: Request):
        return JSONResponse({"view": name, "query": request.url.query})

    return view_of(name, view)


def _starlette_routes():
    """What is mounted, a host's routes, and one that stands behind what is mounted."""
    from starlette.applications import Starlette
    from starlette.routing import Host, Mount, Route, Router

    def routes(named, suffix):
        return [Route(path, _starlette_view(name + suffix)) for name, path in named]

    return [
        Mount("/i", routes=routes(STARLETTE_INNER, "_mounted")),
        Mount("/j/{z}", Starlette(routes=routes(STARLETTE_INNER, "_application"))),
        Mount("/q", quart_app()),
        *routes([("lost", "/i/{y:int}/x")], "_behind"),
        Host("api.example", Router(routes=routes([("lost", "/{x}")], "_host"))),
    ]


def starlette_app():
    from starlette.applications import Starlette
    from starlette.routing import Route

    routes = [Route(path, _starlette_view(name)) for name, path in STARLETTE_ROUTES]
    return Starlette(routes=routes + _starlette_routes())


def fastapi_app():
    from fastapi import APIRouter, FastAPI

    app = FastAPI(openapi_url=None)
    for name, path in STARLETTE_ROUTES:
        app.get(path)(_starlette_view(name))
    router = APIRouter(prefix="/n/{z}")
    for name, path in STARLETTE_INNER:
        router.get(path)(_starlette_view(name + "_included"))
    app.include_router(router, prefix="/m")
    app.router.routes.extend(_starlette_routes())
    return app


def mounted_app():
    """Flask and Django, each with its prefix."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/u", flask_app()), Mount("/t/{tenant}", django_app())])


# ---- Django ----


def django_app():
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.urls import include, path, re_path

    settings.configure(
        DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="test", MIDDLEWARE=[]
    )

    def inner(suffix):
        found = [path(p, _django_view(name + suffix)) for name, p in DJANGO_PATHS[:3]]
        return include(found)

    globals()["urlpatterns"] = [
        *(path(p, _django_view(name)) for name, p in DJANGO_PATHS),
        *(re_path(p, _django_view(name)) for name, p in DJANGO_REGEXES),
        path("i/<int:z>/", inner("_included")),
        re_path(r"^j/(?P<z>[\w-]+)/", inner("_regex")),
        path("r/<z>-", include([path("a-b", _django_view("lost_backtracking"))])),
        re_path("^(?P<x>.*)b$", _django_view("other_rest")),
        path("s/<int:x>", _django_view("lost_behind")),
    ]
    django.setup()
    return get_asgi_application()


def _django_view(name):
    from django.http import JsonResponse

    async def view(request, **_):
        return JsonResponse({"view": name, "query": request.META["QUERY_STRING"]})

    return view_of(name, view)
