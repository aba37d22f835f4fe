"""The same small application in each framework: GET /, POST /echo, GET /stream, GET /fail, and a
startup hook whose effect / shows. Imported by name: `framework_apps:quart_app` …; a framework is
imported only when its application is asked for.
"""

import contextlib


def quart_app():
    from quart import Quart, request

    app = Quart(__name__)
    started = []

    @app.before_serving
    async def start():
        started.append("started")

    @app.get("/")
    async def index():
        return f"quart {started[0]}"

    @app.post("/echo")
    async def echo():
        return await request.get_data()

    @app.get("/stream")
    async def stream():
        async def parts():
            for i in range(3):
                yield f"part{i}".encode()

        return parts(), 200, {"Content-Type": "text/plain"}

    @app.get("/fail")
    async def fail():
        raise RuntimeError("on purpose")

    return app


def _starlette_routes():
    from starlette.responses import PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def index(request):
        return PlainTextResponse(f"starlette {request.state.started}")

    async def echo(request):
        return Response(await request.body())

    async def stream(request):
        async def parts():
            for i in range(3):
                yield f"part{i}"

        return StreamingResponse(parts(), media_type="text/plain")

    async def fail(request):
        raise RuntimeError("on purpose")

    return [
        Route("/", index),
        Route("/echo", echo, methods=["POST"]),
        Route("/stream", stream),
        Route("/fail", fail),
    ]


def starlette_app():
    from starlette.applications import Starlette

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"started": "started"}

    return Starlette(routes=_starlette_routes(), lifespan=lifespan)


def fastapi_app():
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import PlainTextResponse, StreamingResponse

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"started": "started"}

    app = FastAPI(lifespan=lifespan)

    @app.get("/", response_class=PlainTextResponse)
    def index(request: Request):  # sync: runs in a thread
        return f"fastapi {request.state.started}"

    @app.post("/echo")
    async def echo(request: Request):
        return Response(await request.body())

    @app.get("/stream")
    async def stream():
        async def parts():
            for i in range(3):
                yield f"part{i}"

        return StreamingResponse(parts(), media_type="text/plain")

    @app.get("/fail")
    async def fail():
        raise RuntimeError("on purpose")

    return app


def django_app():
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    def index(request):  # sync: runs in a thread
        return HttpResponse("django started")

    @csrf_exempt
    async def echo(request):
        return HttpResponse(request.body)

    async def stream(request):
        async def parts():
            for i in range(3):
                yield f"part{i}"

        return StreamingHttpResponse(parts(), content_type="text/plain")

    async def fail(request):
        raise RuntimeError("on purpose")

    settings.configure(
        DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="test", MIDDLEWARE=[]
    )
    globals()["urlpatterns"] = [
        path("", index),
        path("echo", echo),
        path("stream", stream),
        path("fail", fail),
    ]
    django.setup()
    return get_asgi_application()


def litestar_app():
    from collections.abc import AsyncIterator

    from litestar import Litestar, Request, get, post
    from litestar.response import Stream

    started = []

    @get("/", media_type="text/plain")
    async def index() -> str:
        return f"litestar {started[0]}"

    @post("/echo", media_type="application/octet-stream", status_code=200)
    async def echo(request: Request) -> bytes:
        return await request.body()

    @get("/stream")
    async def stream() -> Stream:
        async def parts() -> AsyncIterator[bytes]:
            for i in range(3):
                yield f"part{i}".encode()

        return Stream(parts())

    @get("/fail")
    async def fail() -> None:
        raise RuntimeError("on purpose")

    # The handlers' annotations are names of this function, not of the module.
    names = {"Request": Request, "Stream": Stream}
    return Litestar(
        [index, echo, stream, fail],
        on_startup=[lambda: started.append("started")],
        signature_namespace=names,
    )
