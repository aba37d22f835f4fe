"""One application with decorated views, in each framework: `routed:quart_app` …

/page/<int:id>   kept, with a tag and Vary          /own      says itself for how long
/late            a hook forbids it afterwards       /private, /cookie, /star   forbid it
/teapot          418, which its rule does not name  /fail     raises; the error handler answers 200
/blocked         answered by a hook                 /plain    not decorated
/rule            what it sees of query and cookies  /sync     a `def`

Bodies end with the number of calls, so that a replayed response shows. Hooks and handlers are the
framework's own. FORBIDDING are the fields that the first views of each framework send.
"""

import functools
import itertools
import os
import pathlib

import zq

calls = itertools.count(1)
FORBIDDING = {
    "own": ("Cache-Control", "public, max-age=5"),
    "private": ("Cache-Control", "private"),
    "cookie": ("Set-Cookie", "a=b"),
    "star": ("Vary", "*"),
}
kept = functools.partial(zq.cached_route, ttl=60)


def number():
    return next(calls)


def page_tags(*_, id, **__):
    return [f"page:{id}", "pages"]


page_rule = zq.cached_route(
    ttl=60,
    stale_while_revalidate=30,
    stale_if_error=600,
    tags=page_tags,
    vary="Accept-Language",
)
rule_rule = zq.cached_route(ttl=60, query=["q"], cookies=[])


zq.static_route("/robots.txt", "User-agent: *\n")


@zq.static_route("/news")
def news():
    """What the file that $NEWS names says, at start."""
    return pathlib.Path(os.environ["NEWS"]).read_text() if "NEWS" in os.environ else "none"


@zq.simple_json("/api/fail")
async def fail():
    raise LookupError("on purpose")


@zq.simple_json("/api/kept/<path:rest>")
@zq.cached_route(ttl=60, tags="kept")
async def kept_json(rest: str):
    return {"rest": rest, "call": number()}


@zq.simple_json("/api/square/<n>")
def square(n: int, digits: int = 10):
    return {"square": n * n, "digits": digits}


def quart_app():
    import quart

    return _flask_like(quart.Quart(__name__), quart, is_async=True)


def flask_app():
    import flask
    from asgiref.wsgi import WsgiToAsgi

    return WsgiToAsgi(_flask_like(flask.Flask(__name__), flask, is_async=False))


def _flask_like(app, module, is_async):
    request = module.request

    def maybe_async(function):
        if not is_async:
            return function

        @functools.wraps(function)
        async def wrapped(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapped

    @app.get("/page/<int:id>")
    @page_rule
    @maybe_async
    def page(id):
        return f"page {id} {number()}"

    for name, (field, value) in FORBIDDING.items():

        def view(field=field, value=value):
            return "forbidden", {field: value}

        app.add_url_rule(f"/{name}", name, kept()(maybe_async(view)))

    @app.get("/late")
    @kept()
    @maybe_async
    def late():
        return f"late {number()}"

    @app.get("/teapot")
    @kept()
    @maybe_async
    def teapot():
        return "short and stout", 418

    @app.get("/fail")
    @kept()
    @maybe_async
    def fail():
        raise LookupError("on purpose")

    @app.get("/blocked")
    @kept()
    @maybe_async
    def blocked():
        return "not reached"

    @app.get("/plain")
    @maybe_async
    def plain():
        return f"plain {number()}"

    @app.route("/rule", methods=["GET", "POST"])
    @rule_rule
    @maybe_async
    def rule():
        return f"{request.query_string.decode()} {sorted(request.cookies)} {number()}"

    @app.get("/sync")
    @kept()
    def sync():
        return {"sync": number()}

    @kept()
    @app.get("/above")
    @maybe_async
    def above():
        return f"above {number()}"

    @app.errorhandler(LookupError)
    @maybe_async
    def on_error(error):
        return "handled", 200

    @app.before_request
    @maybe_async
    def before():
        return "blocked" if request.path == "/blocked" else None

    @app.after_request
    @maybe_async
    def after(response):
        if request.path == "/late":
            response.headers["Cache-Control"] = "no-store"
        return response

    return app


class Hooks:
    """Middleware that answers /blocked, and adds no-store to /late."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def adding(message):
            if message["type"] == "http.response.start" and scope["path"] == "/late":
                message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
            await send(message)

        if scope["type"] == "http" and scope["path"] == "/blocked":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"blocked"})
        else:
            await self.app(scope, receive, adding)


def starlette_app():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Mount, Route

    @page_rule_of(lambda request: page_tags(id=request.path_params["id"]))
    async def page(request):
        return PlainTextResponse(f"page {request.path_params['id']} {number()}")

    def forbidding(field, value):
        async def view(request):
            return PlainTextResponse("forbidden", headers={field: value})

        return kept()(view)

    @kept()
    async def late(request):
        return PlainTextResponse(f"late {number()}")

    @kept()
    async def teapot(request):
        return PlainTextResponse("short and stout", 418)

    @kept()
    async def fail(request):
        raise LookupError("on purpose")

    async def plain(request):
        return PlainTextResponse(f"plain {number()}")

    @rule_rule
    async def rule(request):
        seen = f"{request.url.query} {sorted(request.cookies)} {number()}"
        return PlainTextResponse(seen)

    @kept()
    def sync(request):
        return JSONResponse({"sync": number()})

    async def on_error(request, error):
        return PlainTextResponse("handled")

    routes = [
        Route("/page/{id:int}", page),
        *(Route(f"/{name}", forbidding(*pair)) for name, pair in FORBIDDING.items()),
        Route("/late", late),
        Route("/teapot", teapot),
        Route("/fail", fail),
        Route("/blocked", kept()(plain)),
        Route("/plain", plain),
        Route("/rule", rule, methods=["GET", "POST"]),
        Mount("/sub", routes=[Route("/sync", sync)]),
        Route("/sync", sync),
    ]
    return Hooks(Starlette(routes=routes, exception_handlers={LookupError: on_error}))


def page_rule_of(tags):
    """The rule of /page where a view gets its parameters in a request."""
    return zq.cached_route(
        ttl=60,
        stale_while_revalidate=30,
        stale_if_error=600,
        tags=tags,
        vary="Accept-Language",
    )


def fastapi_app():
    from fastapi import APIRouter, FastAPI, Request, Response
    from fastapi.responses import PlainTextResponse

    app = FastAPI()
    router = APIRouter(prefix="/sub")

    @app.get("/page/{id:int}", response_class=PlainTextResponse)
    @page_rule
    async def page(id: int):
        return f"page {id} {number()}"

    def forbidding(field, value):
        async def view(response: Response):
            response.headers[field] = value
            return "forbidden"

        return view

    for name, pair in FORBIDDING.items():
        app.add_api_route(f"/{name}", kept()(forbidding(*pair)))

    @app.get("/late", response_class=PlainTextResponse)
    @kept()
    async def late():
        return f"late {number()}"

    @app.get("/teapot", status_code=418)
    @kept()
    async def teapot():
        return "short and stout"

    @app.get("/fail")
    @kept()
    async def fail():
        raise LookupError("on purpose")

    @app.get("/blocked")
    @kept()
    async def blocked():
        return "not reached"

    @app.get("/plain", response_class=PlainTextResponse)
    async def plain():
        return f"plain {number()}"

    @app.api_route("/rule", methods=["GET", "POST"])
    @rule_rule
    async def rule(request: Request):
        seen = f"{request.url.query} {sorted(request.cookies)} {number()}"
        return PlainTextResponse(seen)

    @app.get("/sync")
    @router.get("/sync")
    @kept()
    def sync():
        return {"sync": number()}

    @app.exception_handler(LookupError)
    async def on_error(request, error):
        return PlainTextResponse("handled")

    app.include_router(router)
    return Hooks(app)


def django_app():
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    settings.configure(
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="test",
        MIDDLEWARE=[f"{__name__}.django_hooks"],
    )
    globals()["urlpatterns"] = list(_django_urls())
    django.setup()
    return get_asgi_application()


def _django_urls():
    from django.http import HttpResponse, JsonResponse
    from django.urls import include, path, re_path

    @page_rule
    async def page(request, id):
        return HttpResponse(f"page {id} {number()}", content_type="text/plain")

    def forbidding(field, value):
        async def view(request):
            return HttpResponse("forbidden", headers={field: value})

        return kept()(view)

    @kept()
    async def late(request):
        return HttpResponse(f"late {number()}")

    @kept()
    async def teapot(request):
        return HttpResponse("short and stout", status=418)

    @kept()
    async def fail(request):
        raise LookupError("on purpose")

    async def plain(request):
        return HttpResponse(f"plain {number()}")

    @rule_rule
    async def rule(request):
        seen = f"{request.META['QUERY_STRING']} {sorted(request.COOKIES)} {number()}"
        return HttpResponse(seen)

    @kept()
    def sync(request):
        return JsonResponse({"sync": number()})

    yield path("page/<int:id>", page)
    for name, pair in FORBIDDING.items():
        yield path(name, forbidding(*pair))
    yield path("late", late)
    yield path("teapot", teapot)
    yield path("fail", fail)
    yield path("blocked", kept()(plain))
    yield path("plain", plain)
    yield path("rule", rule)
    yield path("sync", sync)
    yield path("sub/", include([path("sync", sync), path("<slug:name>/x", sync)]))
    yield re_path("^numbers/[0-9]+$", kept()(plain))


def django_hooks(get_response):
    from asgiref.sync import markcoroutinefunction
    from django.http import HttpResponse

    class Middleware:
        """async only"""

        async def __call__(self, request):
            if request.path == "/blocked":
                return HttpResponse("blocked")
            response = await get_response(request)
            if request.path == "/late":
                response["Cache-Control"] = "no-store"
            return response

        async def process_exception(self, request, exception):
            return HttpResponse("handled") if isinstance(exception, LookupError) else None

    middleware = Middleware()
    markcoroutinefunction(middleware)
    return middleware


django_hooks.sync_capable = False
django_hooks.async_capable = True
