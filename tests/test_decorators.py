"""python/zq without any server: what cached_route adds to which response of which framework, what
simple_json and static_route answer, and what an application declares. Sentences in quotation marks
are the specification's."""

import asyncio
import datetime
import importlib
import json
import pathlib
import re
import sys
import uuid

import pytest

from asgi import call, get
from harness import APPS, ROOT

sys.path[:0] = [str(ROOT / "python"), str(APPS)]
import zq  # noqa: E402
from zq import _cached, _direct, _routes, _static  # noqa: E402
from zq._paths import Pattern, best, is_plain  # noqa: E402

FRAMEWORKS = ["quart", "flask", "starlette", "fastapi", "django"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Served by zq, and nothing declared."""
    monkeypatch.setattr(_cached, "SERVED", True)
    monkeypatch.setattr(_direct, "direct_routes", [])
    monkeypatch.setattr(_static, "static_routes", [])
    for module in ("_asgi", "_routes"):
        module = importlib.import_module(f"zq.{module}")
        monkeypatch.setattr(module, "direct_routes", _direct.direct_routes)
    monkeypatch.setattr(_routes, "static_routes", _static.static_routes)


apps = {}


@pytest.fixture(params=FRAMEWORKS)
def routed(request):
    """tests/apps/routed.py in each framework, made once, since Django can be set up once."""
    import routed

    name = request.param
    if name not in apps:
        apps[name] = getattr(routed, f"{name}_app")()
    return apps[name]


# ---- cached_route ----


def test_freshness_and_tags_travel_with_the_view_s_own_return(routed):
    answer = get(routed, "/page/7")
    assert answer.status == 200
    assert answer.body.startswith(b"page 7 ")
    assert answer.get("zq-cache-control") == (
        "max-age=60, stale-while-revalidate=30, stale-if-error=600, decorated"
    )
    assert answer.get("cache-tag") == "page:7, pages"
    assert answer.get("vary") == "Accept-Language"
    assert answer.get("cache-control") is None
    assert get(routed, "/sync").get("zq-cache-control") == "max-age=60, decorated"


@pytest.mark.parametrize("path", ["/fail", "/blocked", "/plain", "/teapot", "/nowhere"])
def test_answers_made_by_others_get_none(routed, path):
    """“answers made by middleware, before_request hooks, error handlers or other views get none”;
    neither do statuses that the rule does not name."""
    answer = get(routed, path)
    assert answer.get("zq-cache-control") is None
    assert answer.get("cache-tag") is None


@pytest.mark.parametrize("path", ["/own", "/private", "/cookie", "/star"])
def test_never_overrides(routed, path):
    """“adds freshness only where the response has none and never overrides no-store, private,
    Set-Cookie, Authorization or Vary: *”"""
    assert get(routed, path).get("zq-cache-control") is None


def test_what_is_added_later_stands_beside_it(routed):
    answer = get(routed, "/late")
    assert answer.get("cache-control") == "no-store"
    assert "decorated" in answer.get("zq-cache-control")  # tests/c/test_cache_policy.c: not stored


def test_only_get_and_head(routed):
    assert get(routed, "/rule", method="POST").get("zq-cache-control") is None
    assert get(routed, "/rule", method="HEAD").get("zq-cache-control") in (
        "max-age=60, decorated",
        None,  # FastAPI answers 405
    )


def test_under_another_server_only_vary_is_added(routed, monkeypatch):
    monkeypatch.setattr(_cached, "SERVED", False)
    answer = get(routed, "/page/7")
    assert answer.get("vary") == "Accept-Language"
    assert answer.get("zq-cache-control") is None
    assert answer.get("cache-tag") is None


def rule(**given):
    @zq.cached_route(**{"ttl": 60} | given)
    def view(): ...

    return getattr(view, _cached.RULE)


def added(fields=(), status=200, method="GET", args=(), kwargs=(), **given):
    return rule(**given).additions(method, status, list(fields), args, dict(kwargs))


@pytest.mark.parametrize(
    "field",
    [
        ("Cache-Control", "max-age=0"),
        ("cache-control", "public , S-MaxAge = 5"),
        ("Cache-Control", 'private="x-user"'),
        ("Cache-Control", "no-cache"),
        ("Cache-Control", "no-store"),
        ("Expires", "0"),
        ("CDN-Cache-Control", "max-age=1"),
        ("Zq-Cache-Control", "max-age=1"),
        ("Set-Cookie", "a=b"),
        ("Vary", "Accept, *"),
    ],
)
def test_what_says_enough(field):
    assert added([field], tags="t") == {"Cache-Tag": "t"}


@pytest.mark.parametrize("value", ["public", "must-revalidate", "no-transform", ""])
def test_what_says_nothing_of_how_long(value):
    assert "Zq-Cache-Control" in added([("Cache-Control", value)])


def test_fields_are_merged():
    found = added(
        [("Vary", "Accept"), ("vary", "accept-language"), ("Cache-Tag", "a,b")],
        vary=["Accept-Language", "X-Shop"],
        headers=["X-Currency"],
        tags=["b", "ç"],
    )
    assert found["Vary"].lower() == "accept-language, x-shop, x-currency, accept"
    assert found["Cache-Tag"].encode("latin-1").decode() == "b, ç, a"


def test_times_and_statuses():
    minute = datetime.timedelta(minutes=1)
    assert added(ttl=minute)["Zq-Cache-Control"] == "max-age=60, decorated"
    assert added(ttl=2**40)["Zq-Cache-Control"] == f"max-age={2**31}, decorated"
    assert "Zq-Vary" not in added()
    assert added(cookies=())["Zq-Vary"] == added(cookies="lang")["Zq-Vary"] == "Cookie"
    assert added(status=404, statuses=(200, 404))
    assert not added(status=404)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"ttl": "60"}, TypeError),
        ({"ttl": True}, TypeError),
        ({"ttl": -1}, ValueError),
        ({"ttl": 0.5}, ValueError),
        ({"ttl": float("nan")}, ValueError),
        ({"ttl": float("inf")}, ValueError),
        ({"ttl": 1, "tags": 5}, TypeError),
        ({"ttl": 1, "vary": None}, TypeError),
        ({"ttl": 1, "query": 5}, TypeError),
        ({"ttl": 1, "statuses": 200}, TypeError),
        ({"ttl": 1, "vary": "a b"}, ValueError),
        ({"ttl": 1, "tags": "a,b"}, ValueError),
        ({"ttl": 1, "tags": [" a"]}, ValueError),
        ({"ttl": 1, "tags": "a b"}, ValueError),  # two, to the front
        ({"ttl": 1, "tags": ["a\r\nb"]}, ValueError),
        ({"ttl": 1, "tags": [1]}, TypeError),
        ({"ttl": 1, "tags": ["t" * 1025]}, ValueError),
        ({"ttl": 1, "cookies": [""]}, ValueError),
        ({"ttl": 1, "query": [1]}, TypeError),
        ({"ttl": 1, "query": "a", "ignore_query": "b"}, ValueError),
        ({"ttl": 1, "statuses": [99]}, ValueError),
        ({}, TypeError),
    ],
)
def test_wrong_arguments(wrong, error):
    with pytest.raises(error, match=[*wrong][-1].rstrip("s") if wrong else "ttl"):
        zq.cached_route(**wrong)


def test_tags_of_a_function_are_checked():
    with pytest.raises(ValueError, match="comma"):
        added(tags=lambda: ["a,b"])
    with pytest.raises(ValueError, match="513"):
        added(tags=lambda: map(str, range(513)))


def test_no_view():
    with pytest.raises(TypeError, match="no view function"):
        zq.cached_route(ttl=1)(type("View", (), {}))
    with pytest.raises(TypeError, match="below simple_json"):

        @zq.cached_route(ttl=1)
        @zq.simple_json("/x")
        def x(): ...


def test_a_result_without_headers_outside_of_quart_and_flask():
    @zq.cached_route(ttl=1)
    def view():
        return "text"

    with pytest.raises(TypeError, match="has no headers"):
        view()


def test_flask_tuples_keep_what_they_say():
    import quart

    app = quart.Quart("tuples")

    def route(path, result):
        async def view():
            return result() if callable(result) else result

        app.add_url_rule(path, path, zq.cached_route(ttl=5, tags="t", statuses=(200, 201))(view))

    route("/status", ("a", 201))
    route("/text-status", ("a", "201 CREATED"))
    route("/headers", ("a", {"X-A": "1", "Cache-Tag": "u"}))
    route("/list", ("a", 200, [("X-A", "1"), ("X-A", "2")]))
    route("/object", lambda: (quart.Response("a", headers={"Cache-Control": "no-store"}), 200))
    route("/other", ("a", 202))
    assert get(app, "/status").status == 201
    assert get(app, "/status").get("zq-cache-control")
    assert get(app, "/headers").get("x-a") == "1"
    assert get(app, "/headers").get("cache-tag") == "t, u"
    assert [v for k, v in get(app, "/list").headers if k == "x-a"] == ["1", "2"]
    assert get(app, "/object").get("zq-cache-control") is None
    assert get(app, "/other").get("zq-cache-control") is None


def test_tags_are_utf_8_on_the_wire_of_every_framework():
    """“effective in the front before it returns”: `zq.purge(tag="prix:é€")` names it by these bytes."""
    import quart
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    accents = zq.cached_route(ttl=5, tags="prix:é€")
    in_quart, in_fastapi = quart.Quart("accents"), FastAPI()
    in_quart.add_url_rule("/", "/", accents(lambda: "text"))
    in_quart.add_url_rule("/object", "/object", accents(lambda: quart.Response("text")))
    in_fastapi.get("/")(accents(lambda: "text"))
    in_starlette = Starlette(
        routes=[Route("/", accents(lambda request: PlainTextResponse("text")))]
    )
    for app, path in [
        (in_quart, "/"),
        (in_quart, "/object"),
        (in_fastapi, "/"),
        (in_starlette, "/"),
    ]:
        assert get(app, path).get("cache-tag").encode("latin-1").decode() == "prix:é€"


def test_class_based_views():
    import quart
    import quart.views
    from starlette.applications import Starlette
    from starlette.endpoints import HTTPEndpoint
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    class Endpoint(HTTPEndpoint):
        @zq.cached_route(ttl=5)
        async def get(self, request):
            return PlainTextResponse("a")

    class View(quart.views.MethodView):
        @zq.cached_route(ttl=5)
        async def get(self):
            return "a"

    app = quart.Quart("classes")
    app.add_url_rule("/x", view_func=View.as_view("x"))
    for each, kind in ((app, View), (Starlette(routes=[Route("/x", Endpoint)]), Endpoint)):
        assert get(each, "/x").get("zq-cache-control") == "max-age=5, decorated"
        (route,) = [route for route in declared(each) if route[:2] == ("cached", "/x")]
        assert route.why == f"{__name__}.{kind.__qualname__}"


# ---- simple_json ----


def answer(path, function, target, methods=("GET",), **options):
    """Of a function as `path`, through zq.asgi as under another server."""
    zq.simple_json(path, methods)(function)

    async def nothing(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"the application"})

    _cached.SERVED = False
    return get(zq._asgi.Asgi(nothing), target, **options)


def everything(
    n: int,
    q: str,
    i: int = 1,
    f: float = 1.5,
    b: bool = False,
    u: uuid.UUID | None = None,
    many: list[int] = (),  # type: ignore[assignment]
):
    return {"n": n, "q": q, "i": i, "f": f, "b": b, "u": str(u), "many": list(many)}


def test_typed_path_and_query_parameters():
    found = answer("/e/<n>", everything, f"/e/07?q=%C3%A4+b&i=-3&f=1e3&b=On&u={uuid.UUID(int=5)}")
    assert found.status == 200
    assert found.get("content-type") == "application/json"
    assert int(found.get("content-length")) == len(found.body)
    assert json.loads(found.body) == {
        "n": 7,
        "q": "ä b",
        "i": -3,
        "f": 1000.0,
        "b": True,
        "u": str(uuid.UUID(int=5)),
        "many": [],
    }
    found = answer("/e/<n>", everything, "/e/1?q=&q=last&many=1&many=2")
    assert json.loads(found.body)["q"] == "last"
    assert json.loads(found.body)["many"] == [1, 2]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "q"),
        ("q=a&i=1.0", "i"),
        ("q=a&i=", "i"),
        ("q=a&i=" + "9" * 1001, "i"),
        ("q=a&f=nan", "f"),
        ("q=a&f=1_0", "f"),
        ("q=a&b=2", "b"),
        ("q=a&u=5", "u"),
        ("q=a&many=1&many=x", "many"),
    ],
)
def test_a_query_of_the_wrong_type_is_422_and_names_the_parameter(query, name):
    found = answer("/e/<n>", everything, f"/e/1?{query}")
    assert found.status == 422
    assert [fault["loc"] for fault in json.loads(found.body)["detail"]] == [["query", name]]


def test_a_query_that_cannot_be_read():
    assert answer("/e/<n>", everything, "/e/1?q=%FF").status == 422
    assert answer("/e/<n>", everything, "/e/1?" + "&".join(["q=1"] * 1001)).status == 422


@pytest.mark.parametrize("path", ["/e/x", "/e/", "/e", "/e/1/", "/e/-1", "/e/%31", "/E/1"])
def test_a_path_of_another_type_is_no_route(path):
    found = answer("/e/<n>", everything, f"{path}?q=a")
    assert found.body == b"the application"


def test_methods_and_body():
    def double(x: int, content: bytes):
        return {"twice": x * 2, "size": len(content)}

    found = answer("/d", double, "/d?x=4", ["POST"], method="POST", body=b"abc")
    assert json.loads(found.body) == {"twice": 8, "size": 3}
    assert answer("/d", double, "/d?x=4", ["POST"]).body == b"the application"


def test_head_is_get_without_the_body():
    found = answer("/x", lambda: [1, 2], "/x", method="HEAD")
    assert (found.status, found.body, found.get("content-length")) == (200, b"", "5")


def test_status_headers_and_async():
    async def view(x: int = 0):
        await asyncio.sleep(0)
        return {"ok": True}, 201, {"X-A": "b", "Content-Type": "application/problem+json"}

    found = answer("/x", view, "/x")
    assert found.status == 201
    assert found.get("x-a") == "b"
    assert found.get("content-type") == "application/problem+json"
    twice = answer(
        "/twice", lambda: (1, 200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]), "/twice"
    )
    assert [value for name, value in twice.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert answer("/pair", lambda: (1, 2), "/pair").body == b"[1,2]"
    assert answer("/none", lambda: (None, 204), "/none").body == b""


def test_what_is_no_json_is_an_exception():
    for value in ({1, 2}, float("nan"), object()):
        with pytest.raises((TypeError, ValueError)):
            answer("/x", lambda value=None: value or {1}, "/x")
        with pytest.raises((TypeError, ValueError)):
            _direct.encode(value)


def test_orjson_encodes_where_it_is_installed(monkeypatch):
    class Orjson:
        OPT_NON_STR_KEYS = 4

        @staticmethod
        def dumps(value, option):
            if value == 2**70:
                raise TypeError("Integer exceeds 64-bit range")
            return b"by orjson"

    monkeypatch.setattr(_direct, "orjson", Orjson)
    assert _direct.encode({}) == b"by orjson"
    assert _direct.encode(2**70) == str(2**70).encode()


def test_cached_route_below_simple_json():
    @zq.cached_route(ttl=5, tags=lambda n, **_: f"n:{n}")
    def view(n: int, q: str = ""):
        return n, 200, {"X-A": "b"}

    zq.simple_json("/n/<n>")(view)
    (route,) = _direct.direct_routes
    status, fields, body = route({"n": "3"}, b"", "GET", [], b"")
    assert (status, body) == (200, b"3")
    assert (b"Zq-Cache-Control".lower(), b"max-age=5, decorated") in fields
    assert (b"cache-tag", b"n:3") in fields


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("/x/<y>", lambda: 1),
        ("/x/<int:y>", everything),
        ("/x", lambda *args: 1),
        ("/x/<y>", lambda y, /: 1),
        (lambda: 1, lambda: 1),
        ("/x/<path:y>/z", lambda y: 1),
        ("/x/<y>/<y>", lambda y: 1),
        ("x", lambda: 1),
        ("/%41", lambda: 1),
        ("/a//b", lambda: 1),
        ("/a/../b", lambda: 1),
        ("/<nix:y>", lambda y: 1),
        ("/<any():y>", lambda y: 1),
        ("/<int(length=2,nix=3):y>", lambda y: 1),
        ("/<int(min=3,max=2):y>", lambda y: 1),
        ("/<str(length=2):y>", everything),
    ],
)
def test_what_simple_json_refuses(path, function):
    with pytest.raises((TypeError, ValueError)):
        zq.simple_json(path)(function)


def test_annotations_that_simple_json_refuses():
    def wrong_type(x: dict): ...

    def wrong_path(x: int): ...

    with pytest.raises(TypeError, match="annotated"):
        zq.simple_json("/x")(wrong_type)
    with pytest.raises(TypeError, match="the path gives <float:x>"):
        zq.simple_json("/<float:x>")(wrong_path)
    with pytest.raises(ValueError, match="upper case"):
        zq.simple_json("/", ["get"])


# ---- static_route ----


def rendered(app=None):
    """Of each static route (status, fields, body), by path."""
    return {route[1]: route[-1] for route in declared(app) if route[0] == "static"}


def test_static_bodies_and_files(tmp_path):
    (tmp_path / "logo.svg").write_text("<svg/>")
    zq.static_route("/robots.txt", "User-agent: *\n")
    zq.static_route("/page", "<!DOCTYPE html>…")
    zq.static_route("/config", {"a": 1}, headers={"Cache-Control": "max-age=60"})
    zq.static_route("/gone", b"gone", status=410, content_type="text/plain")
    zq.static_route("/logo", tmp_path / "logo.svg")
    zq.static_route("/other", file=str(tmp_path / "logo.svg"))
    found = rendered()
    kinds = {path: dict(fields)[b"content-type"] for path, (_, fields, _) in found.items()}
    assert kinds == {
        "/robots.txt": b"text/plain; charset=utf-8",
        "/page": b"text/html; charset=utf-8",
        "/config": b"application/json",
        "/gone": b"text/plain",
        "/logo": b"image/svg+xml; charset=utf-8",
        "/other": b"image/svg+xml; charset=utf-8",
    }
    assert found["/gone"][0] == 410
    assert dict(found["/config"][1])[b"cache-control"] == b"max-age=60"
    assert b"last-modified" in dict(found["/logo"][1])
    for _, fields, body in found.values():
        assert re.fullmatch(rb'"[0-9a-f]{32}"', dict(fields)[b"etag"])
        assert int(dict(fields)[b"content-length"]) == len(body)


def test_static_views_of_each_framework():
    import flask
    import quart
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse

    app = quart.Quart("static")

    @zq.static_route("/about")
    async def about():
        return await quart.render_template_string("{{ request.path }}"), 200, {"X-A": "b"}

    status, fields, body = rendered(app)["/about"]
    assert (status, body, dict(fields)[b"x-a"]) == (200, b"/about", b"b")
    assert dict(fields)[b"content-type"] == b"text/html; charset=utf-8"
    _static.static_routes.clear()
    zq.static_route("/about", lambda: flask.render_template_string("{{ request.path }}"))
    assert rendered(flask.Flask("static"))["/about"][2] == b"/about"
    _static.static_routes.clear()
    zq.static_route("/about", lambda request: HTMLResponse(request.url.path))
    assert rendered(Starlette())["/about"][2] == b"/about"
    _static.static_routes.clear()
    import routed
    from django.http import HttpResponse

    django = apps.setdefault("django", None) or routed.django_app()
    apps["django"] = django
    zq.static_route("/about", lambda request: HttpResponse(request.path, headers={"X-A": "b"}))
    assert rendered(django)["/about"][2] == b"/about"


def fails():
    raise LookupError("on purpose")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (fails, "LookupError"),
        (pathlib.Path("/nowhere"), "FileNotFoundError"),
        (b"x" * (1 << 20), "1048576|at most"),
        (lambda: 5, "TypeError"),
        (lambda: ("a", 200, {"Set-Cookie": "a=b"}), "ValueError"),
        (lambda: ("a", 200, {"X-A": "b\r\nc: d"}), "ValueError"),
        (lambda: ("a", 200, {"X A": "b"}), "'x a' is no field name"),
        (lambda: ("a", 200, {"": "b"}), "'' is no field name"),
    ],
)
def test_an_error_at_start_names_the_route(content, why):
    zq.static_route("/about", content)
    with pytest.raises(zq.RouteError, match="static_route /about") as error:
        rendered()
    assert re.search(why, f"{error.value} {error.value.__cause__!r}")


def test_what_static_route_refuses():
    with pytest.raises(ValueError, match="parameters"):
        zq.static_route("/<x>", "a")
    with pytest.raises(TypeError, match="no body, file or view"):
        zq.static_route("/", 5)
    with pytest.raises(TypeError, match="a content and a file"):
        zq.static_route("/", "a", file="b")
    with pytest.raises(ValueError, match="status"):
        zq.static_route("/", "a", status=103)
    with pytest.raises(ValueError, match="status"):
        zq.static_route("/", "a", status="200")
    with pytest.raises(TypeError, match="a path is str, not function"):
        zq.static_route(lambda: "a")


# ---- zq.asgi ----


def test_under_zq_asgi_is_the_application():
    async def app(scope, receive, send): ...

    assert zq._asgi.asgi.__globals__["SERVED"] is False  # here it is another server
    assert isinstance(zq.asgi(app), zq._asgi.Asgi)


def test_static_routes_and_lifespan_under_another_server():
    zq.static_route("/a", "text")
    log = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            zq.static_route("/b", "made at startup")
            await send({"type": "lifespan.startup.complete"})

    async def run():
        served = zq._asgi.Asgi(app)

        async def receive():
            return {"type": "lifespan.startup"}

        async def send(message):
            log.append(message["type"])

        await served({"type": "lifespan"}, receive, send)
        assert (await call(served, "/b", root_path="/mounted")).body == b"made at startup"
        first = await call(served, "/a")
        assert first.body == b"text"
        again = [(b"if-none-match", b'"x", W/' + first.get("etag").encode())]
        second = await call(served, "/a", headers=again)
        assert (second.status, second.body) == (304, b"")
        assert second.get("etag") == first.get("etag")
        assert (await call(served, "/a", method="HEAD")).body == b""

    asyncio.run(run())
    assert log == ["lifespan.startup.complete"]


# ---- what is declared ----


def declared(app=None):
    return asyncio.run(_routes.declare(app))


def surveyed(app):
    return {each.path: (each.kind, each.why) for each in _routes.survey(app).found}


def test_url_maps_are_read(routed):
    found = surveyed(routed)
    assert found["/page/<int:id>"][0] == "cached"
    assert found["/page/<int:id>"][1].endswith(".page")
    assert found["/plain"] == ("app", "not decorated")


def test_key_rules_are_declared(routed):
    (route,) = [route for route in declared(routed) if route.path == "/rule"]
    assert route.methods == ("GET",)
    kind, path, methods, query, ignored, cookies, headers, why, payload = route.as_tuple()
    assert (kind, path, methods, query, ignored, cookies, headers, payload) == (
        0,
        b"/rule",
        b"GET",
        [b"q"],
        [],
        [],
        [],
        None,
    )
    assert why.endswith(b"rule")


@pytest.mark.parametrize("routed", ["starlette", "fastapi", "django"], indirect=True)
def test_prefixes_of_mounts_routers_and_includes(routed):
    assert surveyed(routed)["/sub/sync"][0] == "cached"


def test_blueprints_and_converters_of_werkzeug():
    import quart

    app = quart.Quart("converters")
    blueprint = quart.Blueprint("b", "b", url_prefix="/b")
    view = zq.cached_route(ttl=1)(lambda **_: "a")
    for number, path in enumerate(
        [
            "/<x>",
            "/s/<string:x>.csv",
            "/u/<uuid:x>",
            "/f/<float:x>",
            "/p/<path:x>",
            "/l/<string(length=2):x>",
            "/i/<int(min=3):x>",
            "/y/<any(a,b):x>",
            "/z/<any('a,b',c):x>",
            "/q/<x>-<y>",
        ]
    ):
        blueprint.add_url_rule(path, f"e{number}", view)
    app.register_blueprint(blueprint)
    found = surveyed(app)
    kinds = {path: kind for path, (kind, _) in found.items()}
    assert kinds == {
        "/static/<path:filename>": "app",
        "/b/<x>": "cached",
        "/b/s/<x>.csv": "cached",
        "/b/u/<uuid:x>": "cached",
        "/b/f/<float:x>": "cached",
        "/b/p/<path:x>": "cached",
        "/b/l/<str(length=2):x>": "cached",
        "/b/i/<int(min=3):x>": "cached",
        "/b/y/<any(a,b):x>": "cached",
        "/b/z/<any('a,b',c):x>": "app",
        "/b/q/<x>-<y>": "app",
    }
    assert "pattern cannot be declared" in found["/b/z/<any('a,b',c):x>"][1]


def test_a_key_rule_holds_for_its_own_view_only():
    """“no unkeyed input reaches a view whose answer is shared”, and no other view loses any."""
    import quart
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    app = quart.Quart("intruders")
    ruled = zq.cached_route(ttl=1, cookies=())
    app.get("/company/new")(lambda: "a form with a session")
    app.get("/company/<name>", endpoint="c")(ruled(lambda name: name))
    app.get("/<path:rest>", endpoint="r")(lambda rest: rest)
    app.get("/item/<int:id>", endpoint="i")(ruled(lambda id: "a"))
    app.get("/item/<id>", endpoint="s")(zq.cached_route(ttl=1, query=())(lambda id: "a"))
    found = surveyed(app)
    assert found["/company/<name>"] == ("app", "its key rule would hold for /company/new, too")
    assert found["/item/<int:id>"][0] == "cached"  # it goes before <path:rest>
    assert found["/item/<id>"][0] == "cached"  # behind the former in the front, too

    @ruled
    def view(request):
        return PlainTextResponse("a")

    def other(request):
        return PlainTextResponse("b")

    app = Starlette(routes=[Route("/a/{x}", other), Route("/a/b", view), Route("/c/{x}", view)])
    assert surveyed(app)["/a/b"] == ("app", "its key rule would hold for /a/{x}, too")
    assert surveyed(app)["/c/<x>"][0] == "cached"


def test_what_matches_in_a_way_of_its_own():
    """Nobody knows which paths it gets: a key rule behind it might hold for any of them."""
    from starlette.convertors import CONVERTOR_TYPES, StringConvertor, register_url_convertor
    from starlette.responses import PlainTextResponse
    from starlette.routing import BaseRoute, Route, Router

    class Own(Route):
        def matches(self, scope):
            return super().matches(scope)

    class Kind(BaseRoute):
        pass

    class Convertor(StringConvertor):
        regex = "[a-z]+"

    register_url_convertor("own", Convertor())

    @zq.cached_route(ttl=1, query=())
    def view(request):
        return PlainTextResponse("a")

    def reasons(*before):
        return surveyed(Router([*before, Route("/a", view), Route("/c/{x}", view)]))

    try:
        found = reasons(Own("/b", view))
        assert "Own matches in a way of its own" in found["/b"][1]
        found = reasons(Own("/b", lambda request: None))
        assert found["/a"] == found["/c/{x}"] == ("app", "its key rule could hold for /b, too")
        assert reasons(Kind())["/a"] == ("app", "its key rule could hold for (Kind), too")
        found = reasons(Route("/c/{x:own}", lambda request: None))
        assert found["/a"][0] == "cached"
        assert found["/c/{x}"] == ("app", "its key rule could hold for /c/{x:own}, too")
    finally:
        del CONVERTOR_TYPES["own"]


def test_cached_route_above_the_route_decorator():
    """“works above or below the framework's route decorator where that is possible, with a clear
    error where not”"""
    import quart
    from fastapi import FastAPI

    app = quart.Quart("above")

    @zq.cached_route(ttl=5)
    @app.get("/x")
    async def x():
        return "a"

    assert ("cached", "/x") in [route[:2] for route in declared(app)]
    assert get(app, "/x").get("zq-cache-control") == "max-age=5, decorated"
    fast = FastAPI()

    @zq.cached_route(ttl=5)
    @fast.get("/x")
    async def above():
        return "a"

    with pytest.raises(zq.RouteError, match=r"above.*put it below"):
        declared(fast)


def test_the_bare_view_may_have_a_route_of_its_own():
    import quart

    app = quart.Quart("both")

    async def view():
        return "a"

    app.add_url_rule("/bare", "bare", view)
    app.add_url_rule("/kept", "kept", zq.cached_route(ttl=5)(view))
    declared(app)
    assert get(app, "/bare").get("zq-cache-control") is None
    assert get(app, "/kept").get("zq-cache-control")


def test_routes_that_contradict_each_other():
    zq.simple_json("/x")(lambda: 1)
    zq.static_route("/x", "a")
    with pytest.raises(zq.RouteError, match="GET /x is declared twice"):
        declared()


def test_a_module_that_is_loaded_again_declares_the_same():
    for _ in range(2):
        zq.simple_json("/e/<n>")(everything)
        zq.static_route("/s", "a")
    assert [route.path for route in declared()] == ["/e/<int:n>", "/s"]


def test_an_application_that_cannot_be_read():
    async def app(scope, receive, send): ...

    assert declared(app) == []


# ---- patterns ----


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("/", "/", {}),
        ("/a", "/a/", None),
        ("/a/", "/a/", {}),
        ("/<x>", "/", None),
        ("/<x>.csv", "/a.b.csv", {"x": "a.b"}),
        ("/v<int:x>-z", "/v12-z", {"x": "12"}),
        ("/v<int:x>-z", "/v12-", None),
        ("/<int:x>", "/١", None),
        ("/<float:x>", "/1.", None),
        ("/<uuid:x>", "/" + "0" * 32, None),
        ("/a/<path:x>", "/a/b/c/", {"x": "b/c/"}),
        ("/a/<path:x>", "/a/", None),
        ("/a/<path:x>", "/a", None),
        ("/a/<path(minlength=0):x>", "/a/", {"x": ""}),
        ("/a/<path(minlength=0):x>", "/a", None),
        ("/<int(min=3,max=12):x>", "/012", {"x": "012"}),
        ("/<int(min=3,max=12):x>", "/13", None),
        ("/<int(signed,length=2):x>", "/-1", {"x": "-1"}),
        ("/<int:x>", "/" + "1" * 1001, None),
        ("/<float(signed,loose):x>", "/-1", {"x": "-1"}),
        ("/<uuid(lower):x>", "/" + "A" * 8 + "-aaaa" * 3 + "-" + "a" * 12, None),
        ("/<uuid(loose):x>", "/" + "0" * 32, {"x": "0" * 32}),
        ("/<slug:x>.x", "/a-B_1.x", {"x": "a-B_1"}),
        ("/<slug:x>", "/a.b", None),
        ("/<str(length=2):x>", "/abc", None),
        ("/<chars(a-c.,maxlength=3):x>", "/a.c", {"x": "a.c"}),
        ("/<chars(a-c.,maxlength=3):x>", "/a-c", None),
        ("/v<any(1,12):x>", "/v12", {"x": "12"}),
        ("/v<any(1,12):x>", "/v2", None),
        ("/<path:x>", "/a//b", None),
        ("/<path:x>", "/a/../b", None),
        ("/<x>", "/a;b", None),
        ("/<x>", "/a%2Fb", None),
    ],
)
def test_patterns(pattern, path, values):
    """As tests/c/test_route.c has them for the tree in C."""
    assert Pattern(pattern).match(path) == values


def test_exact_before_pattern():
    """“exact before pattern”"""
    patterns = [
        "/<path:x>",
        "/<x>",
        "/<x>.json",
        "/<int:x>",
        "/<int(max=6):x>",
        "/<slug:x>",
        "/new",
    ]
    patterns = [Pattern(p) for p in patterns]

    def chosen(path):
        return str(best(patterns, path)[0])

    assert chosen("/new") == "/new"
    assert chosen("/7") == "/<int:x>"
    assert chosen("/6") == "/<int(max=6):x>"
    assert chosen("/7.json") == "/<x>.json"
    assert chosen("/seven") == "/<slug:x>"
    assert chosen("/se.ven") == "/<x>"
    assert chosen("/seven/8") == "/<path:x>"
    assert best(patterns, "/a//b") is None


def test_plain_paths():
    assert is_plain("/")
    assert is_plain("/a/")
    assert not any(
        map(is_plain, ["", "a", "//", "/a//b", "/./a", "/a/..", "/%41", "/a;b", "/a\\b"])
    )
