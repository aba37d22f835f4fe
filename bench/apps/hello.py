"""The smallest Quart views: text and JSON."""

from __future__ import annotations

from calls import counter
from quart import Quart, jsonify

count = counter()
app = Quart(__name__)


@app.get("/hello")
async def hello():
    count()
    return "Hello, world!", 200, {"Cache-Control": "no-store"}


@app.get("/json")
async def json():
    count()
    response = jsonify({"message": "Hello, world!", "numbers": [1, 2, 3], "ok": True})
    response.headers["Cache-Control"] = "no-store"
    return response
